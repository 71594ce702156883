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
        /// A row by its columns' names; numbers above 32 bits as text.
        pub fn as_json(row: &StoredRow<'_>) -> serde_json::Map<String, serde_json::Value> {
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
pub struct Quarantine {
    dir: PathBuf,
}

impl Quarantine {
    /// The quarantine in `dir`, which need not be there yet.
    pub fn new(dir: PathBuf) -> Self {
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

    /// Whether a segment is inserted in parts, each of which is known by its rows' numbers.
    pub fn is_split(&self, segment: &str) -> bool {
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

    /// The subject's rows, as they lie here.
    pub fn rows_of(&self, subject: u128) -> io::Result<Vec<serde_json::Map<String, serde_json::Value>>> {
        let mut rows = Vec::new();
        for path in self.files("jsonl")? {
            let text = fs::read_to_string(path)?;
            let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
            rows.extend(lines.filter(|row| is_of(row, subject)));
        }
        Ok(rows)
    }

    /// Takes the subject's rows out, each file by one rename. Gives how many. Nobody else may be writing here.
    pub fn erase(&self, subject: u128) -> io::Result<u64> {
        let mut erased = 0;
        for path in self.files("new")? {
            // What a crash left half written.
            fs::remove_file(path)?;
        }
        for path in self.files("jsonl")? {
            let text = fs::read_to_string(&path)?;
            let of_subject = |line: &&str| serde_json::from_str(line).is_ok_and(|row| is_of(&row, subject));
            let kept: Vec<&str> = text.lines().filter(|line| !of_subject(line)).collect();
            let gone = text.lines().count() - kept.len();
            if gone == 0 {
                continue;
            }
            erased += gone as u64;
            if kept.is_empty() {
                fs::remove_file(&path)?;
                fs::File::open(&self.dir)?.sync_all()?;
            } else {
                crate::spool::replace(&path, (kept.join("\n") + "\n").as_bytes())?;
            }
        }
        Ok(erased)
    }

    fn files(&self, kind: &str) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == kind));
        paths.sort();
        Ok(paths)
    }
}

/// Numbers of more than 32 bits stand in the lines as text.
fn is_of(row: &serde_json::Map<String, serde_json::Value>, subject: u128) -> bool {
    row.get("subject").and_then(serde_json::Value::as_str).is_some_and(|text| text.parse() == Ok(subject))
}
