//! `GET /v1/stats/realtime`: the last half hour, from the rows themselves.
//!
//! The half hour moves on each minute, and two of them, one taken from the other, tell of those who came and went between.
//! So each is a question to the [guard](super::guard); where fewer than k came and went, the last answer stands.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use clickhouse::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::ask::rows;
use super::filter::Filter;
use super::guard::Caller;
use super::period::Period;
use super::plan::Question;
use super::problem::Answer;
use super::query::SiteFacts;
use super::sql::Sql;
use super::withhold::{Figure, withhold};
use super::{Statistics, books};

/// Minutes that are looked at.
const MINUTES: i64 = 30;
const PAGES_MAX: usize = 20;
/// How long an answer may stand in for the next.
const STANDS: Duration = Duration::from_secs(1800);
/// Callers and sites whose last answer is kept.
const KEPT_MAX: usize = 500;

/// An answer that was given.
#[derive(Debug, Clone)]
struct Told {
    at: Instant,
    period: Period,
    figures: Value,
}

/// The last answer of each caller and site.
#[derive(Debug, Default)]
pub struct LastTold {
    told: Mutex<HashMap<(Caller, String), Told>>,
}

impl LastTold {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<(Caller, String), Told>) -> T) -> T {
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        told.retain(|_, told| now < told.at + STANDS);
        work(&mut told)
    }

    /// False where there is no room: what is not kept must not be told.
    fn keep(&self, caller: &Caller, site: &str, period: Period, figures: &Value) -> bool {
        self.with(|told| {
            let key = (caller.clone(), site.to_owned());
            let room = told.len() < KEPT_MAX || told.contains_key(&key);
            if room {
                told.insert(key, Told { at: Instant::now(), period, figures: figures.clone() });
            }
            room
        })
    }

    fn find(&self, caller: &Caller, site: &str) -> Option<Told> {
        self.with(|told| told.get(&(caller.clone(), site.to_owned())).cloned())
    }
}

impl Statistics {
    /// Answers the question of a site's last half hour.
    pub(super) async fn realtime(&self, client: &Client, site: &SiteFacts, caller: &Caller) -> Answer<Value> {
        let to_s = self.clock.now_ms().div_euclid(60_000) * 60 + 60;
        let period = Period { from_s: to_s - MINUTES * 60, to_s };
        let _turn = self.turn().await?;
        self.fresh.look(&self.source, &self.clock).await;
        let (now, books) =
            tokio::try_join!(figures(client, site, period), books::completeness(client, &site.id, period))?;
        let told = match now {
            // "Fewer than k" is all that is said of a few, whoever they are.
            None => blank(period, "few"),
            Some(now) => self.told_of(client, site, caller, period, now).await?,
        };
        let mut answer = json!({ "window_s": MINUTES * 60, "k_anonymity": site.k, "completeness": books });
        if let (Some(answer), Value::Object(told)) = (answer.as_object_mut(), told) {
            answer.extend(told);
        }
        Ok(answer)
    }

    /// The figures of now, or those before where the two differ by a few.
    async fn told_of(
        &self,
        client: &Client,
        site: &SiteFacts,
        caller: &Caller,
        period: Period,
        now: Value,
    ) -> Answer<Value> {
        let last = self.last_told.find(caller, &site.id);
        let stands =
            |last: Option<Told>| last.map_or_else(|| blank(period, "difference"), |last| last.figures);
        if let Some(told) = &last {
            // Rows may have come to the half hour that was told of.
            let grown = people(client, site, told.period).await?;
            let grown = grown.abs_diff(told.figures["visitors"].as_u64().unwrap_or(0));
            if grown > 0 && grown < site.k {
                return Ok(stands(last));
            }
        }
        let question = Question::of_all(site, period, Filter::default());
        match self.guard.admit_window(caller, &question, client).await {
            Ok(()) if self.last_told.keep(caller, &site.id, period, &now) => Ok(now),
            Ok(()) => Ok(stands(last)),
            Err(problem) if problem.is_differencing() => Ok(stands(last)),
            Err(problem) => Err(problem),
        }
    }
}

