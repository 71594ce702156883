-- What the statistics API asks, beside what is there already (src/tally).

-- What else is known of where a visit came from and with what, so that no row of `events` has to be looked at for it.
ALTER TABLE consentry.visits_settled
    ADD COLUMN IF NOT EXISTS referrer_host LowCardinality(String),
    ADD COLUMN IF NOT EXISTS content LowCardinality(String),
    ADD COLUMN IF NOT EXISTS term LowCardinality(String),
    ADD COLUMN IF NOT EXISTS browser_major UInt16 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS os_major UInt16 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS screen LowCardinality(String),
    ADD COLUMN IF NOT EXISTS events_of UInt64 COMMENT 'by which its events are found: their visit, or their visitor where that is 0' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS lone UInt8 COMMENT '1: the visitor has no other visit' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS day_rows UInt64 COMMENT 'rows of site and day in events when the visit was made' CODEC(T64, ZSTD(1));

-- Made anew from the rows by the new view, the settled ones by the collector's next round.
DROP TABLE IF EXISTS consentry.visits_now_mv;
DROP TABLE IF EXISTS consentry.visits_late_mv;
DROP TABLE IF EXISTS consentry.visits_now;
DROP TABLE IF EXISTS consentry.visits_late;
TRUNCATE TABLE IF EXISTS consentry.visits_settled;
CREATE TABLE IF NOT EXISTS consentry.visits_late AS consentry.visits_settled;
CREATE TABLE IF NOT EXISTS consentry.visits_now AS consentry.visits_settled;

-- As in 0009_visits.sql, with more columns.
CREATE OR REPLACE VIEW consentry.visits_between
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS WITH
    shared AS
    (
        -- The same event twice, should it ever be there, counts once; an event without an id is nobody's duplicate.
        SELECT site, visit, visitor, ts, event_id, type, host, path, channel, source, medium, campaign, content, term, entry_source,
            referrer_host, device, os, os_major, browser, browser_major, screen, country, language, engaged_ms, retention_days
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
            argMin((visitor, host, path, channel, source, medium, campaign, entry_source, device, os, browser, country, language,
                referrer_host, content, term, browser_major, os_major, screen), (type != 'pageview', ts, event_id, path)) AS first,
            argMax((host, path), (type = 'pageview', ts, event_id, path)) AS last,
            max(retention_days) AS retention_days
        FROM keyed
        GROUP BY site, visit, stitched, number
    ),
    counted AS
    (
        SELECT site, day, count() AS day_rows FROM consentry.events
        WHERE day >= {first_day:Date} AND day <= {last_day:Date} GROUP BY site, day
    )
SELECT
    m.site AS site, toDate(m.start, 'UTC') AS day, m.first.1 AS visitor,
    if(m.visit = 0, cityHash64(m.stitched, toUnixTimestamp64Milli(m.start)), m.visit) AS visit,
    m.start AS start, m.end AS end, m.length_ms AS length_ms, toUInt32(m.pages) AS pages, toUInt32(m.events) AS events,
    toUInt8(m.pages <= 1 AND m.events = 0 AND m.length_ms < 10000) AS bounce,
    m.first.2 AS entry_host, m.first.3 AS entry_path, m.last.1 AS exit_host, m.last.2 AS exit_path,
    m.first.4 AS channel, m.first.5 AS source, m.first.6 AS medium, m.first.7 AS campaign, m.first.8 AS entry_source,
    m.first.9 AS device, m.first.10 AS os, m.first.11 AS browser, m.first.12 AS country, m.first.13 AS language,
    m.retention_days AS retention_days, m.first.14 AS referrer_host, m.first.15 AS content, m.first.16 AS term,
    m.first.17 AS browser_major, m.first.18 AS os_major, m.first.19 AS screen, if(m.visit = 0, m.stitched, m.visit) AS events_of,
    toUInt8(count() OVER (PARTITION BY m.site, m.first.1) = 1) AS lone, c.day_rows AS day_rows
FROM made AS m
LEFT JOIN counted AS c ON c.site = m.site AND c.day = toDate(m.start, 'UTC')
WHERE toDate(m.start, 'UTC') >= {first_day:Date} AND toDate(m.start, 'UTC') <= {last_day:Date};

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

-- Who viewed which page when: page views and engaged time of each visitor, page and quarter of an hour (every time zone's
-- offset is made of quarters). A fraction of the rows of `events`, in the order of the question, and kept no longer than they.
CREATE TABLE IF NOT EXISTS consentry.page_visitors
(
    site           LowCardinality(String),
    day            Date COMMENT 'UTC' CODEC(Delta, ZSTD(1)),
    host           LowCardinality(String),
    path           LowCardinality(String),
    visitor        UInt64 CODEC(ZSTD(1)),
    visit          UInt64 CODEC(ZSTD(1)),
    slot           DateTime('UTC') COMMENT 'quarter of an hour' CODEC(Delta, ZSTD(1)),
    views          SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    engaged_ms     SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    scroll_pct     SimpleAggregateFunction(max, UInt8) CODEC(ZSTD(1)),
    lone           SimpleAggregateFunction(max, UInt8) DEFAULT 0 COMMENT '1: the visitor has no other row of this path; marked when the day is settled' CODEC(ZSTD(1)),
    retention_days SimpleAggregateFunction(max, UInt16) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (site, day, host, path, visitor, visit, slot)
TTL day + toIntervalDay(retention_days)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS consentry.page_visitors_mv TO consentry.page_visitors
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    toDate(ts, 'UTC') AS day,
    host,
    path,
    visitor,
    visit,
    toStartOfFifteenMinutes(toDateTime(ts, 'UTC')) AS slot,
    countIf(type = 'pageview') AS views,
    sum(engaged_ms) AS engaged_ms,
    max(scroll_pct) AS scroll_pct,
    toUInt8(0) AS lone,
    max(retention_days) AS retention_days
FROM consentry.events
WHERE no_share = 0 AND bot = 0 AND type IN ('pageview', 'engagement') AND path != ''
GROUP BY site, day, host, path, visitor, visit, slot;

-- Rows that came before the view are brought by the collector, day by day (src/store/visits.rs).
