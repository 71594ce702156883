//! What of an insert can be done before the store is asked: a segment is read, its rows checked and turned into columns,
//! its books added up. It is work for a core, so it has a thread of its own and keeps no request waiting; and while the
//! store is busy with one segment the next is prepared.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use hashbrown::HashMap;

use super::columns::{self, Block, LedgerKey};
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

/// A row of a segment.
pub(super) struct Row<'a> {
    /// The minute of its receipt.
    pub(super) minute: u32,
    /// As it lies there.
    pub(super) bytes: &'a [u8],
    /// Its columns.
    pub(super) read: StoredRow<'a>,
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

    /// The rows, for when they have to be looked at one by one.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let records = spool::read(&self.bytes).map(|contents| contents.records).unwrap_or_default();
        let rows = records.into_iter().flat_map(|record| {
            let minute = record.minute;
            record
                .rows
                .into_iter()
                .map(move |bytes| Some(Row { minute, bytes, read: StoredRow::decode(bytes)? }))
        });
        rows.flatten().collect()
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
    // Each with the minute of its receipt.
    let mut rows: Vec<(u32, &[u8])> =
        Vec::with_capacity(contents.records.iter().map(|record| record.rows.len()).sum());
    let mut damaged = u64::from(contents.damaged);
    for record in &contents.records {
        for line in &record.lines {
            let key = (record.minute, line.site, line.outcome, line.reason);
            *lines.entry(key).or_default() += u64::from(line.count);
        }
        rows.extend(record.rows.iter().map(|&row| (record.minute, row)));
    }
    let mut block = columns::events(rows.iter().map(|&(_, row)| row), segment);
    let mut leaks = alarm.sample(segment, rows.len(), |at| StoredRow::decode(rows[at].1));
    if block.is_none() || !leaks.is_empty() {
        // Seldom: one by one, with all checks, as [`Prepared::rows`] gives them.
        let all = rows.len();
        rows.retain(|(_, row)| StoredRow::decode(row).is_some());
        damaged += (all - rows.len()) as u64;
        leaks = alarm.sample(segment, rows.len(), |at| StoredRow::decode(rows[at].1));
        let whole = leaks.is_empty().then(|| columns::events(rows.iter().map(|&(_, row)| row), segment));
        block = whole.flatten();
    }
    // Neighbours are nearly always of one site and minute.
    for run in rows.chunk_by(|one, next| one.0 == next.0 && spool::site_of(one.1) == spool::site_of(next.1)) {
        let (minute, row) = run[0];
        *counts.entry((minute, spool::site_of(row).unwrap_or_default())).or_default() += run.len() as u64;
    }
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
