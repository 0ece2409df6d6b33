SELECT day, topic_generation, kafka_partition, kafka_offset, event_time,
  radio_channel, signal_percentage, signal_dbm, duration_us,
  receiver_address, receiver_address_resolved
FROM frames
WHERE frame_subtype = 28
