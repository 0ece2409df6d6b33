-- A fragment goes on while the gap between neighbouring probes is at most five minutes, within one day.
-- Its lists are those of the fingerprint, equal in all its rows. Counted twice: by source and by dBm.
WITH marked AS (
  SELECT day, fingerprint, event_time, topic_generation, kafka_partition, kafka_offset,
    source_address, signal_dbm,
    CASE WHEN lag(event_time) OVER w >= event_time - INTERVAL '5' MINUTE THEN 0 ELSE 1 END AS is_start
  FROM probes_enriched
  WINDOW w AS (PARTITION BY day, fingerprint
    ORDER BY event_time, topic_generation, kafka_partition, kafka_offset)),
numbered AS (
  SELECT day, fingerprint, event_time, source_address, signal_dbm,
    CAST(sum(is_start) OVER (PARTITION BY day, fingerprint
      ORDER BY event_time, topic_generation, kafka_partition, kafka_offset
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS fragment
  FROM marked),
by_signal AS (
  SELECT day, fingerprint, fragment, signal_dbm, count(*) AS probes,
    min(event_time) AS first_probe, max(event_time) AS last_probe
  FROM numbered GROUP BY day, fingerprint, fragment, signal_dbm),
signals AS (
  SELECT day, fingerprint, fragment,
    CAST(sum(probes) AS BIGINT) AS probe_count,
    min(first_probe) AS first_probe, max(last_probe) AS last_probe,
    min(signal_dbm) AS min_signal_dbm, max(signal_dbm) AS max_signal_dbm,
    CASE WHEN count(signal_dbm) > 0 THEN map_from_entries(array_sort(
      array_agg((signal_dbm, probes)) FILTER (WHERE signal_dbm IS NOT NULL))) END AS signal_dbm_distribution
  FROM by_signal GROUP BY day, fingerprint, fragment),
sources AS (
  SELECT day, fingerprint, fragment,
    CASE WHEN count(source_address) > 0 THEN array_sort(
      array_agg(DISTINCT source_address) FILTER (WHERE source_address IS NOT NULL)) END AS source_addresses
  FROM numbered GROUP BY day, fingerprint, fragment),
tags AS (
  SELECT fingerprint, any_value(tag_vendor_data) AS tag_vendor_data,
    any_value(tag_vendor_oui_type) AS tag_vendor_oui_type, any_value(tag_oui) AS tag_oui
  FROM probes_enriched GROUP BY fingerprint)
SELECT s.day, s.fingerprint, t.tag_vendor_data, t.tag_vendor_oui_type, t.tag_oui,
  s.probe_count, a.source_addresses, s.first_probe, s.last_probe,
  s.min_signal_dbm, s.max_signal_dbm, s.signal_dbm_distribution
FROM signals AS s
JOIN sources AS a ON a.day = s.day AND a.fingerprint = s.fingerprint AND a.fragment = s.fragment
JOIN tags AS t ON t.fingerprint = s.fingerprint
