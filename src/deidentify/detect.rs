//! Finds what could say who somebody is in free text, and puts a word in its place.
//!
//! | found | becomes |
//! |---|---|
//! | e-mail addresses, also with the at sign encoded or written out | `[email]` |
//! | IPv4 and IPv6 addresses | `[ip]` |
//! | telephone numbers with their prefix, or beside a word that announces them | `[phone]` |
//! | card numbers, IMEIs (Luhn), international account numbers (ISO 13616) | `[card]`, `[imei]`, `[iban]` |
//! | seven or more digits, also in groups and in one word with letters | `[number]`, `[id]` |
//! | identity, tax, health and social numbers, passports, licences | `[id]` |
//! | UUIDs and advertising ids, hardware addresses | `[uuid]`, `[mac]` |
//! | vehicle numbers and plates | `[vehicle]` |
//! | postal addresses, coordinates | `[address]`, `[location]` |
//! | tokens, keys, what decodes to an identifier | `[token]`, `[key]` |
//! | users and queries in URLs, user names in paths of files | `[auth]`, `[query]`, `[user]` |
//! | what a label announces, see `keys` | `[name]`, `[birthday]`, `[secret]` and the like |
//!
//! Where it is in doubt, it redacts; dates, times, versions, amounts of money and pairs of years stay. (Policy:
//! name, telephone, e-mail, card and account numbers "found in free text, URLs, props, stacks -> redacted".)
//! What cannot be told by its form or its label, a name in running text above all, stays: the answer to that is to
//! list the properties and parameters that are kept.
//!
//! Ordinary text is let through by one pass over its bytes that counts signs, borrowed and without allocation.
//! Otherwise each detector whose sign is there makes one pass, until nothing more is found; then the same is done to
//! what the text looks like once encodings and compatibility forms are taken off (`veil`). All is linear in the text.
//! Adding a detector: give it a sign in [`Signs`] and a place in [`DETECTORS`].

mod checks;
mod code;
mod email;
mod ip;
mod keys;
mod known;
mod label;
mod moment;
mod number;
mod place;
mod secret;
#[cfg(test)]
mod tests;
mod urls;
mod veil;

use std::borrow::Cow;

pub use keys::kind_of_key;

use code::redact_codes;
use email::{redact_emails, redact_spelt_emails};
use label::{redact_announced, redact_labelled};
use number::redact_numbers;
use place::redact_places;
use secret::redact_secrets;
use urls::redact_urls;

use crate::lookups::Cached;

/// This many digits make a number that could be somebody's.
const NUMBER_DIGITS_MIN: usize = 7;

/// A find may uncover another that it touched ("5551234567::1"), so a text with finds is looked at again, but not for ever.
const ROUNDS_MAX: usize = 4;

const EMAIL: &str = "[email]";
const IP: &str = "[ip]";
const NUMBER: &str = "[number]";

/// Every word that takes an identifier's place. What else stands in brackets is a sender's own, "[jane]" too.
const KINDS: [&str; 26] = [
    EMAIL,
    IP,
    NUMBER,
    "[account]",
    "[address]",
    "[auth]",
    "[birthday]",
    "[card]",
    "[device]",
    "[iban]",
    "[id]",
    "[imei]",
    "[imsi]",
    "[key]",
    "[location]",
    "[mac]",
    "[name]",
    "[personal]",
    "[phone]",
    "[query]",
    "[secret]",
    "[token]",
    "[user]",
    "[uuid]",
    "[vehicle]",
    "[work]",
];

/// Whether a text begins with a word that a detector has put there.
fn begins_with_kind(text: &str) -> bool {
    text.starts_with('[') && KINDS.iter().any(|kind| text.starts_with(kind))
}

/// Text without identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted<'a> {
    /// The text, borrowed where nothing was found.
    pub text: Cow<'a, str>,
    /// How many finds were replaced (65535 stands for more).
    pub count: u16,
}

/// Replaces identifiers in `text` by `[kind]`.
///
/// Redacting twice gives the same as redacting once. Cut a text to length after redacting it, not before: half of
/// an e-mail address is no longer recognised as one.
pub fn redact(text: &str) -> Redacted<'_> {
    redact_signed(text, Signs::of(text.as_bytes()))
}

/// [`redact`] of what is left of a line of text by [`clean`].
pub fn redact_line(text: &str) -> Redacted<'_> {
    redact_cleaned(text, clean)
}

/// [`redact`] of what is left of a text by [`clean_lines`].
pub fn redact_lines(text: &str) -> Redacted<'_> {
    redact_cleaned(text, clean_lines)
}

