//! Managers that keep JSON: Didomi, Klaro and CookieConsent version 3. Only what is asked for is looked at, in place.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Reading;
use super::text::{Buffer, VALUE_BYTES_MAX};

/// Some writers keep base64's padding and some do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Didomi: `didomi_token`, base64 of `{"purposes":{"enabled":[...],"disabled":[...]},...}`.
pub(super) fn didomi(value: &[u8], purpose: &str) -> Reading {
    let (mut buffer, mut decoded) = (Buffer::new(), [0; VALUE_BYTES_MAX]);
    let said = (|| {
        let coded = buffer.percent(value)?;
        let length = BASE64.decode_slice(coded, &mut decoded).ok()?;
        let text = std::str::from_utf8(&decoded[..length]).ok()?;
        let (mut enabled, mut disabled) = (false, false);
        entries(text, |name, purposes| match name {
            "purposes" => entries(purposes, |name, list| match name {
                "enabled" => words(list, |word| enabled |= word == purpose && !purpose.is_empty()),
                "disabled" => words(list, |word| disabled |= word == purpose),
                _ => Some(()),
            }),
            _ => Some(()),
        })?;
        Some(match (enabled, disabled) {
            (_, true) => Reading::Deny,
            (true, false) => Reading::Grant,
            // A token without a choice on it.
            (false, false) => Reading::Nothing,
        })
    })();
    said.unwrap_or(Reading::Malformed)
}

/// Klaro: `klaro`, `{"service":true,...}`.
pub(super) fn klaro(value: &[u8], service: &str) -> Reading {
    let mut buffer = Buffer::new();
    let said = buffer.percent(value).and_then(|text| {
        let mut said: Option<Reading> = None;
        entries(text, |name, value| {
            if name == service && !service.is_empty() {
                let here = match value {
                    "true" => Reading::Grant,
                    "false" => Reading::Deny,
                    _ => Reading::Malformed,
                };
                said = Some(said.map_or(here, |before| before.strictest(here)));
            }
            Some(())
        })?;
        Some(said.unwrap_or(Reading::Nothing))
    });
    said.unwrap_or(Reading::Malformed)
}

/// CookieConsent version 3: `cc_cookie`, `{"categories":["necessary","analytics"],"expirationTime":1790000000000,...}`. It
/// is written when the visitor chooses, so a category that is missing was refused.
pub(super) fn cookieconsent(value: &[u8], category: &str, now_ms: i64) -> Reading {
    let mut buffer = Buffer::new();
    let said = buffer.percent(value).and_then(|text| {
        let mut chosen: Option<bool> = None;
        let mut expired = false;
        entries(text, |name, value| match name {
            "categories" => {
                let mut here = false;
                words(value, |word| here |= word == category)?;
                chosen = Some(chosen.unwrap_or(true) && here);
                Some(())
            }
            "expirationTime" => {
                let at: f64 = value.parse().ok()?;
                expired |= at <= now_ms as f64;
                Some(())
            }
            _ => Some(()),
        })?;
        Some(match chosen? {
            false => Reading::Deny,
            true if expired => Reading::Nothing,
            true => Reading::Grant,
        })
    });
    said.unwrap_or(Reading::Malformed)
}

/// Borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Walks an object's keys and raw values, and stops at the first that `take` cannot read.
fn entries<'a>(json: &'a str, take: impl FnMut(&str, &'a str) -> Option<()>) -> Option<()> {
    struct Walk<F>(F);
    impl<'de, F: FnMut(&str, &'de str) -> Option<()>> Visitor<'de> for Walk<F> {
        type Value = Option<()>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut sound = Some(());
            while let Some((Text(name), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                sound = sound.and_then(|()| (self.0)(&name, value.get()));
            }
            Ok(sound)
        }
    }
    let mut parser = serde_json::Deserializer::from_str(json);
    let sound = parser.deserialize_map(Walk(take)).ok()?;
    parser.end().ok()?;
    sound
}

