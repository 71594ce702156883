-- Visits by channel, beside the period of the same length just before.
WITH dateDiff('day', {from:Date}, {to:Date}) + 1 AS days
SELECT
    channel,
    sumIf(visits, day >= {from:Date}) AS now,
    sumIf(visits, day < {from:Date}) AS before,
    if(before = 0, NULL, round(100 * (toInt64(now) - toInt64(before)) / before, 1)) AS change_percent
FROM report.visits
WHERE site = {site:String} AND day BETWEEN {from:Date} - days AND {to:Date} AND channel != '(withheld)'
GROUP BY channel
ORDER BY now DESC;
