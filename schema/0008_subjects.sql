-- What subjects have chosen, for every collector of this store. A subject is a keyed hash, as in events.
CREATE TABLE IF NOT EXISTS consentry.subject_choices
(
    site    LowCardinality(String),
    subject UInt128,
    choice  LowCardinality(String) COMMENT 'withdrawn, restricted, lifted or erase',
    request String COMMENT 'random id of the request',
    at      DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (at, request)
SETTINGS non_replicated_deduplication_window = 10000;

-- That a request was carried out: counts, and nothing of whose rows they were.
CREATE TABLE IF NOT EXISTS consentry.subject_receipts
(
    receipt    String COMMENT 'random id, told to the subject',
    request    LowCardinality(String) COMMENT 'export, erase, withdraw, restrict or lift',
    site       LowCardinality(String),
    at         DateTime64(3, 'UTC'),
    spool      UInt64 COMMENT 'rows in the spool',
    quarantine UInt64 COMMENT 'rows in the quarantine and in damaged segments',
    events     UInt64 COMMENT 'rows in the table',
    hours      UInt32 COMMENT 'hours of the roll-ups that were built anew'
)
ENGINE = MergeTree
ORDER BY (at, receipt)
SETTINGS non_replicated_deduplication_window = 10000;

-- So that one subject's rows are found without reading every row of the site.
ALTER TABLE consentry.events ADD INDEX IF NOT EXISTS subject subject TYPE bloom_filter GRANULARITY 4;
