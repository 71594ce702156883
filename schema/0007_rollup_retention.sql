-- Roll-ups outlive the rows they were made from, so they must not go on holding hashes of visitors: the state of a count
-- of few visitors is a list of them. Each day's numbers of visitors are written here while the states still say them,
-- and then the states are emptied (the collector does both, see src/store/retention.rs).
CREATE TABLE IF NOT EXISTS consentry.pages_visitors
(
    site     LowCardinality(String),
    day      Date COMMENT 'UTC' CODEC(Delta, ZSTD(1)),
    host     LowCardinality(String),
    path     String CODEC(ZSTD(1)),
    visitors SimpleAggregateFunction(max, UInt64) COMMENT 'a plain number'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (site, day, host, path)
-- The most that can be configured; the collector deletes what a site wants gone earlier.
TTL day + toIntervalDay(3650);

ALTER TABLE consentry.pages MODIFY TTL hour + toIntervalDay(3650);

ALTER TABLE consentry.pages COMMENT COLUMN visitors 'state of a count, emptied five days after its day began';

ALTER TABLE consentry.sites ADD COLUMN IF NOT EXISTS rollup_retention_days UInt16 DEFAULT 1825 AFTER retention_days;

CREATE OR REPLACE VIEW report.pages
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    p.site AS site,
    p.day AS day,
    p.host AS host,
    p.path AS path,
    sum(p.views) AS views,
    -- The same number either way: from the states, or as it was written down before they were emptied.
    greatest(uniqMerge(p.state), max(p.known)) AS visitors,
    sum(p.engaged_ms) AS engaged_ms
FROM
(
    SELECT site, toDate(hour, 'UTC') AS day, host, path, views, engaged_ms, visitors AS state, toUInt64(0) AS known
    FROM consentry.pages
    UNION ALL
    SELECT site, day, host, path, toUInt64(0) AS views, toUInt64(0) AS engaged_ms,
        initializeAggregation('uniqStateIf', toUInt64(0), 0) AS state, visitors AS known
    FROM consentry.pages_visitors
) AS p
LEFT JOIN (SELECT site, k_anonymity FROM consentry.sites FINAL) AS s ON s.site = p.site
GROUP BY site, day, host, path
-- A site that no collector has written down has no k: nothing of it is shown.
HAVING any(s.k_anonymity) > 0 AND visitors >= any(s.k_anonymity);
