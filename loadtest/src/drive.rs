//! The load itself: arrivals by the clock, connections that carry them, what came back.
//!
//! In an open loop a request's latency is counted from the moment at which it was due, whether or not a connection was
//! free for it: a server that stalls is charged for everybody who would have come meanwhile. Timers wake within one
//! millisecond, which is the error of each latency.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::scenario::{Scenario, Step};
use crate::traffic::{Expected, Generator, Request};
use crate::wire::{Answer, Connection, Told};

/// Latencies up to this are told apart, in microseconds.
const LATENCY_US_MAX: u64 = 120_000_000;
/// A load that cannot keep up may go on so long after its time.
const LATE_MAX: Duration = Duration::from_secs(20);
/// Pause before a request is sent again.
const RESEND_PAUSE: Duration = Duration::from_millis(20);
/// A request that is sent again and again is given up after this.
const RESEND_MAX: Duration = Duration::from_secs(180);

/// What was sent, and what became of it. All but the first two lines count events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests that were answered, by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Requests that were sent again.
    pub resent: u64,
    /// Events of requests that were due; those of a request that is sent again count once.
    pub sent: u64,
    /// The collector says: kept.
    pub accepted: u64,
    /// The collector says: kept before. Of a request whose first answer was lost.
    pub duplicates: u64,
    /// The collector says: without consent.
    pub dropped: u64,
    /// The collector says: no event.
    pub rejected: u64,
    /// In bodies that cannot be read; counted as one each.
    pub unreadable: u64,
    /// In requests that were turned away (429, 503 and the like).
    pub refused: u64,
    /// In requests without an answer.
    pub unanswered: u64,
    /// In answers that say something else than the request deserves.
    pub mismatched: u64,
    /// Of requests that were due and that no connection could carry in time.
    pub never_sent: u64,
}

/// One moment of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds from the beginning.
    pub at_s: f64,
    /// Requests answered until now.
    pub requests: u64,
    /// Events kept until now.
    pub accepted: u64,
    /// Events turned away or not answered until now.
    pub refused: u64,
    /// Slowest answer since the last sample, in microseconds.
    pub slowest_us: u64,
    /// Events in the collector's spool.
    pub spooled: u64,
    /// Bytes of the collector's spool.
    pub spool_bytes: u64,
    /// Resident memory of the collector, in bytes.
    pub memory_bytes: u64,
}

/// What a run gathers.
#[derive(Debug)]
pub struct Gathered {
    /// Sums.
    pub totals: Totals,
    /// Latencies of answered requests, in microseconds.
    pub latencies: Histogram<u64>,
    /// Slowest since it was last asked for.
    pub slowest_us: u64,
    /// Requests answered.
    pub requests: u64,
}

impl Gathered {
    fn new() -> Self {
        let latencies = Histogram::new_with_max(LATENCY_US_MAX, 3).expect("bounds that fit");
        Self { totals: Totals::default(), latencies, slowest_us: 0, requests: 0 }
    }

    fn answered(&mut self, status: u16, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).min(LATENCY_US_MAX);
        self.latencies.saturating_record(us);
        self.slowest_us = self.slowest_us.max(us);
        self.requests += 1;
        *self.totals.by_status.entry(status).or_default() += 1;
    }

    /// Books a final answer; `tries` before it may have been heard without being answered.
    fn book(&mut self, expected: &Expected, answer: &Answer, tries: u32) {
        let totals = &mut self.totals;
        if expected.unreadable {
            totals.unreadable += 1;
            totals.mismatched += u64::from(answer.status != 400);
            return;
        }
        let Some(told) = matches!(answer.status, 202 | 204 | 400).then(|| Told::read(&answer.body)).flatten()
        else {
            if matches!(answer.status, 429 | 503 | 408 | 413) {
                totals.refused += expected.events;
            } else {
                totals.mismatched += expected.events;
            }
            return;
        };
        totals.accepted += told.accepted;
        totals.duplicates += told.duplicates;
        totals.dropped += told.dropped;
        totals.rejected += told.rejected;
        let kept = told.accepted + told.duplicates;
        let as_deserved = kept == expected.accepted
            && told.dropped == expected.dropped
            && told.rejected == expected.rejected
            && (told.duplicates == 0 || tries > 0);
        totals.mismatched += if as_deserved { 0 } else { expected.events };
    }
}

