//! Sixth room: an [`EventRow`](crate::enrich::EventRow) becomes durable. Acknowledged means fsynced.
//!
//! # The form on disk
//! One directory, one file a segment: `<id>.open` while it grows, `<id>.seal` once it is complete. The id is the
//! time of its creation in milliseconds (12 hex digits), a dash, and 8 random hex digits; names sort by age.
//!
//! ```text
//! segment  = "CNSTRY" version:u16le record*
//! record   = "CREC" length:u32le crc32c:u32le payload          the checksum covers length and payload
//! payload  = minute count (length row)* count line*            whole numbers are LEB128 varints
//! row      = the columns of one event, see codec.rs
//! line     = site outcome reason count                         texts are length and bytes
//! ```
//!
//! A record is one request: its rows and its lines of the ledger live or die together. One thread writes. It takes
//! all requests that wait, appends their records with one write, syncs once (`fdatasync`) and then answers them
//! all. After a crash the tail that is no whole record is cut: nobody was told that it is durable.
//!
//! Invariant: only rows that went through the whole house have an encoding, so nothing else can be spooled.
//! Invariant: a file is removed only by [`Spool::remove`], after the store has said OK. A subject's rows are taken out by
//! [`Spool::change_subject`], which writes the segment anew.

mod answers;
mod codec;
mod disk;
#[cfg(test)]
mod fake_disk;
mod fs;
#[cfg(test)]
mod model;
mod seen;
mod segment;
mod subject;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::{Notify, oneshot, watch};

pub(crate) use codec::{Input, site_of};
pub use codec::{StoredRow, encode};
pub use segment::{Contents, Line, NotASegment, Record, read};
pub use subject::{Change, Changed, erase_aside, replace};

use crate::accept::Reservation;
use crate::clock::Clock;
use crate::config::File as Settings;
use crate::ledger::{SiteIndex, Tally};
use crate::telemetry::Telemetry;

/// Requests that may wait for the writer; one more is refused.
const QUEUE_REQUESTS_MAX: usize = 8192;

/// One request's rows and lines on their way to the disk.
#[derive(Debug, Default)]
pub struct Batch {
    minute: u32,
    tally: Tally,
    rows: Vec<RowAt>,
    bytes: Vec<u8>,
    /// The batch waits in memory: its bytes stay charged until it is durable.
    held: Option<Reservation>,
}

#[derive(Debug, Clone, Copy)]
struct RowAt {
    site: SiteIndex,
    /// Part of the event's hashed id; 0: it has none.
    id: u64,
    /// The same under the key of the day before; 0: that day's ids are out of the window.
    id_before: u64,
    end: usize,
}

impl Batch {
    /// An empty batch of a request that came in this minute.
    pub fn new(minute: u32) -> Self {
        Self { minute, ..Self::default() }
    }

    /// The request's lines of the ledger.
    pub fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Adds a row of the site. `id_before` is its event id under the key of the day before, 0 where that is past.
    pub fn push(&mut self, site: SiteIndex, row: &crate::enrich::EventRow<'_>, id_before: u128) {
        encode(row, &mut self.bytes);
        let (id, id_before) = (*row.event_id() as u64, id_before as u64);
        self.rows.push(RowAt { site, id, id_before, end: self.bytes.len() });
    }

    /// Bytes of its rows.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes over a share of the budget of bodies in memory.
    pub fn hold(&mut self, held: Reservation) {
        self.held = Some(held);
    }

    fn row(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.rows[index - 1].end };
        &self.bytes[start..self.rows[index].end]
    }
}

/// What became of a batch that is durable now.
#[derive(Debug)]
pub struct Committed {
    /// The lines as written: with those that were duplicates.
    pub tally: Tally,
    /// Rows that are durable.
    pub rows: u32,
}

/// Why a batch is not durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// The spool holds as much as it may.
    #[error("the spool is full")]
    Full,
    /// More requests wait than may wait.
    #[error("too many requests wait for the disk")]
    Busy,
    /// The disk did not take it; the log has the reason.
    #[error("the disk did not take the batch")]
    Failed,
    /// The spool is closed.
    #[error("the spool is closed")]
    Closed,
}

/// A complete segment that waits for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The segment's id, and the token of its insert.
    pub id: String,
    path: PathBuf,
    bytes: u64,
    rows: u64,
    sealed_at_ms: i64,
}

