//! Rows of a segment turned into columns, in ClickHouse's Native format.
//!
//! A row is walked over once, as it lies in the segment, and each field is appended to its column: no row is made that is
//! only taken apart again, and what is read and written lies together. A text is written in the segment as Native wants
//! it, behind its length, so it is copied as it is.
//!
//! The format: <https://clickhouse.com/docs/interfaces/formats/Native>.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::enrich::EventRow;
use crate::event_columns;
use crate::spool::Input;

/// `INSERT` into `events`: columns are named, so that the table's own order and its computed columns do not matter.
pub(super) fn insert_events() -> String {
    format!("INSERT INTO consentry.events ({}, segment) FORMAT Native", EventRow::COLUMNS.join(", "))
}

/// `INSERT` into `ledger`.
pub(super) const INSERT_LEDGER: &str =
    "INSERT INTO consentry.ledger (site, minute, outcome, reason, count) FORMAT Native";

/// What is handed to the connection at a time: a server has to take so much within the time for one chunk. Small enough
/// that an allocator keeps it at hand.
const PART_BYTES: usize = 64 * 1024;
/// Less than this is joined with its neighbours.
const PART_BYTES_MIN: usize = 16 * 1024;

/// One block of the Native format, ready to be sent and, if need be, sent again.
#[derive(Debug, Default)]
pub(super) struct Block {
    parts: Vec<Bytes>,
    /// The beginning of the next part.
    small: Vec<u8>,
}

impl Block {
    /// Begins with the number of columns and of rows.
    fn new(columns: usize, rows: usize) -> Self {
        let mut block = Self::default();
        put_varint(&mut block.small, columns as u64);
        put_varint(&mut block.small, rows as u64);
        block
    }

    /// How a column begins.
    fn column(&mut self, name: &str, r#type: &str) {
        put_text(&mut self.small, name);
        put_text(&mut self.small, r#type);
    }

    fn push(&mut self, values: Vec<u8>) {
        if values.len() < PART_BYTES_MIN {
            self.small.extend_from_slice(&values);
        } else {
            self.end_small();
            let mut values = Bytes::from(values);
            while values.len() > PART_BYTES {
                self.parts.push(values.split_to(PART_BYTES));
            }
            self.parts.push(values);
        }
    }

    fn end_small(&mut self) {
        if !self.small.is_empty() {
            self.parts.push(std::mem::take(&mut self.small).into());
        }
    }

    fn end(mut self) -> Self {
        self.end_small();
        self
    }

    /// Its bytes in their order.
    pub(super) fn parts(&self) -> impl Iterator<Item = Bytes> {
        self.parts.iter().cloned()
    }
}

/// A column that grows by a field of a row.
trait Column: Default {
    const TYPE: &'static str;

    /// Takes room for so many values.
    fn reserve(&mut self, rows: usize);

    /// Takes the next field; `None` where there is none of this kind.
    fn push(&mut self, input: &mut Input<'_>) -> Option<()>;

    /// The values in their order on the wire.
    fn finish(self, block: &mut Block);
}

/// Values of a fixed width, each made from a varint of the segment.
macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident $type:literal: $width:literal bytes, $read:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        struct $name(Vec<u8>);

        impl Column for $name {
            const TYPE: &'static str = $type;

            fn reserve(&mut self, rows: usize) {
                self.0.reserve_exact($width * rows);
            }
            #[inline]
            fn push(&mut self, input: &mut Input<'_>) -> Option<()> {
                let read: fn(&mut Input<'_>) -> Option<[u8; $width]> = $read;
                self.0.extend_from_slice(&read(input)?);
                Some(())
            }
            fn finish(self, block: &mut Block) {
                block.push(self.0);
            }
        }
    )*};
}

numbers! {
    U8s "UInt8": 1 bytes, |input| Some(u8::try_from(input.varint()?).ok()?.to_le_bytes());
    U16s "UInt16": 2 bytes, |input| Some(u16::try_from(input.varint()?).ok()?.to_le_bytes());
    U32s "UInt32": 4 bytes, |input| Some(u32::try_from(input.varint()?).ok()?.to_le_bytes());
    I16s "Int16": 2 bytes, |input| Some(i16::try_from(input.signed()?).ok()?.to_le_bytes());
    U64s "UInt64": 8 bytes, |input| input.fixed();
    U128s "UInt128": 16 bytes, |input| input.fixed();
    /// Milliseconds since 1970.
    Millis "DateTime64(3)": 8 bytes, |input| Some(input.signed()?.to_le_bytes());
}

