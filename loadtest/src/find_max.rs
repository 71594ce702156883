//! The highest rate that a collector answers in time.

use crate::run::{Record, Target, run};
use crate::scenario::{Scenario, Step, Traffic};

/// The search ends when it knows the rate to this share.
const EXACT: f64 = 0.05;
/// No rate above this is tried, in requests a second.
const RATE_MAX: f64 = 500_000.0;

fn scenario(batch: usize, connections: usize, seconds: f64, requests_per_s: Option<f64>) -> Scenario {
    let traffic = Traffic {
        batch: vec![(batch, 1)],
        consent_yes_pct: 100,
        consent_no_pct: 0,
        bad_events_pct: 0,
        gzip_pct: 0,
        ..Traffic::default()
    };
    Scenario {
        name: "find-max".into(),
        connections,
        seed: 1,
        step: vec![Step { seconds, requests_per_s }],
        traffic,
        ..Scenario::default()
    }
}

/// Looks between what a closed loop does and nothing; prints each try.
pub async fn find_max(
    target: &Target,
    batch: usize,
    connections: usize,
    p99_ms: f64,
    seconds: f64,
) -> Result<bool, String> {
    let closed = run(&scenario(batch, connections, seconds, None), target, true).await?;
    let rate = |record: &Record| record.requests as f64 / record.seconds;
    println!("closed loop of {connections} connections: {:.0} requests/s", rate(&closed));
    let (mut good, mut bad) = (0.0, (rate(&closed) * 1.2).min(RATE_MAX));
    let mut best = None;
    while bad - good > bad * EXACT {
        let tried = (good + bad) / 2.0;
        let record = run(&scenario(batch, connections, seconds, Some(tried)), target, true).await?;
        let totals = &record.totals;
        let refused = totals.refused + totals.unanswered + totals.never_sent + totals.mismatched;
        let holds = refused == 0 && record.latency_ms.p99 <= p99_ms;
        println!(
            "{tried:>9.0} requests/s: p50 {:.2} ms, p99 {:.2} ms, {refused} events refused: {}",
            record.latency_ms.p50,
            record.latency_ms.p99,
            if holds { "holds" } else { "too much" }
        );
        if holds {
            good = tried;
            best = Some(record);
        } else {
            bad = tried;
        }
    }
    match best {
        Some(record) => {
            println!(
                "highest rate with p99 under {p99_ms} ms: {good:.0} requests/s, {:.0} events/s; CPU {} us an event",
                good * batch as f64,
                record.cpu_us_per_event.map_or("?".into(), |us| format!("{us:.2}"))
            );
            Ok(true)
        }
        None => {
            println!("no rate holds p99 under {p99_ms} ms");
            Ok(false)
        }
    }
}
