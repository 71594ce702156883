//! TC strings: the Transparency and Consent Framework of IAB Europe, versions 2.2 and 2.3.
//!
//! | the string | reading | why |
//! |---|---|---|
//! | is not whole, or not of this form | malformed | nothing in it can be relied on; an unexpanded macro ends here |
//! | breaks a rule of validity | malformed | no manager may write it: what it says is not a visitor's choice |
//! | has expired, or is from the future | deny | were it nothing, waiting would turn an old no into no objection |
//! | lacks what the site asks for | deny | the visitor, or the publisher, did not agree to it |
//! | has all of it | grant | |
//!
//! Invariant: a string that is there is never read as nothing.

mod bits;
mod segments;
#[cfg(test)]
pub(super) mod tests;

use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

pub(super) use bits::Bits;
use segments::{Core, Others};

use super::Reading;

/// The longest string that is read. Cookies end here too; it bounds the time that one takes.
const STRING_BYTES_MAX: usize = 4096;

/// How far ahead of this clock a string may have been written.
const AHEAD_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// How long a choice counts, in months of the calendar, UTC: one of 31 January counts to the same time of day on the
/// last of February a year later, and that millisecond still counts. IAB Europe's policies ask for a renewal by then.
const AGE_MONTHS_MAX: i64 = 13;

/// What a site asks of a TC string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The number of the site's operator in the Global Vendor List, where it is in it.
    pub vendor_id: Option<u16>,
    /// The purposes that all need consent: bit n-1 is purpose n. None at all is never granted.
    pub purposes: u32,
    /// Without a vendor: whether the core string's purposes alone decide. Otherwise the publisher's own segment does.
    pub accept_core: bool,
}

/// Reads a TC string.
pub(crate) fn read(tc: &str, terms: &Terms, now_ms: i64) -> Reading {
    match TcString::read(tc).filter(TcString::is_valid) {
        None => Reading::Malformed,
        Some(tc) if tc.is_current(now_ms) && tc.meets(terms) => Reading::Grant,
        Some(_) => Reading::Deny,
    }
}

/// A TC string that is well-formed, whatever it says.
#[derive(Debug, Clone, Copy)]
struct TcString<'a> {
    core: Core<'a>,
    others: Others<'a>,
}

impl<'a> TcString<'a> {
    /// The core string comes first, the others in any order ("TC string format").
    fn read(tc: &'a str) -> Option<Self> {
        if tc.len() > STRING_BYTES_MAX {
            return None;
        }
        let mut segments = tc.split('.');
        let core = Core::read(segments.next()?)?;
        let mut others = Others::default();
        segments.try_for_each(|segment| others.add(segment))?;
        Some(Self { core, others })
    }

    /// Whether a manager may write it today: for one site, by policy 4 or later, with a registered id (0 is none,
    /// 1 is the example's).
    fn is_valid(&self) -> bool {
        self.core.is_service_specific() && self.core.policy_version() >= 4 && self.core.cmp_id() > 1
    }

    /// Whether the choice still counts, and is not from the future.
    fn is_current(&self, now_ms: i64) -> bool {
        let updated_ms = self.core.last_updated_ms();
        let not_ahead = updated_ms <= now_ms.saturating_add(AHEAD_MS_MAX);
        not_ahead && expiry_ms(updated_ms).is_some_and(|expiry_ms| now_ms <= expiry_ms)
    }

    /// Whether the visitor agreed to what the site asks for.
    fn meets(&self, terms: &Terms) -> bool {
        let all_in = |purposes: u32| terms.purposes != 0 && purposes & terms.purposes == terms.purposes;
        match (terms.vendor_id, self.others.publisher) {
            (Some(vendor), _) => all_in(self.core.purposes()) && self.allows(vendor, terms.purposes),
            (None, _) if terms.accept_core => all_in(self.core.purposes()),
            (None, Some(publisher)) => all_in(publisher.purposes()),
            (None, None) => false,
        }
    }

    /// Whether the vendor has consent, is not restricted, and, from policy 5 on (TCF 2.3), was disclosed.
    fn allows(&self, vendor: u16, purposes: u32) -> bool {
        let disclosed = || self.others.disclosed.is_some_and(|vendors| vendors.contains(vendor));
        self.core.consents.contains(vendor)
            && (self.core.policy_version() < 5 || disclosed())
            && !self.core.restrictions.forbid(vendor, purposes)
    }
}

/// The last millisecond at which a choice counts.
fn expiry_ms(updated_ms: i64) -> Option<i64> {
    let updated = Offset::UTC.to_datetime(Timestamp::from_millisecond(updated_ms).ok()?);
    let expiry = updated.checked_add(AGE_MONTHS_MAX.months()).ok()?;
    Some(Offset::UTC.to_timestamp(expiry).ok()?.as_millisecond())
}
