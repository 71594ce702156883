-- Visits: what one person did on a site without a break of more than 30 minutes. The tracker gives each visit an id; where
-- there is none, events of one visitor are stitched together. Rows that may not be shared and rows of bots make no visit.

-- The visits that began on the days from first_day to last_day, made from the rows of `events`. A visit that goes on over
-- midnight is one: rows of a day before and two days behind are read too (a visit's id lives for 24 hours).
CREATE OR REPLACE VIEW consentry.visits_between
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS WITH
    shared AS
    (
        -- The same event twice, should it ever be there, counts once; an event without an id is nobody's duplicate.
        SELECT site, visit, visitor, ts, event_id, type, host, path, channel, source, medium, campaign, entry_source, device, os,
            browser, country, language, engaged_ms, retention_days
        FROM consentry.events
        WHERE no_share = 0 AND bot = 0 AND day >= {first_day:Date} - 1 AND day <= {last_day:Date} + 2
        LIMIT 1 BY site, event_id, if(event_id = 0, generateUUIDv4(), toUUID('00000000-0000-0000-0000-000000000000'))
    ),
    begun AS
    (
        SELECT *, ts > lagInFrame(ts, 1, ts - toIntervalDay(1)) OVER earlier + toIntervalMinute(30) AS begins
        FROM shared WHERE visit = 0
        WINDOW earlier AS (PARTITION BY site, visitor ORDER BY ts, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    ),
    keyed AS
    (
        SELECT *, 0 AS number FROM shared WHERE visit != 0
        UNION ALL
        SELECT * EXCEPT begins, sum(begins) OVER (PARTITION BY site, visitor ORDER BY ts, event_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS number
        FROM begun
    ),
    made AS
    (
        SELECT
            site, visit, if(visit = 0, visitor, 0) AS stitched, number,
            min(ts) AS start, max(ts) AS end, sum(engaged_ms) AS length_ms, countIf(type = 'pageview') AS pages,
            countIf(type IN ('custom', 'click')) AS events,
            -- A visit begins and ends with a page, where one was viewed.
            argMin((visitor, host, path, channel, source, medium, campaign, entry_source, device, os, browser, country, language),
                (type != 'pageview', ts, event_id, path)) AS first,
            argMax((host, path), (type = 'pageview', ts, event_id, path)) AS last,
            max(retention_days) AS retention_days
        FROM keyed
        GROUP BY site, visit, stitched, number
    )
SELECT
    site, toDate(start, 'UTC') AS day, first.1 AS visitor,
    if(visit = 0, cityHash64(stitched, toUnixTimestamp64Milli(start)), visit) AS visit,
    start, end, length_ms, toUInt32(pages) AS pages, toUInt32(events) AS events,
    toUInt8(pages <= 1 AND events = 0 AND length_ms < 10000) AS bounce,
    first.2 AS entry_host, first.3 AS entry_path, last.1 AS exit_host, last.2 AS exit_path,
    first.4 AS channel, first.5 AS source, first.6 AS medium, first.7 AS campaign, first.8 AS entry_source,
    first.9 AS device, first.10 AS os, first.11 AS browser, first.12 AS country, first.13 AS language, retention_days
FROM made
WHERE day >= {first_day:Date} AND day <= {last_day:Date};

-- Visits of days to which no event comes any more. An event may be 72 hours old, and its visit may have begun a day before.
CREATE TABLE IF NOT EXISTS consentry.visits_settled
(
    site           LowCardinality(String),
    day            Date COMMENT 'UTC day on which the visit began' CODEC(Delta, ZSTD(1)),
    visitor        UInt64 CODEC(ZSTD(1)),
    visit          UInt64 COMMENT 'the browser''s id as in events, else made from visitor and start' CODEC(ZSTD(1)),
    start          DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    end            DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    length_ms      UInt64 COMMENT 'time for which a page was visible' CODEC(T64, ZSTD(1)),
    pages          UInt32 COMMENT 'page views' CODEC(T64, ZSTD(1)),
    events         UInt32 COMMENT 'custom events and clicks' CODEC(T64, ZSTD(1)),
    bounce         UInt8 COMMENT '1: one page, nothing done, visible for less than 10 seconds' CODEC(ZSTD(1)),
    entry_host     LowCardinality(String),
    entry_path     String CODEC(ZSTD(1)),
    exit_host      LowCardinality(String),
    exit_path      String CODEC(ZSTD(1)),
    channel        LowCardinality(String),
    source         LowCardinality(String),
    medium         LowCardinality(String),
    campaign       LowCardinality(String),
    entry_source   LowCardinality(String),
    device         LowCardinality(String),
    os             LowCardinality(String),
    browser        LowCardinality(String),
    country        LowCardinality(String),
    language       LowCardinality(String),
    retention_days UInt16 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (site, day, start)
TTL day + toIntervalDay(retention_days)
SETTINGS non_replicated_deduplication_window = 1000;

-- The days before, made anew each hour, so that what comes late finds its visit.
CREATE TABLE IF NOT EXISTS consentry.visits_late AS consentry.visits_settled;

-- Today and the two days before, made anew each minute. The tables overlap, so that no day is missing while one of them waits.
CREATE TABLE IF NOT EXISTS consentry.visits_now AS consentry.visits_settled;

CREATE MATERIALIZED VIEW IF NOT EXISTS consentry.visits_now_mv REFRESH EVERY 1 MINUTE TO consentry.visits_now
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT * FROM consentry.visits_between(first_day = toDate(now('UTC')) - 2, last_day = toDate(now('UTC')) + 1);

CREATE MATERIALIZED VIEW IF NOT EXISTS consentry.visits_late_mv REFRESH EVERY 1 HOUR TO consentry.visits_late
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT * FROM consentry.visits_between(first_day = toDate(now('UTC')) - 6, last_day = toDate(now('UTC')) - 2);

CREATE OR REPLACE VIEW consentry.visits
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT * FROM consentry.visits_settled
UNION ALL
SELECT * FROM consentry.visits_late
WHERE day < (SELECT if(count() = 0, toDate('2149-06-06'), min(day)) FROM consentry.visits_now)
    AND day > (SELECT max(day) FROM consentry.visits_settled)
UNION ALL
SELECT * FROM consentry.visits_now WHERE day > (SELECT max(day) FROM consentry.visits_settled);
