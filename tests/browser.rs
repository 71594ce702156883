//! A real browser on the demo page: what Chromium sends becomes rows, and nothing is sent before consent.
//!
//! Needs Chromium (Debian's package `chromium`; `CHROMIUM` names another path) and Node.js with npm.

mod browser_support;
mod common;

use browser_support::drive;
use common::Collector;

#[test]
fn consent_managers_are_believed_click_by_click() {
    let collector = Collector::start();
    // The page's own server has the files that the collector serves.
    let files = tempfile::tempdir().unwrap();
    for name in ["consentry.js", "consentry-managers.js"] {
        std::fs::write(files.path().join(name), collector.get(&format!("/js/{name}")).body).unwrap();
    }
    let base = format!("http://{}", collector.public);
    let args = [files.path().to_str().unwrap(), &base];
    let Some(sent) = drive("consent_managers_are_believed_click_by_click", "managers.mjs", &args) else {
        return;
    };
    println!("{sent}");
    collector.settle();
    let accepted = sent["accepted"].as_u64().unwrap();
    assert!(accepted > 0);
    assert_eq!(
        collector.count("consentry.events"),
        accepted,
        "what the managers' visitors agreed to, and no more"
    );
}

#[test]
fn what_a_browser_sends_becomes_rows() {
    let collector = Collector::start();
    let base = format!("http://{}", collector.public);
    let Some(sent) = drive("what_a_browser_sends_becomes_rows", "demo.mjs", &[&base]) else { return };

    collector.settle();
    for (kind, count) in sent.as_object().unwrap() {
        let rows = collector.count(&format!("consentry.events WHERE type = '{kind}'"));
        assert_eq!(rows, count.as_u64().unwrap(), "{kind}: sent by the browser and stored");
    }
    let total: u64 = sent.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(collector.count("consentry.events"), total);
    let page = collector.sql(
        "SELECT DISTINCT site, consent_basis, browser, device, host, path, connection != 'x', visit != 0, visitor != 0 \
         FROM consentry.events WHERE type = 'pageview' AND path = '/demo'",
    );
    assert_eq!(page, "demo\tpayload\tHeadlessChrome\tdesktop\t127.0.0.1\t/demo\t1\t1\t1");
    assert_eq!(
        collector
            .sql("SELECT max(lcp_ms > 0 OR fcp_ms > 0) FROM consentry.events WHERE type = 'performance'"),
        "1"
    );
    assert_eq!(
        collector.sql("SELECT countIf(engaged_ms = 0) FROM consentry.events WHERE type = 'engagement'"),
        "0"
    );
    assert_eq!(
        collector.sql("SELECT countIf(crash_fingerprint = 0) FROM consentry.events WHERE type = 'crash'"),
        "0"
    );
}

#[test]
fn a_subjects_token_is_kept_after_consent_and_erases_on_withdrawal() {
    let collector =
        Collector::start_configured("[[site]]\nid = \"demo\"\norigins = [\"loopback\"]\nsubjects = true\n");
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("consentry.js"), collector.get("/js/consentry.js").body).unwrap();
    let base = format!("http://{}", collector.public);
    let args = [files.path().to_str().unwrap(), &base];
    let test = "a_subjects_token_is_kept_after_consent_and_erases_on_withdrawal";
    let Some(sent) = drive(test, "subjects.mjs", &args) else { return };
    assert_eq!(sent["views"], 3);
    common::eventually("the withdrawal is carried out", || {
        (collector.count("consentry.subject_receipts WHERE request = 'withdraw' AND spool + events >= 2")
            == 1)
            .then_some(())
    });
    collector.settle();
    assert_eq!(collector.count("consentry.events WHERE subject != 0"), 0);
    assert_eq!(collector.count("consentry.events WHERE type = 'pageview'"), 1, "the one without a token");
}
