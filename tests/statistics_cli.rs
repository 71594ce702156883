//! `consentry stats`: a person's questions, answered as a table, as JSON and as CSV.

mod common;

use std::process::{Command, Output};

use common::{Collector, binary};

fn stats(collector: &Collector, args: &[&str]) -> Output {
    let admin = collector.admin.to_string();
    Command::new(binary())
        .arg("stats")
        .args(args)
        .args(["--admin-listen", &admin])
        .env_remove("CONSENTRY_CONFIG")
        .output()
        .unwrap()
}

fn told(collector: &Collector, args: &[&str]) -> String {
    let output = stats(collector, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn pages_of_a_site_are_a_table_with_bars() {
    let collector = Collector::start_configured("[[site]]\nid = \"shop\"\nk_anonymity = 10\n");
    collector.sql(
        "INSERT INTO consentry.events (site, type, ts, visitor, visit, host, path, device, channel, engaged_ms, retention_days) \
         SELECT 'shop', 'pageview', now64(3) - 30, number + 1, number + 1, 'h', multiIf(number < 5, '/few', number < 11, '/rare', number < 31, '/some', '/'), \
         'desktop', 'Direct', 0, 30 FROM numbers(71)",
    );
    let table = told(&collector, &["pages", "--site", "shop", "--last", "7d"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("event:page"), "{table}");
    assert!(lines[1].starts_with("/ ") && lines[1].ends_with(&"█".repeat(20)), "{table}");
    assert!(lines[2].starts_with("/some") && lines[2].ends_with(&"█".repeat(10)), "{table}");
    assert!(
        table.contains("2 groups are withheld, so that none of fewer than 10 visitors can be made out."),
        "{table}"
    );
    assert!(!table.contains("/few") && !table.contains("/rare"));

    let json: serde_json::Value =
        serde_json::from_str(&told(&collector, &["pages", "--last", "7d", "--json"])).unwrap();
    assert_eq!(json["results"][0]["metrics"][0], 40);
    let csv = told(&collector, &["pages", "--last", "7d", "--csv"]);
    assert_eq!(csv.lines().next(), Some("\"event:page\",\"visitors\",\"pageviews\",\"time_on_page\""));
    assert_eq!(csv.lines().count(), 3);
    for what in [
        "summary",
        "days",
        "hours",
        "channels",
        "devices",
        "events",
        "vitals",
        "realtime",
        "sites",
        "crashes",
        "entry-pages",
    ] {
        told(&collector, &[what, "--site", "shop"]);
    }
    let funnel = told(
        &collector,
        &["funnel", "--step", "/", "--step", "event:none", "--where", "visit:device=desktop"],
    );
    assert!(funnel.contains("share_of_first"), "{funnel}");
    let file = collector.dir.path().join("out.parquet");
    let query = r#"{"site":"shop","metrics":["visitors"],"date_range":"7d","dimensions":["event:page"]}"#;
    told(&collector, &["export", "--query", query, "--format", "parquet", "--out", file.to_str().unwrap()]);
    assert!(std::fs::read(file).unwrap().starts_with(b"PAR1"));
}

#[test]
fn what_is_wrong_is_told_with_the_exit_code_of_its_kind() {
    let collector = Collector::start_configured("[[site]]\nid = \"a\"\n[[site]]\nid = \"b\"\n");
    let wrong = |args: &[&str], code: i32, words: &str| {
        let output = stats(&collector, args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(words), "{text}");
    };
    wrong(&["pages"], 2, "--site takes one of a, b");
    wrong(&["pages", "--site", "c"], 2, "no such site");
    wrong(&["pages", "--site", "a", "--last", "soon"], 2, "date_range");
    wrong(&["pages", "--site", "a", "--where", "x"], 2, "--where takes");
    wrong(&["pages", "--site", "a", "--where", "visit:planet=Mars"], 2, "filters[0][1]");
    let output =
        Command::new(binary()).args(["stats", "sites", "--admin-listen", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no collector answers"));
}
