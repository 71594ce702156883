//! Cuts an address into host, path and query, as the WHATWG URL parser would give them.
//!
//! [`plain`] does so without parsing where the parser would change nothing; [`parse`] and [`parts_of`] take the rest.

use std::net::Ipv4Addr;

use url::{Host, Url};

use super::{HOST_IP, UrlInvalid};

/// The parts of an address that count, as the WHATWG URL parser would give them.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
}

/// Parses any address the way browsers do.
pub(super) fn parse(url: &str) -> Result<Url, UrlInvalid> {
    let url = Url::parse(url).map_err(|_| UrlInvalid)?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(UrlInvalid) }
}

pub(super) fn parts_of(url: &Url) -> Result<Parts<'_>, UrlInvalid> {
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
pub(super) fn plain(url: &str) -> Option<Parts<'_>> {
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

pub(super) fn plain_after_host<'a>(host: &'a str, rest: &'a str) -> Option<Parts<'a>> {
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

pub(super) fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