fn redact_cleaned(text: &str, clean: fn(&str, usize) -> Cow<'_, str>) -> Redacted<'_> {
    let signs = Signs::of(text.as_bytes());
    // One pass over most texts: without a control character there is nothing to be cleaned.
    if signs.controls + signs.wide == 0 {
        return redact_signed(text, signs);
    }
    match clean(text, usize::MAX) {
        Cow::Borrowed(text) => redact(text),
        Cow::Owned(text) => {
            let Redacted { text, count } = redact(&text);
            Redacted { text: Cow::Owned(text.into_owned()), count }
        }
    }
}

fn redact_signed(text: &str, signs: Signs) -> Redacted<'_> {
    // What has neither escapes nor other scripts hides nothing.
    let veiled = signs.percents + signs.ampersands + signs.backslashes + signs.wide > 0;
    if !veiled && signs.none() {
        return Redacted { text: Cow::Borrowed(text), count: 0 };
    }
    let place = known::Place::of(text);
    if let Some(redacted) = place.as_ref().and_then(|place| place.recall(text)) {
        Cached::Texts.found();
        return redacted;
    }
    Cached::Texts.made();
    let redacted = redact_unknown(text, signs, veiled);
    if let Some(place) = place {
        place.remember(&redacted);
    }
    redacted
}

fn redact_unknown(text: &str, signs: Signs, veiled: bool) -> Redacted<'_> {
    // First as a reader sees it: "ja<zero width>ne@..." would else lose its second half alone.
    if veiled && let Some(seen) = veil::unveil(text) {
        let found = plain(&seen, Signs::of(seen.as_bytes()));
        if found.count > 0 {
            return Redacted { text: Cow::Owned(found.text.into_owned()), count: found.count };
        }
    }
    plain(text, signs)
}

/// What stands for the value of a field of this name: `None` where the value is to be looked at for itself.
///
/// A field called "name" is a person's where its value is written like a person's name.
pub fn redact_field(name: &str, value: &str) -> Option<&'static str> {
    if KINDS.contains(&value) || keys::is_harmless(value) {
        return None;
    }
    let person = || {
        let mut words = value.split(' ');
        let capitalised = |word: &str| {
            word.starts_with(char::is_uppercase)
                && word.chars().all(|c| c.is_alphabetic() || "'-.’".contains(c))
        };
        (name.eq_ignore_ascii_case("name") || name.eq_ignore_ascii_case("nombre"))
            && (2..=4).contains(&value.split(' ').count())
            && words.all(capitalised)
    };
    kind_of_key(name).or_else(|| person().then_some("[name]"))
}

/// A detector: whether its sign is there, and its pass over the text.
type Detector = (fn(&Signs, &str) -> bool, fn(&mut Redacted<'_>));

/// In the order of their passes: what takes in more comes first.
const DETECTORS: [Detector; 9] = [
    (|signs, _| signs.may_hold_url(), redact_urls),
    (|signs, text| signs.may_hold_secret(text.len()), redact_secrets),
    (Signs::may_hold_email, redact_emails),
    (|signs, _| signs.brackets > 0, redact_spelt_emails),
    (|signs, _| signs.labels > 0, redact_labelled),
    (|signs, text| signs.may_hold_code(text.len()), redact_codes),
    // An address has words, a blank or another script between them.
    (|signs, _| signs.digits > 0 && signs.blanks + signs.wide > 0, redact_places),
    (|signs, _| signs.may_hold_number(), redact_numbers),
    (|signs, _| signs.digits > 1 && signs.blanks + signs.labels > 0, redact_announced),
];

/// Replaces identifiers in a text that hides none and has these signs.
fn plain(text: &str, mut signs: Signs) -> Redacted<'_> {
    let mut redacted = Redacted { text: Cow::Borrowed(text), count: 0 };
    let mut until = DETECTORS.len();
    for _ in 0..ROUNDS_MAX {
        if signs.none() {
            break;
        }
        let mut last = None;
        for (index, (has_sign, redact)) in DETECTORS[..until].iter().enumerate() {
            let before = redacted.count;
            if has_sign(&signs, &redacted.text) {
                redact(&mut redacted);
            }
            if redacted.count > before {
                last = Some(index);
            }
        }
        // Those behind the last that found something have seen the text as it is now.
        let Some(last) = last else { break };
        until = last + 1;
        signs = Signs::of(redacted.text.as_bytes());
    }
    redacted
}

/// `text` without control characters (C0, DEL, C1), each replaced by a space so that words do not grow together,
/// and cut to `bytes_max` at a character's boundary.
pub fn clean(text: &str, bytes_max: usize) -> Cow<'_, str> {
    without::<false>(text, bytes_max)
}

/// As [`clean`], but line feeds stay: for stacks, whose frames are lines.
pub fn clean_lines(text: &str, bytes_max: usize) -> Cow<'_, str> {
    without::<true>(text, bytes_max)
}

