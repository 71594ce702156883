//! The forms in which an identifier may be kept, and one pass over any number of bytes that finds them all.

use std::collections::HashMap;
use std::io;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sha2::Digest;

use super::canary::{Canary, SEARCHED_BYTES_MIN, full_width, percent, zero_width};

/// Of a digest this many bytes are looked for, so one that was cut to 64 bits is found too.
const DIGEST_BYTES: usize = 8;
/// Base64 digits that stand for the same bits whatever follows.
const DIGEST_BASE64: usize = 10;

/// What a pattern stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Needle {
    /// The kind of canary.
    pub kind: &'static str,
    /// The form it is in.
    pub form: &'static str,
}

/// All patterns, ready to search.
#[derive(Debug)]
pub struct Needles {
    automaton: AhoCorasick,
    of: Vec<Needle>,
    longest: usize,
    /// Kinds that are sent and cannot be searched for.
    pub unsearchable: Vec<&'static str>,
}

/// The forms that are looked for, in words.
pub const FORMS: [&str; 14] = [
    "raw",
    "lower case",
    "upper case",
    "percent-encoded",
    "hexadecimal",
    "base64",
    "UTF-16",
    "full-width",
    "zero-width joined",
    "packed bytes",
    "MD5",
    "SHA-1",
    "SHA-256",
    "BLAKE3",
];

#[derive(Default)]
struct Builder {
    patterns: HashMap<Vec<u8>, Needle>,
}

impl Builder {
    fn add(&mut self, kind: &'static str, form: &'static str, pattern: impl Into<Vec<u8>>) {
        let pattern = pattern.into();
        if pattern.len() >= SEARCHED_BYTES_MIN {
            self.patterns.entry(pattern).or_insert(Needle { kind, form });
        }
    }

    /// Every form of a text that can be turned back.
    fn forms(&mut self, kind: &'static str, text: &str) {
        for (form, text) in [
            ("raw", text.to_owned()),
            ("lower case", text.to_lowercase()),
            ("upper case", text.to_uppercase()),
        ] {
            self.add(kind, form, text.clone());
            let escaped = percent(text.as_bytes());
            self.add(kind, "percent-encoded", escaped.to_lowercase());
            self.add(kind, "percent-encoded", escaped);
            let all: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            self.add(kind, "percent-encoded", all.to_lowercase());
            self.add(kind, "percent-encoded", all);
            self.hex(kind, "hexadecimal", text.as_bytes());
            self.base64(kind, text.as_bytes());
            self.add(kind, "UTF-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
            self.add(kind, "full-width", full_width(&text));
            self.add(kind, "zero-width joined", zero_width(&text));
        }
    }

    fn hex(&mut self, kind: &'static str, form: &'static str, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add(kind, form, hex.to_uppercase());
        self.add(kind, form, hex);
    }

    /// In a longer text the base64 of a part depends on where it begins: three ways, without the digits that its
    /// neighbours have a part in.
    fn base64(&mut self, kind: &'static str, bytes: &[u8]) {
        for before in 0..3_usize {
            let shifted = [&vec![0; before][..], bytes].concat();
            let first = (before * 8).div_ceil(6);
            let last = shifted.len() * 8 / 6;
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                if let Some(digits) = engine.encode(&shifted).get(first..last) {
                    self.add(kind, "base64", digits);
                }
            }
        }
    }

