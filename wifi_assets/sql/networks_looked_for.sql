-- The sources' days, and what is known of these sources already. Who a source is, is said by its latest probe
-- of all, so that all its rows agree.
WITH parts AS (
  SELECT source_address, ssid, probes, first_seen, last_seen,
    source_address_resolved, coalesce(source_device_name, '') AS source_device_name, is_known_device
  FROM networks_looked_for_day
  UNION ALL
  SELECT source_address, ssid, probes, first_seen, last_seen,
    source_address_resolved, coalesce(source_device_name, '') AS source_device_name, is_known_device
  FROM networks_looked_for
  WHERE source_address IN (SELECT source_address FROM networks_looked_for_day)),
latest AS (
  SELECT source_address,
    max_by(source_address_resolved,
      (last_seen, source_address_resolved, source_device_name, is_known_device)) AS source_address_resolved,
    nullif(max_by(source_device_name,
      (last_seen, source_address_resolved, source_device_name, is_known_device)), '') AS source_device_name,
    max_by(is_known_device,
      (last_seen, source_address_resolved, source_device_name, is_known_device)) AS is_known_device
  FROM parts GROUP BY source_address),
pairs AS (
  SELECT source_address, ssid, CAST(sum(probes) AS BIGINT) AS probes,
    min(first_seen) AS first_seen, max(last_seen) AS last_seen
  FROM parts GROUP BY source_address, ssid)
SELECT p.source_address, p.ssid, p.probes, p.first_seen, p.last_seen,
  l.source_address_resolved, l.source_device_name, l.is_known_device, CAST(p.last_seen AS DATE) AS latest_day
FROM pairs AS p JOIN latest AS l ON l.source_address = p.source_address
