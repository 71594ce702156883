//! Finds what could say who somebody is in free text, and puts a word in its place.
//!
//! | found | becomes |
//! |---|---|
//! | e-mail addresses, also with the at sign as `%40` or `%2540` | `[email]` |
//! | IPv4 and IPv6 addresses | `[ip]` |
//! | seven or more digits, also in groups as in telephone and card numbers | `[number]` |
//!
//! Where it is in doubt, it redacts; dates, times, versions, amounts of money and pairs of years stay. (Policy:
//! name, telephone, e-mail, card and account numbers "found in free text, URLs, props, stacks -> redacted".)
//!
//! Ordinary text is let through by one pass over its bytes that counts signs, borrowed and without allocation.
//! Otherwise e-mail addresses go first, since their local part may look like a number, then the rest in one more
//! pass, until nothing more is found. All is linear in the text. Adding a detector: give it a sign in [`Signs`],
//! and a place in [`redact_emails`] or [`redact_numbers`]. (A long file, since each rule for what a run of digits is depends on the
//! others: dates end numbers, addresses end dates.)

use std::borrow::Cow;
use std::net::Ipv6Addr;

#[cfg(test)]
#[path = "detect_tests.rs"]
mod tests;

/// This many digits make a number that could be somebody's.
const NUMBER_DIGITS_MIN: usize = 7;

/// A find may uncover another that it touched ("5551234567::1"), so a text with finds is looked at again, but not for ever.
const ROUNDS_MAX: usize = 4;

const EMAIL: &str = "[email]";
const IP: &str = "[ip]";
const NUMBER: &str = "[number]";

/// Text without identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted<'a> {
    /// The text, borrowed where nothing was found.
    pub text: Cow<'a, str>,
    /// How many finds were replaced (65535 stands for more).
    pub count: u16,
}

/// Replaces identifiers in `text` by `[email]`, `[ip]` and `[number]`.
///
/// Redacting twice gives the same as redacting once. Cut a text to length after redacting it, not before: half of
/// an e-mail address is no longer recognised as one.
pub fn redact(text: &str) -> Redacted<'_> {
    let mut redacted = Redacted { text: Cow::Borrowed(text), count: 0 };
    for _ in 0..ROUNDS_MAX {
        let before = redacted.count;
        let signs = Signs::of(redacted.text.as_bytes());
        if signs.may_hold_email(&redacted.text) {
            redact_emails(&mut redacted);
        }
        if signs.may_hold_number() {
            redact_numbers(&mut redacted);
        }
        if redacted.count == before {
            break;
        }
    }
    redacted
}

/// `text` without control characters (C0, DEL, C1), each replaced by a space so that words do not grow together,
/// and cut to `bytes_max` at a character's boundary.
pub fn clean(text: &str, bytes_max: usize) -> Cow<'_, str> {
    without(text, bytes_max, char::is_control)
}

/// As [`clean`], but line feeds stay: for stacks, whose frames are lines.
pub fn clean_lines(text: &str, bytes_max: usize) -> Cow<'_, str> {
    without(text, bytes_max, |c| c.is_control() && c != '\n')
}

fn without(text: &str, bytes_max: usize, unwanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    let text = &text[..text.floor_char_boundary(bytes_max)];
    // The bytes of C1 controls are 0xC2 and one of 0x80..=0x9F; 0xC2 alone makes the slow path look closer.
    if text.bytes().all(|byte| byte >= 0x20 && byte != 0x7F && byte != 0xC2) || !text.contains(&unwanted) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if unwanted(c) { ' ' } else { c }).collect())
}

/// What a text holds, counted in one pass.
#[derive(Default)]
struct Signs {
    digits: usize,
    dots: usize,
    colons: usize,
    ats: usize,
    percents: usize,
}

impl Signs {
    fn of(text: &[u8]) -> Self {
        let mut signs = Self::default();
        // Counters of one byte let the compiler count a vector's worth of bytes at a time.
        for chunk in text.chunks(255) {
            let (mut digits, mut dots, mut colons, mut ats, mut percents) = (0_u8, 0_u8, 0_u8, 0_u8, 0_u8);
            for &byte in chunk {
                digits += u8::from(byte.wrapping_sub(b'0') < 10);
                dots += u8::from(byte == b'.');
                colons += u8::from(byte == b':');
                ats += u8::from(byte == b'@');
                percents += u8::from(byte == b'%');
            }
            signs.digits += usize::from(digits);
            signs.dots += usize::from(dots);
            signs.colons += usize::from(colons);
            signs.ats += usize::from(ats);
            signs.percents += usize::from(percents);
        }
        signs
    }

    fn may_hold_email(&self, text: &str) -> bool {
        self.ats > 0 || self.percents > 0 && (text.contains("%40") || text.contains("%2540"))
    }

    fn may_hold_number(&self) -> bool {
        let ipv4 = self.dots >= 3 && self.digits >= 4;
        let ipv6 = self.colons >= 2 && self.digits >= 1;
        self.digits >= NUMBER_DIGITS_MIN || ipv4 || ipv6
    }
}

