//! CookieYes: the cookie `cookieyes-consent`, `consentid:...,consent:yes,action:yes,...,analytics:yes,...`.

use super::Reading;
use super::text::Buffer;

/// `analytics:yes` with `action:yes` grants: without an action it is the banner's default.
pub(super) fn read(value: &[u8]) -> Reading {
    let mut buffer = Buffer::new();
    let Some(text) = buffer.percent(value) else { return Reading::Malformed };
    let word = |wanted: &str| {
        let values = text.split(',').filter_map(|field| field.split_once(':'));
        let readings =
            values.filter(|(name, _)| name.trim() == wanted).map(|(_, value)| match value.trim() {
                "yes" => Reading::Grant,
                "no" => Reading::Deny,
                "" => Reading::Nothing,
                _ => Reading::Malformed,
            });
        readings.reduce(Reading::strictest)
    };
    if word("consent") == Some(Reading::Deny) {
        return Reading::Deny;
    }
    match (word("analytics"), word("action")) {
        (Some(Reading::Malformed), _) | (_, Some(Reading::Malformed)) => Reading::Malformed,
        (None, None) => Reading::Malformed,
        (Some(Reading::Grant), Some(Reading::Grant)) => Reading::Grant,
        (Some(Reading::Deny), _) => Reading::Deny,
        _ => Reading::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reading::{Deny, Grant, Malformed, Nothing};

    #[test]
    fn a_grant_is_an_action_and_a_yes() {
        for (value, reading) in [
            ("consentid:x,consent:yes,action:yes,necessary:yes,analytics:yes,other:yes", Grant),
            ("consentid%3Ax%2Caction%3Ayes%2Canalytics%3Ayes", Grant),
            ("consentid:x,action:no,analytics:yes", Nothing),
            ("consentid:x,consent:no,action:yes,analytics:yes", Deny),
            ("consentid:x,action:,analytics:", Nothing),
            ("consentid:x,analytics:yes", Nothing),
            ("consentid:x,action:yes", Nothing),
            ("consentid:x,action:yes,analytics:no", Deny),
            ("consentid:x,action:,analytics:no", Deny),
            ("action:yes,analytics:yes,analytics:no", Deny),
            ("action:yes,analytics:maybe", Malformed),
            ("action:YES,analytics:yes", Malformed),
            ("%E0%A4%A", Malformed),
            ("yes", Malformed),
            ("", Malformed),
        ] {
            assert_eq!(read(value.as_bytes()), reading, "{value}");
        }
    }
}
