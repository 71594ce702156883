//! A page's address reduced to what analysts may see, and a referrer to its host.
//!
//! Scheme, user name, password, port and fragment are cut. The path is scrubbed segment by segment, session ids
//! and matrix parameters are cut from it. Of the query only the names on the site's allow-list survive; the seven
//! campaign parameters and the mere presence of an advertiser's click id are taken out before.
//!
//! Addresses are read as browsers read them (WHATWG URL). Almost all are plain enough for [`plain`], which only
//! cuts them up; all others go through the `url` crate, and what that refuses is [`UrlInvalid`].
//! (A long file: its parts are the few steps of one walk over an address.)

use std::borrow::Cow;
use std::net::Ipv4Addr;

use url::{Host, Url};

use super::detect::{clean, redact};

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;

/// Longest path that is kept, in bytes.
pub const PATH_BYTES_MAX: usize = 1024;
/// Most query parameters that are kept.
pub const QUERY_PAIRS_MAX: usize = 32;
/// Longest value of a query or campaign parameter that is kept, in bytes.
pub const QUERY_VALUE_BYTES_MAX: usize = 256;
/// Longest name of a query parameter that is kept, in bytes.
pub const QUERY_NAME_BYTES_MAX: usize = 64;
/// Longest host name, in bytes (RFC 1035 section 2.3.4, in text form).
pub const HOST_BYTES_MAX: usize = 253;

/// What stands for a host that is an IP address.
const HOST_IP: &str = "[ip]";

/// The text is no address of a web page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlInvalid;

impl std::fmt::Display for UrlInvalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not an absolute http or https address")
    }
}

impl std::error::Error for UrlInvalid {}

/// The names of query parameters that a site keeps.
#[derive(Clone, Debug, Default)]
pub struct QueryAllowList {
    names: Vec<Box<str>>,
    prefixes: Vec<Box<str>>,
}

impl QueryAllowList {
    /// From names as the site's `query_params` lists them; a `*` at the end stands for any rest, elsewhere for itself.
    pub fn new(patterns: &[String]) -> Self {
        let mut list = Self::default();
        for pattern in patterns {
            match pattern.strip_suffix('*') {
                Some(prefix) => list.prefixes.push(prefix.into()),
                None => list.names.push(pattern.as_str().into()),
            }
        }
        list
    }

    /// Whether `name`, in its decoded form and compared case-sensitively, is on the list.
    pub fn allows(&self, name: &str) -> bool {
        self.names.iter().any(|known| **known == *name)
            || self.prefixes.iter().any(|prefix| name.starts_with(&**prefix))
    }
}

/// What is kept of a page's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReducedUrl<'a> {
    /// Host in lower case, Unicode names in Punycode, `[ip]` for an address other than loopback.
    pub host: Cow<'a, str>,
    /// Path, still percent-encoded but for redacted segments; at least "/".
    pub path: Cow<'a, str>,
    /// Allowed parameters, decoded and redacted, in their order.
    pub query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Campaign parameters, whether or not the allow-list has them.
    pub utm: Utm<'a>,
    /// Whose click id the address carries.
    pub click_id: Option<ClickId>,
    /// How many identifiers were replaced.
    pub redactions: u16,
}

/// The campaign parameters `utm_source` ... `utm_type`, decoded, redacted and never empty; the first of each counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the parameter of the same name")]
pub struct Utm<'a> {
    pub source: Option<Cow<'a, str>>,
    pub medium: Option<Cow<'a, str>>,
    pub campaign: Option<Cow<'a, str>>,
    pub content: Option<Cow<'a, str>>,
    pub term: Option<Cow<'a, str>>,
    pub channel: Option<Cow<'a, str>>,
    pub type_: Option<Cow<'a, str>>,
}

