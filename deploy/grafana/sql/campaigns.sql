-- What campaigns brought: entries are page views with no page of the site before them.
SELECT campaign, source, medium, sum(entries) AS entries
FROM report.sources
WHERE site = {site:String} AND day BETWEEN {from:Date} AND {to:Date} AND campaign NOT IN ('', '(withheld)')
GROUP BY campaign, source, medium
ORDER BY entries DESC;
