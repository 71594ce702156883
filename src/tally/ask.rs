//! Runs a question and makes its answer.

use std::collections::HashMap;
use std::time::Duration;

use clickhouse::Client;
use serde_json::{Map, Value, json};

use super::books;
use super::plan::Question;
use super::problem::{Answer, Problem};
use super::query::{Asked, SiteFacts, site_of};
use super::shares::Share;
use super::sql::Sql;
use super::words::Metric;
use super::{Statistics, guard::Caller};
use crate::store::State;

/// How long a question waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(20);
/// How long the store may take. A little more than its own limit, which says so better.
const STORE_WAIT: Duration = Duration::from_secs(35);

/// A row of an answer.
struct Row {
    dimensions: Vec<String>,
    metrics: Vec<Value>,
}

/// The rows of one statement, and what was withheld.
#[derive(Default)]
struct Table {
    rows: Vec<Row>,
    total: u64,
    withheld_groups: u64,
    withheld: Option<Vec<Value>>,
}

impl Statistics {
    /// The site of a body, as questions meet it.
    pub(super) async fn site(&self, id: &str, client: &Client) -> Answer<SiteFacts> {
        let sites = self.sites.now();
        let site = sites.by_id(id).ok_or_else(Problem::site)?;
        let zone = jiff::tz::TimeZone::get(&site.timezone).map_err(|_| Problem::away())?;
        let mut sql = Sql::default();
        let text = format!(
            "SELECT toInt64(toUnixTimestamp(min(hour))) FROM consentry.pages WHERE site = {} HAVING count() > 0",
            sql.text(id)
        );
        let first = sql.bind(client.query_raw(&text)).fetch_optional::<i64>().await;
        let first = first.map_err(|error| Problem::of_store(&error))?;
        Ok(SiteFacts {
            id: site.id.clone(),
            zone_name: site.timezone.clone(),
            zone,
            k: u64::from(site.k_anonymity),
            first_day: first.map(|second| second.div_euclid(86_400)),
        })
    }

    /// A client that may read; the error says that the store is away.
    pub(super) fn client(&self) -> Answer<Client> {
        if matches!(*self.store.borrow(), State::Starting(_)) {
            return Err(Problem::away());
        }
        self.source.statistics().ok_or_else(Problem::away)
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Answer<tokio::sync::SemaphorePermit<'_>> {
        let turn = tokio::time::timeout(TURN_WAIT, self.places.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(Problem::busy)
    }

    /// Answers `POST /v1/stats/query`.
    pub(super) async fn query(
        &self,
        body: &Map<String, Value>,
        caller: &Caller,
        share: Option<&Share>,
    ) -> Answer<Value> {
        if let Some(share) = share {
            share.allows(site_of(body)?, None)?;
        }
        let client = self.client()?;
        let site = self.site(site_of(body)?, &client).await?;
        let mut asked = Asked::parse(body, &site, self.clock.now_ms())?;
        for period in [Some(asked.question.period), asked.include.comparison].into_iter().flatten() {
            share.map_or(Ok(()), |share| share.allows(&site.id, Some(period)))?;
        }
        let _turn = self.turn().await?;
        let fresh = self.fresh.look(&self.source, &self.clock).await;
        self.guard.admit(caller, &asked.question, &client).await?;
        let found = self.lone.found(&asked.question, &client).await?;
        (asked.question.lone, asked.question.rolled) = (found.lone, found.rolled);
        let question = &asked.question;
        let former = asked.include.comparison.map(|period| Question {
            period,
            // Every group of the answer has to find its own.
            limit: 100_000,
            offset: 0,
            lone: false,
            rolled: None,
            ..question.clone()
        });
        if let Some(former) = &former {
            self.guard.admit(caller, former, &client).await?;
        }
        let compared = async {
            match &former {
                Some(former) => run(&client, former).await.map(Some),
                None => Ok(None),
            }
        };
        let books = books::completeness(&client, &site.id, question.period);
        let (mut table, mut former_table, mut books) =
            tokio::try_join!(run(&client, question), compared, books)?;
        let noise = share.and_then(Share::told);
        if let (Some(share), true) = (share, noise.is_some()) {
            table.noise(share, question);
            if let (Some(table), Some(former)) = (&mut former_table, &former) {
                table.noise(share, former);
            }
            // The books are exact.
            books =
                json!({ "share_stored": books["share_stored"], "share_consented": books["share_consented"] });
        }
        let former_rows = former_table.map(|table| Former::new(table, &asked, &site));
        let results: Vec<Value> = table
            .rows
            .iter()
            .map(|row| {
                let mut result = json!({ "dimensions": row.dimensions, "metrics": row.metrics });
                if let Some(former) = &former_rows {
                    result["comparison"] = former.beside(row, &question.metrics);
                }
                result
            })
            .collect();
        let mut meta = json!({
            "withheld": { "groups": table.withheld_groups, "metrics": table.withheld },
            "k_anonymity": site.k,
            "time_zone": site.zone_name,
        });
        if asked.include.total_rows {
            meta["total_rows"] = table.total.into();
        }
        if let (true, Some((_, grain))) = (asked.include.time_labels, asked.time()) {
            meta["time_labels"] = question.period.labels(grain, &site.zone).into();
        }
        if let Some(period) = asked.include.comparison {
            meta["comparison_date_range"] = json!(period.stamps(&site.zone));
        }
        if !fresh {
            meta["warnings"] = json!(["visits of many rows that came lately are still being made"]);
        }
        if let Some(noise) = noise {
            meta["noise"] = noise;
        }
        Ok(json!({
            "results": results, "meta": meta, "query": asked.to_json(&site.zone), "completeness": books,
        }))
    }
}

impl Table {
    fn noise(&mut self, share: &Share, question: &Question) {
        for row in &mut self.rows {
            share.noise(question, &row.dimensions, &mut row.metrics);
        }
        if let Some(withheld) = &mut self.withheld {
            share.noise(question, &["(withheld)".to_owned()], withheld);
        }
    }
}

/// The rows of the period that is compared with.
struct Former {
    rows: HashMap<Vec<String>, Vec<Value>>,
    /// Labels of time now and then, in the same order, and the place of that dimension.
    labels: Option<(usize, HashMap<String, String>)>,
}

impl Former {
    fn new(table: Table, asked: &Asked, site: &SiteFacts) -> Self {
        let labels = asked.time().zip(asked.include.comparison).map(|((place, grain), former)| {
            let now = asked.question.period.labels(grain, &site.zone);
            let then = former.labels(grain, &site.zone);
            (place, now.into_iter().zip(then).collect())
        });
        let rows = table.rows.into_iter().map(|row| (row.dimensions, row.metrics)).collect();
        Self { rows, labels }
    }

