//! Texts that were looked at a moment ago: most titles, paths and stacks come again and again, and need no second look.
//!
//! Of a text in which nothing was found a keyed hash alone is held, under a key of this process; no text can be told from
//! it. A text that holds an identifier would have to share 64 bits of tag with the text in its slot, which nobody can
//! bring about without the key: at a million lookups a second once in half a million years. Of a long text with finds,
//! a stack above all, its redacted form is held too, which is what goes on to the disk.

use std::borrow::Cow;
use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use quick_cache::sync::Cache;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::Redacted;

/// How many texts are held; a new one takes the place of another. 256 KiB.
const TEXTS_MAX: usize = 1 << 15;

/// How many redacted texts are held, at most of this length and at least of that, in bytes: 2 MiB in all.
const REDACTED_MAX: usize = 256;
const REDACTED_BYTES_MAX: usize = 8 << 10;
const REDACTED_BYTES_MIN: usize = 512;

struct Known {
    key: [u8; 16],
    tags: Box<[AtomicU64]>,
    redacted: Cache<u128, (Arc<str>, u16)>,
}

/// `None` where the system gives no random key: then every text is looked at.
fn known() -> Option<&'static Known> {
    static KNOWN: OnceLock<Option<Known>> = OnceLock::new();
    let make = || {
        let mut key = [0; 16];
        getrandom::fill(&mut key).ok()?;
        let tags = (0..TEXTS_MAX).map(|_| AtomicU64::new(0)).collect();
        Some(Known { key, tags, redacted: Cache::new(REDACTED_MAX) })
    };
    KNOWN.get_or_init(make).as_ref()
}

/// Where a text is, or would be, remembered.
pub(super) struct Place {
    known: &'static Known,
    hash: siphasher::sip128::Hash128,
    is_long: bool,
}

impl Place {
    /// The place of `text`.
    pub(super) fn of(text: &str) -> Option<Self> {
        let known = known()?;
        let mut hasher = SipHasher13::new_with_key(&known.key);
        hasher.write(text.as_bytes());
        Some(Self { known, hash: hasher.finish128(), is_long: text.len() >= REDACTED_BYTES_MIN })
    }

    fn slot(&self) -> &AtomicU64 {
        &self.known.tags[self.hash.h2 as usize % TEXTS_MAX]
    }

    /// An empty slot holds 0, which is nobody's tag.
    fn tag(&self) -> u64 {
        self.hash.h1.max(1)
    }

    /// Whether nothing was found in this text before.
    fn is_clean(&self) -> bool {
        self.slot().load(Ordering::Relaxed) == self.tag()
    }

    /// What was made of `text`, whose place this is, the last time.
    pub(super) fn recall<'a>(&self, text: &'a str) -> Option<Redacted<'a>> {
        if self.is_clean() {
            return Some(Redacted { text: Cow::Borrowed(text), count: 0 });
        }
        let (text, count) = self.is_long.then(|| self.known.redacted.get(&self.hash.as_u128())).flatten()?;
        Some(Redacted { text: Cow::Owned(text.as_ref().to_owned()), count })
    }

    /// This was made of the text.
    pub(super) fn remember(&self, redacted: &Redacted<'_>) {
        if redacted.count == 0 {
            self.slot().store(self.tag(), Ordering::Relaxed);
        } else if self.is_long && redacted.text.len() <= REDACTED_BYTES_MAX {
            self.known.redacted.insert(self.hash.as_u128(), (redacted.text.as_ref().into(), redacted.count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::redact;
    use super::*;

    #[test]
    fn only_texts_without_a_find_are_remembered() {
        let known = |text: &str| Place::of(text).expect("a key").is_clean();
        let (clean, not) = ("Chairs (12) and tables: 34", "Chairs (12) for jane@mail.example: 34");
        for _ in 0..2 {
            assert_eq!(redact(clean).count, 0);
            assert_eq!(redact(not).count, 1);
        }
        assert!(known(clean) && !known(not));
        assert!(!known("Chairs (12) and tables: 35"));
    }

    #[test]
    fn a_long_text_is_redacted_the_same_again() {
        let stack = format!("Error\n{}", "    at f (https://shop.example/a.js?user=jane:1:2)\n".repeat(20));
        let first = redact(&stack);
        assert_eq!(Place::of(&stack).and_then(|place| place.recall(&stack)), Some(first.clone()));
        assert_eq!(redact(&stack), first);
        assert_eq!((first.count, first.text.contains("jane")), (20, false));
    }
}