/// A text being rewritten: nothing is copied before the first find.
struct Rewrite<'a> {
    text: &'a str,
    out: String,
    copied: usize,
    count: u16,
}

impl<'a> Rewrite<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, out: String::new(), copied: 0, count: 0 }
    }

    /// Puts `word` in place of the bytes from `start` to `end`, both boundaries of characters.
    fn replace(&mut self, start: usize, end: usize, word: &str) {
        self.out.push_str(&self.text[self.copied..start]);
        self.out.push_str(word);
        self.copied = end;
        self.count = self.count.saturating_add(1);
    }

    /// The new text and the number of finds; `None` where there was no find.
    fn finish(mut self) -> Option<(String, u16)> {
        if self.count == 0 {
            return None;
        }
        self.out.push_str(&self.text[self.copied..]);
        Some((self.out, self.count))
    }
}

fn take_over(redacted: &mut Redacted<'_>, found: Option<(String, u16)>) {
    if let Some((text, count)) = found {
        redacted.text = Cow::Owned(text);
        redacted.count = redacted.count.saturating_add(count);
    }
}

// E-mail addresses.

fn redact_emails(redacted: &mut Redacted<'_>) {
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
    let named = domain.split('.').any(|label| label.starts_with(char::is_alphabetic));
    let addressed = ipv4_end(domain.as_bytes(), 0) == Some(domain.len());
    if named || addressed { start + domain.len() } else { start }
}

// Addresses and numbers.

fn redact_numbers(redacted: &mut Redacted<'_>) {
    let mut rewrite = Rewrite::new(&redacted.text);
    let bytes = rewrite.text.as_bytes();
    // An IPv6 address is looked for once in each run of its characters.
    let mut ipv6_from = 0;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if at >= ipv6_from && (byte == b':' || byte.is_ascii_hexdigit()) {
            let run = bytes[at..]
                .iter()
                .take_while(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte))
                .count();
            ipv6_from = at + run;
            if let Some((start, end)) = ipv6_within(rewrite.text, at, at + run) {
                rewrite.replace(start, end, IP);
                at = end;
                continue;
            }
        }
        if !byte.is_ascii_digit() {
            at += 1;
            continue;
        }
        if let Some(end) = ipv4_end(bytes, at) {
            rewrite.replace(at, end, IP);
            at = end;
        } else if let Some(end) = moment_end(bytes, at) {
            at = end;
        } else {
            let run = Run::at(bytes, at);
            if run.is_somebodys(bytes, at) {
                let start = run.start_with_prefix(bytes, at, rewrite.copied);
                let end = run.end_with_bracket(bytes, start);
                rewrite.replace(start, end, NUMBER);
                at = end;
            } else {
                at = run.end;
            }
        }
    }
    let found = rewrite.finish();
    take_over(redacted, found);
}

/// Bounds of the IPv6 address in `text[start..end]`, which holds only hexadecimal digits, colons and dots.
fn ipv6_within(text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let run = &text[start..end];
    let colons = run.bytes().filter(|&byte| byte == b':').count();
    // Words of a programming language ("d::e") look like addresses but for the digits.
    if colons < 2 || !run.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The sentence's own punctuation: "from fe80::1.", "ip:2001:db8::1", "2001:db8::1: refused".
    let mut run = run.trim_matches('.');
    if !run.starts_with("::") {
        run = run.trim_start_matches(':');
    }
    if !run.ends_with("::") {
        run = run.trim_end_matches(':');
    }
    let start = start + (run.as_ptr() as usize - text[start..].as_ptr() as usize);
    let end = start + run.len();
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let stands_alone = !is_word(bytes[..start].last()) && !is_word(bytes.get(end));
    let groups_fit = run.split([':', '.']).all(|group| group.len() <= 4);
    let complete = run.matches(':').count() >= 7 && groups_fit;
    // With a port, or cut out of something longer, an abbreviated address no longer parses.
    let abbreviated = run.contains("::") && groups_fit && run.len() >= 8;
    let parses = run.parse::<Ipv6Addr>().is_ok();
    let found = complete || (stands_alone || run.len() >= 10) && (parses || abbreviated);
    found.then_some((start, end))
}

/// Where the IPv4 address that starts at `start` ends: four numbers up to 255, not part of a longer dotted number.
fn ipv4_end(bytes: &[u8], start: usize) -> Option<usize> {
    let before = &bytes[..start];
    // "v1.2.3.4" calls itself a version.
    let is_version =
        matches!(before, [.., b'v' | b'V']) && !matches!(before, [.., a, _] if a.is_ascii_alphanumeric());
    if is_version || matches!(before, [.., d, b'.'] if d.is_ascii_digit()) {
        return None;
    }
    let mut at = start;
    for octet in 0..4 {
        if octet > 0 {
            at += usize::from(bytes.get(at) == Some(&b'.'));
        }
        let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = bytes[at..at + length.min(3)]
            .iter()
            .fold(0_u16, |value, byte| 10 * value + u16::from(byte - b'0'));
        if !(1..=3).contains(&length) || value > 255 || octet < 3 && bytes.get(at + length) != Some(&b'.') {
            return None;
        }
        at += length;
    }
    let goes_on = matches!(bytes[at..], [b'.', d, ..] if d.is_ascii_digit());
    (!goes_on).then_some(at)
}

