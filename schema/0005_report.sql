-- The only thing that analysts may read: groups of at least k visitors.
CREATE DATABASE IF NOT EXISTS report;

CREATE OR REPLACE VIEW report.pages
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    p.site AS site,
    toDate(p.hour, 'UTC') AS day,
    p.host AS host,
    p.path AS path,
    sum(p.views) AS views,
    uniqMerge(p.visitors) AS visitors,
    sum(p.engaged_ms) AS engaged_ms
FROM consentry.pages AS p
LEFT JOIN (SELECT site, k_anonymity FROM consentry.sites FINAL) AS s ON s.site = p.site
GROUP BY site, day, host, path
-- A site that no collector has written down has no k: nothing of it is shown.
HAVING any(s.k_anonymity) > 0 AND visitors >= any(s.k_anonymity);

CREATE OR REPLACE VIEW report.ledger
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT site, minute, outcome, reason, sum(count) AS count
FROM consentry.ledger
GROUP BY site, minute, outcome, reason;
