//! Numbers with letters in them: documents, devices, accounts, vehicles, told by their form and, where there is one, by
//! their check digit. A table of forms in a small language of patterns, tried at the beginning of each word.
//!
//! In a pattern `A` is a letter, `9` a digit, `X` either, `H` a hexadecimal digit, `V` a letter or digit of vehicle
//! numbers, a small letter that letter in either case, a blank an optional separator (blank, dash, dot), `~` one that
//! must be there, any other character itself. A find is delimited by what is neither letter nor digit.

use std::sync::OnceLock;

use super::checks::{born_behind_letters, british_area, hetu, iban, icao_nine, pan, turkish_province, vin};
use super::secret::{TOKEN, broken, opaque};
use super::{Redacted, Rewrite, take_over};

/// How sure a form must be of its letters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    /// All capitals or all small.
    Same,
    /// All capitals: as small letters it would be words.
    Capitals,
}

struct Form {
    kind: &'static str,
    pattern: &'static str,
    case: Case,
    check: fn(&[u8]) -> bool,
}

fn always(_: &[u8]) -> bool {
    true
}

const fn same(kind: &'static str, pattern: &'static str, check: fn(&[u8]) -> bool) -> Form {
    Form { kind, pattern, case: Case::Same, check }
}

const fn capitals(kind: &'static str, pattern: &'static str, check: fn(&[u8]) -> bool) -> Form {
    Form { kind, pattern, case: Case::Capitals, check }
}

const ID: &str = "[id]";
const VEHICLE: &str = "[vehicle]";

/// Longer forms before shorter ones that they begin with.
const FORMS: &[Form] = &[
    // Advertising ids and other UUIDs (RFC 9562), hardware addresses (EUI-64, EUI-48).
    same("[uuid]", "HHHHHHHH-HHHH-HHHH-HHHH-HHHHHHHHHHHH", always),
    same("[mac]", "HH:HH:HH:HH:HH:HH:HH:HH", always),
    same("[mac]", "HH-HH-HH-HH-HH-HH-HH-HH", always),
    same("[mac]", "HH:HH:HH:HH:HH:HH", always),
    same("[mac]", "HH-HH-HH-HH-HH-HH", always),
    same("[mac]", "HHHH.HHHH.HHHH", has_letter_or_zero),
    // Documents: United Kingdom (licence, National Insurance), Italy (tax code, licence), India (PAN, GSTIN), Mexico
    // (CURP, RFC), Finland, United States (Medicare), Germany, Korea, France, Spain (passports).
    same(ID, "AXXXX999999XX9AA", always),
    same(ID, "AA 99 99 99 A", always),
    same(ID, "AAAAAA99A99A999A", always),
    same(ID, "u1XXXXXXXA", |text| digits(text) > 3),
    same(ID, "99AAAAA9999AXzX", always),
    same(ID, "AAAAA9999A", pan),
    same(ID, "AAAA 999999 AAAAAAX9", born_behind_letters),
    same(ID, "AAAA 999999 XXX", born_behind_letters),
    same(ID, "AAA 999999 XXX", born_behind_letters),
    same(ID, "999999-999X", hetu),
    same(ID, "999999+999X", hetu),
    same(ID, "999999A999X", hetu),
    same(ID, "9AX9 AX9 AA99", |text| text[0] != b'0'),
    same(ID, "AXXXXXXX9", icao_nine),
    same(ID, "AXXXXXXXX9", icao_nine),
    same(ID, "A999A9999", always),
    same(ID, "99AA99999", always),
    same(ID, "AAA999999", always),
    same(ID, "99999999 9 AA9", always),
    same(ID, "9999:9999:9999", always),
    // Vehicles.
    same(VEHICLE, "VVVVVVVVVVVVVVVVV", vin),
    capitals(VEHICLE, "AA99AA9999", always),
    capitals(VEHICLE, "AA9AAA9999", always),
    capitals(VEHICLE, "99~AAA~9999", turkish_province),
    capitals(VEHICLE, "99~AAA~999", turkish_province),
    capitals(VEHICLE, "AAA-999AA", always),
    capitals(VEHICLE, "AAA-9A99", always),
    // A postcode of the United Kingdom is some fifteen households.
    capitals("[address]", "AA9A 9AA", british_area),
    capitals("[address]", "AA99 9AA", british_area),
    capitals("[address]", "AA9 9AA", british_area),
    capitals("[address]", "A9A 9AA", british_area),
    capitals("[address]", "A99 9AA", british_area),
    capitals("[address]", "A9 9AA", british_area),
    capitals(VEHICLE, "AA99 AAA", always),
    capitals(VEHICLE, "AA-999-AA", always),
    capitals(VEHICLE, "AA999AA", always),
];

/// A dotted hardware address; three groups of four digits without a letter are a number's groups.
fn has_letter_or_zero(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_alphabetic) || text.starts_with(b"00")
}

fn digits(text: &[u8]) -> usize {
    text.iter().filter(|byte| byte.is_ascii_digit()).count()
}

