-- New probe requests, and what is known of their sources' day already.
WITH heard AS (
  SELECT day, coalesce(source_device_name, source_address_resolved, source_address) AS source,
    event_time, signal_dbm, nullif(ssid, '') AS ssid, destination_address, source_address
  FROM probes_enriched
  WHERE source_address IS NOT NULL),
known AS (
  SELECT day, source, probes, earliest_probe, latest_probe, min_signal_dbm, max_signal_dbm,
    signal_dbm_sum, signal_dbm_count, probed_ssids, destinations, source_addresses
  FROM probe_stats_by_source_day
  WHERE (day, source) IN (SELECT day, source FROM heard)),
each_part AS (
  SELECT day, source, count(*) AS probes, min(event_time) AS earliest_probe, max(event_time) AS latest_probe,
    min(signal_dbm) AS min_signal_dbm, max(signal_dbm) AS max_signal_dbm,
    CAST(sum(signal_dbm) AS BIGINT) AS signal_dbm_sum, count(signal_dbm) AS signal_dbm_count
  FROM heard GROUP BY day, source
  UNION ALL
  SELECT day, source, probes, earliest_probe, latest_probe, min_signal_dbm, max_signal_dbm,
    signal_dbm_sum, signal_dbm_count
  FROM known),
totals AS (
  SELECT day, source, CAST(sum(probes) AS BIGINT) AS probes,
    min(earliest_probe) AS earliest_probe, max(latest_probe) AS latest_probe,
    min(min_signal_dbm) AS min_signal_dbm, max(max_signal_dbm) AS max_signal_dbm,
    CAST(sum(signal_dbm_sum) AS BIGINT) AS signal_dbm_sum, CAST(sum(signal_dbm_count) AS BIGINT) AS signal_dbm_count
  FROM each_part GROUP BY day, source),
each_reached AS (
  SELECT day, source, ssid, destination_address, source_address FROM heard
  UNION ALL
  SELECT day, source, explode(probed_ssids) AS ssid, NULL AS destination_address, NULL AS source_address FROM known
  UNION ALL
  SELECT day, source, NULL AS ssid, explode(destinations) AS destination_address, NULL AS source_address FROM known
  UNION ALL
  SELECT day, source, NULL AS ssid, NULL AS destination_address, explode(source_addresses) AS source_address
  FROM known),
reached AS (
  SELECT day, source,
    CASE WHEN count(ssid) > 0 THEN array_sort(
      array_agg(DISTINCT ssid) FILTER (WHERE ssid IS NOT NULL)) END AS probed_ssids,
    CASE WHEN count(destination_address) > 0 THEN array_sort(
      array_agg(DISTINCT destination_address) FILTER (WHERE destination_address IS NOT NULL)) END AS destinations,
    array_sort(array_agg(DISTINCT source_address) FILTER (WHERE source_address IS NOT NULL)) AS source_addresses
  FROM each_reached GROUP BY day, source)
SELECT t.day, t.source, t.probes, t.earliest_probe, t.latest_probe, t.min_signal_dbm, t.max_signal_dbm,
  t.signal_dbm_sum, t.signal_dbm_count, r.probed_ssids, r.destinations, r.source_addresses
FROM totals AS t JOIN reached AS r ON r.day = t.day AND r.source = t.source
