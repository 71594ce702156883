//! The shipper: takes the oldest complete segment, inserts it, and only then lets the spool remove it.
//!
//! One segment is one insert with the segment's id as its deduplication token, so an insert that was sent again,
//! because its answer was lost or either side died, is not counted again, nor in the roll-ups. While the store is busy
//! with one segment the next is prepared (`prepare`).

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clickhouse::Client;
use tokio::sync::{Mutex, watch};

use super::columns::{self, Block};
use super::leak::{Leak, LeakAlarm};
use super::prepare::{Books, Contents, Prepared, Row};
use super::quarantine::{Quarantine, Reason};
use super::verdict::{Brief, Verdict, brief, judge};
use super::{Source, State};
use crate::failpoint;
use crate::ledger::Outcome;
use crate::spool::{Sealed, Spool};
use crate::telemetry::Telemetry;

/// A server that takes longer than this to take a chunk is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// A server that takes longer than this to answer is given up; materialized views are in it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// More rows than this at fault in one segment are no fault of the rows: the table is not the one that is meant.
const BAD_ROWS_MAX: usize = 100;
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Why a segment is still in the spool.
#[derive(Debug)]
enum NotShipped {
    /// The store is away or refuses for now.
    Store(Brief),
    /// The segment's own file.
    Disk(std::io::Error),
}

/// Ships segments one after the other, for as long as it is polled.
pub struct Shipper {
    spool: Spool,
    source: Source,
    quarantine: Quarantine,
    alarm: Arc<LeakAlarm>,
    aside: PathBuf,
    telemetry: Telemetry,
    state: watch::Sender<State>,
    gate: Arc<Mutex<()>>,
}

/// What one insert of rows needs.
struct Insert<'a> {
    client: &'a Client,
    segment: &'a str,
    rows: &'a [Row<'a>],
    quarantine: &'a Quarantine,
}

impl Shipper {
    /// `data_dir` gets the quarantine and the segments that cannot be read; `leak_scan_rows_max` rows of each segment
    /// are looked at by the leak alarm.
    pub fn new(
        spool: Spool,
        source: Source,
        data_dir: &std::path::Path,
        leak_scan_rows_max: usize,
        telemetry: Telemetry,
        state: watch::Sender<State>,
    ) -> Self {
        let quarantine = Quarantine::new(data_dir.join("quarantine"));
        let alarm = Arc::new(LeakAlarm::new(leak_scan_rows_max));
        let aside = data_dir.join("damaged");
        Self { spool, source, quarantine, alarm, aside, telemetry, state, gate: Arc::default() }
    }

    /// While somebody holds this, no segment is read and nothing is inserted.
    pub fn gate(&self) -> Arc<Mutex<()>> {
        self.gate.clone()
    }