const SEPARATORS: &[u8] = b" -.";

fn accepts(wanted: u8, byte: u8) -> bool {
    match wanted {
        b' ' | b'~' => SEPARATORS.contains(&byte),
        b'A' => byte.is_ascii_alphabetic(),
        b'9' => byte.is_ascii_digit(),
        b'H' => byte.is_ascii_hexdigit(),
        b'X' | b'V' => byte.is_ascii_alphanumeric(),
        _ => byte.to_ascii_lowercase() == wanted,
    }
}

/// Where the form that starts at `at` ends.
fn form_end(form: &Form, text: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    for &wanted in form.pattern.as_bytes() {
        match text.get(end) {
            Some(&byte) if accepts(wanted, byte) => end += 1,
            _ if wanted == b' ' => {}
            _ => return None,
        }
    }
    if text.get(end).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    // A part of something longer with colons is an IPv6 address's.
    let before = text[..at].strip_suffix(b":").map_or(0, |before| {
        let group = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let hexadecimal = before[before.len() - group..].iter().all(u8::is_ascii_hexdigit);
        usize::from(hexadecimal && (group > 0 || before.ends_with(b":")))
    });
    let joined =
        before > 0 || matches!(text[end..], [b':', after, ..] if after == b':' || after.is_ascii_hexdigit());
    if joined && form.pattern.contains(':') {
        return None;
    }
    let found = &text[at..end];
    let letters = || found.iter().filter(|byte| byte.is_ascii_alphabetic());
    let case = letters().all(u8::is_ascii_uppercase)
        || form.case == Case::Same && letters().all(u8::is_ascii_lowercase)
        // Hexadecimal digits are written anyhow, and six digits in a row are no word's.
        || form.pattern.starts_with('H')
        || form.pattern.contains("999999");
    (case && (form.check)(found)).then_some(end)
}

/// Longest text that an account number can be, with blanks between its groups.
const IBAN_BYTES_MAX: usize = 44;

