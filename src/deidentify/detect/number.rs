//! The pass over a text's digits: IP addresses and somebody's numbers are replaced, all other numbers stay.
//!
//! What a run of digits is depends on its neighbours: an address or a date ends it, a currency or a decimal comma
//! next to it makes it an amount.

use super::checks::luhn;
use super::ip::{ipv4_end, ipv6_within};
use super::moment::{moment_end, number};
use super::{IP, NUMBER, NUMBER_DIGITS_MIN, Redacted, Rewrite, take_over};

/// Kinds of bytes, as bits: a digit; what an IPv6 address is written with; what may join a digit to what stands behind it.
const DIGIT: u8 = 1;
const OF_ADDRESS: u8 = 2;
const JOINS: u8 = 4;

static SIGNS: [u8; 256] = {
    let mut signs = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        signs[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT | OF_ADDRESS,
            b'a'..=b'f' | b'A'..=b'F' => OF_ADDRESS,
            b':' | b'.' => OF_ADDRESS | JOINS,
            b' ' | b'-' | b'/' | b'+' | b'(' | b')' | b',' | 0xC2 | 0xE2 => JOINS,
            _ => 0,
        };
        byte += 1;
    }
    signs
};

fn is(byte: u8, kind: u8) -> bool {
    SIGNS[usize::from(byte)] & kind != 0
}

/// The run of an IPv6 address's characters around the digit at `at`, not before `floor`.
fn address_run(bytes: &[u8], at: usize, floor: usize) -> (usize, usize) {
    let before = bytes[floor..at].iter().rev().take_while(|&&byte| is(byte, OF_ADDRESS)).count();
    let dots = bytes[at - before..at].iter().take_while(|&&byte| byte == b'.').count();
    let behind = bytes[at..].iter().take_while(|&&byte| is(byte, OF_ADDRESS)).count();
    (at - before + dots, at + behind)
}

pub(super) fn redact_numbers(redacted: &mut Redacted<'_>) {
    let mut rewrite = Rewrite::new(&redacted.text);
    let bytes = rewrite.text.as_bytes();
    // An IPv6 address is looked for once in each run of its characters.
    let mut ipv6_from = 0;
    let mut at = 0;
    while let Some(skipped) = bytes[at..].iter().position(|&byte| is(byte, DIGIT)) {
        at += skipped;
        if at >= ipv6_from {
            let floor = ipv6_from.max(rewrite.copied);
            // All addresses, as a network: "::/0".
            let network = bytes[floor..at].ends_with(b"::/")
                && !bytes[floor..at - 3].last().is_some_and(|&byte| is(byte, OF_ADDRESS) && byte != b'.');
            if network {
                rewrite.replace(at - 3, at - 1, IP);
            }
            let (start, end) = address_run(bytes, at, floor);
            ipv6_from = end;
            if let Some((start, end)) = ipv6_within(rewrite.text, start, end) {
                rewrite.replace(start, end, IP);
                at = end;
                continue;
            }
        }
        // Most digits are few and stand within a word or behind one.
        let digits = bytes[at..].iter().take_while(|&&byte| is(byte, DIGIT)).count();
        let end = at + digits;
        if digits < NUMBER_DIGITS_MIN && !bytes.get(end).is_some_and(|&byte| is(byte, JOINS)) {
            at = end;
        } else if let Some(end) = ipv4_end(bytes, at) {
            rewrite.replace(at, end, IP);
            at = end;
        } else if let Some(end) = coordinates_end(bytes, at) {
            let sign = usize::from(at > rewrite.copied && matches!(bytes[at - 1], b'-' | b'+'));
            rewrite.replace(at - sign, end, "[location]");
            at = end;
        } else if let Some(end) = moment_end(bytes, at) {
            at = end;
        } else {
            let run = Run::at(bytes, at);
            if run.is_somebodys(bytes, at) {
                let start = run.start_with_prefix(bytes, at, rewrite.copied);
                let end = run.end_with_bracket(bytes, start);
                rewrite.replace(start, end, run.kind(&bytes[start..end]));
                at = end;
            } else {
                at = run.end;
            }
        }
    }
    let found = rewrite.finish();
    take_over(redacted, found);
}

