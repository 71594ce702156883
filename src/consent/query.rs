//! The query of the request: `gdpr_consent`, `gpp`, `us_privacy`, `gcs`, `gcd`. What `gdpr` says is no choice, so it is
//! not read.

use super::reader::Reader;
use super::text::{Buffer, CARRIER_BYTES_MAX, pair, split};
use super::{Basis, Heard, Reading, gcm};

/// The names, and the signal that each belongs to.
const NAMES: [(&str, Basis); 5] = [
    ("gdpr_consent", Basis::Tcf),
    ("gpp", Basis::Gpp),
    ("us_privacy", Basis::Usp),
    ("gcs", Basis::Gcm),
    ("gcd", Basis::Gcm),
];

/// Reads each signal that the site consults; of one that comes twice, the strictest. So of `gcs` and `gcd`: a `gcs` that
/// says granted beside a `gcd` that says "by default" is no act of the visitor.
pub(super) fn read(query: &str, reader: &Reader<'_>) -> Option<[Heard; NAMES.len()]> {
    if query.is_empty() || !NAMES.iter().any(|&(_, basis)| reader.rules.reads(basis)) {
        return None;
    }
    let mut heard = [(None, Reading::Nothing); NAMES.len()];
    if query.len() > CARRIER_BYTES_MAX {
        return Some([(None, Reading::Malformed); NAMES.len()]);
    }
    let mut buffer = Buffer::new();
    for field in split(query.as_bytes(), b'&') {
        let (name, value) = pair(field).unwrap_or((field, b""));
        // No name of ours has a character that need be encoded, but encoded it is the same name.
        let Some(name) = buffer.form(name) else { continue };
        let Some(&(name, basis)) = NAMES.iter().find(|&&(known, _)| known == name) else { continue };
        if !reader.rules.reads(basis) {
            continue;
        }
        let here = buffer.form(value).map_or(Reading::Malformed, |text| match name {
            "gcs" => gcm::gcs(text.as_bytes()),
            "gcd" => gcm::gcd(text.as_bytes()),
            _ => reader.read(basis, text.as_bytes()),
        });
        let slot = NAMES.iter().position(|&(_, first)| first == basis).unwrap_or_default();
        let (before, reading) = heard[slot];
        heard[slot] = (Some(basis), if before.is_none() { here } else { reading.strictest(here) });
    }
    Some(heard)
}
