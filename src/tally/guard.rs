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
/// How many of them may be of the last half hour.
const PASSING_MAX: usize = 3;
/// For how long.
const KEPT: Duration = Duration::from_secs(1800);
/// With fewer visits, every visitor is looked at.
const VISITS_MIN: u64 = 200_000;
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
    /// Whether it is of the last half hour, which another takes the place of soon.
    passing: bool,
}

/// The last questions of one caller and site. Locked while a new one is compared, so that two at one time meet each other.
type Last = Arc<Mutex<VecDeque<Kept>>>;

/// By caller and site, with the moment of the last one.
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
        self.admit_as(caller, question, client, false).await
    }

    /// The same of the last half hour, which is counted from rows that are in no visit yet.
    pub async fn admit_window(&self, caller: &Caller, question: &Question, client: &Client) -> Answer<()> {
        self.admit_as(caller, question, client, true).await
    }

    async fn admit_as(
        &self,
        caller: &Caller,
        question: &Question,
        client: &Client,
        passing: bool,
    ) -> Answer<()> {
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
        let mut earlier: Vec<Crowd> = last.iter().map(|kept| kept.crowd.clone()).collect();
        // Most differences are large, which lone visitors alone can show at little cost.
        let shown = compare(question, &crowd, &earlier, Measure::Lone, client).await?;
        if shown.first().is_some_and(|visits| *visits >= VISITS_MIN) {
            let mut shown = shown.into_iter().skip(1);
            earlier.retain(|_| shown.next().is_none_or(|lone| lone < question.k));
        }
        let few = |count: &u64| *count > 0 && *count < question.k;
        let counts = compare(question, &crowd, &earlier, Measure::Everybody, client).await?;
        if counts.iter().any(few) {
            return Err(Problem::differencing(question.k));
        }
        if passing {
            let windows = last.iter().filter(|kept| kept.passing).map(|kept| kept.crowd.period).collect();
            if compare_windows(question, windows, client).await?.iter().any(few) {
                return Err(Problem::differencing(question.k));
            }
            while last.iter().filter(|kept| kept.passing).count() >= PASSING_MAX {
                let oldest = last.iter().position(|kept| kept.passing);
                oldest.map(|oldest| last.remove(oldest));
            }
        }
        if last.len() >= KEPT_MAX {
            last.pop_front();
        }
        last.push_back(Kept { crowd, at: now, passing });
        Ok(())
    }
}

/// For each earlier half hour: how many visitors have a row in it and not in the question's, or the other way round.
async fn compare_windows(question: &Question, windows: Vec<Period>, client: &Client) -> Answer<Vec<u64>> {
    if windows.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::default();
    let all: Vec<Period> = std::iter::once(question.period).chain(windows).collect();
    let site = sql.text(&question.site);
    let from = sql.number(all.iter().map(|window| window.from_s).min().unwrap_or(0));
    let within: Vec<String> = all
        .iter()
        .enumerate()
        .map(|(index, window)| {
            let (from, to) = (sql.number(window.from_s), sql.number(window.to_s));
            format!("max(ts >= toDateTime({from}, 'UTC') AND ts < toDateTime({to}, 'UTC')) AS q{index}")
        })
        .collect();
    let differ: Vec<String> = (1..all.len()).map(|index| format!("countIf(q0 != q{index})")).collect();
    let text = format!(
        "SELECT {} FROM (SELECT {} FROM consentry.events WHERE site = {site} AND day >= toDate(toDateTime({from}, 'UTC')) \
         AND no_share = 0 AND bot = 0 AND ts >= toDateTime({from}, 'UTC') GROUP BY visitor)",
        differ.join(", "),
        within.join(", ")
    );
    let rows = rows(client, &sql, &text).await?;
    Ok(rows.first().into_iter().flatten().filter_map(serde_json::Value::as_u64).collect())
}

/// How a difference is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// By the visitors who have one visit alone: no more than there are. Preceded by the number of visits.
    Lone,
    /// By all of them.
    Everybody,
}

/// For each earlier question: how many visitors are counted by one of the two and not by the other.
async fn compare(
    question: &Question,
    crowd: &Crowd,
    earlier: &[Crowd],
    measure: Measure,
    client: &Client,
) -> Answer<Vec<u64>> {
    if earlier.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::default();
    let all = std::iter::once(crowd).chain(earlier);
    let widest = Period {
        from_s: all.clone().map(|crowd| crowd.period.from_s).min().unwrap_or(0),
        to_s: all.clone().map(|crowd| crowd.period.to_s).max().unwrap_or(0),
    };
    let conditions: Vec<String> = all
        .map(|crowd| {
            let scope = Scope::new(&question.site, &question.zone, crowd.period, &mut sql);
            let filter = crowd.filter.write(Fact::Visits, &scope, &mut sql);
            format!("(start < {} AND end >= {} AND {filter})", scope.to, scope.from)
        })
        .collect();
    let scope = Scope::new(&question.site, &question.zone, widest, &mut sql);
    let columns = "visitor, lone, events_of, start, end, channel, source, medium, campaign, content, term, referrer_host, entry_path, \
                   entry_host, exit_path, exit_host, device, browser, browser_major, os, os_major, screen, country, language";
    let visits = scope.visits(columns, "1");
    let named = |function: &str| {
        let named = conditions.iter().enumerate();
        named.map(|(index, text)| format!("{function}({text}) AS q{index}")).collect::<Vec<_>>().join(", ")
    };
    let sums = |more: &str| {
        let sums = (1..conditions.len()).map(|index| format!("countIf({more}q0 != q{index})"));
        sums.collect::<Vec<_>>().join(", ")
    };
    let text = match measure {
        Measure::Lone => {
            format!(
                "SELECT count(), {} FROM (SELECT lone, {} FROM {visits})",
                sums("lone = 1 AND "),
                named("toBool")
            )
        }
        Measure::Everybody => {
            format!(
                "SELECT {} FROM (SELECT visitor, {} FROM {visits} GROUP BY visitor)",
                sums(""),
                named("max")
            )
        }
    };
    let rows = rows(client, &sql, &text).await?;
    Ok(rows.first().into_iter().flatten().filter_map(serde_json::Value::as_u64).collect())
}
