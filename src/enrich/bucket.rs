//! Facts of a browser reduced to closed vocabularies: sizes, language, time zone, connection.
//!
//! An exact window size or a full language tag tells visitors apart; what is kept is as coarse as the question
//! "which layout, which translation, which hour of the day, how fast a line" needs.

use std::cell::RefCell;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::memo::{Memo, key};
use crate::lookups::Cached;

/// Longest time zone name in the IANA database is 32 bytes; nothing longer is looked up.
const TIMEZONE_NAME_BYTES_MAX: usize = 40;
/// Since 2024 every zone has changed its offset at a full quarter of an hour, so within one it is the same (before, some
/// did so at 00:01).
const QUARTERS_SINCE_MS: i64 = 1_704_067_200_000;
const QUARTER_MS: i64 = 15 * 60 * 1000;
/// A language tag with extensions; RFC 5646 section 4.4.1 asks for at least 35 bytes.
const LANGUAGE_TAG_BYTES_MAX: usize = 64;

/// The bucket of a screen's width in CSS pixels; empty where `width` or `height` is 0, that is, not known.
///
/// The edges are the breakpoints of common layouts.
pub fn screen(width: u32, height: u32) -> &'static str {
    match (width, height) {
        (0, _) | (_, 0) => "",
        (..576, _) => "<576",
        (576..768, _) => "576-767",
        (768..992, _) => "768-991",
        (992..1200, _) => "992-1199",
        (1200..1440, _) => "1200-1439",
        (1440..1920, _) => "1440-1919",
        (1920..2560, _) => "1920-2559",
        (2560.., _) => ">=2560",
    }
}

/// The bucket of a window's inner width; the same buckets as [`screen`].
pub fn viewport(width: u32, height: u32) -> &'static str {
    screen(width, height)
}

/// A language and perhaps a region, such as "en-GB" or "es-419"; at most 7 ASCII bytes, held in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Language {
    bytes: [u8; 7],
    length: u8,
}

impl Language {
    /// The tag in its usual spelling.
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever pushed, so the empty string never stands in.
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.length)) {
            *place = byte;
            self.length += 1;
        }
    }
}

/// Language and region of a BCP 47 tag in canonical case (RFC 5646 section 2.1.1); script, variants and
/// extensions are dropped.
///
/// `None` where the tag has no language of two or three letters, or says that it is undetermined.
pub fn language(tag: &str) -> Option<Language> {
    // As nearly all are.
    if let [a @ b'a'..=b'z', b @ b'a'..=b'z', b'-', c @ b'A'..=b'Z', d @ b'A'..=b'Z'] = *tag.as_bytes() {
        return Some(Language { bytes: [a, b, b'-', c, d, 0, 0], length: 5 });
    }
    if tag.len() > LANGUAGE_TAG_BYTES_MAX {
        return None;
    }
    // Some browsers on Android spell the tag as a locale, "en_GB".
    let mut subtags = tag.split(['-', '_']);
    let primary = subtags.next()?;
    if !matches!(primary.len(), 2 | 3) || !primary.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    if ["und", "mul", "zxx", "mis"].iter().any(|special| primary.eq_ignore_ascii_case(special)) {
        return None;
    }
    let mut language = Language::default();
    primary.bytes().for_each(|byte| language.push(byte.to_ascii_lowercase()));
    for subtag in subtags {
        let letters = subtag.bytes().all(|byte| byte.is_ascii_alphabetic());
        let digits = subtag.bytes().all(|byte| byte.is_ascii_digit());
        match subtag.len() {
            2 if letters => {}
            3 if digits => {}
            // An extended language or a script comes before the region, anything else after it.
            3 | 4 if letters => continue,
            _ => break,
        }
        language.push(b'-');
        subtag.bytes().for_each(|byte| language.push(byte.to_ascii_uppercase()));
        break;
    }
    Some(language)
}

/// Offset from UTC in minutes, positive eastwards, of the time zone `name` at `at_ms` (Unix milliseconds).
///
/// `None` for a name that the IANA database, which is compiled in, does not have.
pub fn timezone_offset_minutes(name: &str, at_ms: i64) -> Option<i16> {
    if name.is_empty() || name.len() > TIMEZONE_NAME_BYTES_MAX {
        return None;
    }
    if at_ms < QUARTERS_SINCE_MS {
        return offset_minutes(name, at_ms);
    }
    let quarter = at_ms / QUARTER_MS;
    thread_local!(static LATELY: RefCell<Memo<Option<i16>>> = const { RefCell::new(Memo::new(Cached::TimeZones)) });
    let mut bytes = [0; TIMEZONE_NAME_BYTES_MAX + 8];
    bytes[..8].copy_from_slice(&quarter.to_le_bytes());
    let end = 8 + name.len();
    bytes[8..end].copy_from_slice(name.as_bytes());
    LATELY.with_borrow_mut(|lately| lately.get_or(key(&bytes[..end]), || offset_minutes(name, at_ms)))
}

fn offset_minutes(name: &str, at_ms: i64) -> Option<i16> {
    let at = Timestamp::from_millisecond(at_ms).ok()?;
    let zone = TimeZone::get(name).ok()?;
    // jiff keeps a name of its own for "not known", which is no place.
    if zone.is_unknown() {
        return None;
    }
    i16::try_from(zone.to_offset(at).seconds() / 60).ok()
}

