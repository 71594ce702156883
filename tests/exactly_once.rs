//! Acknowledged means durable, and durable arrives once: under load, over `kill -9` of the collector and the engine.

mod common;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Collector, KeepAlive, eventually, signal};

const SENDERS: u64 = 8;
const PER_REQUEST: u64 = 20;

/// What a load was told.
#[derive(Debug, Default)]
struct Told {
    received: AtomicU64,
    accepted: AtomicU64,
    dropped: AtomicU64,
    rejected: AtomicU64,
    resent: AtomicU64,
}

fn body(first: u64) -> String {
    let event = |number: u64| {
        // Every tenth visitor has not consented, every hundredth event is none.
        let consent = if number % 10 == 3 { "false" } else { "true" };
        let kind = if number % 100 == 50 { "poke" } else { "pageview" };
        format!(
            r#"{{"type":"{kind}","id":"event-{number}","url":"https://shop.example/p/{}?utm_source=mail","title":"Page {}",
            "visit":{{"id":"visit-{}"}},"language":"en-GB","consent":{{"analytics":{consent}}}}}"#,
            number % 97,
            number % 97,
            number / 50
        )
    };
    let events: Vec<String> = (first..first + PER_REQUEST).map(event).collect();
    format!(
        r#"{{"site":"demo","context":{{"screen":{{"w":1440,"h":900}}}},"events":[{}]}}"#,
        events.join(",")
    )
}

/// Sends `events` events, each until it is answered, as a good sender does. `at` follows the collector over restarts.
fn load(events: u64, at: &Mutex<SocketAddr>, told: &Told, done: &AtomicU64) {
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            scope.spawn(move || {
                let mut connection = None;
                let requests = (0..events / PER_REQUEST).filter(|request| request % SENDERS == sender);
                for request in requests {
                    let body = body(request * PER_REQUEST);
                    let begun = Instant::now();
                    let answer = loop {
                        assert!(begun.elapsed() < Duration::from_secs(120), "a request was never answered");
                        let answer = connection
                            .take()
                            .map_or_else(|| KeepAlive::connect(*at.lock().unwrap()), Ok)
                            .and_then(|mut connected| {
                                connected.post(&body).map(|answer| (connected, answer))
                            });
                        match answer {
                            Ok((connected, (202, answer))) => {
                                connection = Some(connected);
                                break answer;
                            }
                            Ok((_, (503, _))) | Err(_) => {
                                told.resent.fetch_add(1, Ordering::Relaxed);
                                std::thread::sleep(Duration::from_millis(20));
                            }
                            Ok((_, (status, answer))) => panic!("{status} {answer}"),
                        }
                    };
                    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
                    let sum = |value: &serde_json::Value| -> u64 {
                        value.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
                    };
                    told.received.fetch_add(answer["received"].as_u64().unwrap(), Ordering::Relaxed);
                    told.accepted.fetch_add(answer["accepted"].as_u64().unwrap(), Ordering::Relaxed);
                    told.dropped.fetch_add(sum(&answer["dropped"]), Ordering::Relaxed);
                    told.rejected
                        .fetch_add(answer["rejected"].as_array().unwrap().len() as u64, Ordering::Relaxed);
                    done.fetch_add(PER_REQUEST, Ordering::Relaxed);
                }
            });
        }
    });
}

/// Events of a load that are to be kept: neither without consent nor none at all.
fn good(events: u64) -> u64 {
    (0..events).filter(|number| number % 10 != 3 && number % 100 != 50).count() as u64
}

fn books(collector: &Collector, outcome: &str) -> u64 {
    collector
        .sql(&format!("SELECT sum(count) FROM consentry.ledger WHERE outcome = '{outcome}'"))
        .parse()
        .unwrap()
}

/// Every event once, in the table, in the roll-up, in the books.
fn verify(collector: &Collector, events: u64) {
    collector.settle();
    let rows = collector.sql("SELECT count(), uniqExact(event_id) FROM consentry.events");
    assert_eq!(rows, format!("{0}\t{0}", good(events)), "each event is in the table exactly once");
    let views: u64 = collector.sql("SELECT sum(views) FROM consentry.pages").parse().unwrap();
    assert_eq!(views, good(events), "and in the roll-up that a view fills");
    let (received, stored) = (books(collector, "received"), books(collector, "stored"));
    let other = books(collector, "dropped") + books(collector, "rejected") + books(collector, "quarantined");
    assert_eq!((received, stored), (stored + other, good(events)), "the ledger balances");
}

#[test]
fn a_hundred_thousand_events_are_rows_and_the_ledger_balances() {
    const EVENTS: u64 = 100_000;
    let collector = Collector::start();
    let told = Told::default();
    let begun = Instant::now();
    load(EVENTS, &Mutex::new(collector.public), &told, &AtomicU64::new(0));
    let took = begun.elapsed();
    let [received, accepted, dropped, rejected] =
        [&told.received, &told.accepted, &told.dropped, &told.rejected]
            .map(|count| count.load(Ordering::Relaxed));
    assert_eq!((received, accepted), (EVENTS, good(EVENTS)));
    assert_eq!(received, accepted + dropped + rejected);
    verify(&collector, EVENTS);
    assert_eq!(
        [books(&collector, "received"), books(&collector, "dropped"), books(&collector, "rejected")],
        [received, dropped, rejected]
    );
    println!(
        "{received} events received in {took:.1?}: {accepted} accepted = rows in ClickHouse, {dropped} dropped, \
         {rejected} rejected; peak memory of the collector {} MB",
        collector.memory_bytes(true) >> 20
    );
}

/// Runs a load and does `fault` each time another part of it is done.
fn load_with_faults(events: u64, parts: u64, mut fault: impl FnMut(&mut Collector)) -> Collector {
    let mut collector = Collector::start();
    let at = Mutex::new(collector.public);
    let (told, done) = (Told::default(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let load = scope.spawn(|| load(events, &at, &told, &done));
        for part in 1..parts {
            eventually("the load goes on", || {
                (done.load(Ordering::Relaxed) >= events * part / parts).then_some(())
            });
            fault(&mut collector);
            *at.lock().unwrap() = collector.public;
        }
        load.join().unwrap();
    });
    println!(
        "{events} events, {} faults, {} requests sent again",
        parts - 1,
        told.resent.load(Ordering::Relaxed)
    );
    collector
}

#[test]
fn kill_9_of_the_collector_loses_and_doubles_nothing() {
    let collector = load_with_faults(60_000, 4, |collector| {
        collector.kill();
        collector.restart();
    });
    verify(&collector, 60_000);
}

#[test]
fn kill_9_of_the_engine_loses_and_doubles_nothing() {
    let collector = load_with_faults(60_000, 4, |collector| signal(collector.engine_pid(), "KILL"));
    verify(&collector, 60_000);
}

#[test]
fn sigterm_ships_what_is_spooled_and_ends_well() {
    let mut collector = Collector::start();
    let told = Told::default();
    load(2_000, &Mutex::new(collector.public), &told, &AtomicU64::new(0));
    assert_eq!(collector.stop(), Some(0));
    let left = std::fs::read_dir(collector.data_dir().join("spool")).unwrap().count();
    assert_eq!(left, 0, "everything was shipped before the end");
    assert_eq!(collector.count("consentry.events"), good(2_000), "asked without a running collector");
    collector.restart();
    verify(&collector, 2_000);
}
