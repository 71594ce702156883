//! The form of a segment on disk; see the head of `spool/mod.rs`.

use super::codec::{Input, VERSION, put_text, put_varint};
use crate::ledger::Tally;

/// First bytes of a segment, the record version behind them.
const FILE_MAGIC: [u8; 6] = *b"CNSTRY";
/// First bytes of a record. A damaged record ends where the next of these begins.
const RECORD_MAGIC: [u8; 4] = *b"CREC";
/// Bytes of a segment's header.
pub(super) const FILE_HEADER_BYTES: usize = FILE_MAGIC.len() + 2;
/// Magic, length, checksum.
const RECORD_HEADER_BYTES: usize = 12;

pub(super) fn file_header() -> [u8; FILE_HEADER_BYTES] {
    let mut header = [0; FILE_HEADER_BYTES];
    header[..FILE_MAGIC.len()].copy_from_slice(&FILE_MAGIC);
    header[FILE_MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// The checksum covers the length too, so that a record cannot be read with another's length.
fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}

/// Appends one record: a request's rows and its lines of the ledger.
pub(super) fn put_record<'r>(
    out: &mut Vec<u8>,
    minute: u32,
    rows: impl ExactSizeIterator<Item = &'r [u8]>,
    lines: impl ExactSizeIterator<Item = Line<'r>>,
) {
    let start = out.len();
    out.extend_from_slice(&RECORD_MAGIC);
    out.extend_from_slice(&[0; 8]);
    put_varint(out, u64::from(minute));
    put_varint(out, rows.len() as u64);
    for row in rows {
        put_varint(out, row.len() as u64);
        out.extend_from_slice(row);
    }
    put_varint(out, lines.len() as u64);
    for line in lines {
        put_text(out, line.site);
        put_text(out, line.outcome);
        put_text(out, line.reason);
        put_varint(out, u64::from(line.count));
    }
    let payload = start + RECORD_HEADER_BYTES;
    let length = u32::try_from(out.len() - payload)
        .expect("a body's limit keeps a record far below 4 GiB")
        .to_le_bytes();
    let checksum = checksum(length, &out[payload..]).to_le_bytes();
    out[start + 4..start + 8].copy_from_slice(&length);
    out[start + 8..start + 12].copy_from_slice(&checksum);
}

/// A request's lines as they are written.
pub(super) fn lines_of(tally: &Tally) -> impl ExactSizeIterator<Item = Line<'_>> {
    tally.lines().map(|(site, outcome, count)| Line {
        site,
        outcome: outcome.word(),
        reason: outcome.reason(),
        count,
    })
}

/// One request's rows and lines, read back.
#[derive(Debug, Default)]
pub struct Record<'a> {
    /// Minutes since 1970 at which the request came.
    pub minute: u32,
    /// Its rows, each for `StoredRow::decode`.
    pub rows: Vec<&'a [u8]>,
    /// Its lines of the ledger.
    pub lines: Vec<Line<'a>>,
}

/// A line of the ledger, read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Line<'a> {
    pub site: &'a str,
    pub outcome: &'a str,
    pub reason: &'a str,
    pub count: u32,
}

impl<'a> Record<'a> {
    fn read(payload: &'a [u8]) -> Option<Self> {
        let mut input = Input(payload);
        let mut record = Self { minute: u32::try_from(input.varint()?).ok()?, ..Self::default() };
        for _ in 0..input.varint()? {
            let length = usize::try_from(input.varint()?).ok()?;
            record.rows.push(input.bytes(length)?);
        }
        for _ in 0..input.varint()? {
            let (site, outcome, reason) = (input.text()?, input.text()?, input.text()?);
            record.lines.push(Line { site, outcome, reason, count: u32::try_from(input.varint()?).ok()? });
        }
        input.0.is_empty().then_some(record)
    }
}

/// What a segment's bytes hold.
#[derive(Debug, Default)]
pub struct Contents<'a> {
    /// The records that are whole, in their order.
    pub records: Vec<Record<'a>>,
    /// Stretches of bytes that are no whole record, followed by one that is: something changed them on disk.
    pub damaged: u32,
    /// Bytes up to the end of the last whole record; what follows is the tail of a write that a crash cut.
    pub whole_bytes: usize,
}

/// Why bytes are not a segment of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotASegment {
    /// Shorter than a header, or another magic.
    #[error("the file does not begin like a segment")]
    Header,
    /// Written by another version of this program.
    #[error("the segment has record version {0}, this program reads {VERSION}")]
    Version(u16),
}

