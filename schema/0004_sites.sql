-- What views have to know of a site; written by each collector when it starts.
CREATE TABLE IF NOT EXISTS consentry.sites
(
    site           String,
    timezone       String,
    k_anonymity    UInt16,
    retention_days UInt16,
    updated_at     DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY site;
