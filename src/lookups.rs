//! How often each cache had the answer.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The caches of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cached {
    /// User-Agents and client hints, to families.
    Agents,
    /// Texts, to whether an identifier is in them.
    Texts,
    /// Hosts of referrers, to who they are.
    Referrers,
    /// Parameters of campaigns, to channels.
    Campaigns,
    /// Names of time zones, to offsets.
    TimeZones,
}

/// Found lookups that a thread counts for itself before it tells the others: a shared number would cost more than the answer.
const TELL_EVERY: u32 = 64;

const COUNT: usize = Cached::ALL.len();

static FOUND: [AtomicU64; COUNT] = [const { AtomicU64::new(0) }; COUNT];
static MADE: [AtomicU64; COUNT] = [const { AtomicU64::new(0) }; COUNT];

thread_local!(static UNTOLD: [Cell<u32>; COUNT] = const { [const { Cell::new(0) }; COUNT] });

impl Cached {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Agents, Self::Texts, Self::Referrers, Self::Campaigns, Self::TimeZones];

    /// Its name in `consentry_cache_lookups_total`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Agents => "agents",
            Self::Texts => "texts",
            Self::Referrers => "referrers",
            Self::Campaigns => "campaigns",
            Self::TimeZones => "time_zones",
        }
    }

    /// Counts an answer that was there.
    pub fn found(self) {
        UNTOLD.with(|untold| {
            let untold = &untold[self as usize];
            untold.set(untold.get() + 1);
            if untold.get() >= TELL_EVERY {
                FOUND[self as usize].fetch_add(u64::from(untold.take()), Ordering::Relaxed);
            }
        });
    }

    /// Counts an answer that had to be made, which takes so long that the count does not matter.
    pub fn made(self) {
        MADE[self as usize].fetch_add(1, Ordering::Relaxed);
        let untold = UNTOLD.with(|untold| untold[self as usize].take());
        FOUND[self as usize].fetch_add(u64::from(untold), Ordering::Relaxed);
    }

    /// How many were there and how many were made, since the start. Of those that were there, each thread may keep a few
    /// dozen to itself.
    pub fn counts(self) -> (u64, u64) {
        (FOUND[self as usize].load(Ordering::Relaxed), MADE[self as usize].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_late_is_told() {
        // Other tests look up other things.
        let of = Cached::TimeZones;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let before = of.counts();
                (0..3 * TELL_EVERY + 5).for_each(|_| of.found());
                assert!(of.counts().0 >= before.0 + u64::from(3 * TELL_EVERY));
                of.made();
                let after = of.counts();
                assert!(after.0 >= before.0 + u64::from(3 * TELL_EVERY + 5) && after.1 > before.1);
            });
        });
    }
}
