-- New frames, and what is counted of their day and subtype already.
WITH counted AS (
  SELECT day, frame_subtype, count(*) AS packet_count,
    min(event_time) AS earliest_time, max(event_time) AS latest_time
  FROM frames GROUP BY day, frame_subtype
  UNION ALL
  SELECT day, frame_subtype, packet_count, earliest_time, latest_time FROM packet_stats)
SELECT day, frame_subtype,
  CAST(sum(packet_count) AS BIGINT) AS packet_count,
  min(earliest_time) AS earliest_time,
  max(latest_time) AS latest_time
FROM counted
GROUP BY day, frame_subtype
