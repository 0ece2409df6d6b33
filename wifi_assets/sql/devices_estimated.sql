-- One phone uses its random addresses one after the other, so addresses in use at the same moment are several
-- phones. What it says of itself stays: its radio (HT capabilities, extended elements or none) nearly always, all
-- elements mostly. An address that says several things counts by the least. Counted are addresses in use at once:
-- devices_low within each radio; devices_estimated within each radio and group of signals, none more than 3 dB from
-- the next; devices_high within each set of elements, session (gaps of at most five minutes) and band of 3 dB.
-- Each cuts finer than the one before, so low <= estimated <= high <= random_addresses.
WITH variants AS (
  SELECT day, date_trunc('hour', event_time) AS hour, source_address,
    fingerprint, tag_number, ext_tag_number, ht_capabilities,
    count(*) AS probes, min(event_time) AS first_probe, max(event_time) AS last_probe,
    CAST(sum(signal_dbm) AS BIGINT) AS signal_sum, count(signal_dbm) AS signal_count
  FROM probes_enriched
  WHERE is_randomised AND source_address IS NOT NULL
  GROUP BY day, date_trunc('hour', event_time), source_address,
    fingerprint, tag_number, ext_tag_number, ht_capabilities),
said AS (
  SELECT day, hour, source_address, probes, first_probe, last_probe, signal_sum, signal_count,
    fingerprint || '|' || coalesce(CAST(tag_number AS STRING), '-') AS tags,
    coalesce(CAST(ext_tag_number AS STRING), '-') AS extended,
    coalesce(CAST(ht_capabilities AS STRING), '-') AS ht
  FROM variants),
-- A request that says nothing of HT shows no radio: then its tags do.
addresses AS (
  SELECT day, hour, source_address,
    min(md5(CASE WHEN ht = '-' THEN tags WHEN extended = '-' THEN ht ELSE ht || ' extended' END)
      || md5(tags || '|' || extended || '|' || ht)) AS elements,
    CAST(sum(probes) AS BIGINT) AS probes, min(first_probe) AS first_probe, max(last_probe) AS last_probe,
    CAST(sum(signal_sum) AS DOUBLE) / nullif(CAST(sum(signal_count) AS BIGINT), 0) AS signal
  FROM said GROUP BY day, hour, source_address),
-- An address without any signal goes with the weakest of its radio.
levels AS (
  SELECT day, hour, source_address, elements, substr(elements, 1, 32) AS radio, first_probe, last_probe,
    coalesce(signal, min(signal) OVER (PARTITION BY day, hour, substr(elements, 1, 32)), 0) AS signal
  FROM addresses),
marked AS (
  SELECT day, hour, source_address, elements, radio, first_probe, last_probe, signal,
    CASE WHEN lag(signal) OVER (PARTITION BY day, hour, radio ORDER BY signal, source_address) >= signal - 3
      THEN 0 ELSE 1 END AS is_other_level,
    CASE WHEN max(last_probe) OVER (PARTITION BY day, hour, elements ORDER BY first_probe, source_address
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) >= first_probe - INTERVAL '5' MINUTE
      THEN 0 ELSE 1 END AS is_start
  FROM levels),
numbered AS (
  SELECT day, hour, source_address, elements, radio, first_probe, last_probe,
    CAST(sum(is_other_level) OVER (PARTITION BY day, hour, radio ORDER BY signal, source_address
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS level,
    CAST(sum(is_start) OVER (PARTITION BY day, hour, elements ORDER BY first_probe, source_address
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS session,
    CAST(floor(signal / 3) AS BIGINT) AS band
  FROM marked),
steps AS (
  SELECT day, hour, source_address, elements, radio, level, session, band, first_probe AS moment, 1 AS step
  FROM numbered
  UNION ALL
  SELECT day, hour, source_address, elements, radio, level, session, band, last_probe AS moment, -1 AS step
  FROM numbered),
in_use AS (
  SELECT day, hour, elements, radio, level, session, band,
    CAST(sum(step) OVER (PARTITION BY day, hour, radio ORDER BY moment, step DESC, source_address
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS of_radio,
    CAST(sum(step) OVER (PARTITION BY day, hour, radio, level ORDER BY moment, step DESC, source_address
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS of_level,
    CAST(sum(step) OVER (PARTITION BY day, hour, elements, session, band ORDER BY moment, step DESC, source_address
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS of_band
  FROM steps),
low AS (
  SELECT day, hour, radio, max(of_radio) AS devices FROM in_use GROUP BY day, hour, radio),
estimated AS (
  SELECT day, hour, radio, level, max(of_level) AS devices FROM in_use GROUP BY day, hour, radio, level),
high AS (
  SELECT day, hour, elements, session, band, max(of_band) AS devices
  FROM in_use GROUP BY day, hour, elements, session, band),
counted AS (
  SELECT day, hour, CAST(sum(probes) AS BIGINT) AS probe_count, count(*) AS random_addresses,
    count(DISTINCT elements) AS fingerprints
  FROM addresses GROUP BY day, hour),
lows AS (
  SELECT day, hour, CAST(sum(devices) AS BIGINT) AS devices FROM low GROUP BY day, hour),
estimates AS (
  SELECT day, hour, CAST(sum(devices) AS BIGINT) AS devices FROM estimated GROUP BY day, hour),
highs AS (
  SELECT day, hour, CAST(sum(devices) AS BIGINT) AS devices FROM high GROUP BY day, hour)
SELECT c.day, c.hour, c.probe_count, c.random_addresses, c.fingerprints,
  e.devices AS devices_estimated, l.devices AS devices_low, h.devices AS devices_high
FROM counted AS c
JOIN lows AS l ON l.day = c.day AND l.hour = c.hour
JOIN estimates AS e ON e.day = c.day AND e.hour = c.hour
JOIN highs AS h ON h.day = c.day AND h.hour = c.hour
