//! Whether marks of lone rows, and days that are added up, can be believed.
//!
//! Most visitors of a day have one visit, and one row of page views of a path. Such rows are marked when a day is settled, and
//! counted without remembering their visitors. Marks know the days beside theirs; a visitor has another number on each day, so
//! no more is needed. Rows that were brought from elsewhere may not keep to that, so it is tried out on a part of the visitors
//! before marks are believed; where there are few rows, nothing is gained and visitors are counted one by one. The same holds
//! for days that are added up (see [`super::rolled`]), for which a visitor may be there on two days beside each other alone.

use std::collections::HashMap;
use std::time::Duration;

use clickhouse::Client;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::ask::rows;
use super::period::Period;
use super::plan::Question;
use super::problem::Answer;
use super::sql::{Scope, Sql};
use super::words::Fact;

/// With fewer rows of visits, visitors are counted one by one.
const VISITS_MIN: u64 = 200_000;
/// One visitor in so many is looked at.
const PART: u64 = 64;
/// How long what was found is believed.
const KEPT: Duration = Duration::from_secs(300);
const KEPT_MAX: usize = 1000;

/// What was found of a site and period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Whether the marks can be believed.
    pub lone: bool,
    /// The last UTC day (since 1970) until which days can be added up.
    pub rolled: Option<i64>,
}

/// What was found, by site and period.
#[derive(Debug, Default)]
pub struct Lone {
    found: Mutex<HashMap<(String, Period), (Instant, Found)>>,
}

impl Lone {
    /// What can be believed of a question's site and period.
    pub async fn found(&self, question: &Question, client: &Client) -> Answer<Found> {
        let mut kept = self.found.lock().await;
        let now = Instant::now();
        kept.retain(|_, (at, _)| now < *at + KEPT);
        let key = (question.site.clone(), question.period);
        if let Some((_, found)) = kept.get(&key) {
            return Ok(*found);
        }
        let mut sql = Sql::default();
        let scope = Scope::new(&question.site, &question.zone, question.period, &mut sql);
        let pages = format!("FROM {} AND visitor % {PART} = 0", scope.rows(Fact::Pages));
        let text = format!(
            "SELECT count(), countIf(visitor % {PART} = 0 AND lone = 1) + uniqExactIf(visitor, visitor % {PART} = 0 AND lone = 0) \
             = uniqExactIf(visitor, visitor % {PART} = 0), (SELECT countIf(lone = 1) + uniqExactIf((path, visitor), lone = 0) \
             = uniqExact((path, visitor)) {pages}), \
             (SELECT max(days) FROM (SELECT toUInt32(max(day) - min(day)) AS days {pages} GROUP BY visitor)), \
             (SELECT toUInt32(toUInt16(max(day))) FROM consentry.page_days WHERE kind = 'done') FROM {}",
            scope.visits("visitor, lone", "1")
        );
        let rows = rows(client, &sql, &text).await?;
        let cell =
            |index: usize| rows.first().and_then(|row| row.get(index)).and_then(Value::as_u64).unwrap_or(0);
        let found = Found {
            lone: cell(0) >= VISITS_MIN && cell(1) == 1 && cell(2) == 1,
            rolled: (cell(3) <= 1 && cell(4) > 0).then(|| i64::try_from(cell(4)).unwrap_or(0)),
        };
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (now, found));
        Ok(found)
    }
}
