//! `consentry stats`: the same questions, asked of a running collector's admin address, told as a table with bars.

mod print;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::StatusCode;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::STATS_PATH;
use crate::config::File;
use crate::reach::Reach;
use print::{bars, completeness, list, realtime, table};

/// What to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Visitors, visits, page views, bounces and lengths.
    Summary,
    /// By hour.
    Hours,
    /// By day.
    Days,
    /// Pages.
    Pages,
    /// Pages on which visits begin.
    EntryPages,
    /// Pages on which visits end.
    ExitPages,
    /// Channels.
    Channels,
    /// Sources.
    Sources,
    /// Campaigns.
    Campaigns,
    /// Classes of devices.
    Devices,
    /// Browsers.
    Browsers,
    /// Operating systems.
    Systems,
    /// Buckets of screens.
    Screens,
    /// Countries.
    Countries,
    /// Languages.
    Languages,
    /// Custom events.
    Events,
    /// Clicks on function points.
    Points,
    /// Loading times by page: 75th percentiles.
    Vitals,
    /// Crashes.
    Crashes,
    /// The last half hour.
    Realtime,
    /// Visits that did one --step after the other.
    Funnel,
    /// The sites.
    Sites,
    /// The groups of --query as a file of --format.
    Export,
    /// The answer to --query, as JSON.
    Query,
}

/// `consentry stats pages --site shop --last 7d`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// What to tell.
    #[arg(value_enum)]
    what: What,
    /// The site; may be left out where there is one.
    #[arg(long)]
    site: Option<String>,
    /// day, 7d, 28d, 30d, 91d, month, 6mo, 12mo, year or all.
    #[arg(long, default_value = "30d", conflicts_with = "from")]
    last: String,
    /// First day, e.g. 2026-01-01.
    #[arg(long, requires = "to")]
    from: Option<String>,
    /// Last day.
    #[arg(long, requires = "from")]
    to: Option<String>,
    /// A condition, e.g. visit:channel=Direct, event:page!=/, event:page~/blog (contains). May be there several times.
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// Rows at most.
    #[arg(long, default_value_t = 20)]
    limit: u64,
    /// A step of a funnel: /page, event:NAME or point:NAME. In order.
    #[arg(long = "step", value_name = "STEP")]
    steps: Vec<String>,
    /// A question as JSON (export, query); `-` reads it from standard input.
    #[arg(long, value_name = "JSON")]
    query: Option<String>,
    /// Of an export: csv, jsonl or parquet.
    #[arg(long, default_value = "csv")]
    format: String,
    /// Print the answer as JSON.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV.
    #[arg(long)]
    csv: bool,
    /// Write to a file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    pub config: Option<PathBuf>,
    /// The collector's admin address, where it is not the configuration's.
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
}

/// Why nothing is told.
#[derive(Debug)]
pub struct StatsFailure {
    /// Whether the command is at fault rather than the collector.
    pub usage: bool,
    /// Why, and the way out.
    pub reason: String,
}

impl StatsFailure {
    fn usage(reason: String) -> Self {
        Self { usage: true, reason }
    }

    fn failed(reason: String) -> Self {
        Self { usage: false, reason }
    }
}

type Told<T> = Result<T, StatsFailure>;

impl What {
    /// Dimension and metrics of a table.
    fn table(self) -> Option<(&'static [&'static str], &'static [&'static str])> {
        Some(match self {
            Self::Summary => (
                &[],
                &["visitors", "visits", "pageviews", "views_per_visit", "bounce_rate", "visit_duration"],
            ),
            Self::Hours => (&["time:hour"], &["visitors", "pageviews"]),
            Self::Days => (&["time:day"], &["visitors", "pageviews"]),
            Self::Pages => (&["event:page"], &["visitors", "pageviews", "time_on_page"]),
            Self::EntryPages => (&["visit:entry_page"], &["visitors", "visits", "bounce_rate"]),
            Self::ExitPages => (&["visit:exit_page"], &["visitors", "visits"]),
            Self::Channels => (&["visit:channel"], &["visitors", "visits", "bounce_rate"]),
            Self::Sources => (&["visit:source"], &["visitors", "visits", "bounce_rate"]),
            Self::Campaigns => (&["visit:utm_campaign"], &["visitors", "visits", "bounce_rate"]),
            Self::Devices => (&["visit:device"], &["visitors", "visits"]),
            Self::Browsers => (&["visit:browser"], &["visitors", "visits"]),
            Self::Systems => (&["visit:os"], &["visitors", "visits"]),
            Self::Screens => (&["visit:screen"], &["visitors", "visits"]),
            Self::Countries => (&["visit:country"], &["visitors", "visits"]),
            Self::Languages => (&["visit:language"], &["visitors", "visits"]),
            Self::Events => (&["event:name"], &["visitors", "events"]),
            Self::Points => (&["event:point"], &["visitors", "clicks"]),
            Self::Vitals => {
                (&["event:page"], &["samples", "lcp_p75", "inp_p75", "cls_p75", "ttfb_p75", "fcp_p75"])
            }
            _ => return None,
        })
    }
}

