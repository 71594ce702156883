//! Third room: the gate. A [`Beacon`] becomes a [`ConsentedEvent`], or a reason and nothing else.
//!
//! Each way in which a visitor's choice reaches a collector is one pure function, from bytes to a [`Reading`]; beside
//! them stand the four carriers that bring the bytes. [`combine`] makes one answer of all readings.
//!
//! | carrier | brings |
//! |---|---|
//! | `payload` | every signal, as the page read it |
//! | `query` | TCF, GPP, US Privacy, Consent Mode |
//! | `cookies` | what managers and frameworks keep in first-party cookies |
//! | `headers` | the browser's own objections |
//!
//! Invariant: the gate is the only maker of a `ConsentedEvent`. What it turns away is dropped here, whole: only the
//! reason leaves the room.
//!
//! Invariant: of a signal only its [`Reading`] leaves the function that reads it. The texts carry identifiers; none is
//! kept, printed or counted by.
//!
//! Deliberately absent: a signal that is consulted although the site did not name it. A former manager's stale cookie
//! must not decide; only the browser's headers always count.

mod rules;
mod signal;
mod words;

mod cookies;
mod headers;
mod payload;
mod query;
mod reader;

mod cookiebot;
mod cookieyes;
mod gcm;
mod gpp;
mod json;
mod onetrust;
mod tcf;
mod text;
mod trustarc;
mod wordpress;

pub use rules::{Dnt, Gpc, Rules, RulesFile, TcfFile};
pub use signal::{Basis, DropReason, Grant, Heard, Reading, combine};

use crate::beacon::{Around, Beacon, Timed};
use reader::Reader;

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
    let (rules, submission) = (&around.site.consent, around.submission);
    let banner = cookies::banner(submission, rules);
    let reader =
        Reader { rules, now_ms: submission.received_at_ms(), banner_closed: banner == Reading::Grant };
    let objections = [
        headers::gpc(submission.header_values("sec-gpc"), rules.gpc),
        headers::dnt(submission.header_values("dnt"), rules.dnt),
        headers::dnt(submission.header_values("x-do-not-track"), rules.dnt),
        // An answered banner is no signal by itself; one that cannot be read spoils what depends on it.
        if banner == Reading::Malformed { banner } else { Reading::Nothing },
    ];
    let readings = objections.map(|reading| (None, reading)).into_iter();
    let own = payload::read(beacon.consent(), &reader);
    let beside = payload::objections(beacon.consent_beside(), &own, &reader);
    let readings = readings.chain(own).chain(beside.into_iter().flatten());
    let readings = readings.chain(query::read(submission.query(), &reader).into_iter().flatten());
    let grant = combine(readings.chain(cookies::read(submission, &reader).into_iter().flatten()))?;
    Ok(ConsentedEvent { timed: beacon.into_timed(), around, grant })
}

impl<'a> ConsentedEvent<'a> {
    /// What granted it.
    pub fn grant(&self) -> Grant {
        self.grant
    }

    /// The version of the site's policy that its visitors agree to, to be kept beside the grant.
    pub fn policy_version(&self) -> &'a str {
        self.around.site.consent.policy_version()
    }

    /// Gives the event up, with where it came in and what granted it. Only `deidentify` has a use for it.
    pub(crate) fn into_parts(self) -> (Timed<'a>, Around<'a>, Grant) {
        (self.timed, self.around, self.grant)
    }
}
