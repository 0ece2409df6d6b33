SELECT day, source_address, ssid,
  count(*) AS probes,
  min(event_time) AS first_seen, max(event_time) AS last_seen,
  max_by(coalesce(source_address_resolved, source_address),
    (event_time, topic_generation, kafka_partition, kafka_offset)) AS source_address_resolved,
  nullif(max_by(coalesce(source_device_name, ''),
    (event_time, topic_generation, kafka_partition, kafka_offset)), '') AS source_device_name,
  max_by(is_known_device, (event_time, topic_generation, kafka_partition, kafka_offset)) AS is_known_device
FROM probes_enriched
WHERE ssid <> '' AND source_address IS NOT NULL
GROUP BY day, source_address, ssid
