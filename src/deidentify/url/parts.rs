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
        rest.bytes().take_while(|&byte| SIGNS[usize::from(byte)] & OF_AUTHORITY != 0).count();
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
    if !is_plain_host(host.as_bytes()) {
        return None;
    }
    plain_after_host(host, rest)
}

/// Labels that are not empty and have no two dashes in a row. A last label that begins with a digit may be an IPv4
/// address, in one of its many spellings.
fn is_plain_host(host: &[u8]) -> bool {
    let (mut before, mut label_begins_with) = (b'.', b'.');
    for &byte in host {
        if byte == b'.' && before == b'.' || byte == b'-' && before == b'-' {
            return false;
        }
        if before == b'.' {
            label_begins_with = byte;
        }
        before = byte;
    }
    before != b'.' && !label_begins_with.is_ascii_digit()
}

/// Kinds of bytes, as bits.
const OF_AUTHORITY: u8 = 1;
const OF_PATH: u8 = 2;
/// A blank or a control character.
const BLANK: u8 = 4;

/// What each byte may be part of without a parser changing it.
static SIGNS: [u8; 256] = {
    let mut signs = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        signs[byte] = match byte as u8 {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b':' => OF_AUTHORITY | OF_PATH,
            b'/' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
            | b'@' | b'%' => OF_PATH,
            0..=b' ' | 0x7F => BLANK,
            _ => 0,
        };
        byte += 1;
    }
    signs
};

pub(super) fn plain_after_host<'a>(host: &'a str, rest: &'a str) -> Option<Parts<'a>> {
    let bytes = rest.as_bytes();
    let path_length = bytes.iter().take_while(|&&byte| SIGNS[usize::from(byte)] & OF_PATH != 0).count();
    let (path, rest) = rest.split_at(path_length);
    // Tabs and line ends vanish anywhere, blanks at the end.
    if rest.bytes().any(|byte| SIGNS[usize::from(byte)] & BLANK != 0) {
        return None;
    }
    let query = match rest.as_bytes().first() {
        None | Some(b'#') => "",
        Some(b'?') => &rest[1..memchr::memchr(b'#', rest.as_bytes()).unwrap_or(rest.len())],
        Some(_) => return None,
    };
    // Dot segments are resolved, also where a dot is written "%2e"; names with a dot in front are rare enough.
    let path_bytes = path.as_bytes();
    let dotted = |at: usize| match path_bytes[at] {
        b'.' => at > 0 && path_bytes[at - 1] == b'/',
        _ => matches!(path_bytes[at..], [b'%', b'2', b'e' | b'E', ..]),
    };
    if memchr::memchr2_iter(b'.', b'%', path_bytes).any(dotted) {
        return None;
    }
    Some(Parts { host, path, query })
}

pub(super) fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
