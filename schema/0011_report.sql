-- What analysts read, by UTC day. A group of fewer visitors than k is left out, and counted in a row whose dimensions are
-- '(withheld)': `groups` says how many there are; their figures are told where together they have at least k visitors,
-- else visitors are 0, which no group has, and so are they. Visitors of two days do not add up: nobody is the same on two days.

-- Page views and engaged time of each page.
CREATE OR REPLACE VIEW report.pages
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.host) AS host, if(withheld, '(withheld)', g.path) AS path,
    if(told, sum(g.views), 0) AS views, if(told, sum(g.engaged_ms), 0) AS engaged_ms,
    if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors, count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.host AS host, r.path AS path, r.views AS views,
            r.engaged_ms AS engaged_ms, r.state AS state, greatest(finalizeAggregation(r.state), n.visitors) AS number,
            w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, toString(host) AS host, path, sum(t.views) AS views,
                sum(t.engaged_ms) AS engaged_ms, uniqMergeState(t.visitors) AS state
            FROM consentry.pages AS t
            GROUP BY site, day, host, path
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'pages' AND n.site = r.site AND n.day = r.day AND n.dims = [r.host, r.path]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'pages' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, host, path;

-- Through which channel visitors came.
CREATE OR REPLACE VIEW report.channels
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.channel) AS channel, if(told, sum(g.entries), 0) AS entries,
    if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors, count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.channel AS channel, r.entries AS entries, r.state AS state,
            greatest(finalizeAggregation(r.state), n.visitors) AS number, w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, toString(channel) AS channel, sum(t.entries) AS entries,
                uniqMergeState(t.visitors) AS state
            FROM consentry.sources AS t
            GROUP BY site, day, channel
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'channels' AND n.site = r.site AND n.day = r.day AND n.dims = [r.channel]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'channels' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, channel;

-- From where visitors came.
CREATE OR REPLACE VIEW report.sources
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.channel) AS channel, if(withheld, '(withheld)', g.source) AS source,
    if(withheld, '(withheld)', g.medium) AS medium, if(withheld, '(withheld)', g.campaign) AS campaign,
    if(told, sum(g.entries), 0) AS entries, if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors,
    count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.channel AS channel, r.source AS source, r.medium AS medium,
            r.campaign AS campaign, r.entries AS entries, r.state AS state,
            greatest(finalizeAggregation(r.state), n.visitors) AS number, w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, toString(channel) AS channel, toString(source) AS source,
                toString(medium) AS medium, toString(campaign) AS campaign, sum(t.entries) AS entries,
                uniqMergeState(t.visitors) AS state
            FROM consentry.sources AS t
            GROUP BY site, day, channel, source, medium, campaign
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'sources' AND n.site = r.site AND n.day = r.day AND n.dims = [r.channel, r.source, r.medium, r.campaign]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'sources' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, channel, source, medium, campaign;

-- Classes of devices.
CREATE OR REPLACE VIEW report.devices
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.device) AS device, if(told, sum(g.views), 0) AS views,
    if(told, sum(g.events), 0) AS events, if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors,
    count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.device AS device, r.views AS views, r.events AS events, r.state AS state,
            greatest(finalizeAggregation(r.state), n.visitors) AS number, w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, toString(device) AS device, sum(t.views) AS views,
                sum(t.events) AS events, uniqMergeState(t.visitors) AS state
            FROM consentry.devices AS t
            GROUP BY site, day, device
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'devices' AND n.site = r.site AND n.day = r.day AND n.dims = [r.device]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'devices' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, device;

-- Browsers and their major versions.
CREATE OR REPLACE VIEW report.browsers
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.browser) AS browser, if(withheld, '(withheld)', g.version) AS version,
    if(told, sum(g.views), 0) AS views, if(told, sum(g.events), 0) AS events,
    if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors, count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.browser AS browser, r.version AS version, r.views AS views,
            r.events AS events, r.state AS state, greatest(finalizeAggregation(r.state), n.visitors) AS number,
            w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, toString(browser) AS browser, toString(browser_major) AS version,
                sum(t.views) AS views, sum(t.events) AS events, uniqMergeState(t.visitors) AS state
            FROM consentry.devices AS t
            GROUP BY site, day, browser, version
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'browsers' AND n.site = r.site AND n.day = r.day AND n.dims = [r.browser, r.version]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'browsers' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, browser, version;

-- Operating systems and their major versions.
CREATE OR REPLACE VIEW report.systems
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.os) AS os, if(withheld, '(withheld)', g.version) AS version,
    if(told, sum(g.views), 0) AS views, if(told, sum(g.events), 0) AS events,
    if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors, count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.os AS os, r.version AS version, r.views AS views, r.events AS events,
            r.state AS state, greatest(finalizeAggregation(r.state), n.visitors) AS number, w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, toString(os) AS os, toString(os_major) AS version,
                sum(t.views) AS views, sum(t.events) AS events, uniqMergeState(t.visitors) AS state
            FROM consentry.devices AS t
            GROUP BY site, day, os, version
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'systems' AND n.site = r.site AND n.day = r.day AND n.dims = [r.os, r.version]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'systems' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, os, version;

