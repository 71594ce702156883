//! What deploy/grafana asks for exists: every query of its dashboards and examples runs as the role analyst and finds something,
//! every metric is one that the collector has.

mod common;
#[path = "engine_support/mod.rs"]
mod engine_support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::Collector;
use consentry::store::engine::{Access, read_access};
use engine_support::analyst;
use serde_json::Value;

const CONFIG: &str = "[[site]]\nid = \"shop\"\norigins = [\"*\"]\nk_anonymity = 10\nprops = []\n";

/// A day of everything that is reported: 300 visitors, and groups that too few of them are in.
const INSERT: &str = "INSERT INTO consentry.events (site, type, ts, visitor, visit, host, path, prev_path, channel, source, medium, \
    campaign, device, os, os_major, browser, browser_major, screen, country, language, name, point, engaged_ms, ttfb_ms, fcp_ms, \
    lcp_ms, inp_ms, cls, crash_kind, crash_message, crash_source, crash_fingerprint, app_version, retention_days) \
    SELECT 'shop', ['pageview','engagement','click','custom','performance','crash','pageview'][1 + number % 7] AS type, \
    toDateTime64(today() - 1, 3, 'UTC') + toIntervalSecond(v * 200 + intDiv(number, 300) * 20) AS ts, cityHash64(v), \
    cityHash64(v, 'visit'), 'shop.example', if(v < 4, '/rare', '/p/' || toString(v % 5)), if(number < 300, '', '/before'), \
    if(v < 3, 'Display', ['Direct','Organic Search','Email'][1 + v % 3]) AS channel, channel || '-source', 'email', \
    if(v % 3 = 2, 'autumn', ''), ['desktop','mobile'][1 + v % 2], 'Windows', 10 + v % 2, 'Chrome', 140 + v % 2, 'w1024', \
    ['ES','DE'][1 + v % 2], ['en','es'][1 + v % 2], if(type = 'custom', if(v < 7, 'rare', 'buy'), ''), if(type = 'click', 'nav.buy', ''), \
    if(type = 'engagement', 4000, 0), if(type = 'performance', 500, NULL), if(type = 'performance', 1500, NULL), \
    if(type = 'performance', 3000 + v, NULL), if(type = 'performance', 150, NULL), if(type = 'performance', 0.1, NULL), \
    if(type = 'crash', 'TypeError', ''), if(type = 'crash', 'x is undefined', ''), if(type = 'crash', '/app.js', ''), \
    if(type = 'crash', if(v < 5, 8, 7), 0), '1.2.3', 30 \
    FROM (SELECT number, number % 300 AS v FROM numbers(6300))";

const LEDGER: &str = "INSERT INTO consentry.ledger (site, minute, outcome, reason, count) VALUES \
    ('shop', toDateTime(today() - 1, 'UTC') + 3600, 'received', '', 8000), \
    ('shop', toDateTime(today() - 1, 'UTC') + 3600, 'stored', '', 6300), \
    ('shop', toDateTime(today() - 1, 'UTC') + 3600, 'dropped', 'consent_absent', 1700)";

