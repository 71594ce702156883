//! Rows that ClickHouse will never take, kept for a human with the reason, one JSON object a line.
//!
//! They went through the whole house, so there is nothing in them that the table would not have had.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

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
    pub(super) fn keep(
        &self,
        segment: &str,
        rows: &[StoredRow<'_>],
        bad: &BTreeMap<usize, Brief>,
    ) -> io::Result<()> {
        self.make_dir()?;
        let path = self.dir.join(format!("{segment}.jsonl"));
        let fresh = path.with_extension("new");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        for (index, reason) in bad {
            let mut line = as_json(&rows[*index]);
            line.insert("quarantine_reason".into(), reason.to_string().into());
            writeln!(file, "{}", serde_json::Value::Object(line))?;
        }
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        fs::File::open(&self.dir)?.sync_all()
    }
}
