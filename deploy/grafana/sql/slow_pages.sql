-- Pages whose largest paint is not good (above 2.5 s) for a quarter of the loads, by device. The 75th percentiles of days are weighted by their
-- samples; a percentile over all days cannot be had from those of the days.
SELECT
    path,
    device,
    sum(samples) AS loads,
    round(sumIf(lcp_p75 * samples, lcp_p75 IS NOT NULL) / sumIf(samples, lcp_p75 IS NOT NULL)) AS lcp_p75_ms
FROM report.vitals
WHERE site = {site:String} AND day BETWEEN {from:Date} AND {to:Date} AND path != '(withheld)'
GROUP BY path, device
HAVING lcp_p75_ms > 2500
ORDER BY loads DESC;
