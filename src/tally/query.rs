//! The body of a question, read field by field, so that an error names the field that is wrong.

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::filter::Filter;
use super::period::Period;
use super::plan::{By, Question};
use super::problem::{Answer, Problem};
use super::words::{Dimension, Grain, Metric};

const METRICS_MAX: usize = 20;
const DIMENSIONS_MAX: usize = 4;
/// Rows of one answer.
const LIMIT_MAX: u64 = 10_000;
const OFFSET_MAX: u64 = 1_000_000;

/// What may be asked for beside the figures.
#[derive(Debug, Clone, Default)]
pub struct Include {
    /// The labels of all parts of the period.
    pub time_labels: bool,
    /// How many rows there are in all.
    pub total_rows: bool,
    /// The period to compare with.
    pub comparison: Option<Period>,
}

/// A site as questions meet it.
#[derive(Debug, Clone)]
pub struct SiteFacts {
    /// Its id.
    pub id: String,
    /// Its time zone's name.
    pub zone_name: String,
    /// Its time zone.
    pub zone: TimeZone,
    /// The least visitors of a group that is shown.
    pub k: u64,
    /// The first UTC day (since 1970) of which there is something.
    pub first_day: Option<i64>,
}

/// A question and what goes with it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What is asked.
    pub question: Question,
    /// What else.
    pub include: Include,
    /// The filters as they were sent, for the answer's `query`.
    filters: Value,
    /// `time` as a dimension's name, by its place: it is answered under the name that was asked.
    auto_time: Option<usize>,
}

/// The site that a body names, before anything else of it is read.
pub fn site_of(body: &Map<String, Value>) -> Answer<&str> {
    let named = body.get("site").or_else(|| body.get("site_id"));
    named.and_then(Value::as_str).ok_or_else(|| Problem::field("site_missing", "site", "takes a site's id"))
}

/// Refuses names that are not known: a misspelt filter must not give the figures of everybody.
pub fn only(body: &Map<String, Value>, known: &[&str]) -> Answer<()> {
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(_) => Err(Problem::body(format!(
            "the body has a field that is not known; known are {}",
            known.join(", ")
        ))),
    }
}

fn list<'a>(body: &'a Map<String, Value>, field: &str, max: usize) -> Answer<&'a [Value]> {
    let code = "list_invalid";
    match body.get(field) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) if list.len() <= max => Ok(list),
        Some(Value::Array(_)) => Err(Problem::field(code, field, format!("takes at most {max}"))),
        Some(_) => Err(Problem::field(code, field, "takes a list")),
    }
}

fn flag(map: &Map<String, Value>, name: &str) -> Answer<bool> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Problem::field("include_invalid", format!("include.{name}"), "takes true or false")),
    }
}

impl Asked {
    /// Reads the body of a question about a site at `now_ms`.
    pub fn parse(body: &Map<String, Value>, site: &SiteFacts, now_ms: i64) -> Answer<Self> {
        only(
            body,
            &[
                "site",
                "site_id",
                "metrics",
                "date_range",
                "dimensions",
                "filters",
                "include",
                "order_by",
                "pagination",
                "format",
            ],
        )?;
        let metrics = Self::metrics(body)?;
        let range = body.get("date_range").unwrap_or(&Value::Null);
        let period = Period::parse(range, "date_range", &site.zone, now_ms, site.first_day)?;
        let mut dimensions: Vec<Dimension> = Vec::new();
        let mut auto_time = None;
        for (index, value) in list(body, "dimensions", DIMENSIONS_MAX)?.iter().enumerate() {
            let field = format!("dimensions[{index}]");
            let name = value.as_str().unwrap_or_default();
            let dimension = match name {
                "time" => {
                    auto_time = Some(index);
                    Dimension::Time(period.grain())
                }
                _ => Dimension::of_name(name).ok_or_else(|| {
                    let known = Dimension::names().join(", ");
                    Problem::field("dimension_unknown", field.clone(), format!("takes one of {known}, time"))
                })?,
            };
            let again = |other: &&Dimension| {
                **other == dimension || matches!((other, dimension), (Dimension::Time(_), Dimension::Time(_)))
            };
            if dimensions.iter().find(again).is_some() {
                return Err(Problem::field("dimension_twice", field, "is there twice"));
            }
            dimensions.push(dimension);
        }
        let filter = Filter::parse(body.get("filters"))?;
        let include = Self::include(body, site, period, now_ms)?;
        let order = Self::order(body, &metrics, &dimensions, auto_time)?;
        let (limit, offset) = Self::pagination(body)?;
        let question = Question {
            site: site.id.clone(),
            zone: site.zone_name.clone(),
            k: site.k,
            period,
            metrics,
            dimensions,
            filter,
            order,
            limit,
            offset,
            lone: false,
            rolled: None,
        };
        question.facts()?;
        let filters = body.get("filters").cloned().unwrap_or_else(|| json!([]));
        Ok(Self { question, include, filters, auto_time })
    }

