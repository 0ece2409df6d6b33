-- New probe requests, and what is known of their sources' day and SSIDs already. Who the source is, is said by
-- the latest; of two at the same moment by the one whose words are greater, in whatever order they came.
WITH each_part AS (
  SELECT day, source_address, ssid, 1 AS probes, event_time AS first_seen, event_time AS last_seen,
    coalesce(source_address_resolved, source_address) AS source_address_resolved,
    coalesce(source_device_name, '') AS source_device_name, is_known_device
  FROM probes_enriched
  WHERE ssid <> '' AND source_address IS NOT NULL
  UNION ALL
  SELECT day, source_address, ssid, probes, first_seen, last_seen,
    source_address_resolved, coalesce(source_device_name, '') AS source_device_name, is_known_device
  FROM networks_looked_for_day
  WHERE (day, source_address, ssid) IN (SELECT day, source_address, ssid FROM probes_enriched))
SELECT day, source_address, ssid,
  CAST(sum(probes) AS BIGINT) AS probes,
  min(first_seen) AS first_seen, max(last_seen) AS last_seen,
  max_by(source_address_resolved,
    (last_seen, source_address_resolved, source_device_name, is_known_device)) AS source_address_resolved,
  nullif(max_by(source_device_name,
    (last_seen, source_address_resolved, source_device_name, is_known_device)), '') AS source_device_name,
  max_by(is_known_device,
    (last_seen, source_address_resolved, source_device_name, is_known_device)) AS is_known_device
FROM each_part
GROUP BY day, source_address, ssid
