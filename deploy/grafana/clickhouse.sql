-- The user that Grafana reads as: the role analyst, so the database report and nothing else. Its plugin sends max_execution_time with
-- each query, which readonly = 1 would refuse; this one setting may be changed, within bounds. Put a password of your own.
CREATE USER IF NOT EXISTS grafana IDENTIFIED WITH sha256_password BY 'change-me'
    DEFAULT ROLE analyst
    SETTINGS max_execution_time = 55 MIN 1 MAX 60 CHANGEABLE_IN_READONLY;
GRANT analyst TO grafana;
