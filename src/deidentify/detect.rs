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
//! and a place in [`redact_emails`] or [`redact_numbers`].
//!
//! `email` finds e-mail addresses, `ip` the addresses of machines, `moment` the dates and times that are left alone,
//! and `number` walks over a text's digits and asks the latter two before it takes them for somebody's number.

mod email;
mod ip;
mod moment;
mod number;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use email::redact_emails;
use number::redact_numbers;

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