/// Kinds of separators between groups of digits, as bits.
const SPACE: u8 = 1;
const DOT: u8 = 2;
const OTHER: u8 = 4;
const BRACKET: u8 = 8;

/// Kind and length of the separator at `at`. Non-breaking spaces and typographic hyphens count as their plain kin.
fn separator(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    match *bytes.get(at..)? {
        [b' ', ..] => Some((SPACE, 1)),
        [b'.', ..] => Some((DOT, 1)),
        [b'-' | b'/', ..] => Some((OTHER, 1)),
        // A plus is a prefix's, not a sum's.
        [b'+', b'(' | b'0'..=b'9', ..] | [b'(' | b')', ..] => Some((BRACKET, 1)),
        [0xC2, 0xA0, ..] => Some((SPACE, 2)),
        [0xE2, 0x80, 0x87 | 0x89 | 0xAF, ..] => Some((SPACE, 3)),
        [0xE2, 0x80, 0x90..=0x93, ..] => Some((OTHER, 3)),
        _ => None,
    }
}

/// Whether what begins at `at` has an address's colons: it is not the end of the number before it ("1.2 2001:db8::1").
fn may_be_ipv6(bytes: &[u8], at: usize) -> bool {
    let run = bytes[at..].iter().take(12).take_while(|byte| byte.is_ascii_hexdigit() || **byte == b':');
    run.filter(|&&byte| byte == b':').count() >= 2
}

/// A latitude and a longitude, or the other way about, that begin at a digit: fractions of three digits and more, one of
/// them of four, with a comma, a semicolon or a blank between.
fn coordinates_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (first_fraction, first_end) = fraction(bytes, at)?;
    if matches!(bytes[..at], [.., b'.' | b'0'..=b'9']) {
        return None;
    }
    let separators = bytes[first_end..].iter().take(3).take_while(|byte| b",; /".contains(byte)).count();
    let encoded = bytes[first_end..].starts_with(b"%2C");
    let mut second = first_end + if encoded { 3 } else { separators };
    if second == first_end {
        return None;
    }
    second += usize::from(matches!(bytes.get(second), Some(b'-' | b'+')));
    let (second_fraction, end) = fraction(bytes, second)?;
    (first_fraction.max(second_fraction) >= 4).then_some(end)
}

