-- What the messages of lines have in common (docs/adr/009). A line carries the id of its template as
-- it was known when the line was stored; 0: it was stored before templates were mined. How often a
-- template occurs is a projection of the lines, like `log_windows` (docs/adr/006): Σ records =
-- lines, always.
ALTER TABLE logs ADD COLUMN template_id UInt64 CODEC(ZSTD(1));

ALTER TABLE logs ADD PROJECTION templates
(
    SELECT
        template_id,
        service,
        toStartOfHour(timestamp, 'UTC'),
        count(),
        countIf(is_error),
        min(timestamp),
        max(timestamp)
    GROUP BY template_id, service, toStartOfHour(timestamp, 'UTC')
);

ALTER TABLE logs MATERIALIZE PROJECTION templates;

-- A text has `<*>` for each parameter. Of two texts for one id, that with more places open is of
-- more lines. Written before the lines that refer to it.
CREATE TABLE template_texts
(
    template_id UInt64,
    text        String CODEC(ZSTD(3)),
    open_places UInt32,
    -- One line of it, at most 1 KiB, and who wrote that.
    sample      String CODEC(ZSTD(3)),
    service     LowCardinality(String),
    -- Templates that it is part of, should any partition have found them.
    joins       Array(UInt64) CODEC(ZSTD(3)),
    recorded_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(open_places)
ORDER BY template_id;

-- Lines that were given `from_id` belong to `into_id`. The same again changes nothing.
CREATE TABLE template_merges
(
    from_id     UInt64,
    into_id     UInt64,
    recorded_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (from_id, into_id);

-- Where an id that was merged leads to. Partitions are mined apart from each other, so that one id
-- can have been merged into several, and these into others, and that one partition knows a pattern
-- which others have seen too little of: what any merge or known pattern joins is one template, and
-- goes by the least id that anything of it was merged into. The least is handed from ids to what
-- they lead to and back, often enough for chains of four merges.
CREATE VIEW template_ids AS
WITH
    joined AS
    (
        SELECT from_id, into_id FROM template_merges
        UNION DISTINCT
        SELECT would.from_id AS from_id, would.into_id AS into_id
        FROM (SELECT template_id AS from_id, arrayJoin(joins) AS into_id FROM template_texts) AS would
        INNER JOIN (SELECT DISTINCT template_id AS into_id FROM template_texts) AS known
            ON known.into_id = would.into_id
    ),
    edges AS
    (
        SELECT from_id, into_id FROM joined
        UNION DISTINCT
        SELECT into_id AS from_id, into_id FROM joined
    ),
    out_1 AS (SELECT from_id, min(into_id) AS least FROM edges GROUP BY from_id),
    in_1 AS (SELECT into_id, min(least) AS least FROM edges INNER JOIN out_1 USING (from_id) GROUP BY into_id),
    out_2 AS (SELECT from_id, min(least) AS least FROM edges INNER JOIN in_1 USING (into_id) GROUP BY from_id),
    in_2 AS (SELECT into_id, min(least) AS least FROM edges INNER JOIN out_2 USING (from_id) GROUP BY into_id),
    out_3 AS (SELECT from_id, min(least) AS least FROM edges INNER JOIN in_2 USING (into_id) GROUP BY from_id),
    in_3 AS (SELECT into_id, min(least) AS least FROM edges INNER JOIN out_3 USING (from_id) GROUP BY into_id),
    out_4 AS (SELECT from_id, min(least) AS least FROM edges INNER JOIN in_3 USING (into_id) GROUP BY from_id)
SELECT from_id AS template_id, least AS current_id
FROM out_4
WHERE from_id != least;

-- By id as stored, service and hour. The expressions are those of the projection, word for word:
-- that is what it is found by.
CREATE VIEW template_hours AS
SELECT
    template_id,
    service,
    toStartOfHour(timestamp, 'UTC') AS hour,
    count() AS records,
    countIf(is_error) AS errors,
    min(timestamp) AS first_seen,
    max(timestamp) AS last_seen
FROM logs
GROUP BY template_id, service, hour;

-- One row per template; Σ count = lines. What was stored before templates were mined has id 0.
CREATE VIEW templates AS
WITH
    seen AS
    (
        SELECT
            template_id,
            service,
            count() AS records,
            countIf(is_error) AS failed,
            min(timestamp) AS first,
            max(timestamp) AS last
        FROM logs
        GROUP BY template_id, service
    ),
    counted AS
    (
        SELECT
            if(led.current_id = 0, seen.template_id, led.current_id) AS id,
            min(first) AS first_seen,
            max(last) AS last_seen,
            sum(records) AS count,
            sum(failed) AS errors,
            arraySort(groupUniqArray(toString(service))) AS services
        FROM seen
        LEFT JOIN template_ids AS led ON led.template_id = seen.template_id
        GROUP BY id
    ),
    described AS
    (
        SELECT
            template_id AS id,
            argMax(text, (open_places, recorded_at)) AS text,
            argMax(sample, (open_places, recorded_at)) AS sample
        FROM template_texts
        GROUP BY id
    ),
    merged AS
    (
        SELECT current_id AS id, arraySort(groupArray(template_id)) AS merged_ids
        FROM template_ids
        GROUP BY id
    )
SELECT
    counted.id AS id,
    if(counted.id = 0, '(stored before templates were mined)', described.text) AS text,
    counted.first_seen AS first_seen,
    counted.last_seen AS last_seen,
    counted.count AS count,
    counted.errors AS errors,
    counted.services AS services,
    described.sample AS sample,
    merged.merged_ids AS merged_ids
FROM counted
LEFT JOIN described ON described.id = counted.id
LEFT JOIN merged ON merged.id = counted.id;
