-- What the detectors of a partition know, as of an offset. The last few of each partition are kept,
-- however old: one takes the slot of the oldest. What expires are partitions that nobody has read
-- for half a year.
CREATE TABLE detector_snapshots
(
    incarnation     LowCardinality(String),
    kafka_partition Int32,
    slot            UInt8,
    -- The state after all records below it.
    next_offset     Int64,
    -- Of the behaviour and the settings that the state was made by.
    compatibility   UInt64,
    format          UInt16,
    taken_at        DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'),
    size            UInt64 DEFAULT length(state),
    state           String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(taken_at)
ORDER BY (incarnation, kafka_partition, slot)
TTL toDateTime(taken_at) + INTERVAL 180 DAY;
