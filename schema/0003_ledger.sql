-- The books. Per site and minute of receipt: received = dropped + rejected + quarantined + stored, and what the
-- collectors still hold in their spools.
CREATE TABLE IF NOT EXISTS consentry.ledger
(
    site    LowCardinality(String) COMMENT 'empty: the event named no site that exists',
    minute  DateTime('UTC') CODEC(Delta, ZSTD(1)),
    outcome LowCardinality(String) COMMENT 'received, dropped, rejected, quarantined or stored',
    reason  LowCardinality(String) COMMENT 'of dropped and rejected',
    count   UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = SummingMergeTree(count)
PARTITION BY toYYYYMM(minute)
ORDER BY (site, minute, outcome, reason)
SETTINGS non_replicated_deduplication_window = 10000;
