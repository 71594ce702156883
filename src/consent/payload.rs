//! `consent.analytics` of the payload.

use crate::beacon::{Choice, PayloadConsent};

use super::Reading;

pub(super) fn read(consent: PayloadConsent) -> Reading {
    match consent {
        PayloadConsent::Silent => Reading::Nothing,
        PayloadConsent::Unreadable => Reading::Malformed,
        PayloadConsent::Says(consent) => match consent.analytics {
            None => Reading::Nothing,
            Some(Choice::Granted) => Reading::Grant,
            Some(Choice::Denied) => Reading::Deny,
            Some(Choice::Malformed) => Reading::Malformed,
        },
    }
}
