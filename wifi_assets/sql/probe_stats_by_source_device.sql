-- The sources' days, and what is known of these sources already. Most sources are random addresses of one
-- day, whose part is the whole; only the others' sets are merged.
WITH parts AS (
  SELECT source, probes, earliest_probe, latest_probe, min_signal_dbm, max_signal_dbm,
    signal_dbm_sum, signal_dbm_count, probed_ssids, destinations, source_addresses
  FROM probe_stats_by_source_day
  UNION ALL
  SELECT source, probes, earliest_probe, latest_probe, min_signal_dbm, max_signal_dbm,
    signal_dbm_sum, signal_dbm_count, probed_ssids, destinations, source_addresses
  FROM probe_stats_by_source_device
  WHERE source IN (SELECT source FROM probe_stats_by_source_day)),
counted AS (
  SELECT source, count(*) AS parts FROM parts GROUP BY source),
several AS (
  SELECT p.source, p.probes, p.earliest_probe, p.latest_probe, p.min_signal_dbm, p.max_signal_dbm,
    p.signal_dbm_sum, p.signal_dbm_count, p.probed_ssids, p.destinations, p.source_addresses
  FROM parts AS p JOIN counted AS c ON c.source = p.source WHERE c.parts > 1),
totals AS (
  SELECT source, CAST(sum(probes) AS BIGINT) AS probes,
    min(earliest_probe) AS earliest_probe, max(latest_probe) AS latest_probe,
    min(min_signal_dbm) AS min_signal_dbm, max(max_signal_dbm) AS max_signal_dbm,
    CAST(sum(signal_dbm_sum) AS BIGINT) AS signal_dbm_sum, CAST(sum(signal_dbm_count) AS BIGINT) AS signal_dbm_count
  FROM several GROUP BY source),
each_reached AS (
  SELECT source, explode(probed_ssids) AS ssid, NULL AS destination_address, NULL AS source_address FROM several
  UNION ALL
  SELECT source, NULL AS ssid, explode(destinations) AS destination_address, NULL AS source_address FROM several
  UNION ALL
  SELECT source, NULL AS ssid, NULL AS destination_address, explode(source_addresses) AS source_address FROM several),
reached AS (
  SELECT source,
    CASE WHEN count(ssid) > 0 THEN array_sort(
      array_agg(DISTINCT ssid) FILTER (WHERE ssid IS NOT NULL)) END AS probed_ssids,
    CASE WHEN count(destination_address) > 0 THEN array_sort(
      array_agg(DISTINCT destination_address) FILTER (WHERE destination_address IS NOT NULL)) END AS destinations,
    CASE WHEN count(source_address) > 0 THEN array_sort(
      array_agg(DISTINCT source_address) FILTER (WHERE source_address IS NOT NULL)) END AS source_addresses
  FROM each_reached GROUP BY source),
merged AS (
  SELECT p.source, p.probes, p.earliest_probe, p.latest_probe, p.min_signal_dbm, p.max_signal_dbm,
    p.signal_dbm_sum, p.signal_dbm_count, p.probed_ssids, p.destinations, p.source_addresses
  FROM parts AS p JOIN counted AS c ON c.source = p.source WHERE c.parts = 1
  UNION ALL
  SELECT t.source, t.probes, t.earliest_probe, t.latest_probe, t.min_signal_dbm, t.max_signal_dbm,
    t.signal_dbm_sum, t.signal_dbm_count, r.probed_ssids, r.destinations, r.source_addresses
  FROM totals AS t LEFT JOIN reached AS r ON r.source = t.source)
SELECT source, probes, earliest_probe, latest_probe, min_signal_dbm, max_signal_dbm,
  CAST(signal_dbm_sum AS DOUBLE) / nullif(signal_dbm_count, 0) AS avg_signal_dbm,
  CASE WHEN probed_ssids IS NULL THEN 0 ELSE CAST(size(probed_ssids) AS BIGINT) END AS unique_ssids,
  CASE WHEN destinations IS NULL THEN 0 ELSE CAST(size(destinations) AS BIGINT) END AS unique_destinations,
  signal_dbm_sum, signal_dbm_count, probed_ssids, destinations, source_addresses,
  CAST(latest_probe AS DATE) AS latest_day
FROM merged