    fn metrics(body: &Map<String, Value>) -> Answer<Vec<Metric>> {
        let mut metrics: Vec<Metric> = Vec::new();
        for (index, value) in list(body, "metrics", METRICS_MAX)?.iter().enumerate() {
            let field = format!("metrics[{index}]");
            let metric = value.as_str().and_then(Metric::of_name).ok_or_else(|| {
                let known: Vec<String> = Metric::all().into_iter().map(Metric::name).collect();
                Problem::field("metric_unknown", field.clone(), format!("takes one of {}", known.join(", ")))
            })?;
            if metrics.contains(&metric) {
                return Err(Problem::field("metric_twice", field, "is there twice"));
            }
            metrics.push(metric);
        }
        match metrics.is_empty() {
            true => Err(Problem::field("metrics_missing", "metrics", "takes at least one metric")),
            false => Ok(metrics),
        }
    }

    fn include(body: &Map<String, Value>, site: &SiteFacts, period: Period, now_ms: i64) -> Answer<Include> {
        let wrong = |field: &str, message: &str| Problem::field("include_invalid", field, message);
        let map = match body.get("include") {
            None | Some(Value::Null) => return Ok(Include::default()),
            Some(Value::Object(map)) => map,
            Some(_) => return Err(wrong("include", "takes an object")),
        };
        if map.keys().any(|key| !matches!(key.as_str(), "time_labels" | "total_rows" | "comparisons")) {
            return Err(wrong("include", "takes time_labels, total_rows and comparisons"));
        }
        let comparison = match map.get("comparisons") {
            None | Some(Value::Null) => None,
            Some(value) => match value["mode"].as_str() {
                Some("previous_period") => Some(period.before(&site.zone)),
                Some("year_over_year") => Some(period.year_before(&site.zone)),
                Some("custom") => {
                    let range = &value["date_range"];
                    let field = "include.comparisons.date_range";
                    Some(Period::parse(range, field, &site.zone, now_ms, site.first_day)?)
                }
                _ => {
                    let modes = "takes previous_period, year_over_year, or custom with a date_range";
                    return Err(wrong("include.comparisons.mode", modes));
                }
            },
        };
        Ok(Include {
            time_labels: flag(map, "time_labels")?,
            total_rows: flag(map, "total_rows")?,
            comparison,
        })
    }

    fn order(
        body: &Map<String, Value>,
        metrics: &[Metric],
        dimensions: &[Dimension],
        auto_time: Option<usize>,
    ) -> Answer<Vec<(By, bool)>> {
        let written = list(body, "order_by", METRICS_MAX + DIMENSIONS_MAX)?;
        if written.is_empty() {
            let time = dimensions.iter().position(|dimension| matches!(dimension, Dimension::Time(_)));
            return Ok(vec![time.map_or((By::Metric(0), true), |index| (By::Dimension(index), false))]);
        }
        let mut order = Vec::with_capacity(written.len());
        for (index, value) in written.iter().enumerate() {
            let field = format!("order_by[{index}]");
            let wrong = |part: &str, message: &str| {
                Problem::field("order_invalid", format!("{field}{part}"), message)
            };
            let parts = value.as_array().filter(|parts| parts.len() == 2);
            let parts = parts.ok_or_else(|| wrong("", "takes [metric or dimension, \"asc\" or \"desc\"]"))?;
            let name = parts[0].as_str().unwrap_or_default();
            let metric = metrics.iter().position(|metric| metric.name() == name).map(By::Metric);
            let dimension = || {
                let named = dimensions.iter().position(|dimension| dimension.name() == name);
                named.or(auto_time.filter(|_| name == "time")).map(By::Dimension)
            };
            let by = metric.or_else(dimension);
            let by = by.ok_or_else(|| wrong("[0]", "takes a metric or dimension that is asked for"))?;
            match parts[1].as_str() {
                Some("asc") => order.push((by, false)),
                Some("desc") => order.push((by, true)),
                _ => return Err(wrong("[1]", "takes asc or desc")),
            }
        }
        Ok(order)
    }

