//! What of an insert can be done before the store is asked: a segment is read, its rows checked and turned into columns,
//! its books added up. It is work for a core, so it has a thread of its own and keeps no request waiting; and while the
//! store is busy with one segment the next is prepared.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use clickhouse::native::Block;
use hashbrown::HashMap;

use super::columns::{self, LedgerKey};
use super::leak::{Leak, LeakAlarm};
use crate::ledger::Outcome;
use crate::spool::{self, NotASegment, Sealed, StoredRow};

/// A segment, read.
pub(super) struct Prepared {
    /// Which.
    pub(super) sealed: Sealed,
    /// [`Spool::rewrites`](crate::spool::Spool::rewrites) before it was read.
    pub(super) rewrites: u64,
    bytes: Vec<u8>,
    /// What is in it, or that it is no segment.
    pub(super) contents: Result<Contents, NotASegment>,
}

/// What a segment holds.
pub(super) struct Contents {
    /// All rows as one block; `None` where there is none, or they have to go one by one.
    pub(super) block: Option<Block>,
    /// How many rows.
    pub(super) rows: usize,
    /// Records or rows that something changed on disk.
    pub(super) damaged: u64,
    /// Lines of the ledger, without how the rows ended.
    lines: BTreeMap<LedgerKey, u64>,
    /// Rows by site and minute.
    counts: Vec<(String, u32, u64)>,
    /// Rows that raised the leak alarm, by their place.
    pub(super) leaks: BTreeMap<usize, Vec<Leak>>,
}

impl Prepared {
    /// Reads a segment. `rewrites` is asked for before the file is.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(super) async fn read(sealed: Sealed, rewrites: u64, alarm: Arc<LeakAlarm>) -> io::Result<Self> {
        let read = move || {
            let bytes = sealed.load()?;
            let contents = read(&bytes, &sealed.id, &alarm);
            Ok(Self { sealed, rewrites, bytes, contents })
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }

    /// The rows themselves and the minute of each one's receipt, for when they have to be looked at one by one.
    pub(super) fn rows(&self) -> (Vec<StoredRow<'_>>, Vec<u32>) {
        let records = spool::read(&self.bytes).map(|contents| contents.records).unwrap_or_default();
        let rows = records.into_iter().flat_map(|record| {
            let minute = record.minute;
            record.rows.into_iter().filter_map(move |bytes| Some((StoredRow::decode(bytes)?, minute)))
        });
        rows.unzip()
    }
}

impl Contents {
    /// The books where every row ends as it should.
    pub(super) fn books_of_stored(&self) -> Books {
        let mut books = Books(self.lines.clone());
        for (site, minute, count) in &self.counts {
            books.count(site, *minute, Outcome::Stored, *count);
        }
        books
    }

    /// The books without the rows.
    pub(super) fn books(&self) -> Books {
        Books(self.lines.clone())
    }
}

/// Lines of the ledger.
pub(super) struct Books(pub(super) BTreeMap<LedgerKey, u64>);

impl Books {
    /// Counts rows that ended one way.
    pub(super) fn count(&mut self, site: &str, minute: u32, outcome: Outcome, count: u64) {
        let (site, outcome, reason) = (site.to_owned(), outcome.word().to_owned(), String::new());
        *self.0.entry(LedgerKey { site, minute, outcome, reason }).or_default() += count;
    }
}

fn read(bytes: &[u8], segment: &str, alarm: &LeakAlarm) -> Result<Contents, NotASegment> {
    let contents = spool::read(bytes)?;
    let mut lines: HashMap<(u32, &str, &str, &str), u64> = HashMap::new();
    let mut counts: HashMap<(u32, &str), u64> = HashMap::new();
    let mut rows = Vec::with_capacity(contents.records.iter().map(|record| record.rows.len()).sum());
    let mut damaged = u64::from(contents.damaged);
    for record in &contents.records {
        for line in &record.lines {
            let key = (record.minute, line.site, line.outcome, line.reason);
            *lines.entry(key).or_default() += u64::from(line.count);
        }
        for bytes in &record.rows {
            match StoredRow::decode(bytes) {
                Some(row) => {
                    *counts.entry((record.minute, row.site)).or_default() += 1;
                    rows.push(row);
                }
                None => damaged += 1,
            }
        }
    }
    let leaks = alarm.sample(segment, &rows);
    let whole = leaks.is_empty() && !rows.is_empty();
    // A block that cannot be built is built once more, and said so, when the rows go one by one.
    let block = whole.then(|| columns::events(&rows, 0..rows.len(), segment).ok()).flatten();
    let key = |(minute, site, outcome, reason): (u32, &str, &str, &str)| LedgerKey {
        site: site.to_owned(),
        minute,
        outcome: outcome.to_owned(),
        reason: reason.to_owned(),
    };
    Ok(Contents {
        block,
        rows: rows.len(),
        damaged,
        lines: lines.into_iter().map(|(line, count)| (key(line), count)).collect(),
        counts: counts.into_iter().map(|((minute, site), count)| (site.to_owned(), minute, count)).collect(),
        leaks,
    })
}
