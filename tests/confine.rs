//! What the collector gave up at its start, it and its engine cannot do any more; all that it needs it can.

mod common;

use std::process::{Command, Output};

use common::{Collector, binary, eventually, signal};

const EVENT: &str =
    r#"{"site":"demo","type":"pageview","url":"https://shop.example/","consent":{"analytics":true}}"#;

/// The engine's admin asks it to write a file.
fn write_by_engine(collector: &Collector, path: &std::path::Path) -> Output {
    let query = format!("INSERT INTO FUNCTION file('{}', 'CSV', 'a UInt8') VALUES (1)", path.display());
    Command::new(binary()).args(["sql", &query, "--data-dir"]).arg(collector.data_dir()).output().unwrap()
}

#[test]
fn collector_and_engine_write_to_the_data_directory_alone_and_go_on_working() {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("written.csv");
    // Without it the engine's admin writes wherever its user may: so the refusal below is Landlock's.
    let free = Collector::start_with(&[], &[("CONSENTRY_CONFINE", "false")]);
    assert!(write_by_engine(&free, &path).status.success() && path.exists());
    std::fs::remove_file(&path).unwrap();
    drop(free);

    let mut collector = Collector::start();
    let log = collector.log();
    if log.contains("not confined: this kernel has no Landlock") {
        println!("skipped: this kernel has no Landlock");
        return;
    }
    println!("{}", log.lines().find(|line| line.contains("confined")).expect("a line that says what holds"));
    assert!(log.contains(" confined: writes to its data directory alone"), "{log}");
    let refused = write_by_engine(&collector, &path);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("Permission denied"), "{said}");
    assert!(!path.exists());
    // No program that it could start gets more rights than it has, and its engine is held to the same.
    for pid in [collector.pid(), collector.engine_pid()] {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }

    // An engine that ends is started again, which takes starting a program.
    let before = collector.engine_pid();
    signal(before, "KILL");
    assert_eq!(collector.post(EVENT).status, 202);
    eventually("another engine", || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", collector.pid())).unwrap();
        let mut children =
            tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok());
        children
            .any(|children| !children.trim().is_empty() && children.trim() != before.to_string())
            .then_some(())
    });
    collector.store_answers();
    collector.settle();
    assert_eq!(collector.count("consentry.events"), 1);
    let refused = write_by_engine(&collector, &path);
    assert!(!refused.status.success() && !path.exists(), "the next engine is held to it too");
    assert_eq!(collector.stop(), Some(0));
}

#[test]
fn a_socket_that_it_made_is_taken_away_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("consentry.sock");
    let mut collector = Collector::start_listening(
        &format!("unix:{}", socket.display()),
        &[],
        &[("CONSENTRY_CLIENT_ADDRESS_HEADER", "x-forwarded-for")],
    );
    assert!(socket.exists());
    assert_eq!(collector.stop(), Some(0));
    assert!(!socket.exists());
}