impl Sealed {
    /// Reads the whole file; it is bounded by `seal_bytes_max` and one record.
    pub fn load(&self) -> io::Result<Vec<u8>> {
        std::fs::read(&self.path)
    }

    /// When its first record was written, in milliseconds; `None` where its name does not say.
    pub fn begun_ms(&self) -> Option<i64> {
        disk::created_ms(&self.id)
    }

    /// When it was sealed, in milliseconds.
    pub fn sealed_at_ms(&self) -> i64 {
        self.sealed_at_ms
    }
}

/// How full the spool is. Shared by the handle, the writer and the metrics.
#[derive(Debug, Default)]
struct Level {
    bytes: AtomicU64,
    rows: AtomicU64,
    segments: AtomicU64,
}

#[derive(Debug)]
struct Shared {
    level: Level,
    bytes_max: u64,
    /// Complete segments, oldest first.
    sealed: Mutex<VecDeque<Sealed>>,
    changed: Notify,
    rewrites: AtomicU64,
    /// The disk did not take the last write.
    failing: AtomicBool,
    /// Set when the writer has ended, however it ended.
    ended: watch::Sender<bool>,
}

/// Tells of the writer's end, also when that is a panic.
struct AtTheEnd(Arc<Shared>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        self.0.ended.send_replace(true);
    }
}

impl Shared {
    fn announce(&self, sealed: Sealed) {
        self.sealed.lock().unwrap_or_else(PoisonError::into_inner).push_back(sealed);
        self.level.segments.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
    }
}

enum Command {
    Append(Batch, oneshot::Sender<Result<Committed, SpoolError>>),
    /// Ids that the store already has.
    Remember(Vec<u64>),
    Seal(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// The spool's handle; cheap to clone.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
    commands: mpsc::SyncSender<Command>,
}

/// What the spool found when it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments that wait for the store.
    pub segments: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes that a crash had cut off in the middle of a record.
    pub torn_bytes: u64,
    /// Records that something changed on disk.
    pub damaged: u64,
}

impl Spool {
    /// Opens the spool in `dir`, recovers what is there and starts the writer.
    pub fn open(
        dir: &Path,
        settings: &Settings,
        clock: Clock,
        telemetry: Telemetry,
    ) -> io::Result<(Self, Recovered)> {
        let now_ms = clock.now_ms();
        let mut seen = seen::Seen::new(settings.duplicate_window_s, settings.duplicate_ids_max, now_ms);
        let shared = Arc::new(Shared {
            level: Level::default(),
            bytes_max: settings.spool_bytes_max,
            sealed: Mutex::default(),
            changed: Notify::new(),
            rewrites: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            ended: watch::Sender::new(false),
        });
        let mut recovered = Recovered::default();
        let ids_since_ms = now_ms.saturating_sub(seen.window_ms());
        for found in disk::recover(dir, now_ms, ids_since_ms)? {
            let found = found?;
            recovered.torn_bytes += found.torn_bytes;
            recovered.damaged += u64::from(found.damaged);
            let Some(sealed) = found.sealed else { continue };
            recovered.segments += 1;
            recovered.rows += sealed.rows;
            for id in found.ids {
                seen.insert(id, now_ms);
            }
            shared.level.bytes.fetch_add(sealed.bytes, Ordering::Relaxed);
            shared.level.rows.fetch_add(sealed.rows, Ordering::Relaxed);
            shared.announce(sealed);
        }
        let (commands, inbox) = mpsc::sync_channel(QUEUE_REQUESTS_MAX);
        let answers = answers::Answers::start(telemetry);
        let writer = writer::Writer::new(dir, settings, clock, seen, shared.clone(), answers);
        let end = AtTheEnd(shared.clone());
        std::thread::Builder::new().name("spool".into()).spawn(move || {
            let _end = end;
            writer.run(&inbox);
        })?;
        Ok((Self { shared, commands }, recovered))
    }

    /// Whether there is room on a disk that takes it. Cheap: asked before a body is read. After a failed write it is
    /// the writer that finds out when the disk takes something again.
    pub fn admit(&self) -> Result<(), SpoolError> {
        if self.shared.failing.load(Ordering::Relaxed) {
            return Err(SpoolError::Failed);
        }
        let held = self.shared.level.bytes.load(Ordering::Relaxed);
        if held < self.shared.bytes_max { Ok(()) } else { Err(SpoolError::Full) }
    }

