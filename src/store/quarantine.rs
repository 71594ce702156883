//! Rows that ClickHouse will never take, and rows that raised the leak alarm, kept for a human with the reason, one
//! JSON object a line.
//!
//! They went through the whole house, so there is nothing in them that the table would not have had; and of a text
//! that raised the alarm only its shape is kept.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use super::leak::{Leak, shape};
use super::verdict::Brief;
use crate::event_columns;
use crate::spool::StoredRow;

macro_rules! json {
    ($map:ident, $column:literal, u128, $value:expr) => {
        $map.insert($column.into(), $value.to_string().into())
    };
    ($map:ident, $column:literal, u64, $value:expr) => {
        $map.insert($column.into(), $value.to_string().into())
    };
    ($map:ident, $column:literal, pairs, $value:expr) => {
        $map.insert($column.into(), $value.iter().map(|&(name, value)| (name, value)).collect())
    };
    ($map:ident, $column:literal, $kind:tt, $value:expr) => {
        $map.insert($column.into(), $value.into())
    };
}

macro_rules! define_json {
    ($(($field:ident, $column:literal, $kind:tt))*) => {
        fn as_json(row: &StoredRow<'_>) -> serde_json::Map<String, serde_json::Value> {
            let mut map = serde_json::Map::new();
            $(json!(map, $column, $kind, row.$field.clone());)*
            map
        }
    };
}

event_columns!(define_json);

/// Why a row is kept here.
pub(super) enum Reason {
    /// ClickHouse will never take it.
    Refused(Brief),
    /// The leak alarm.
    Leaks(Vec<Leak>),
}

impl Reason {
    fn line(&self, row: &StoredRow<'_>) -> serde_json::Value {
        let mut line = as_json(row);
        let reason = match self {
            Self::Refused(brief) => brief.to_string(),
            Self::Leaks(leaks) => {
                for leak in leaks {
                    if let Some(value) = line.get_mut(leak.column) {
                        *value = shapes(value);
                    }
                }
                let finds: Vec<String> =
                    leaks.iter().map(|leak| format!("{} in {}", leak.kind, leak.column)).collect();
                format!("leak alarm: {}", finds.join(", "))
            }
        };
        line.insert("quarantine_reason".into(), reason.into());
        serde_json::Value::Object(line)
    }
}

/// A column's texts by their shapes.
fn shapes(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::String(text) => shape(text).into(),
        serde_json::Value::Object(pairs) => {
            pairs.iter().map(|(name, value)| (shape(name), shapes(value))).collect()
        }
        other => other.clone(),
    }
}

/// A directory of one file a segment.
#[derive(Debug)]
pub(super) struct Quarantine {
    dir: PathBuf,
}

impl Quarantine {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn mark(&self, segment: &str) -> PathBuf {
        self.dir.join(format!("{segment}.split"))
    }

    fn make_dir(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)
    }

    /// Notes durably that a segment is inserted in parts from now on.
    pub(super) fn split(&self, segment: &str) -> io::Result<()> {
        self.make_dir()?;
        fs::File::create(self.mark(segment))?.sync_all()?;
        fs::File::open(&self.dir)?.sync_all()
    }

    pub(super) fn is_split(&self, segment: &str) -> bool {
        self.mark(segment).exists()
    }

    /// The segment has left the spool.
    pub(super) fn end(&self, segment: &str) {
        let _ = fs::remove_file(self.mark(segment));
    }

    /// Keeps rows durably. Done again for the same segment it gives the same file.
    pub(super) fn keep<'r>(
        &self,
        segment: &str,
        rows: impl Iterator<Item = (&'r StoredRow<'r>, &'r Reason)>,
    ) -> io::Result<()> {
        self.make_dir()?;
        let path = self.dir.join(format!("{segment}.jsonl"));
        let fresh = path.with_extension("new");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        for (row, reason) in rows {
            writeln!(file, "{}", reason.line(row))?;
        }
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        fs::File::open(&self.dir)?.sync_all()
    }
}
