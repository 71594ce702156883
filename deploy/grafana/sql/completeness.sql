-- The books of the period: what came in and what became of it. Put this beside every figure that leaves the house.
SELECT
    outcome,
    reason,
    sum(count) AS events,
    round(100 * events / sum(if(outcome = 'received', events, 0)) OVER (), 2) AS percent_of_received
FROM report.ledger
WHERE site = {site:String} AND toDate(minute, 'UTC') BETWEEN {from:Date} AND {to:Date}
GROUP BY outcome, reason
ORDER BY outcome != 'received', events DESC;
