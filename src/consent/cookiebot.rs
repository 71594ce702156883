//! Cookiebot: the cookie `CookieConsent`, an object as JavaScript writes it, with `'` around its texts.

use super::Reading;
use super::text::Buffer;

/// `statistics:true` with `method:'explicit'` grants. `-1` stands where nobody is asked for consent, `0` for a refusal.
pub(super) fn read(value: &[u8], implied_is_grant: bool) -> Reading {
    let mut buffer = Buffer::new();
    let Some(text) = buffer.percent(value).map(str::trim) else { return Reading::Malformed };
    let implied = if implied_is_grant { Reading::Grant } else { Reading::Nothing };
    match text {
        "-1" => return implied,
        "0" => return Reading::Deny,
        _ => {}
    }
    let Some(fields) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        return Reading::Malformed;
    };
    let mut statistics: Option<Reading> = None;
    let (mut explicit, mut is_implied) = (false, false);
    for field in Fields(fields) {
        let Some((name, value)) = field else { return Reading::Malformed };
        match name {
            "statistics" => {
                let here = match value {
                    "true" => Reading::Grant,
                    "false" => Reading::Deny,
                    _ => Reading::Malformed,
                };
                statistics = Some(statistics.map_or(here, |before| before.strictest(here)));
            }
            "method" => match bare(value) {
                "explicit" => explicit = true,
                _ => is_implied = true,
            },
            // The stamp is the consent's id; -1 is that of none.
            "stamp" => is_implied |= bare(value) == "-1",
            _ => {}
        }
    }
    match statistics.unwrap_or(Reading::Nothing) {
        Reading::Grant if is_implied => implied,
        Reading::Grant if !explicit => Reading::Nothing,
        reading => reading,
    }
}

/// A text without its quotes: single ones in the cookie, double ones where a page sends the object as JSON.
fn bare(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('\'').or_else(|| inner('"')).unwrap_or_default()
}

/// `name:value,name:'a, text'`; `None` for what is no field.
struct Fields<'a>(&'a str);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(&'a str, &'a str)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let mut quote = None;
        let mut bytes = self.0.bytes().enumerate();
        let mut end = self.0.len();
        while let Some((at, byte)) = bytes.next() {
            match (quote, byte) {
                (Some(_), b'\\') => {
                    bytes.next();
                }
                (Some(open), _) if byte == open => quote = None,
                (None, b'\'' | b'"') => quote = Some(byte),
                (None, b',') => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let (field, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix(',').unwrap_or(rest);
        let pair = field.split_once(':').filter(|_| quote.is_none());
        Some(pair.map(|(name, value)| (name.trim().trim_matches(['\'', '"']), value.trim())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reading::{Deny, Grant, Malformed, Nothing};

    #[test]
    fn only_an_explicit_yes_grants() {
        for (value, reading) in [
            ("{stamp:%27x==%27%2Cstatistics:true%2Cmethod:%27explicit%27%2Cver:1}", Grant),
            ("{stamp:'x',necessary:true,statistics:true,method:'explicit'}", Grant),
            ("{statistics:true,region:'a,statistics:false',method:'explicit'}", Grant),
            ("{stamp:'x',statistics:false,method:'explicit'}", Deny),
            (r#"{stamp:"x",statistics:true,method:"explicit"}"#, Grant),
            (r#"{stamp:"-1",statistics:true,method:"explicit"}"#, Nothing),
            ("{stamp:'x',statistics:true,statistics:false,method:'explicit'}", Deny),
            ("{stamp:'x',statistics:true,method:'implied'}", Nothing),
            ("{stamp:'-1',statistics:true,method:'explicit'}", Nothing),
            ("{stamp:'x',statistics:true,method:'explicit',method:'implied'}", Nothing),
            ("{stamp:'x',statistics:true}", Nothing),
            ("{stamp:'x',marketing:true,method:'explicit'}", Nothing),
            ("-1", Nothing),
            ("0", Deny),
            ("1", Malformed),
            ("true", Malformed),
            ("", Malformed),
            ("{stamp:'x',statistics:'true',method:'explicit'}", Malformed),
            ("{stamp:'x,statistics:true,method:'explicit'}", Malformed),
            ("{stamp:'x',statistics:true,method:'explicit'", Malformed),
            ("{statistics:true,method:'explicit'}%", Malformed),
        ] {
            assert_eq!(read(value.as_bytes(), false), reading, "{value}");
        }
        assert_eq!(read(b"-1", true), Grant);
        assert_eq!(read(b"{statistics:true,method:'implied'}", true), Grant);
        assert_eq!(read(b"{statistics:false,method:'implied'}", true), Deny);
    }
}