fn grafana() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(grafana().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn dashboard(name: &str) -> Value {
    serde_json::from_str(&read(&format!("dashboards/{name}.json"))).unwrap()
}

/// The panels that show something, with their titles; rows are only headings.
fn panels(dashboard: &Value) -> Vec<(&str, &Value)> {
    let all = dashboard["panels"].as_array().unwrap().iter();
    all.filter(|panel| panel["type"] != "row")
        .map(|panel| (panel["title"].as_str().unwrap(), panel))
        .collect()
}

fn collector() -> (Collector, Access) {
    let collector = Collector::start_configured(CONFIG);
    collector.sql(INSERT);
    collector.sql(LEDGER);
    for view in ["visits_now_mv", "visits_late_mv"] {
        collector.sql(&format!("SYSTEM REFRESH VIEW consentry.{view}"));
        collector.sql(&format!("SYSTEM WAIT VIEW consentry.{view}"));
    }
    // The journal of salts goes into the store a moment after the start.
    common::eventually("the salts are told of", || {
        (collector.sql("SELECT count() FROM report.salts").trim() != "0").then_some(())
    });
    let access = read_access(&collector.data_dir().join("engine")).unwrap();
    (collector, access)
}

/// What Grafana makes of a query before it sends it, for the panel's time range and the chosen site.
fn expanded(sql: &str) -> String {
    let mut out = sql.replace("${site:sqlstring}", "'shop'");
    for (name, filter) in [
        ("$__dateFilter(", "{c} >= today() - 30 AND {c} <= today()"),
        ("$__timeFilter(", "{c} >= toDateTime(now() - 2592000) AND {c} <= toDateTime(now())"),
    ] {
        while let Some(at) = out.find(name) {
            let end = at + out[at..].find(')').unwrap();
            let filter = filter.replace("{c}", &out[at + name.len()..end]);
            out.replace_range(at..=end, &filter);
        }
    }
    assert!(!out.contains('$'), "a macro or variable that this test does not know: {out}");
    out
}

fn answers(access: &Access, what: &str, sql: &str) -> String {
    let answer = analyst(access, sql);
    assert!(!answer.starts_with("error") && !answer.starts_with("HTTP"), "{what}: {answer}\n{sql}");
    assert!(!answer.is_empty(), "{what} finds nothing\n{sql}");
    answer
}

#[test]
fn every_query_runs_as_analyst_and_finds_something() {
    let (collector, access) = collector();
    let analysts = dashboard("analysts");
    let mut queries = 0;
    for (title, panel) in panels(&analysts) {
        assert_eq!(panel["datasource"]["uid"], "consentry-clickhouse", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            let answer = answers(&access, title, &expanded(target["rawSql"].as_str().unwrap()));
            assert!(!answer.contains("nan") && !answer.contains("inf"), "{title}: {answer}");
            queries += 1;
        }
    }
    for variable in analysts["templating"]["list"].as_array().unwrap() {
        let sites = answers(&access, "variable", variable["query"].as_str().unwrap());
        assert!(sites.lines().any(|site| site == "shop"), "{sites}");
    }
    for entry in std::fs::read_dir(grafana().join("sql")).unwrap() {
        let path = entry.unwrap().path();
        let sql = std::fs::read_to_string(&path).unwrap();
        assert!(sql.starts_with("-- "), "{} says what it is for", path.display());
        let day = collector.sql("SELECT today()");
        let from = collector.sql("SELECT today() - 6");
        // As a client binds them; the role may change no setting, and these are none.
        let bound = sql
            .replace("{site:String}", "'shop'")
            .replace("{from:Date}", &format!("toDate('{from}')"))
            .replace("{to:Date}", &format!("toDate('{day}')"));
        answers(&access, path.to_str().unwrap(), &bound);
        queries += 1;
    }
    println!("{queries} queries");
    assert!(queries >= 30, "{queries}");
}

#[test]
fn the_figures_are_those_of_plain_sql_and_small_groups_are_in_none() {
    let (collector, access) = collector();
    let analysts = dashboard("analysts");
    let query = |title: &str| {
        let (_, panel) = panels(&analysts).into_iter().find(|panel| panel.0 == title).unwrap();
        expanded(panel["targets"][0]["rawSql"].as_str().unwrap())
    };
    let rows = "consentry.events WHERE site = 'shop'";
    let shown = analyst(&access, &query("Visitors by day"));
    assert_eq!(
        shown.split('\t').nth(1).unwrap(),
        collector.sql(&format!("SELECT uniqExact(visitor) FROM {rows}"))
    );
    let pages = analyst(&access, &format!("SELECT path, views FROM ({}) ORDER BY path", query("Pages")));
    let counted = collector.sql(&format!(
        "SELECT path, count() FROM {rows} AND type = 'pageview' AND path != '/rare' GROUP BY path ORDER BY path"
    ));
    assert_eq!(pages, counted);
    for (title, panel) in panels(&analysts) {
        let answer = analyst(&access, &expanded(panel["targets"][0]["rawSql"].as_str().unwrap()));
        assert!(!answer.contains("rare") && !answer.contains("Display"), "{title}: {answer}");
    }
    let withheld = analyst(&access, &query("Groups withheld"));
    for line in ["pages\t1", "sources\t1", "events\t1", "crashes\t1"] {
        assert!(withheld.lines().any(|row| row == line), "{line}: {withheld}");
    }
}

#[test]
fn the_user_for_grafana_is_a_statement_that_clickhouse_reads() {
    let collector = Collector::start();
    let access = read_access(&collector.data_dir().join("engine")).unwrap();
    let text = read("clickhouse.sql");
    let code: String = text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ");
    let statements: Vec<&str> = code.split(';').map(str::trim).filter(|one| !one.is_empty()).collect();
    assert_eq!(statements.len(), 2);
    for statement in statements {
        answers(
            &access,
            "clickhouse.sql",
            &format!("SELECT formatQuery('{}')", statement.replace('\'', "\\'")),
        );
    }
    assert!(code.contains("DEFAULT ROLE analyst") && code.contains("MIN 1 MAX 60 CHANGEABLE_IN_READONLY"));
    // What the plugin sends, five seconds more than its timeout, has to be within that.
    assert!(read("provisioning/datasources/consentry.yaml").contains("queryTimeout: \"50\""));
}

/// The metrics of an expression, without what PromQL adds to a histogram's name.
fn metrics(expression: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut rest = expression;
    while let Some(at) = rest.find("consentry_") {
        let name = &rest[at..];
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        found.insert(&name[..end]);
        rest = &name[end..];
    }
    found
}

#[test]
fn every_metric_is_one_that_the_collector_has() {
    let collector = Collector::start_configured(CONFIG);
    let event =
        r#"{"site":"shop","type":"pageview","url":"https://shop.example/","consent":{"analytics":true}}"#;
    assert_eq!(collector.post(event).status, 202);
    collector.settle();
    let told = collector.get_admin("/metrics").text();
    let samples: BTreeSet<&str> = told
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    // A family without samples is not told; that it is declared stands in the source.
    let mut sources = Vec::new();
    common::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .into_iter()
        .filter(|path| path.to_str().unwrap().contains("telemetry"))
        .for_each(|path| sources.push(std::fs::read_to_string(path).unwrap()));
    let declared = |name: &str| {
        let plain = name.trim_start_matches("consentry_").trim_end_matches("_total");
        sources.iter().any(|source| source.contains(&format!("\"{plain}\"")))
    };
    let operators = dashboard("operators");
    let mut known = 0;
    for (title, panel) in panels(&operators) {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let asked = metrics(expression);
            assert!(
                !asked.is_empty() || expression.contains("up{job=\"consentry\"}"),
                "{title}: {expression}"
            );
            for name in asked {
                assert!(
                    samples.contains(name) || (name == "consentry_leaks_total" && declared(name)),
                    "{title}: {name}"
                );
                known += 1;
            }
            // Labels too: what a metric has not, no selector finds.
            for label in ["site", "outcome", "reason", "code", "column", "kind"] {
                let named = expression.contains(&format!("{label}="))
                    || expression.contains(&format!("by ({label})"));
                let has = told.contains(&format!("{label}=\"")) || ["column", "kind"].contains(&label);
                assert!(!named || has, "{title}: {label}");
            }
        }
    }
    assert!(known >= 20, "{known}");
}

#[test]
fn dashboards_are_what_grafana_provisions() {
    let mut uids = BTreeSet::new();
    for name in ["analysts", "operators"] {
        let dashboard = dashboard(name);
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()));
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: two panels have one id");
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{name}: {panel}");
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{name}: {} lies on another", panel["title"]);
                }
            }
        }
    }
    let sources = read("provisioning/datasources/consentry.yaml");
    for uid in ["consentry-clickhouse", "consentry-prometheus"] {
        assert!(sources.contains(&format!("uid: {uid}")));
    }
}
