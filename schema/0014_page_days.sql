-- Pages and hosts by UTC day: what a list of pages over weeks is added up from (src/tally/rolled.rs), so that the rows of
-- `page_visitors` are read of its last days alone. Filled by the collector when a day is settled (src/store/page_days.rs).

-- A visitor is one for a day and the days beside it (a visit may go on over midnight). So visitors of several days are the sum of
-- each day's, less those who were there the day before already.
CREATE TABLE IF NOT EXISTS consentry.page_days
(
    site           LowCardinality(String),
    kind           LowCardinality(String) COMMENT 'path, host, or done: the day is here as a whole',
    day            Date COMMENT 'UTC' CODEC(Delta, ZSTD(1)),
    name           String COMMENT 'the path or the host' CODEC(ZSTD(1)),
    rows           UInt64 COMMENT 'rows of page_visitors' CODEC(T64, ZSTD(1)),
    views          UInt64 CODEC(T64, ZSTD(1)),
    engaged_ms     UInt64 CODEC(T64, ZSTD(1)),
    depth          UInt64 COMMENT 'the sum of how far down, in percent, of rows that tell it' CODEC(T64, ZSTD(1)),
    depth_rows     UInt64 CODEC(T64, ZSTD(1)),
    visitors       UInt64 CODEC(T64, ZSTD(1)),
    visitors_again UInt64 COMMENT 'of them, those who were there the day before' CODEC(T64, ZSTD(1)),
    visits         UInt64 CODEC(T64, ZSTD(1)),
    visits_again   UInt64 COMMENT 'of them, those that were there the day before' CODEC(T64, ZSTD(1)),
    few            Array(UInt64) COMMENT 'up to 64 of the visitors, to know whether several groups have few together' CODEC(NONE),
    retention_days UInt16 CODEC(ZSTD(1)),
    made_at        DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(made_at)
PARTITION BY toYYYYMM(day)
ORDER BY (site, kind, day, name)
TTL day + toIntervalDay(retention_days);
