-- New probe requests, and the known fragments of their days and fingerprints. A fragment goes on while the gap
-- between neighbouring probes is at most five minutes, within one day. Probes of one clock interval of five
-- minutes (a bucket) are closer than that, so only buckets and known fragments are put in order, by their first and
-- last probes. A bucket's probes are grouped twice, by signal and by source: a fragment counts the one and lists the
-- other. A fingerprint is a hash of its tags, so any of its rows has them.
WITH known AS (
  SELECT day, fingerprint, probe_count, source_addresses, first_probe, last_probe,
    min_signal_dbm, max_signal_dbm, signal_dbm_distribution
  FROM session_fragments
  WHERE (day, fingerprint) IN (SELECT day, fingerprint FROM probes_enriched)),
by_signal AS (
  SELECT day, fingerprint, time_bucket(INTERVAL '5' MINUTE, event_time) AS bucket, signal_dbm,
    count(*) AS probes, min(event_time) AS first_probe, max(event_time) AS last_probe
  FROM probes_enriched
  GROUP BY day, fingerprint, time_bucket(INTERVAL '5' MINUTE, event_time), signal_dbm),
by_source AS (
  SELECT DISTINCT day, fingerprint, time_bucket(INTERVAL '5' MINUTE, event_time) AS bucket, source_address
  FROM probes_enriched),
spans AS (
  SELECT day, fingerprint, FALSE AS is_known, bucket,
    CAST(sum(probes) AS BIGINT) AS probe_count, min(first_probe) AS first_probe, max(last_probe) AS last_probe,
    min(signal_dbm) AS min_signal_dbm, max(signal_dbm) AS max_signal_dbm
  FROM by_signal GROUP BY day, fingerprint, bucket
  UNION ALL
  SELECT day, fingerprint, TRUE AS is_known, first_probe AS bucket, probe_count, first_probe, last_probe,
    min_signal_dbm, max_signal_dbm
  FROM known),
marked AS (
  SELECT day, fingerprint, is_known, bucket, probe_count, first_probe, last_probe, min_signal_dbm, max_signal_dbm,
    CASE WHEN max(last_probe) OVER (PARTITION BY day, fingerprint ORDER BY first_probe, is_known
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) >= first_probe - INTERVAL '5' MINUTE
      THEN 0 ELSE 1 END AS is_start
  FROM spans),
numbered AS (
  SELECT day, fingerprint, is_known, bucket, probe_count, first_probe, last_probe, min_signal_dbm, max_signal_dbm,
    CAST(sum(is_start) OVER (PARTITION BY day, fingerprint ORDER BY first_probe, is_known
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS fragment
  FROM marked),
totals AS (
  SELECT day, fingerprint, fragment, CAST(sum(probe_count) AS BIGINT) AS probe_count,
    min(first_probe) AS first_probe, max(last_probe) AS last_probe,
    min(min_signal_dbm) AS min_signal_dbm, max(max_signal_dbm) AS max_signal_dbm
  FROM numbered GROUP BY day, fingerprint, fragment),
entries AS (
  SELECT day, fingerprint, first_probe, explode(map_entries(signal_dbm_distribution)) AS entry FROM known),
each_signal AS (
  SELECT day, fingerprint, FALSE AS is_known, bucket, signal_dbm, probes
  FROM by_signal WHERE signal_dbm IS NOT NULL
  UNION ALL
  SELECT day, fingerprint, TRUE AS is_known, first_probe AS bucket, entry.key AS signal_dbm, entry.value AS probes
  FROM entries),
counted AS (
  SELECT n.day, n.fingerprint, n.fragment, s.signal_dbm, CAST(sum(s.probes) AS BIGINT) AS probes
  FROM each_signal AS s JOIN numbered AS n
  ON n.day = s.day AND n.fingerprint = s.fingerprint AND n.is_known = s.is_known AND n.bucket = s.bucket
  GROUP BY n.day, n.fingerprint, n.fragment, s.signal_dbm),
signals AS (
  SELECT day, fingerprint, fragment,
    map_from_entries(array_sort(array_agg((signal_dbm, probes)))) AS signal_dbm_distribution
  FROM counted GROUP BY day, fingerprint, fragment),
each_source AS (
  SELECT day, fingerprint, FALSE AS is_known, bucket, source_address
  FROM by_source WHERE source_address IS NOT NULL
  UNION ALL
  SELECT day, fingerprint, TRUE AS is_known, first_probe AS bucket, explode(source_addresses) AS source_address
  FROM known),
sources AS (
  SELECT n.day, n.fingerprint, n.fragment, array_sort(array_agg(DISTINCT s.source_address)) AS source_addresses
  FROM each_source AS s JOIN numbered AS n
  ON n.day = s.day AND n.fingerprint = s.fingerprint AND n.is_known = s.is_known AND n.bucket = s.bucket
  GROUP BY n.day, n.fingerprint, n.fragment),
tags AS (
  SELECT fingerprint, any_value(tag_vendor_data) AS tag_vendor_data,
    any_value(tag_vendor_oui_type) AS tag_vendor_oui_type, any_value(tag_oui) AS tag_oui
  FROM probes_enriched GROUP BY fingerprint)
SELECT f.day, f.fingerprint, t.tag_vendor_data, t.tag_vendor_oui_type, t.tag_oui,
  f.probe_count, a.source_addresses, f.first_probe, f.last_probe,
  f.min_signal_dbm, f.max_signal_dbm, s.signal_dbm_distribution
FROM totals AS f
JOIN tags AS t ON t.fingerprint = f.fingerprint
LEFT JOIN signals AS s ON s.day = f.day AND s.fingerprint = f.fingerprint AND s.fragment = f.fragment
LEFT JOIN sources AS a ON a.day = f.day AND a.fingerprint = f.fingerprint AND a.fragment = f.fragment
