-- A fragment goes on while the gap between neighbouring probes is at most five minutes, within one day.
-- Probes of one clock interval of five minutes are closer than that, so only the intervals need to be put in
-- order, by their first and last probes. Counted twice: by dBm and by source. The lists are those of the
-- fingerprint, equal in all its rows.
WITH by_signal AS (
  SELECT day, fingerprint, time_bucket(INTERVAL '5' MINUTE, event_time) AS bucket, signal_dbm,
    count(*) AS probes, min(event_time) AS first_probe, max(event_time) AS last_probe
  FROM probes_enriched
  GROUP BY day, fingerprint, time_bucket(INTERVAL '5' MINUTE, event_time), signal_dbm),
by_source AS (
  SELECT DISTINCT day, fingerprint, time_bucket(INTERVAL '5' MINUTE, event_time) AS bucket, source_address
  FROM probes_enriched),
buckets AS (
  SELECT day, fingerprint, bucket, min(first_probe) AS first_probe, max(last_probe) AS last_probe
  FROM by_signal GROUP BY day, fingerprint, bucket),
marked AS (
  SELECT day, fingerprint, bucket,
    CASE WHEN lag(last_probe) OVER w >= first_probe - INTERVAL '5' MINUTE THEN 0 ELSE 1 END AS is_start
  FROM buckets
  WINDOW w AS (PARTITION BY day, fingerprint ORDER BY bucket)),
numbered AS (
  SELECT day, fingerprint, bucket,
    CAST(sum(is_start) OVER (PARTITION BY day, fingerprint ORDER BY bucket
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS fragment
  FROM marked),
each_signal AS (
  SELECT n.day, n.fingerprint, n.fragment, s.signal_dbm, CAST(sum(s.probes) AS BIGINT) AS probes,
    min(s.first_probe) AS first_probe, max(s.last_probe) AS last_probe
  FROM by_signal AS s
  JOIN numbered AS n ON n.day = s.day AND n.fingerprint = s.fingerprint AND n.bucket = s.bucket
  GROUP BY n.day, n.fingerprint, n.fragment, s.signal_dbm),
signals AS (
  SELECT day, fingerprint, fragment,
    CAST(sum(probes) AS BIGINT) AS probe_count,
    min(first_probe) AS first_probe, max(last_probe) AS last_probe,
    min(signal_dbm) AS min_signal_dbm, max(signal_dbm) AS max_signal_dbm,
    CASE WHEN count(signal_dbm) > 0 THEN map_from_entries(array_sort(
      array_agg((signal_dbm, probes)) FILTER (WHERE signal_dbm IS NOT NULL))) END AS signal_dbm_distribution
  FROM each_signal GROUP BY day, fingerprint, fragment),
sources AS (
  SELECT n.day, n.fingerprint, n.fragment,
    CASE WHEN count(s.source_address) > 0 THEN array_sort(
      array_agg(DISTINCT s.source_address) FILTER (WHERE s.source_address IS NOT NULL)) END AS source_addresses
  FROM by_source AS s
  JOIN numbered AS n ON n.day = s.day AND n.fingerprint = s.fingerprint AND n.bucket = s.bucket
  GROUP BY n.day, n.fingerprint, n.fragment),
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
