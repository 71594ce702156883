-- Roll-ups by hour, as consentry.pages is one. Rows that may not be shared and rows of bots are not counted in what analysts
-- read. None outlives its day with a hash of a visitor in it: see src/store/rollups.rs.

-- The numbers of visitors of each day, as plain numbers, for every view of the schema report: written down while the states
-- still say them. A group's place in its view is in dims; ['(withheld)'] is all groups of the day together that had fewer
-- visitors than k.
CREATE TABLE IF NOT EXISTS consentry.rollup_visitors
(
    site     LowCardinality(String),
    view     LowCardinality(String) COMMENT 'of the schema report',
    day      Date COMMENT 'UTC' CODEC(Delta, ZSTD(1)),
    dims     Array(String) CODEC(ZSTD(1)),
    visitors SimpleAggregateFunction(max, UInt64) COMMENT 'a plain number'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (site, view, day, dims)
TTL day + toIntervalDay(3650);

-- Of every group and day one number.
CREATE OR REPLACE VIEW consentry.rollup_numbers
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT site, view, day, dims, max(visitors) AS visitors FROM consentry.rollup_visitors GROUP BY site, view, day, dims;

-- A site that no collector has written down has no k: nothing of it is shown.
CREATE OR REPLACE VIEW consentry.group_sizes
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT site, k_anonymity AS k FROM consentry.sites FINAL WHERE k_anonymity > 0;

INSERT INTO consentry.rollup_visitors (site, view, day, dims, visitors)
SELECT site, 'pages', day, [toString(host), path], max(visitors) FROM consentry.pages_visitors GROUP BY site, day, host, path;

-- Where visitors came from, by hour: page views with no page before them.
CREATE TABLE IF NOT EXISTS consentry.sources
(
    site     LowCardinality(String),
    hour     DateTime('UTC') CODEC(Delta, ZSTD(1)),
    channel  LowCardinality(String),
    source   LowCardinality(String),
    medium   LowCardinality(String),
    campaign LowCardinality(String),
    entries  SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniq, UInt64) COMMENT 'state of a count, emptied five days after its day began'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (site, hour, channel, source, medium, campaign)
TTL hour + toIntervalDay(3650)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS consentry.sources_mv TO consentry.sources
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    toStartOfHour(toDateTime(ts, 'UTC')) AS hour,
    channel,
    source,
    medium,
    campaign,
    count() AS entries,
    uniqState(visitor) AS visitors
FROM consentry.events
WHERE no_share = 0 AND bot = 0 AND type = 'pageview' AND prev_path = ''
GROUP BY site, hour, channel, source, medium, campaign;

-- With what they came, by hour.
CREATE TABLE IF NOT EXISTS consentry.devices
(
    site          LowCardinality(String),
    hour          DateTime('UTC') CODEC(Delta, ZSTD(1)),
    device        LowCardinality(String),
    os            LowCardinality(String),
    os_major      UInt16,
    browser       LowCardinality(String),
    browser_major UInt16,
    screen        LowCardinality(String),
    views         SimpleAggregateFunction(sum, UInt64),
    events        SimpleAggregateFunction(sum, UInt64),
    visitors      AggregateFunction(uniq, UInt64) COMMENT 'state of a count, emptied five days after its day began'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (site, hour, device, os, os_major, browser, browser_major, screen)
TTL hour + toIntervalDay(3650)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS consentry.devices_mv TO consentry.devices
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    toStartOfHour(toDateTime(ts, 'UTC')) AS hour,
    device,
    os,
    os_major,
    browser,
    browser_major,
    screen,
    countIf(type = 'pageview') AS views,
    count() AS events,
    uniqState(visitor) AS visitors
FROM consentry.events
WHERE no_share = 0 AND bot = 0
GROUP BY site, hour, device, os, os_major, browser, browser_major, screen;

-- Which country, where a site looks for it, and which language, by hour.
CREATE TABLE IF NOT EXISTS consentry.places
(
    site     LowCardinality(String),
    hour     DateTime('UTC') CODEC(Delta, ZSTD(1)),
    country  LowCardinality(String),
    language LowCardinality(String),
    views    SimpleAggregateFunction(sum, UInt64),
    events   SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniq, UInt64) COMMENT 'state of a count, emptied five days after its day began'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (site, hour, country, language)
TTL hour + toIntervalDay(3650)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS consentry.places_mv TO consentry.places
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    toStartOfHour(toDateTime(ts, 'UTC')) AS hour,
    country,
    language,
    countIf(type = 'pageview') AS views,
    count() AS events,
    uniqState(visitor) AS visitors
FROM consentry.events
WHERE no_share = 0 AND bot = 0
GROUP BY site, hour, country, language;

-- Custom events by name and hour.
CREATE TABLE IF NOT EXISTS consentry.event_names
(
    site     LowCardinality(String),
    hour     DateTime('UTC') CODEC(Delta, ZSTD(1)),
    name     LowCardinality(String),
    events   SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniq, UInt64) COMMENT 'state of a count, emptied five days after its day began'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (site, hour, name)
TTL hour + toIntervalDay(3650)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS consentry.event_names_mv TO consentry.event_names
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    toStartOfHour(toDateTime(ts, 'UTC')) AS hour,
    name,
    count() AS events,
    uniqState(visitor) AS visitors
FROM consentry.events
WHERE no_share = 0 AND bot = 0 AND type = 'custom' AND name != ''
GROUP BY site, hour, name;

-- Clicks on function points by page and hour.
CREATE TABLE IF NOT EXISTS consentry.points
(
    site     LowCardinality(String),
    hour     DateTime('UTC') CODEC(Delta, ZSTD(1)),
    point    LowCardinality(String),
    host     LowCardinality(String),
    path     String CODEC(ZSTD(1)),
    clicks   SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniq, UInt64) COMMENT 'state of a count, emptied five days after its day began'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (site, hour, point, host, path)
TTL hour + toIntervalDay(3650)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS consentry.points_mv TO consentry.points
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    toStartOfHour(toDateTime(ts, 'UTC')) AS hour,
    point,
    host,
    path,
    count() AS clicks,
    uniqState(visitor) AS visitors
FROM consentry.events
WHERE no_share = 0 AND bot = 0 AND type = 'click' AND point != ''
GROUP BY site, hour, point, host, path;

-- How fast pages are, by page, device and hour: states of quantiles, which hold no visitor.
CREATE TABLE IF NOT EXISTS consentry.vitals
(
    site     LowCardinality(String),
    hour     DateTime('UTC') CODEC(Delta, ZSTD(1)),
    host     LowCardinality(String),
    path     String CODEC(ZSTD(1)),
    device   LowCardinality(String),
    samples  SimpleAggregateFunction(sum, UInt64),
    ttfb_ms  AggregateFunction(quantilesTDigest(0.5, 0.75, 0.95), UInt32),
    fcp_ms   AggregateFunction(quantilesTDigest(0.5, 0.75, 0.95), UInt32),
    lcp_ms   AggregateFunction(quantilesTDigest(0.5, 0.75, 0.95), UInt32),
    inp_ms   AggregateFunction(quantilesTDigest(0.5, 0.75, 0.95), UInt32),
    cls      AggregateFunction(quantilesTDigest(0.5, 0.75, 0.95), Float32),
    dom_ms   AggregateFunction(quantilesTDigest(0.5, 0.75, 0.95), UInt32),
    load_ms  AggregateFunction(quantilesTDigest(0.5, 0.75, 0.95), UInt32),
    visitors AggregateFunction(uniq, UInt64) COMMENT 'state of a count, emptied five days after its day began'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (site, hour, host, path, device)
TTL hour + toIntervalDay(3650)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS consentry.vitals_mv TO consentry.vitals
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    toStartOfHour(toDateTime(ts, 'UTC')) AS hour,
    host,
    path,
    device,
    count() AS samples,
    quantilesTDigestStateIf(0.5, 0.75, 0.95)(assumeNotNull(ttfb_ms), ttfb_ms IS NOT NULL) AS ttfb_ms,
    quantilesTDigestStateIf(0.5, 0.75, 0.95)(assumeNotNull(fcp_ms), fcp_ms IS NOT NULL) AS fcp_ms,
    quantilesTDigestStateIf(0.5, 0.75, 0.95)(assumeNotNull(lcp_ms), lcp_ms IS NOT NULL) AS lcp_ms,
    quantilesTDigestStateIf(0.5, 0.75, 0.95)(assumeNotNull(inp_ms), inp_ms IS NOT NULL) AS inp_ms,
    quantilesTDigestStateIf(0.5, 0.75, 0.95)(assumeNotNull(cls), cls IS NOT NULL) AS cls,
    quantilesTDigestStateIf(0.5, 0.75, 0.95)(assumeNotNull(dom_ms), dom_ms IS NOT NULL) AS dom_ms,
    quantilesTDigestStateIf(0.5, 0.75, 0.95)(assumeNotNull(load_ms), load_ms IS NOT NULL) AS load_ms,
    uniqState(visitor) AS visitors
FROM consentry.events
WHERE no_share = 0 AND bot = 0 AND type = 'performance'
GROUP BY site, hour, host, path, device;

-- Crashes by fingerprint and hour.
CREATE TABLE IF NOT EXISTS consentry.crashes
(
    site        LowCardinality(String),
    hour        DateTime('UTC') CODEC(Delta, ZSTD(1)),
    fingerprint UInt64,
    crashes     SimpleAggregateFunction(sum, UInt64),
    kind        SimpleAggregateFunction(any, String),
    message     SimpleAggregateFunction(any, String),
    stack       SimpleAggregateFunction(any, String),
    source      SimpleAggregateFunction(any, String),
    versions    SimpleAggregateFunction(groupUniqArrayArray, Array(String)),
    visitors    AggregateFunction(uniq, UInt64) COMMENT 'state of a count, emptied five days after its day began'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (site, hour, fingerprint)
TTL hour + toIntervalDay(3650)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS consentry.crashes_mv TO consentry.crashes
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    toStartOfHour(toDateTime(ts, 'UTC')) AS hour,
    crash_fingerprint AS fingerprint,
    count() AS crashes,
    any(crash_kind) AS kind,
    any(crash_message) AS message,
    any(crash_stack) AS stack,
    any(crash_source) AS source,
    groupUniqArray(50)(toString(app_version)) AS versions,
    uniqState(visitor) AS visitors
FROM consentry.events
WHERE no_share = 0 AND bot = 0 AND type = 'crash' AND crash_fingerprint != 0
GROUP BY site, hour, fingerprint;
