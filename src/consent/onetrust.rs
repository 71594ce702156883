//! OneTrust: the cookie `OptanonConsent`, and whether its banner was answered.

use super::Reading;
use super::text::{Buffer, pair, split};

/// Whether `OptanonAlertBoxClosed` says that the visitor has answered: it holds the time of the answer.
pub(super) fn banner_closed(value: &[u8]) -> Option<bool> {
    let mut buffer = Buffer::new();
    let text = buffer.percent(value).filter(|text| !text.is_empty())?;
    // `false`, `null`, `0` and the like are what scripts leave that take an answer back.
    let year = text.as_bytes().first_chunk::<5>();
    Some(year.is_some_and(|[digits @ .., dash]| digits.iter().all(u8::is_ascii_digit) && *dash == b'-'))
}

/// `OptanonConsent`: a URL-encoded form, `groups=C0001%3A1%2CC0002%3A0&interactionCount=1&...`. Or what the page has as
/// `OnetrustActiveGroups`: `,C0001,C0002,`. A no needs no act of the visitor, a yes does.
pub(super) fn read(value: &[u8], group: &str, banner_closed: bool) -> Reading {
    let mut buffer = Buffer::new();
    let Some(text) = buffer.percent(value) else { return Reading::Malformed };
    // The form is split before it is decoded: a landing page's address may itself hold `&groups=`.
    if value.contains(&b'=') {
        form(value, group, banner_closed)
    } else if text.contains('=') {
        form(text.as_bytes(), group, banner_closed)
    } else {
        active_groups(text, group, banner_closed)
    }
}

fn form(value: &[u8], group: &str, banner_closed: bool) -> Reading {
    let mut buffer = Buffer::new();
    let mut said: Option<Reading> = None;
    let mut count_min: Option<u32> = None;
    let versioned = split(value, b'&').filter_map(pair).any(|(name, _)| name == b"version");
    for (name, value) in split(value, b'&').filter_map(pair) {
        if !matches!(name, b"groups" | b"interactionCount" | b"AwaitingReconsent") {
            continue;
        }
        let Some(text) = buffer.form(value) else { return Reading::Malformed };
        let here = match name {
            b"groups" => state_of(text, group),
            b"interactionCount" => match text.parse::<u32>() {
                Ok(count) => {
                    count_min = Some(count_min.map_or(count, |before| before.min(count)));
                    None
                }
                Err(_) => Some(Reading::Malformed),
            },
            _ => match text {
                "true" => Some(Reading::Deny),
                "false" => None,
                _ => Some(Reading::Malformed),
            },
        };
        said = match (said, here) {
            (Some(before), Some(here)) => Some(before.strictest(here)),
            (before, here) => before.or(here),
        };
    }
    let answered = match count_min {
        _ if banner_closed => true,
        Some(count) => count >= 1,
        // Versions that number their groups did not count yet; a cookie that names its version is of a later one.
        None => group.bytes().all(|byte| byte.is_ascii_digit()) && !versioned,
    };
    match said {
        Some(Reading::Grant) if !answered => Reading::Nothing,
        said => said.unwrap_or(Reading::Nothing),
    }
}

/// `C0001:1,C0002:0`. The analytics group is one whole token.
fn state_of(groups: &str, group: &str) -> Option<Reading> {
    let states = groups.split(',').filter_map(|token| {
        let (id, state) = token.trim().rsplit_once(':')?;
        (id == group).then_some(match state {
            "1" => Reading::Grant,
            "0" => Reading::Deny,
            _ => Reading::Malformed,
        })
    });
    states.reduce(Reading::strictest)
}