/// Bytes that grow without being moved.
#[derive(Default)]
struct Growing {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl Growing {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if self.last.capacity() - self.last.len() < bytes.len() {
            self.make_room(bytes.len());
        }
        match bytes {
            // Most texts of most rows are empty: their length alone.
            &[only] => self.last.push(only),
            bytes => self.last.extend_from_slice(bytes),
        }
    }

    #[cold]
    fn make_room(&mut self, bytes: usize) {
        if self.last.len() + bytes > PART_BYTES {
            let next = Vec::with_capacity(PART_BYTES.max(bytes));
            self.full.push(std::mem::replace(&mut self.last, next));
        } else {
            self.last.reserve(bytes);
        }
    }

    fn finish(self, block: &mut Block) {
        self.full.into_iter().chain([self.last]).for_each(|values| block.push(values));
    }
}

/// Texts, each behind its length.
#[derive(Default)]
struct Texts(Growing);

impl Column for Texts {
    const TYPE: &'static str = "String";

    fn reserve(&mut self, rows: usize) {
        self.0.last.reserve(rows.min(PART_BYTES));
    }
    #[inline]
    fn push(&mut self, input: &mut Input<'_>) -> Option<()> {
        self.0.put(input.written_text()?);
        Some(())
    }
    fn finish(self, block: &mut Block) {
        self.0.finish(block);
    }
}

/// Numbers of four bytes that may be missing: first which are, then all of them.
#[derive(Default)]
struct Maybe {
    missing: Vec<u8>,
    values: Vec<u8>,
}

impl Maybe {
    fn reserve(&mut self, rows: usize) {
        self.missing.reserve_exact(rows);
        self.values.reserve_exact(4 * rows);
    }
    /// 0 stands for none, else it is the value and one.
    #[inline]
    fn push(&mut self, input: &mut Input<'_>) -> Option<()> {
        let written = input.varint()?;
        self.missing.push(u8::from(written == 0));
        self.values.extend_from_slice(&u32::try_from(written.saturating_sub(1)).ok()?.to_le_bytes());
        Some(())
    }
    fn finish(self, block: &mut Block) {
        [self.missing, self.values].into_iter().for_each(|values| block.push(values));
    }
}

macro_rules! maybe {
    ($($name:ident $type:literal,)*) => {$(
        #[derive(Default)]
        struct $name(Maybe);

        impl Column for $name {
            const TYPE: &'static str = $type;

            fn reserve(&mut self, rows: usize) {
                self.0.reserve(rows);
            }
            #[inline]
            fn push(&mut self, input: &mut Input<'_>) -> Option<()> {
                self.0.push(input)
            }
            fn finish(self, block: &mut Block) {
                self.0.finish(block);
            }
        }
    )*};
}

// A float lies in the segment as its bits, which is what is sent.
maybe! {
    MaybeU32s "Nullable(UInt32)",
    MaybeF32s "Nullable(Float32)",
}

/// Names with values: where each row's pairs end, then all names, then all values.
#[derive(Default)]
struct Pairs {
    pairs: u64,
    ends: Vec<u8>,
    names: Growing,
    values: Growing,
}

impl Column for Pairs {
    const TYPE: &'static str = "Map(String, String)";

    fn reserve(&mut self, rows: usize) {
        self.ends.reserve_exact(8 * rows);
    }
    #[inline]
    fn push(&mut self, input: &mut Input<'_>) -> Option<()> {
        for _ in 0..input.varint()? {
            self.names.put(input.written_text()?);
            self.values.put(input.written_text()?);
            self.pairs += 1;
        }
        self.ends.extend_from_slice(&self.pairs.to_le_bytes());
        Some(())
    }
    fn finish(self, block: &mut Block) {
        block.push(self.ends);
        self.names.finish(block);
        self.values.finish(block);
    }
}

