//! What an operator sees: every metric has a meaning and a unit, every alert a metric and a page in the runbook, and no
//! visitor is in either, nor in a log, whatever is sent.

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Collector, eventually};
use consentry::telemetry::{Reading, Route, Telemetry};
use yaml_rust2::{Yaml, YamlLoader};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// All metrics, none of them empty.
fn rendered() -> String {
    let telemetry = Telemetry::new();
    telemetry.settled("shop", "stored", 1);
    telemetry.leaked("shop", "title", "email");
    for path in ["/v1/events", "/v1/pixel.gif", "/v1/subjects/export", "/canary"] {
        telemetry.answered(Route::of(path), Duration::from_millis(3));
    }
    telemetry.committed(Duration::from_millis(1));
    telemetry.inserted(1, Duration::from_millis(9));
    telemetry.render(&Reading {
        store: "ready",
        oldest_s: 1.5,
        certificate_until_s: 1_900_000_000,
        ..Reading::default()
    })
}

#[test]
fn every_metric_is_declared_once_with_help_and_unit() {
    let text = rendered();
    let declared = |what: &str| -> Vec<&str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(what));
        lines.map(|line| line.split(' ').next().unwrap()).collect()
    };
    let (types, helps, units) = (declared("# TYPE "), declared("# HELP "), declared("# UNIT "));
    assert!(types.len() >= 20, "{types:?}");
    assert_eq!(types, helps);
    assert_eq!(types.iter().collect::<BTreeSet<_>>().len(), types.len(), "each once");
    for name in &types {
        assert!(name.starts_with("consentry_"), "{name}");
        let has_unit = name.ends_with("_seconds") || name.ends_with("_bytes");
        assert_eq!(has_unit, units.contains(name), "{name}");
    }
    for help in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        assert!(help.len() > 40, "{help}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(text.contains("consentry_store_state{state=\"ready\"} 1"), "{text}");
    assert!(text.contains("consentry_store_state{state=\"away\"} 0"));
    assert!(text.contains("consentry_spool_oldest_record_seconds 1.5"));
    assert!(text.contains("consentry_request_seconds_count{route=\"other\"} 1") && !text.contains("canary"));
    let number = |name: &str| -> f64 {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name}")).parse().unwrap()
    };
    assert!(number("consentry_open_files") >= 3.0 && number("consentry_open_files_limit") >= 256.0);
    assert!(number("consentry_resident_memory_bytes") > 1e6);
    assert_eq!(number("consentry_tls_certificate_expiry_timestamp_seconds"), 1_900_000_000.0);
    for cache in ["agents", "texts", "referrers", "campaigns", "time_zones"] {
        for result in ["hit", "miss"] {
            number(&format!("consentry_cache_lookups_total{{cache=\"{cache}\",result=\"{result}\"}}"));
        }
    }
}

#[test]
fn every_alert_reads_metrics_that_exist_and_has_its_page() {
    let text = rendered();
    let series: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .collect();
    let runbook = read("docs/RUNBOOK.md");
    let alerts = read("deploy/alerts.yml");
    let rules = &YamlLoader::load_from_str(&alerts).unwrap()[0]["groups"][0]["rules"];
    let rules = rules.as_vec().unwrap();
    assert!(rules.len() >= 15);
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        let expr = rule["expr"].as_str().unwrap();
        let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let metrics: Vec<&str> = words.filter(|word| word.starts_with("consentry_")).collect();
        assert!(!metrics.is_empty() || expr.starts_with("up{"), "{name}");
        for metric in metrics {
            assert!(series.contains(metric), "{name} reads {metric}, which there is not");
        }
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(matches!(severity, "page" | "ticket"), "{name}");
        let page = rule["annotations"]["runbook"].as_str().unwrap();
        assert_eq!(page, format!("docs/RUNBOOK.md#{}", name.to_lowercase()));
        assert!(runbook.contains(&format!("\n### {name}\n")), "{name} is not in the runbook");
        assert!(rule["annotations"]["summary"].as_str().is_some(), "{name}");
        // The reasoning stands right above the rule.
        let at = alerts.lines().position(|line| line.trim() == format!("- alert: {name}")).unwrap();
        assert!(alerts.lines().nth(at - 1).unwrap().trim().starts_with("# "), "{name} has no reasoning");
    }
    // Codes and words that rules ask for are those of the program.
    for code in ["spool_full", "spool_failed", "overloaded"] {
        assert!(alerts.contains(code) && text.contains(&format!("code=\"{code}\"")), "{code}");
    }
    let rules: Vec<&str> = rules.iter().map(|rule: &Yaml| rule["alert"].as_str().unwrap()).collect();
    for heading in runbook.lines().filter_map(|line| line.strip_prefix("### Consentry")) {
        assert!(rules.contains(&format!("Consentry{heading}").as_str()), "no rule raises Consentry{heading}");
    }
}

