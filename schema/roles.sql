-- For a ClickHouse of your own. The embedded engine has the same users from its users file.
CREATE ROLE IF NOT EXISTS ingest;
GRANT INSERT ON consentry.* TO ingest;
CREATE ROLE IF NOT EXISTS analyst SETTINGS readonly = 1;
GRANT SELECT ON report.* TO analyst;
CREATE ROLE IF NOT EXISTS admin;
GRANT ALL ON consentry.* TO admin;
GRANT ALL ON report.* TO admin;
