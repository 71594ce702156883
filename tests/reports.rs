//! What analysts may read: groups of at least k visitors, nothing that may not be shared, and how much is missing.

mod common;

use common::Collector;

const CONFIG: &str =
    "[[site]]\nid = \"shop\"\norigins = [\"*\"]\nk_anonymity = 10\n[site.consent]\ngpc = \"no_share\"\n";

fn send(collector: &Collector, path: &str, visitor: usize, consent: bool, gpc: bool) {
    let body = format!(
        r#"{{"site":"shop","type":"pageview","url":"https://shop.example{path}","consent":{{"analytics":{consent}}}}}"#
    );
    let agent = format!("Mozilla/5.0 (X11; Linux x86_64; rv:{visitor}.0) Gecko/20100101 Firefox/{visitor}.0");
    let mut headers =
        vec![("content-type", "application/json"), ("accept-language", "en"), ("user-agent", agent.as_str())];
    if gpc {
        headers.push(("sec-gpc", "1"));
    }
    assert_eq!(collector.request("POST", "/v1/events", &headers, body.as_bytes()).status, 202);
}

#[test]
fn small_groups_and_what_may_not_be_shared_are_left_out() {
    let collector = Collector::start_configured(CONFIG);
    for visitor in 0..10 {
        send(&collector, "/exactly-k", visitor, true, false);
    }
    for visitor in 0..9 {
        send(&collector, "/one-under-k", visitor, true, false);
        send(&collector, "/one-under-k", visitor, true, false);
    }
    for visitor in 0..20 {
        send(&collector, "/objected", visitor, true, true);
    }
    collector.settle();
    let stored =
        collector.sql("SELECT path, no_share, count() FROM consentry.events GROUP BY ALL ORDER BY ALL");
    assert_eq!(stored, "/exactly-k\t0\t10\n/objected\t1\t20\n/one-under-k\t0\t18");
    let reported = collector.sql("SELECT path, views, visitors FROM report.pages ORDER BY path");
    // The page with 9 visitors is left out, and counted; its figures are not told.
    assert_eq!(reported, "(withheld)\t0\t0\n/exactly-k\t10\t10");
}

#[test]
fn how_much_is_missing_can_be_read_by_hour() {
    let collector = Collector::start_configured(CONFIG);
    for visitor in 0..6 {
        send(&collector, "/", visitor, visitor % 3 != 0, false);
    }
    collector.settle();
    let rate = collector.sql("SELECT site, kept, denied, absent, round(consent_rate, 3) FROM report.consent");
    assert_eq!(rate, "shop\t4\t2\t0\t0.667");
    let metrics = collector.get_admin("/metrics").text();
    assert!(
        metrics
            .contains(r#"consentry_events_total{site="shop",outcome="dropped",reason="consent_denied"} 2"#)
    );
}

#[test]
fn global_privacy_control_is_said_to_be_honoured_where_configured() {
    let silent = Collector::start();
    assert_eq!(silent.get("/.well-known/gpc.json").status, 404);
    let saying =
        Collector::start_configured(&format!("{CONFIG}gpc_json = true\npolicy_version = \"2026-11\"\n"));
    let answer = saying.get("/.well-known/gpc.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json()["gpc"], true);

    send(&saying, "/", 1, true, false);
    saying.settle();
    let kept = saying.sql("SELECT consent_basis, policy_version FROM consentry.events");
    assert_eq!(kept, "payload\t2026-11");
}

#[test]
fn a_preflight_leaves_no_trace() {
    let collector = Collector::start_configured(CONFIG);
    // All but what the process itself and the time change.
    let metrics = || {
        let text = collector.get_admin("/metrics").text();
        let own = ["open_files", "resident", "_age_seconds", "process_", "memory_", "cpu_"];
        text.lines().filter(|line| !own.iter().any(|own| line.contains(own))).collect::<Vec<_>>().join("\n")
    };
    let before = metrics();
    assert!(before.contains("consentry_spool_bytes"));
    for path in ["/v1/events", "/v1/events?site=shop&canary-9e1=1"] {
        let headers = [
            ("origin", "https://canary-9e1.example"),
            ("access-control-request-method", "POST"),
            ("dnt", "1"),
        ];
        assert_eq!(collector.request("OPTIONS", path, &headers, b"").status, 204);
    }
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(metrics(), before);
    assert_eq!(collector.count("consentry.ledger"), 0);
    assert_eq!(std::fs::read_dir(collector.data_dir().join("spool")).unwrap().count(), 0);
    assert!(!collector.log().contains("canary-9e1"));
}
