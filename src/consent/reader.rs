//! One signal as its manager writes it, whichever carrier brought it.

use super::text::{Buffer, VALUE_BYTES_MAX};
use super::{Basis, Reading, Rules, cookiebot, cookieyes, gpp, json, onetrust, tcf, trustarc, wordpress};

/// What a signal's meaning depends on beside its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) rules: &'a Rules,
    pub(super) now_ms: i64,
    /// Whether a cookie says that OneTrust's banner was answered.
    pub(super) banner_closed: bool,
}

impl Reader<'_> {
    /// Reads one value. A value that is there and empty, or longer than any real one, is malformed.
    pub(super) fn read(&self, basis: Basis, value: &[u8]) -> Reading {
        if value.is_empty() || value.len() > VALUE_BYTES_MAX {
            return Reading::Malformed;
        }
        let rules = self.rules;
        match basis {
            // These two are words of the payload, and in the query have names of their own.
            Basis::Payload | Basis::Gcm => Reading::Malformed,
            Basis::Tcf => decoded(value, |text| tcf::read(text, &rules.tcf, self.now_ms)),
            Basis::Gpp => decoded(value, |text| gpp::read(text, Some(&rules.tcf), self.now_ms)),
            Basis::Usp => decoded(value, gpp::us_privacy),
            Basis::Onetrust => onetrust::read(value, &rules.onetrust_group, self.banner_closed),
            Basis::Trustarc => trustarc::payload(value, rules.trustarc_bucket, rules.implied_is_grant),
            Basis::Cookiebot => cookiebot::read(value, rules.implied_is_grant),
            Basis::Cookieyes => cookieyes::read(value),
            Basis::Didomi => json::didomi(value, &rules.didomi_purpose),
            Basis::Klaro => json::klaro(value, &rules.klaro_service),
            Basis::WpConsent | Basis::Complianz => wordpress::read(value),
            Basis::Cookieconsent => json::cookieconsent(value, &rules.cookieconsent_category, self.now_ms),
        }
    }
}

fn decoded(value: &[u8], read: impl Fn(&str) -> Reading) -> Reading {
    Buffer::new().percent(value).map_or(Reading::Malformed, read)
}
