-- Pages by views, with the time that they were visible and focused per view.
SELECT
    host,
    path,
    sum(views) AS page_views,
    round(sum(engaged_ms) / sum(views) / 1000, 1) AS seconds_per_view
FROM report.pages
WHERE site = {site:String} AND day BETWEEN {from:Date} AND {to:Date} AND path != '(withheld)'
GROUP BY host, path
HAVING page_views > 0
ORDER BY page_views DESC
LIMIT 100;
