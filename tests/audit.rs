//! The audit shows from outside that nothing that identifies survives in a running collector, under load too; and it
//! finds a leak wherever one is planted.

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{Collector, KeepAlive, binary};
use serde_json::Value;

const SEED: &str = "4711";

struct Audit {
    code: Option<i32>,
    report: Value,
}

impl Audit {
    fn run(collector: &Collector, more: &[&str]) -> Self {
        let output = Command::new(binary())
            .args(["audit", "--format", "json", "--seed", SEED, "--listen", &collector.public.to_string()])
            .args(["--admin-listen", &collector.admin.to_string(), "--data-dir"])
            .arg(collector.data_dir())
            .args(more)
            .env_remove("CONSENTRY_CONFIG")
            .output()
            .unwrap();
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
        Self { code: output.status.code(), report }
    }

    /// Form and place of each finding of a kind.
    fn found(&self, kind: &str) -> Vec<(String, String)> {
        let findings = self.report["findings"].as_array().unwrap().iter();
        findings
            .filter(|found| found["kind"] == kind)
            .map(|found| {
                let text = |key: &str| found[key].as_str().unwrap().to_owned();
                (text("form"), text("place"))
            })
            .collect()
    }

    fn searched(&self, place: &str) -> &Value {
        let places = self.report["searched"].as_array().unwrap();
        places
            .iter()
            .find(|searched| searched["place"].as_str().unwrap().starts_with(place))
            .unwrap_or_else(|| panic!("{place}: {:#}", self.report))
    }

    /// A leak that was planted is found, and is the only one.
    fn has_only(&self, kind: &str, form: &str, place: &str) {
        let found = self.found(kind);
        assert!(found.iter().any(|(f, p)| f == form && p.contains(place)), "{found:?}");
        assert_eq!(
            found.len(),
            self.report["findings"].as_array().unwrap().len(),
            "{:#}",
            self.report["findings"]
        );
        assert_eq!((self.code, &self.report["verdict"]), (Some(1), &Value::from("finding")));
    }
}

/// The canaries of the seed.
fn canary(kind: &str) -> String {
    let output = Command::new(binary()).args(["audit", "--list", "--seed", SEED]).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix('\t').map(str::to_owned)).unwrap()
}

#[test]
fn under_load_nothing_that_identifies_survives() {
    let collector = Collector::start();
    let stop = Arc::new(AtomicBool::new(false));
    let others = Arc::new(AtomicU64::new(0));
    let load: Vec<_> = (0..4)
        .map(|worker| {
            let (stop, others, public) = (stop.clone(), others.clone(), collector.public);
            std::thread::spawn(move || {
                let mut connection = KeepAlive::connect(public).unwrap();
                // Bounded, should the audit never end.
                for turn in 0..200_000 {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let body = format!(
                        r#"{{"site":"demo","type":"pageview","url":"https://shop.example/p/{turn}","title":"Blue shoes {worker}","consent":{{"analytics":true}}}}"#
                    );
                    if connection.post(&body).is_ok_and(|(status, _)| status == 202) {
                        others.fetch_add(1, Ordering::Relaxed);
                    }
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
            })
        })
        .collect();
    let audit = Audit::run(&collector, &[]);
    stop.store(true, Ordering::Relaxed);
    load.into_iter().for_each(|worker| worker.join().unwrap());

    let report = &audit.report;
    assert_eq!(
        (audit.code, &report["verdict"]),
        (Some(0), &Value::from("clean")),
        "{:#}",
        report["findings"]
    );
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0));
    let number = |value: &Value| value.as_u64().unwrap();
    assert!(number(&report["canaries"]) >= 35 && number(&report["patterns"]) > 1000);
    assert!(
        number(&report["stored"]) > 200 && report["stored"].as_u64() >= report["sent"]["accepted"].as_u64()
    );
    assert!(others.load(Ordering::Relaxed) > 100);
    for carrier in ["client hints", "headers and query string", "pixel"] {
        assert!(number(&report["sent"]["carriers"][carrier]) >= 35, "{carrier}");
    }
    for place in [
        "answers",
        "the store",
        "/metrics",
        "files below",
        "log files",
        "memory of the collector",
        "memory of the embedded",
    ] {
        assert!(number(&audit.searched(place)["bytes"]) > 0, "{place}");
    }
    let bytes: u64 = report["searched"].as_array().unwrap().iter().map(|place| number(&place["bytes"])).sum();
    println!(
        "audit under load ({} events of others): {} canaries in {} fields, {} variants, {} requests, {} events; {} forms, {} \
         patterns, {bytes} bytes searched, {} s: no finding",
        others.load(Ordering::Relaxed),
        report["canaries"],
        report["fields"].as_array().unwrap().len(),
        report["variants"].as_array().unwrap().len(),
        report["sent"]["requests"],
        report["sent"]["events"],
        report["forms"].as_array().unwrap().len(),
        report["patterns"],
        report["seconds"],
    );
}

