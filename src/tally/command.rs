//! `consentry stats`: the same questions, asked of a running collector's admin address, told as a table with bars.

use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::StatusCode;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::STATS_PATH;
use crate::config::File;

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
pub enum StatsFailure {
    /// The command is at fault.
    Usage(String),
    /// The collector did not answer.
    Failed(String),
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
    Err(StatsFailure::Usage(
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
    address: SocketAddr,
    config: &'a File,
}

impl Admin<'_> {
    async fn ask(&self, path: &str, body: Option<&Value>) -> Told<http::Response<Incoming>> {
        let failed = |error: &dyn std::fmt::Display| StatsFailure::Failed(error.to_string());
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(format!("http://{}{STATS_PATH}{path}", self.address))
            .header("content-type", "application/json");
        if let Some(token) = &self.config.admin_token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| failed(&error))?;
        let answer = Client::builder(TokioExecutor::new()).build_http().request(request).await;
        let answer = answer.map_err(|_| {
            let address = self.address;
            StatsFailure::Failed(format!(
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
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => StatsFailure::Usage(message),
            _ => StatsFailure::Failed(message),
        })
    }

    async fn json(&self, path: &str, body: Option<&Value>) -> Told<Value> {
        let answer = self.ask(path, body).await?;
        let bytes =
            answer.into_body().collect().await.map_err(|error| StatsFailure::Failed(error.to_string()))?;
        serde_json::from_slice(&bytes.to_bytes())
            .map_err(|_| StatsFailure::Failed("the collector's answer is not JSON".into()))
    }
}

/// Asks and prints.
pub async fn run(args: &StatsArgs, config: &File) -> Told<()> {
    let admin = Admin { address: args.admin_listen.unwrap_or(config.admin_listen), config };
    let mut out: Box<dyn Write> = match &args.out {
        None => Box::new(std::io::stdout().lock()),
        Some(path) => {
            let file = std::fs::File::create(path);
            Box::new(file.map_err(|error| StatsFailure::Usage(format!("{}: {error}", path.display())))?)
        }
    };
    let written = |error: std::io::Error| StatsFailure::Failed(format!("cannot write: {error}"));
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
    let usage = |message: &str| StatsFailure::Usage(message.to_owned());
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
        |error: &dyn std::fmt::Display| StatsFailure::Failed(format!("the file is not whole: {error}"));
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
        _ => Err(StatsFailure::Usage(format!("--site takes one of {}", ids.join(", ")))),
    }
}

/// A visitor may have chosen the text: no control character reaches a terminal.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let clean: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    match clean.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

const BAR_CELLS: usize = 20;

/// A bar of up to 20 cells.
fn bar(value: f64, most: f64) -> String {
    let eighths = if most > 0.0 { (value / most * (BAR_CELLS * 8) as f64).round() as usize } else { 0 };
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    format!("{}{part}", "█".repeat(eighths / 8))
}

/// Lines of cells, each column as wide as it needs; numbers to the right.
fn columns(lines: &[Vec<String>], left: usize) -> String {
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (index, cell) in line.iter().enumerate() {
            let width = width(index);
            let _ = match index < left || index + 1 == line.len() && cell.contains(['█', '▏', '▌']) {
                true => write!(text, "{cell:<width$}  "),
                false => write!(text, "{cell:>width$}  "),
            };
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    out
}

/// An answer as a table with a bar of its first metric.
fn table(answer: &Value, dimensions: &[&str], metrics: &[&str]) -> String {
    let results: Vec<&Value> = answer["results"].as_array().into_iter().flatten().collect();
    let mut out = String::new();
    if results.is_empty() {
        let _ = writeln!(out, "No group has enough visitors to be shown.");
    } else if dimensions.is_empty() {
        let lines: Vec<Vec<String>> = metrics
            .iter()
            .enumerate()
            .map(|(index, name)| vec![(*name).to_owned(), cell(&results[0]["metrics"][index])])
            .collect();
        out = columns(&lines, 1);
    } else {
        let first = |row: &&Value| row["metrics"][0].as_f64().unwrap_or(0.0);
        let most = results.iter().map(|row| first(&row)).fold(0.0, f64::max);
        let mut lines =
            vec![dimensions.iter().chain(metrics).map(|name| (*name).to_owned()).collect::<Vec<_>>()];
        for row in &results {
            let cells = ["dimensions", "metrics"]
                .into_iter()
                .flat_map(|part| row[part].as_array().into_iter().flatten());
            let mut line: Vec<String> = cells.map(cell).collect();
            line.push(bar(first(row), most));
            lines.push(line);
        }
        out = columns(&lines, dimensions.len());
        let total = answer["meta"]["total_rows"].as_u64().unwrap_or(0);
        if total > results.len() as u64 {
            let _ = writeln!(out, "{} of {total} rows; --limit shows more.", results.len());
        }
    }
    let withheld = answer["meta"]["withheld"]["groups"].as_u64().unwrap_or(0);
    if withheld > 0 {
        let k = &answer["meta"]["k_anonymity"];
        let _ = writeln!(out, "{withheld} groups of fewer than {k} visitors are withheld.");
    }
    out + &completeness(answer)
}

/// How complete the figures are, in a line.
fn completeness(answer: &Value) -> String {
    let books = &answer["completeness"];
    let percent = |value: &Value| value.as_f64().map(|share| format!("{:.1} %", share * 100.0));
    match (percent(&books["share_consented"]), books["received"].as_u64()) {
        (Some(consented), Some(received)) => format!(
            "Of {received} events received in this time {} are stored, {} in flight; consent for {consented}.\n",
            books["stored"], books["in_flight"]
        ),
        _ => String::new(),
    }
}

fn list(rows: &Value, names: &[&str]) -> String {
    let mut lines = vec![names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    for row in rows.as_array().into_iter().flatten() {
        lines.push(names.iter().map(|name| cell(&row[*name])).collect());
    }
    columns(&lines, names.len())
}

fn bars(rows: &Value, name: &str, metric: &str, more: &[&str]) -> String {
    let rows: Vec<&Value> = rows.as_array().into_iter().flatten().collect();
    let most = rows.iter().filter_map(|row| row[metric].as_f64()).fold(0.0, f64::max);
    let mut lines =
        vec![[name, metric].iter().chain(more).map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    for row in rows {
        let mut line = vec![cell(&row[name]), cell(&row[metric])];
        line.extend(more.iter().map(|name| cell(&row[*name])));
        line.push(bar(row[metric].as_f64().unwrap_or(0.0), most));
        lines.push(line);
    }
    columns(&lines, 1)
}

fn realtime(answer: &Value) -> String {
    let minutes: Vec<f64> = answer["minutes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|count| count.as_f64().unwrap_or(0.0))
        .collect();
    let most = minutes.iter().copied().fold(1.0, f64::max);
    let level = |count: &f64| "▁▂▃▄▅▆▇█".chars().nth((count / most * 7.0).round() as usize).unwrap_or('▁');
    let line: String = minutes.iter().map(level).collect();
    let visitors = match answer["visitors"].as_u64() {
        Some(visitors) => format!("{visitors} visitors in the last half hour"),
        None => format!("Fewer than {} visitors in the last half hour", answer["k_anonymity"]),
    };
    format!("{visitors}  {line}\n{}", bars(&answer["pages"], "page", "visitors", &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_bars_and_says_what_is_missing() {
        let answer = json!({
            "results": [{"dimensions": ["/"], "metrics": [200, 300]}, {"dimensions": ["/a\u{1b}[2J"], "metrics": [50, null]}],
            "meta": {"withheld": {"groups": 3}, "k_anonymity": 10, "total_rows": 7},
            "completeness": {"received": 10, "stored": 7, "in_flight": 0, "share_consented": 0.7},
        });
        let text = table(&answer, &["event:page"], &["visitors", "pageviews"]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].ends_with(&"█".repeat(20)) && lines[2].ends_with("-  █████"), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert_eq!(lines[3], "2 of 7 rows; --limit shows more.");
        assert_eq!(lines[4], "3 groups of fewer than 10 visitors are withheld.");
        assert!(lines[5].contains("consent for 70.0 %"));
    }

    #[test]
    fn conditions_and_steps_are_read() {
        assert_eq!(condition("visit:channel=Direct").ok(), Some(json!(["is", "visit:channel", ["Direct"]])));
        assert_eq!(condition("event:page!~/a=b").ok(), Some(json!(["contains_not", "event:page", ["/a=b"]])));
        assert!(condition("x").is_err());
        assert_eq!(step("event:signup"), json!({"event": "signup"}));
        assert_eq!(step("/blog/*"), json!({"page": "/blog/*"}));
    }
}
