//! Exactly once over a death at every step between a request and the removal of its segment, of the collector and of
//! the engine: table, roll-up and ledger are exact afterwards.

mod common;

use common::{Collector, KeepAlive, eventually};
use consentry::failpoint;

const EVENTS: u64 = 40;
/// Rows of each request that ClickHouse refuses, so that segments are inserted in parts.
const POISON: u64 = 2;

fn body(round: u64) -> String {
    let event = |index: u64| {
        let title = if index % (EVENTS / POISON) == 7 { "poison" } else { "good" };
        format!(
            r#"{{"type":"pageview","id":"round-{round}-event-{index}","url":"https://shop.example/{index}","title":"{title}"}}"#
        )
    };
    let events: Vec<String> = (0..EVENTS).map(event).collect();
    format!(r#"{{"site":"demo","consent":{{"analytics":true}},"events":[{}]}}"#, events.join(","))
}

fn taken(collector: &Collector, body: &str) -> bool {
    let answer = KeepAlive::connect(collector.public).and_then(|mut connection| connection.post(body));
    answer.is_ok_and(|(status, _)| status == 202)
}

fn verify(collector: &Collector, rounds: u64, name: &str) {
    collector.settle();
    collector.store_answers();
    let good = rounds * (EVENTS - POISON);
    let rows = collector.sql("SELECT count(), uniqExact(event_id) FROM consentry.events");
    assert_eq!(rows, format!("{good}\t{good}"), "{name}: the table");
    let views = collector.sql("SELECT sum(views) FROM consentry.pages");
    assert_eq!(views, good.to_string(), "{name}: the roll-up");
    let books = collector.sql(
        "SELECT sumIf(count, outcome = 'stored'), sumIf(count, outcome = 'quarantined'), \
         sumIf(toInt64(count), outcome = 'received') - sumIf(toInt64(count), outcome = 'dropped') FROM consentry.ledger",
    );
    let (quarantined, all) = (rounds * POISON, rounds * EVENTS);
    assert_eq!(books, format!("{good}\t{quarantined}\t{all}"), "{name}: the ledger");
}

/// Walks all places; `engine`: it is the engine that dies there.
fn walk(engine: bool) {
    let mut collector = Collector::start();
    collector.sql("ALTER TABLE consentry.events ADD CONSTRAINT no_poison CHECK title != 'poison'");
    let engine_file = collector.dir.path().join("engine.pid");
    for (round, name) in failpoint::ALL.into_iter().enumerate() {
        let mut env = vec![("FAILPOINT", name)];
        if engine {
            env.push(("FAILPOINT_KILL", engine_file.to_str().unwrap()));
        }
        collector.kill();
        collector.restart_with(&env);
        std::fs::write(&engine_file, collector.engine_pid().to_string()).unwrap();
        let body = body(round as u64);
        let mut told = taken(&collector, &body);
        let reached = format!("failpoint {name} reached");
        eventually(&reached, || collector.log().contains(&reached).then_some(()));
        if !engine {
            assert_eq!(collector.end(), None, "{name}: it ended by a signal");
            collector.restart();
        }
        // A sender that got no answer sends again, also what was durable already.
        while !told {
            told = taken(&collector, &body);
        }
        verify(&collector, round as u64 + 1, name);
    }
    // Known by their ids over restarts, from the spool or from the store.
    collector.kill();
    collector.restart();
    assert!(taken(&collector, &body(3)));
    let rounds = failpoint::ALL.len() as u64;
    collector.settle();
    let rows = rounds * (EVENTS - POISON);
    assert_eq!(collector.sql("SELECT count() FROM consentry.events"), rows.to_string(), "sent again later");
    println!("{rounds} places, {rows} rows, each once in table, roll-up and ledger");
}

#[test]
fn the_collector_dies_at_every_step() {
    walk(false);
}

#[test]
fn the_engine_dies_at_every_step() {
    walk(true);
}
