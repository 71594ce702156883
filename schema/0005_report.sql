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

-- How much is missing, by hour of receipt: what became of the events that were valid.
CREATE OR REPLACE VIEW report.consent
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    toStartOfHour(minute) AS hour,
    sumIf(count, outcome = 'stored') AS kept,
    sumIf(count, reason = 'consent_denied') AS denied,
    sumIf(count, reason = 'consent_vetoed') AS vetoed,
    sumIf(count, reason = 'consent_absent') AS absent,
    sumIf(count, reason = 'consent_malformed') AS malformed,
    kept / (kept + denied + vetoed + absent + malformed) AS consent_rate
FROM consentry.ledger
WHERE site != ''
GROUP BY site, hour;
