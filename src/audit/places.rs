//! Where is searched: files, logs, answers of the admin address, every column of the store, the memory of the processes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::search::{Needles, Stream};
use crate::store;

const CHUNK_BYTES: usize = 256 * 1024;
const PAGE_BYTES: u64 = 4096;
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;

/// What has been searched of one sort of place.
#[derive(Debug, Serialize)]
pub struct Searched {
    /// The sort of place.
    pub place: String,
    /// How many there were: files, columns, regions.
    pub items: u64,
    /// What they are.
    pub unit: &'static str,
    /// Rows, where there are such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes that were looked at.
    pub bytes: u64,
}

/// Something that was not searched.
#[derive(Debug, Serialize)]
pub struct NotSearched {
    /// What.
    pub place: String,
    /// Why, and what would help.
    pub why: String,
}

/// A canary where none may be. Of what stands around it nothing is shown: it may be somebody's.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Kind of the canary.
    pub kind: &'static str,
    /// The form it is in.
    pub form: &'static str,
    /// File, table and column, or region.
    pub place: String,
    /// Bytes from the beginning of the place to the first find.
    pub offset: u64,
    /// How often it is there.
    pub count: u64,
}

/// Collects what the searches say.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Places that were searched.
    pub searched: Vec<Searched>,
    /// Places that were not.
    pub not_searched: Vec<NotSearched>,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Outcome {
    fn take(&mut self, place: &str, stream: Stream<'_>) -> u64 {
        let bytes = stream.bytes();
        for (needle, offset, count) in stream.finish() {
            self.findings.push(Finding {
                kind: needle.kind,
                form: needle.form,
                place: place.to_owned(),
                offset,
                count,
            });
        }
        bytes
    }

    /// A search that is complete.
    pub fn whole(&mut self, place: &str, unit: &'static str, items: u64, stream: Stream<'_>) {
        let bytes = self.take(place, stream);
        self.searched.push(Searched { place: place.to_owned(), items, unit, rows: None, bytes });
    }

    /// Says what was not searched and why.
    pub fn not(&mut self, place: impl Into<String>, why: impl Into<String>) {
        self.not_searched.push(NotSearched { place: place.into(), why: why.into() });
    }

    /// Every file below the data directory, its name too.
    pub fn data_dir(&mut self, needles: &Needles, dir: &Path) {
        let (mut items, mut bytes, mut dirs) = (0, 0, vec![dir.to_owned()]);
        while let Some(dir) = dirs.pop() {
            let entries = match std::fs::read_dir(&dir) {
                Ok(entries) => entries,
                // Segments and parts come and go while we look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.not(dir.display().to_string(), error.to_string());
                    continue;
                }
            };
            for entry in entries.flatten() {
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => dirs.push(path),
                    Ok(kind) if kind.is_file() => {
                        if let Some(read) = self.file(needles, &path) {
                            items += 1;
                            bytes += read;
                        }
                    }
                    _ => {}
                }
            }
        }
        let place = format!("files below {}", dir.display());
        self.searched.push(Searched { place, items, unit: "files", rows: None, bytes });
    }

    /// Log files: those given, and what the process writes its output to.
    pub fn logs(&mut self, needles: &Needles, given: &[PathBuf], pid: Option<u32>) {
        let mut paths: BTreeSet<PathBuf> =
            given.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).collect();
        let mut elsewhere = false;
        for descriptor in [1, 2] {
            let Some(pid) = pid else { continue };
            match std::fs::read_link(format!("/proc/{pid}/fd/{descriptor}")) {
                Ok(path) if path.is_file() => drop(paths.insert(path)),
                Ok(path) if path == Path::new("/dev/null") => {}
                _ => elsewhere = true,
            }
        }
        if paths.is_empty() || (elsewhere && given.is_empty()) {
            let why = "the collector's output does not go to a file that can be found from here; name it with --log FILE";
            self.not("logs", why);
        }
        let (mut items, mut bytes) = (0, 0);
        for path in paths {
            if let Some(read) = self.file(needles, &path) {
                items += 1;
                bytes += read;
            }
        }
        self.searched.push(Searched { place: "log files".into(), items, unit: "files", rows: None, bytes });
    }

    fn file(&mut self, needles: &Needles, path: &Path) -> Option<u64> {
        let mut stream = needles.stream();
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = File::open(path).and_then(|mut file| {
            loop {
                match file.read(&mut chunk)? {
                    0 => return Ok(()),
                    read => stream.push(&chunk[..read]),
                }
            }
        });
        match read {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.not(path.display().to_string(), error.to_string());
                return None;
            }
        }
        let bytes = self.take(&path.display().to_string(), stream);
        let mut name = needles.stream();
        name.push(path.as_os_str().as_bytes());
        self.take("the name of a file", name);
        Some(bytes)
    }

    /// Every column of the store's tables, the views that analysts read, and what ClickHouse logs about queries.
    pub async fn store(&mut self, needles: &Needles, target: &store::Target<'_>) {
        let (mut rows, mut bytes, mut items) = (0, 0, 0);
        let columns = match lines(target, COLUMNS).await {
            Ok(columns) => columns,
            Err(error) => return self.not("the store", error),
        };
        for line in columns {
            let Some((table, column)) = line.split_once('\t') else { continue };
            let mut stream = needles.stream();
            let sql = format!("SELECT {column} FROM {table} FORMAT TSVRaw");
            match store::query(target, &sql, &mut stream).await {
                Ok(()) => {}
                Err(error) => {
                    // ClickHouse may quote a value.
                    let number = error.to_string().split('.').next().unwrap_or_default().to_owned();
                    self.not(format!("{table}.{column}"), number);
                    continue;
                }
            }
            items += 1;
            bytes += self.take(&format!("{table}.{column}"), stream);
        }
        for table in lines(target, TABLES).await.unwrap_or_default() {
            let count = lines(target, &format!("SELECT count() FROM {table}")).await.unwrap_or_default();
            rows += count.first().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
        }
        let place = "the store, by SQL".to_owned();
        self.searched.push(Searched { place, items, unit: "columns", rows: Some(rows), bytes });
    }

    /// The memory of a process: what it has written, not what it has mapped of files that are searched elsewhere.
    pub fn memory(&mut self, needles: &Needles, what: &str, pid: u32) {
        let place = format!("memory of {what} (process {pid})");
        match self.regions(needles, &place, pid) {
            Ok((items, bytes)) => {
                self.searched.push(Searched { place, items, unit: "regions", rows: None, bytes })
            }
            Err(error) => self.not(
                place,
                format!(
                    "{error}; run the audit as root, or as the collector's user where the kernel allows it"
                ),
            ),
        }
    }

    fn regions(&mut self, needles: &Needles, place: &str, pid: u32) -> io::Result<(u64, u64)> {
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        let pages = File::open(format!("/proc/{pid}/pagemap"))?;
        let (mut items, mut bytes, mut unreadable) = (0, 0, 0_u64);
        for region in BufReader::new(File::open(format!("/proc/{pid}/maps"))?).lines() {
            let region = region?;
            let Some((start, end, name)) = searched_region(&region) else { continue };
            let mut stream = needles.stream();
            let mut seen = 0;
            let mut chunk = vec![0; CHUNK_BYTES];
            let mut entries = vec![0; CHUNK_BYTES / PAGE_BYTES as usize * 8];
            let mut at = start;
            while at < end {
                let wanted = (end - at).min(CHUNK_BYTES as u64);
                let count = (wanted / PAGE_BYTES) as usize;
                pages.read_exact_at(&mut entries[..count * 8], at / PAGE_BYTES * 8)?;
                let mut present =
                    entries[..count * 8].as_chunks::<8>().0.iter().map(|entry| u64::from_le_bytes(*entry));
                // A page that was never written to has nothing in it.
                if !present.any(|entry| entry & (PRESENT | SWAPPED) != 0) {
                    stream.skip(wanted);
                } else {
                    match memory.read_exact_at(&mut chunk[..wanted as usize], at) {
                        Ok(()) => {
                            seen += wanted;
                            stream.push(&chunk[..wanted as usize]);
                        }
                        // Given back while we look.
                        Err(_) => {
                            unreadable += wanted;
                            stream.skip(wanted);
                        }
                    }
                }
                at += wanted;
            }
            items += u64::from(seen > 0);
            bytes += seen;
            self.take(&format!("{place}, {name}"), stream);
        }
        if bytes == 0 {
            return Err(io::Error::other("none of it can be read"));
        }
        if unreadable > 0 {
            self.not(
                format!("{unreadable} bytes of the {place}"),
                "given back to the system, or not readable",
            );
        }
        Ok((items, bytes))
    }
}