/// Where the international account number that starts at `at` ends: two letters, two digits, up to 30 letters and
/// digits with single blanks or dashes between them, a checksum that holds at the end of a word.
fn iban_end(text: &[u8], at: usize) -> Option<usize> {
    let [a, b, c, d, ..] = text[at..] else { return None };
    if !(a.is_ascii_alphabetic() && b.is_ascii_alphabetic()) {
        return None;
    }
    let spaced = SEPARATORS.contains(&c);
    if !(c.is_ascii_digit() && d.is_ascii_digit() || spaced && d.is_ascii_digit()) {
        return None;
    }
    let mut found = None;
    let mut end = at;
    while end < text.len().min(at + IBAN_BYTES_MAX) {
        let word = text[end..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if word == 0 {
            break;
        }
        end += word;
        if end - at <= IBAN_BYTES_MAX && iban(&text[at..end]) {
            found = Some(end);
        }
        match text.get(end) {
            Some(byte) if SEPARATORS.contains(byte) => end += 1,
            _ => break,
        }
    }
    found
}

/// Replaces documents, devices, accounts, vehicles and opaque tokens.
pub(super) fn redact_codes(redacted: &mut Redacted<'_>) {
    let mut rewrite = Rewrite::new(&redacted.text);
    let text = rewrite.text.as_bytes();
    // A token is looked at once, where it begins.
    let mut token_from = 0;
    let mut at = 0;
    while let Some(skipped) = text[at..].iter().position(|&byte| mask(byte) & PART != 0) {
        at += skipped;
        let word = Word::at(text, at);
        // A short word with a blank behind it is no token, nor the beginning of one.
        let may_be_token =
            word.end - at >= 12 || text.get(word.end).is_some_and(|byte| b"_-+".contains(byte));
        if at >= token_from && may_be_token {
            let seen;
            (token_from, seen) = token_end(text, at);
            // Small letters alone, or capitals alone, are words.
            let one_case = seen & (CAPITAL | SMALL) != CAPITAL | SMALL;
            let words = one_case && seen & DIGIT == 0 && token_from - at <= WORDS_BYTES_MAX;
            if !words && let Some(kind) = opaque(&text[at..token_from]) {
                // What goes on behind a sign of base64 goes with it.
                let end = if text.get(token_from) == Some(&b'/') { broken(text, at) } else { None };
                let end = end.unwrap_or(token_from);
                rewrite.replace(at, end, kind);
                (at, token_from) = (end, end);
                continue;
            }
        }
        if text.get(word.end).is_some_and(|byte| b"/+".contains(byte))
            && let Some(end) = broken(text, at)
        {
            rewrite.replace(at, end, TOKEN);
            (at, token_from) = (end, end);
            continue;
        }
        if is_android_id(text, at, &word) {
            rewrite.replace(at, word.end, ID);
            at = word.end;
            continue;
        }
        let found = word.may_begin_a_form(text).then(|| code_end(text, at, &word)).flatten();
        at = match found {
            Some((end, kind)) => {
                rewrite.replace(at, end, kind);
                end
            }
            None => word.end,
        };
    }
    let found = rewrite.finish();
    take_over(redacted, found);
}

/// Forms by what their first character may be: a digit, a hexadecimal letter, another letter; each with the length of
/// its first word where that is fixed.
type Begins = [Vec<(&'static Form, Option<usize>)>; 3];

fn beginnings() -> &'static Begins {
    static BEGINNINGS: OnceLock<Begins> = OnceLock::new();
    BEGINNINGS.get_or_init(|| {
        [b"059", b"acf", b"guz"].map(|firsts| {
            let fits = |form: &&Form| firsts.iter().any(|&first| accepts(form.pattern.as_bytes()[0], first));
            let with_length = |form: &'static Form| {
                let word = form.pattern.bytes().take_while(u8::is_ascii_alphanumeric).count();
                (form, (!form.pattern.contains(' ')).then_some(word))
            };
            FORMS.iter().filter(fits).map(with_length).collect()
        })
    })
}

fn code_end(text: &[u8], at: usize, word: &Word) -> Option<(usize, &'static str)> {
    if let Some(end) = iban_end(text, at) {
        return Some((end, "[iban]"));
    }
    let begins = match text[at] {
        b'0'..=b'9' => 0,
        b'a'..=b'f' | b'A'..=b'F' => 1,
        _ => 2,
    };
    let length = word.end - at;
    beginnings()[begins]
        .iter()
        .filter(|(_, fixed)| fixed.is_none_or(|fixed| fixed == length))
        .find_map(|(form, _)| Some((form_end(form, text, at)?, form.kind)))
}

/// Classes of letters and digits, as bits.
const PART: u8 = 1;
const DIGIT: u8 = 2;
const CAPITAL: u8 = 4;
const SMALL: u8 = 8;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => PART | DIGIT,
            b'A'..=b'Z' => PART | CAPITAL,
            b'a'..=b'z' => PART | SMALL,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

fn mask(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// A run of letters and digits.
struct Word {
    end: usize,
    letters: usize,
    digits: usize,
}

impl Word {
    fn at(text: &[u8], start: usize) -> Self {
        let mut word = Self { end: start, letters: 0, digits: 0 };
        for class in text[start..].iter().map(|&byte| mask(byte)).take_while(|class| class & PART != 0) {
            word.digits += usize::from(class & DIGIT != 0);
            word.end += 1;
        }
        word.letters = word.end - start - word.digits;
        word
    }

    /// Most words can begin none: without a digit, or followed by what no form has.
    fn may_begin_a_form(&self, text: &[u8]) -> bool {
        let mixed = self.digits > 0 && self.letters > 0;
        let [next, then] = [0, 1].map(|more| text.get(self.end + more).copied().unwrap_or(0));
        let hardware = matches!(self.letters + self.digits, 2 | 4 | 8)
            && b":-.".contains(&next)
            && then.is_ascii_hexdigit();
        let grouped = SEPARATORS.contains(&next) && then.is_ascii_alphanumeric();
        mixed && self.letters + self.digits > 3
            || hardware
            || grouped && (mixed || self.digits > 0 || self.letters <= 4 && then.is_ascii_digit())
    }
}

/// Sixteen hexadecimal digits of one case, as Android's ids have; with a dash or an ending of a file they are a build's.
fn is_android_id(text: &[u8], at: usize, word: &Word) -> bool {
    if word.end - at != 16 || word.digits < 4 || word.letters < 2 {
        return false;
    }
    let found = &text[at..word.end];
    let hexadecimal = found.iter().all(u8::is_ascii_hexdigit);
    let one_case = !(found.iter().any(u8::is_ascii_uppercase) && found.iter().any(u8::is_ascii_lowercase));
    let built = text[..at].last().is_some_and(|byte| b"-.~".contains(byte))
        || matches!(text[word.end..], [b'-' | b'.' | b'~', next, ..] if next.is_ascii_alphanumeric());
    hexadecimal && one_case && !built
}

/// Up to this length letters of one case are words, even with dashes between them.
const WORDS_BYTES_MAX: usize = 30;

/// Where the token that starts at `at` ends: with the signs of base64url and, in a JSON Web Token, its dots; and the
/// classes of what is in it.
fn token_end(text: &[u8], at: usize) -> (usize, u8) {
    let dots = text[at..].starts_with(b"eyJ");
    let mut end = at;
    let mut seen = 0;
    while let Some(&byte) = text.get(end) {
        let class = mask(byte);
        if class == 0 && !matches!(byte, b'_' | b'-' | b'+') && !(dots && byte == b'.') {
            break;
        }
        seen |= class;
        end += 1;
    }
    // Padding ends a token; a sign of equality with more behind it ends a name ("d=KzE0...").
    let padding = text[end..].iter().take(3).take_while(|&&byte| byte == b'=').count();
    let more = text.get(end + padding).is_some_and(u8::is_ascii_alphanumeric);
    (if padding <= 2 && !more { end + padding } else { end }, seen)
}