/// Walks an array of texts.
fn words(json: &str, take: impl FnMut(&str)) -> Option<()> {
    struct Walk<F>(F);
    impl<'de, F: FnMut(&str)> Visitor<'de> for Walk<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of texts")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
            while let Some(Text(word)) = seq.next_element()? {
                (self.0)(&word);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_seq(Walk(take)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reading::{Deny, Grant, Malformed, Nothing};

    const HOSTILE: [&str; 11] = [
        "",
        "1",
        "null",
        "[]",
        "\"analytics\"",
        "{",
        "{}{}",
        "%7B%7D%",
        "%7B%22a%22:%00%7D",
        "{\"a\":}",
        "%FF",
    ];

    fn token(json: &str) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.encode(json).into_bytes()
    }

    #[test]
    fn didomi_enables_a_purpose() {
        for (json, reading) in [
            (r#"{"purposes":{"enabled":["other","mine"]},"version":2}"#, Grant),
            (r#"{"purposes":{"enabled":["m\u0069ne"]}}"#, Grant),
            (r#"{"purposes":{"enabled":["mine"],"disabled":["mine"]}}"#, Deny),
            (r#"{"purposes":{"disabled":["mine"]}}"#, Deny),
            (r#"{"purposes":{"enabled":["mine2"]}}"#, Nothing),
            (r#"{"purposes_li":{"enabled":["mine"]}}"#, Nothing),
            (r#"{"user_id":"x","version":null}"#, Nothing),
            (r#"{"purposes":null}"#, Malformed),
            (r#"{"purposes":{"enabled":"mine"}}"#, Malformed),
            (r#"{"purposes":{"enabled":[7,"mine"]}}"#, Malformed),
            (r#"["mine"]"#, Malformed),
            ("", Malformed),
        ] {
            assert_eq!(didomi(&token(json), "mine"), reading, "{json}");
        }
        let padded = token(r#"{"purposes":{"enabled":["mine"]}}"#);
        let coded = String::from_utf8(padded).unwrap().replace('=', "%3D");
        assert_eq!(didomi(coded.as_bytes(), "mine"), Grant);
        assert_eq!(didomi(coded.replace("%3D", "").as_bytes(), "mine"), Grant);
        for odd in HOSTILE.iter().chain(&["eyJ", "a-_b", "===="]) {
            assert_eq!(didomi(odd.as_bytes(), "mine"), Malformed, "{odd}");
        }
    }

    #[test]
    fn klaro_says_true_and_nothing_like_it() {
        for (json, reading) in [
            ("%7B%22matomo%22%3Atrue%7D", Grant),
            (r#"{"other":{"matomo":false},"matomo":true}"#, Grant),
            (r#"{"matomo":false}"#, Deny),
            (r#"{"matomo":true,"matomo":false}"#, Deny),
            (r#"{"matomo2":true}"#, Nothing),
            ("{}", Nothing),
            (r#"{"matomo":"true"}"#, Malformed),
            (r#"{"matomo":1}"#, Malformed),
            (r#"{"matomo":null}"#, Malformed),
        ] {
            assert_eq!(klaro(json.as_bytes(), "matomo"), reading, "{json}");
        }
        for odd in HOSTILE {
            assert_eq!(klaro(odd.as_bytes(), "a"), Malformed, "{odd}");
        }
    }

    #[test]
    fn cookieconsent_holds_the_category_until_it_expires() {
        for (json, reading) in [
            (r#"{"categories":["necessary","analytics"],"revision":0}"#, Grant),
            (r#"{"categories":["analytics"],"expirationTime":1001}"#, Grant),
            (r#"{"categories":["analytics"],"expirationTime":1000}"#, Nothing),
            (r#"{"expirationTime":0,"categories":["analytics"]}"#, Nothing),
            (r#"{"categories":["necessary"]}"#, Deny),
            (r#"{"categories":["necessary"],"expirationTime":0}"#, Deny),
            (r#"{"categories":["analytics"],"categories":[]}"#, Deny),
            (r#"{"categories":["analytics2"]}"#, Deny),
            (r#"{"categories":"analytics"}"#, Malformed),
            (r#"{"categories":["analytics"],"expirationTime":"never"}"#, Malformed),
            (r#"{"categories":["analytics"],"expirationTime":null}"#, Malformed),
            ("{}", Malformed),
        ] {
            assert_eq!(cookieconsent(json.as_bytes(), "analytics", 1000), reading, "{json}");
        }
        for odd in HOSTILE {
            assert_eq!(cookieconsent(odd.as_bytes(), "analytics", 0), Malformed, "{odd}");
        }
    }
}
