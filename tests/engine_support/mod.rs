//! What the tests of the embedded engine share.
#![allow(dead_code)] // each test file uses a part of it

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use consentry::store::engine::{Access, Credentials, Engine, Program, fetch_from, locate};

/// The program with the hidden subcommand.
pub(crate) const OWN: &str = env!("CARGO_BIN_EXE_consentry");
/// Tells the helper below which directory to run an engine in.
pub(crate) const HELPER_DIR: &str = "ENGINE_TEST_DIR";

pub(crate) async fn program() -> Program {
    match locate().unwrap() {
        Some(program) => program,
        None => fetch_from(OWN.into(), |_| ()).await.unwrap(),
    }
}

pub(crate) async fn started(dir: &Path) -> Engine {
    let engine = Engine::start_from(OWN.into(), program().await, dir.to_owned()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), engine.ready()).await.unwrap().unwrap();
    engine
}

/// Runs `sql` and gives what came back: the body, or `error NUMBER`.
pub(crate) fn ask(port: u16, user: Option<&Credentials>, path: &str, sql: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let login = user.map_or_else(String::new, |user| {
        format!("X-ClickHouse-User: {}\r\nX-ClickHouse-Key: {}\r\n", user.user, user.password.expose())
    });
    let length = sql.len();
    write!(stream, "POST {path} HTTP/1.0\r\nHost: x\r\n{login}Content-Length: {length}\r\n\r\n{sql}")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let code = head.lines().find_map(|line| line.strip_prefix("X-ClickHouse-Exception-Code: "));
    match code {
        Some(code) => format!("error {code}"),
        None if head.contains(" 200 ") => body.trim_end().to_owned(),
        None => head.lines().next().unwrap().to_owned(),
    }
}

pub(crate) fn admin(access: &Access, sql: &str) -> String {
    ask(access.http_port, Some(&access.admin), "/", sql)
}

pub(crate) fn analyst(access: &Access, sql: &str) -> String {
    ask(access.http_port, Some(&access.analyst), "/", sql)
}

/// Statements that make the tables of these tests.
pub(crate) fn make_tables(access: &Access) {
    for sql in [
        "CREATE DATABASE consentry",
        "CREATE DATABASE report",
        "CREATE TABLE consentry.events (site String, ts DateTime, visitor UInt64) ENGINE = MergeTree ORDER BY (site, ts) \
         SETTINGS non_replicated_deduplication_window = 100",
        "CREATE TABLE consentry.hours (site String, hour DateTime, visitors AggregateFunction(uniq, UInt64)) \
         ENGINE = AggregatingMergeTree ORDER BY (site, hour)",
        "CREATE MATERIALIZED VIEW consentry.hours_mv TO consentry.hours AS SELECT site, toStartOfHour(ts) AS hour, \
         uniqState(visitor) AS visitors FROM consentry.events GROUP BY site, hour",
        "CREATE VIEW report.hours DEFINER = CURRENT_USER SQL SECURITY DEFINER AS SELECT site, hour, \
         uniqMerge(visitors) AS visitors FROM consentry.hours GROUP BY site, hour",
    ] {
        assert_eq!(admin(access, sql), "", "{sql}");
    }
}

pub(crate) const INSERT: &str =
    "INSERT INTO consentry.events SELECT 'shop', '2026-01-02 03:04:05', number FROM numbers(20)";

pub(crate) fn alive(pid: u32) -> bool {
    // A zombie that waits for its parent is dead.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

pub(crate) fn kill_9(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub(crate) fn within(limit: Duration, what: &str, mut happens: impl FnMut() -> bool) {
    let since = Instant::now();
    while !happens() {
        assert!(since.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// This test binary as another process that runs the named helper.
pub(crate) fn helper(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]).env(HELPER_DIR, dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// Reads the helper's output up to the line that begins with `word`; gives the rest of that line, and what keeps the
/// helper's output open.
pub(crate) fn line_of(child: &mut Child, word: &str) -> (String, impl Sized + use<>) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_prefix(word)?.trim().to_owned()));
    (found.unwrap(), lines)
}
