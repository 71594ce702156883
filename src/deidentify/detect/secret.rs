//! Tokens and secrets: what is opaque, told by its prefix, its alphabet or what it decodes to; and what follows a word
//! that announces a secret.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::{Redacted, Rewrite, Signs, plain, take_over};

pub(super) const TOKEN: &str = "[token]";

/// Tokens shorter than this are names.
const TOKEN_BYTES_MIN: usize = 20;
/// Encoded texts shorter than this hold nothing that a detector looks for.
const ENCODED_BYTES_MIN: usize = 12;
/// Hexadecimal from this length on is a digest or a key (MD5 has 32 digits); file names' hashes are shorter.
const HEX_DIGITS_MIN: usize = 32;
/// Exactly this many hexadecimal digits, letters among them, are a database's record number (BSON ObjectId).
const OBJECT_ID_DIGITS: usize = 24;

/// By which keys of well-known services begin.
const PREFIXES: [&[u8]; 16] = [
    b"eyJ",
    b"AKIA",
    b"ASIA",
    b"ghp_",
    b"gho_",
    b"ghs_",
    b"github_pat_",
    b"glpat-",
    b"sk_live_",
    b"sk_test_",
    b"rk_live_",
    b"xox",
    b"AIza",
    b"npm_",
    b"sk-proj-",
    b"sk-ant-",
];

/// What stands for a token, where it is one; `None` for a name.
pub(super) fn opaque(token: &[u8]) -> Option<&'static str> {
    if token.len() < ENCODED_BYTES_MIN {
        return None;
    }
    let shape = Shape::of(token);
    let plain_hex = shape.hex == token.len();
    if plain_hex && token.len() >= HEX_DIGITS_MIN {
        return Some(if token.len() == HEX_DIGITS_MIN { "[uuid]" } else { TOKEN });
    }
    let record = token.len() == OBJECT_ID_DIGITS && plain_hex && shape.letters() > 0 && shape.digits > 6;
    let announced = token.len() >= TOKEN_BYTES_MIN
        && (shape.digits > 0 || token.len() > 30)
        && PREFIXES.iter().any(|prefix| token.starts_with(prefix));
    if record || announced || shape.is_random() || holds_an_identifier(token, &shape) {
        return Some(TOKEN);
    }
    None
}

/// Tokens in which the signs '/' and '+' of base64 stand among the others are told from paths by their length.
const BROKEN_BYTES_MIN: usize = 32;
/// No more than this is looked at at a time: what is behind it has a beginning of its own.
const BROKEN_BYTES_MAX: usize = 256;

/// The end of a token that begins at `at` and goes on over the signs of base64 that part words elsewhere; `None` where it
/// is a path.
pub(super) fn broken(text: &[u8], at: usize) -> Option<usize> {
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+');
    let length = text[at..].iter().take(BROKEN_BYTES_MAX).take_while(is_part).count();
    let padding = text[at + length..].iter().take(2).take_while(|&&byte| byte == b'=').count();
    let characters: Vec<u8> =
        text[at..at + length].iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    let shape = Shape::of(&characters);
    // Short words with numbers ("/Users/A1/Members/B2") are a path, however many there are.
    let of_all_kinds = |piece: &[u8]| {
        let kinds = [u8::is_ascii_uppercase, u8::is_ascii_lowercase, u8::is_ascii_digit];
        piece.len() >= 10 && kinds.iter().all(|kind| piece.iter().any(kind))
    };
    let mixed = shape.upper > 3
        && shape.lower > 3
        && shape.digits > 1
        && text[at..at + length].split(|byte| b"/+".contains(byte)).any(of_all_kinds);
    let random =
        characters.len() >= BROKEN_BYTES_MIN && mixed && shape.changes * 100 >= characters.len() * 46;
    random.then_some(at + length + padding)
}

/// How a token's characters are mixed.
#[derive(Default)]
struct Shape {
    upper: usize,
    lower: usize,
    digits: usize,
    hex: usize,
    /// Neighbours of different kinds.
    changes: usize,
    /// Runs of digits.
    groups: usize,
    longest_word: usize,
}

impl Shape {
    fn of(token: &[u8]) -> Self {
        let mut shape = Self::default();
        let (mut last, mut word) = (0_u8, 0_usize);
        for byte in token {
            shape.hex += usize::from(byte.is_ascii_hexdigit());
            let class = match byte {
                b'0'..=b'9' => 1,
                b'A'..=b'Z' => 2,
                b'a'..=b'z' => 3,
                _ => 0,
            };
            match class {
                1 => shape.digits += 1,
                2 => shape.upper += 1,
                3 => shape.lower += 1,
                _ => {}
            }
            word = if class == 0 { 0 } else { word + 1 };
            shape.longest_word = shape.longest_word.max(word);
            if class != 0 && class != last {
                shape.changes += usize::from(last != 0);
                shape.groups += usize::from(class == 1);
                last = class;
            }
        }
        shape
    }