/// Reads a segment. Never panics, whatever the bytes; damage costs the damaged record and no other.
pub fn read(bytes: &[u8]) -> Result<Contents<'_>, NotASegment> {
    let (header, _) = bytes.split_at_checked(FILE_HEADER_BYTES).ok_or(NotASegment::Header)?;
    if header[..FILE_MAGIC.len()] != FILE_MAGIC {
        return Err(NotASegment::Header);
    }
    let version = u16::from_le_bytes([header[FILE_MAGIC.len()], header[FILE_MAGIC.len() + 1]]);
    if version != VERSION {
        return Err(NotASegment::Version(version));
    }
    let mut contents = Contents { whole_bytes: FILE_HEADER_BYTES, ..Contents::default() };
    let mut at = FILE_HEADER_BYTES;
    while at < bytes.len() {
        if let Some((record, end)) = record_at(bytes, at) {
            contents.damaged += u32::from(at != contents.whole_bytes);
            contents.records.push(record);
            contents.whole_bytes = end;
            at = end;
        } else {
            // Not a record: go on at the next place that looks like the beginning of one.
            let next = memchr::memmem::find(&bytes[at + 1..], &RECORD_MAGIC);
            at = next.map_or(bytes.len(), |next| at + 1 + next);
        }
    }
    Ok(contents)
}

fn record_at(bytes: &[u8], at: usize) -> Option<(Record<'_>, usize)> {
    let header = bytes.get(at..at + RECORD_HEADER_BYTES)?;
    if header[..4] != RECORD_MAGIC {
        return None;
    }
    let length: [u8; 4] = header[4..8].try_into().ok()?;
    let end = (at + RECORD_HEADER_BYTES).checked_add(u32::from_le_bytes(length) as usize)?;
    let payload = bytes.get(at + RECORD_HEADER_BYTES..end)?;
    if checksum(length, payload).to_le_bytes() != header[8..12] {
        return None;
    }
    Some((Record::read(payload)?, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::Outcome;

    fn segment(records: &[&[&[u8]]]) -> Vec<u8> {
        let mut bytes = file_header().to_vec();
        for (minute, rows) in records.iter().enumerate() {
            let mut tally = Tally::default();
            let site = tally.site(None);
            tally.count(site, Outcome::Received);
            put_record(&mut bytes, minute as u32, rows.iter().copied(), lines_of(&tally));
        }
        bytes
    }

    fn rows(bytes: &[u8]) -> Vec<Vec<u8>> {
        let contents = read(bytes).unwrap();
        contents.records.iter().flat_map(|record| record.rows.iter().map(|row| row.to_vec())).collect()
    }

    const RECORDS: &[&[&[u8]]] = &[&[b"one", b"two"], &[], &[b"three CREC in a row"], &[b"four"]];

    #[test]
    fn records_come_back_with_their_lines() {
        let bytes = segment(RECORDS);
        let contents = read(&bytes).unwrap();
        assert_eq!((contents.records.len(), contents.damaged, contents.whole_bytes), (4, 0, bytes.len()));
        assert_eq!(contents.records[3].minute, 3);
        let line = Line { site: "", outcome: "received", reason: "", count: 1 };
        assert_eq!(contents.records[0].lines, [line]);
    }

    #[test]
    fn a_torn_tail_is_cut_at_every_byte_and_nothing_before_it_is_lost() {
        let bytes = segment(RECORDS);
        let before_last = segment(&RECORDS[..3]).len();
        for length in before_last..bytes.len() {
            let contents = read(&bytes[..length]).unwrap();
            assert_eq!((contents.records.len(), contents.damaged, contents.whole_bytes), (3, 0, before_last));
        }
    }

    #[test]
    fn a_flipped_bit_costs_its_own_record_and_no_other() {
        let bytes = segment(RECORDS);
        let (third, fourth) = (segment(&RECORDS[..2]).len(), segment(&RECORDS[..3]).len());
        for bit in third * 8..fourth * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(rows(&flipped), [b"one".to_vec(), b"two".to_vec(), b"four".to_vec()]);
            assert_eq!(read(&flipped).unwrap().damaged, 1);
        }
    }

    #[test]
    fn another_version_or_another_file_is_not_read() {
        let mut bytes = segment(RECORDS);
        bytes[6] = 99;
        assert_eq!(read(&bytes).unwrap_err(), NotASegment::Version(99));
        assert_eq!(read(b"hello, world").unwrap_err(), NotASegment::Header);
        assert_eq!(read(b"").unwrap_err(), NotASegment::Header);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(noise in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut bytes = segment(RECORDS);
            let good = bytes.len();
            bytes.extend_from_slice(&noise);
            let contents = read(&bytes).unwrap();
            prop_assert!(contents.records.len() >= 4 && contents.whole_bytes >= good);
        }
    }
}
