//! TrustArc: three cookies that say the same in three ways. Buckets are counted from 0 (required), 1 is analytics.

use super::Reading;
use super::text::{Buffer, pair, split};

/// One of its cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookie {
    /// `notice_gdpr_prefs`: the buckets that are on, `0,1,2:`; then how it came to be, `:implied,eu`.
    Prefs,
    /// `cmapi_cookie_privacy`: the same counted from 1, `permit 1,2,3`.
    Privacy,
    /// `notice_preferences`: the highest bucket that is on, `2:`.
    Level,
}

impl Cookie {
    /// `notice_behavior`, which says how the notice is shown, is none of them.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"notice_gdpr_prefs" => Self::Prefs,
            b"cmapi_cookie_privacy" => Self::Privacy,
            b"notice_preferences" => Self::Level,
            _ => return None,
        })
    }
}

/// The payload: one value, or several as `name=value; name=value`, of which the most restrictive counts.
pub(super) fn payload(value: &[u8], bucket: u16, implied_is_grant: bool) -> Reading {
    if !value.contains(&b'=') {
        let cookie =
            if value.trim_ascii_start().starts_with(b"permit") { Cookie::Privacy } else { Cookie::Prefs };
        return read(cookie, value, bucket, implied_is_grant);
    }
    let pairs = split(value, b';').filter_map(pair);
    let readings = pairs.filter_map(|(name, value)| {
        Some(read(Cookie::named(name.trim_ascii())?, value.trim_ascii(), bucket, implied_is_grant))
    });
    readings.reduce(Reading::strictest).unwrap_or(Reading::Malformed)
}

/// One cookie. What is off is a denial; what is on by implication is no grant unless the site says so.
pub(super) fn read(cookie: Cookie, value: &[u8], bucket: u16, implied_is_grant: bool) -> Reading {
    let mut buffer = Buffer::new();
    let Some(text) = buffer.percent(value) else { return Reading::Malformed };
    let (list, rest) = match cookie {
        Cookie::Prefs | Cookie::Level => text.split_once(':').unwrap_or((text, "")),
        Cookie::Privacy => match text.trim().strip_prefix("permit").map(parted) {
            Some(parts) => parts,
            None => return Reading::Malformed,
        },
    };
    let (mut on, mut numbers) = (false, 0);
    for token in list.split(is_separator).filter(|token| !token.is_empty()) {
        let Some(number) = number(token) else { return Reading::Malformed };
        numbers += 1;
        on |= match cookie {
            Cookie::Prefs => number == bucket,
            Cookie::Privacy => number == bucket + 1,
            Cookie::Level => number >= bucket,
        };
    }
    // The suffix says how the site behaves there: `implied` and `none` ask nobody.
    let implied = rest.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        let word = word.to_ascii_lowercase();
        word.starts_with("implied") || word == "none" || word == "na"
    });
    match on {
        // A level is one number.
        _ if numbers == 0 || (numbers > 1 && cookie == Cookie::Level) => Reading::Malformed,
        false => Reading::Deny,
        true if implied && !implied_is_grant => Reading::Nothing,
        true => Reading::Grant,
    }
}

