//! Receipts of salts, from the collector's journal into a table that an auditor can read.

use clickhouse::Client;

use super::verdict::{Brief, brief};
use crate::deidentify::Receipt;

/// Receipts in one insert.
const RECEIPTS_MAX: usize = 1000;

/// Writes `receipts` into `consentry.salt_receipts`. One that is there already is not counted twice, so a caller that
/// does not know whether the last try arrived simply tries again.
pub async fn publish_receipts(client: &Client, receipts: &[Receipt]) -> Result<(), Brief> {
    for some in receipts.chunks(RECEIPTS_MAX) {
        // Numbers, hex and our own words: no quote can stand in them.
        let row = |receipt: &Receipt| {
            format!(
                "('{}',{},fromUnixTimestamp64Milli(toInt64({}),'UTC'),'{}',toDate({}),'{}','{}','{}','{}')",
                receipt.collector,
                receipt.number,
                receipt.at_ms,
                receipt.event.word(),
                receipt.day.clamp(0, i64::from(u16::MAX)),
                receipt.store.word(),
                receipt.commitment,
                receipt.reason.word(),
                receipt.chain,
            )
        };
        let rows: Vec<String> = some.iter().map(row).collect();
        let insert = format!(
            "INSERT INTO consentry.salt_receipts \
             (collector, number, at, event, day, store, commitment, reason, chain) VALUES {}",
            rows.join(",")
        );
        client.query_raw(&insert).execute().await.map_err(|error| brief(&error))?;
    }
    Ok(())
}