/// Visitors of a half hour.
async fn people(client: &Client, site: &SiteFacts, period: Period) -> Answer<u64> {
    let mut sql = Sql::default();
    let text = format!("SELECT uniqExact(visitor) {}", of_site(site, period, &mut sql).1);
    let rows = rows(client, &sql, &text).await?;
    Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_u64).unwrap_or(0))
}

/// The first second, and the rows as what stands at `FROM`.
fn of_site(site: &SiteFacts, period: Period, sql: &mut Sql) -> (String, String) {
    let (id, from, to) = (sql.text(&site.id), sql.number(period.from_s), sql.number(period.to_s));
    let rows = format!(
        "FROM consentry.events WHERE site = {id} AND day >= toDate(toDateTime({from}, 'UTC')) AND no_share = 0 AND bot = 0 \
         AND ts >= toDateTime({from}, 'UTC') AND ts < toDateTime({to}, 'UTC')"
    );
    (from, rows)
}

/// RFC 3339 of a second.
fn stamp(second: i64) -> String {
    jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// What is said where nothing may be.
fn blank(period: Period, why: &str) -> Value {
    json!({
        "visitors": null, "minutes": vec![Value::Null; MINUTES as usize], "pages": [], "as_of": stamp(period.to_s),
        "withheld": why,
    })
}

/// What there is to be told; none where it is of fewer than k visitors.
async fn figures(client: &Client, site: &SiteFacts, period: Period) -> Answer<Option<Value>> {
    let mut sql = Sql::default();
    let (from, of_site) = of_site(site, period, &mut sql);
    let k = sql.number(i64::try_from(site.k).unwrap_or(i64::MAX));
    let few = site.k.max(1);
    let views = |group: &str| {
        let groups = format!(
            "SELECT {group} AS g, uniqExact(visitor) AS v, count() AS n, groupUniqArray({few})(visitor) AS few, \
             v < {k} OR {k} = 0 AS own {of_site} AND type = 'pageview' GROUP BY g"
        );
        let [hidden, visitors, size, few] = ["own", "v", "n", "few"].map(str::to_owned);
        let (groups, flags) =
            withhold(groups, &["g".to_owned()], &[Figure { hidden, visitors, size, few }], &k);
        format!("g, n, v, toUInt8({}) FROM ({groups})", flags[0])
    };
    let text = format!(
        "SELECT * FROM (SELECT 0 AS kind, {} UNION ALL SELECT 1, '', 0, uniqExact(visitor), 0 {of_site} \
         UNION ALL SELECT 2, {}) ORDER BY kind, v DESC, g LIMIT 10000",
        views(&format!("toString(intDiv(toUnixTimestamp(ts) - {from}, 60))")),
        views("path"),
    );
    let rows = rows(client, &sql, &text).await?;
    let mut minutes = vec![json!(0); MINUTES as usize];
    let (mut visitors, mut pages) = (0, Vec::new());
    for row in &rows {
        let number = |index: usize| row.get(index).and_then(Value::as_u64).unwrap_or(0);
        let hidden = number(4) == 1;
        match number(0) {
            0 => {
                let minute = row[1].as_str().and_then(|text| text.parse::<usize>().ok());
                if let Some(minute) = minute.and_then(|at| minutes.get_mut(at)) {
                    *minute = if hidden { Value::Null } else { json!(number(2)) };
                }
            }
            1 => visitors = number(3),
            _ if !hidden && pages.len() < PAGES_MAX => {
                pages.push(json!({ "page": row[1], "visitors": number(3) }));
            }
            _ => {}
        }
    }
    let few = site.k == 0 || (visitors > 0 && visitors < site.k);
    Ok((!few).then(
        || json!({ "visitors": visitors, "minutes": minutes, "pages": pages, "as_of": stamp(period.to_s) }),
    ))
}
