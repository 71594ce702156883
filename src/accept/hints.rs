//! What a browser says of itself beside its User-Agent: client hints (W3C User-Agent Client Hints), and which of the
//! headers are there that browsers send by themselves. Never printed, never stored.

use http::HeaderMap;

/// Bytes of one hint that anything looks at; real ones stay far below.
const HINT_BYTES_MAX: usize = 256;

/// The values of `Sec-CH-UA` and its kin as sent; empty where there is none.
#[derive(Clone, Copy, Default)]
pub struct ClientHints<'a> {
    /// `Sec-CH-UA-Full-Version-List`, else `Sec-CH-UA`: a list of brands with their versions.
    pub brands: &'a str,
    /// `Sec-CH-UA-Mobile`: a boolean.
    pub mobile: &'a str,
    /// `Sec-CH-UA-Platform`: a string.
    pub platform: &'a str,
    /// `Sec-CH-UA-Platform-Version`: a string.
    pub platform_version: &'a str,
    /// `Sec-CH-UA-Model`: a string.
    pub model: &'a str,
    /// `Sec-CH-UA-Form-Factors`: a list of strings.
    pub form_factors: &'a str,
}

impl std::fmt::Debug for ClientHints<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'a> ClientHints<'a> {
    /// From the value of each header, by its name in small letters.
    pub fn from_headers(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let value = |name: &str| {
            let value = header(name).unwrap_or_default();
            &value[..value.floor_char_boundary(HINT_BYTES_MAX)]
        };
        let full = value("sec-ch-ua-full-version-list");
        Self {
            brands: if full.is_empty() { value("sec-ch-ua") } else { full },
            mobile: value("sec-ch-ua-mobile"),
            platform: value("sec-ch-ua-platform"),
            platform_version: value("sec-ch-ua-platform-version"),
            model: value("sec-ch-ua-model"),
            form_factors: value("sec-ch-ua-form-factors"),
        }
    }

    /// All values, for a key that tells one set of hints from another.
    pub fn all(&self) -> [&'a str; 6] {
        [self.brands, self.mobile, self.platform, self.platform_version, self.model, self.form_factors]
    }

    /// Whether none was sent.
    pub fn is_empty(&self) -> bool {
        self.all().iter().all(|value| value.is_empty())
    }
}

/// Of the request's headers, those that browsers send by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderTraits {
    /// `Accept-Language` is there.
    pub accept_language: bool,
    /// `Sec-CH-UA` is there.
    pub client_hints: bool,
    /// `Sec-Fetch-Site` or one of its kin is there.
    pub fetch_metadata: bool,
}

/// Of the headers that are asked for by name, those that are there: most requests lack most of them, and one walk over
/// the headers is cheaper than a search for each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Present(u16);

/// Bits of the names that are asked for often; of the client hints one stands for all.
const LANGUAGE: u16 = 1;
const COOKIE: u16 = 1 << 1;
const DNT: u16 = 1 << 2;
const BRANDS: u16 = 1 << 3;
const FETCH: u16 = 1 << 4;
const GPC: u16 = 1 << 5;
const X_DNT: u16 = 1 << 6;
const OTHER_HINTS: u16 = 1 << 7;

/// The bit of a name; 0: none. Where the name is a literal, the answer is too.
#[inline(always)]
fn bit(name: &str) -> u16 {
    match name {
        "accept-language" => LANGUAGE,
        "cookie" => COOKIE,
        "dnt" => DNT,
        "sec-ch-ua" => BRANDS,
        "sec-fetch-mode" | "sec-fetch-site" => FETCH,
        "sec-gpc" => GPC,
        "x-do-not-track" => X_DNT,
        _ => 0,
    }
}

impl Present {
    /// Of a request's headers.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut present = 0;
        for name in headers.keys() {
            let name = name.as_str();
            // Few names begin like one of these.
            if matches!(name.as_bytes().first(), Some(b'a' | b'c' | b'd' | b's' | b'x')) {
                present |= bit(name);
                present |= if name.starts_with("sec-ch-ua-") { OTHER_HINTS } else { 0 };
            }
        }
        Self(present)
    }

    /// Whether a header of this name may be there; names that nobody looked for always may.
    #[inline(always)]
    pub(super) fn may_have(self, name: &str) -> bool {
        let bit = bit(name);
        bit == 0 || self.0 & bit != 0
    }

    /// Whether any client hint is there.
    pub(super) fn has_hints(self) -> bool {
        self.0 & (BRANDS | OTHER_HINTS) != 0
    }

    /// Which of them are there that browsers send by themselves.
    pub(super) fn traits(self) -> HeaderTraits {
        HeaderTraits {
            accept_language: self.0 & LANGUAGE != 0,
            client_hints: self.0 & BRANDS != 0,
            fetch_metadata: self.0 & FETCH != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_and_nothing_else() {
        let asked =
            ["accept-language", "cookie", "dnt", "sec-ch-ua", "sec-fetch-site", "sec-gpc", "x-do-not-track"];
        for name in asked {
            let mut headers = HeaderMap::new();
            assert!(!Present::of(&headers).may_have(name));
            headers.insert(name, http::HeaderValue::from_static("1"));
            let present = Present::of(&headers);
            assert_eq!(asked.into_iter().filter(|name| present.may_have(name)).collect::<Vec<_>>(), [name]);
        }
        assert!(Present::default().may_have("origin"), "nobody looked for it");
    }

    #[test]
    fn any_hint_is_a_hint() {
        for name in ["sec-ch-ua", "sec-ch-ua-model", "sec-ch-ua-platform"] {
            let mut headers = HeaderMap::new();
            headers.insert(name, http::HeaderValue::from_static("1"));
            assert!(Present::of(&headers).has_hints(), "{name}");
        }
        assert!(!Present::default().has_hints());
    }
}
