-- Visitors, visits and page views by day. A visitor is one browser on one day: days do not add up to people.
SELECT
    v.day AS day,
    d.visitors AS visitors,
    v.visits AS visits,
    v.views AS views,
    round(v.views / v.visits, 2) AS views_per_visit
FROM
(
    SELECT day, sum(visits) AS visits, sum(views) AS views
    FROM report.visits
    WHERE site = {site:String} AND day BETWEEN {from:Date} AND {to:Date}
    GROUP BY day
    HAVING visits > 0
) AS v
LEFT JOIN
(
    SELECT day, sum(visitors) AS visitors
    FROM report.devices
    WHERE site = {site:String} AND day BETWEEN {from:Date} AND {to:Date}
    GROUP BY day
) AS d ON d.day = v.day
ORDER BY day;
