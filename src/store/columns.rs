//! A segment's rows turned into columns, as ClickHouse's Native format wants them.

use std::ops::Range;

use clickhouse::native::builder::BlockBuilder;
use clickhouse::native::encode::{Encode, ValueWriter};
use clickhouse::native::{Block, DataTypeNode};
use clickhouse_types::data_types::DateTimePrecision;

use crate::enrich::EventRow;
use crate::event_columns;
use crate::spool::StoredRow;

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// `events (columns)`: named, so that the table's own order and its computed columns do not matter.
pub(super) fn events_target() -> String {
    format!("consentry.events ({}, segment)", EventRow::COLUMNS.join(", "))
}

/// Milliseconds since 1970 as `DateTime64(3)`.
struct Millis(i64);

impl Encode for Millis {
    fn produces() -> DataTypeNode {
        DataTypeNode::DateTime64(DateTimePrecision::Precision3, None)
    }
    fn encode(&self, writer: &mut ValueWriter<'_>) -> Result<(), BoxedError> {
        Ok(writer.write_fixed(&self.0.to_le_bytes())?)
    }
}

/// Seconds since 1970 as `DateTime`.
struct Seconds(u32);

impl Encode for Seconds {
    fn produces() -> DataTypeNode {
        DataTypeNode::DateTime(None)
    }
    fn encode(&self, writer: &mut ValueWriter<'_>) -> Result<(), BoxedError> {
        Ok(writer.write_fixed(&self.0.to_le_bytes())?)
    }
}

/// Names with values as `Map(String, String)`.
struct Pairs<'a>(&'a [(&'a str, &'a str)]);

impl Encode for Pairs<'_> {
    fn produces() -> DataTypeNode {
        DataTypeNode::Map([Box::new(DataTypeNode::String), Box::new(DataTypeNode::String)])
    }
    fn encode(&self, writer: &mut ValueWriter<'_>) -> Result<(), BoxedError> {
        let mut map = writer.write_map::<&str, &str>()?;
        for &(name, value) in self.0 {
            map.write(name, value)?;
        }
        map.finish();
        Ok(())
    }
}

macro_rules! add {
    ($builder:ident, $column:literal, ms, $values:expr) => {
        $builder.upsert_column::<Millis>($column)?.add_all($values.map(|&value| Millis(value)))?
    };
    ($builder:ident, $column:literal, text, $values:expr) => {
        $builder.upsert_column::<&str>($column)?.add_all($values.copied())?
    };
    ($builder:ident, $column:literal, pairs, $values:expr) => {
        $builder.upsert_column::<Pairs<'_>>($column)?.add_all($values.map(|value| Pairs(value)))?
    };
    ($builder:ident, $column:literal, maybe_u32, $values:expr) => {
        $builder.upsert_column::<Option<u32>>($column)?.add_all($values.copied())?
    };
    ($builder:ident, $column:literal, maybe_f32, $values:expr) => {
        $builder.upsert_column::<Option<f32>>($column)?.add_all($values.copied())?
    };
    ($builder:ident, $column:literal, $number:ident, $values:expr) => {
        $builder.upsert_column::<$number>($column)?.add_all($values.copied())?
    };
}

macro_rules! define_columns {
    ($(($field:ident, $column:literal, $kind:tt))*) => {
        /// Builds the block of some of a segment's rows. `rows` must not be empty.
        pub(super) fn events(rows: &[StoredRow<'_>], range: Range<usize>, segment: &str) -> Result<Block, BoxedError> {
            let rows = &rows[range];
            let mut builder = BlockBuilder::new();
            $(add!(builder, $column, $kind, rows.iter().map(|row| &row.$field));)*
            builder.upsert_column::<&str>("segment")?.add_all(rows.iter().map(|_| segment))?;
            Ok(builder.build()?)
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

pub(super) const LEDGER_TARGET: &str = "consentry.ledger (site, minute, outcome, reason, count)";

/// Builds the block of a segment's lines. `lines` must not be empty.
pub(super) fn ledger(lines: &std::collections::BTreeMap<LedgerKey, u64>) -> Result<Block, BoxedError> {
    let mut builder = BlockBuilder::new();
    builder.upsert_column::<&str>("site")?.add_all(lines.keys().map(|key| key.site.as_str()))?;
    builder
        .upsert_column::<Seconds>("minute")?
        .add_all(lines.keys().map(|key| Seconds(key.minute.saturating_mul(60))))?;
    builder.upsert_column::<&str>("outcome")?.add_all(lines.keys().map(|key| key.outcome.as_str()))?;
    builder.upsert_column::<&str>("reason")?.add_all(lines.keys().map(|key| key.reason.as_str()))?;
    builder.upsert_column::<u64>("count")?.add_all(lines.values().copied())?;
    Ok(builder.build()?)
}
