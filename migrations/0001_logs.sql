-- Every line that could be read, once. One day per partition, and that day belongs to the whole
-- block (the Kafka time of its first record), so that no block spans two parts of the table
-- whatever the records' own times are.
CREATE TABLE logs
(
    timestamp        DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    service          LowCardinality(String),
    level            Enum8('UNKNOWN' = 0, 'TRACE' = 1, 'DEBUG' = 2, 'INFO' = 3, 'WARN' = 4, 'ERROR' = 5, 'FATAL' = 6),
    is_error         Bool,
    message          String CODEC(ZSTD(1)),
    host             LowCardinality(String),
    trace_id         String CODEC(ZSTD(1)),
    span_id          String CODEC(ZSTD(1)),
    latency_ms       Nullable(Float64) CODEC(ZSTD(1)),
    status           UInt16,
    client_ip        String CODEC(ZSTD(1)),
    user             String CODEC(ZSTD(1)),
    attributes       Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    -- Where the timestamp comes from: the record, Kafka (the record has none that can be read), or
    -- the record's own, held back because it lay in the future.
    timestamp_source Enum8('record' = 0, 'kafka' = 1, 'clamped' = 2),
    -- Its window was closed already when it came.
    late             Bool,
    kafka_timestamp  DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    incarnation      LowCardinality(String),
    kafka_partition  Int32 CODEC(ZSTD(1)),
    kafka_offset     Int64 CODEC(DoubleDelta, ZSTD(1)),
    block_day        Date,

    INDEX message_words message TYPE tokenbf_v1(16384, 2, 0) GRANULARITY 4,
    INDEX trace trace_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX offsets kafka_offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY block_day
ORDER BY (service, timestamp)
TTL block_day + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;