/// The number at `at` of `min` to `max` digits that no further digit follows, and where it ends.
fn number(bytes: &[u8], at: usize, min: usize, max: usize) -> Option<(u32, usize)> {
    let rest = bytes.get(at..)?;
    let length = rest.iter().take(max + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let value = rest[..length].iter().fold(0, |value, byte| 10 * value + u32::from(byte - b'0'));
    (min..=max).contains(&length).then_some((value, at + length))
}

/// Where a date, a time or both, which start at `at`, end.
fn moment_end(bytes: &[u8], at: usize) -> Option<usize> {
    match date_end(bytes, at) {
        Some(end) => {
            let time =
                matches!(bytes.get(end), Some(b'T' | b't' | b' ' | b'_')).then(|| time_end(bytes, end + 1));
            Some(time.flatten().unwrap_or(end))
        }
        None => time_end(bytes, at),
    }
}

/// "2026-11-23", "23.11.2026", "11/23/2026": one separator twice, a year from 1900 to 2099, a day and a month.
fn date_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (first, end) = number(bytes, at, 1, 4)?;
    let separator = *bytes.get(end).filter(|byte| b"-/.".contains(byte))?;
    let (second, second_end) = number(bytes, end + 1, 1, 2)?;
    if bytes.get(second_end) != Some(&separator) {
        return None;
    }
    let (third, third_end) = number(bytes, second_end + 1, 1, 4)?;
    let is_year = |value: u32, length: usize| length == 4 && (1900..2100).contains(&value);
    let is_day = |value: u32, length: usize| length <= 2 && (1..=31).contains(&value);
    let (first_length, third_length) = (end - at, third_end - second_end - 1);
    let year_first =
        is_year(first, first_length) && is_day(third, third_length) && (1..=12).contains(&second);
    let year_last = is_year(third, third_length)
        && is_day(first, first_length)
        && is_day(second, second_end - end - 1)
        && (first <= 12 || second <= 12);
    // More of the same separator is a longer number; slashes are a path, whose parts stand on their own.
    let joined_before =
        separator != b'/' && matches!(bytes[..at], [.., d, s] if s == separator && d.is_ascii_digit());
    let joined_after =
        separator != b'/' && matches!(bytes[third_end..], [s, d, ..] if s == separator && d.is_ascii_digit());
    ((year_first || year_last) && !joined_before && !joined_after).then_some(third_end)
}

/// "9:30", "09:30:59.123456Z", "09:30:59+02:00".
fn time_end(bytes: &[u8], at: usize) -> Option<usize> {
    if matches!(bytes[..at], [.., b':']) {
        return None;
    }
    let (_, hour_end) = number(bytes, at, 1, 2).filter(|&(hour, _)| hour <= 24)?;
    let two_digits = |at: usize| {
        let after_colon = bytes.get(at) == Some(&b':');
        after_colon
            .then(|| number(bytes, at + 1, 2, 2))
            .flatten()
            .filter(|&(value, _)| value <= 60)
            .map(|(_, end)| end)
    };
    let mut end = two_digits(hour_end)?;
    if let Some(seconds_end) = two_digits(end) {
        end = seconds_end;
        if matches!(bytes.get(end), Some(b'.' | b','))
            && let Some((_, fraction_end)) = number(bytes, end + 1, 1, 9)
        {
            end = fraction_end;
        }
    }
    if matches!(bytes.get(end), Some(b'+' | b'-'))
        && let Some((_, zone_end)) = number(bytes, end + 1, 2, 2)
        && let Some(minutes_end) = two_digits(zone_end)
    {
        end = minutes_end;
    }
    Some(end)
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
        [b'(' | b')' | b'+', ..] => Some((BRACKET, 1)),
        [0xC2, 0xA0, ..] => Some((SPACE, 2)),
        [0xE2, 0x80, 0x87 | 0x89 | 0xAF, ..] => Some((SPACE, 3)),
        [0xE2, 0x80, 0x90..=0x93, ..] => Some((OTHER, 3)),
        _ => None,
    }
}

/// Groups of digits with separators between them.
struct Run {
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
    fn at(bytes: &[u8], start: usize) -> Self {
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
        !(amount || decimal || version || round || years)
    }

    /// Takes in a plus or a bracket before the number, but nothing before `floor`.
    fn start_with_prefix(&self, bytes: &[u8], start: usize, floor: usize) -> usize {
        let prefix = bytes[floor..start].iter().rev().take(2).take_while(|byte| b"+(".contains(byte)).count();
        start - prefix
    }

    /// Takes in the closing bracket where it was opened in the number.
    fn end_with_bracket(&self, bytes: &[u8], start: usize) -> usize {
        let count = |bracket: u8| bytes[start..self.end].iter().filter(|&&byte| byte == bracket).count();
        let closes = bytes.get(self.end) == Some(&b')') && count(b'(') > count(b')');
        self.end + usize::from(closes)
    }
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