    /// Waits until the store is migrated, then ships until the future is dropped. Earlier, rows would go into tables
    /// whose views are not there yet, and be missing from the roll-ups for good.
    pub async fn run(&self) {
        let mut migrated = self.state.subscribe();
        if migrated.wait_for(|state| !matches!(state, State::Starting(_))).await.is_err() {
            return;
        }
        let mut backoff = BACKOFF_MIN;
        let mut ahead = None;
        loop {
            let sealed = self.spool.next_sealed().await;
            match self.ship(sealed, &mut ahead).await {
                Ok(()) => {
                    if backoff > BACKOFF_MIN {
                        tracing::info!(waiting = self.spool.segments(), "shipping again");
                    }
                    backoff = BACKOFF_MIN;
                    if *self.state.borrow() != State::Ready {
                        self.state.send_replace(State::Ready);
                    }
                }
                Err(reason) => {
                    let reason = match reason {
                        NotShipped::Store(brief) => brief.to_string(),
                        NotShipped::Disk(error) => format!("a segment cannot be read or moved: {error}"),
                    };
                    self.telemetry.insert_failed();
                    if backoff == BACKOFF_MIN {
                        tracing::warn!(
                            reason,
                            waiting = self.spool.segments(),
                            "not shipped; trying again until it is"
                        );
                    }
                    self.state.send_replace(State::Away(reason));
                    tokio::time::sleep(jitter(backoff)).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Ships until the spool holds no complete segment. For the end of the process.
    pub async fn drain(&self) {
        if matches!(*self.state.borrow(), State::Starting(_)) {
            return;
        }
        let mut ahead = None;
        while let Some(sealed) = self.spool.oldest() {
            if self.ship(sealed, &mut ahead).await.is_err() {
                tokio::time::sleep(BACKOFF_MIN).await;
            }
        }
    }

    /// Ships one segment. `ahead`: the one that was prepared meanwhile; it is taken if it is this one.
    async fn ship(&self, sealed: Sealed, ahead: &mut Option<Prepared>) -> Result<(), NotShipped> {
        let _open = self.gate.lock().await;
        // Listed anew: while the gate was closed it may have been written anew.
        let Some(sealed) = self.spool.oldest().filter(|oldest| oldest.id == sealed.id) else { return Ok(()) };
        let client =
            self.source.ingest().ok_or_else(|| NotShipped::Store(Brief("the engine is not ready".into())))?;
        let rewrites = self.spool.rewrites();
        let prepared = match ahead.take() {
            Some(ahead) if ahead.sealed == sealed && ahead.rewrites == rewrites => ahead,
            _ => {
                let reading = Prepared::read(sealed, rewrites, self.alarm.clone());
                reading.await.map_err(NotShipped::Disk)?
            }
        };
        let following = async {
            let following = self.spool.second()?;
            // Where it cannot be read that is said when it is its turn.
            Prepared::read(following, rewrites, self.alarm.clone()).await.ok()
        };
        let (shipped, following) = tokio::join!(self.send(&client, &prepared), following);
        *ahead = if shipped.is_ok() { following } else { Some(prepared) };
        shipped
    }

    async fn send(&self, client: &Client, prepared: &Prepared) -> Result<(), NotShipped> {
        let sealed = &prepared.sealed;
        let contents = match &prepared.contents {
            Ok(contents) => contents,
            Err(reason) => {
                let aside = self.spool.set_aside(sealed, &self.aside).map_err(NotShipped::Disk)?;
                tracing::error!(%reason, path = %aside.display(), "a segment cannot be read; it is kept aside");
                return Ok(());
            }
        };
        let started = std::time::Instant::now();
        failpoint::reach("before_insert");
        let whole = contents.block.as_ref().filter(|_| !self.quarantine.is_split(&sealed.id));
        let sent = match whole {
            Some(block) => send(client, &columns::insert_events(), &sealed.id, block).await.map(|()| true),
            None => Ok(contents.rows == 0),
        };
        let (books, leaking, refused) = match sent {
            Ok(true) => (contents.books_of_stored(), Vec::new(), 0),
            Err(error) if judge(&error) == Verdict::TryAgain => {
                return Err(NotShipped::Store(brief(&error)));
            }
            // Row by row, as far as need be.
            Ok(false) | Err(_) => self.apart(client, prepared, contents).await?,
        };
        failpoint::reach("inserted");
        if !books.0.is_empty() {
            let block = columns::ledger(&books.0);
            let token = format!("{}-ledger", sealed.id);
            failpoint::reach("before_ledger");
            send(client, columns::INSERT_LEDGER, &token, &block)
                .await
                .map_err(|error| NotShipped::Store(brief(&error)))?;
        }
        failpoint::reach("ledger_inserted");
        if contents.damaged > 0 {
            let aside = self.spool.set_aside(sealed, &self.aside).map_err(NotShipped::Disk)?;
            let (damaged, path) = (contents.damaged, aside.display());
            tracing::error!(damaged, %path, "records of a segment were damaged on disk; it is kept aside");
        } else {
            self.spool.remove(sealed).map_err(NotShipped::Disk)?;
        }
        failpoint::reach("removed");
        self.quarantine.end(&sealed.id);
        for (key, count) in &books.0 {
            if key.outcome == Outcome::Stored.word() || key.outcome == Outcome::Quarantined.word() {
                self.telemetry.settled(&key.site, &key.outcome, *count);
            }
        }
        for (site, leaks) in &leaking {
            leaks.iter().for_each(|leak| self.telemetry.leaked(site, leak.column, leak.kind));
        }
        let stored = contents.rows - refused - leaking.len();
        self.telemetry.inserted(stored as u64, started.elapsed());
        Ok(())
    }

    /// Inserts what can be, and keeps the other rows in the quarantine. Gives the books, the rows that raised the alarm by
    /// their site, and how many rows ClickHouse would not take.
    async fn apart(
        &self,
        client: &Client,
        prepared: &Prepared,
        contents: &Contents,
    ) -> Result<(Books, Vec<(String, Vec<Leak>)>, usize), NotShipped> {
        let segment = &prepared.sealed.id;
        let (leaking, rows) = apart(prepared.rows(), contents.leaks.clone());
        let refused = Insert { client, segment, rows: &rows, quarantine: &self.quarantine }.all().await?;
        self.set_rows_aside(segment, &rows, &refused, &leaking)?;
        if !refused.is_empty() || !leaking.is_empty() {
            failpoint::reach("quarantined");
        }
        let mut books = contents.books();
        for (index, row) in rows.iter().enumerate() {
            let outcome = if refused.contains_key(&index) { Outcome::Quarantined } else { Outcome::Stored };
            books.count(row.read.site, row.minute, outcome, 1);
        }
        for (row, _) in &leaking {
            books.count(row.read.site, row.minute, Outcome::Quarantined, 1);
        }
        let leaking = leaking.into_iter().map(|(row, leaks)| (row.read.site.to_owned(), leaks)).collect();
        Ok((books, leaking, refused.len()))
    }

    /// Keeps what is not inserted in the quarantine, durably.
    fn set_rows_aside(
        &self,
        segment: &str,
        rows: &[Row<'_>],
        refused: &BTreeMap<usize, Brief>,
        leaking: &[Leaking<'_>],
    ) -> Result<(), NotShipped> {
        if !refused.is_empty() {
            let rows = refused.len();
            tracing::error!(rows, segment, "ClickHouse will never take these rows; see the quarantine");
        }
        if let Some((_, leaks)) = leaking.first() {
            let (rows, column, kind) = (leaking.len(), leaks[0].column, leaks[0].kind);
            tracing::error!(
                rows,
                segment,
                column,
                kind,
                "leak alarm: the detectors let an identifier through; the rows are in the quarantine, look at the \
                 shape of the text there, and at consentry_leaks in /metrics"
            );
        }
        let refused: Vec<_> = refused
            .iter()
            .map(|(&index, brief)| (&rows[index].read, Reason::Refused(brief.clone())))
            .chain(leaking.iter().map(|(row, leaks)| (&row.read, Reason::Leaks(leaks.clone()))))
            .collect();
        if refused.is_empty() {
            return Ok(());
        }
        let kept = refused.iter().map(|(row, reason)| (*row, reason));
        self.quarantine.keep(segment, kept).map_err(NotShipped::Disk)
    }
}

/// A row that raised the leak alarm, and what was found.
type Leaking<'a> = (Row<'a>, Vec<Leak>);

/// Parts the rows that raised the alarm from the others.
fn apart<'a>(rows: Vec<Row<'a>>, mut leaks: BTreeMap<usize, Vec<Leak>>) -> (Vec<Leaking<'a>>, Vec<Row<'a>>) {
    let (mut leaking, mut kept) = (Vec::new(), Vec::new());
    for (index, row) in rows.into_iter().enumerate() {
        match leaks.remove(&index) {
            Some(found) => leaking.push((row, found)),
            None => kept.push(row),
        }
    }
    (leaking, kept)
}

impl Insert<'_> {
    /// Inserts all rows. Gives the rows that ClickHouse will never take, each with the reason.
    async fn all(&self) -> Result<BTreeMap<usize, Brief>, NotShipped> {
        let mut bad = BTreeMap::new();
        let whole = 0..self.rows.len();
        // Once in parts, always in parts: parts have tokens of their own, and the whole would come on top of them.
        let mut todo =
            if self.quarantine.is_split(self.segment) { halves(&whole) } else { vec![whole.clone()] };
        while let Some(range) = todo.pop() {
            if range.is_empty() {
                continue;
            }
            // The halves of a segment are the same on every try, and so are their tokens.
            let token = match range == whole {
                true => self.segment.to_owned(),
                false => format!("{}:{}-{}", self.segment, range.start, range.end),
            };
            let rows = self.rows[range.clone()].iter().map(|row| row.bytes);
            let Some(block) = columns::events(rows, self.segment) else {
                return Err(NotShipped::Store(Brief("a row cannot be written as columns".into())));
            };
            match send(self.client, &columns::insert_events(), &token, &block).await {
                Ok(()) => {}
                Err(error) if judge(&error) == Verdict::TryAgain => {
                    return Err(NotShipped::Store(brief(&error)));
                }
                Err(error) if range.len() == 1 => {
                    bad.insert(range.start, brief(&error));
                    if bad.len() > BAD_ROWS_MAX {
                        let reason = format!(
                            "more than {BAD_ROWS_MAX} rows of one segment are refused, the last: {}",
                            brief(&error)
                        );
                        return Err(NotShipped::Store(Brief(reason)));
                    }
                }
                Err(_) => {
                    self.quarantine.split(self.segment).map_err(NotShipped::Disk)?;
                    failpoint::reach("split");
                    todo.extend(halves(&range));
                }
            }
        }
        Ok(bad)
    }
}

/// The right half, then the left one: the last is taken first.
fn halves(range: &Range<usize>) -> Vec<Range<usize>> {
    let middle = range.start + range.len() / 2;
    vec![middle..range.end, range.start..middle]
}

async fn send(
    client: &Client,
    sql: &str,
    token: &str,
    block: &Block,
) -> Result<(), clickhouse::error::Error> {
    let mut insert = client
        .insert_formatted_with(sql)
        .with_timeouts(Some(SEND_TIMEOUT), Some(ANSWER_TIMEOUT))
        .with_setting("insert_deduplication_token", token)
        .with_setting("insert_deduplicate", "1")
        .with_setting("deduplicate_blocks_in_dependent_materialized_views", "1")
        .with_setting("async_insert", "0")
        .with_setting("wait_end_of_query", "1");
    for part in block.parts() {
        insert.send(part).await?;
    }
    insert.end().await
}

/// Up to a quarter more, so that several collectors do not come back in step.
fn jitter(backoff: Duration) -> Duration {
    let mut random = [0];
    let _ = getrandom::fill(&mut random);
    backoff + backoff.mul_f64(f64::from(random[0]) / 1024.0)
}
