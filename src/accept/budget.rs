//! The bytes of all bodies that are in memory at one time have a bound.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refusal;

/// Permits are handed out in units of this many bytes.
const UNIT_BYTES: usize = 1024;

/// What all bodies together may take.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    /// A budget of `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes_max / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Starts a reservation of nothing.
    pub fn hold(&self) -> Reservation {
        Reservation { budget: self.clone(), permit: None }
    }

    /// Bytes that are not reserved.
    pub fn free_bytes(&self) -> usize {
        self.0.available_permits() * UNIT_BYTES
    }
}

/// One request's share of the budget; given back on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    permit: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Makes the reservation at least `bytes` large. It never waits: no room is a 503.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = bytes.div_ceil(UNIT_BYTES);
        let Some(more) = wanted.checked_sub(held).filter(|&more| more > 0) else { return Ok(()) };
        let more = u32::try_from(more).map_err(|_| Refusal::Overloaded)?;
        let extra = self.budget.0.clone().try_acquire_many_owned(more).map_err(|_| Refusal::Overloaded)?;
        match &mut self.permit {
            Some(permit) => permit.merge(extra),
            none => *none = Some(extra),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_at_the_budget_and_one_unit_over() {
        let budget = Budget::new(4096);
        let mut first = budget.hold();
        first.grow_to(4096).unwrap();
        assert_eq!(budget.free_bytes(), 0);
        assert!(matches!(budget.hold().grow_to(1), Err(Refusal::Overloaded)));
        drop(first);
        assert_eq!(budget.free_bytes(), 4096);
        assert!(budget.hold().grow_to(4097).is_err());
    }
}
