//! Logs and metrics. Each metric is declared once, here; no label and no field can hold what a visitor sent.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::accept::Refusal;
use crate::ledger::{Outcome, Tally};
use crate::spool::Spool;

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

struct Metrics {
    registry: Registry,
    events: Family<EventLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    leaks: Family<LeakLabels, Counter>,
    inserts: Histogram,
    inserted_rows: Counter,
    insert_failures: Counter,
    spooled: Gauge,
    spool_bytes: Gauge,
    spool_segments: Gauge,
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

impl Telemetry {
    /// Declares all metrics.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("consentry");
        let metrics = Metrics {
            events: Family::default(),
            refusals: Family::default(),
            leaks: Family::default(),
            inserts: Histogram::new(exponential_buckets(0.005, 2.0, 14)),
            inserted_rows: Counter::default(),
            insert_failures: Counter::default(),
            spooled: Gauge::default(),
            spool_bytes: Gauge::default(),
            spool_segments: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "build",
            "Version of the program",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "events",
            "Events since the start by site, outcome and reason; received = dropped + rejected + quarantined + stored \
             + what consentry_spooled_events gained",
            metrics.events.clone(),
        );
        registry.register("refusals", "Requests turned away whole, by code", metrics.refusals.clone());
        registry.register(
            "leaks",
            "Finds of the leak alarm, by site, column and kind; their rows are in the quarantine",
            metrics.leaks.clone(),
        );
        registry.register(
            "insert_seconds",
            "Time from reading a segment to the store's OK",
            metrics.inserts.clone(),
        );
        registry.register(
            "inserted_rows",
            "Rows that the store has said OK to",
            metrics.inserted_rows.clone(),
        );
        registry.register("insert_failures", "Inserts that are tried again", metrics.insert_failures.clone());
        registry.register(
            "spooled_events",
            "Events that are durable and not yet stored",
            metrics.spooled.clone(),
        );
        registry.register("spool_bytes", "Bytes of the spool on disk", metrics.spool_bytes.clone());
        registry.register(
            "spool_segments",
            "Segments that wait for the store",
            metrics.spool_segments.clone(),
        );
        for refusal in Refusal::ALL {
            drop(metrics.refusals.get_or_create(&RefusalLabels { code: refusal.code() }));
        }
        Self(Arc::new(Metrics { registry, ..metrics }))
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

    /// All metrics as OpenMetrics text.
    pub fn render(&self, spool: &Spool) -> String {
        self.0.spooled.set(i64::try_from(spool.rows()).unwrap_or(i64::MAX));
        self.0.spool_bytes.set(i64::try_from(spool.bytes()).unwrap_or(i64::MAX));
        self.0.spool_segments.set(i64::try_from(spool.segments()).unwrap_or(i64::MAX));
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.0.registry);
        out
    }
}

/// Makes a panic say where it happened and nothing else. The standard message may quote the text at fault (`byte index 5
/// is not a char boundary of ...`), and that text may be a visitor's.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|fault| {
        let (file, line) = fault.location().map_or(("?", 0), |at| (at.file(), at.line()));
        // Not through the log: it may be the log that is at fault.
        eprintln!("consentry: a fault of this program at {file}:{line}; please report this line");
    }));
}

/// Starts logging to standard error: `CONSENTRY_LOG=error|warn|info|debug|trace`, `CONSENTRY_LOG_FORMAT=json`.
///
/// Only this program's own lines are written, whatever the level: libraries log headers, addresses and what a server
/// answered, and those may hold what a visitor sent.
pub fn init_logging() {
    let level =
        std::env::var("CONSENTRY_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let own = Targets::new().with_target("consentry", level);
    let registry = tracing_subscriber::registry().with(own);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    // A second call, as in tests, leaves the first in place.
    let _ = match std::env::var("CONSENTRY_LOG_FORMAT").as_deref() {
        Ok("json") => registry.with(lines.json()).try_init(),
        _ => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(lines.with_ansi(ansi)).try_init()
        }
    };
}
