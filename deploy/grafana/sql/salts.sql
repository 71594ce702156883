-- For an auditor: the salt of each day, when it was made and destroyed, and for how many hours it lived (at most 48).
SELECT * FROM report.salts ORDER BY day;
