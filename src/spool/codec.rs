//! A row as bytes: the columns in the order of `event_columns!`, no names, no padding.
//!
//! Whole numbers are LEB128 varints (signed ones zigzag), hashes fixed little-endian, text is its length and its
//! bytes, an optional number is 0 or its value + 1. The segment's header names the version of this order.

use std::borrow::Cow;

use crate::enrich::EventRow;
use crate::event_columns;

/// Changed with every change of `event_columns!` or of a kind's form.
pub(super) const VERSION: u16 = 1;

#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, value: u64) {
    // Nearly all are this small.
    if value < 0x80 { out.push(value as u8) } else { put_long_varint(out, value) }
}

fn put_long_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    if !text.is_empty() {
        out.extend_from_slice(text.as_bytes());
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn put_pairs(out: &mut Vec<u8>, pairs: &[(Cow<'_, str>, Cow<'_, str>)]) {
    put_varint(out, pairs.len() as u64);
    for (name, value) in pairs {
        put_text(out, name);
        put_text(out, value);
    }
}

/// What a column's kind is when it is read back.
macro_rules! stored_type {
    (text) => { &'a str };
    (pairs) => { Vec<(&'a str, &'a str)> };
    (ms) => { i64 };
    (maybe_u32) => { Option<u32> };
    (maybe_f32) => { Option<f32> };
    ($number:ident) => { $number };
}

macro_rules! put {
    ($out:ident, text, $value:expr) => {
        put_text($out, $value)
    };
    ($out:ident, pairs, $value:expr) => {
        put_pairs($out, $value)
    };
    ($out:ident, ms, $value:expr) => {
        put_varint($out, zigzag(*$value))
    };
    ($out:ident, i16, $value:expr) => {
        put_varint($out, zigzag(i64::from(*$value)))
    };
    ($out:ident, u64, $value:expr) => {
        $out.extend_from_slice(&$value.to_le_bytes())
    };
    ($out:ident, u128, $value:expr) => {
        $out.extend_from_slice(&$value.to_le_bytes())
    };
    ($out:ident, maybe_u32, $value:expr) => {
        put_varint($out, $value.map_or(0, |value| u64::from(value) + 1))
    };
    ($out:ident, maybe_f32, $value:expr) => {
        put_varint($out, $value.map_or(0, |value| u64::from(value.to_bits()) + 1))
    };
    ($out:ident, $small:ident, $value:expr) => {
        put_varint($out, u64::from(*$value))
    };
}

macro_rules! get {
    ($in:ident, text) => {
        $in.text()?
    };
    ($in:ident, pairs) => {
        $in.pairs()?
    };
    ($in:ident, ms) => {
        unzigzag($in.varint()?)
    };
    ($in:ident, i16) => {
        i16::try_from(unzigzag($in.varint()?)).ok()?
    };
    ($in:ident, u64) => {
        u64::from_le_bytes($in.fixed()?)
    };
    ($in:ident, u128) => {
        u128::from_le_bytes($in.fixed()?)
    };
    ($in:ident, maybe_u32) => {
        match $in.varint()? {
            0 => None,
            more => Some(u32::try_from(more - 1).ok()?),
        }
    };
    ($in:ident, maybe_f32) => {
        match $in.varint()? {
            0 => None,
            more => Some(f32::from_bits(u32::try_from(more - 1).ok()?)),
        }
    };
    ($in:ident, $small:ident) => {
        $small::try_from($in.varint()?).ok()?
    };
}

macro_rules! define_codec {
    ($(($field:ident, $column:literal, $kind:tt))*) => {
        /// Appends a row. Only an [`EventRow`] can be spooled.
        pub fn encode(row: &EventRow<'_>, out: &mut Vec<u8>) {
            $(put!(out, $kind, row.$field());)*
        }

        /// A row as it was spooled, borrowed from the segment.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)]
        pub struct StoredRow<'a> {
            $(pub $field: stored_type!($kind),)*
        }

        impl<'a> StoredRow<'a> {
            /// Reads one row; `None` where the bytes are none, or more than one.
            pub fn decode(bytes: &'a [u8]) -> Option<Self> {
                let mut input = Input(bytes);
                let row = Self { $($field: get!(input, $kind),)* };
                input.0.is_empty().then_some(row)
            }
        }
    };
}

event_columns!(define_codec);

/// Whose a row is, and where it says who may see it.
pub(super) struct Place<'a> {
    pub(super) site: &'a str,
    pub(super) subject: u128,
    pub(super) no_share: u8,
    /// Where that byte stands in the row.
    pub(super) no_share_at: usize,
}