    /// Makes a batch durable. When this says OK, the rows survive any crash that the disk survives.
    pub async fn append(&self, batch: Batch) -> Result<Committed, SpoolError> {
        let (answer, committed) = oneshot::channel();
        self.commands.try_send(Command::Append(batch, answer)).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => SpoolError::Busy,
            mpsc::TrySendError::Disconnected(_) => SpoolError::Closed,
        })?;
        committed.await.map_err(|_| SpoolError::Closed)?
    }

    /// Remembers event ids that the store already has, so that they are not taken again.
    pub fn remember(&self, ids: Vec<u64>) {
        // A lost hint costs a duplicate after a restart at worst; the writer being that busy is the larger worry.
        let _ = self.commands.try_send(Command::Remember(ids));
    }

    /// Completes the segment that is growing, however small it is. False where the disk does not let it.
    #[must_use]
    pub async fn seal(&self) -> bool {
        self.command(Command::Seal).await
    }

    /// Completes the segment that is growing and ends the writer. Everything after this is refused.
    pub async fn close(&self) {
        self.command(Command::Close).await;
    }

    /// Done when the writer has ended: after [`Spool::close`], or by a fault that nothing can be made durable after.
    pub async fn ended(&self) {
        let _ = self.shared.ended.subscribe().wait_for(|&ended| ended).await;
    }

    async fn command(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) -> bool {
        let (answer, done) = oneshot::channel();
        let mut command = command(answer);
        while let Err(mpsc::TrySendError::Full(back)) = self.commands.try_send(command) {
            command = back;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        done.await.is_ok()
    }

    /// The oldest complete segment; waits until there is one.
    pub async fn next_sealed(&self) -> Sealed {
        loop {
            if let Some(sealed) = self.oldest() {
                return sealed;
            }
            self.shared.changed.notified().await;
        }
    }

    /// The oldest complete segment.
    pub fn oldest(&self) -> Option<Sealed> {
        self.shared.sealed.lock().unwrap_or_else(PoisonError::into_inner).front().cloned()
    }

    /// The one after the oldest.
    pub fn second(&self) -> Option<Sealed> {
        self.shared.sealed.lock().unwrap_or_else(PoisonError::into_inner).get(1).cloned()
    }

    /// How often [`Spool::change_subject`] has begun: what was read of a segment before is not what is in it now.
    pub fn rewrites(&self) -> u64 {
        self.shared.rewrites.load(Ordering::Acquire)
    }

    /// Removes a segment that the store has.
    pub fn remove(&self, sealed: &Sealed) -> io::Result<()> {
        disk::remove(&sealed.path)?;
        self.forget(sealed);
        Ok(())
    }

    /// Moves a segment that cannot be read, or was damaged, out of the way and keeps it for a human.
    pub fn set_aside(&self, sealed: &Sealed, dir: &Path) -> io::Result<PathBuf> {
        let aside = disk::set_aside(&sealed.path, dir)?;
        self.forget(sealed);
        Ok(aside)
    }

    fn forget(&self, sealed: &Sealed) {
        let mut list = self.shared.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        // Segments leave in the order they came, so the first one is nearly always the one.
        let index = list.iter().position(|other| other.id == sealed.id);
        // As listed: it may have been written anew since it was given out.
        if let Some(sealed) = index.and_then(|index| list.remove(index)) {
            self.shared.level.bytes.fetch_sub(sealed.bytes, Ordering::Relaxed);
            self.shared.level.rows.fetch_sub(sealed.rows, Ordering::Relaxed);
            self.shared.level.segments.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Bytes that it may hold on disk.
    pub fn bytes_max(&self) -> u64 {
        self.shared.bytes_max
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.shared.level.bytes.load(Ordering::Relaxed)
    }

    /// Rows that are durable here and not yet in the store: the ledger's `spooled`.
    pub fn rows(&self) -> u64 {
        self.shared.level.rows.load(Ordering::Relaxed)
    }

    /// Complete segments that wait for the store.
    pub fn segments(&self) -> u64 {
        self.shared.level.segments.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
