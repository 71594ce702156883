//! The disclosure describes all that is stored and nothing else: every column, every table, every key in the browser.

mod common;

use std::process::Command;

use common::{Collector, binary};

const CONFIG: &str = r#"
[[site]]
id = "shop"
origins = ["https://shop.example"]
query_params = ["utm_*", "ref"]
props = ["plan", "color"]
retention_days = 90
k_anonymity = 20
subjects = true
[site.consent]
adapters = ["tcf", "onetrust"]
policy_version = "2026-11 <b>|x"
[[site]]
id = "blog"
"#;

fn policy(format: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("consentry.toml");
    std::fs::write(&path, CONFIG).unwrap();
    let output =
        Command::new(binary()).args(["policy", "--format", format, "--config"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json() -> serde_json::Value {
    serde_json::from_str(&policy("json")).unwrap()
}

fn names<'a>(list: &'a serde_json::Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap()).collect()
}

#[test]
fn every_column_and_table_of_the_store_is_described_and_no_other() {
    let collector = Collector::start();
    let json = json();
    let columns = collector.sql(
        "SELECT name FROM system.columns WHERE database = 'consentry' AND table = 'events' ORDER BY position",
    );
    let described = names(&json["columns"], "name");
    let mut stored: Vec<&str> = columns.lines().collect();
    // In whatever order: neither may have what the other lacks.
    let mut sorted = described.clone();
    stored.sort_unstable();
    sorted.sort_unstable();
    assert_eq!(sorted, stored);
    for column in json["columns"].as_array().unwrap() {
        for part in ["purpose", "source", "form"] {
            assert!(column[part].as_str().is_some_and(|words| !words.is_empty()), "{column}");
        }
    }
    // A view that is being made anew has a table of its own until it is done.
    let tables = collector.sql(
        "SELECT database || '.' || name FROM system.tables WHERE database = 'consentry' AND engine NOT LIKE '%View' \
         AND name NOT LIKE '.inner%' AND name NOT LIKE '.tmp.inner%' AND name != 'events' ORDER BY 1",
    );
    let mut described = names(&json["tables"], "name");
    described.sort_unstable();
    assert_eq!(described, tables.lines().collect::<Vec<_>>());
}

#[test]
fn every_key_that_the_tracker_can_write_is_described() {
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/web/src/storage.ts")).unwrap();
    let json = json();
    let described = names(&json["storage"], "key");
    let written: Vec<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("export const ")?.split_once("_KEY = '")?.1.strip_suffix("';"))
        .collect();
    assert!(written.len() >= 2);
    assert_eq!(described, written);
    for key in json["storage"].as_array().unwrap() {
        for part in ["category", "purpose", "duration"] {
            assert!(key[part].as_str().is_some_and(|words| !words.is_empty()), "{key}");
        }
        assert!(["necessary", "analytics"].contains(&key["category"].as_str().unwrap()), "{key}");
    }
    // Nothing in the browser is written but through that list.
    for file in ["tracker.ts", "managers.ts", "visit.ts", "transport.ts", "queue.ts", "engagement.ts"] {
        let text = std::fs::read_to_string(format!("{}/web/src/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let code: String = text.lines().filter(|line| !line.trim_start().starts_with(['*', '/'])).collect();
        for way in ["localStorage", "sessionStorage", "indexedDB", "document.cookie"] {
            assert!(!code.contains(way), "{file} uses {way}");
        }
    }
}

#[test]
fn what_is_configured_is_what_is_said() {
    let json = json();
    assert_eq!(names(&json["sites"], "id"), ["blog", "shop"]);
    let shop = &json["sites"][1];
    assert_eq!(shop["retention_days"], 90);
    assert_eq!(shop["k_anonymity"], 20);
    assert_eq!(shop["query_params"], serde_json::json!(["ref", "utm_*"]));
    assert_eq!(shop["props"], serde_json::json!(["color", "plan"]));
    assert_eq!(shop["signals"], serde_json::json!(["tcf", "onetrust"]));
    assert_eq!(json["sites"][0]["props"], serde_json::Value::Null);
    let signals = json["signals"].as_array().unwrap();
    assert_eq!(signals.len(), 16, "fourteen adapters and two headers");
    let sites = |name: &str| &signals.iter().find(|signal| signal["name"] == name).unwrap()["sites"];
    assert_eq!(*sites("onetrust"), serde_json::json!(["shop"]));
    assert_eq!(*sites("payload"), serde_json::json!(["blog"]));
    assert_eq!(*sites("Sec-GPC"), serde_json::json!(["blog", "shop"]));
    let markdown = policy("md");
    assert!(markdown.contains("| shop | 90 days | 20 | UTC | 2026-11 \\<b\\>\\|x |"), "{markdown}");
    assert!(markdown.contains("90 to 395 days, by site"));
    assert!(markdown.contains("On shop the tracker keeps a random token"));
}

#[test]
fn markdown_tables_are_whole() {
    let markdown = policy("md");
    let mut columns = 0;
    for line in markdown.lines() {
        let bars = line.replace("\\|", "").matches('|').count();
        if line.starts_with('|') {
            assert!(columns == 0 || bars == columns, "{line}");
            columns = bars;
        } else {
            assert_eq!(bars, 0, "{line}");
            columns = 0;
        }
    }
    for key in ["consentry.consent", "consentry.visit"] {
        assert!(markdown.contains(&format!("| {key} |")), "{key}");
    }
    assert_eq!(markdown.matches("\n## ").count(), 9);
}

#[test]
fn the_page_stands_alone_and_every_tag_is_closed() {
    let page = policy("html");
    assert!(page.starts_with("<!doctype html>"));
    for loading in ["<script", "<link", "<img", "src=", "url(", "@import", "http://", "https://"] {
        assert!(!page.contains(loading), "{loading}");
    }
    assert!(page.contains("2026-11 &lt;b&gt;|x"));
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let name = tag.split(['>', ' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{tag}"),
            None if ["!doctype", "meta"].contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let ids: Vec<&str> =
        page.split("<section id=\"").skip(1).filter_map(|part| part.split('"').next()).collect();
    assert!(ids.iter().all(|id| page.contains(&format!("href=\"#{id}\""))));
}
