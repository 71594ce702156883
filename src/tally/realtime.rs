//! `GET /v1/stats/realtime`: the last half hour, from the rows themselves.

use clickhouse::Client;
use serde_json::{Value, json};

use super::ask::rows;
use super::books;
use super::period::Period;
use super::problem::Answer;
use super::query::SiteFacts;
use super::sql::Sql;

/// Minutes that are looked at.
const MINUTES: i64 = 30;
const PAGES_MAX: usize = 20;

/// Tells of a site's last half hour at `now_ms`.
pub async fn realtime(client: &Client, site: &SiteFacts, now_ms: i64) -> Answer<Value> {
    let to_s = now_ms.div_euclid(60_000) * 60 + 60;
    let from_s = to_s - MINUTES * 60;
    let mut sql = Sql::default();
    let (id, from) = (sql.text(&site.id), sql.number(from_s));
    let of_site = format!(
        "FROM consentry.events WHERE site = {id} AND day >= toDate(toDateTime({from}, 'UTC')) AND no_share = 0 AND bot = 0 \
         AND ts >= toDateTime({from}, 'UTC') AND ts < toDateTime({from}, 'UTC') + {}",
        MINUTES * 60
    );
    let text = format!(
        "SELECT 0, '', intDiv(toUnixTimestamp(ts) - {from}, 60) AS minute, uniqExact(visitor), countIf(type = 'pageview') {of_site} GROUP BY minute \
         UNION ALL SELECT 1, '', 0, uniqExact(visitor), 0 {of_site} \
         UNION ALL SELECT 2, path, 0, uniqExact(visitor) AS v, 0 {of_site} AND type = 'pageview' GROUP BY path ORDER BY 1, 4 DESC, 2 LIMIT 10000"
    );
    let period = Period { from_s, to_s };
    let (rows, books) =
        tokio::try_join!(rows(client, &sql, &text), books::completeness(client, &site.id, period))?;
    let few = |visitors: u64| visitors > 0 && visitors < site.k || site.k == 0;
    let mut minutes = vec![json!(0); MINUTES as usize];
    let (mut visitors, mut pages) = (json!(0), Vec::new());
    for row in &rows {
        let number = |index: usize| row.get(index).and_then(Value::as_u64).unwrap_or(0);
        let people = number(3);
        match number(0) {
            0 => {
                if let Some(minute) = minutes.get_mut(number(2) as usize) {
                    *minute = if few(people) { Value::Null } else { json!(number(4)) };
                }
            }
            1 => visitors = if few(people) { Value::Null } else { json!(people) },
            _ if !few(people) && pages.len() < PAGES_MAX => {
                pages.push(json!({ "page": row[1], "visitors": people }));
            }
            _ => {}
        }
    }
    Ok(json!({
        "visitors": visitors, "window_s": MINUTES * 60, "minutes": minutes, "pages": pages, "k_anonymity": site.k,
        "completeness": books,
    }))
}
