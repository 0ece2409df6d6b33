SELECT day, topic_generation, kafka_partition, kafka_offset, event_time,
  radio_channel, signal_percentage, signal_dbm, duration_us,
  receiver_address, receiver_address_resolved, destination_address, destination_address_resolved,
  transmitter_address, transmitter_address_resolved, source_address, source_address_resolved,
  tagged_all, tag_number, ext_tag_number, ht_capabilities,
  tag_vendor_data, tag_vendor_oui_type, tag_oui, wps_device_name, ssid, ssid_bytes
FROM frames
WHERE frame_subtype = 4
