SELECT day, frame_subtype,
  count(*) AS packet_count,
  min(event_time) AS earliest_time,
  max(event_time) AS latest_time
FROM frames
GROUP BY day, frame_subtype