impl<'a> Utm<'a> {
    fn field(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match name {
            "utm_source" => &mut self.source,
            "utm_medium" => &mut self.medium,
            "utm_campaign" => &mut self.campaign,
            "utm_content" => &mut self.content,
            "utm_term" => &mut self.term,
            "utm_channel" => &mut self.channel,
            "utm_type" => &mut self.type_,
            _ => return None,
        })
    }

    fn into_owned(self) -> Utm<'static> {
        Utm {
            source: self.source.map(owned),
            medium: self.medium.map(owned),
            campaign: self.campaign.map(owned),
            content: self.content.map(owned),
            term: self.term.map(owned),
            channel: self.channel.map(owned),
            type_: self.type_.map(owned),
        }
    }
}

/// The platform whose click id an address carried. The id itself names one click of one person and is never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClickId {
    /// Google Ads: `gclid`, `gbraid`, `wbraid`.
    GoogleAds,
    /// Google's display and video network: `dclid`.
    GoogleDisplay,
    /// Microsoft Advertising: `msclkid`.
    Microsoft,
    /// Facebook and Instagram: `fbclid`, which also stands in links that nobody paid for.
    Meta,
    /// TikTok: `ttclid`.
    Tiktok,
    /// X: `twclid`.
    X,
    /// LinkedIn: `li_fat_id`.
    Linkedin,
    /// Yandex Direct: `yclid`.
    Yandex,
    /// Snapchat: `ScCid`, `sccid`.
    Snapchat,
    /// Pinterest: `epik`.
    Pinterest,
    /// Reddit: `rdt_cid`.
    Reddit,
    /// Quora: `qclid`.
    Quora,
    /// Taboola: `tblci`.
    Taboola,
    /// Outbrain: `obclid`, `dicbo`.
    Outbrain,
}

impl ClickId {
    /// The platform whose parameter `name` is.
    pub fn from_parameter(name: &str) -> Option<Self> {
        Some(match name {
            "gclid" | "gbraid" | "wbraid" => Self::GoogleAds,
            "dclid" => Self::GoogleDisplay,
            "msclkid" => Self::Microsoft,
            "fbclid" => Self::Meta,
            "ttclid" => Self::Tiktok,
            "twclid" => Self::X,
            "li_fat_id" => Self::Linkedin,
            "yclid" => Self::Yandex,
            "ScCid" | "sccid" => Self::Snapchat,
            "epik" => Self::Pinterest,
            "rdt_cid" => Self::Reddit,
            "qclid" => Self::Quora,
            "tblci" => Self::Taboola,
            "obclid" | "dicbo" => Self::Outbrain,
            _ => return None,
        })
    }
}

/// The path of a page's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReducedPath<'a> {
    /// As in [`ReducedUrl`].
    pub path: Cow<'a, str>,
    /// How many identifiers were replaced.
    pub redactions: u16,
}

/// Where a visitor came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Referrer<'a> {
    /// From a page of the same site.
    Internal,
    /// From elsewhere.
    External {
        /// Host in lower case, without port and user; the identifier of an Android application.
        host: Cow<'a, str>,
    },
    /// From nowhere that is known.
    None,
}

/// Reduces the absolute address of a page.
///
/// # Errors
/// Where it is no valid http or https address with a host.
pub fn reduce<'a>(url: &'a str, allow: &QueryAllowList) -> Result<ReducedUrl<'a>, UrlInvalid> {
    if let Some(parts) = plain(url) {
        return reduce_parts(parts, allow);
    }
    let url = parse(url)?;
    Ok(reduce_parts(parts_of(&url)?, allow)?.into_owned())
}

impl ReducedUrl<'_> {
    /// The same without a borrow of the address that it was made from.
    pub fn into_owned(self) -> ReducedUrl<'static> {
        ReducedUrl {
            host: owned(self.host),
            path: owned(self.path),
            query: self.query.into_iter().map(|(name, value)| (owned(name), owned(value))).collect(),
            utm: self.utm.into_owned(),
            click_id: self.click_id,
            redactions: self.redactions,
        }
    }
}