/// Parts ` 1,2 required` into its numbers and its words.
fn parted(text: &str) -> (&str, &str) {
    if !text.starts_with(is_separator) {
        return ("", text);
    }
    text.split_at(text.find(|c: char| !is_separator(c) && !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// `,` and `|` stand between buckets, and a space may be written in three ways.
fn is_separator(c: char) -> bool {
    matches!(c, ',' | '|' | ' ' | '_' | '+')
}

fn number(token: &str) -> Option<u16> {
    token.bytes().all(|byte| byte.is_ascii_digit()).then(|| token.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reading::{Deny, Grant, Malformed, Nothing};

    #[test]
    fn one_cookie() {
        for (cookie, value, reading) in [
            (Cookie::Prefs, "0,1,2:", Grant),
            (Cookie::Prefs, "0|1|2:", Grant),
            (Cookie::Prefs, "0%2C1%2C2%3A", Grant),
            (Cookie::Prefs, "0,1,2::expressed,eu", Grant),
            (Cookie::Prefs, "0,1,2::implied,eu", Nothing),
            (Cookie::Prefs, "0,1,2::implied-eu", Nothing),
            (Cookie::Prefs, "0,1,2::none,us", Nothing),
            (Cookie::Prefs, "0,1,2%3A%3Aimplied%2Ceu", Nothing),
            (Cookie::Prefs, "0,2:", Deny),
            (Cookie::Prefs, "0:", Deny),
            (Cookie::Prefs, "0::implied,us", Deny),
            (Cookie::Prefs, "10:", Deny),
            (Cookie::Prefs, "0,11,21:", Deny),
            (Cookie::Prefs, ":", Malformed),
            (Cookie::Prefs, "", Malformed),
            (Cookie::Prefs, "0,one:", Malformed),
            (Cookie::Prefs, "0,-1:", Malformed),
            (Cookie::Prefs, "0,99999999999:", Malformed),
            (Cookie::Prefs, "0,1%2:", Malformed),
            (Cookie::Privacy, "permit 1,2,3", Grant),
            (Cookie::Privacy, "permit 1,2", Grant),
            (Cookie::Privacy, "permit%201%2C2", Grant),
            (Cookie::Privacy, "permit+1,2", Grant),
            (Cookie::Privacy, "permit_1|2|3", Grant),
            (Cookie::Privacy, "permit 1,2 functional", Grant),
            (Cookie::Privacy, "permit 1,2 implied", Nothing),
            (Cookie::Privacy, "permit 1 required", Deny),
            (Cookie::Privacy, "permit_1_required", Deny),
            (Cookie::Privacy, "permit 1 required,2", Deny),
            (Cookie::Privacy, "permit 1,3", Deny),
            (Cookie::Privacy, "permit 12", Deny),
            (Cookie::Privacy, "permit", Malformed),
            (Cookie::Privacy, "permit2", Malformed),
            (Cookie::Privacy, "permitted 2", Malformed),
            (Cookie::Privacy, "deny 1,2", Malformed),
            (Cookie::Level, "2:", Grant),
            (Cookie::Level, "1:", Grant),
            (Cookie::Level, "2%3A", Grant),
            (Cookie::Level, "2::implied,us", Nothing),
            (Cookie::Level, "0:", Deny),
            (Cookie::Level, "0,1,2:", Malformed),
            (Cookie::Level, "x:", Malformed),
        ] {
            assert_eq!(read(cookie, value.as_bytes(), 1, false), reading, "{cookie:?} {value}");
        }
        assert_eq!(read(Cookie::Prefs, b"0,1,2::implied,eu", 1, true), Grant);
        assert_eq!(read(Cookie::Prefs, b"0,1:", 2, false), Deny);
        assert_eq!(read(Cookie::Privacy, b"permit 1,2", 2, false), Deny);
        assert_eq!(read(Cookie::Level, b"1:", 2, false), Deny);
    }

    #[test]
    fn the_payload_is_a_value_or_several_with_their_names() {
        for (value, reading) in [
            ("0,1,2:", Grant),
            ("permit 1,2", Grant),
            ("notice_preferences=2:", Grant),
            ("notice_behavior=expressed,eu; notice_preferences=2:; notice_gdpr_prefs=0,1,2:", Grant),
            ("notice_preferences=2:; notice_gdpr_prefs=0,1,2::implied,eu", Nothing),
            ("notice_gdpr_prefs=0,1:; cmapi_cookie_privacy=permit 1 required", Deny),
            ("2:", Deny),
            ("notice_behavior=implied,eu", Malformed),
            ("notice_preferences=", Malformed),
        ] {
            assert_eq!(payload(value.as_bytes(), 1, false), reading, "{value}");
        }
    }
}
