-- Spark's names and NULL order for DuckDB, so that the tables' texts keep to what both engines know. The memory limit
-- and the spill folder are set where the engine is made.
SET GLOBAL TimeZone = 'UTC';
SET default_null_order = 'nulls_first_on_asc_last_on_desc';
CREATE MACRO unix_micros(t) AS epoch_us(t);
CREATE MACRO size(l) AS CAST(len(l) AS INTEGER);
CREATE MACRO explode(l) AS unnest(l);
CREATE MACRO array_join(l, separator) AS array_to_string(l, separator);