macro_rules! column {
    (text) => {
        Texts
    };
    (pairs) => {
        Pairs
    };
    (ms) => {
        Millis
    };
    (u8) => {
        U8s
    };
    (u16) => {
        U16s
    };
    (u32) => {
        U32s
    };
    (u64) => {
        U64s
    };
    (u128) => {
        U128s
    };
    (i16) => {
        I16s
    };
    (maybe_u32) => {
        MaybeU32s
    };
    (maybe_f32) => {
        MaybeF32s
    };
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

macro_rules! define_columns {
    ($(($field:ident, $column:literal, $kind:tt))*) => {
        #[derive(Default)]
        struct Columns {
            $($field: column!($kind),)*
        }

        impl Columns {
            /// Takes a row; `None` where it is none: then the columns are of no use any more.
            fn push(&mut self, row: &[u8]) -> Option<()> {
                let mut input = Input::new(row);
                $(self.$field.push(&mut input)?;)*
                input.is_empty().then_some(())
            }
        }

        /// The block of rows as they lie in the segment; `None` where there is none, or one is no row.
        pub(super) fn events<'a>(rows: impl ExactSizeIterator<Item = &'a [u8]>, segment: &str) -> Option<Block> {
            let count = rows.len();
            if count == 0 {
                return None;
            }
            let mut columns = Columns::default();
            $(columns.$field.reserve(count);)*
            for row in rows {
                columns.push(row)?;
            }
            let mut block = Block::new(EventRow::COLUMNS.len() + 1, count);
            $(
                block.column($column, <column!($kind) as Column>::TYPE);
                columns.$field.finish(&mut block);
            )*
            block.column("segment", Texts::TYPE);
            let mut name = Vec::new();
            put_text(&mut name, segment);
            block.push(name.repeat(count));
            Some(block.end())
        }
    };
}

event_columns!(define_columns);

/// A line of the ledger on its way into the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LedgerKey {
    pub(super) site: String,
    pub(super) minute: u32,
    pub(super) outcome: String,
    pub(super) reason: String,
}

/// Builds the block of a segment's lines. `lines` must not be empty.
pub(super) fn ledger(lines: &BTreeMap<LedgerKey, u64>) -> Block {
    let mut block = Block::new(5, lines.len());
    let texts = |text: fn(&LedgerKey) -> &str| {
        let mut texts = Vec::new();
        lines.keys().for_each(|key| put_text(&mut texts, text(key)));
        texts
    };
    block.column("site", Texts::TYPE);
    block.push(texts(|key| &key.site));
    block.column("minute", "DateTime");
    block.push(lines.keys().flat_map(|key| key.minute.saturating_mul(60).to_le_bytes()).collect());
    block.column("outcome", Texts::TYPE);
    block.push(texts(|key| &key.outcome));
    block.column("reason", Texts::TYPE);
    block.push(texts(|key| &key.reason));
    block.column("count", U64s::TYPE);
    block.push(lines.values().flat_map(|count| count.to_le_bytes()).collect());
    block.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::encode;

    fn row() -> Vec<u8> {
        let mut row = Vec::new();
        encode(&EventRow::with_ids(1, 2), &mut row);
        row
    }

    #[test]
    fn columns_have_as_many_values_as_there_are_rows() {
        let row = row();
        let one: usize =
            events([&row[..]].into_iter(), "segment").unwrap().parts().map(|part| part.len()).sum();
        let rows = [&row[..], &row[..], &row[..]];
        let three: usize = events(rows.into_iter(), "segment").unwrap().parts().map(|part| part.len()).sum();
        let names: usize = EventRow::COLUMNS.iter().map(|name| name.len()).sum();
        // Whatever is not a value is there once.
        assert!((three - one).is_multiple_of(2) && one - (three - one) / 2 > names, "{one} {three}");
    }

    #[test]
    fn a_row_whose_text_is_none_makes_no_block() {
        // The site's name is the first text, behind an id of 16 bytes; here it has one byte.
        let named = |name: u8| [&row()[..16], &[1, name], &row()[17..]].concat();
        assert!(events([&named(b'a')[..]].into_iter(), "segment").is_some());
        assert!(
            events([&named(0xff)[..]].into_iter(), "segment").is_none(),
            "nobody could look for a leak in it"
        );
    }

    #[test]
    fn a_row_that_is_cut_or_too_long_makes_no_block() {
        let mut row = row();
        for length in 0..row.len() {
            assert!(events([&row[..length]].into_iter(), "segment").is_none());
        }
        row.push(0);
        assert!(events([&row[..]].into_iter(), "segment").is_none());
        assert!(events([].into_iter(), "segment").is_none());
    }
}
