//! `POST /v1/stats/funnel`: how many visits did one thing after the other, within a window of time.

use clickhouse::Client;
use serde_json::{Map, Value, json};

use super::ask::rows;
use super::books;
use super::filter::Filter;
use super::period::Period;
use super::plan::Question;
use super::problem::{Answer, Problem};
use super::query::{SiteFacts, only};
use super::sql::{KEY, Scope, Sql};
use super::words::Fact;

const STEPS_MAX: usize = 10;
const TEXT_BYTES_MAX: usize = 500;
const WINDOW_S_MAX: u64 = 86_400;
/// As long as a visit may pause.
const WINDOW_S: u64 = 1800;

/// What a visit has to do.
#[derive(Debug)]
enum Step {
    Page(String),
    Event(String),
    Point(String),
}

/// A funnel, understood.
#[derive(Debug)]
pub struct Funnel {
    steps: Vec<Step>,
    window_s: u64,
    /// Of whom it tells, for the guard.
    pub question: Question,
}

/// Each step with each later one; the last stands for the end.
fn pairs(count: usize) -> Vec<(usize, usize)> {
    (1..=count).flat_map(|from| (from + 1..=count + 1).map(move |to| (from, to))).collect()
}

impl Funnel {
    /// Reads the body of a funnel at `now_ms`.
    pub fn parse(body: &Map<String, Value>, site: &SiteFacts, now_ms: i64) -> Answer<Self> {
        only(body, &["site", "site_id", "date_range", "steps", "window_s", "filters"])?;
        let range = body.get("date_range").unwrap_or(&Value::Null);
        let period = Period::parse(range, "date_range", &site.zone, now_ms, site.first_day)?;
        let wrong = |field: &str, message: String| Problem::field("funnel_invalid", field, message);
        let written = body.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if !(1..=STEPS_MAX).contains(&written.len()) {
            return Err(wrong("steps", format!("takes 1 to {STEPS_MAX} steps")));
        }
        let mut steps = Vec::with_capacity(written.len());
        for (index, value) in written.iter().enumerate() {
            let named = value.as_object().filter(|step| step.len() == 1).and_then(|step| step.iter().next());
            let named = named.and_then(|(name, text)| Some((name.as_str(), text.as_str()?.to_owned())));
            let named =
                named.filter(|(_, text)| (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.contains('\0'));
            steps.push(match named {
                Some(("page", text)) => Step::Page(text),
                Some(("event", text)) => Step::Event(text),
                Some(("point", text)) => Step::Point(text),
                _ => {
                    let message = "takes {\"page\": \"/path or /path/*\"}, {\"event\": \"name\"} or {\"point\": \"name\"}";
                    return Err(wrong(&format!("steps[{index}]"), message.to_owned()));
                }
            });
        }
        let window_s = match body.get("window_s") {
            None | Some(Value::Null) => WINDOW_S,
            Some(value) => value
                .as_u64()
                .filter(|seconds| (1..=WINDOW_S_MAX).contains(seconds))
                .ok_or_else(|| wrong("window_s", format!("takes 1 to {WINDOW_S_MAX} seconds")))?,
        };
        let question = Question::of_all(site, period, Filter::parse(body.get("filters"))?);
        Ok(Self { steps, window_s, question })
    }

    fn statement(&self, sql: &mut Sql) -> String {
        let Question { site, zone, period, filter, .. } = &self.question;
        let scope = Scope::new(site, zone, *period, sql);
        let rows = scope
            .rows(Fact::Vitals)
            .replace("type = 'performance'", "type IN ('pageview', 'custom', 'click')");
        let conditions: Vec<String> = self
            .steps
            .iter()
            .map(|step| match step {
                Step::Page(page) if page.contains('*') => {
                    let parts: Vec<String> = page.split('*').map(regex::escape).collect();
                    format!(
                        "type = 'pageview' AND match(path, {})",
                        sql.text(&format!("^{}$", parts.join(".*")))
                    )
                }
                Step::Page(page) => format!("type = 'pageview' AND path = {}", sql.text(page)),
                Step::Event(name) => format!("type = 'custom' AND name = {}", sql.text(name)),
                Step::Point(point) => format!("type = 'click' AND point = {}", sql.text(point)),
            })
            .collect();
        let filtered = match filter.is_empty() {
            true => "1".to_owned(),
            false => {
                let inner = filter.write(Fact::Visits, &scope, sql);
                scope.within(Fact::Vitals, Fact::Visits, &inner)
            }
        };
        let any = conditions.join(") OR (");
        // Visits that came so far, then for each two steps the visitors of visits that came to the one and not to the other.
        let count = self.steps.len();
        let mut levels: Vec<String> = (1..=count).map(|level| format!("countIf(level >= {level})")).collect();
        for (from, to) in pairs(count) {
            levels.push(format!("uniqExactIf(someone, level >= {from} AND level < {to})"));
        }
        format!(
            "SELECT {} FROM (SELECT any(visitor) AS someone, windowFunnel({})(toUInt64(toUnixTimestamp64Milli(ts)), {}) AS level \
             FROM {rows} AND (({any})) AND {filtered} GROUP BY {KEY})",
            levels.join(", "),
            self.window_s * 1000,
            conditions.join(", "),
        )
    }

    /// Runs it.
    pub async fn run(&self, client: &Client, site: &SiteFacts) -> Answer<Value> {
        let mut sql = Sql::default();
        let text = self.statement(&mut sql);
        let period = self.question.period;
        let (rows, books) =
            tokio::try_join!(rows(client, &sql, &text), books::completeness(client, &site.id, period))?;
        let cell =
            |index: usize| rows.first().and_then(|row| row.get(index)).and_then(Value::as_u64).unwrap_or(0);
        let count = self.steps.len();
        let between = |from: usize, to: usize| {
            let place = pairs(count).iter().position(|pair| *pair == (from, to)).unwrap_or(usize::MAX);
            cell(count.saturating_add(place))
        };
        let few = |visitors: u64| visitors > 0 && visitors < site.k;
        // A step is shown where k visitors came to it, and k or none were left behind since each step that is shown.
        let mut visits: Vec<Option<u64>> = Vec::with_capacity(count);
        for step in 1..=count {
            let shown = (1..step).filter(|former| visits[former - 1].is_some());
            let hidden =
                few(between(step, count + 1)) || shown.into_iter().any(|former| few(between(former, step)));
            visits.push((site.k > 0 && !hidden).then(|| cell(step - 1)));
        }
        let share = |part: Option<u64>, of: Option<u64>| match (part, of) {
            (Some(part), Some(of)) if of > 0 => {
                json!((part as f64 / of as f64 * 10_000.0).round() / 10_000.0)
            }
            _ => Value::Null,
        };
        let steps: Vec<Value> = self
            .steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let (Step::Page(label) | Step::Event(label) | Step::Point(label)) = step;
                let former = if index == 0 { visits[0] } else { visits[index - 1] };
                json!({
                    "label": label, "visits": visits[index], "share_of_first": share(visits[index], visits[0]),
                    "share_of_former": share(visits[index], former),
                })
            })
            .collect();
        Ok(json!({
            "steps": steps,
            "meta": {
                "k_anonymity": site.k, "time_zone": site.zone_name, "window_s": self.window_s,
                "withheld": { "groups": visits.iter().filter(|visits| visits.is_none()).count(), "metrics": null },
                "date_range": period.stamps(&site.zone),
            },
            "completeness": books,
        }))
    }
}
