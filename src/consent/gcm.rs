//! Google's Consent Mode, version 2: `gcm.analytics_storage` of the payload, `gcs` and `gcd` of the query.

use crate::beacon::Choice;

use super::Reading;

/// `gcm.analytics_storage`, or `analytics` of the payload.
pub(super) fn choice(choice: Option<Choice>) -> Reading {
    match choice {
        None => Reading::Nothing,
        Some(Choice::Granted) => Reading::Grant,
        Some(Choice::Denied) => Reading::Deny,
        Some(Choice::Malformed) => Reading::Malformed,
    }
}

/// `gcs=G1<ads><analytics>`: `1` granted, `0` denied, `-` not asked for.
pub(super) fn gcs(value: &[u8]) -> Reading {
    match value {
        [b'G', b'1', b'0' | b'1' | b'-', b'1'] => Reading::Grant,
        [b'G', b'1', b'0' | b'1' | b'-', b'0'] => Reading::Deny,
        [b'G', b'1', b'0' | b'1' | b'-', b'-'] => Reading::Nothing,
        _ => Reading::Malformed,
    }
}

/// The longest `gcd` that is one: real ones have 10 to 14 characters.
const GCD_BYTES_MAX: usize = 32;

/// `gcd=1<digit><letter>...<digit>`: one letter for each kind of storage, analytics the second. It also says who chose:
/// only an update is an act of the visitor, the page's default is none.
pub(super) fn gcd(value: &[u8]) -> Reading {
    let Some(pairs) = value.strip_prefix(b"1").filter(|rest| rest.len() < GCD_BYTES_MAX) else {
        return Reading::Malformed;
    };
    let (pairs, end) = pairs.as_chunks::<2>();
    let formed = pairs.iter().all(|[digit, letter]| digit.is_ascii_digit() && letter.is_ascii_alphabetic());
    let ended = matches!(end, [digit] if digit.is_ascii_digit());
    match pairs.get(1) {
        Some([_, letter]) if formed && ended => match letter {
            b'r' | b'n' | b'v' => Reading::Grant,
            b'p' | b'q' | b'm' | b'u' => Reading::Deny,
            b't' | b'l' => Reading::Nothing,
            _ => Reading::Malformed,
        },
        _ => Reading::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reading::{Deny, Grant, Malformed, Nothing};

    #[test]
    fn gcs_says_analytics_last() {
        for (value, reading) in [
            ("G111", Grant),
            ("G101", Grant),
            ("G1-1", Grant),
            ("G110", Deny),
            ("G100", Deny),
            ("G1--", Nothing),
            ("G10-", Nothing),
            ("G11", Malformed),
            ("g111", Malformed),
            ("G211", Malformed),
            ("G1111", Malformed),
            ("G1x1", Malformed),
            ("", Malformed),
        ] {
            assert_eq!(gcs(value.as_bytes()), reading, "{value}");
        }
    }

    #[test]
    fn gcd_says_analytics_second_and_who_chose() {
        for (value, reading) in [
            ("11r1r1r1r5", Grant),
            ("13l3l3R3l5l1", Nothing),
            ("11p1r1p1p5", Grant),
            ("11n1n1n1n5", Grant),
            ("11v1v1v1v5", Grant),
            ("13r3v3r2r5l1", Grant),
            ("11r1p1r1r5", Deny),
            ("11p1q1p1p5", Deny),
            ("11r1m1r1r5", Deny),
            ("11u1u1u1u5", Deny),
            ("13t3t3t3t5l1", Nothing),
            ("13l3l3l3l1", Nothing),
            ("11r1x1r1r5", Malformed),
            ("11r1R1r1r5", Malformed),
            ("11r1r1r1r", Malformed),
            ("11r", Malformed),
            ("1", Malformed),
            ("", Malformed),
            ("21r1r1r1r5", Malformed),
            ("11r1r1r1r5 ", Malformed),
        ] {
            assert_eq!(gcd(value.as_bytes()), reading, "{value}");
        }
        assert_eq!(gcd(format!("1{}5", "1r".repeat(2000)).as_bytes()), Malformed);
    }
}