    fn pagination(body: &Map<String, Value>) -> Answer<(u64, u64)> {
        let number = |name: &str, least: u64, max: u64, unset: u64| match body
            .get("pagination")
            .map(|map| &map[name])
        {
            None | Some(Value::Null) => Ok(unset),
            Some(value) => value.as_u64().filter(|number| (least..=max).contains(number)).ok_or_else(|| {
                let message = format!("takes a number from {least} to {max}");
                Problem::field("pagination_invalid", format!("pagination.{name}"), message)
            }),
        };
        Ok((number("limit", 1, LIMIT_MAX, LIMIT_MAX)?, number("offset", 0, OFFSET_MAX, 0)?))
    }

    /// The grain of the dimension of time, and its place.
    pub fn time(&self) -> Option<(usize, Grain)> {
        self.question.dimensions.iter().enumerate().find_map(|(index, dimension)| match dimension {
            Dimension::Time(grain) => Some((index, *grain)),
            _ => None,
        })
    }

    /// The question as understood.
    pub fn to_json(&self, zone: &TimeZone) -> Value {
        let Question { site, period, metrics, dimensions, order, limit, offset, .. } = &self.question;
        let name = |(index, dimension): (usize, &Dimension)| match self.auto_time == Some(index) {
            true => "time",
            false => dimension.name(),
        };
        let dimensions: Vec<&str> = dimensions.iter().enumerate().map(name).collect();
        let metrics: Vec<String> = metrics.iter().map(|metric| metric.name()).collect();
        let order: Vec<Value> = order
            .iter()
            .map(|&(by, falling)| {
                let name = match by {
                    By::Metric(index) => metrics[index].as_str(),
                    By::Dimension(index) => dimensions[index],
                };
                json!([name, if falling { "desc" } else { "asc" }])
            })
            .collect();
        json!({
            "site": site, "site_id": site, "metrics": metrics, "date_range": period.stamps(zone), "dimensions": dimensions,
            "filters": self.filters, "order_by": order, "pagination": { "limit": limit, "offset": offset },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> SiteFacts {
        let zone_name = "Europe/Madrid".to_owned();
        let zone = TimeZone::get(&zone_name).unwrap();
        SiteFacts { id: "shop".into(), zone_name, zone, k: 10, first_day: None }
    }

    fn parse(body: Value) -> Answer<Asked> {
        Asked::parse(body.as_object().unwrap(), &site(), 1_774_958_400_000)
    }

    #[test]
    fn each_field_that_is_wrong_is_named() {
        for (change, field) in [
            (json!({"metrics": []}), "metrics"),
            (json!({"metrics": ["visitors", "money"]}), "metrics[1]"),
            (json!({"metrics": ["visitors", "visitors"]}), "metrics[1]"),
            (json!({"date_range": "soon"}), "date_range"),
            (json!({"dimensions": ["event:page", "x"]}), "dimensions[1]"),
            (json!({"dimensions": ["time", "time:day"]}), "dimensions[1]"),
            (json!({"metrics": ["bounce_rate"], "dimensions": ["event:page"]}), "metrics[0]"),
            (json!({"filters": [["is", "visit:os"]]}), "filters[0]"),
            (json!({"order_by": [["pageviews", "desc"]]}), "order_by[0][0]"),
            (json!({"order_by": [["visitors", "down"]]}), "order_by[0][1]"),
            (json!({"pagination": {"limit": 0}}), "pagination.limit"),
            (json!({"include": {"imports": true}}), "include"),
            (json!({"include": {"comparisons": {"mode": "x"}}}), "include.comparisons.mode"),
        ] {
            let mut body = json!({"site": "shop", "metrics": ["visitors"], "date_range": "7d"});
            body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            assert_eq!(parse(body).unwrap_err().field.as_deref(), Some(field), "{change}");
        }
        let misspelt = json!({"site": "shop", "metrics": ["visitors"], "date_range": "7d", "filter": []});
        assert_eq!(parse(misspelt).unwrap_err().code, "body_invalid");
    }

    #[test]
    fn time_chooses_its_grain_and_sorts_first() {
        let asked = parse(
            json!({"site": "shop", "metrics": ["visitors"], "date_range": "12mo", "dimensions": ["time"]}),
        );
        let asked = asked.unwrap();
        assert_eq!(asked.time(), Some((0, Grain::Month)));
        let told = asked.to_json(&site().zone);
        assert_eq!((&told["dimensions"][0], &told["order_by"][0][1]), (&json!("time"), &json!("asc")));
    }
}