/// `,C0001,C0002,`: the groups that are on, by default or by choice, so it is an answer only where the banner was closed.
fn active_groups(text: &str, group: &str, banner_closed: bool) -> Reading {
    if !(text.len() > 1 && text.starts_with(',') && text.ends_with(',')) {
        return Reading::Malformed;
    }
    match text.split(',').any(|token| token.trim() == group) {
        true if banner_closed => Reading::Grant,
        true => Reading::Nothing,
        false => Reading::Deny,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reading::{Deny, Grant, Malformed, Nothing};

    fn plain(value: &str) -> Reading {
        read(value.as_bytes(), "C0002", false)
    }

    #[test]
    fn a_grant_is_the_group_and_an_answer() {
        for (value, reading) in [
            ("interactionCount=1&groups=C0001%3A1%2CC0002%3A1", Grant),
            ("groups=C0001:1,C0002:1&interactionCount=12", Grant),
            ("interactionCount%3D1%26groups%3DC0002%3A1", Grant),
            ("interactionCount=0&groups=C0002%3A1", Nothing),
            ("groups=C0002%3A1", Nothing),
            ("interactionCount=1&interactionCount=0&groups=C0002%3A1", Nothing),
            ("interactionCount=1&groups=C0002%3A0", Deny),
            ("interactionCount=0&groups=C0002%3A0", Deny),
            ("interactionCount=1&groups=C0002%3A1&groups=C0002%3A0", Deny),
            ("interactionCount=1&groups=C0002%3A1%2CC0002%3A0", Deny),
            ("interactionCount=1&groups=C0002%3A1&AwaitingReconsent=true", Deny),
            ("interactionCount=1&groups=C0002%3A1&AwaitingReconsent=false", Grant),
            ("interactionCount=1&groups=C0001:1,C00021:1", Nothing),
            ("interactionCount=1&groups=", Nothing),
            ("interactionCount=1", Nothing),
            ("interactionCount=1&landingPath=https%3A%2F%2Fa.example%2F%3Fx%26groups%3DC0002%3A1", Nothing),
        ] {
            assert_eq!(plain(value), reading, "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_malformed() {
        for value in [
            "interactionCount=1&groups=C0002%3A2",
            "interactionCount=1&groups=C0002%3A",
            "interactionCount=x&groups=C0002%3A1",
            "interactionCount=&groups=C0002%3A1",
            "interactionCount=99999999999&groups=C0002%3A1",
            "interactionCount=1&groups=C0002%3A1&AwaitingReconsent=",
            "interactionCount=1&groups=C0002%3A1&hosts=%",
            "interactionCount=1&groups=C0002%3A1%00",
            "true",
            ",",
            "",
        ] {
            assert_eq!(plain(value), Malformed, "{value}");
        }
    }

    #[test]
    fn a_closed_banner_is_an_answer() {
        assert_eq!(read(b"groups=C0002%3A1", "C0002", true), Grant);
        assert_eq!(read(b"interactionCount=0&groups=C0002%3A1", "C0002", true), Grant);
        assert_eq!(read(b"groups=C0002%3A0", "C0002", true), Deny);
        assert_eq!(banner_closed(b"2023-02-01T11:35:32.000Z"), Some(true));
        assert_eq!(banner_closed(b"2023-02-01T11%3A35%3A32.000Z"), Some(true));
        assert_eq!(banner_closed(b"false"), Some(false));
        assert_eq!(banner_closed(b"0"), Some(false));
        assert_eq!(banner_closed(b""), None);
        assert_eq!(banner_closed(b"%"), None);
    }

    #[test]
    fn numbered_groups_are_from_before_answers_were_counted() {
        assert_eq!(read(b"groups=1%3A1%2C2%3A1%2C3%3A0", "2", false), Grant);
        assert_eq!(read(b"groups=1%3A1%2C2%3A0", "2", false), Deny);
        assert_eq!(read(b"version=6.33.0&hosts=&groups=1%3A1%2C2%3A1", "2", false), Nothing);
        assert_eq!(read(b"interactionCount=0&groups=1%3A1%2C2%3A1", "2", false), Nothing);
        assert_eq!(plain("groups=1%3A1%2C2%3A1%2C3%3A0"), Nothing);
    }

    #[test]
    fn active_groups_are_those_that_are_on() {
        assert_eq!(plain(",C0001,"), Deny);
        assert_eq!(plain(",C0001,C00021,"), Deny);
        assert_eq!(plain(",C0001,C0002,"), Nothing);
        assert_eq!(read(b",C0001,C0002,", "C0002", true), Grant);
    }
}