/// `visit:channel=Direct` as a filter.
fn condition(text: &str) -> Told<Value> {
    // The longer signs first.
    for (sign, operator) in [("!=", "is_not"), ("!~", "contains_not"), ("=", "is"), ("~", "contains")] {
        if let Some((dimension, value)) = text.split_once(sign) {
            return Ok(json!([operator, dimension.trim(), [value]]));
        }
    }
    Err(StatsFailure::usage(
        "--where takes dimension=value, dimension!=value, dimension~part or dimension!~part".into(),
    ))
}

fn step(text: &str) -> Value {
    match text.split_once(':') {
        Some(("event", name)) => json!({ "event": name }),
        Some(("point", name)) => json!({ "point": name }),
        _ => json!({ "page": text }),
    }
}

/// A connection to the admin address.
struct Admin<'a> {
    reach: Reach,
    config: &'a File,
}

impl Admin<'_> {
    async fn ask(&self, path: &str, body: Option<&Value>) -> Told<http::Response<Incoming>> {
        let failed = |error: &dyn std::fmt::Display| StatsFailure::failed(error.to_string());
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(self.reach.url(&format!("{STATS_PATH}{path}")))
            .header("content-type", "application/json");
        if let Some(token) = &self.config.admin_token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| failed(&error))?;
        let answer = self.reach.http1().request(request).await;
        let answer = answer.map_err(|_| {
            let address = self.reach.address();
            StatsFailure::failed(format!(
                "no collector answers at {address}; start it, or name its admin address with --admin-listen"
            ))
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = parsed.pointer("/error/message").and_then(Value::as_str);
        let message = message.map_or_else(|| format!("the collector answered {status}"), str::to_owned);
        let field = parsed.pointer("/error/field").and_then(Value::as_str);
        let message = field.map_or(message.clone(), |field| format!("{field}: {message}"));
        Err(match status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => StatsFailure::usage(message),
            _ => StatsFailure::failed(message),
        })
    }

    async fn json(&self, path: &str, body: Option<&Value>) -> Told<Value> {
        let answer = self.ask(path, body).await?;
        let bytes =
            answer.into_body().collect().await.map_err(|error| StatsFailure::failed(error.to_string()))?;
        serde_json::from_slice(&bytes.to_bytes())
            .map_err(|_| StatsFailure::failed("the collector's answer is not JSON".into()))
    }
}