/// Looks like nothing that the program says by itself.
const CANARY: &str = "kanarie7f3";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn assail(collector: &Collector) {
    let c = CANARY;
    let event = format!(
        r#"{{"site":"demo","type":"pageview","url":"https://{c}.example/{c}?{c}={c}","title":"{c}","subject":"{c}",
        "props":{{"{c}":"{c}"}},"consent":{{"analytics":true,"tcf":"{c}"}}}}"#
    );
    for body in [
        event.clone(),
        format!("{{\"{c}\""),
        format!("[{{\"site\":\"{c}\",\"type\":\"{c}\"}}]"),
        format!(r#"{{"site":"demo","type":"{c}","consent":{{"analytics":true}}}}"#),
        format!(
            r#"{{"site":"demo","type":"pageview","url":"{c}","ts":"{c}","consent":{{"analytics":"{c}"}}}}"#
        ),
        format!("{c}\u{0}\u{1b}[31m\n{{\"level\":\"ERROR\"}}"),
        "[".repeat(5000) + c,
    ] {
        collector.post(&body);
        for (name, value) in [
            ("content-type", c),
            ("content-encoding", c),
            ("origin", "https://kanarie7f3.example"),
            ("x-forwarded-for", "203.0.113.77, kanarie7f3"),
            ("cookie", "OptanonConsent=kanarie7f3"),
            ("user-agent", "kanarie7f3"),
            ("expect", c),
            (c, c),
        ] {
            collector.request("POST", "/v1/events?site=demo", &[(name, value)], body.as_bytes());
        }
        for encoding in ["gzip", "br", "zstd", "deflate"] {
            let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
            collector.request("POST", "/v1/events", &headers, body.as_bytes());
        }
    }
    let bomb = gzip(&vec![b' '; 32 << 20]);
    let packed = [("content-type", "application/json"), ("content-encoding", "gzip")];
    collector.request("POST", "/v1/events", &packed, &bomb);
    collector.request("POST", "/v1/events", &packed, &gzip(event.as_bytes())[..40]);
    for path in [
        format!("/{c}"),
        format!("/v1/{c}?{c}={c}"),
        format!("/v1/pixel.gif?site={c}&url={c}&c=1"),
        format!("/v1/subjects/{c}"),
        format!("/%00{c}"),
    ] {
        for method in ["GET", "POST", "OPTIONS", "DELETE", "KANARIE"] {
            collector.request(method, &path, &[("access-control-request-method", c)], b"");
        }
        collector.get_admin(&path);
    }
    let token = format!(r#"{{"token":"{c}"}}"#);
    collector.request(
        "POST",
        "/v1/subjects/erase",
        &[("content-type", "application/json")],
        token.as_bytes(),
    );
    let long = "x".repeat(100_000);
    for raw in [
        format!("{c} {c}\r\n\r\n"),
        format!("POST /v1/events HTTP/1.1\r\nhost: {c}\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{c}"),
        format!("POST /v1/events HTTP/1.1\r\nhost: {c}\r\ntransfer-encoding: chunked\r\n\r\n{c}\r\n"),
        format!("POST /v1/events HTTP/1.1\r\nhost: x\r\n{c}: {long}\r\n\r\n"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{c}{c}{c}{c}"),
        format!("\u{16}\u{3}\u{1}{c}"),
    ] {
        collector.raw(raw.as_bytes());
    }
}

/// `name="value"` pairs of a sample.
fn labels(line: &str) -> Vec<(String, String)> {
    let Some((_, rest)) = line.split_once('{') else { return Vec::new() };
    let (inside, _) = rest.rsplit_once('}').unwrap();
    let pairs = inside.split("\",").map(|pair| pair.split_once("=\"").unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned())).collect()
}

#[test]
fn whatever_is_sent_no_metric_and_no_log_line_shows_it() {
    let env = [("CONSENTRY_LOG", "trace"), ("CONSENTRY_LOG_FORMAT", "json")];
    let mut collector = Collector::start_with(&[], &env);
    assail(&collector);
    let accepted = collector
        .post(r#"{"site":"demo","type":"pageview","url":"https://a.example/","consent":{"analytics":true}}"#);
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    collector.settle();
    let metrics = collector.get_admin("/metrics").text();
    assert!(!metrics.to_lowercase().contains("kanarie") && !metrics.contains("203.0.113"), "{metrics}");
    let mut refused = 0.0;
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        for (name, value) in labels(line) {
            let word =
                value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.+I".contains(&b));
            assert!(word && value.len() <= 40, "{line}");
            match name.as_str() {
                "site" => assert!(matches!(value.as_str(), "demo" | ""), "{line}"),
                "outcome" | "reason" | "code" | "column" | "kind" | "route" | "state" | "version"
                | "commit" | "cache" | "result" => {}
                "le" => assert!(value == "+Inf" || value.parse::<f64>().is_ok(), "{line}"),
                _ => panic!("a label that nobody knows: {line}"),
            }
        }
        if line.starts_with("consentry_refusals_total") {
            refused += line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
    assert!(refused > 50.0, "{metrics}");
    let series = metrics.lines().filter(|line| !line.starts_with('#')).count();
    println!("{refused} requests refused; {series} series");
    assert!(series < 400, "{series}");
    assert_eq!(collector.stop(), Some(0));
    let log = collector.log();
    assert!(!log.to_lowercase().contains("kanarie") && !log.contains("203.0.113"), "{log}");
    for line in log.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(line["fields"]["message"].is_string(), "{line}");
    }
    println!("{} lines of log at the level trace", log.lines().count());
}

#[test]
fn ages_and_states_are_read_from_what_is_there() {
    let collector = Collector::start();
    let read = |name: &str| -> f64 {
        let metrics = collector.get_admin("/metrics").text();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name}: {metrics}")).parse().unwrap()
    };
    assert_eq!(read("consentry_store_state{state=\"ready\"}"), 1.0);
    assert_eq!(read("consentry_spool_oldest_record_seconds"), 0.0);
    assert_eq!(read("consentry_spool_limit_bytes"), 4_294_967_296.0);
    assert!(read("consentry_salt_age_seconds") < 600.0);
    // The engine stands still: what comes waits, and its age grows.
    let engine = collector.engine_pid();
    common::signal(engine, "STOP");
    let body = r#"{"site":"demo","type":"pageview","url":"https://a.example/","consent":{"analytics":true}}"#;
    let begun = Instant::now();
    assert_eq!(collector.post(body).status, 202);
    let age =
        eventually("an age", || Some(read("consentry_spool_oldest_record_seconds")).filter(|&age| age > 2.0));
    assert!(age < begun.elapsed().as_secs_f64() + 1.0, "{age}");
    assert!(read("consentry_request_seconds_count{route=\"events\"}") >= 1.0);
    assert!(read("consentry_spool_commit_seconds_count") >= 1.0);
    common::signal(engine, "CONT");
    collector.settle();
    assert_eq!(read("consentry_spool_oldest_record_seconds"), 0.0);
}

#[test]
fn caches_say_how_often_they_had_the_answer() {
    let collector = Collector::start();
    let body = r#"{"site":"demo","type":"pageview","url":"https://a.example/?utm_source=b&utm_medium=email",
        "referrer":"https://www.google.com/","title":"Chairs (12) and tables: 34","timezone":"Europe/Madrid",
        "consent":{"analytics":true}}"#;
    for _ in 0..400 {
        assert_eq!(
            collector
                .request("POST", "/v1/events", &[("user-agent", "Mozilla/5.0 (X11)")], body.as_bytes())
                .status,
            202
        );
    }
    let metrics = collector.get_admin("/metrics").text();
    let read = |cache: &str, result: &str| -> u64 {
        let name = format!("consentry_cache_lookups_total{{cache=\"{cache}\",result=\"{result}\"}} ");
        metrics
            .lines()
            .find_map(|line| line.strip_prefix(&name)?.parse().ok())
            .unwrap_or_else(|| panic!("{name}"))
    };
    for cache in ["agents", "texts", "referrers", "campaigns", "time_zones"] {
        let (hits, misses) = (read(cache, "hit"), read(cache, "miss"));
        println!("{cache}: {hits} hits, {misses} misses");
        assert!(misses >= 1 && hits > 10 * misses, "{cache}: {hits} hits, {misses} misses");
    }
}
