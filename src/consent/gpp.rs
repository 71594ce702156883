//! GPP strings: the Global Privacy Platform of IAB Tech Lab, "Consent String Specification" 1.0.
//!
//! A header names the sections that follow, in order. Section 2 is a TC string and is read as one where the site has
//! terms for it; section 6 is a US Privacy string; sections 7 to 27 are those of the United States, which object or say
//! nothing. Any other section, known or not, says nothing of analytics.
//!
//! What is read, and cannot be read, is malformed, also beside a section that can. Of several sections the strictest
//! counts: malformed, deny, veto, grant, nothing.

#[cfg(test)]
mod tests;
mod us;

pub(crate) use us::us_privacy;

use super::Reading;
use super::tcf::{self, Bits, Terms};

/// The longest string that is read.
const STRING_BYTES_MAX: usize = 4096;

/// How many sections a string may have. Twenty-seven ids are given out.
const SECTIONS_MAX: usize = 64;

/// Reads a GPP string. Without terms its section 2 says nothing.
pub(crate) fn read(gpp: &str, terms: Option<&Terms>, now_ms: i64) -> Reading {
    sections(gpp, |id, section| match (id, terms) {
        (2, Some(terms)) => tcf::read(section, terms, now_ms),
        (6, _) => us_privacy(section),
        (7..=27, _) => us::section(id, section),
        _ => Reading::Nothing,
    })
    .unwrap_or(Reading::Malformed)
}

/// Walks header and sections side by side and combines the readings. `None`: the header is not one, or does not name
/// as many sections as there are. No step is taken for which there is no section, so a header cannot ask for work that
/// the string has no room for.
fn sections(gpp: &str, mut read: impl FnMut(u32, &str) -> Reading) -> Option<Reading> {
    if gpp.len() > STRING_BYTES_MAX {
        return None;
    }
    let mut parts = gpp.split('~');
    let mut header = Bits::new(parts.next()?)?;
    // Type 3, version 1.
    if header.take(12)? != 3 << 6 | 1 {
        return None;
    }
    let entries = header.take(12)?;
    let (mut last, mut met, mut combined) = (0, 0, Reading::Nothing);
    for _ in 0..entries {
        let is_range = header.take(1)? == 1;
        let first = fibonacci(&mut header)?.checked_add(last)?;
        last = if is_range { fibonacci(&mut header)?.checked_add(first)? } else { first };
        for id in first..=last {
            met += 1;
            if met > SECTIONS_MAX {
                return None;
            }
            combined = stricter(combined, read(id, parts.next()?));
        }
    }
    // The padding goes to the next character, byte or three bytes.
    (parts.next().is_none() && header.is_padding(24)).then_some(combined)
}

/// A number in Fibonacci coding: the sum of the Fibonacci numbers 1, 2, 3, 5... whose bits are set, ended by a second
/// set bit in a row. A code that does not end within 32 bits is no section's id.
fn fibonacci(bits: &mut Bits<'_>) -> Option<u32> {
    let ahead = bits.peek();
    let pairs = ahead & ahead << 1;
    if pairs == 0 {
        return None;
    }
    // The first of the pair is the last that counts.
    let last = pairs.leading_zeros();
    bits.skip(last as usize + 2)?;
    let (mut sum, mut term, mut next) = (0, 1, 2);
    for place in 0..=last {
        sum += term * (ahead >> (31 - place) & 1);
        (term, next) = (next, term + next);
    }
    Some(sum)
}

/// The one of two readings that counts.
fn stricter(one: Reading, other: Reading) -> Reading {
    let rank = |reading| match reading {
        Reading::Malformed => 0,
        Reading::Deny => 1,
        Reading::Veto => 2,
        Reading::NoShare => 3,
        Reading::Grant => 4,
        Reading::Nothing => 5,
    };
    if rank(other) < rank(one) { other } else { one }
}
