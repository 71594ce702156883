//! E-mail addresses, recognised by their at sign, plain or percent-encoded.
//!
//! They go before numbers, since a local part may look like one.

use super::ip::ipv4_end;
use super::{EMAIL, Redacted, Rewrite, take_over};

pub(super) fn redact_emails(redacted: &mut Redacted<'_>) {
    let mut rewrite = Rewrite::new(&redacted.text);
    let text = rewrite.text;
    let bytes = text.as_bytes();
    // A local part does not reach back over the at sign before, so few bytes are looked at twice.
    let mut floor = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'@', b'%', &bytes[at..]) {
        at += found;
        let Some(sign_length) = at_sign_length(&bytes[at..]) else {
            at += 1;
            continue;
        };
        let domain_start = at + sign_length;
        let end = domain_end(text, domain_start);
        let start = local_part_start(text, rewrite.copied, floor, at);
        if start < at && end > domain_start {
            rewrite.replace(start, end, EMAIL);
            at = end;
        } else {
            at = domain_start;
        }
        floor = at;
    }
    let found = rewrite.finish();
    take_over(redacted, found);
}

/// An at sign written out, and the dots behind it: "jane (at) mail (dot) com", "jane [at] mail.com".
pub(super) fn redact_spelt_emails(redacted: &mut Redacted<'_>) {
    let mut rewrite = Rewrite::new(&redacted.text);
    let text = rewrite.text;
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr3(b'(', b'[', b'{', &bytes[at..]) {
        at += found;
        let Some(sign_end) = spelt(bytes, at, b"at") else {
            at += 1;
            continue;
        };
        let local_end = text[..at].trim_end().len();
        let start = local_part_start(text, rewrite.copied, rewrite.copied, local_end);
        let end = spelt_domain_end(bytes, sign_end);
        if start < local_end && end > sign_end {
            rewrite.replace(start, end, EMAIL);
            at = end;
        } else {
            at = sign_end;
        }
    }
    let found = rewrite.finish();
    take_over(redacted, found);
}

/// Where a bracketed word that begins at `at` ends, with the blanks behind it.
fn spelt(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let inner = bytes.get(at + 1..)?.trim_ascii_start();
    let start = bytes.len() - inner.len();
    let rest = inner.get(word.len()..).filter(|_| inner[..word.len()].eq_ignore_ascii_case(word))?;
    let closing = rest.trim_ascii_start();
    let end = start + word.len() + (rest.len() - closing.len()) + 1;
    let fits = closing.first().is_some_and(|byte| b")]}".contains(byte));
    fits.then(|| end + bytes[end..].iter().take_while(|&&byte| byte == b' ').count())
}

/// Labels with dots, or dots written out, between them; `start` where there are not two.
fn spelt_domain_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut labels, mut end) = (start, 0, start);
    loop {
        let length =
            bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
        if length == 0 {
            break;
        }
        labels += 1;
        end = at + length;
        let blank = end + bytes[end..].iter().take_while(|&&byte| byte == b' ').count();
        at = if bytes.get(end) == Some(&b'.') {
            end + 1
        } else if let Some(dot_end) =
            spelt(bytes, blank, b"dot").filter(|_| bytes.get(blank).is_some_and(|b| b"([{".contains(b)))
        {
            dot_end
        } else if bytes[end..].len() > 5 && bytes[end..end + 5].eq_ignore_ascii_case(b" dot ") {
            end + 5
        } else {
            break;
        };
    }
    if labels >= 2 { end } else { start }
}

fn at_sign_length(bytes: &[u8]) -> Option<usize> {
    [&b"@"[..], b"%40", b"%2540"].into_iter().find(|sign| bytes.starts_with(sign)).map(<[u8]>::len)
}

/// Where the local part that ends at `end` starts, not before `floor`; `end` where there is none.
///
/// All characters of RFC 5321's atoms but `/`, `=`, `?` and `&`, which delimit the parts of a URL; a quoted local
/// part reaches back to its opening quote, but not into what was replaced, which ends at `replaced`.
fn local_part_start(text: &str, replaced: usize, floor: usize, end: usize) -> usize {
    if let Some(quoted) = text[replaced..end].strip_suffix('"') {
        return replaced + quoted.rfind('"').unwrap_or(quoted.len());
    }
    let before = &text[floor..end];
    let part = before.trim_end_matches(|c: char| {
        c.is_alphanumeric()
            || matches!(
                c,
                '.' | '_'
                    | '-'
                    | '+'
                    | '%'
                    | '\''
                    | '!'
                    | '#'
                    | '$'
                    | '*'
                    | '~'
                    | '^'
                    | '`'
                    | '{'
                    | '|'
                    | '}'
            )
    });
    floor + part.len()
}

/// Where the domain that starts at `start` ends; `start` where there is none.
///
/// "vue@3.4.1" is a package: some label must begin with a letter, unless the whole is an IPv4 address.
fn domain_end(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    if let Some(literal) = rest.strip_prefix('[')
        && let Some(length) = literal.find(']')
        && length > 0
        && literal[..length].bytes().all(|byte| byte.is_ascii_hexdigit() || b"IPvx:.".contains(&byte))
    {
        return start + length + 2;
    }
    let length = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-'))).unwrap_or(rest.len());
    let domain = rest[..length].trim_end_matches(['.', '-']);
    // "render@https://..." is a frame of a stack: the function, and the scheme of where it is.
    if rest[length..].starts_with("://") && !domain.contains('.') {
        return start;
    }
    // "hero@2x.png" is a picture for dense screens.
    if matches!(domain.as_bytes(), [b'1'..=b'4', b'x', b'.', ..]) {
        return start;
    }
    let named = domain.split('.').any(|label| label.starts_with(char::is_alphabetic));
    let addressed = ipv4_end(domain.as_bytes(), 0) == Some(domain.len());
    if named || addressed { start + domain.len() } else { start }
}
