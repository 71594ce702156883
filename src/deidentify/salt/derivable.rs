//! Whether a salt that lies on the disk could be computed by somebody who never saw it.
//!
//! What is random cannot be proved, but the usual ways to a salt that is not random can be ruled out: bytes with a
//! pattern, text, and digests of the date, alone or with a name.

use blake3::Hash;
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::SALT_BYTES;
use crate::clock::DAY_MS;

/// 32 random bytes have about 30 values; fewer than this happens once in 10^10 salts.
const DISTINCT_MIN: usize = 16;

/// Most sites whose names are tried with the dates: some 30,000 digests each, a few milliseconds of the start.
const SITES_MAX: usize = 100;

/// In words, how `salt` of `day` could be derived; `None`: in no way that is known here.
pub(super) fn derivable(salt: &[u8; SALT_BYTES], day: i64, sites: &[String]) -> Option<&'static str> {
    pattern(salt).or_else(|| digest_of_a_date(salt, day, &sites[..sites.len().min(SITES_MAX)]))
}

/// What is plain to see.
pub(super) fn pattern(salt: &[u8; SALT_BYTES]) -> Option<&'static str> {
    let mut seen = [false; 256];
    salt.iter().for_each(|&byte| seen[usize::from(byte)] = true);
    let step = salt[1].wrapping_sub(salt[0]);
    if salt.iter().all(|&byte| byte == 0) {
        return Some("all zeros");
    }
    if salt.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step) {
        return Some("one byte again and again, or counting bytes");
    }
    if [2, 4, 8, 16].iter().any(|&period| salt[period..] == salt[..SALT_BYTES - period]) {
        return Some("a pattern that repeats");
    }
    if salt.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ' || *byte == b'\n') {
        return Some("text, or the hex of a digest");
    }
    (seen.iter().filter(|&&seen| seen).count() < DISTINCT_MIN).then_some("made of too few different bytes")
}

fn digest_of_a_date(salt: &[u8; SALT_BYTES], day: i64, sites: &[String]) -> Option<&'static str> {
    let mut dates = Vec::new();
    for day in day - 1..=day + 1 {
        spellings(day, &mut dates);
    }
    let names = sites.iter().map(String::as_str).chain(["salt", "consentry"]);
    let names: Vec<&[u8]> = names.map(str::as_bytes).collect();
    let mut input = Vec::new();
    for date in &dates {
        if let Some(found) = is_digest_of(salt, date) {
            return Some(found);
        }
        for name in &names {
            for separator in ["", "-", "_", ":", "|", "/", " "] {
                for (first, second) in [(*name, &date[..]), (&date[..], *name)] {
                    input.clear();
                    [first, separator.as_bytes(), second]
                        .iter()
                        .for_each(|part| input.extend_from_slice(part));
                    if let Some(found) = is_digest_of(salt, &input) {
                        return Some(found);
                    }
                }
            }
        }
    }
    None
}

/// A day as people and programs write it: dates, the number of the day, seconds and milliseconds.
fn spellings(day: i64, found: &mut Vec<Vec<u8>>) {
    let begin_ms = day.saturating_mul(DAY_MS);
    for number in [day, begin_ms / 1000, begin_ms] {
        found.push(number.to_string().into_bytes());
        found.push(number.to_le_bytes().to_vec());
        found.push(number.to_be_bytes().to_vec());
        if let Ok(short) = i32::try_from(number) {
            found.push(short.to_le_bytes().to_vec());
            found.push(short.to_be_bytes().to_vec());
        }
    }
    let Ok(begin) = Timestamp::from_millisecond(begin_ms) else { return };
    let date: Date = begin.to_zoned(TimeZone::UTC).date();
    let (y, m, d) = (date.year(), date.month(), date.day());
    let texts = [
        format!("{y:04}-{m:02}-{d:02}"),
        format!("{y:04}{m:02}{d:02}"),
        format!("{y:04}/{m:02}/{d:02}"),
        format!("{y:04}.{m:02}.{d:02}"),
        format!("{y:04}_{m:02}_{d:02}"),
        format!("{d:02}.{m:02}.{y:04}"),
        format!("{d:02}/{m:02}/{y:04}"),
        format!("{d:02}-{m:02}-{y:04}"),
        format!("{m:02}/{d:02}/{y:04}"),
        format!("{m:02}-{d:02}-{y:04}"),
        format!("{y}-{m}-{d}"),
        format!("{y:04}-{m:02}-{d:02}T00:00:00Z"),
        format!("{y:04}-{m:02}-{d:02}T00:00:00.000Z"),
        format!("{y:04}-{m:02}-{d:02} 00:00:00"),
    ];
    for text in texts {
        // As `echo` writes it, too.
        found.push(format!("{text}\n").into_bytes());
        found.push(text.into_bytes());
    }
}

