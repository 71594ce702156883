-- Of the events about whose consent was decided, how many had it; by day.
SELECT
    toDate(hour, 'UTC') AS day,
    sum(c.kept) AS with_consent,
    sum(c.denied) + sum(c.vetoed) + sum(c.absent) + sum(c.malformed) AS without,
    round(with_consent / (with_consent + without), 3) AS share
FROM report.consent AS c
WHERE site = {site:String} AND toDate(hour, 'UTC') BETWEEN {from:Date} AND {to:Date}
GROUP BY day
HAVING with_consent + without > 0
ORDER BY day;