/// When requests are due.
#[derive(Debug)]
struct Schedule {
    steps: Vec<Step>,
    begun: Instant,
    /// Seconds up to which requests were handed out.
    at: f64,
    random: fastrand::Rng,
    /// No request is handed out after this.
    until: Instant,
    never_sent: u64,
}

impl Schedule {
    fn new(scenario: &Scenario, begun: Instant) -> Self {
        let until = begun + Duration::from_secs_f64(scenario.seconds()) + LATE_MAX;
        let random = fastrand::Rng::with_seed(scenario.seed ^ 0x5eed);
        Self { steps: scenario.step.clone(), begun, at: 0.0, random, until, never_sent: 0 }
    }

    /// When the next request is due; `None` when the load is over. Arrivals of an open loop are Poisson.
    fn next(&mut self, now: Instant) -> Option<Instant> {
        let mut step_begins = 0.0;
        for step in &self.steps {
            let step_ends = step_begins + step.seconds;
            step_begins = step_ends;
            if self.at >= step_ends {
                continue;
            }
            match step.requests_per_s {
                Some(rate) if rate > 0.0 => {
                    self.at += -(1.0 - self.random.f64()).ln() / rate;
                    if self.at >= step_ends {
                        self.at = step_ends;
                        continue;
                    }
                    if now > self.until {
                        self.never_sent += 1;
                        // Counted to the end, so that the books name what was not sent.
                        return self.next(now);
                    }
                    return Some(self.begun + Duration::from_secs_f64(self.at));
                }
                Some(_) => self.at = step_ends,
                None if now < self.begun + Duration::from_secs_f64(step_ends) => return Some(now),
                None => self.at = step_ends,
            }
        }
        None
    }
}

/// A load that runs.
#[derive(Debug, Clone)]
pub struct Load {
    scenario: Rc<Scenario>,
    to: SocketAddr,
    generator: Rc<RefCell<Generator>>,
    schedule: Rc<RefCell<Schedule>>,
    /// What is known until now.
    pub gathered: Rc<RefCell<Gathered>>,
}

impl Load {
    /// A load from `scenario` to a collector; begins when it is run.
    pub fn new(scenario: &Scenario, to: SocketAddr, run: u64, begun: Instant) -> Self {
        Self {
            scenario: Rc::new(scenario.clone()),
            to,
            generator: Rc::new(RefCell::new(Generator::new(&scenario.traffic, scenario.seed, run))),
            schedule: Rc::new(RefCell::new(Schedule::new(scenario, begun))),
            gathered: Rc::new(RefCell::new(Gathered::new())),
        }
    }

    /// Runs until all requests are answered or given up. On a `LocalSet`.
    pub async fn run(&self) {
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..self.scenario.connections {
            workers.spawn_local(self.clone().work());
        }
        workers.join_all().await;
        let never_sent = self.schedule.borrow().never_sent;
        self.gathered.borrow_mut().totals.never_sent = never_sent;
    }

    async fn work(self) {
        let mut connection = None;
        let (mut request, mut answer) = (Request::default(), Answer::default());
        loop {
            let due = self.schedule.borrow_mut().next(Instant::now());
            let Some(due) = due else { return };
            if due > Instant::now() {
                tokio::time::sleep_until(due.into()).await;
            }
            self.generator.borrow_mut().fill(&mut request, now_ms());
            self.gathered.borrow_mut().totals.sent +=
                request.expected.events + u64::from(request.expected.unreadable);
            self.carry(&mut connection, &request, &mut answer, due).await;
        }
    }

