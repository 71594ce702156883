//! Logs: this program's own lines alone, and no more of them than somebody can read.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Lines that one place of the program may write within [`WINDOW`].
const LINES_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// Lines left out since the start.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// How many lines were left out since the start.
pub fn lines_left_out() -> u64 {
    LEFT_OUT.load(Ordering::Relaxed)
}

/// Lets a place of the program write so many lines in a window and leaves out the others: a fault that comes with each
/// request must not fill the disk that the spool is on. There are as many entries as places that write.
#[derive(Default)]
struct Rate(Mutex<HashMap<Identifier, (Instant, u32)>>);

impl Rate {
    fn admits(&self, place: Identifier, now: Instant) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, lines) = places.entry(place).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= WINDOW {
            (*since, *lines) = (now, 0);
        }
        *lines = lines.saturating_add(1);
        *lines <= LINES_MAX
    }
}

impl<S: Subscriber> Filter<S> for Rate {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let admitted = self.admits(event.metadata().callsite(), Instant::now());
        if !admitted {
            LEFT_OUT.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }
}

/// Makes a panic say where it happened and nothing else. The standard message may quote the text at fault (`byte index 5
/// is not a char boundary of ...`), and that text may be a visitor's.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|fault| {
        let (file, line) = fault.location().map_or(("?", 0), |at| (at.file(), at.line()));
        // Not through the log: it may be the log that is at fault. And where nobody listens any more, a fault of a fault
        // must not end the others.
        let said = format!("consentry: a fault of this program at {file}:{line}; please report this line\n");
        let _ = std::io::stderr().write_all(said.as_bytes());
    }));
}

/// Starts logging to standard error: `CONSENTRY_LOG=error|warn|info|debug|trace`, `CONSENTRY_LOG_FORMAT=json`.
///
/// Only this program's own lines are written, whatever the level: libraries log headers, addresses and what a server
/// answered, and those may hold what a visitor sent. A place of the program writes at most 20 lines in 10 seconds; how
/// many were left out stands in `consentry_log_lines_left_out_total`.
pub fn init_logging() {
    let level =
        std::env::var("CONSENTRY_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let own = Targets::new().with_target("consentry", level);
    let registry = tracing_subscriber::registry();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    // A second call, as in tests, leaves the first in place.
    let _ = match std::env::var("CONSENTRY_LOG_FORMAT").as_deref() {
        Ok("json") => registry.with(lines.json().with_filter(own.and(Rate::default()))).try_init(),
        _ => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(lines.with_ansi(ansi).with_filter(own.and(Rate::default()))).try_init()
        }
    };
}

#[cfg(test)]
mod tests {
    use tracing::Callsite as _;

    use super::*;

    #[test]
    fn a_place_writes_so_many_lines_in_a_window_and_others_as_many() {
        let meta = |id: usize| match id {
            0 => tracing::callsite!(name: "a", kind: tracing::metadata::Kind::EVENT, fields: a).metadata(),
            _ => tracing::callsite!(name: "b", kind: tracing::metadata::Kind::EVENT, fields: a).metadata(),
        };
        let (rate, begun) = (Rate::default(), Instant::now());
        let admitted = |id: usize, at: Duration| {
            (0..100).filter(|_| rate.admits(meta(id).callsite(), begun + at)).count()
        };
        assert_eq!(admitted(0, Duration::ZERO), 20);
        assert_eq!(admitted(0, WINDOW - Duration::from_millis(1)), 0);
        assert_eq!(admitted(1, Duration::ZERO), 20);
        assert_eq!(admitted(0, WINDOW), 20);
    }
}
