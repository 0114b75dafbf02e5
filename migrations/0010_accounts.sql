-- What became of the offsets of `app-logs`, so that the rows of `logs` can be held against it at any
-- time (docs/adr/010). A line with rows is of one day and lies in one stretch of 65,536 offsets. Of two
-- lines that begin at the same offset, that which goes further is the later one.
CREATE TABLE IF NOT EXISTS row_accounts
(
    incarnation     LowCardinality(String),
    kafka_partition Int32,
    first_offset    Int64,
    end_offset      Int64,
    block_day       Date,
    rows            UInt64,
    dead_letters    UInt64,
    -- Offsets of which nothing came: the broker gives nothing there; what it gives cannot be decoded; it
    -- was deleted before it was read.
    absent          UInt64,
    unreadable      UInt64,
    deleted         UInt64,
    -- The last record, and the leader of the partition that wrote it; -1: not known.
    last_offset     Int64,
    leader_epoch    Int32
)
ENGINE = ReplacingMergeTree(end_offset)
ORDER BY (incarnation, kafka_partition, first_offset)
TTL block_day + INTERVAL 400 DAY;

-- How often a partition's log was lost while its topic kept its id, and began anew. `incarnation` is
-- that of the first life.
CREATE TABLE IF NOT EXISTS partition_lives
(
    incarnation     LowCardinality(String),
    kafka_partition Int32,
    life            UInt32,
    -- The first offset of this life's records.
    begins_at       Int64,
    -- Up to where records had been stored before.
    stored_to       Int64,
    found_at        DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(found_at)
ORDER BY (incarnation, kafka_partition, life);

-- Rows of `[first_offset, end_offset)` that may be missing: they are deleted on purpose, or somebody has
-- looked at what was missing and accepts it. A range lies in one stretch of 65,536 offsets.
CREATE TABLE IF NOT EXISTS erased_rows
(
    incarnation     LowCardinality(String),
    kafka_partition Int32,
    first_offset    Int64,
    end_offset      Int64,
    block_day       Date,
    rows            UInt64,
    why             LowCardinality(String),
    declared_at     DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(declared_at)
ORDER BY (incarnation, kafka_partition, first_offset, end_offset, block_day)
TTL block_day + INTERVAL 400 DAY;