    /// Sends a request until it is done with.
    async fn carry(
        &self,
        kept: &mut Option<Connection>,
        request: &Request,
        answer: &mut Answer,
        due: Instant,
    ) {
        let traffic = &self.scenario.traffic;
        let timeout = Duration::from_secs_f64(traffic.timeout_seconds);
        let mut tries = 0;
        loop {
            let attempt = async {
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => Connection::open(self.to, traffic.http2).await?,
                };
                connection.send(request, traffic.keep_alive, answer).await?;
                std::io::Result::Ok(connection)
            };
            let answered = tokio::time::timeout(timeout, attempt).await;
            let again = traffic.resend && due.elapsed() < RESEND_MAX;
            match answered {
                Ok(Ok(connection)) => {
                    if traffic.keep_alive && !answer.closes {
                        *kept = Some(connection);
                    }
                    let mut gathered = self.gathered.borrow_mut();
                    gathered.answered(answer.status, due.elapsed());
                    if !(again && matches!(answer.status, 503 | 429)) {
                        gathered.book(&request.expected, answer, tries);
                        return;
                    }
                }
                Ok(Err(_)) | Err(_) if !again => {
                    let mut gathered = self.gathered.borrow_mut();
                    gathered.totals.unanswered +=
                        request.expected.events + u64::from(request.expected.unreadable);
                    return;
                }
                Ok(Err(_)) | Err(_) => {}
            }
            tries += 1;
            self.gathered.borrow_mut().totals.resent += 1;
            tokio::time::sleep(RESEND_PAUSE).await;
        }
    }
}

/// Milliseconds since 1970.
#[allow(clippy::disallowed_methods)] // the load is the outside world: it has the world's time
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str) -> Schedule {
        let scenario: Scenario = toml::from_str(&format!("name = 'x'\nconnections = 1\n{text}")).unwrap();
        Schedule::new(&scenario, Instant::now())
    }

    #[test]
    fn arrivals_come_at_the_rate_of_their_step_whoever_asks() {
        let mut schedule = schedule(
            "[[step]]\nseconds = 10\nrequests_per_s = 100\n[[step]]\nseconds = 10\nrequests_per_s = 1000",
        );
        let begun = schedule.begun;
        let dues: Vec<f64> = std::iter::from_fn(|| schedule.next(begun))
            .map(|due| due.duration_since(begun).as_secs_f64())
            .collect();
        let early = dues.iter().filter(|&&due| due < 10.0).count();
        assert!((850..1_150).contains(&early), "{early}");
        assert!((9_500..10_500).contains(&(dues.len() - early)), "{}", dues.len());
        assert!(dues.is_sorted());
    }

    #[test]
    fn what_no_connection_could_carry_is_counted() {
        let mut schedule = schedule("[[step]]\nseconds = 1\nrequests_per_s = 100");
        let late = schedule.until + Duration::from_secs(1);
        assert_eq!(schedule.next(late), None);
        assert!((60..140).contains(&schedule.never_sent), "{}", schedule.never_sent);
    }

    #[test]
    fn an_answer_that_says_something_else_is_told_apart() {
        let mut gathered = Gathered::new();
        let expected = Expected { events: 3, accepted: 2, dropped: 1, ..Expected::default() };
        let answer = |status, body: &str| Answer { status, body: body.into(), closes: false };
        let good = answer(202, r#"{"received":3,"accepted":2,"dropped":{"consent_denied":1},"rejected":[]}"#);
        gathered.book(&expected, &good, 0);
        assert_eq!(
            (gathered.totals.accepted, gathered.totals.dropped, gathered.totals.mismatched),
            (2, 1, 0)
        );
        let again = answer(
            202,
            r#"{"received":3,"accepted":0,"dropped":{"consent_denied":1,"duplicate":2},"rejected":[]}"#,
        );
        gathered.book(&expected, &again, 1);
        assert_eq!((gathered.totals.duplicates, gathered.totals.mismatched), (2, 0));
        gathered.book(&expected, &again, 0);
        assert_eq!(gathered.totals.mismatched, 3, "nobody had sent it before");
        gathered.book(&expected, &answer(503, "{}"), 0);
        assert_eq!(gathered.totals.refused, 3);
    }
}