    fn letters(&self) -> usize {
        self.upper + self.lower
    }

    /// Letters and digits change far more often than in words with numbers ("convertToBase64FromUint8Array").
    fn is_random(&self) -> bool {
        let count = self.letters() + self.digits;
        let mixed = self.upper > 1 && self.lower > 1 && self.digits > 1;
        self.longest_word >= TOKEN_BYTES_MIN
            && (mixed && self.changes * 100 >= count * 46
                || self.groups >= 4 && self.changes * 100 >= count * 24)
    }
}

/// Whether the token is the base64 or hexadecimal form of a text in which there is a find.
fn holds_an_identifier(token: &[u8], shape: &Shape) -> bool {
    let found = |bytes: Vec<u8>| {
        String::from_utf8(bytes).is_ok_and(|text| plain(&text, Signs::of(text.as_bytes())).count > 0)
    };
    if shape.hex == token.len() && token.len().is_multiple_of(2) {
        let half = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
        let decoded = token.chunks(2).map(|pair| half(pair[0]) << 4 | half(pair[1]));
        if decoded.clone().all(is_text) {
            return found(decoded.collect());
        }
    }
    // A word of one case is a word; base64 of a text has all three kinds, but for very short ones.
    if shape.upper == 0 || shape.lower == 0 {
        return false;
    }
    let body = token.strip_suffix(b"==").or(token.strip_suffix(b"=")).unwrap_or(token);
    let engine =
        if body.iter().any(|byte| b"-_".contains(byte)) { &URL_SAFE_NO_PAD } else { &STANDARD_NO_PAD };
    // Most names give themselves away in the first few characters.
    let mut first = [0; 6];
    let eight = &body[..8.min(body.len())];
    if !engine
        .decode_slice(eight, &mut first)
        .is_ok_and(|length| first[..length].iter().copied().all(is_text))
    {
        return false;
    }
    let whole = body.len() - usize::from(body.len() % 4 == 1);
    // What is left over at the end may not be canonical: it is cut from what is decoded.
    let decoded = engine.decode(&body[..whole]).or_else(|_| engine.decode(&body[..whole / 4 * 4]));
    decoded.is_ok_and(|bytes| bytes.iter().copied().all(is_text) && found(bytes))
}

fn is_text(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7F || matches!(byte, b'\n' | b'\r' | b'\t')
}

/// Words that a secret follows, and from how many characters on.
const ANNOUNCED: [(&[u8], usize); 4] = [(b"bearer ", 8), (b"basic ", 12), (b"token ", 16), (b"apikey ", 12)];

/// Replaces keys in PEM form, and what follows `Bearer` or `Basic`.
pub(super) fn redact_secrets(redacted: &mut Redacted<'_>) {
    let mut rewrite = Rewrite::new(&redacted.text);
    let text = rewrite.text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b' ', b'-', &text[at..]) {
        at += found;
        if text[at] == b'-' {
            match pem_end(text, at) {
                Some(end) => {
                    rewrite.replace(at, end, "[key]");
                    at = end;
                }
                None => at += 1,
            }
            continue;
        }
        at += 1;
        // The last letters of the words below.
        if !(at > 1 && matches!(text[at - 2] | 0x20, b'r' | b'c' | b'n' | b'y')) {
            continue;
        }
        for (word, bytes_min) in ANNOUNCED {
            let begins = at.checked_sub(word.len()).filter(|&begins| begins >= rewrite.copied);
            if !begins.is_some_and(|begins| text[begins..at].eq_ignore_ascii_case(word)) {
                continue;
            }
            let secret = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
            let length = text[at..].iter().take_while(secret).count();
            // "Basic instructions" is no secret: a digit, a sign or a capital inside says that it is none of our words.
            let odd = text[at..at + length].iter().skip(1).any(|byte| !byte.is_ascii_lowercase());
            if length >= bytes_min && odd {
                rewrite.replace(at, at + length, TOKEN);
                at += length;
                break;
            }
        }
    }
    let found = rewrite.finish();
    take_over(redacted, found);
}

/// Where the PEM block that starts at `at` ends (RFC 7468); one without an end goes to the end of the text.
fn pem_end(text: &[u8], at: usize) -> Option<usize> {
    if !text[at..].starts_with(b"-----BEGIN ") || text[at + 11..].starts_with(b"CERTIFICATE") {
        return None;
    }
    let end = memchr::memmem::find(&text[at + 11..], b"-----END ").map(|end| at + 11 + end + 9);
    let closed = end.and_then(|end| memchr::memmem::find(&text[end..], b"-----").map(|more| end + more + 5));
    Some(closed.unwrap_or(text.len()))
}
