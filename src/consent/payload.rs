//! The payload: `consent` of an event, or of the body around it.

use crate::beacon::{PayloadConsent, Said};

use super::reader::Reader;
use super::{Basis, Heard, Reading, gcm};

const SIGNALS: usize = Basis::ALL.len();

/// What the body says of signals that the event, which has a consent of its own, does not speak of: a no to one of them
/// stays a no. A yes does not reach the event any more.
pub(super) fn objections(
    beside: &PayloadConsent<'_>,
    own: &[Heard; SIGNALS],
    reader: &Reader<'_>,
) -> Option<[Heard; SIGNALS]> {
    if !matches!(beside, PayloadConsent::Says(_)) {
        return None;
    }
    let mut heard = read(beside, reader);
    for (slot, &(_, said)) in heard.iter_mut().zip(own) {
        if said != Reading::Nothing || slot.1 == Reading::Grant {
            *slot = (None, Reading::Nothing);
        }
    }
    Some(heard)
}

/// Reads each signal that the site consults.
pub(super) fn read(consent: &PayloadConsent<'_>, reader: &Reader<'_>) -> [Heard; SIGNALS] {
    let mut heard = [(None, Reading::Nothing); SIGNALS];
    let consent = match consent {
        PayloadConsent::Silent => return heard,
        // Whatever it was meant to say, it was meant for a signal that counts.
        PayloadConsent::Unreadable => return [(None, Reading::Malformed); SIGNALS],
        PayloadConsent::Says(consent) => consent,
    };
    let mut hear = |basis: Basis, read: &dyn Fn() -> Reading| {
        if reader.rules.reads(basis) {
            heard[basis as usize] = (Some(basis), read());
        }
    };
    hear(Basis::Payload, &|| gcm::choice(consent.analytics));
    let Some(signals) = &consent.signals else { return heard };
    hear(Basis::Gcm, &|| gcm::choice(signals.gcm));
    for (basis, said) in [
        (Basis::Tcf, &signals.tcf),
        (Basis::Gpp, &signals.gpp),
        (Basis::Usp, &signals.usp),
        (Basis::Onetrust, &signals.onetrust),
        (Basis::Trustarc, &signals.trustarc),
        (Basis::Cookiebot, &signals.cookiebot),
        (Basis::Cookieyes, &signals.cookieyes),
        (Basis::Didomi, &signals.didomi),
        (Basis::Klaro, &signals.klaro),
        (Basis::WpConsent, &signals.wp_consent),
        (Basis::Complianz, &signals.complianz),
        (Basis::Cookieconsent, &signals.cookieconsent),
    ] {
        hear(basis, &|| match said {
            Said::Nothing => Reading::Nothing,
            Said::Text(text) => reader.read(basis, text.as_bytes()),
            Said::Malformed => Reading::Malformed,
        });
    }
    heard
}
