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

impl HeaderTraits {
    /// Of a request's headers.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            accept_language: headers.contains_key("accept-language"),
            client_hints: headers.contains_key("sec-ch-ua"),
            fetch_metadata: ["sec-fetch-site", "sec-fetch-mode"]
                .iter()
                .any(|name| headers.contains_key(*name)),
        }
    }
}