/// Reduces an absolute address, or a path from the site's root, to its path.
///
/// # Errors
/// Where it is neither.
pub fn reduce_path(url_or_path: &str) -> Result<ReducedPath<'_>, UrlInvalid> {
    let is_path = url_or_path.starts_with('/') && !matches!(url_or_path.as_bytes(), [_, b'/' | b'\\', ..]);
    let parts = if is_path { plain_after_host("", url_or_path) } else { plain(url_or_path) };
    if let Some(parts) = parts {
        return Ok(scrub_path(parts.path));
    }
    // An address without a scheme takes it from the page; which host it names does not matter here.
    let url = if url_or_path.starts_with(['/', '\\']) {
        Url::parse("https://path.invalid").and_then(|base| base.join(url_or_path)).map_err(|_| UrlInvalid)?
    } else {
        parse(url_or_path)?
    };
    let ReducedPath { path, redactions } = scrub_path(url.path());
    Ok(ReducedPath { path: owned(path), redactions })
}

/// Reduces a referrer to its host, or to [`Referrer::Internal`] where that is `own_host`, which is a host in lower
/// case; a leading "www." makes no difference. What is no address at all counts as none.
pub fn referrer<'a>(url: &'a str, own_host: &str) -> Referrer<'a> {
    let host = if let Some(app) = strip_prefix_ignore_case(url, "android-app://") {
        let id = &app[..app.find(['/', '?', '#', '@', ':']).unwrap_or(app.len())];
        let named =
            id.contains('.') && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
        named.then_some(Cow::Borrowed(id)).map(lower_case).and_then(|id| scrub_host(id).ok())
    } else if let Some(parts) = plain(url) {
        scrub_host(lower_case(Cow::Borrowed(parts.host))).ok()
    } else {
        let host = parse(url).ok().and_then(|url| parts_of(&url).ok().map(|parts| parts.host.to_owned()));
        host.and_then(|host| scrub_host(Cow::Owned(host)).ok())
    };
    let without_www = |host: &str| host.strip_prefix("www.").unwrap_or(host).len();
    match host {
        None => Referrer::None,
        Some((host, _)) => {
            let own = &own_host[own_host.len() - without_www(own_host)..];
            let other = &host[host.len() - without_www(&host)..];
            if other.eq_ignore_ascii_case(own) { Referrer::Internal } else { Referrer::External { host } }
        }
    }
}

/// The parts of an address that count, as the WHATWG URL parser would give them.
#[derive(Debug)]
struct Parts<'a> {
    host: &'a str,
    path: &'a str,
    query: &'a str,
}

/// Parses any address the way browsers do.
fn parse(url: &str) -> Result<Url, UrlInvalid> {
    let url = Url::parse(url).map_err(|_| UrlInvalid)?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(UrlInvalid) }
}

fn parts_of(url: &Url) -> Result<Parts<'_>, UrlInvalid> {
    let host = match url.host().ok_or(UrlInvalid)? {
        Host::Domain(name) => name,
        Host::Ipv4(address) if !address.is_loopback() => HOST_IP,
        Host::Ipv6(address)
            if !address.is_loopback()
                && !address.to_ipv4_mapped().is_some_and(|address| Ipv4Addr::is_loopback(&address)) =>
        {
            HOST_IP
        }
        Host::Ipv4(_) | Host::Ipv6(_) => url.host_str().ok_or(UrlInvalid)?,
    };
    Ok(Parts { host, path: url.path(), query: url.query().unwrap_or_default() })
}

/// Cuts up an address that the WHATWG parser would leave as it is but for the case of the host; `None` for any other.
fn plain(url: &str) -> Option<Parts<'_>> {
    let rest =
        strip_prefix_ignore_case(url, "https://").or_else(|| strip_prefix_ignore_case(url, "http://"))?;
    let authority_length =
        rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(byte)).count();
    let (authority, rest) = rest.split_at(authority_length);
    if !(rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
        return None;
    }
    let host = match authority.split_once(':') {
        None => authority,
        Some((host, port)) => {
            let valid = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
            (port.is_empty() || valid && port.parse::<u16>().is_ok()).then_some(host)?
        }
    };
    // A last label that begins with a digit may be an IPv4 address, in one of its many spellings.
    let labels_plain = host.split('.').all(|label| !label.is_empty() && !label.contains("--"));
    let last_label = host.rsplit('.').next()?;
    if !labels_plain || last_label.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    plain_after_host(host, rest)
}

