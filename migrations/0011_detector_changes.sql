-- Which state it is, by what it was made of; 0: nobody has said.
ALTER TABLE detector_snapshots ADD COLUMN IF NOT EXISTS id UInt64 DEFAULT 0;

-- What has changed since a snapshot, or since other changes: much less than the whole, where little has.
-- The last few of each partition are kept; somebody makes a whole of them long before that.
CREATE TABLE IF NOT EXISTS detector_changes
(
    incarnation     LowCardinality(String),
    kafka_partition Int32,
    slot            UInt8,
    -- The state after all records below it.
    next_offset     Int64,
    id              UInt64,
    -- The state that is changed.
    since           UInt64,
    compatibility   UInt64,
    format          UInt16,
    taken_at        DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'),
    size            UInt64 DEFAULT length(state),
    state           String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(taken_at)
ORDER BY (incarnation, kafka_partition, slot)
TTL toDateTime(taken_at) + INTERVAL 180 DAY;
