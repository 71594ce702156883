//! The guard against differences: two answers that each tell of many may, one taken from the other, tell of a few.
//!
//! For each caller and site the last questions are kept: their period and filters, not their figures. A new one is admitted if
//! the visitors that it counts and an earlier one does not, or the other way round, are none or at least k. Both are asked of
//! the store in one statement. What is kept is bounded in number and time, and holds no figure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use clickhouse::Client;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::ask::rows;
use super::filter::Filter;
use super::period::Period;
use super::plan::Question;
use super::problem::{Answer, Problem};
use super::sql::{Scope, Sql};
use super::words::Fact;

/// Questions of one caller and site that a new one is compared with.
const KEPT_MAX: usize = 12;
/// For how long.
const KEPT: Duration = Duration::from_secs(1800);
/// Callers and sites at one time; the one that was quiet for longest makes room.
const CALLERS_MAX: usize = 500;

/// Who asks: the hash of a token, or whoever is on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Caller(pub [u8; 32]);

/// Of whom a question tells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Crowd {
    period: Period,
    filter: Filter,
}

#[derive(Debug)]
struct Kept {
    crowd: Crowd,
    at: Instant,
}

/// The last questions of one caller and site. Locked while a new one is compared, so that two at one time meet each other.
type Last = Arc<Mutex<VecDeque<Kept>>>;

/// The last questions of each caller and site, with when the last one was asked.
type Callers = HashMap<(Caller, String), (Last, Option<Instant>)>;

/// The last questions of everybody.
#[derive(Debug, Default)]
pub struct Guard {
    callers: std::sync::Mutex<Callers>,
}

impl Guard {
    fn last(&self, caller: &Caller, site: &str) -> Last {
        let mut callers = match self.callers.lock() {
            Ok(callers) => callers,
            // Whoever panicked held no half-changed state.
            Err(poisoned) => poisoned.into_inner(),
        };
        let key = (caller.clone(), site.to_owned());
        if !callers.contains_key(&key) && callers.len() >= CALLERS_MAX {
            let quiet = callers.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| key.clone());
            quiet.map(|quiet| callers.remove(&quiet));
        }
        let entry = callers.entry(key).or_default();
        entry.1 = Some(Instant::now());
        entry.0.clone()
    }

    /// Admits a question, or says why not. Keeps it where it is admitted.
    pub async fn admit(&self, caller: &Caller, question: &Question, client: &Client) -> Answer<()> {
        let crowd = Crowd { period: question.period, filter: question.filter.clone() };
        let last = self.last(caller, &question.site);
        let mut last = last.lock().await;
        let now = Instant::now();
        last.retain(|kept| now < kept.at + KEPT);
        if let Some(place) = last.iter().position(|kept| kept.crowd == crowd) {
            // The same again tells nothing new, and stays for as long as it is asked.
            if let Some(mut kept) = last.remove(place) {
                kept.at = now;
                last.push_back(kept);
            }
            return Ok(());
        }
        let earlier: Vec<Crowd> = last.iter().map(|kept| kept.crowd.clone()).collect();
        if !earlier.is_empty() {
            let mut sql = Sql::default();
            let text = differences(question, &crowd, &earlier, &mut sql);
            let rows = rows(client, &sql, &text).await?;
            let few = |count: u64| count > 0 && count < question.k;
            let counts = rows.first().into_iter().flatten().filter_map(serde_json::Value::as_u64);
            if counts.into_iter().any(few) {
                return Err(Problem::differencing(question.k));
            }
        }
        if last.len() >= KEPT_MAX {
            last.pop_front();
        }
        last.push_back(Kept { crowd, at: now });
        Ok(())
    }
}

/// For each earlier question: how many visitors are counted by one of the two and not by the other.
fn differences(question: &Question, crowd: &Crowd, earlier: &[Crowd], sql: &mut Sql) -> String {
    let all = std::iter::once(crowd).chain(earlier);
    let widest = Period {
        from_s: all.clone().map(|crowd| crowd.period.from_s).min().unwrap_or(0),
        to_s: all.clone().map(|crowd| crowd.period.to_s).max().unwrap_or(0),
    };
    let conditions: Vec<String> = all
        .map(|crowd| {
            let scope = Scope::new(&question.site, &question.zone, crowd.period, sql);
            let filter = crowd.filter.write(Fact::Visits, &scope, sql);
            format!("(start < {} AND end >= {} AND {filter})", scope.to, scope.from)
        })
        .collect();
    let flags: Vec<String> =
        conditions.iter().enumerate().map(|(index, text)| format!("max({text}) AS q{index}")).collect();
    let sums: Vec<String> = (1..conditions.len()).map(|index| format!("countIf(q0 != q{index})")).collect();
    let scope = Scope::new(&question.site, &question.zone, widest, sql);
    let columns = "visitor, events_of, start, end, channel, source, medium, campaign, content, term, referrer_host, entry_path, \
                   entry_host, exit_path, exit_host, device, browser, browser_major, os, os_major, screen, country, language";
    format!(
        "SELECT {} FROM (SELECT visitor, {} FROM {} GROUP BY visitor)",
        sums.join(", "),
        flags.join(", "),
        scope.visits(columns, "1")
    )
}
