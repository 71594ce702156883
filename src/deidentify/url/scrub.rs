//! Takes identifiers out of the parts of an address: of the host, of the path segment by segment, and of the decoded
//! names and values of the query; and cuts what is left to length.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::super::detect::{clean, redact, redact_line};
use super::{HOST_BYTES_MAX, HOST_IP, PATH_BYTES_MAX, ReducedPath, UrlInvalid};

pub(super) fn lower_case(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        text
    }
}

/// `host` without a dot at the end, and with numbers taken out of the labels before the last two: mailing services
/// write the recipient's number there.
pub(super) fn scrub_host(host: Cow<'_, str>) -> Result<(Cow<'_, str>, u16), UrlInvalid> {
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
pub(super) fn scrub_path(path: &str) -> ReducedPath<'_> {
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
pub(super) fn decode(text: &str, form: bool) -> Cow<'_, str> {
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
pub(super) fn scrub(text: Cow<'_, str>, bytes_max: usize) -> (Cow<'_, str>, u16) {
    let (text, count) = match text {
        Cow::Borrowed(text) => {
            let scrubbed = redact_line(text);
            (scrubbed.text, scrubbed.count)
        }
        Cow::Owned(text) => {
            let scrubbed = redact_line(&text);
            (owned(scrubbed.text), scrubbed.count)
        }
    };
    let end = text.floor_char_boundary(bytes_max);
    (cut_at(text, end), count)
}

pub(super) fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
