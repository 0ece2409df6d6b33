-- vendors(prefix, oui, vendor) holds the registry's entries for the addresses at hand. The second hex digit
-- of an address shows the locally administered bit (IEEE 802-2014, 8.4).
WITH marked AS (
  SELECT *,
    substr(source_address, 2, 1) IN ('2', '3', '6', '7', 'a', 'b', 'e', 'f') AS is_randomised
  FROM probes)
SELECT m.day, m.topic_generation, m.kafka_partition, m.kafka_offset, m.event_time,
  m.source_address, m.source_address_resolved,
  d.name AS source_device_name,
  d.mac IS NOT NULL AND d.is_guest IS NOT DISTINCT FROM FALSE AS is_known_device,
  m.destination_address, m.destination_address_resolved, m.signal_dbm, m.ssid, m.ssid_bytes,
  m.tag_number, m.ext_tag_number, m.ht_capabilities, m.tag_vendor_data, m.tag_vendor_oui_type, m.tag_oui,
  CASE WHEN NOT m.is_randomised THEN v.vendor END AS source_vendor,
  m.is_randomised,
  md5(coalesce(array_join(m.tag_vendor_data, ','), '-')
    || '|' || coalesce(CAST(m.tag_vendor_oui_type AS STRING), '-')
    || '|' || coalesce(CAST(m.tag_oui AS STRING), '-')) AS fingerprint
FROM marked AS m
LEFT JOIN devices AS d ON d.mac = m.source_address
LEFT JOIN vendors AS v ON v.prefix = substr(m.source_address, 1, 8)
