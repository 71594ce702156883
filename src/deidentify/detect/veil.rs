//! What hides an identifier from the detectors is taken off: percent-encoding, HTML and JSON escapes, full-width and
//! other compatibility forms, digits of other scripts, characters that nobody sees.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// Encodings inside encodings that are followed.
const LAYERS_MAX: usize = 3;

/// The text as a reader would see it; `None` where it is that already.
pub(super) fn unveil(text: &str) -> Option<String> {
    let mut seen = Cow::Borrowed(text);
    for _ in 0..LAYERS_MAX {
        let next = layer(&seen);
        let Some(next) = next else { break };
        seen = Cow::Owned(next);
    }
    match seen {
        Cow::Borrowed(_) => None,
        Cow::Owned(seen) => Some(seen),
    }
}

fn layer(text: &str) -> Option<String> {
    let mut out = Cow::Borrowed(text);
    if memchr::memchr(b'%', text.as_bytes()).is_some() {
        replace(&mut out, percent);
    }
    if memchr::memchr2(b'&', b'\\', out.as_bytes()).is_some() {
        replace(&mut out, escapes);
    }
    if !out.is_ascii() {
        replace(&mut out, compatible);
    }
    match out {
        Cow::Owned(out) if out != text => Some(out),
        _ => None,
    }
}

fn replace(text: &mut Cow<'_, str>, by: fn(&str) -> Option<String>) {
    if let Some(other) = by(text) {
        *text = Cow::Owned(other);
    }
}

fn percent(text: &str) -> Option<String> {
    let decoded: Cow<'_, [u8]> = percent_encoding::percent_decode_str(text).into();
    match decoded {
        Cow::Borrowed(_) => None,
        // Bytes that are no text stay as they are, for what is around them.
        Cow::Owned(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// Entities that stand in addresses and numbers (HTML, section 13.5), and `\u0040` (RFC 8259, section 7).
fn escapes(text: &str) -> Option<String> {
    const NAMED: [(&str, char); 12] = [
        ("commat;", '@'),
        ("period;", '.'),
        ("plus;", '+'),
        ("colon;", ':'),
        ("sol;", '/'),
        ("lowbar;", '_'),
        ("dash;", '-'),
        ("hyphen;", '-'),
        ("nbsp;", ' '),
        ("amp;", '&'),
        ("quot;", '"'),
        ("equals;", '='),
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['&', '\\']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let named = || {
            let name = rest.strip_prefix('&')?;
            let &(name, c) = NAMED.iter().find(|(known, _)| name.starts_with(known))?;
            Some((c, 1 + name.len()))
        };
        let decoded = numbered(rest).or_else(named);
        let (c, length) = decoded.unwrap_or_else(|| (if rest.starts_with('&') { '&' } else { '\\' }, 1));
        out.push(c);
        rest = &rest[length..];
    }
    out.push_str(rest);
    (out != text).then_some(out)
}

/// `&#64;`, `&#x40;`, `\u0040`, `\x40`: the character, and the length of what stands for it.
fn numbered(text: &str) -> Option<(char, usize)> {
    let (digits, radix, start) = if let Some(rest) = text.strip_prefix("&#x").or(text.strip_prefix("&#X")) {
        (rest, 16, 3)
    } else if let Some(rest) = text.strip_prefix("&#") {
        (rest, 10, 2)
    } else if let Some(rest) = text.strip_prefix("\\u") {
        (rest.get(..4)?, 16, 2)
    } else {
        (text.strip_prefix("\\x")?.get(..2)?, 16, 2)
    };
    let length = digits.bytes().take(7).take_while(|&byte| char::from(byte).is_digit(radix)).count();
    let c = char::from_u32(u32::from_str_radix(digits.get(..length)?, radix).ok()?)?;
    if text.starts_with('&') {
        let closed = usize::from(digits.as_bytes().get(length) == Some(&b';'));
        return Some((c, start + length + closed));
    }
    (length == digits.len()).then_some((c, start + length))
}

/// Compatibility forms as their plain kin (Unicode Annex 15, NFKC), digits as ASCII, what has no width gone.
fn compatible(text: &str) -> Option<String> {
    let normal = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    let mut out = String::with_capacity(normal.len());
    for c in normal.chars() {
        if let Some(digit) = digit(c) {
            out.push(digit);
        } else if !unseen(c) {
            out.push(match c {
                '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
                '\u{3002}' | '\u{2024}' => '.',
                '\u{2044}' | '\u{2215}' => '/',
                c => c,
            });
        }
    }
    (out != text).then_some(out)
}

/// Formatting that takes no room: zero-width and bidirectional marks, soft hyphens, variation selectors, tags.
fn unseen(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{E0000}'..='\u{E007F}')
}

/// A decimal digit of any script that is in daily use (Unicode, general category Nd; each block begins with its zero).
fn digit(c: char) -> Option<char> {
    const ZEROS: [u32; 24] = [
        0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50,
        0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0xA8D0,
    ];
    let code = c as u32;
    let zero = ZEROS.iter().find(|&&zero| (zero..zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

#[cfg(test)]
mod tests {
    use super::unveil;

    #[test]
    fn veils_come_off_layer_by_layer() {
        for (veiled, plain) in [
            ("jane%2540mail.com", "jane@mail.com"),
            ("jane&#64;mail.com", "jane@mail.com"),
            ("jane&#x40;mail&period;com", "jane@mail.com"),
            ("jane\\u0040mail.com", "jane@mail.com"),
            ("jane&commat;mail.com", "jane@mail.com"),
            ("ｊａｎｅ＠ｍａｉｌ．ｃｏｍ", "jane@mail.com"),
            ("ja\u{200B}ne@ma\u{AD}il.com", "jane@mail.com"),
            ("٦١٢٣٤٥٦٧٨", "612345678"),
            ("६१२ ३४५ ६७८", "612 345 678"),
            ("𝟔𝟏𝟐", "612"),
            ("%EF%BC%A0", "@"),
        ] {
            assert_eq!(unveil(veiled).as_deref(), Some(plain), "{veiled}");
        }
        for bare in ["Blue shoes", "Ñandú – 5 €", "a & b", "C:\\Users\\x", "100%", "東京", "&#;", "\\u12"]
        {
            let seen = unveil(bare);
            assert!(seen.is_none() || seen.as_deref() == Some("Ñandú - 5 €"), "{bare}: {seen:?}");
        }
    }
}