-- Buckets of widths of screens.
CREATE OR REPLACE VIEW report.screens
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.device) AS device, if(withheld, '(withheld)', g.screen) AS screen,
    if(told, sum(g.views), 0) AS views, if(told, sum(g.events), 0) AS events,
    if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors, count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.device AS device, r.screen AS screen, r.views AS views,
            r.events AS events, r.state AS state, greatest(finalizeAggregation(r.state), n.visitors) AS number,
            w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, toString(device) AS device, toString(screen) AS screen,
                sum(t.views) AS views, sum(t.events) AS events, uniqMergeState(t.visitors) AS state
            FROM consentry.devices AS t
            GROUP BY site, day, device, screen
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'screens' AND n.site = r.site AND n.day = r.day AND n.dims = [r.device, r.screen]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'screens' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, device, screen;

-- Countries, where a site looks for them.
CREATE OR REPLACE VIEW report.countries
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.country) AS country, if(told, sum(g.views), 0) AS views,
    if(told, sum(g.events), 0) AS events, if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors,
    count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.country AS country, r.views AS views, r.events AS events,
            r.state AS state, greatest(finalizeAggregation(r.state), n.visitors) AS number, w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, toString(country) AS country, sum(t.views) AS views,
                sum(t.events) AS events, uniqMergeState(t.visitors) AS state
            FROM consentry.places AS t
            GROUP BY site, day, country
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'countries' AND n.site = r.site AND n.day = r.day AND n.dims = [r.country]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'countries' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, country;

-- Languages.
CREATE OR REPLACE VIEW report.languages
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.language) AS language, if(told, sum(g.views), 0) AS views,
    if(told, sum(g.events), 0) AS events, if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors,
    count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.language AS language, r.views AS views, r.events AS events,
            r.state AS state, greatest(finalizeAggregation(r.state), n.visitors) AS number, w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, toString(language) AS language, sum(t.views) AS views,
                sum(t.events) AS events, uniqMergeState(t.visitors) AS state
            FROM consentry.places AS t
            GROUP BY site, day, language
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'languages' AND n.site = r.site AND n.day = r.day AND n.dims = [r.language]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'languages' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, language;

-- Custom events.
CREATE OR REPLACE VIEW report.events
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.name) AS name, if(told, sum(g.events), 0) AS events,
    if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors, count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.name AS name, r.events AS events, r.state AS state,
            greatest(finalizeAggregation(r.state), n.visitors) AS number, w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, toString(name) AS name, sum(t.events) AS events,
                uniqMergeState(t.visitors) AS state
            FROM consentry.event_names AS t
            GROUP BY site, day, name
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'events' AND n.site = r.site AND n.day = r.day AND n.dims = [r.name]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'events' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, name;

-- Clicks on function points.
CREATE OR REPLACE VIEW report.points
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.point) AS point, if(withheld, '(withheld)', g.host) AS host,
    if(withheld, '(withheld)', g.path) AS path, if(told, sum(g.clicks), 0) AS clicks,
    if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors, count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.point AS point, r.host AS host, r.path AS path, r.clicks AS clicks,
            r.state AS state, greatest(finalizeAggregation(r.state), n.visitors) AS number, w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, toString(point) AS point, toString(host) AS host, path,
                sum(t.clicks) AS clicks, uniqMergeState(t.visitors) AS state
            FROM consentry.points AS t
            GROUP BY site, day, point, host, path
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'points' AND n.site = r.site AND n.day = r.day AND n.dims = [r.point, r.host, r.path]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'points' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, point, host, path;

