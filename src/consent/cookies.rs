//! First-party cookies of consent managers. They arrive where the collector is of the same site as the page.

use crate::accept::Submission;

use super::reader::Reader;
use super::text::{CARRIER_BYTES_MAX, pair, split};
use super::{Basis, Heard, Reading, Rules, onetrust, trustarc};

const SIGNALS: usize = Basis::ALL.len();

/// The signal that a cookie of this name belongs to.
fn basis_of(name: &[u8]) -> Option<Basis> {
    Some(match name {
        b"euconsent-v2" => Basis::Tcf,
        b"usprivacy" => Basis::Usp,
        b"OptanonConsent" => Basis::Onetrust,
        b"notice_gdpr_prefs" | b"cmapi_cookie_privacy" | b"notice_preferences" => Basis::Trustarc,
        b"CookieConsent" => Basis::Cookiebot,
        b"cookieyes-consent" => Basis::Cookieyes,
        b"didomi_token" => Basis::Didomi,
        b"klaro" => Basis::Klaro,
        b"wp_consent_statistics" => Basis::WpConsent,
        b"cmplz_statistics" => Basis::Complianz,
        b"cc_cookie" => Basis::Cookieconsent,
        _ => return None,
    })
}

/// Whether this signal comes in cookies.
pub(super) fn carry(basis: Basis) -> bool {
    !matches!(basis, Basis::Payload | Basis::Gpp | Basis::Gcm)
}

/// All cookies of a request, of however many headers (HTTP/2 may send each by itself).
fn jar(submission: &Submission) -> impl Iterator<Item = (&[u8], &[u8])> {
    let headers = submission.header_values("cookie");
    headers.flat_map(|header| split(header, b';')).filter_map(|cookie| {
        let (name, value) = pair(cookie)?;
        let value = value.trim_ascii();
        // RFC 6265, section 4.1.1: a value may stand in quotes.
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some((name.trim_ascii(), bare.unwrap_or(value)))
    })
}

fn too_many(submission: &Submission) -> bool {
    submission.header_values("cookie").map(<[u8]>::len).sum::<usize>() > CARRIER_BYTES_MAX
}

/// Whether OneTrust's banner was answered: grant for yes, nothing for no. A yes of OneTrust may depend on it.
pub(super) fn banner(submission: &Submission, rules: &Rules) -> Reading {
    if !rules.reads(Basis::Onetrust) || too_many(submission) {
        return Reading::Nothing;
    }
    let closed = jar(submission).filter(|&(name, _)| name == b"OptanonAlertBoxClosed");
    let readings = closed.map(|(_, value)| match onetrust::banner_closed(value) {
        Some(true) => Reading::Grant,
        Some(false) => Reading::Nothing,
        None => Reading::Malformed,
    });
    readings.reduce(Reading::strictest).unwrap_or(Reading::Nothing)
}

/// Reads each signal that the site consults; of a cookie that comes twice, or of TrustArc's three, the strictest.
pub(super) fn read(submission: &Submission, reader: &Reader<'_>) -> Option<[Heard; SIGNALS]> {
    if !reader.rules.reads_cookies || submission.header_values("cookie").next().is_none() {
        return None;
    }
    let mut heard = [(None, Reading::Nothing); SIGNALS];
    if too_many(submission) {
        return Some([(None, Reading::Malformed); SIGNALS]);
    }
    for (name, value) in jar(submission) {
        let Some(basis) = basis_of(name).filter(|&basis| reader.rules.reads(basis)) else { continue };
        let rules = reader.rules;
        let here = match trustarc::Cookie::named(name) {
            Some(cookie) => trustarc::read(cookie, value, rules.trustarc_bucket, rules.implied_is_grant),
            None => reader.read(basis, value),
        };
        let (before, reading) = heard[basis as usize];
        heard[basis as usize] = (Some(basis), if before.is_none() { here } else { reading.strictest(here) });
    }
    Some(heard)
}