fn plain_after_host<'a>(host: &'a str, rest: &'a str) -> Option<Parts<'a>> {
    let bytes = rest.as_bytes();
    // Tabs and line ends vanish anywhere, blanks at the end.
    if bytes.iter().any(|&byte| byte <= b' ' || byte == 0x7F) {
        return None;
    }
    let rest = &rest[..memchr::memchr(b'#', bytes).unwrap_or(rest.len())];
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut before = 0;
    for &byte in path.as_bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"/-_~!$&'()*+,;=:@%.".contains(&byte);
        // Dot segments are resolved, also where a dot is written "%2e"; names with a dot in front are rare enough.
        if !plain || before == b'/' && byte == b'.' {
            return None;
        }
        before = byte;
    }
    if path.contains("%2e") || path.contains("%2E") {
        return None;
    }
    Some(Parts { host, path, query })
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn reduce_parts<'a>(parts: Parts<'a>, allow: &QueryAllowList) -> Result<ReducedUrl<'a>, UrlInvalid> {
    let (host, host_redactions) = scrub_host(lower_case(Cow::Borrowed(parts.host)))?;
    let ReducedPath { path, redactions } = scrub_path(parts.path);
    let redactions = redactions.saturating_add(host_redactions);
    let mut reduced = ReducedUrl { host, path, redactions, ..ReducedUrl::default() };
    reduced.take_query(parts.query, allow);
    Ok(reduced)
}

fn lower_case(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        text
    }
}

/// `host` without a dot at the end, and with numbers taken out of the labels before the last two: mailing services
/// write the recipient's number there.
fn scrub_host(host: Cow<'_, str>) -> Result<(Cow<'_, str>, u16), UrlInvalid> {
    let host = match host {
        Cow::Borrowed(host) => Cow::Borrowed(host.strip_suffix('.').unwrap_or(host)),
        Cow::Owned(host) => Cow::Owned(host.strip_suffix('.').map(str::to_owned).unwrap_or(host)),
    };
    if host.is_empty() || host.len() > HOST_BYTES_MAX {
        return Err(UrlInvalid);
    }
    if host == HOST_IP {
        return Ok((host, 1));
    }
    // What is left as an address here is loopback.
    if host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok() {
        return Ok((host, 0));
    }
    let mut dots = memchr::memrchr_iter(b'.', host.as_bytes());
    let Some(split) = dots.next().and_then(|_| dots.next()) else {
        return Ok((host, 0));
    };
    let scrubbed = redact(&host[..split]);
    match scrubbed.count {
        0 => Ok((host, 0)),
        count => Ok((Cow::Owned(format!("{}{}", scrubbed.text, &host[split..])), count)),
    }
}

/// The path as it is kept: see [`ReducedUrl::path`].
fn scrub_path(path: &str) -> ReducedPath<'_> {
    if path.is_empty() {
        return ReducedPath { path: Cow::Borrowed("/"), redactions: 0 };
    }
    // Segment by segment, as what a slash joins is no number; but where nothing is found in the whole, none is needed.
    let untouched = memchr::memchr2(b';', b'%', path.as_bytes()).is_none() && redact(path).count == 0;
    if untouched {
        return ReducedPath { path: cut_path(Cow::Borrowed(path)), redactions: 0 };
    }
    let mut out = String::with_capacity(path.len());
    let mut redactions = 0_u16;
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            out.push('/');
        }
        let segment = without_parameters(segment);
        let decoded = decode(segment, false);
        let cleaned = clean(&decoded, usize::MAX);
        let scrubbed = redact(&cleaned);
        if scrubbed.count == 0 {
            out.push_str(segment);
            continue;
        }
        redactions = redactions.saturating_add(scrubbed.count);
        // A slash or a percent sign that was encoded must not become one of the path's own.
        for c in scrubbed.text.chars() {
            match c {
                '/' => out.push_str("%2F"),
                '%' => out.push_str("%25"),
                ' ' => out.push_str("%20"),
                '?' => out.push_str("%3F"),
                '#' => out.push_str("%23"),
                c => out.push(c),
            }
        }
    }
    let path = if out == path { Cow::Borrowed(path) } else { Cow::Owned(out) };
    ReducedPath { path: cut_path(path), redactions }
}

