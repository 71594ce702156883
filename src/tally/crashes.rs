//! `GET /v1/stats/crashes`: each crash with one text of it, as often as at least k visitors met it.

use clickhouse::Client;
use serde_json::{Value, json};

use super::ask::rows;
use super::books;
use super::period::Period;
use super::problem::Answer;
use super::query::SiteFacts;
use super::sql::{Scope, Sql};
use super::words::Fact;

const CRASHES_MAX: usize = 200;

/// The crashes of a site in a period, the most frequent first.
pub async fn crashes(client: &Client, site: &SiteFacts, period: Period) -> Answer<Value> {
    let mut sql = Sql::default();
    let scope = Scope::new(&site.id, &site.zone_name, period, &mut sql);
    let id = sql.text(&site.id);
    let text = format!(
        "SELECT hex(c.fingerprint), t.kind, t.message, t.stack, t.source, t.versions, c.crashes, c.visitors, toString(t.first_seen), \
         toString(t.last_seen) FROM (SELECT crash_fingerprint AS fingerprint, count() AS crashes, uniqExact(visitor) AS visitors \
         FROM {} GROUP BY fingerprint) AS c \
         LEFT JOIN (SELECT fingerprint, any(kind) AS kind, any(message) AS message, any(stack) AS stack, any(source) AS source, \
         arraySort(groupUniqArrayArray(versions)) AS versions, toDate(min(hour), {zone}) AS first_seen, toDate(max(hour), {zone}) AS last_seen \
         FROM consentry.crashes WHERE site = {id} GROUP BY fingerprint) AS t ON t.fingerprint = c.fingerprint ORDER BY c.crashes DESC, 1",
        scope.rows(Fact::Crashes),
        zone = scope.zone,
    );
    let (rows, books) =
        tokio::try_join!(rows(client, &sql, &text), books::completeness(client, &site.id, period))?;
    let (shown, few): (Vec<&Vec<Value>>, Vec<_>) = rows.iter().partition(|row| {
        site.k > 0 && row.get(7).and_then(Value::as_u64).is_some_and(|visitors| visitors >= site.k)
    });
    let names = [
        "fingerprint",
        "kind",
        "message",
        "stack",
        "source",
        "versions",
        "crashes",
        "visitors",
        "first_seen",
        "last_seen",
    ];
    let crash = |row: &&Vec<Value>| -> Value {
        names
            .iter()
            .zip(row.iter())
            .map(|(name, cell)| ((*name).to_owned(), cell.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let crashes: Vec<Value> = shown.iter().take(CRASHES_MAX).map(crash).collect();
    Ok(json!({
        "crashes": crashes,
        "meta": {
            "withheld": { "groups": few.len(), "metrics": null }, "total_rows": shown.len(), "k_anonymity": site.k,
            "time_zone": site.zone_name, "date_range": period.stamps(&site.zone),
        },
        "completeness": books,
    }))
}
