-- What became of each day's salt. Holds no salt, only its hash; written by each collector from its own journal.
CREATE TABLE IF NOT EXISTS consentry.salt_receipts
(
    collector  String COMMENT 'random name, made once for a data directory',
    number     UInt64 COMMENT 'of the line in that collector''s journal, from 1 without a gap',
    at         DateTime64(3, 'UTC'),
    event      LowCardinality(String) COMMENT 'created or destroyed',
    day        Date COMMENT 'the UTC day whose visitors were hashed with the salt',
    store      LowCardinality(String) COMMENT 'where the salt lived: file or memory',
    commitment String COMMENT 'BLAKE3 of the salt, in hex',
    reason     LowCardinality(String) COMMENT 'why it was destroyed',
    chain      String COMMENT 'BLAKE3 of the chain of the line before, a tab, and this line, in hex'
)
ENGINE = ReplacingMergeTree
-- A line that was written anew with other words does not replace the first one: both stand here for the auditor.
ORDER BY (collector, number, chain);

CREATE OR REPLACE VIEW report.salt_receipts
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT collector, number, at, event, day, store, commitment, reason, chain
FROM consentry.salt_receipts FINAL
ORDER BY collector, number;

-- One line a salt: when it was made, when it was gone.
CREATE OR REPLACE VIEW report.salts
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    collector,
    day,
    commitment,
    any(store) AS store,
    minIfOrNull(at, event = 'created') AS created,
    maxIfOrNull(at, event = 'destroyed') AS destroyed,
    anyIf(reason, event = 'destroyed') AS reason,
    dateDiff('minute', created, destroyed) / 60 AS hours
FROM consentry.salt_receipts FINAL
GROUP BY collector, day, commitment
ORDER BY day, created;