/// Reads a row as far as `no_share`; the columns before it are those of `event_columns!`.
pub(super) fn subject_of(row: &[u8]) -> Option<Place<'_>> {
    let mut input = Input(row);
    input.bytes(16)?;
    let (site, _kind, _ts) = (input.text()?, input.text()?, input.varint()?);
    input.bytes(8 + 8)?;
    let subject = u128::from_le_bytes(input.fixed()?);
    let (_consent_basis, _policy_version) = (input.text()?, input.text()?);
    let no_share_at = row.len() - input.0.len();
    // One byte: the column has no value above 2.
    let no_share = u8::try_from(input.varint()?).ok().filter(|&value| value < 0x80)?;
    Some(Place { site, subject, no_share, no_share_at })
}

/// The site of a row.
pub(crate) fn site_of(row: &[u8]) -> Option<&str> {
    let mut input = Input(row);
    input.bytes(16)?;
    input.text()
}

/// Bytes that are read from the front. Every reader answers `None` at the end.
pub(crate) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    /// Of a row as it was spooled.
    pub(crate) fn new(row: &'a [u8]) -> Self {
        Self(row)
    }

    /// Whether all of it was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of fixed width, least byte first.
    pub(crate) fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// A whole number.
    #[inline]
    pub(crate) fn varint(&mut self) -> Option<u64> {
        // Nearly all are this small.
        match *self.0 {
            [byte @ 0..0x80, ref rest @ ..] => {
                self.0 = rest;
                Some(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.fixed::<1>()?[0];
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return None;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A whole number with a sign.
    pub(crate) fn signed(&mut self) -> Option<i64> {
        self.varint().map(unzigzag)
    }

    /// A text as it is written: its length and its bytes.
    #[inline]
    pub(crate) fn written_text(&mut self) -> Option<&'a [u8]> {
        let whole = self.0;
        let length = usize::try_from(self.varint()?).ok()?;
        std::str::from_utf8(self.bytes(length)?).ok()?;
        whole.get(..whole.len() - self.0.len())
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.varint()?).ok()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    fn pairs(&mut self) -> Option<Vec<(&'a str, &'a str)>> {
        let count = usize::try_from(self.varint()?).ok()?;
        // A pair takes two bytes at least, so a count that was not written by us cannot ask for more than there is.
        let mut pairs = Vec::with_capacity(count.min(self.0.len() / 2));
        for _ in 0..count {
            pairs.push((self.text()?, self.text()?));
        }
        Some(pairs)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(value: u64, signed: i64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            put_varint(&mut out, zigzag(signed));
            let mut input = Input(&out);
            prop_assert_eq!(input.varint(), Some(value));
            prop_assert_eq!(input.varint().map(unzigzag), Some(signed));
            prop_assert!(input.0.is_empty());
        }

        #[test]
        fn any_bytes_decode_or_not_but_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = StoredRow::decode(&bytes);
        }
    }

    #[test]
    fn an_empty_row_comes_back_and_a_cut_one_does_not() {
        let mut out = Vec::new();
        encode(&EventRow::default(), &mut out);
        let row = StoredRow::decode(&out).unwrap();
        assert_eq!((row.site, row.visitor, row.cls, row.props.len()), ("", 0, None, 0));
        for length in 0..out.len() {
            assert!(StoredRow::decode(&out[..length]).is_none());
        }
        out.push(0);
        assert!(StoredRow::decode(&out).is_none());
    }
}