/// The connection as the Network Information API names it (effective or physical type); anything else is empty.
pub fn connection(name: &str) -> &'static str {
    const NAMES: [&str; 9] = ["slow-2g", "2g", "3g", "4g", "5g", "wifi", "ethernet", "cellular", "none"];
    NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn screen_buckets_at_their_edges() {
        let edges = [
            (1, "<576"),
            (575, "<576"),
            (576, "576-767"),
            (767, "576-767"),
            (768, "768-991"),
            (991, "768-991"),
            (992, "992-1199"),
            (1199, "992-1199"),
            (1200, "1200-1439"),
            (1439, "1200-1439"),
            (1440, "1440-1919"),
            (1919, "1440-1919"),
            (1920, "1920-2559"),
            (2559, "1920-2559"),
            (2560, ">=2560"),
            (u32::MAX, ">=2560"),
        ];
        for (width, bucket) in edges {
            assert_eq!(screen(width, 800), bucket, "{width}");
            assert_eq!(viewport(width, 800), bucket, "{width}");
        }
    }

    #[test]
    fn a_size_of_zero_is_unknown() {
        assert_eq!(screen(0, 0), "");
        assert_eq!(screen(0, 900), "");
        assert_eq!(viewport(1440, 0), "");
    }

    fn tag(text: &str) -> Option<String> {
        language(text).map(|language| language.as_str().to_owned())
    }

    #[test]
    fn language_and_region_in_canonical_case() {
        for (text, want) in [
            ("en", "en"),
            ("EN-gb", "en-GB"),
            ("en_GB", "en-GB"),
            ("zh-Hans-CN", "zh-CN"),
            ("zh-cmn-Hans-CN", "zh-CN"),
            ("sr-Latn", "sr"),
            ("es-419", "es-419"),
            ("fil-PH", "fil-PH"),
            ("de-CH-1996", "de-CH"),
            ("sl-rozaj-biske", "sl"),
            ("en-GB-u-ca-gregory", "en-GB"),
            ("en-u-nu-latn-xx", "en"),
            ("de-DE-x-goethe", "de-DE"),
        ] {
            assert_eq!(tag(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_language_tag_is_none() {
        for text in [
            "",
            "-",
            "x-secret",
            "i-klingon",
            "C",
            "english",
            "e",
            "é",
            "12-34",
            "und",
            "en GB",
            "en,de;q=0.5",
        ] {
            assert_eq!(tag(text), None, "{text}");
        }
        assert_eq!(tag(&"en-".repeat(100)), None);
    }

    #[test]
    fn offset_follows_the_season() {
        let winter = 1_763_848_800_000; // 2025-11-22
        let summer = 1_751_328_000_000; // 2025-07-01
        assert_eq!(timezone_offset_minutes("Europe/Madrid", winter), Some(60));
        assert_eq!(timezone_offset_minutes("Europe/Madrid", summer), Some(120));
        assert_eq!(timezone_offset_minutes("America/New_York", winter), Some(-300));
        assert_eq!(timezone_offset_minutes("Asia/Kathmandu", winter), Some(345));
        assert_eq!(timezone_offset_minutes("Asia/Calcutta", winter), Some(330));
        assert_eq!(timezone_offset_minutes("UTC", winter), Some(0));
        assert_eq!(timezone_offset_minutes("Etc/GMT+12", winter), Some(-720));
    }

    #[test]
    fn every_zone_changes_its_offset_at_full_quarters() {
        let since = Timestamp::from_millisecond(QUARTERS_SINCE_MS).unwrap();
        let mut changes = 0;
        for name in jiff::tz::db().available() {
            let zone = TimeZone::get(name.as_str()).unwrap();
            for change in zone.following(since).take(40) {
                // Some tables end with a change to what already is.
                let before = change.timestamp() - jiff::SignedDuration::from_secs(1);
                if zone.to_offset(before) == change.offset() {
                    continue;
                }
                assert_eq!(change.timestamp().as_millisecond() % QUARTER_MS, 0, "{name} {change:?}");
                changes += 1;
            }
        }
        assert!(changes > 1_000);
    }

    #[test]
    fn unknown_zones_and_impossible_times_are_none() {
        for name in ["", "Mars/Olympus", "Etc/Unknown", "../../etc/passwd", "EST5EDT,M3.2.0,M11.1.0", "\0"] {
            assert_eq!(timezone_offset_minutes(name, 0), None, "{name}");
        }
        assert_eq!(timezone_offset_minutes("UTC", i64::MAX), None);
        assert_eq!(timezone_offset_minutes(&"A".repeat(10_000), 0), None);
    }

    #[test]
    fn connections_outside_the_vocabulary_are_empty() {
        assert_eq!(connection("4g"), "4g");
        assert_eq!(connection("WiFi"), "wifi");
        assert_eq!(connection("slow-2g"), "slow-2g");
        for name in ["", "unknown", "6g", "4g ", "my phone"] {
            assert_eq!(connection(name), "", "{name}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,80}", at in any::<i64>()) {
            if let Some(language) = language(&text) {
                prop_assert_eq!(self::language(language.as_str()), Some(language));
            }
            let _ = timezone_offset_minutes(&text, at);
            prop_assert!(connection(&text).len() <= 8);
        }
    }
}
