//! A real browser on the demo page: what Chromium sends becomes rows, and nothing is sent before consent.
//!
//! Needs Chromium (Debian's package `chromium`; `CHROMIUM` names another path) and Node.js with npm.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::Collector;

fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let usual =
        ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
    named.into_iter().chain(usual).find(|path| path.exists())
}

/// The driver and its one package, beside the build's other files: the source tree stays as it is.
fn driver() -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/e2e");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e");
    std::fs::create_dir_all(&to).unwrap();
    for name in ["package.json", "package-lock.json", ".npmrc", "demo.mjs", "recorder.mjs"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    if !to.join("node_modules/playwright-core").exists() {
        let installed = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&to)
            .output()
            .unwrap();
        assert!(installed.status.success(), "npm ci: {}", String::from_utf8_lossy(&installed.stderr));
    }
    to
}

#[test]
fn what_a_browser_sends_becomes_rows() {
    let Some(chromium) = chromium() else {
        println!(
            "skipped: what_a_browser_sends_becomes_rows: Chromium is not installed (apt-get install chromium)"
        );
        return;
    };
    let collector = Collector::start();
    let output = Command::new("node")
        .arg(driver().join("demo.mjs"))
        .arg(format!("http://{}", collector.public))
        .env("CHROMIUM", chromium)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let sent: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();

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
