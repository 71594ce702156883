//! The rule of consent, in one function. Every signal the web speaks is first read into a [`Reading`].

/// What one signal says of consent to analytics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// A valid, explicit, unexpired yes.
    Grant,
    /// An explicit no.
    Deny,
    /// An objection that overrides a yes, unless the site turns it into `no_share`.
    Veto,
    /// An objection that the site has turned into: keep, but share nothing.
    NoShare,
    /// The signal is not there, or says nothing of analytics.
    Nothing,
    /// The signal is there and cannot be read.
    Malformed,
}

impl Reading {
    /// Of two that one carrier says of one signal (a cookie set for two paths, three cookies of one manager), the one
    /// that allows less. A default beside a yes is no yes.
    pub fn strictest(self, other: Self) -> Self {
        let leniency = |reading| match reading {
            Self::Malformed => 0,
            Self::Deny => 1,
            Self::Veto => 2,
            Self::NoShare => 3,
            Self::Nothing => 4,
            Self::Grant => 5,
        };
        if leniency(self) <= leniency(other) { self } else { other }
    }
}

/// One reading, with the signal that an event may then be kept on; `None` for what can only object.
pub type Heard = (Option<Basis>, Reading);

/// The signals that a site can consult, in the order in which they are named where several grant. The one that granted
/// is stored with the event, and is all that is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// `consent.analytics` of the payload.
    Payload,
    /// IAB TCF 2.2 and 2.3.
    Tcf,
    /// IAB GPP.
    Gpp,
    /// IAB US Privacy; objects and never grants.
    Usp,
    /// Google's Consent Mode.
    Gcm,
    /// OneTrust.
    Onetrust,
    /// TrustArc.
    Trustarc,
    /// Cookiebot.
    Cookiebot,
    /// CookieYes.
    Cookieyes,
    /// Didomi.
    Didomi,
    /// Klaro.
    Klaro,
    /// WP Consent API.
    WpConsent,
    /// Complianz.
    Complianz,
    /// CookieConsent version 3.
    Cookieconsent,
}

impl Basis {
    /// All of them, in their order.
    pub const ALL: [Self; 14] = [
        Self::Payload,
        Self::Tcf,
        Self::Gpp,
        Self::Usp,
        Self::Gcm,
        Self::Onetrust,
        Self::Trustarc,
        Self::Cookiebot,
        Self::Cookieyes,
        Self::Didomi,
        Self::Klaro,
        Self::WpConsent,
        Self::Complianz,
        Self::Cookieconsent,
    ];

    /// The word of `adapters` in the configuration and of the column `consent_basis`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Tcf => "tcf",
            Self::Gpp => "gpp",
            Self::Usp => "usp",
            Self::Gcm => "gcm",
            Self::Onetrust => "onetrust",
            Self::Trustarc => "trustarc",
            Self::Cookiebot => "cookiebot",
            Self::Cookieyes => "cookieyes",
            Self::Didomi => "didomi",
            Self::Klaro => "klaro",
            Self::WpConsent => "wp_consent",
            Self::Complianz => "complianz",
            Self::Cookieconsent => "cookieconsent",
        }
    }
}

/// Why an event is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// A signal that counts for the site cannot be read.
    Malformed,
    /// A signal says no.
    Denied,
    /// A browser-wide or legal objection.
    Vetoed,
    /// Nobody said yes.
    Absent,
}

impl DropReason {
    /// The word of the answer, the ledger and the metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "consent_malformed",
            Self::Denied => "consent_denied",
            Self::Vetoed => "consent_vetoed",
            Self::Absent => "consent_absent",
        }
    }
}

/// A yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The signal that said it; of several, the first in the order of [`Basis`].
    pub basis: Basis,
    /// Kept, but in no shared report and no export.
    pub no_share: bool,
}

/// Combines the readings of all signals of one event. Their order does not matter; denials override.
pub fn combine(readings: impl IntoIterator<Item = Heard>) -> Result<Grant, DropReason> {
    let (mut malformed, mut denied, mut vetoed, mut no_share) = (false, false, false, false);
    let mut granted: Option<Basis> = None;
    for (basis, reading) in readings {
        match reading {
            Reading::Malformed => malformed = true,
            Reading::Deny => denied = true,
            Reading::Veto => vetoed = true,
            Reading::NoShare => no_share = true,
            Reading::Nothing => {}
            // A signal without a basis (a header) can object and never grant.
            Reading::Grant => granted = granted.into_iter().chain(basis).min(),
        }
    }
    match granted {
        _ if malformed => Err(DropReason::Malformed),
        _ if denied => Err(DropReason::Denied),
        _ if vetoed => Err(DropReason::Vetoed),
        None => Err(DropReason::Absent),
        Some(basis) => Ok(Grant { basis, no_share }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reading() -> impl Strategy<Value = Heard> {
        use Reading::{Deny, Grant, Malformed, NoShare, Nothing, Veto};
        let basis = prop::option::of(prop::sample::select(Basis::ALL.to_vec()));
        (basis, prop::sample::select(vec![Grant, Deny, Veto, NoShare, Nothing, Malformed]))
    }

    proptest! {
        #[test]
        fn order_does_not_matter(mut readings in prop::collection::vec(reading(), 0..6), turn in 0usize..6) {
            let before = combine(readings.clone());
            let turn = turn.min(readings.len());
            readings.rotate_left(turn);
            prop_assert_eq!(before, combine(readings.clone()));
            readings.reverse();
            prop_assert_eq!(before, combine(readings));
        }

        #[test]
        fn an_objection_more_never_turns_a_drop_into_accept(readings in prop::collection::vec(reading(), 0..6)) {
            for objection in [Reading::Deny, Reading::Veto, Reading::NoShare, Reading::Malformed] {
                let mut more = readings.clone();
                more.push((None, objection));
                prop_assert!(combine(readings.clone()).is_ok() || combine(more).is_err());
            }
        }

        #[test]
        fn a_grant_less_never_turns_a_drop_into_accept(readings in prop::collection::vec(reading(), 1..6), at in 0usize..6) {
            let mut less = readings.clone();
            less.remove(at.min(readings.len() - 1));
            if readings[at.min(readings.len() - 1)].1 == Reading::Grant {
                prop_assert!(combine(readings).is_ok() || combine(less).is_err());
            }
        }
    }

    #[test]
    fn all_is_all_in_order() {
        for (index, basis) in Basis::ALL.into_iter().enumerate() {
            assert_eq!(basis as usize, index);
        }
    }

    #[test]
    fn the_reported_reason_is_the_first_that_applies() {
        let all = [Reading::Grant, Reading::Veto, Reading::Deny, Reading::Malformed];
        let reasons = [None, Some(DropReason::Vetoed), Some(DropReason::Denied), Some(DropReason::Malformed)];
        for (count, reason) in reasons.into_iter().enumerate() {
            let readings = all[..=count].iter().map(|&reading| (Some(Basis::Payload), reading));
            assert_eq!(combine(readings).err(), reason);
        }
        assert_eq!(combine([]).err(), Some(DropReason::Absent));
    }
}
