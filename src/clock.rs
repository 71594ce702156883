//! The only place that reads the wall clock.
//!
//! Whoever starts the collector owns its time: `Clock::system()` in production, `Clock::manual(..)` in a test
//! that moves it by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// One minute in milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// One hour in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// One day in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// A source of wall-clock time in milliseconds since the Unix epoch, UTC.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still at what the returned handle holds.
    pub fn manual(now_ms: i64) -> (Self, Arc<AtomicI64>) {
        let hand = Arc::new(AtomicI64::new(now_ms));
        (Self(Some(hand.clone())), hand)
    }

    /// Now, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Some(hand) => hand.load(Ordering::Relaxed),
            None => system_now_ms(),
        }
    }
}

#[allow(clippy::disallowed_methods)] // this is the clock
fn system_now_ms() -> i64 {
    // A clock before 1970 reads as 0: every event is then out of range, which is the closed side.
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The UTC day that `at_ms` lies in, as days since the Unix epoch.
pub fn day_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(DAY_MS)
}

/// The UTC minute that `at_ms` lies in, as minutes since the Unix epoch.
pub fn minute_of(at_ms: i64) -> u32 {
    u32::try_from(at_ms.div_euclid(MINUTE_MS).max(0)).unwrap_or(u32::MAX)
}
