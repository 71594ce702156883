//! What networks owe: a body whose work was worth more requests than its network had left is paid for by those that come
//! next. Without it a sender at its limit would pay nothing for a bomb, since nothing is ever left.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Debts by a network's place. Bounded by `places_max`, and in time: see [`Debts::forget`].
#[derive(Debug, Default)]
pub(super) struct Debts {
    /// So that nobody waits for the lock while nobody owes anything.
    count: AtomicUsize,
    owed: Mutex<HashMap<u64, Debt>>,
}

#[derive(Debug, Clone, Copy)]
struct Debt {
    requests: u32,
    last_seen: Instant,
}

impl Debts {
    /// Adds to what is owed, up to `most`. Above `places_max` debtors a new one is let off.
    pub(super) fn owe(&self, place: u64, requests: u32, most: u32, places_max: usize) {
        let mut owed = self.lock();
        if requests == 0 || (owed.len() >= places_max && !owed.contains_key(&place)) {
            return;
        }
        let debt = owed.entry(place).or_insert(Debt { requests: 0, last_seen: Instant::now() });
        debt.requests = debt.requests.saturating_add(requests).min(most);
        debt.last_seen = Instant::now();
        self.count.store(owed.len(), Ordering::Relaxed);
    }

    /// Lets `take` take what is owed and give what it could not; that is still owed. 0: nothing.
    pub(super) fn settle(&self, place: u64, take: impl FnOnce(u32) -> u32) -> u32 {
        if self.count.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        let mut owed = self.lock();
        let Some(debt) = owed.get_mut(&place) else { return 0 };
        debt.requests = take(debt.requests);
        debt.last_seen = Instant::now();
        let left = debt.requests;
        if left == 0 {
            owed.remove(&place);
            self.count.store(owed.len(), Ordering::Relaxed);
        }
        left
    }

    /// Forgets debtors that were not seen for `quiet`, in which they would have paid.
    pub(super) fn forget(&self, quiet: Duration) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut owed = self.lock();
        owed.retain(|_, debt| debt.last_seen.elapsed() < quiet);
        owed.shrink_to_fit();
        self.count.store(owed.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Debt>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debts_are_paid_bounded_and_forgotten() {
        let debts = Debts::default();
        assert_eq!(debts.settle(1, |_| unreachable!("nobody owes anything")), 0);
        debts.owe(1, 70, 100, 2);
        debts.owe(1, 70, 100, 2);
        assert_eq!(debts.settle(1, |owed| owed - 60), 40, "100 at most");
        debts.owe(2, 1, 100, 2);
        debts.owe(3, 1, 100, 2);
        assert_eq!(debts.settle(3, |_| unreachable!("there was no room")), 0);
        assert_eq!(debts.settle(1, |_| 0), 0);
        assert_eq!(debts.count.load(Ordering::Relaxed), 1);
        debts.forget(Duration::from_secs(60));
        assert_eq!(debts.count.load(Ordering::Relaxed), 1);
        debts.forget(Duration::ZERO);
        assert_eq!(debts.count.load(Ordering::Relaxed), 0);
    }
}