-- How fast pages are: quantiles in milliseconds, cls without a unit.
CREATE OR REPLACE VIEW report.vitals
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.host) AS host, if(withheld, '(withheld)', g.path) AS path,
    if(withheld, '(withheld)', g.device) AS device, if(told, sum(g.samples), 0) AS samples,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.ttfb_ms)[1], NULL), NULL) AS ttfb_p50,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.ttfb_ms)[2], NULL), NULL) AS ttfb_p75,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.ttfb_ms)[3], NULL), NULL) AS ttfb_p95,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.fcp_ms)[1], NULL), NULL) AS fcp_p50,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.fcp_ms)[2], NULL), NULL) AS fcp_p75,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.fcp_ms)[3], NULL), NULL) AS fcp_p95,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.lcp_ms)[1], NULL), NULL) AS lcp_p50,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.lcp_ms)[2], NULL), NULL) AS lcp_p75,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.lcp_ms)[3], NULL), NULL) AS lcp_p95,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.inp_ms)[1], NULL), NULL) AS inp_p50,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.inp_ms)[2], NULL), NULL) AS inp_p75,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.inp_ms)[3], NULL), NULL) AS inp_p95,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.cls)[1], NULL), NULL) AS cls_p50,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.cls)[2], NULL), NULL) AS cls_p75,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.cls)[3], NULL), NULL) AS cls_p95,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.dom_ms)[1], NULL), NULL) AS dom_p50,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.dom_ms)[2], NULL), NULL) AS dom_p75,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.dom_ms)[3], NULL), NULL) AS dom_p95,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.load_ms)[1], NULL), NULL) AS load_p50,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.load_ms)[2], NULL), NULL) AS load_p75,
    if(told, ifNotFinite(quantilesTDigestMerge(0.5, 0.75, 0.95)(g.load_ms)[3], NULL), NULL) AS load_p95,
    if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors, count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.host AS host, r.path AS path, r.device AS device, r.samples AS samples,
            r.ttfb_ms AS ttfb_ms, r.fcp_ms AS fcp_ms, r.lcp_ms AS lcp_ms, r.inp_ms AS inp_ms, r.cls AS cls,
            r.dom_ms AS dom_ms, r.load_ms AS load_ms, r.state AS state, greatest(finalizeAggregation(r.state), n.visitors) AS number,
            w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, toString(host) AS host, path, toString(device) AS device,
                sum(t.samples) AS samples, quantilesTDigestMergeState(0.5, 0.75, 0.95)(t.ttfb_ms) AS ttfb_ms,
                quantilesTDigestMergeState(0.5, 0.75, 0.95)(t.fcp_ms) AS fcp_ms,
                quantilesTDigestMergeState(0.5, 0.75, 0.95)(t.lcp_ms) AS lcp_ms,
                quantilesTDigestMergeState(0.5, 0.75, 0.95)(t.inp_ms) AS inp_ms,
                quantilesTDigestMergeState(0.5, 0.75, 0.95)(t.cls) AS cls,
                quantilesTDigestMergeState(0.5, 0.75, 0.95)(t.dom_ms) AS dom_ms,
                quantilesTDigestMergeState(0.5, 0.75, 0.95)(t.load_ms) AS load_ms,
                uniqMergeState(t.visitors) AS state
            FROM consentry.vitals AS t
            GROUP BY site, day, host, path, device
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'vitals' AND n.site = r.site AND n.day = r.day AND n.dims = [r.host, r.path, r.device]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'vitals' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, host, path, device;

-- Crashes: what, where, how often, since when, in which versions.
CREATE OR REPLACE VIEW report.crashes
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day, if(withheld, '(withheld)', g.fingerprint) AS fingerprint, if(told, sum(g.crashes), 0) AS crashes,
    if(withheld, '', any(g.kind)) AS kind, if(withheld, '', any(g.message)) AS message,
    if(withheld, '', any(g.stack)) AS stack, if(withheld, '', any(g.source)) AS source,
    if(withheld, [], groupUniqArrayArray(g.versions)) AS versions,
    if(withheld, NULL, any(g.first_seen)) AS first_seen, if(withheld, NULL, any(g.last_seen)) AS last_seen,
    if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors, count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        greatest(uniqMergeIf(state, number < k) OVER (PARTITION BY site, day), together_known) AS together,
        number >= k OR together >= k AS told,
        min(day) OVER (PARTITION BY site, fingerprint) AS first_seen,
        max(day) OVER (PARTITION BY site, fingerprint) AS last_seen
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.fingerprint AS fingerprint, r.crashes AS crashes, r.kind AS kind,
            r.message AS message, r.stack AS stack, r.source AS source, r.versions AS versions, r.state AS state,
            greatest(finalizeAggregation(r.state), n.visitors) AS number, w.visitors AS together_known, s.k AS k
        FROM
        (
            SELECT
                site, toDate(hour, 'UTC') AS day, hex(fingerprint) AS fingerprint, sum(t.crashes) AS crashes,
                any(t.kind) AS kind, any(t.message) AS message, any(t.stack) AS stack, any(t.source) AS source,
                groupUniqArrayArray(t.versions) AS versions, uniqMergeState(t.visitors) AS state
            FROM consentry.crashes AS t
            GROUP BY site, day, fingerprint
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
        LEFT JOIN consentry.rollup_numbers AS n
            ON n.view = 'crashes' AND n.site = r.site AND n.day = r.day AND n.dims = [r.fingerprint]
        LEFT JOIN consentry.rollup_numbers AS w
            ON w.view = 'crashes' AND w.site = r.site AND w.day = r.day AND w.dims = ['(withheld)']
    )
) AS g
GROUP BY site, day, withheld, told, fingerprint;

-- Its numbers are in consentry.rollup_visitors.
DROP TABLE IF EXISTS consentry.pages_visitors;
