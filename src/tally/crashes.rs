//! `GET /v1/stats/crashes`: each crash with one text of it, as often as at least k visitors met it.

use clickhouse::Client;
use serde_json::{Value, json};

use super::ask::rows;
use super::books;
use super::plan::Question;
use super::problem::Answer;
use super::query::SiteFacts;
use super::sql::{Scope, Sql};
use super::withhold::{Figure, withhold};
use super::words::Fact;

const CRASHES_MAX: usize = 200;
const NAMES: [&str; 10] = [
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

/// The crashes of the question's site, period and filters, the most frequent first. Texts, versions and days are those of all
/// times.
pub async fn crashes(client: &Client, site: &SiteFacts, question: &Question) -> Answer<Value> {
    let period = question.period;
    let mut sql = Sql::default();
    let scope = Scope::new(&site.id, &site.zone_name, period, &mut sql);
    let id = sql.text(&site.id);
    let k = sql.number(i64::try_from(site.k).unwrap_or(i64::MAX));
    let groups = format!(
        "SELECT crash_fingerprint AS fingerprint, count() AS crashes, uniqExact(visitor) AS visitors, \
         groupUniqArray({})(visitor) AS few, visitors < {k} OR {k} = 0 AS own FROM {} AND {} GROUP BY fingerprint",
        site.k.max(1),
        scope.rows(Fact::Crashes),
        question.filter.write(Fact::Crashes, &scope, &mut sql),
    );
    let [hidden, visitors, size, few] = ["own", "visitors", "crashes", "few"].map(str::to_owned);
    let figure = Figure { hidden, visitors, size, few };
    let (groups, hidden) = withhold(groups, &["fingerprint".to_owned()], &[figure], &k);
    let text = format!(
        "SELECT hex(c.fingerprint), t.kind, t.message, t.stack, t.source, t.versions, c.crashes, c.visitors, toString(t.first_seen), \
         toString(t.last_seen), toUInt8(c.{hidden}) FROM ({groups}) AS c \
         LEFT JOIN (SELECT fingerprint, any(kind) AS kind, any(message) AS message, any(stack) AS stack, any(source) AS source, \
         arraySort(groupUniqArrayArray(versions)) AS versions, toDate(min(hour), {zone}) AS first_seen, toDate(max(hour), {zone}) AS last_seen \
         FROM consentry.crashes WHERE site = {id} GROUP BY fingerprint) AS t ON t.fingerprint = c.fingerprint ORDER BY c.crashes DESC, 1",
        hidden = hidden[0],
        zone = scope.zone,
    );
    let (rows, books) =
        tokio::try_join!(rows(client, &sql, &text), books::completeness(client, &site.id, period))?;
    let (few, shown): (Vec<_>, Vec<&Vec<Value>>) =
        rows.iter().partition(|row| row.get(NAMES.len()).and_then(Value::as_u64) != Some(0));
    let crash = |row: &&Vec<Value>| -> Value {
        let named = NAMES.iter().zip(row.iter());
        named.map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect::<serde_json::Map<_, _>>().into()
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
