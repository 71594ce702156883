//! Answers that were given before: a small table in each thread, one answer a slot, no lock.
//!
//! Referrers, zones and campaigns repeat; what they mean costs a search of tables. A key is a SipHash under keys drawn
//! at start, so no text is kept and nobody outside can choose two that are taken for one another.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use siphasher::sip::SipHasher13;

use crate::lookups::Cached;

/// Answers a table holds; a power of two. A table of answers of 40 bytes takes 24 KB a thread.
const SLOTS: usize = 512;

static HASHER: LazyLock<SipHasher13> = LazyLock::new(|| {
    let keys = RandomState::new();
    SipHasher13::new_with_keys(keys.hash_one(0_u8), keys.hash_one(1_u8))
});

/// The key of a text.
pub(super) fn key(text: &[u8]) -> u64 {
    HASHER.hash(text)
}

/// A table of answers by key.
pub(super) struct Memo<V> {
    cached: Cached,
    slots: Vec<(u64, V)>,
}

impl<V: Copy> Memo<V> {
    /// An empty one; memory is taken with the first answer.
    pub(super) const fn new(cached: Cached) -> Self {
        Self { cached, slots: Vec::new() }
    }

    /// The answer for `key`, made by `make` unless it stands here.
    pub(super) fn get_or(&mut self, key: u64, make: impl FnOnce() -> V) -> V {
        // The low bits choose the slot.
        let at = key as usize & (SLOTS - 1);
        if let Some((kept, answer)) = self.slots.get(at)
            && *kept == key
        {
            self.cached.found();
            return *answer;
        }
        self.cached.made();
        let answer = make();
        if self.slots.is_empty() {
            // A key that belongs into another slot is nobody's.
            self.slots = (0..SLOTS as u64).map(|slot| (slot ^ 1, answer)).collect();
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = (key, answer);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_made_once_and_never_given_for_another_key() {
        let mut memo = Memo::new(Cached::Campaigns);
        let mut made = 0;
        for _ in 0..2 {
            for key in [0, 1, 7, u64::MAX] {
                let answer = memo.get_or(key, || {
                    made += 1;
                    key
                });
                assert_eq!(answer, key);
            }
        }
        assert_eq!(made, 4);
        // The same slot.
        assert_eq!(memo.get_or(SLOTS as u64, || 5), 5);
        assert_eq!(memo.get_or(0, || 6), 6);
    }

    #[test]
    fn an_empty_slot_answers_nothing() {
        let mut memo = Memo::new(Cached::Campaigns);
        memo.get_or(3, || 3_u64);
        for slot in (0..SLOTS as u64).filter(|&slot| slot != 3) {
            assert_eq!(memo.get_or(slot, || slot + 1_000), slot + 1_000);
        }
    }
}