fn without<const LINES: bool>(text: &str, bytes_max: usize) -> Cow<'_, str> {
    let text = &text[..text.floor_char_boundary(bytes_max)];
    // The bytes of C1 controls are 0xC2 and one of 0x80..=0x9F; 0xC2 alone makes the slow path look closer. Counted and
    // not searched, so that many bytes are looked at in one step.
    let odd = |&byte: &u8| (byte < 0x20 && !(LINES && byte == b'\n')) | (byte == 0x7F) | (byte == 0xC2);
    let unwanted = |c: char| c.is_control() && !(LINES && c == '\n');
    if text.as_bytes().iter().filter(|byte| odd(byte)).count() == 0 || !text.contains(unwanted) {
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
    slashes: usize,
    backslashes: usize,
    /// Opening brackets of any kind.
    brackets: usize,
    /// Colons and equals signs.
    labels: usize,
    dashes: usize,
    capitals: usize,
    /// Blanks and line ends.
    blanks: usize,
    ampersands: usize,
    /// Control characters of ASCII.
    controls: usize,
    /// Bytes of characters beyond ASCII.
    wide: usize,
}

/// Classes of bytes, by which they are counted.
mod class {
    pub(super) const OTHER: u8 = 0;
    pub(super) const DIGIT: u8 = 1;
    pub(super) const DOT: u8 = 2;
    pub(super) const COLON: u8 = 3;
    pub(super) const AT: u8 = 4;
    pub(super) const PERCENT: u8 = 5;
    pub(super) const SLASH: u8 = 6;
    pub(super) const BACKSLASH: u8 = 7;
    pub(super) const BRACKET: u8 = 8;
    pub(super) const EQUALS: u8 = 9;
    pub(super) const DASH: u8 = 10;
    pub(super) const CAPITAL: u8 = 11;
    pub(super) const BLANK: u8 = 12;
    pub(super) const AMPERSAND: u8 = 13;
    pub(super) const WIDE: u8 = 14;
    /// Line ends among them.
    pub(super) const CONTROL: u8 = 15;
    pub(super) const COUNT: usize = 16;

    /// The class of each byte; a small letter, a comma and the like say nothing.
    pub(super) static OF: [u8; 256] = {
        let mut of = [OTHER; 256];
        let mut byte = 0;
        while byte < 256 {
            of[byte] = match byte as u8 {
                b'0'..=b'9' => DIGIT,
                b'A'..=b'Z' => CAPITAL,
                b'.' => DOT,
                b':' => COLON,
                b'@' => AT,
                b'%' => PERCENT,
                b'/' => SLASH,
                b'\\' => BACKSLASH,
                b'(' | b'[' | b'{' => BRACKET,
                b'=' => EQUALS,
                b'-' => DASH,
                b' ' => BLANK,
                0..0x20 | 0x7F => CONTROL,
                b'&' => AMPERSAND,
                0x80.. => WIDE,
                _ => OTHER,
            };
            byte += 1;
        }
        of
    };
}

impl Signs {
    fn of(text: &[u8]) -> Self {
        // Two rows of counters, so that neighbours of one class need not wait for each other.
        let mut counts = [[0_u32; class::COUNT]; 2];
        let (pairs, last) = text.as_chunks::<2>();
        for &[first, second] in pairs {
            counts[0][usize::from(class::OF[usize::from(first)] & 15)] += 1;
            counts[1][usize::from(class::OF[usize::from(second)] & 15)] += 1;
        }
        for &byte in last {
            counts[0][usize::from(class::OF[usize::from(byte)] & 15)] += 1;
        }
        let count = |class: u8| (counts[0][usize::from(class)] + counts[1][usize::from(class)]) as usize;
        let colons = count(class::COLON);
        Self {
            digits: count(class::DIGIT),
            dots: count(class::DOT),
            colons,
            ats: count(class::AT),
            percents: count(class::PERCENT),
            slashes: count(class::SLASH),
            backslashes: count(class::BACKSLASH),
            brackets: count(class::BRACKET),
            labels: colons + count(class::EQUALS),
            dashes: count(class::DASH),
            capitals: count(class::CAPITAL),
            // Of controls line ends alone are left in a text that was cleaned.
            blanks: count(class::BLANK) + count(class::CONTROL),
            controls: count(class::CONTROL),
            ampersands: count(class::AMPERSAND),
            wide: count(class::WIDE),
        }
    }

    /// Words alone.
    fn none(&self) -> bool {
        self.digits + self.ats + self.percents + self.backslashes + self.brackets + self.labels == 0
            && self.slashes < 2
            && self.dashes < 5
            && self.capitals < 4
    }

    /// A scheme's slashes, or the three of a path of a file.
    fn may_hold_url(&self) -> bool {
        self.slashes > 1 && self.colons > 0 || self.slashes > 2 || self.backslashes > 0
    }

    fn may_hold_email(&self, text: &str) -> bool {
        self.ats > 0 || self.percents > 0 && (text.contains("%40") || text.contains("%2540"))
    }

    fn may_hold_secret(&self, length: usize) -> bool {
        length >= 16 && (self.digits > 0 || self.dashes >= 5 || self.labels > 0)
    }

    /// Documents have digits, opaque tokens too or are long; hardware addresses may be all letters.
    fn may_hold_code(&self, length: usize) -> bool {
        // A text in base64 has capitals and digits, now and then no digit.
        let encoded = length >= 12 && (self.digits > 0 || self.labels > 0 || self.capitals >= 4);
        self.digits > 1 || encoded || self.colons >= 5 || self.dashes >= 4
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
