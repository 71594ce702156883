//! What is not counted but read, at the moment somebody asks for the metrics.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::lines_left_out;
use crate::lookups::Cached;
use crate::pipeline::Pipeline;
use crate::server::{Certificates, ValidUntil};
use crate::store::State;

/// The collector's state at one moment.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Events that are durable and not yet stored.
    pub spooled: u64,
    /// Bytes of the spool.
    pub spool_bytes: u64,
    /// Bytes that it may have.
    pub spool_bytes_max: u64,
    /// Segments that wait.
    pub segments: u64,
    /// Seconds since the first record of the oldest segment was written; 0: none waits.
    pub oldest_s: f64,
    /// `starting`, `ready` or `away`.
    pub store: &'static str,
    /// Seconds since the oldest salt in memory was made or found.
    pub salt_s: f64,
    /// Seconds since 1970 at which the certificate ends; 0: there is none, or it cannot be read.
    pub certificate_until_s: i64,
}

/// The words of `consentry_store_state`.
const STORE_STATES: [&str; 3] = ["starting", "ready", "away"];

impl Reading {
    /// Reads everything.
    pub fn of(pipeline: &Pipeline, store: &State, certificates: Option<&Certificates>) -> Self {
        let spool = &pipeline.spool;
        let begun_ms = spool.oldest().and_then(|segment| segment.begun_ms());
        let oldest_ms = begun_ms.map_or(0, |begun_ms| (pipeline.clock.now_ms() - begun_ms).max(0));
        Self {
            spooled: spool.rows(),
            spool_bytes: spool.bytes(),
            spool_bytes_max: spool.bytes_max(),
            segments: spool.segments(),
            oldest_s: oldest_ms as f64 / 1000.0,
            store: match store {
                State::Starting(_) => "starting",
                State::Ready => "ready",
                State::Away(_) => "away",
            },
            salt_s: pipeline.salts.oldest_age().as_secs_f64(),
            certificate_until_s: certificates.and_then(Certificates::valid_until).map_or(0, ValidUntil::at_s),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookupLabels {
    cache: &'static str,
    result: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;
type Whole = Gauge<i64, AtomicI64>;

/// The metrics that are read.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    spooled: Whole,
    spool_bytes: Whole,
    spool_bytes_max: Whole,
    segments: Whole,
    oldest: Seconds,
    store: Family<StateLabels, Whole>,
    salt: Seconds,
    certificate: Whole,
    open_files: Whole,
    open_files_max: Whole,
    memory: Whole,
    lookups: Family<LookupLabels, Counter>,
    log_lines_left_out: Counter,
}

impl Gauges {
    /// Declares them.
    pub(super) fn declare(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register(
            "spooled_events",
            "Events that are durable and not yet stored",
            own.spooled.clone(),
        );
        registry.register_with_unit(
            "spool",
            "Bytes of the spool on disk",
            Unit::Bytes,
            own.spool_bytes.clone(),
        );
        registry.register_with_unit(
            "spool_limit",
            "Bytes that the spool may have; at the limit senders are answered with 503",
            Unit::Bytes,
            own.spool_bytes_max.clone(),
        );
        registry.register("spool_segments", "Segments that wait for the store", own.segments.clone());
        registry.register_with_unit(
            "spool_oldest_record",
            "Time since the first record of the oldest waiting segment was written; 0 where none waits",
            Unit::Seconds,
            own.oldest.clone(),
        );
        registry.register(
            "store_state",
            "1 for the state in which the store is: starting, ready or away",
            own.store.clone(),
        );
        registry.register_with_unit(
            "salt_age",
            "Time since the oldest salt in memory was made, or found at the start; destroyed before 48 hours are over",
            Unit::Seconds,
            own.salt.clone(),
        );
        registry.register_with_unit(
            "tls_certificate_expiry_timestamp",
            "When the first certificate of the chain in use ends, in seconds since 1970; 0 where there is none",
            Unit::Seconds,
            own.certificate.clone(),
        );
        registry.register(
            "open_files",
            "File descriptors in use, connections included",
            own.open_files.clone(),
        );
        registry.register(
            "open_files_limit",
            "File descriptors that may be in use",
            own.open_files_max.clone(),
        );
        registry.register_with_unit(
            "resident_memory",
            "Memory of the collector itself, without its engine",
            Unit::Bytes,
            own.memory.clone(),
        );
        registry.register(
            "cache_lookups",
            "Lookups in caches: a hit had the answer, after a miss it was made; a thread may keep some dozens of hits to itself",
            own.lookups.clone(),
        );
        registry.register(
            "log_lines_left_out",
            "Lines of the log that were left out because one place of the program wrote too many",
            own.log_lines_left_out.clone(),
        );
        own
    }

    /// Takes a reading over, and reads what the system knows of this process.
    pub(super) fn set(&self, reading: &Reading) {
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.spooled.set(whole(reading.spooled));
        self.spool_bytes.set(whole(reading.spool_bytes));
        self.spool_bytes_max.set(whole(reading.spool_bytes_max));
        self.segments.set(whole(reading.segments));
        self.oldest.set(reading.oldest_s);
        for state in STORE_STATES {
            self.store.get_or_create(&StateLabels { state }).set(i64::from(state == reading.store));
        }
        self.salt.set(reading.salt_s);
        self.certificate.set(reading.certificate_until_s);
        // Without /proc there is nothing to say; 0 says so.
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        self.open_files.set(whole(open as u64));
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        self.open_files_max.set(whole(limit.unwrap_or(u64::MAX)));
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let resident = resident.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or(0);
        self.memory.set(whole(resident * 1024));
        for cached in Cached::ALL {
            let (found, made) = cached.counts();
            for (result, now) in [("hit", found), ("miss", made)] {
                let counter = self.lookups.get_or_create(&LookupLabels { cache: cached.word(), result });
                // Whoever else asks at this moment has read as much, and nothing counts twice.
                counter.inner().fetch_max(now, Ordering::Relaxed);
            }
        }
        self.log_lines_left_out.inner().fetch_max(lines_left_out(), Ordering::Relaxed);
    }
}
