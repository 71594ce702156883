//! Third room: the gate. A [`Beacon`] becomes a [`ConsentedEvent`], or a reason and nothing else.
//!
//! Invariant: the gate is the only maker of a `ConsentedEvent`. What it turns away is dropped here, whole: only the
//! reason leaves the room.

mod headers;
mod payload;
mod rules;
mod signal;

pub use rules::{Rules, RulesFile};
pub use signal::{Basis, DropReason, Grant, Reading, combine};

use crate::beacon::{Around, Beacon, Timed};

/// An event that its visitor has agreed to. Made by [`gate`] alone.
///
/// ```compile_fail
/// use consentry::consent::ConsentedEvent;
/// fn forge(event: consentry::beacon::Timed<'static>) -> ConsentedEvent<'static> {
///     ConsentedEvent { timed: event }
/// }
/// ```
#[derive(Debug)]
pub struct ConsentedEvent<'a> {
    timed: Timed<'a>,
    around: Around<'a>,
    grant: Grant,
}

/// Decides on one event by the rules of its site. Pure: the same beacon and headers give the same answer.
pub fn gate(beacon: Beacon<'_>) -> Result<ConsentedEvent<'_>, DropReason> {
    let around = beacon.around();
    let rules = &around.site.consent;
    let values = |name| around.submission.header_values(name);
    let grant = combine([
        (
            Some(Basis::Payload),
            if rules.payload { payload::read(beacon.consent()) } else { Reading::Nothing },
        ),
        (None, headers::gpc(values("sec-gpc"), rules.gpc)),
        (None, headers::dnt(values("dnt"), rules.dnt)),
        (None, headers::dnt(values("x-do-not-track"), rules.dnt)),
    ])?;
    Ok(ConsentedEvent { timed: beacon.into_timed(), around, grant })
}

impl<'a> ConsentedEvent<'a> {
    /// Gives the event up, with where it came in and what granted it. Only `deidentify` has a use for it.
    pub(crate) fn into_parts(self) -> (Timed<'a>, Around<'a>, Grant) {
        (self.timed, self.around, self.grant)
    }
}
