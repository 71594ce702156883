//! A store that is away, a disk that takes nothing, a stop in the middle of a load: what the senders are told holds.

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Collector, KeepAlive, eventually, signal};

const PER_REQUEST: u64 = 20;

fn body(request: u64) -> String {
    let event = |index: u64| {
        let number = request * PER_REQUEST + index;
        format!(r#"{{"type":"pageview","id":"e-{number}","url":"https://shop.example/p/{}"}}"#, number % 97)
    };
    let events: Vec<String> = (0..PER_REQUEST).map(event).collect();
    format!(r#"{{"site":"demo","consent":{{"analytics":true}},"events":[{}]}}"#, events.join(","))
}

/// Requests that were acknowledged, and answers of 503.
#[derive(Default)]
struct Told {
    acknowledged: Mutex<Vec<u64>>,
    refused: AtomicU64,
}

/// Sends as fast as it goes until `enough` or the collector is gone; nothing is sent twice.
fn load(collector: &Collector, told: &Told, enough: &AtomicBool, until: impl FnOnce()) {
    let (next, public) = (AtomicU64::new(0), collector.public);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let Ok(mut connection) = KeepAlive::connect(public) else { return };
                while !enough.load(Ordering::Relaxed) {
                    let request = next.fetch_add(1, Ordering::Relaxed);
                    match connection.post(&body(request)) {
                        Ok((202, _)) => told.acknowledged.lock().unwrap().push(request),
                        Ok((503, _)) => {
                            told.refused.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        Ok((status, answer)) => panic!("{status} {answer}"),
                        Err(_) => match KeepAlive::connect(public) {
                            Ok(again) => connection = again,
                            Err(_) => return,
                        },
                    }
                }
            });
        }
        until();
    });
}

/// Every acknowledged row is there, and none twice.
fn verify(collector: &Collector, told: &Told) -> u64 {
    collector.settle();
    let rows = collector.sql("SELECT count(), uniqExact(event_id) FROM consentry.events");
    let (count, distinct) = rows.split_once('\t').unwrap();
    assert_eq!(count, distinct, "a row is there twice");
    let acknowledged = told.acknowledged.lock().unwrap().len() as u64 * PER_REQUEST;
    let count: u64 = count.parse().unwrap();
    // What was durable when its connection ended may be there without an answer: at most one request a sender.
    assert!((acknowledged..=acknowledged + 8 * PER_REQUEST).contains(&count), "{acknowledged} of {count}");
    acknowledged
}

