-- How often a function point is used, for each hundred visits of the day.
SELECT p.day AS day, p.point AS point, p.clicks AS clicks, round(100 * p.clicks / v.visits, 1) AS per_hundred_visits
FROM
(
    SELECT day, point, sum(clicks) AS clicks
    FROM report.points
    WHERE site = {site:String} AND day BETWEEN {from:Date} AND {to:Date} AND point != '(withheld)'
    GROUP BY day, point
) AS p
INNER JOIN
(
    SELECT day, sum(visits) AS visits
    FROM report.visits
    WHERE site = {site:String} AND day BETWEEN {from:Date} AND {to:Date}
    GROUP BY day
    HAVING visits > 0
) AS v ON v.day = p.day
ORDER BY day, clicks DESC;
