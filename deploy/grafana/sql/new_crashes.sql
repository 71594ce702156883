-- Crashes that were seen for the first time in the period, and in which versions.
SELECT
    fingerprint,
    any(kind) AS kind,
    any(message) AS message,
    any(source) AS source,
    sum(crashes) AS number,
    min(first_seen) AS since,
    arraySort(groupUniqArrayArray(versions)) AS versions
FROM report.crashes
WHERE site = {site:String} AND day BETWEEN {from:Date} AND {to:Date} AND fingerprint != '(withheld)'
GROUP BY fingerprint
HAVING since >= {from:Date}
ORDER BY number DESC;