#[test]
fn memory_stays_small_while_the_store_is_away() {
    let seconds = std::env::var("OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let collector = Collector::start();
    let engine = collector.engine_pid();
    let (told, enough) = (Told::default(), AtomicBool::new(false));
    signal(engine, "STOP");
    load(&collector, &told, &enough, || {
        std::thread::sleep(Duration::from_secs(seconds));
        enough.store(true, Ordering::Relaxed);
    });
    let peak = collector.memory_bytes(true) >> 20;
    signal(engine, "CONT");
    println!("an outage of {seconds} s; peak memory of the collector {peak} MB");
    assert_eq!(told.refused.load(Ordering::Relaxed), 0, "the spool has room");
    // What came in this long may take as long to go.
    let (begun, bound) = (Instant::now(), Duration::from_secs(seconds));
    let waiting = || !collector.get_admin("/metrics").text().contains("\nconsentry_spooled_events 0\n");
    while waiting() && begun.elapsed() < bound {
        std::thread::sleep(Duration::from_millis(200));
    }
    let rows = verify(&collector, &told);
    println!("{rows} events taken in it, and stored {:?} after it; peak {peak} MB", begun.elapsed());
    assert!(peak < 100, "{peak} MB");
}

#[test]
fn a_full_spool_is_said_before_the_body_and_empties_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("consentry.toml");
    std::fs::write(&config, "body_bytes_max = 65536\nbody_decoded_bytes_max = 65536\nseal_bytes_max = 65536\nspool_bytes_max = 1048576\n").unwrap();
    let collector = Collector::start_with(&["--config", config.to_str().unwrap()], &[]);
    let engine = collector.engine_pid();
    signal(engine, "STOP");
    let (told, enough) = (Told::default(), AtomicBool::new(false));
    load(&collector, &told, &enough, || {
        eventually("the spool is full", || (told.refused.load(Ordering::Relaxed) > 50).then_some(()));
        enough.store(true, Ordering::Relaxed);
    });
    // The body is announced and never sent.
    let answer = collector.raw(
        b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n",
    );
    assert_eq!((answer.status, answer.code().as_str()), (503, "spool_full"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("10"));
    let ready = collector.get_admin("/readyz");
    assert_eq!((ready.status, &ready.json()["spool"]), (503, &"full".into()));
    signal(engine, "CONT");
    eventually("there is room again", || (collector.get_admin("/readyz").status == 200).then_some(()));
    verify(&collector, &told);
    assert_eq!(collector.post(&body(1 << 40)).status, 202);
}

#[test]
fn a_full_disk_is_said_and_found_empty_again() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("data/spool");
    std::fs::create_dir_all(&spool).unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&spool)
        .output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        println!("skipped: a small tmpfs cannot be mounted here");
        return;
    }
    let collector = Collector::start_in(dir, &[], &[]);
    let engine = collector.engine_pid();
    signal(engine, "STOP");
    let (told, enough) = (Told::default(), AtomicBool::new(false));
    load(&collector, &told, &enough, || {
        eventually("the disk is full", || (told.refused.load(Ordering::Relaxed) > 50).then_some(()));
        enough.store(true, Ordering::Relaxed);
    });
    let ready = collector.get_admin("/readyz");
    let answer = collector.raw(
        b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n",
    );
    signal(engine, "CONT");
    let recovered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        assert_eq!((ready.status, &ready.json()["spool"]), (503, &"the disk takes nothing".into()));
        assert_eq!((answer.status, answer.code().as_str()), (503, "spool_failed"), "{answer:?}");
        assert_eq!(answer.header("retry-after"), Some("10"));
        eventually("the disk takes something again", || {
            (collector.get_admin("/readyz").status == 200).then_some(())
        });
        verify(&collector, &told);
        assert_eq!(collector.post(&body(1 << 40)).status, 202);
    }));
    drop(std::process::Command::new("umount").arg("-l").arg(&spool).status());
    recovered.unwrap();
}

/// A stop in the middle of a load; gives the exit code and how long it took.
fn stop_under_load(stop: impl FnOnce(&Collector) + Send) -> (Collector, Told, Option<i32>, Duration) {
    let mut collector = Collector::start();
    let (told, enough) = (Told::default(), AtomicBool::new(false));
    let mut begun = Instant::now();
    load(&collector, &told, &enough, || {
        eventually("the load goes", || (told.acknowledged.lock().unwrap().len() > 200).then_some(()));
        begun = Instant::now();
        stop(&collector);
    });
    let code = collector.end();
    (collector, told, code, begun.elapsed())
}

#[test]
fn a_stop_under_load_ships_everything_and_exits_with_0() {
    let (mut collector, told, code, took) = stop_under_load(|collector| signal(collector.pid(), "TERM"));
    assert_eq!(code, Some(0));
    let left = std::fs::read_dir(collector.data_dir().join("spool")).unwrap().count();
    assert_eq!(left, 0, "everything was shipped");
    collector.restart();
    println!("{} events acknowledged, stopped in {took:.1?}", verify(&collector, &told));
}

#[test]
fn a_second_signal_ends_it_at_once_and_loses_nothing() {
    let (mut collector, told, code, took) = stop_under_load(|collector| {
        // So that the first one has something to wait for.
        signal(collector.engine_pid(), "STOP");
        signal(collector.pid(), "TERM");
        std::thread::sleep(Duration::from_millis(500));
        signal(collector.pid(), "TERM");
    });
    assert_eq!(code, Some(1));
    assert!(took < Duration::from_secs(3), "{took:?}");
    collector.restart();
    println!("{} events acknowledged, ended in {took:.1?}", verify(&collector, &told));
}

#[test]
fn with_the_store_away_it_ends_within_its_time_and_keeps_the_rest() {
    let (mut collector, told, code, took) = stop_under_load(|collector| {
        signal(collector.engine_pid(), "STOP");
        signal(collector.pid(), "TERM");
    });
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(30), "{took:?}");
    collector.restart();
    println!("{} events acknowledged, stopped in {took:.1?}", verify(&collector, &told));
}