    fn digests(&mut self, kind: &'static str, bytes: &[u8]) {
        let digests: [(&'static str, Vec<u8>); 4] = [
            ("MD5", md5::Md5::digest(bytes).to_vec()),
            ("SHA-1", sha1::Sha1::digest(bytes).to_vec()),
            ("SHA-256", sha2::Sha256::digest(bytes).to_vec()),
            ("BLAKE3", blake3::hash(bytes).as_bytes().to_vec()),
        ];
        for (form, digest) in digests {
            let Some(first) = digest.first_chunk::<DIGEST_BYTES>() else { continue };
            let mut reversed = *first;
            reversed.reverse();
            self.add(kind, form, first.to_vec());
            self.add(kind, form, reversed.to_vec());
            self.hex(kind, form, first);
            self.add(kind, form, u64::from_le_bytes(*first).to_string());
            self.add(kind, form, u64::from_be_bytes(*first).to_string());
            self.add(kind, form, &STANDARD_NO_PAD.encode(&digest).as_bytes()[..DIGEST_BASE64]);
            self.add(kind, form, &URL_SAFE_NO_PAD.encode(&digest).as_bytes()[..DIGEST_BASE64]);
        }
    }

    fn digests_of_text(&mut self, kind: &'static str, text: &str) {
        let trimmed = text.trim();
        for text in [text.to_owned(), trimmed.to_owned(), trimmed.to_lowercase(), trimmed.to_uppercase()] {
            self.digests(kind, text.as_bytes());
        }
    }
}

impl Needles {
    /// Patterns for the canaries, and digests of what else identifies: `(kind, text)`.
    pub fn new(canaries: &[Canary], digested: &[(&'static str, String)]) -> Result<Self, String> {
        let mut builder = Builder::default();
        for canary in canaries {
            for core in &canary.cores {
                builder.forms(canary.kind, core);
                builder.digests_of_text(canary.kind, core);
            }
            if !canary.cores.is_empty() {
                builder.digests_of_text(canary.kind, &canary.value);
            }
            if !canary.bytes.is_empty() {
                builder.add(canary.kind, "packed bytes", canary.bytes.clone());
                builder.digests(canary.kind, &canary.bytes);
            }
        }
        for (kind, text) in digested {
            builder.digests_of_text(kind, text);
        }
        let mut patterns: Vec<(Vec<u8>, Needle)> = builder.patterns.into_iter().collect();
        patterns.sort();
        let longest = patterns.iter().map(|(pattern, _)| pattern.len()).max().unwrap_or(0);
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(patterns.iter().map(|(pattern, _)| pattern))
            .map_err(|error| error.to_string())?;
        let unsearchable =
            canaries.iter().filter(|canary| canary.cores.is_empty()).map(|canary| canary.kind).collect();
        Ok(Self {
            automaton,
            of: patterns.into_iter().map(|(_, needle)| needle).collect(),
            longest,
            unsearchable,
        })
    }

    /// How many patterns there are.
    pub fn count(&self) -> usize {
        self.of.len()
    }

    /// Begins a search of one place.
    pub fn stream(&self) -> Stream<'_> {
        Stream { needles: self, carried: Vec::new(), before: 0, found: HashMap::new() }
    }
}

/// A search of bytes that come in pieces. Holds as many of them as the longest pattern has.
#[derive(Debug)]
pub struct Stream<'a> {
    needles: &'a Needles,
    carried: Vec<u8>,
    /// Bytes before those carried.
    before: u64,
    /// The first place of each find, in bytes from the beginning, and how many there are.
    found: HashMap<Needle, (u64, u64)>,
}

impl Stream<'_> {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let known = self.carried.len();
        self.carried.extend_from_slice(bytes);
        for hit in self.needles.automaton.find_overlapping_iter(&self.carried[..]) {
            // What ends in the carried part was found before.
            if hit.end() > known {
                let at = self.before + hit.start() as u64;
                self.found.entry(self.needles.of[hit.pattern().as_usize()]).or_insert((at, 0)).1 += 1;
            }
        }
        let kept = self.carried.len().min(self.needles.longest.saturating_sub(1));
        self.before += (self.carried.len() - kept) as u64;
        self.carried.drain(..self.carried.len() - kept);
    }

    /// Goes on elsewhere: what comes next does not adjoin what came before.
    pub fn skip(&mut self, bytes: u64) {
        self.before += self.carried.len() as u64 + bytes;
        self.carried.clear();
    }

    /// Bytes seen so far.
    pub fn bytes(&self) -> u64 {
        self.before + self.carried.len() as u64
    }

    /// What was found: needle, first place, how often.
    pub fn finish(self) -> Vec<(Needle, u64, u64)> {
        let mut found: Vec<_> =
            self.found.into_iter().map(|(needle, (at, count))| (needle, at, count)).collect();
        found.sort_unstable();
        found
    }
}

impl io::Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::canary::{Variant, canaries};
    use super::*;

    fn finds(needles: &Needles, bytes: &[u8], piece: usize) -> Vec<Needle> {
        let mut stream = needles.stream();
        bytes.chunks(piece).for_each(|piece| stream.push(piece));
        assert_eq!(stream.bytes(), bytes.len() as u64);
        stream.finish().into_iter().map(|(needle, _, _)| needle).collect()
    }

    #[test]
    fn every_canary_is_found_in_every_variant_and_in_pieces_of_any_size() {
        let canaries = canaries(7);
        let needles = Needles::new(&canaries, &[]).unwrap();
        for canary in canaries.iter().filter(|canary| !canary.cores.is_empty()) {
            for variant in [
                Variant::Plain,
                Variant::Upper,
                Variant::Percent,
                Variant::FullWidth,
                Variant::ZeroWidth,
                Variant::Base64,
                Variant::Hex,
            ] {
                let text = format!("some text {} and more", variant.write(&canary.value));
                for piece in [1, 7, 4096] {
                    let found = finds(&needles, text.as_bytes(), piece);
                    assert!(
                        found.iter().any(|needle| needle.kind == canary.kind),
                        "{} {variant:?} {piece}",
                        canary.kind
                    );
                }
            }
        }
    }

    #[test]
    fn digests_are_found_as_bytes_as_text_and_cut_to_64_bits() {
        let canaries = canaries(7);
        let needles = Needles::new(&canaries, &[("client_address", "127.0.0.1".into())]).unwrap();
        let digest = sha2::Sha256::digest(canaries[0].value.as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let number = u64::from_be_bytes(*digest.first_chunk().unwrap()).to_string();
        let cut = [&b"\0"[..], &digest[..8]].concat();
        for text in [
            hex.as_bytes(),
            hex.to_uppercase().as_bytes(),
            &digest,
            number.as_bytes(),
            &cut,
            STANDARD_NO_PAD.encode(digest).as_bytes(),
        ] {
            assert_eq!(finds(&needles, text, 3), [Needle { kind: "email", form: "SHA-256" }]);
        }
        let md5 = md5::Md5::digest(b"127.0.0.1");
        assert_eq!(finds(&needles, &md5, 5), [Needle { kind: "client_address", form: "MD5" }]);
    }

    #[test]
    fn other_text_is_no_find_and_what_does_not_adjoin_is_not_joined() {
        let canaries = canaries(7);
        let needles = Needles::new(&canaries, &[]).unwrap();
        assert!(finds(&needles, canaries_of_another_run().as_bytes(), 64).is_empty());
        let mut stream = needles.stream();
        let (half, other) = canaries[0].cores[0].split_at(5);
        stream.push(half.as_bytes());
        stream.skip(4096);
        stream.push(other.as_bytes());
        assert!(stream.finish().is_empty());
    }

    fn canaries_of_another_run() -> String {
        canaries(8).iter().map(|canary| canary.value.clone() + "\n").collect()
    }
}
