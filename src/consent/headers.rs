//! The two signals that a browser sets on every request. They object or say nothing; they never grant.

use super::Reading;
use super::rules::{Dnt, Gpc};

/// `Sec-GPC`: exactly `1`, in any of several headers, is an objection (w3c/gpc); any other value says nothing.
pub(super) fn gpc<'a>(mut values: impl Iterator<Item = &'a [u8]>, rule: Gpc) -> Reading {
    match (values.any(|value| value.trim_ascii() == b"1"), rule) {
        (false, _) => Reading::Nothing,
        (true, Gpc::Veto) => Reading::Veto,
        (true, Gpc::NoShare) => Reading::NoShare,
    }
}

/// `DNT` and `X-Do-Not-Track`: `1` is an objection, `0` says nothing.
pub(super) fn dnt<'a>(mut values: impl Iterator<Item = &'a [u8]>, rule: Dnt) -> Reading {
    match (values.any(|value| value.trim_ascii() == b"1"), rule) {
        (true, Dnt::Veto) => Reading::Veto,
        _ => Reading::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<'a>(list: &'a [&'a str]) -> impl Iterator<Item = &'a [u8]> {
        list.iter().map(|value| value.as_bytes())
    }

    #[test]
    fn gpc_is_exactly_one_in_any_of_several_headers() {
        assert_eq!(gpc(values(&["1"]), Gpc::Veto), Reading::Veto);
        assert_eq!(gpc(values(&["0", "1"]), Gpc::Veto), Reading::Veto);
        assert_eq!(gpc(values(&["1"]), Gpc::NoShare), Reading::NoShare);
        for other in ["0", "true", "11", "1, 0", ""] {
            assert_eq!(gpc(values(&[other]), Gpc::Veto), Reading::Nothing, "{other}");
        }
    }

    #[test]
    fn dnt_one_objects_and_zero_says_nothing() {
        assert_eq!(dnt(values(&["1"]), Dnt::Veto), Reading::Veto);
        assert_eq!(dnt(values(&["0"]), Dnt::Veto), Reading::Nothing);
        assert_eq!(dnt(values(&["1"]), Dnt::Ignore), Reading::Nothing);
    }
}