/// Asks and prints.
pub async fn run(args: &StatsArgs, config: &File) -> Told<()> {
    let reach = Reach::admin(args.admin_listen.unwrap_or(config.admin_listen), config.tls.as_ref());
    let admin = Admin { reach: reach.map_err(StatsFailure::failed)?, config };
    let mut out: Box<dyn Write> = match &args.out {
        None => Box::new(std::io::stdout().lock()),
        Some(path) => {
            let file = std::fs::File::create(path);
            Box::new(file.map_err(|error| StatsFailure::usage(format!("{}: {error}", path.display())))?)
        }
    };
    let written = |error: std::io::Error| StatsFailure::failed(format!("cannot write: {error}"));
    let site = match (&args.site, args.what) {
        (Some(site), _) => site.clone(),
        (None, What::Sites | What::Query | What::Export) => String::new(),
        (None, _) => only_site(&admin.json("sites", None).await?)?,
    };
    let range = match (&args.from, &args.to) {
        (Some(from), Some(to)) => json!([from, to]),
        _ => json!(args.last),
    };
    let filters = args.conditions.iter().map(|text| condition(text)).collect::<Told<Vec<Value>>>()?;
    if let Some((dimensions, metrics)) = args.what.table() {
        let body = json!({
            "site": site, "metrics": metrics, "date_range": range, "dimensions": dimensions, "filters": filters,
            "pagination": { "limit": args.limit.clamp(1, 10_000) }, "include": { "total_rows": true },
        });
        if args.csv {
            return copy(admin.ask("export", Some(&body_for_export(body, "csv"))).await?, &mut out).await;
        }
        let answer = admin.json("query", Some(&body)).await?;
        let text = match args.json {
            true => format!("{answer:#}\n"),
            false => table(&answer, dimensions, metrics),
        };
        return out.write_all(text.as_bytes()).map_err(written);
    }
    let escaped: String = url::form_urlencoded::byte_serialize(site.as_bytes()).collect();
    let answer = match args.what {
        What::Realtime => admin.json(&format!("realtime?site={escaped}"), None).await?,
        What::Sites => admin.json("sites", None).await?,
        What::Crashes => {
            let range = match &range {
                Value::Array(ends) => {
                    format!("{},{}", ends[0].as_str().unwrap_or(""), ends[1].as_str().unwrap_or(""))
                }
                word => word.as_str().unwrap_or_default().to_owned(),
            };
            let range: String = url::form_urlencoded::byte_serialize(range.as_bytes()).collect();
            admin.json(&format!("crashes?site={escaped}&date_range={range}"), None).await?
        }
        What::Funnel => {
            let steps: Vec<Value> = args.steps.iter().map(|text| step(text)).collect();
            let body = json!({ "site": site, "date_range": range, "steps": steps, "filters": filters });
            admin.json("funnel", Some(&body)).await?
        }
        _ => {
            let body = question(args.query.as_deref())?;
            if args.what == What::Export {
                let body = body_for_export(body, &args.format);
                return copy(admin.ask("export", Some(&body)).await?, &mut out).await;
            }
            admin.json("query", Some(&body)).await?
        }
    };
    let text = match (args.json, args.what) {
        (false, What::Realtime) => realtime(&answer),
        (false, What::Sites) => list(&answer["sites"], &["id", "time_zone", "k_anonymity", "first_day"]),
        (false, What::Crashes) => {
            list(&answer["crashes"], &["crashes", "visitors", "kind", "message", "last_seen"])
        }
        (false, What::Funnel) => {
            bars(&answer["steps"], "label", "visits", &["share_of_first", "share_of_former"])
                + &completeness(&answer)
        }
        _ => format!("{answer:#}\n"),
    };
    out.write_all(text.as_bytes()).map_err(written)
}

fn body_for_export(mut body: Value, format: &str) -> Value {
    if let Some(body) = body.as_object_mut() {
        body.remove("include");
        body.insert("format".into(), json!(format));
    }
    body
}

/// What `--query` says.
fn question(text: Option<&str>) -> Told<Value> {
    let usage = |message: &str| StatsFailure::usage(message.to_owned());
    let text = match text {
        None => return Err(usage("--query takes the body of POST /v1/stats/query")),
        Some("-") => {
            std::io::read_to_string(std::io::stdin()).map_err(|_| usage("standard input cannot be read"))?
        }
        Some(text) => text.to_owned(),
    };
    serde_json::from_str(&text).map_err(|_| usage("--query takes JSON"))
}

async fn copy(answer: http::Response<Incoming>, out: &mut dyn Write) -> Told<()> {
    let failed =
        |error: &dyn std::fmt::Display| StatsFailure::failed(format!("the file is not whole: {error}"));
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failed(&error))?;
        if let Some(piece) = frame.data_ref() {
            out.write_all(piece).map_err(|error| failed(&error))?;
        }
    }
    out.flush().map_err(|error| failed(&error))
}

fn only_site(sites: &Value) -> Told<String> {
    let ids: Vec<&str> =
        sites["sites"].as_array().into_iter().flatten().filter_map(|site| site["id"].as_str()).collect();
    match ids.as_slice() {
        [site] => Ok((*site).to_owned()),
        _ => Err(StatsFailure::usage(format!("--site takes one of {}", ids.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_and_steps_are_read() {
        assert_eq!(condition("visit:channel=Direct").ok(), Some(json!(["is", "visit:channel", ["Direct"]])));
        assert_eq!(condition("event:page!~/a=b").ok(), Some(json!(["contains_not", "event:page", ["/a=b"]])));
        assert!(condition("x").is_err());
        assert_eq!(step("event:signup"), json!({"event": "signup"}));
        assert_eq!(step("/blog/*"), json!({"page": "/blog/*"}));
    }
}