/// A kind that is not kept by anybody and quickly sent.
const ONE: [&str; 4] = ["--kind", "subject_token", "--variant", "plain"];

#[test]
fn a_planted_leak_is_found_wherever_it_is() {
    // Half a request stays open for as long as an audit takes on a busy machine.
    let collector = Collector::start_configured("header_timeout_ms = 60000\n");
    let data = collector.data_dir();
    let token = canary("subject_token");
    assert_eq!(Audit::run(&collector, &ONE).code, Some(0));

    // A file of the spool's directory, as it is.
    std::fs::create_dir_all(data.join("damaged")).unwrap();
    let raw = data.join("damaged/planted.seg");
    std::fs::write(&raw, [&[0; 1000][..], token.as_bytes(), b"\0\0"].concat()).unwrap();
    Audit::run(&collector, &ONE).has_only("subject_token", "raw", "planted.seg");
    std::fs::remove_file(raw).unwrap();

    // A digest in the quarantine.
    std::fs::create_dir_all(data.join("quarantine")).unwrap();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(token.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    let quarantined = data.join("quarantine/planted.jsonl");
    std::fs::write(&quarantined, format!("{{\"user\":\"{hex}\"}}\n")).unwrap();
    Audit::run(&collector, &ONE).has_only("subject_token", "SHA-256", "quarantine/planted.jsonl");
    std::fs::remove_file(quarantined).unwrap();

    // Base64 in a log.
    let log = collector.dir.path().join("other.log");
    let line = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("GET /?t={token} HTTP/1.1"),
    );
    std::fs::write(&log, format!("2026-01-01 request {line}\n")).unwrap();
    let named = [&ONE[..], &["--log", log.to_str().unwrap()]].concat();
    Audit::run(&collector, &named).has_only("subject_token", "base64", "other.log");

    // The memory of the collector: half a request on an open connection.
    let mut open = TcpStream::connect(collector.public).unwrap();
    write!(open, "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\nx-token: {token}\r\n")
        .unwrap();
    let header = Audit::run(&collector, &ONE);
    header.has_only("subject_token", "raw", "memory of the collector");
    drop(open);
    assert_eq!(Audit::run(&collector, &ONE).code, Some(0));

    // A row of the store, where no look at files would see it.
    collector.sql(&format!("INSERT INTO consentry.events (site, type, ts, title, retention_days) VALUES ('demo', 'pageview', now64(3), '{token}', 30)"));
    let store = Audit::run(&collector, &ONE);
    assert!(
        store.found("subject_token").contains(&("raw".into(), "consentry.`events`.`title`".into())),
        "{:?}",
        store.found("subject_token")
    );
    assert_eq!(store.code, Some(1));
}

#[test]
fn what_cannot_be_searched_is_said() {
    let collector = Collector::start();
    let audit = Audit::run(
        &collector,
        &["--kind", "birthday,subject_token", "--variant", "plain", "--pid", "4194304"],
    );
    let not: Vec<&str> = audit.report["not_searched"]
        .as_array()
        .unwrap()
        .iter()
        .map(|not| not["place"].as_str().unwrap())
        .collect();
    assert!(not.iter().any(|place| place.starts_with("memory of the collector")), "{not:?}");
    assert!(not.iter().any(|place| place.contains("birthday")), "{not:?}");
    assert!(not.contains(&"logs"), "{not:?}");
}

#[test]
fn wrong_usage_says_what_to_change() {
    for (args, says) in [(["--kind", "shoe"], "--list"), (["--site", "nowhere"], "demo")] {
        let output =
            Command::new(binary()).arg("audit").args(args).env_remove("CONSENTRY_CONFIG").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(says));
    }
}
