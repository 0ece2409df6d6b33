-- Most sources are random addresses of one day, whose part is the whole; only the others' sets are merged.
WITH days AS (
  SELECT source, count(*) AS days FROM probe_stats_by_source_day GROUP BY source),
single AS (
  SELECT p.source, p.probes, p.earliest_probe, p.latest_probe, p.min_signal_dbm, p.max_signal_dbm,
    CAST(p.signal_dbm_sum AS DOUBLE) / nullif(p.signal_dbm_count, 0) AS avg_signal_dbm,
    p.probed_ssids, CASE WHEN p.probed_ssids IS NULL THEN 0 ELSE CAST(size(p.probed_ssids) AS BIGINT) END AS unique_ssids,
    CASE WHEN p.destinations IS NULL THEN 0 ELSE CAST(size(p.destinations) AS BIGINT) END AS unique_destinations
  FROM probe_stats_by_source_day AS p JOIN days AS d ON d.source = p.source WHERE d.days = 1),
several AS (
  SELECT p.source, p.probes, p.earliest_probe, p.latest_probe, p.min_signal_dbm, p.max_signal_dbm,
    p.signal_dbm_sum, p.signal_dbm_count, p.probed_ssids, p.destinations
  FROM probe_stats_by_source_day AS p JOIN days AS d ON d.source = p.source WHERE d.days > 1),
totals AS (
  SELECT source, CAST(sum(probes) AS BIGINT) AS probes,
    min(earliest_probe) AS earliest_probe, max(latest_probe) AS latest_probe,
    min(min_signal_dbm) AS min_signal_dbm, max(max_signal_dbm) AS max_signal_dbm,
    CAST(sum(signal_dbm_sum) AS DOUBLE) / nullif(CAST(sum(signal_dbm_count) AS BIGINT), 0) AS avg_signal_dbm
  FROM several GROUP BY source),
each_ssid AS (
  SELECT source, explode(probed_ssids) AS ssid FROM several),
ssids AS (
  SELECT source, array_sort(array_agg(DISTINCT ssid) FILTER (WHERE ssid IS NOT NULL)) AS probed_ssids,
    count(DISTINCT ssid) AS unique_ssids
  FROM each_ssid GROUP BY source),
each_destination AS (
  SELECT source, explode(destinations) AS destination FROM several),
reached AS (
  SELECT source, count(DISTINCT destination) AS unique_destinations FROM each_destination GROUP BY source)
SELECT source, probes, earliest_probe, latest_probe, min_signal_dbm, max_signal_dbm, avg_signal_dbm,
  probed_ssids, unique_ssids, unique_destinations
FROM single
UNION ALL
SELECT t.source, t.probes, t.earliest_probe, t.latest_probe, t.min_signal_dbm, t.max_signal_dbm,
  t.avg_signal_dbm, s.probed_ssids, coalesce(s.unique_ssids, 0) AS unique_ssids,
  coalesce(r.unique_destinations, 0) AS unique_destinations
FROM totals AS t
LEFT JOIN ssids AS s ON s.source = t.source
LEFT JOIN reached AS r ON r.source = t.source
