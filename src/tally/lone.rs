//! Whether marks of lone rows can be believed.
//!
//! Most visitors of a day have one visit, and one row of page views of a path. Such rows are marked when a day is settled, and
//! counted without remembering their visitors. Marks know the days beside theirs; a visitor has another number on each day, so
//! no more is needed. Rows that were brought from elsewhere may not keep to that, so it is tried out on a part of the visitors
//! before marks are believed; where there are few rows, nothing is gained and visitors are counted one by one.

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

/// What was found, by site and period.
#[derive(Debug, Default)]
pub struct Lone {
    found: Mutex<HashMap<(String, Period), (Instant, bool)>>,
}

impl Lone {
    /// Whether the marks of a question's site and period can be believed.
    pub async fn believed(&self, question: &Question, client: &Client) -> Answer<bool> {
        let mut found = self.found.lock().await;
        let now = Instant::now();
        found.retain(|_, (at, _)| now < *at + KEPT);
        let key = (question.site.clone(), question.period);
        if let Some((_, believed)) = found.get(&key) {
            return Ok(*believed);
        }
        let mut sql = Sql::default();
        let scope = Scope::new(&question.site, &question.zone, question.period, &mut sql);
        let text = format!(
            "SELECT count(), countIf(visitor % {PART} = 0 AND lone = 1) + uniqExactIf(visitor, visitor % {PART} = 0 AND lone = 0) \
             = uniqExactIf(visitor, visitor % {PART} = 0), (SELECT countIf(lone = 1) + uniqExactIf((path, visitor), lone = 0) \
             = uniqExact((path, visitor)) FROM {} AND visitor % {PART} = 0) FROM {}",
            scope.rows(Fact::Pages),
            scope.visits("visitor, lone", "1")
        );
        let rows = rows(client, &sql, &text).await?;
        let cell =
            |index: usize| rows.first().and_then(|row| row.get(index)).and_then(Value::as_u64).unwrap_or(0);
        let believed = cell(0) >= VISITS_MIN && cell(1) == 1 && cell(2) == 1;
        if found.len() >= KEPT_MAX {
            found.clear();
        }
        found.insert(key, (now, believed));
        Ok(believed)
    }
}