/// Start, end and name of a line of `maps` that is the process's own memory.
fn searched_region(line: &str) -> Option<(u64, u64, String)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?;
    let name = words.nth(3).unwrap_or("anonymous");
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    let own = permissions.starts_with("rw") || (permissions.starts_with('r') && name == "anonymous");
    (own && !name.starts_with("[v")).then(|| (start, end, name.to_owned()))
}

/// What may hold rows or texts of queries: in `system` whole rows, elsewhere column by column.
const COLUMNS: &str = "SELECT concat(t.database, '.', '`', t.name, '`'), \
     if(t.database = 'system', '*', concat('`', c.name, '`')) AS column \
     FROM system.tables AS t JOIN system.columns AS c ON c.database = t.database AND c.table = t.name \
     WHERE (t.database = 'consentry' AND t.engine NOT IN ('MaterializedView', 'View')) OR t.database = 'report' \
     OR (t.database = 'system' AND (t.name LIKE '%\\_log' OR t.name LIKE '%\\_log\\_%' OR t.name IN \
     ('errors', 'mutations', 'warnings', 'processes', 'query_cache', 'asynchronous_inserts', 'replication_queue'))) \
     GROUP BY ALL ORDER BY ALL FORMAT TSVRaw";

const TABLES: &str = "SELECT concat(database, '.', '`', name, '`') FROM system.tables \
     WHERE (database = 'consentry' AND engine NOT IN ('MaterializedView', 'View')) \
     OR (database = 'system' AND (name LIKE '%\\_log' OR name LIKE '%\\_log\\_%')) FORMAT TSVRaw";

/// A short answer, by lines.
pub(super) async fn lines(target: &store::Target<'_>, sql: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    store::query(target, sql, &mut out).await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&out).lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regions_line_is_read() {
        let line = "7f00-8000 rw-p 00000000 00:00 0                          [heap]";
        assert_eq!(searched_region(line), Some((0x7f00, 0x8000, "[heap]".into())));
        assert_eq!(searched_region("10-20 rw-p 00000000 00:00 0"), Some((0x10, 0x20, "anonymous".into())));
        assert_eq!(searched_region("10-20 r-xp 00000000 08:01 77 /usr/lib/x.so"), None);
        assert_eq!(searched_region("10-20 ---p 00000000 00:00 0"), None);
    }

    #[test]
    fn own_memory_is_searched() {
        let canaries = super::super::canary::canaries(std::process::id().into());
        let needles = Needles::new(&canaries, &[]).unwrap();
        let mut outcome = Outcome::default();
        outcome.memory(&needles, "this test", std::process::id());
        assert!(outcome.findings.iter().any(|found| found.kind == "email"), "{:?}", outcome.not_searched);
    }
}
