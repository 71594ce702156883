//! Completeness: what became of the events that were received, from the ledger, in every answer.

use clickhouse::Client;
use serde_json::{Map, Value, json};

use super::period::Period;
use super::problem::{Answer, Problem};
use super::sql::Sql;

/// What the ledger says of a site and a period of receipt.
pub async fn completeness(client: &Client, site: &str, period: Period) -> Answer<Value> {
    let mut sql = Sql::default();
    let (from, to) = (sql.number(period.from_s), sql.number(period.to_s));
    let text = format!(
        "SELECT toString(outcome), toString(reason), toUInt64(sum(count)) FROM consentry.ledger \
         WHERE site = {} AND minute >= toDateTime({from}, 'UTC') AND minute < toDateTime({to}, 'UTC') GROUP BY outcome, reason",
        sql.text(site)
    );
    let lines = sql.bind(client.query_raw(&text)).fetch_all::<(String, String, u64)>().await;
    let lines = lines.map_err(|error| Problem::of_store(&error))?;
    Ok(balance(&lines))
}

fn balance(lines: &[(String, String, u64)]) -> Value {
    let sum = |outcome: &str| lines.iter().filter(|line| line.0 == outcome).map(|line| line.2).sum::<u64>();
    let [received, stored, quarantined, rejected, all_dropped] =
        ["received", "stored", "quarantined", "rejected", "dropped"].map(sum);
    let mut dropped = Map::new();
    for (_, reason, count) in lines.iter().filter(|line| line.0 == "dropped") {
        dropped.insert(reason.clone(), (*count).into());
    }
    let ended = stored + quarantined + rejected + all_dropped;
    let without_consent: u64 = lines
        .iter()
        .filter(|line| line.0 == "dropped" && line.1.starts_with("consent_"))
        .map(|line| line.2)
        .sum();
    let share = |part: u64, of: u64| match of {
        0 => Value::Null,
        _ => json!((part as f64 / of as f64 * 10_000.0).round() / 10_000.0),
    };
    json!({
        "received": received,
        "stored": stored,
        "in_flight": received.saturating_sub(ended),
        "quarantined": quarantined,
        "rejected": rejected,
        "dropped": dropped,
        "share_stored": share(stored, received),
        "share_consented": share(stored, stored + without_consent),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_balance() {
        let line = |outcome: &str, reason: &str, count| (outcome.to_owned(), reason.to_owned(), count);
        let told = balance(&[
            line("received", "", 100),
            line("stored", "", 60),
            line("dropped", "consent_denied", 20),
            line("dropped", "duplicate", 5),
            line("rejected", "url_invalid", 5),
            line("quarantined", "", 1),
        ]);
        assert_eq!((&told["in_flight"], &told["dropped"]["duplicate"]), (&json!(9), &json!(5)));
        assert_eq!((&told["share_stored"], &told["share_consented"]), (&json!(0.6), &json!(0.75)));
        assert_eq!(balance(&[])["share_stored"], Value::Null);
    }
}