/// Digits behind the point of a number of degrees, and where it ends.
fn fraction(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let (_, whole_end) = number(bytes, at, 1, 3).filter(|&(degrees, _)| degrees <= 180)?;
    if bytes.get(whole_end) != Some(&b'.') {
        return None;
    }
    let count = bytes[whole_end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    (3..=15).contains(&count).then_some((count, whole_end + 1 + count))
}

/// Groups of digits with separators between them.
pub(super) struct Run {
    end: usize,
    digits: usize,
    groups: usize,
    longest: usize,
    /// Digits in the last group.
    last: usize,
    separators: u8,
    /// Every group is a year from 1900 to 2099.
    years: bool,
    /// A group after the first is a single digit.
    single_digit: bool,
    /// At most three digits, then groups of three: thousands.
    thousands: bool,
    /// All groups after the first are "000".
    round: bool,
}

impl Run {
    /// The run whose first digit is at `start`.
    pub(super) fn at(bytes: &[u8], start: usize) -> Self {
        let mut run = Self {
            end: start,
            digits: 0,
            groups: 0,
            longest: 0,
            last: 0,
            separators: 0,
            years: true,
            single_digit: false,
            thousands: true,
            round: true,
        };
        let mut group_start = start;
        let mut separators = 0;
        loop {
            let length = bytes[group_start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let group = &bytes[group_start..group_start + length];
            run.years &= length == 4 && (group.starts_with(b"19") || group.starts_with(b"20"));
            if run.groups == 0 {
                run.thousands = length <= 3;
            } else {
                run.single_digit |= length == 1;
                run.thousands &= length == 3;
                run.round &= group == b"000";
            }
            run.digits += length;
            run.groups += 1;
            run.longest = run.longest.max(length);
            run.last = length;
            run.separators |= separators;
            run.end = group_start + length;

            // One separator, or up to three where one of them is a bracket or a plus: "+34 (91) 123".
            let (mut count, mut next) = (0, run.end);
            separators = 0;
            while count < 3
                && let Some((kind, length)) = separator(bytes, next)
            {
                separators |= kind;
                next += length;
                count += 1;
            }
            let joined = count == 1 || count > 1 && separators & BRACKET != 0;
            let digit_follows = bytes.get(next).is_some_and(u8::is_ascii_digit);
            if !(joined && digit_follows)
                || ipv4_end(bytes, next).is_some()
                || may_be_ipv6(bytes, next)
                || moment_end(bytes, next).is_some()
            {
                return run;
            }
            group_start = next;
        }
    }

    /// Whether this could be a number that belongs to a person: a telephone, a card, an account, a document.
    fn is_somebodys(&self, bytes: &[u8], start: usize) -> bool {
        if self.digits < NUMBER_DIGITS_MIN {
            return false;
        }
        let plain = self.separators & !(DOT | SPACE) == 0;
        let cents = self.groups == 2 && self.separators == DOT && self.last <= 2;
        let amount = (self.thousands && self.groups > 1 || (self.groups == 1 || cents) && self.longest <= 9)
            && plain
            && (currency_before(&bytes[..start]) || currency_after(&bytes[self.end..]));
        let decimal =
            self.thousands && plain && number(bytes, self.end + 1, 1, 2).is_some() && bytes[self.end] == b',';
        let version =
            self.separators == DOT && (3..=4).contains(&self.groups) && self.single_digit && self.longest < 7;
        let round = self.groups > 1 && self.thousands && self.round && plain;
        let years = self.groups == 2 && self.years;
        // A law ("1007/2023") and a weakness ("CVE-2024-3094") carry their year.
        let of_year = self.groups == 2 && self.digits <= 9 && self.last == 4;
        let end = &bytes[..self.end];
        let law = of_year && (end[..self.end - 2].ends_with(b"/19") || end[..self.end - 2].ends_with(b"/20"));
        let weakness = of_year && bytes[..start].to_ascii_uppercase().ends_with(b"CVE-");
        let standard = self.groups > 1 && self.longest <= 5 && is_standard(&bytes[..start]);
        let fault = self.groups == 1 && self.digits <= 8 && bytes[..start].ends_with(b"0x");
        let column = self.groups == 1 && self.digits <= 8 && is_position(&bytes[..start]);
        !(column || amount || decimal || version || round || years || law || weakness || standard || fault)
    }

    /// Takes in a plus or a bracket before the number, or the letters that it is one word with ("E56469243"), but
    /// nothing before `floor`.
    fn start_with_prefix(&self, bytes: &[u8], start: usize, floor: usize) -> usize {
        let before = &bytes[floor..start];
        let letters = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        // "%2B34612345678": the letters before are an escape's.
        let escape = letters >= 2 && before[..before.len() - letters].ends_with(b"%");
        if letters > 0 {
            return start - if escape { letters - 2 } else { letters };
        }
        start - before.iter().rev().take(2).take_while(|byte| b"+(".contains(byte)).count()
    }

    /// Takes in the closing bracket where it was opened in the number, or the letters and digits that are one word with
    /// it, an extension ("x7195") among them.
    fn end_with_bracket(&self, bytes: &[u8], start: usize) -> usize {
        let count = |bracket: u8| bytes[start..self.end].iter().filter(|&&byte| byte == bracket).count();
        let closes = bytes.get(self.end) == Some(&b')') && count(b'(') > count(b')');
        let joined = bytes[self.end..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        self.end + if closes { 1 } else { joined }
    }

    /// What kind of number it is, where that can be told; `whole` is the text that is replaced.
    fn kind(&self, whole: &[u8]) -> &'static str {
        let letters = whole.iter().any(u8::is_ascii_alphabetic);
        match self.digits {
            _ if letters => "[id]",
            15 if whole.starts_with(b"35") && luhn(whole) => "[imei]",
            12..=19 if luhn(whole) => "[card]",
            7..=15 if matches!(whole, [b'+', ..] | [b'0', b'0', ..] | [b'(', ..]) => "[phone]",
            _ => NUMBER,
        }
    }

    /// How many digits it has.
    pub(super) fn digits(&self) -> usize {
        self.digits
    }

    /// Where it ends.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Whether it is a year, or a year with something behind it.
    pub(super) fn begins_with_year(&self, bytes: &[u8], start: usize) -> bool {
        let year = bytes[start..].starts_with(b"19") || bytes[start..].starts_with(b"20");
        let first = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        year && first == 4 && self.digits <= 6
    }
}

/// Endings of files of scripts, before the line and the column of a frame.
const SCRIPTS: [&[u8]; 8] = [b".js", b".mjs", b".cjs", b".ts", b".jsx", b".tsx", b".vue", b".svelte"];

/// Whether a script's file and its line stand before a column: "main.js:1:" (one line may have millions of signs).
fn is_position(before: &[u8]) -> bool {
    let Some(line) = before.strip_suffix(b":") else { return false };
    let digits = line.iter().rev().take(7).take_while(|byte| byte.is_ascii_digit()).count();
    let file = line[..line.len() - digits].strip_suffix(b":");
    digits > 0 && file.is_some_and(|file| SCRIPTS.iter().any(|ending| file.ends_with(ending)))
}

/// Whether the word at `at` is a script's file and its line follows: "app.js:12345:67".
pub(super) fn is_script(bytes: &[u8], at: usize) -> bool {
    let name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let end = at + bytes[at..].iter().take(64).take_while(name).count();
    let line = matches!(bytes[end..], [b':', digit, ..] if digit.is_ascii_digit());
    line && SCRIPTS.iter().any(|ending| bytes[at..end].ends_with(ending))
}

/// "EN 60335-2-15": what stands before a standard's number.
fn is_standard(before: &[u8]) -> bool {
    const BODIES: [&[u8]; 9] = [b"EN", b"ISO", b"IEC", b"DIN", b"ASTM", b"ANSI", b"IEEE", b"BS", b"UNE"];
    let before = before.trim_ascii_end();
    BODIES.iter().any(|body| {
        before.strip_suffix(*body).is_some_and(|rest| !rest.last().is_some_and(u8::is_ascii_alphanumeric))
    })
}

const CURRENCIES: [&str; 16] =
    ["€", "$", "£", "¥", "₹", "₽", "EUR", "USD", "GBP", "CHF", "JPY", "INR", "PLN", "SEK", "NOK", "DKK"];

fn currency_before(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_suffix(b" ").or(bytes.strip_suffix("\u{a0}".as_bytes())).unwrap_or(bytes);
    CURRENCIES.iter().any(|currency| bytes.ends_with(currency.as_bytes()))
}

fn currency_after(bytes: &[u8]) -> bool {
    // Cents may come first: "1234567.89 EUR".
    let cents = matches!(bytes, [b'.' | b',', a, b, ..] if a.is_ascii_digit() && b.is_ascii_digit());
    let bytes = &bytes[if cents { 3 } else { 0 }..];
    let bytes = bytes.strip_prefix(b" ").or(bytes.strip_prefix("\u{a0}".as_bytes())).unwrap_or(bytes);
    CURRENCIES.iter().any(|currency| bytes.starts_with(currency.as_bytes()))
}
