//! A day's salt: where it lives, when it dies, who can tell, and what it makes of a visitor.

mod common;
mod engine_support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::{Collector, binary, eventually, request};
use consentry::clock::{Clock, DAY_MS, HOUR_MS, MINUTE_MS, day_of};
use consentry::config::File;
use consentry::server;
use consentry::store::Source;
use consentry::store::engine::read_access;
use engine_support::{admin, analyst, started};

/// Whether a mapping of the process has all of these flags of `/proc/PID/smaps`.
fn has_mapping(pid: u32, wanted: &[&str]) -> bool {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let mut flags = smaps.lines().filter_map(|line| line.strip_prefix("VmFlags: "));
    flags.any(|flags| wanted.iter().all(|flag| flags.split(' ').any(|set| set == *flag)))
}

fn core_limit(pid: u32) -> String {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn no_key_reaches_a_core_dump_a_child_or_the_swap() {
    let collector = Collector::start();
    for pid in [collector.pid(), collector.engine_pid()] {
        assert_eq!(core_limit(pid), "0 0");
    }
    // Locked, not dumped, not copied on fork.
    assert!(has_mapping(collector.pid(), &["lo", "dd", "dc"]));
    assert!(!has_mapping(collector.engine_pid(), &["lo", "dd", "dc"]));
    let status = fs::read_to_string(format!("/proc/{}/status", collector.pid())).unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    assert_ne!(locked.trim(), "0 kB");
    assert!(!collector.log().contains("cannot be pinned"), "{}", collector.log());
}

/// What an analyst or auditor sees, without the columns that differ from run to run.
fn receipts(collector: &Collector) -> String {
    let access = read_access(&collector.data_dir().join("engine")).unwrap();
    analyst(&access, "SELECT number, event, store, if(reason = '', '-', reason) FROM report.salt_receipts")
}

fn told(collector: &Collector, expected: &str) {
    eventually(expected, || (receipts(collector) == expected).then_some(()));
}

#[test]
fn an_auditor_reads_the_receipts_and_checks_them_against_the_journal() {
    let mut collector = Collector::start();
    told(&collector, "1\tcreated\tfile\t-");
    // Once each, also when a collector brings them again.
    collector.kill();
    collector.restart();
    assert_eq!(collector.stop(), Some(0));
    collector.restart();
    told(&collector, "1\tcreated\tfile\t-");

    let salts = collector.data_dir().join("salts");
    let journal = fs::read_to_string(salts.join("receipts")).unwrap();
    let access = read_access(&collector.data_dir().join("engine")).unwrap();
    let columns = "chain, number, formatDateTime(at, '%FT%T', 'UTC') || '.' || leftPad(toString(toUnixTimestamp64Milli(at) % 1000), 3, '0') || 'Z', event, day, \
                   store, commitment, reason, collector";
    let table = analyst(&access, &format!("SELECT {columns} FROM report.salt_receipts"));
    assert_eq!(table, journal.trim_end(), "line for line");
    let salt = fs::read(salts.join(format!("{}.salt", day_of(Clock::system().now_ms())))).unwrap();
    assert!(journal.contains(blake3::hash(&salt).to_hex().as_str()));
    assert_eq!(analyst(&access, "SELECT count() FROM report.salts WHERE destroyed IS NULL"), "1");
    assert!(analyst(&access, "SELECT * FROM consentry.salt_receipts").starts_with("error"));

    let check = || {
        Command::new(binary()).args(["receipts", "--data-dir"]).arg(collector.data_dir()).output().unwrap()
    };
    let whole = check();
    assert_eq!(whole.status.code(), Some(0));
    assert!(String::from_utf8(whole.stdout).unwrap().contains("The journal is whole: 1 lines"));
    fs::write(salts.join("receipts"), journal.replace("\tcreated\t", "\tdestroyed\t")).unwrap();
    let changed = check();
    assert_eq!(changed.status.code(), Some(1));
    assert!(String::from_utf8(changed.stderr).unwrap().contains("damaged at line 1"));
}

#[test]
fn a_salt_in_memory_ends_with_the_collector_and_leaves_a_receipt() {
    let mut collector = Collector::start_configured("salt_store = \"memory\"\n[[site]]\nid = \"shop\"\n");
    let names = || fs::read_dir(collector.data_dir().join("salts")).unwrap().count();
    assert_eq!(names(), 1, "the journal alone");
    assert_eq!(collector.stop(), Some(0));
    collector.restart();
    let mut expected =
        "1\tcreated\tmemory\t-\n2\tdestroyed\tmemory\tstopped\n3\tcreated\tmemory\t-".to_owned();
    told(&collector, &expected);
    collector.kill();
    collector.restart();
    expected.push_str("\n4\tdestroyed\tmemory\tprocess_ended\n5\tcreated\tmemory\t-");
    told(&collector, &expected);
}

/// How a collector ends that finds `salt` as today's.
fn start_with_salt(salt: &[u8]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let salts = dir.path().join("salts");
    fs::create_dir_all(&salts).unwrap();
    let name = format!("{}.salt", day_of(Clock::system().now_ms()));
    fs::write(salts.join(&name), salt).unwrap();
    let ended = Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(fs::read(salts.join(name)).unwrap(), salt);
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn a_collector_does_not_start_on_a_salt_that_can_be_computed() {
    let date = Command::new("date").args(["-u", "+%F"]).output().unwrap().stdout;
    let date = String::from_utf8(date).unwrap();
    for salt in [[0; 32], *blake3::hash(date.trim().as_bytes()).as_bytes()] {
        let (code, said) = start_with_salt(&salt);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(".salt is no secret") && said.contains("remove the file"), "{said}");
    }
}

/// A collector inside this process, whose clock is ours.
struct Moved {
    public: SocketAddr,
    hand: Arc<AtomicI64>,
    engine: Arc<consentry::store::engine::Engine>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    ran: tokio::task::JoinHandle<Result<(), server::RunError>>,
}

impl Moved {
    async fn start(dir: &Path, now_ms: i64) -> Self {
        let engine = Arc::new(started(&dir.join("engine")).await);
        let text = "[[site]]\nid = \"shop\"\norigins = [\"*\"]\n[[site]]\nid = \"blog\"\norigins = [\"*\"]\n";
        let mut file: File = toml::from_str(text).unwrap();
        file.data_dir = dir.to_owned();
        let (clock, hand) = Clock::manual(now_ms);
        let bind = || tokio::net::TcpListener::bind("127.0.0.1:0");
        let (listener, admin) = (bind().await.unwrap(), bind().await.unwrap());
        let public = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (tell, ready) = tokio::sync::oneshot::channel();
        let source = Source::Embedded(engine.clone());
        let ran = tokio::spawn(server::run(
            listener,
            admin,
            file.resolve().unwrap(),
            clock,
            source,
            async {
                let _ = stopped.await;
            },
            || tell.send(()).unwrap(),
        ));
        ready.await.unwrap();
        Self { public, hand, engine, stop: Some(stop), ran }
    }

    fn at(&self, now_ms: i64) {
        self.hand.store(now_ms, Ordering::Relaxed);
    }

    /// Sends one page view; `visit`: its id and beginning.
    fn view(&self, site: &str, path: &str, agent: &str, visit: Option<(&str, i64)>) {
        let visit = visit
            .map(|(id, began_ms)| format!(r#","visit":{{"id":"{id}","started_at":{began_ms}}}"#))
            .unwrap_or_default();
        let body = format!(
            r#"{{"site":"{site}","type":"pageview","url":"https://shop.example{path}","consent":{{"analytics":true}}{visit}}}"#
        );
        let headers = [("content-type", "application/json"), ("user-agent", agent)];
        let answer = tokio::task::block_in_place(|| {
            request(self.public, "POST", "/v1/events", &headers, body.as_bytes())
        });
        assert_eq!(answer.json()["accepted"], 1, "{}", answer.text());
    }

    fn sql(&self, sql: &str) -> String {
        tokio::task::block_in_place(|| admin(&self.engine.access().unwrap(), sql))
    }

    fn eventually(&self, sql: &str, expected: &str) {
        eventually(expected, || (self.sql(sql) == expected).then_some(()));
    }

    async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.ran.await.unwrap().unwrap();
        self.engine.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_over_midnight_is_one_visitor_and_nobody_else_lasts_longer_than_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let midnight = day_of(Clock::system().now_ms()) * DAY_MS;
    let collector = Moved::start(dir.path(), midnight - 10 * MINUTE_MS).await;
    let began = midnight - 20 * MINUTE_MS;
    let long = "Mozilla/5.0 ".repeat(50);
    let (long, longer) = (&long[..512], &format!("{}x", &long[..512]));

    collector.view("shop", "/over", "A", Some(("v1", began)));
    collector.view("shop", "/plain-before", "A", None);
    collector.view("blog", "/elsewhere", "A", None);
    collector.view("shop", "/long", long, None);
    collector.view("shop", "/longer", longer, None);
    collector.at(midnight + 10 * MINUTE_MS);
    collector.view("shop", "/over", "A", Some(("v1", began)));
    collector.view("shop", "/plain-after", "A", None);
    // A visit id lasts 24 hours and not longer.
    collector.at(began + DAY_MS);
    collector.view("shop", "/over", "A", Some(("v1", began)));
    collector.at(began + DAY_MS + 1);
    collector.view("shop", "/over-age", "A", Some(("v1", began)));
    collector.eventually("SELECT count() FROM consentry.events", "9");

    let hashes = |of: &str, path: &str| {
        collector.sql(&format!(
            "SELECT arraySort(groupUniqArray({of})) FROM consentry.events WHERE path = '{path}'"
        ))
    };
    let over = hashes("visitor", "/over");
    assert!(!over.contains(','), "one visitor: {over}");
    assert!(!hashes("visit", "/over").contains(','), "of one visit");
    assert_eq!(over, hashes("visitor", "/plain-before"), "by the key of the day on which it began");
    assert_ne!(over, hashes("visitor", "/plain-after"), "another day is another visitor");
    assert_ne!(over, hashes("visitor", "/elsewhere"), "another site is another visitor");
    assert_eq!(hashes("visitor", "/long"), hashes("visitor", "/longer"), "512 bytes of an agent count");
    assert_eq!(hashes("visit", "/over-age"), "[0]", "past its 24 h");
    assert_eq!(hashes("visitor", "/over-age"), hashes("visitor", "/plain-after"), "by the day of receipt");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn salts_die_in_time_without_traffic_and_the_table_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let today = day_of(Clock::system().now_ms());
    let noon = today * DAY_MS + 12 * HOUR_MS;
    let collector = Moved::start(dir.path(), noon).await;
    let name = |day: i64| dir.path().join("salts").join(format!("{day}.salt"));
    let exists = |day: i64| name(today + day).exists();
    collector.at(noon + DAY_MS);
    eventually("the next day's salt", || exists(1).then_some(()));
    assert!(exists(0), "a visit may still go on");
    collector.at((today + 2) * DAY_MS);
    eventually("the first salt is gone", || (!exists(0) && exists(2)).then_some(()));
    // A clock that jumps ahead, and back.
    collector.at(noon + 40 * DAY_MS);
    eventually("all are gone", || (!exists(1) && !exists(2) && exists(40)).then_some(()));
    collector.at(noon + 2 * DAY_MS);
    eventually("and this one too", || (!exists(40) && exists(2)).then_some(()));
    collector.eventually(
        &format!("SELECT event, day - toDate({today}), if(reason = '', '-', reason) FROM report.salt_receipts"),
        "created\t0\t-\ncreated\t1\t-\ndestroyed\t0\tover\ncreated\t2\t-\ndestroyed\t1\tover\ndestroyed\t2\tover\n\
         created\t40\t-\ndestroyed\t40\tover\ncreated\t2\t-",
    );
    let lives = collector.sql("SELECT max(hours) FROM report.salts WHERE day < toDate(today() + 1)");
    assert!(lives.parse::<f64>().unwrap() <= 48.0, "{lives}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_keeps_no_salt_alive_and_gets_its_receipts_later() {
    let dir = tempfile::tempdir().unwrap();
    let today = day_of(Clock::system().now_ms());
    let noon = today * DAY_MS + 12 * HOUR_MS;
    let collector = Moved::start(dir.path(), noon).await;
    let all = "SELECT groupArray(event) FROM report.salt_receipts";
    collector.eventually(all, "['created']");
    let engine = collector.engine.access().unwrap().pid;
    common::signal(engine, "STOP");
    for day in 1..4 {
        collector.at(noon + day * DAY_MS);
        let salt = |day: i64| dir.path().join("salts").join(format!("{}.salt", today + day));
        eventually("the day turns", || (salt(day).exists() && !salt(day - 2).exists()).then_some(()));
        collector.view("shop", "/while-away", "A", None);
    }
    common::signal(engine, "CONT");
    collector.eventually(all, "['created','created','destroyed','created','destroyed','created']");
    collector.stop().await;
}
