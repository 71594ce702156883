//! The embedded engine comes back by itself with its data, and ends with its collector.
//!
//! Needs an engine: `CONSENTRY_LIBCHDB`, the cache, or npm to fetch one.

mod engine_support;

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use consentry::store::engine::{Engine, EngineError, Program, State, read_access};
use engine_support::*;

/// Not a test by itself: the collector that another test starts and kills.
#[tokio::test]
async fn helper_holds_an_engine() {
    let Some(dir) = std::env::var_os(HELPER_DIR) else { return };
    let engine = started(Path::new(&dir)).await;
    println!("\nready {}", engine.access().unwrap().pid);
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn starts_answers_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let engine = started(&dir.path().join("engine")).await;
    let access = engine.access().unwrap();
    assert_eq!(admin(&access, "SELECT 1 + 1"), "2");
    assert!(TcpStream::connect(("127.0.0.1", access.tcp_port)).is_ok());
    assert_eq!(ask(access.http_port, Some(&access.admin), "/play", ""), "HTTP/1.0 404 Not Found");
    // Another command of the same owner finds it.
    assert_eq!(read_access(&dir.path().join("engine")), Some(access.clone()));
    engine.stop().await;
    assert_eq!(*engine.state().borrow(), State::Stopped);
    assert_eq!(engine.access(), None);
    assert_eq!(read_access(&dir.path().join("engine")), None);
    assert!(!alive(access.pid));
}

#[tokio::test]
async fn a_killed_engine_comes_back_with_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let engine = started(dir.path()).await;
    let mut state = engine.state();
    let before = engine.access().unwrap();
    make_tables(&before);
    let insert = "/?insert_deduplication_token=segment-1";
    assert_eq!(ask(before.http_port, Some(&before.ingest), insert, INSERT), "");
    kill_9(before.pid);
    let restarting = state.wait_for(|state| matches!(state, State::Restarting { .. })).await.unwrap().clone();
    assert!(
        matches!(&restarting, State::Restarting { attempts: 1, reason } if reason == "signal 9"),
        "{restarting:?}"
    );
    tokio::time::timeout(Duration::from_secs(30), engine.ready()).await.unwrap().unwrap();
    let after = engine.access().unwrap();
    assert_ne!(before.pid, after.pid);
    assert_eq!(before.admin, after.admin);
    assert_eq!(read_access(dir.path()).unwrap().pid, after.pid);
    // The same segment again is not counted again.
    assert_eq!(ask(after.http_port, Some(&after.ingest), insert, INSERT), "");
    assert_eq!(admin(&after, "SELECT count() FROM consentry.events"), "20");
    assert_eq!(analyst(&after, "SELECT visitors FROM report.hours"), "20");
    engine.stop().await;
}

#[tokio::test]
async fn the_engine_ends_with_a_killed_collector_and_the_next_one_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut collector = helper("helper_holds_an_engine", dir.path()).spawn().unwrap();
    let (engine, _open) = line_of(&mut collector, "ready ");
    let engine: u32 = engine.parse().unwrap();
    let access = read_access(dir.path()).unwrap();
    assert_eq!(access.pid, engine);
    assert_eq!(admin(&access, "CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n AS SELECT 7"), "");
    collector.kill().unwrap();
    collector.wait().unwrap();
    within(Duration::from_secs(2), "the engine ends", || !alive(engine));
    assert_eq!(read_access(dir.path()), None, "a file that was left behind is not believed");

    let engine = started(dir.path()).await;
    assert_eq!(admin(&engine.access().unwrap(), "SELECT n FROM kept"), "7");
    engine.stop().await;
}

#[tokio::test]
async fn the_next_collector_need_not_wait_for_the_last_one_to_end() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let mut collector = helper("helper_holds_an_engine", dir.path()).spawn().unwrap();
        let (_, _open) = line_of(&mut collector, "ready ");
        collector.kill().unwrap();
        collector.wait().unwrap();
    }
    started(dir.path()).await.stop().await;
}

#[tokio::test]
async fn a_second_collector_on_the_directory_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let engine = started(dir.path()).await;
    let error = Engine::start_from(OWN.into(), program().await, dir.path().to_owned()).unwrap_err();
    assert!(
        matches!(error, EngineError::InUse { holder: Some(pid), .. } if pid == std::process::id()),
        "{error}"
    );
    assert_eq!(admin(&engine.access().unwrap(), "SELECT 1"), "1", "the first one is not disturbed");
    engine.stop().await;
    started(dir.path()).await.stop().await;
}

#[tokio::test]
async fn a_library_that_is_no_engine_is_an_error_and_not_an_endless_retry() {
    let dir = tempfile::tempdir().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let other = maps.split_whitespace().find(|word| word.contains("/libc.so")).unwrap();
    let engine =
        Engine::start_from(OWN.into(), Program::Library(other.into()), dir.path().to_owned()).unwrap();
    let error = tokio::time::timeout(Duration::from_secs(10), engine.ready()).await.unwrap().unwrap_err();
    let text = error.to_string();
    assert!(text.contains(other) && text.contains("chdb_") && text.contains("clickhouse_url"), "{text}");
    assert_eq!(*engine.state().borrow(), State::Stopped);
}
