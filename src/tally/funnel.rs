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
use super::words::{Fact, Metric};

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
        let question = Question {
            site: site.id.clone(),
            zone: site.zone_name.clone(),
            k: site.k,
            period,
            metrics: vec![Metric::Visits],
            dimensions: Vec::new(),
            filter: Filter::parse(body.get("filters"))?,
            order: Vec::new(),
            limit: 1,
            offset: 0,
            lone: false,
        };
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
        let levels: Vec<String> = (1..=self.steps.len())
            .map(|level| format!("countIf(level >= {level}), uniqExactIf(someone, level >= {level})"))
            .collect();
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
        let visits: Vec<Option<u64>> = (0..self.steps.len())
            .map(|step| {
                let (visits, visitors) = (cell(step * 2), cell(step * 2 + 1));
                (site.k > 0 && (visitors == 0 || visitors >= site.k)).then_some(visits)
            })
            .collect();
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
