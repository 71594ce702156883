//! Logs and metrics. Each metric is declared once, here; no label and no field can hold what a visitor sent.

mod log;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use log::{init_logging, lines_left_out, quiet_panics};
pub use reading::Reading;

use crate::accept::Refusal;
use crate::ledger::{Outcome, Tally};
use reading::Gauges;

/// A line of the ledger. Sites come from the configuration, the other words from the program.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    site: String,
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    code: &'static str,
}

/// Columns and kinds are words of the program.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeakLabels {
    site: String,
    column: &'static str,
    kind: &'static str,
}

/// What a request asked for. A path that was sent is in no label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types)] // the words of the label
pub enum Route {
    /// `POST /v1/events`.
    events,
    /// `GET /v1/pixel.gif`.
    pixel,
    /// `/v1/subjects`.
    subjects,
    /// Everything else.
    other,
}

impl Route {
    /// The route of a path.
    pub fn of(path: &str) -> Self {
        match path {
            "/v1/events" => Self::events,
            "/v1/pixel.gif" => Self::pixel,
            path if path.starts_with(crate::withdraw::SUBJECTS_PATH) => Self::subjects,
            _ => Self::other,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: Route,
}

struct Metrics {
    registry: Registry,
    events: Family<EventLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    leaks: Family<LeakLabels, Counter>,
    requests: Family<RouteLabels, Histogram>,
    commits: Histogram,
    inserts: Histogram,
    inserted_rows: Counter,
    insert_failures: Counter,
    gauges: Gauges,
}

/// The handle on all metrics; cheap to clone.
#[derive(Clone)]
pub struct Telemetry(Arc<Metrics>);

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Telemetry")
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

/// From a quarter of a millisecond to eight seconds.
fn request_times() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
}

impl Telemetry {
    /// Declares all metrics.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("consentry");
        let (events, refusals, leaks) = (Family::default(), Family::default(), Family::default());
        let requests = Family::new_with_constructor(request_times as fn() -> Histogram);
        let commits = Histogram::new(exponential_buckets(0.000_125, 2.0, 16));
        let inserts = Histogram::new(exponential_buckets(0.005, 2.0, 14));
        let (inserted_rows, insert_failures) = (Counter::default(), Counter::default());
        let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("CONSENTRY_COMMIT"));
        let build = Info::new(vec![("version", version), ("commit", commit)]);
        registry.register("build", "Version of the program and the commit that it was built from", build);
        registry.register(
            "events",
            "Events since the start by site, outcome and reason; received = dropped + rejected + quarantined + stored \
             + what consentry_spooled_events gained",
            Family::clone(&events),
        );
        registry.register("refusals", "Requests turned away whole, by code", Family::clone(&refusals));
        registry.register(
            "leaks",
            "Finds of the leak alarm, by site, column and kind; their rows are in the quarantine",
            Family::clone(&leaks),
        );
        registry.register_with_unit(
            "request",
            "Time from a request's headers to its answer, by what was asked for; what was accepted is on the disk by then",
            Unit::Seconds,
            Family::clone(&requests),
        );
        registry.register_with_unit(
            "spool_commit",
            "Time to write a group of requests to the spool and sync it",
            Unit::Seconds,
            commits.clone(),
        );
        registry.register_with_unit(
            "insert",
            "Time from reading a segment to the store's OK",
            Unit::Seconds,
            inserts.clone(),
        );
        registry.register("inserted_rows", "Rows that the store has said OK to", inserted_rows.clone());
        registry.register("insert_failures", "Inserts that are tried again", insert_failures.clone());
        let gauges = Gauges::declare(&mut registry);
        let metrics = Metrics {
            registry,
            events,
            refusals,
            leaks,
            requests,
            commits,
            inserts,
            inserted_rows,
            insert_failures,
            gauges,
        };
        for refusal in Refusal::ALL {
            drop(metrics.refusals.get_or_create(&RefusalLabels { code: refusal.code() }));
        }
        Self(Arc::new(metrics))
    }

    /// Counts the lines of requests, once they are durable.
    pub fn counted<'t>(&self, tallies: impl Iterator<Item = &'t Tally>) {
        // Requests have few lines, and mostly the same: a label is looked up once for all.
        let mut sums: Vec<(&str, Outcome, u64)> = Vec::new();
        for (site, outcome, count) in tallies.flat_map(Tally::lines) {
            match sums.iter_mut().find(|sum| sum.1 == outcome && sum.0 == site) {
                Some(sum) => sum.2 += u64::from(count),
                None => sums.push((site, outcome, u64::from(count))),
            }
        }
        for (site, outcome, count) in sums {
            let labels =
                EventLabels { site: site.to_owned(), outcome: outcome.word(), reason: outcome.reason() };
            self.0.events.get_or_create(&labels).inc_by(count);
        }
    }

    /// Counts rows that left the spool for good: `stored` or `quarantined`.
    pub fn settled(&self, site: &str, outcome: &str, count: u64) {
        let outcome = if outcome == "stored" { "stored" } else { "quarantined" };
        let labels = EventLabels { site: site.to_owned(), outcome, reason: "" };
        self.0.events.get_or_create(&labels).inc_by(count);
    }

    /// Counts rows that their subject had taken out of the spool.
    pub fn erased(&self, site: &str, count: u64) {
        let labels = EventLabels { site: site.to_owned(), outcome: "dropped", reason: crate::ledger::ERASED };
        self.0.events.get_or_create(&labels).inc_by(count);
    }

    /// Counts a find of the leak alarm.
    pub fn leaked(&self, site: &str, column: &'static str, kind: &'static str) {
        self.0.leaks.get_or_create(&LeakLabels { site: site.to_owned(), column, kind }).inc();
    }

    /// Counts a request that was turned away.
    pub fn refused(&self, refusal: Refusal) {
        self.0.refusals.get_or_create(&RefusalLabels { code: refusal.code() }).inc();
    }

    /// Notes a segment that the store has taken.
    pub fn inserted(&self, rows: u64, took: Duration) {
        self.0.inserts.observe(took.as_secs_f64());
        self.0.inserted_rows.inc_by(rows);
    }

    /// Notes a segment that is tried again.
    pub fn insert_failed(&self) {
        self.0.insert_failures.inc();
    }

    /// Notes a request that was answered.
    pub fn answered(&self, route: Route, took: Duration) {
        self.0.requests.get_or_create(&RouteLabels { route }).observe(took.as_secs_f64());
    }

    /// Notes a group of requests that the spool has synced.
    pub fn committed(&self, took: Duration) {
        self.0.commits.observe(took.as_secs_f64());
    }

    /// All metrics as OpenMetrics text.
    pub fn render(&self, reading: &Reading) -> String {
        self.0.gauges.set(reading);
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.0.registry);
        out
    }
}
