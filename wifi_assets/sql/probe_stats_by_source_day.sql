SELECT day, coalesce(source_device_name, source_address_resolved, source_address) AS source,
  count(*) AS probes,
  min(event_time) AS earliest_probe, max(event_time) AS latest_probe,
  min(signal_dbm) AS min_signal_dbm, max(signal_dbm) AS max_signal_dbm,
  CAST(sum(signal_dbm) AS BIGINT) AS signal_dbm_sum, count(signal_dbm) AS signal_dbm_count,
  CASE WHEN count(nullif(ssid, '')) > 0 THEN array_sort(
    array_agg(DISTINCT ssid) FILTER (WHERE nullif(ssid, '') IS NOT NULL)) END AS probed_ssids,
  CASE WHEN count(destination_address) > 0 THEN array_sort(
    array_agg(DISTINCT destination_address) FILTER (WHERE destination_address IS NOT NULL)) END AS destinations
FROM probes_enriched
WHERE source_address IS NOT NULL
GROUP BY day, coalesce(source_device_name, source_address_resolved, source_address)
