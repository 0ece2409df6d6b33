WITH totals AS (
  SELECT source, CAST(sum(probes) AS BIGINT) AS probes,
    min(earliest_probe) AS earliest_probe, max(latest_probe) AS latest_probe,
    min(min_signal_dbm) AS min_signal_dbm, max(max_signal_dbm) AS max_signal_dbm,
    CAST(sum(signal_dbm_sum) AS DOUBLE) / nullif(CAST(sum(signal_dbm_count) AS BIGINT), 0) AS avg_signal_dbm
  FROM probe_stats_by_source_day GROUP BY source),
each_ssid AS (
  SELECT source, explode(probed_ssids) AS ssid FROM probe_stats_by_source_day),
ssids AS (
  SELECT source, array_sort(array_agg(DISTINCT ssid) FILTER (WHERE ssid IS NOT NULL)) AS probed_ssids,
    count(DISTINCT ssid) AS unique_ssids
  FROM each_ssid GROUP BY source),
each_destination AS (
  SELECT source, explode(destinations) AS destination FROM probe_stats_by_source_day),
reached AS (
  SELECT source, count(DISTINCT destination) AS unique_destinations FROM each_destination GROUP BY source)
SELECT t.source, t.probes, t.earliest_probe, t.latest_probe, t.min_signal_dbm, t.max_signal_dbm,
  t.avg_signal_dbm, s.probed_ssids, coalesce(s.unique_ssids, 0) AS unique_ssids,
  coalesce(r.unique_destinations, 0) AS unique_destinations
FROM totals AS t
LEFT JOIN ssids AS s ON s.source = t.source
LEFT JOIN reached AS r ON r.source = t.source
