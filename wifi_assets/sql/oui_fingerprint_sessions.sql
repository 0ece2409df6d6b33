-- Fragments that meet over midnight with a gap of at most five minutes are one session; the row belongs to
-- the day on which it began. More than two source addresses make a session a row.
WITH marked AS (
  SELECT day, fingerprint, probe_count, source_addresses, first_probe, last_probe,
    min_signal_dbm, max_signal_dbm, signal_dbm_distribution,
    CASE WHEN lag(last_probe) OVER w >= first_probe - INTERVAL '5' MINUTE THEN 0 ELSE 1 END AS is_start
  FROM session_fragments
  WINDOW w AS (PARTITION BY fingerprint ORDER BY first_probe)),
numbered AS (
  SELECT day, fingerprint, probe_count, source_addresses, first_probe, last_probe,
    min_signal_dbm, max_signal_dbm, signal_dbm_distribution,
    CAST(sum(is_start) OVER (PARTITION BY fingerprint ORDER BY first_probe
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS session
  FROM marked),
sessions AS (
  SELECT fingerprint, session, min(day) AS day,
    CAST(sum(probe_count) AS BIGINT) AS probe_count,
    min(first_probe) AS first_probe, max(last_probe) AS last_probe,
    min(min_signal_dbm) AS min_signal_dbm, max(max_signal_dbm) AS max_signal_dbm
  FROM numbered GROUP BY fingerprint, session),
each_source AS (
  SELECT fingerprint, session, explode(source_addresses) AS source_address FROM numbered),
sources AS (
  SELECT fingerprint, session, array_sort(array_agg(DISTINCT source_address)) AS source_addresses
  FROM each_source GROUP BY fingerprint, session),
each_signal AS (
  SELECT fingerprint, session, explode(map_entries(signal_dbm_distribution)) AS entry FROM numbered),
each_count AS (
  SELECT fingerprint, session, entry.key AS signal_dbm, CAST(sum(entry.value) AS BIGINT) AS probes
  FROM each_signal GROUP BY fingerprint, session, entry.key),
signals AS (
  SELECT fingerprint, session,
    map_from_entries(array_sort(
      array_agg((signal_dbm, probes)) FILTER (WHERE signal_dbm IS NOT NULL))) AS distribution
  FROM each_count GROUP BY fingerprint, session),
tags AS (
  SELECT fingerprint, any_value(tag_vendor_data) AS tag_vendor_data,
    any_value(tag_vendor_oui_type) AS tag_vendor_oui_type, any_value(tag_oui) AS tag_oui
  FROM session_fragments GROUP BY fingerprint),
each_oui AS (
  SELECT fingerprint, explode(tag_oui) AS oui FROM tags),
vendor_names AS (
  SELECT o.fingerprint,
    array_sort(array_agg(DISTINCT v.vendor) FILTER (WHERE v.vendor IS NOT NULL)) AS oui_names
  FROM each_oui AS o JOIN vendors AS v ON v.oui = o.oui GROUP BY o.fingerprint)
SELECT s.day, s.fingerprint, t.tag_vendor_data, t.tag_vendor_oui_type, t.tag_oui,
  s.probe_count, a.source_addresses, s.first_probe, s.last_probe,
  s.min_signal_dbm, s.max_signal_dbm, d.distribution AS signal_dbm_distribution,
  CAST(size(a.source_addresses) AS BIGINT) AS source_address_count,
  (unix_micros(s.last_probe) - unix_micros(s.first_probe)) / 1000000.0 AS session_seconds,
  s.max_signal_dbm - s.min_signal_dbm AS signal_dbm_range,
  s.max_signal_dbm - s.min_signal_dbm <= 3 AS within_3_dbm,
  n.oui_names
FROM sessions AS s
JOIN sources AS a ON a.fingerprint = s.fingerprint AND a.session = s.session
JOIN tags AS t ON t.fingerprint = s.fingerprint
LEFT JOIN signals AS d ON d.fingerprint = s.fingerprint AND d.session = s.session
LEFT JOIN vendor_names AS n ON n.fingerprint = s.fingerprint
WHERE size(a.source_addresses) > 2
