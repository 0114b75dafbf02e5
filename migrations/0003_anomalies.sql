-- One row per version of an episode; the highest version of an id wins (FINAL, or argMax).
CREATE TABLE anomalies
(
    id           UUID,
    version      UInt32,
    state        Enum8('opened' = 0, 'updated' = 1, 'closed' = 2),
    detector     LowCardinality(String),
    kind         LowCardinality(String),
    service      LowCardinality(String),
    series       LowCardinality(String),
    window_start DateTime64(3, 'UTC'),
    window_end   DateTime64(3, 'UTC'),
    detected_at  DateTime64(3, 'UTC'),
    published_at DateTime64(3, 'UTC'),
    severity     Enum8('low' = 0, 'medium' = 1, 'high' = 2, 'critical' = 3),
    score        Float64,
    direction    Enum8('up' = 0, 'down' = 1),
    unit         LowCardinality(String),
    observed     Float64,
    expected     Float64,
    lower        Float64,
    upper        Float64,
    title        String,
    -- The whole anomaly as it was published.
    document     String CODEC(ZSTD(3)),
    incarnation  LowCardinality(String),
    kafka_partition Int32,
    first_offset Int64,
    last_offset  Int64,
    traceparent  String
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (service, id)
TTL toDateTime(window_start) + INTERVAL 365 DAY
SETTINGS non_replicated_deduplication_window = 10000;
