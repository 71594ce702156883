//! SIGHUP reads sites and limits again, whole or not at all, and nobody who sends notices.

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Collector, KeepAlive, eventually, request, signal};

const SHOP: &str = "[[site]]\nid = \"shop\"\norigins = [\"https://shop.example\"]\n";
const BLOG: &str = "[[site]]\nid = \"blog\"\norigins = [\"https://blog.example\"]\nretention_days = 30\n";

fn event(site: &str) -> String {
    format!(
        r#"{{"site":"{site}","type":"pageview","url":"https://{site}.example/","consent":{{"analytics":true}}}}"#
    )
}

struct Running {
    collector: Collector,
    config: PathBuf,
}

impl Running {
    fn start(text: &str) -> Self {
        let collector = Collector::start_configured(text);
        let config = collector.dir.path().join("consentry.toml");
        Self { collector, config }
    }

    /// Puts a new configuration there and asks for it; gives what the log says of it.
    fn reload(&self, text: &str) -> String {
        let lines = |log: &str| log.lines().filter(|line| line.contains("was read again")).count();
        // One place of the program writes no more than 20 lines in 10 seconds.
        std::thread::sleep(Duration::from_millis(550));
        let before = lines(&self.collector.log());
        std::fs::write(&self.config, text).unwrap();
        signal(self.collector.pid(), "HUP");
        eventually("the log says what became of it", || {
            let log = self.collector.log();
            let last =
                log.lines().rfind(|line| line.contains("was read again")).unwrap_or_default().to_owned();
            (lines(&log) > before).then_some(last)
        })
    }
}

#[test]
fn sites_come_and_go_under_load_and_no_request_fails() {
    let running = Running::start(SHOP);
    let (to, stop) = (running.collector.public, Arc::new(AtomicBool::new(false)));
    let sender = |kept: bool| {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut connection = KeepAlive::connect(to).unwrap();
            let (mut sent, mut failed) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                let status = if kept {
                    connection.post(&event("shop")).map_or(0, |(status, _)| status)
                } else {
                    request(to, "POST", "/v1/events", &[], event("shop").as_bytes()).status
                };
                sent += 1;
                failed += u64::from(status != 202);
            }
            (sent, failed)
        })
    };
    let senders: Vec<_> = [true, true, true, false].into_iter().map(sender).collect();
    let post = |site: &str, origin: &str| {
        let headers = [("content-type", "application/json"), ("origin", origin)];
        running.collector.request("POST", "/v1/events", &headers, event(site).as_bytes()).status
    };
    assert_eq!(post("blog", "https://blog.example"), 403);
    for round in 0..20 {
        let log = running.reload(&format!("{SHOP}{BLOG}"));
        assert!(log.contains("sites=2"), "{log}");
        assert_eq!(post("blog", "https://blog.example"), 202, "round {round}");
        // The consent rules and the origins of the new site are its own.
        assert_eq!(post("blog", "https://shop.example"), 403);
        let log = running.reload(SHOP);
        assert!(log.contains("sites=1"), "{log}");
        assert_eq!(post("blog", "https://blog.example"), 403, "round {round}");
    }
    running.reload(&format!("{SHOP}{BLOG}"));
    stop.store(true, Ordering::Relaxed);
    let (mut sent, mut failed) = (0, 0);
    for sender in senders {
        let (more, bad) = sender.join().unwrap();
        (sent, failed) = (sent + more, failed + bad);
    }
    println!("{sent} requests over 41 reloads, {failed} failed");
    assert!(sent > 500 && failed == 0, "{failed} of {sent}");
    // The store knows the new site's rules, and its visitors have a key of their own.
    eventually("the store knows the site", || {
        let days =
            running.collector.sql("SELECT retention_days FROM consentry.sites FINAL WHERE site = 'blog'");
        (days == "30").then_some(())
    });
    running.collector.settle();
    assert_eq!(running.collector.count("consentry.events WHERE site = 'blog' AND visitor != 0"), 20);
    assert_eq!(running.collector.count("consentry.events WHERE site = 'shop'"), sent);
    let visitors =
        running.collector.sql("SELECT uniqExact(visitor) FROM consentry.events WHERE site = 'shop'");
    assert_eq!(visitors, "1", "a reload splits no visitor");
    assert_eq!(
        running.collector.sql("SELECT count() FROM (SELECT visitor FROM consentry.events GROUP BY visitor HAVING uniqExact(site) > 1)"),
        "0"
    );
}

#[test]
fn a_configuration_that_cannot_be_taken_changes_nothing_and_says_why() {
    let running = Running::start(&format!("body_bytes_max = 4096\n{SHOP}"));
    let post = |site: &str| running.collector.post(&event(site));
    let refused = [
        // A part of it is sound, and is not taken either.
        (
            format!("{SHOP}{BLOG}[limits]\nrequests_per_network_and_s_mx = 1\n"),
            "requests_per_network_and_s_mx",
        ),
        (format!("{SHOP}{BLOG}{BLOG}"), "configured twice"),
        (format!("{SHOP}{BLOG}[[site]]\nid = \"x\"\norigins = [\"nonsense\"]\n"), "nonsense"),
        (format!("seal_rows_max = 7\ndrain_seconds = 3\n{SHOP}{BLOG}"), "seal_rows_max, drain_seconds"),
        (format!("{SHOP}{BLOG}subjects = true\n"), "subjects"),
        (
            format!("{SHOP}{BLOG}[tls]\ncertificate_file = \"/none\"\nkey_file = \"/none\"\n"),
            "tls.certificate_file",
        ),
        (format!("{SHOP}{BLOG}admin_token = "), "consentry.toml:8: admin_token: has no value"),
    ];
    for (text, why) in refused {
        let log = running.reload(&text);
        assert!(log.contains("not taken") && log.contains(why), "{why}: {log}");
        assert_eq!(post("shop").status, 202);
        assert_eq!(post("blog").status, 403, "{why}: nothing of it was taken");
    }
    // Limits of bodies and of networks are taken.
    let large = format!("{}{}", event("shop"), " ".repeat(5000));
    assert_eq!(running.collector.post(&large).status, 413);
    let log = running.reload(&format!(
        "body_bytes_max = 8192\n{SHOP}[limits]\nunlimited_networks = []\nrequests_per_network_and_s_max = 1\nrequests_per_network_burst_max = 3\n"
    ));
    assert!(log.contains("sites=1"), "{log}");
    let statuses: Vec<u16> = (0..5).map(|_| running.collector.post(&large).status).collect();
    assert_eq!(statuses[..3], [202; 3], "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(running.collector.post(&large).status, 202);
}

#[test]
fn with_salts_in_memory_a_new_site_needs_a_restart() {
    let memory = "salt_store = \"memory\"\n";
    let running = Running::start(&format!("{memory}{SHOP}"));
    let log = running.reload(&format!("{memory}{SHOP}{BLOG}"));
    assert!(log.contains("not taken") && log.contains("salt_store"), "{log}");
    let log = running.reload(&format!("{memory}body_bytes_max = 99\n{SHOP}"));
    assert!(log.contains("sites=1"), "{log}");
}
