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

const NEEDED: [&str; 8] = [
    "package.json",
    "package-lock.json",
    ".npmrc",
    "demo.mjs",
    "managers.mjs",
    "recorder.mjs",
    "site.mjs",
    "subjects.mjs",
];

/// The driver and its packages, beside the build's other files: the source tree stays as it is.
fn driver() -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/e2e");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e");
    std::fs::create_dir_all(&to).unwrap();
    for name in NEEDED {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let (lock, installed) =
        (std::fs::read(to.join("package-lock.json")).unwrap(), to.join("node_modules/.installed-lock"));
    if std::fs::read(&installed).ok().as_ref() != Some(&lock) {
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&to)
            .output()
            .unwrap();
        assert!(npm.status.success(), "npm ci: {}", String::from_utf8_lossy(&npm.stderr));
        std::fs::write(installed, lock).unwrap();
    }
    to
}

/// One at a time: both tests install into the same place.
static DRIVER: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Runs a driver's script and gives the JSON that it prints last; `None` where there is no browser.
fn drive(test: &str, script: &str, args: &[&str]) -> Option<serde_json::Value> {
    let Some(chromium) = chromium() else {
        println!("skipped: {test}: Chromium is not installed (apt-get install chromium)");
        return None;
    };
    let driver = {
        let _one = DRIVER.lock().unwrap();
        driver()
    };
    let output =
        Command::new("node").arg(driver.join(script)).args(args).env("CHROMIUM", chromium).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    Some(serde_json::from_str(out.lines().last().unwrap()).unwrap())
}

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