    /// What stands beside a row; a former group that is not shown is null throughout.
    fn beside(&self, row: &Row, metrics: &[Metric]) -> Value {
        let mut key = row.dimensions.clone();
        if let Some((place, labels)) = &self.labels {
            match labels.get(&key[*place]) {
                Some(then) => key[*place].clone_from(then),
                None => {
                    return json!({ "metrics": vec![Value::Null; metrics.len()], "change": vec![Value::Null; metrics.len()] });
                }
            }
        }
        let former = self.rows.get(&key).cloned().unwrap_or_else(|| vec![Value::Null; metrics.len()]);
        let change: Vec<Value> = metrics
            .iter()
            .zip(row.metrics.iter().zip(&former))
            .map(|(metric, (now, then))| change(*metric, now.as_f64(), then.as_f64()))
            .collect();
        let mut beside = json!({ "metrics": former, "change": change });
        if self.labels.is_some() {
            beside["dimensions"] = json!(key);
        }
        beside
    }
}

/// In percent; of a share of visits, in points.
fn change(metric: Metric, now: Option<f64>, then: Option<f64>) -> Value {
    match (now, then) {
        (Some(now), Some(then)) if matches!(metric, Metric::BounceRate | Metric::ScrollDepth) => {
            json!((now - then).round())
        }
        (Some(now), Some(then)) if then != 0.0 => json!(((now - then) / then * 100.0).round()),
        (Some(now), Some(_)) => json!(if now == 0.0 { 0.0 } else { 100.0 }),
        _ => Value::Null,
    }
}

/// Runs a question's statement.
async fn run(client: &Client, question: &Question) -> Answer<Table> {
    let mut sql = Sql::default();
    let text = question.statement(&mut sql)?;
    let lines = rows(client, &sql, &text).await?;
    let mut table = Table::default();
    let dimensions = question.dimensions.len();
    for line in lines {
        let mut cells = line.into_iter();
        let mut number = || cells.next().as_ref().and_then(Value::as_u64).unwrap_or(0);
        let (withheld, total, groups) = (number() == 1, number(), number());
        let named: Vec<String> = cells
            .by_ref()
            .take(dimensions)
            .map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned))
            .collect();
        let metrics: Vec<Value> = cells.map(whole).collect();
        if withheld {
            table.withheld_groups = groups;
            table.withheld = metrics.iter().any(|metric| !metric.is_null()).then_some(metrics);
        } else {
            table.total = total;
            table.rows.push(Row { dimensions: named, metrics });
        }
    }
    Ok(table)
}

/// A whole number without a fraction.
fn whole(value: Value) -> Value {
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 && number.abs() < 9e15 => json!(number as i64),
        _ => value,
    }
}

/// Runs a statement; each row is a list of cells.
pub(super) async fn rows(client: &Client, sql: &Sql, text: &str) -> Answer<Vec<Vec<Value>>> {
    if tracing::enabled!(tracing::Level::TRACE) {
        tracing::trace!(statement = text, "a question of statistics");
    }
    let query = sql.bind(client.query_raw(text));
    let fetched = async {
        let mut cursor = query.fetch_bytes("JSONCompactEachRow")?;
        cursor.collect().await
    };
    let bytes = match tokio::time::timeout(STORE_WAIT, fetched).await {
        Ok(bytes) => bytes.map_err(|error| Problem::of_store(&error))?,
        Err(_) => return Err(Problem::too_much()),
    };
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|_| Problem::away())).collect()
}
