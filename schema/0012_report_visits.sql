-- Visits by the day on which they began, in the manner of 0011_report.sql. They are told for as long as rows are kept.

-- Visits by the channel through which they came: how many, how long, how many pages. Lengths in seconds of visible time.
CREATE OR REPLACE VIEW report.visits
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day,
    if(withheld, '(withheld)', g.channel) AS channel,
    if(told, sum(g.visits), 0) AS visits,
    if(told, sum(g.bounces), 0) AS bounces,
    if(told, sum(g.views), 0) AS views,
    if(told, sum(g.actions), 0) AS events,
    if(told, sum(g.bounces) / sum(g.visits), NULL) AS bounce_rate,
    if(told, sum(g.views) / sum(g.visits), NULL) AS views_per_visit,
    if(told, sum(g.length_s) / sum(g.visits), NULL) AS length_s_mean,
    if(told, quantileTDigestMerge(0.5)(g.lengths) / 1000, NULL) AS length_s_median,
    if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors,
    count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        uniqMergeIf(state, number < k) OVER (PARTITION BY site, day) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.channel AS channel,
            r.visits AS visits, r.bounces AS bounces, r.views AS views, r.actions AS actions, r.length_s AS length_s, r.lengths AS lengths,
            r.state AS state, finalizeAggregation(r.state) AS number, s.k AS k
        FROM
        (
            SELECT
                site, day, toString(channel) AS channel,
                count() AS visits,
                sum(t.bounce) AS bounces,
                sum(t.pages) AS views,
                sum(t.events) AS actions,
                sum(t.length_ms) / 1000 AS length_s,
                quantileTDigestState(0.5)(t.length_ms) AS lengths,
                uniqState(t.visitor) AS state
            FROM consentry.visits AS t
            GROUP BY site, day, channel
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
    )
) AS g
GROUP BY site, day, withheld, told, channel;

-- On which page visits begin.
CREATE OR REPLACE VIEW report.entry_pages
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day,
    if(withheld, '(withheld)', g.host) AS host,
    if(withheld, '(withheld)', g.path) AS path,
    if(told, sum(g.visits), 0) AS visits,
    if(told, sum(g.bounces), 0) AS bounces,
    if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors,
    count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        uniqMergeIf(state, number < k) OVER (PARTITION BY site, day) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.host AS host, r.path AS path,
            r.visits AS visits, r.bounces AS bounces,
            r.state AS state, finalizeAggregation(r.state) AS number, s.k AS k
        FROM
        (
            SELECT
                site, day, toString(entry_host) AS host, entry_path AS path,
                count() AS visits,
                sum(t.bounce) AS bounces,
                uniqState(t.visitor) AS state
            FROM consentry.visits AS t
            GROUP BY site, day, host, path
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
    )
) AS g
GROUP BY site, day, withheld, told, host, path;

-- On which page visits end.
CREATE OR REPLACE VIEW report.exit_pages
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site, day,
    if(withheld, '(withheld)', g.host) AS host,
    if(withheld, '(withheld)', g.path) AS path,
    if(told, sum(g.visits), 0) AS visits,
    if(told, sum(g.bounces), 0) AS bounces,
    if(told, if(withheld, any(g.together), any(g.number)), 0) AS visitors,
    count() AS groups
FROM
(
    SELECT *, number < k AS withheld,
        uniqMergeIf(state, number < k) OVER (PARTITION BY site, day) AS together,
        number >= k OR together >= k AS told
    FROM
    (
        SELECT
            r.site AS site, r.day AS day, r.host AS host, r.path AS path,
            r.visits AS visits, r.bounces AS bounces,
            r.state AS state, finalizeAggregation(r.state) AS number, s.k AS k
        FROM
        (
            SELECT
                site, day, toString(exit_host) AS host, exit_path AS path,
                count() AS visits,
                sum(t.bounce) AS bounces,
                uniqState(t.visitor) AS state
            FROM consentry.visits AS t
            GROUP BY site, day, host, path
        ) AS r
        INNER JOIN consentry.group_sizes AS s ON s.site = r.site
    )
) AS g
GROUP BY site, day, withheld, told, host, path;