/// Raw; a short digest may be filled up with anything. (As hex it is text.)
fn is_digest_of(salt: &[u8; SALT_BYTES], input: &[u8]) -> Option<&'static str> {
    let blake3: Hash = blake3::hash(input);
    let found = [
        (matches(salt, blake3.as_bytes()), "the BLAKE3 digest of a date"),
        (matches(salt, &Sha256::digest(input)), "the SHA-256 digest of a date"),
        (matches(salt, &Sha512::digest(input)), "the SHA-512 digest of a date"),
        (matches(salt, &Sha1::digest(input)), "the SHA-1 digest of a date"),
        (matches(salt, &Md5::digest(input)), "the MD5 digest of a date"),
    ];
    found.into_iter().find_map(|(is, what)| is.then_some(what))
}

fn matches(salt: &[u8; SALT_BYTES], digest: &[u8]) -> bool {
    let whole = digest.len().min(SALT_BYTES);
    salt[..whole] == digest[..whole]
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 20_782; // 2026-11-25

    fn verdict(salt: &[u8]) -> Option<&'static str> {
        derivable(salt.try_into().unwrap(), DAY, &["shop".into()])
    }

    #[test]
    fn a_pattern_is_no_salt() {
        let counting: Vec<u8> = (7..39).collect();
        let few: Vec<u8> = (0..32).map(|at: u8| at.wrapping_mul(at).wrapping_mul(13) % 11).collect();
        for (salt, what) in [
            (vec![0; 32], "all zeros"),
            (vec![7; 32], "again"),
            (counting, "counting"),
            (b"0123456789abcdef".repeat(2), "repeats"),
            (b"correct horse battery staple foo".to_vec(), "text"),
            (few, "few"),
        ] {
            let found = verdict(&salt).unwrap_or_else(|| panic!("{what}"));
            assert!(found.contains(what), "{found} / {what}");
        }
    }

    #[test]
    fn a_digest_of_the_date_is_no_salt() {
        for date in
            ["2026-11-25", "20261125", "25.11.2026", "2026-11-25\n", "20782", "1795564800", "1795564800000"]
        {
            for input in
                [date.to_owned(), format!("shop-{date}"), format!("{date}:shop"), format!("salt{date}")]
            {
                let sha256 = Sha256::digest(&input).to_vec();
                let hex: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
                let md5: String = Md5::digest(&input).iter().map(|byte| format!("{byte:02x}")).collect();
                let mut sha1 = Sha1::digest(&input).to_vec();
                sha1.resize(32, 0);
                let blake3 = blake3::hash(input.as_bytes()).as_bytes().to_vec();
                for (salt, what) in [
                    (sha256, "SHA-256"),
                    (hex.as_bytes()[..32].to_vec(), "text"),
                    (md5.into_bytes(), "text"),
                    (sha1, "SHA-1"),
                    (blake3, "BLAKE3"),
                ] {
                    let found = verdict(&salt).unwrap_or_else(|| panic!("{what} of {input}"));
                    assert!(found.contains(what), "{found}: {what} of {input}");
                }
            }
        }
    }

    #[test]
    fn random_bytes_pass() {
        for _ in 0..20 {
            let mut salt = [0; SALT_BYTES];
            getrandom::fill(&mut salt).unwrap();
            assert_eq!(verdict(&salt), None);
        }
    }
}
