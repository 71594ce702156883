-- Page views by hour. Holds no visitor, only the state of a count of them; outlives the rows it was made from.
CREATE TABLE IF NOT EXISTS consentry.pages
(
    site     LowCardinality(String),
    hour     DateTime('UTC') CODEC(Delta, ZSTD(1)),
    host     LowCardinality(String),
    path     String CODEC(ZSTD(1)),
    views    SimpleAggregateFunction(sum, UInt64),
    engaged_ms SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniq, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (site, hour, host, path)
SETTINGS non_replicated_deduplication_window = 10000;

-- Rows that may not be shared and rows of bots are not counted in what analysts read.
CREATE MATERIALIZED VIEW IF NOT EXISTS consentry.pages_mv TO consentry.pages
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    toStartOfHour(toDateTime(ts, 'UTC')) AS hour,
    host,
    path,
    countIf(type = 'pageview') AS views,
    sum(engaged_ms) AS engaged_ms,
    uniqState(visitor) AS visitors
FROM consentry.events
WHERE no_share = 0 AND bot = 0 AND type IN ('pageview', 'engagement') AND path != ''
GROUP BY site, hour, host, path;
