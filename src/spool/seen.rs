//! Event ids of the last minutes, so that a beacon sent twice is counted once. Bounded, in two generations.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// The keys are parts of keyed hashes already: no second hashing.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

type Ids = HashSet<u64, BuildHasherDefault<AsIs>>;

/// Remembers an id for at least the window, unless more than `ids_max` came in it.
pub(super) struct Seen {
    window_ms: i64,
    ids_max: usize,
    young: Ids,
    old: Ids,
    young_since_ms: i64,
}

impl Seen {
    pub(super) fn new(window_s: u64, ids_max: usize, now_ms: i64) -> Self {
        let window_ms = i64::try_from(window_s).unwrap_or(i64::MAX / 1000).saturating_mul(1000);
        Self { window_ms, ids_max, young: Ids::default(), old: Ids::default(), young_since_ms: now_ms }
    }

    /// Whether the id is new. 0 stands for no id and is always new.
    pub(super) fn insert(&mut self, id: u64, now_ms: i64) -> bool {
        if id == 0 || self.window_ms == 0 {
            return true;
        }
        // A clock that was set back must not keep a generation for ever.
        let aged = !(0..self.window_ms).contains(&now_ms.saturating_sub(self.young_since_ms));
        if aged || self.young.len() >= self.ids_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_since_ms = now_ms;
        }
        !self.old.contains(&id) && self.young.insert(id)
    }

    /// Whether the id was seen within the window.
    pub(super) fn contains(&self, id: u64) -> bool {
        id != 0 && (self.young.contains(&id) || self.old.contains(&id))
    }

    /// Forgets an id whose event was not made durable, so that it may be sent again.
    pub(super) fn forget(&mut self, id: u64) {
        self.young.remove(&id);
        self.old.remove(&id);
    }

    pub(super) fn window_ms(&self) -> i64 {
        self.window_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_within_the_window() {
        let mut seen = Seen::new(600, 1000, 0);
        assert!(seen.insert(7, 0));
        assert!(!seen.insert(7, 599_999));
        assert!(!seen.insert(7, 600_000), "the young generation has become the old one");
        assert!(seen.insert(7, 1_200_000));
        assert!(seen.insert(0, 0) && seen.insert(0, 0), "no id, no duplicate");
    }

    #[test]
    fn what_was_not_made_durable_may_be_sent_again() {
        let mut seen = Seen::new(600, 1000, 0);
        assert!(seen.insert(7, 0));
        seen.forget(7);
        assert!(seen.insert(7, 0));
    }

    #[test]
    fn memory_is_bounded_and_the_latest_are_remembered() {
        let mut seen = Seen::new(600, 1000, 0);
        for id in 1..=100_000 {
            assert!(seen.insert(id, 0));
        }
        assert!(seen.young.len() + seen.old.len() <= 1000);
        assert!(!seen.insert(100_000, 0) && !seen.insert(99_600, 0));
    }
}
