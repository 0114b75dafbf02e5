-- Counts per service and ten seconds of event time, kept by a view over what is inserted into
-- `logs`: exact by construction, late lines included. Read with sum() and quantilesTDigestMerge().
CREATE TABLE log_windows
(
    service      LowCardinality(String),
    window_start DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    records      SimpleAggregateFunction(sum, UInt64),
    errors       SimpleAggregateFunction(sum, UInt64),
    levels       SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)),
    late         SimpleAggregateFunction(sum, UInt64),
    latency      AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), Float32),
    -- When its lines came, not when they say they happened: what is stored today stays, however old.
    stored_day   SimpleAggregateFunction(max, Date)
)
ENGINE = AggregatingMergeTree
ORDER BY (service, window_start)
TTL stored_day + INTERVAL 180 DAY
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW log_windows_from_logs TO log_windows AS
SELECT
    service,
    toStartOfInterval(toDateTime(timestamp, 'UTC'), INTERVAL 10 SECOND, 'UTC') AS window_start,
    count() AS records,
    countIf(is_error) AS errors,
    sumMap(map(toUInt8(level), toUInt64(1))) AS levels,
    countIf(late) AS late,
    quantilesTDigestStateIf(0.5, 0.9, 0.99)(toFloat32(assumeNotNull(latency_ms)), isNotNull(latency_ms)) AS latency,
    max(block_day) AS stored_day
FROM logs
GROUP BY service, window_start;
