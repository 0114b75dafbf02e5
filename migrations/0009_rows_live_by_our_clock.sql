-- How long a row lives is decided by when it was stored, and by no time that a producer wrote: a
-- record whose Kafka timestamp was 40 days old, or in seconds, took its whole block with it. The
-- block's day stays what the table is partitioned by: a block that is made again has the same day
-- and the same token. Rows of before live on from their next merge, 30 days at the most.
ALTER TABLE logs ADD COLUMN stored_at DateTime('UTC') MATERIALIZED now() CODEC(DoubleDelta, ZSTD(1));
ALTER TABLE logs MODIFY TTL stored_at + INTERVAL 30 DAY SETTINGS materialize_ttl_after_modify = 0;
ALTER TABLE anomalies MODIFY TTL toDateTime(published_at) + INTERVAL 365 DAY SETTINGS materialize_ttl_after_modify = 0;