/// A path segment without its matrix parameters (RFC 3986 section 3.3), among them Java's `;jsessionid=`.
fn without_parameters(segment: &str) -> &str {
    let end = memchr::memchr2_iter(b';', b'%', segment.as_bytes()).find(|&at| {
        let rest = &segment.as_bytes()[at..];
        rest[0] == b';' || rest.len() >= 3 && rest[..3].eq_ignore_ascii_case(b"%3b")
    });
    &segment[..end.unwrap_or(segment.len())]
}

/// At most [`PATH_BYTES_MAX`] bytes, with no half of an encoded byte at the end.
fn cut_path(path: Cow<'_, str>) -> Cow<'_, str> {
    if path.len() <= PATH_BYTES_MAX {
        return path;
    }
    let mut end = path.floor_char_boundary(PATH_BYTES_MAX);
    if let Some(percent) = path[..end].rfind('%')
        && percent + 3 > end
    {
        end = percent;
    }
    cut_at(path, end)
}

fn cut_at(text: Cow<'_, str>, end: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

/// Percent-decodes; invalid UTF-8 becomes U+FFFD; with `form`, a plus is a space (WHATWG URL section 5.1).
fn decode(text: &str, form: bool) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let encoded = if form { memchr::memchr2(b'%', b'+', bytes) } else { memchr::memchr(b'%', bytes) };
    let Some(first) = encoded else {
        return Cow::Borrowed(text);
    };
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..first]);
    let mut rest = &bytes[first..];
    while let [byte, tail @ ..] = rest {
        let hex = |at: usize| tail.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        rest = tail;
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            (b'+', ..) if form => out.push(b' '),
            _ => out.push(*byte),
        }
    }
    match String::from_utf8(out) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// A decoded text without control characters and identifiers, cut to `bytes_max`; and the number of identifiers.
fn scrub(text: Cow<'_, str>, bytes_max: usize) -> (Cow<'_, str>, u16) {
    let text = match text {
        Cow::Borrowed(text) => clean(text, usize::MAX),
        Cow::Owned(text) => match clean(&text, usize::MAX) {
            Cow::Owned(cleaned) => Cow::Owned(cleaned),
            Cow::Borrowed(_) => Cow::Owned(text),
        },
    };
    let (text, count) = match text {
        Cow::Borrowed(text) => {
            let scrubbed = redact(text);
            (scrubbed.text, scrubbed.count)
        }
        Cow::Owned(text) => {
            let scrubbed = redact(&text);
            match scrubbed.count {
                0 => (Cow::Owned(text), 0),
                count => (owned(scrubbed.text), count),
            }
        }
    };
    let end = text.floor_char_boundary(bytes_max);
    (cut_at(text, end), count)
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl<'a> ReducedUrl<'a> {
    /// Sorts the parameters of `query` into the campaign's, a click id, those that are kept and those that vanish.
    fn take_query(&mut self, query: &'a str, allow: &QueryAllowList) {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true);
            if let Some(click_id) = ClickId::from_parameter(&name) {
                if !value.is_empty() {
                    self.click_id.get_or_insert(click_id);
                }
                continue;
            }
            let kept = self.query.len() < QUERY_PAIRS_MAX && allow.allows(&name);
            let campaign = self.utm.field(&name).filter(|field| field.is_none());
            if !kept && campaign.is_none() {
                continue;
            }
            let (value, count) = scrub(decode(value, true), QUERY_VALUE_BYTES_MAX);
            self.redactions = self.redactions.saturating_add(count);
            if let Some(field) = campaign
                && !value.is_empty()
            {
                *field = Some(value.clone());
            }
            if kept {
                let (name, count) = scrub(name, QUERY_NAME_BYTES_MAX);
                self.redactions = self.redactions.saturating_add(count);
                self.query.push((name, value));
            }
        }
    }
}
