//! The one thread that writes: group commit, completion of segments, duplicates.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::answers::{Answers, Waiting};
use super::fs::Out;
use super::seen::Seen;
use super::{Batch, Command, Committed, Sealed, Shared, SpoolError, disk, segment};
use crate::accept::Reservation;
use crate::clock::Clock;
use crate::config::File as Settings;
use crate::failpoint;
use crate::ledger::{DUPLICATE, Outcome};

/// Bytes that one write and one sync may carry; what waits beyond goes into the next.
const GROUP_BYTES_MAX: usize = 1024 * 1024;

/// A group that had this many requests was a crowd: where one has come, more are coming.
const CROWD_REQUESTS: usize = 4;

/// How long a crowd is waited for at a time, and in all. A write and a sync cost as much for one request as for a hundred;
/// and while this thread sleeps nobody has to wake it.
const CROWD_PAUSE: Duration = Duration::from_micros(400);
const CROWD_WAIT_MAX: Duration = Duration::from_millis(3);

/// How often to look whether the store has caught up.
const BEHIND_POLL: Duration = Duration::from_millis(50);

/// How often to look whether a disk that took nothing takes something again.
const FAILING_POLL: Duration = Duration::from_millis(500);

/// Bytes that it has to take before it is believed.
const PROBE_BYTES: usize = 256 * 1024;

/// The segment that grows.
struct Growing {
    id: String,
    path: PathBuf,
    file: Out,
    /// Bytes that are synced.
    bytes: u64,
    rows: u64,
    since: Instant,
    /// Behind the synced bytes there may be records that nobody was told are durable.
    uncut: bool,
    /// A sync has failed: what this file's next one says is worth nothing.
    sync_failed: bool,
    /// Its name was changed, or may have been, and the directory is not synced: nothing may be added to it, or a loss of
    /// power could bring back the one name with the other's contents.
    sealing: bool,
}

/// Requests that share one write and one sync.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    rows: u64,
    /// Ids that this group added to what was seen.
    ids: Vec<u64>,
    waiting: Vec<Waiting>,
    /// Shares of the memory budget that end with the group.
    held: Vec<Reservation>,
}

/// What the inbox gave.
enum Next {
    Command(Command),
    Nothing,
    /// Nobody is left who could send a command.
    Gone,
}

pub(super) struct Writer {
    dir: PathBuf,
    seal_rows_max: u64,
    seal_bytes_max: u64,
    seal_after: Duration,
    clock: Clock,
    seen: Seen,
    shared: Arc<Shared>,
    answers: Answers,
    growing: Option<Growing>,
}

impl Writer {
    pub(super) fn new(
        dir: &Path,
        settings: &Settings,
        clock: Clock,
        seen: Seen,
        shared: Arc<Shared>,
        answers: Answers,
    ) -> Self {
        Self {
            dir: dir.to_owned(),
            seal_rows_max: u64::from(settings.seal_rows_max),
            seal_bytes_max: settings.seal_bytes_max,
            seal_after: Duration::from_millis(settings.seal_after_ms),
            clock,
            seen,
            shared,
            answers,
            growing: None,
        }
    }

    /// Works until it is told to close or nobody is left to tell it.
    pub(super) fn run(mut self, inbox: &Receiver<Command>) {
        let mut group = Group::default();
        let mut crowd = false;
        loop {
            let first = self.wait(inbox);
            let gone = matches!(first, Next::Gone);
            let mut then = None;
            if let Next::Command(command) = first {
                then = self.take(&mut group, command, inbox);
                if crowd && then.is_none() {
                    then = self.gather(&mut group, inbox);
                }
            }
            crowd = group.waiting.len() >= CROWD_REQUESTS;
            self.commit(&mut group);
            match then {
                Some(Command::Seal(answer)) => {
                    self.seal();
                    // Nobody is told that a segment is complete whose name could not be changed.
                    if self.growing.is_none() {
                        let _ = answer.send(());
                    }
                }
                Some(Command::Close(answer)) => {
                    self.seal();
                    let _ = answer.send(());
                    return;
                }
                _ if gone => return self.seal(),
                _ => self.seal_if_due(),
            }
        }
    }

    /// Takes a command and all that wait behind it into the group, up to one that is for afterwards or until the group is
    /// full.
    fn take(&mut self, group: &mut Group, first: Command, inbox: &Receiver<Command>) -> Option<Command> {
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Append(batch, answer) => self.add(group, batch, answer),
                Command::Remember(ids) => self.remember(&ids),
                Command::Seal(_) | Command::Close(_) => return Some(command),
            }
            if group.bytes.len() >= GROUP_BYTES_MAX {
                break;
            }
            next = inbox.try_recv().ok();
        }
        None
    }

    /// Waits for the rest of a crowd, as long as it keeps coming.
    fn gather(&mut self, group: &mut Group, inbox: &Receiver<Command>) -> Option<Command> {
        let begun = Instant::now();
        while group.bytes.len() < GROUP_BYTES_MAX && begun.elapsed() < CROWD_WAIT_MAX {
            let before = group.waiting.len();
            std::thread::sleep(CROWD_PAUSE);
            let then = inbox.try_recv().ok().and_then(|command| self.take(group, command, inbox));
            if then.is_some() {
                return then;
            }
            // Stragglers are no crowd.
            if group.waiting.len() - before <= before / 16 {
                break;
            }
        }
        None
    }

    /// The next command, or nothing when the growing segment's time has come.
    fn wait(&mut self, inbox: &Receiver<Command>) -> Next {
        // Nobody sends while it is said that the disk takes nothing, so somebody has to look.
        while self.shared.failing.load(Ordering::Relaxed) {
            match inbox.recv_timeout(FAILING_POLL) {
                Ok(command) => return Next::Command(command),
                Err(RecvTimeoutError::Disconnected) => return Next::Gone,
                Err(RecvTimeoutError::Timeout) => {
                    let takes = self.settle().and_then(|()| disk::probe(&self.dir, PROBE_BYTES)).is_ok();
                    self.shared.failing.store(!takes, Ordering::Relaxed);
                }
            }
        }
        let Some(growing) = &self.growing else { return inbox.recv().map_or(Next::Gone, Next::Command) };
        let due = self.seal_after.saturating_sub(growing.since.elapsed());
        // Due and not sealed: the store is behind. Look again now and then.
        match inbox.recv_timeout(if due.is_zero() { BEHIND_POLL } else { due }) {
            Ok(command) => Next::Command(command),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::Gone,
        }
    }

    fn remember(&mut self, ids: &[u64]) {
        let now_ms = self.clock.now_ms();
        for &id in ids {
            self.seen.insert(id, now_ms);
        }
    }

    /// Lays a request's record into the group, without the rows that were seen before.
    fn add(
        &mut self,
        group: &mut Group,
        batch: Batch,
        answer: oneshot::Sender<Result<Committed, SpoolError>>,
    ) {
        let now_ms = self.clock.now_ms();
        let mut kept = Vec::with_capacity(batch.rows.len());
        let mut duplicates = Vec::new();
        for (index, row) in batch.rows.iter().enumerate() {
            if !self.seen.contains(row.id_before) && self.seen.insert(row.id, now_ms) {
                kept.push(index);
                group.ids.push(row.id);
            } else {
                duplicates.push(row.site);
            }
        }
        let mut batch = batch;
        let mut tally = std::mem::take(&mut batch.tally);
        for site in duplicates {
            tally.count(site, Outcome::Dropped(DUPLICATE));
        }
        segment::put_record(
            &mut group.bytes,
            batch.minute,
            kept.iter().map(|&index| batch.row(index)),
            segment::lines_of(&tally),
        );
        group.rows += kept.len() as u64;
        group.held.extend(batch.held.take());
        let committed = Committed { tally, rows: kept.len() as u32 };
        group.waiting.push(Waiting { answer, committed });
    }

    /// Makes the group durable and answers everybody in it.
    fn commit(&mut self, group: &mut Group) {
        if group.waiting.is_empty() {
            return;
        }
        let begun = Instant::now();
        let written = self.write(&group.bytes, group.rows);
        self.answers.telemetry.committed(begun.elapsed());
        self.shared.failing.store(written.is_err(), Ordering::Relaxed);
        if let Err(error) = &written {
            tracing::error!(%error, rows = group.rows, "the spool cannot write; senders are told to retry");
            for &id in &group.ids {
                self.seen.forget(id);
            }
        }
        failpoint::reach("synced");
        let waiting = std::mem::take(&mut group.waiting);
        match written {
            Ok(()) => self.answers.durable(waiting),
            Err(_) => {
                waiting.into_iter().for_each(|waiting| _ = waiting.answer.send(Err(SpoolError::Failed)))
            }
        }
        failpoint::reach("answered");
        group.bytes.clear();
        group.bytes.shrink_to(GROUP_BYTES_MAX);
        group.ids.clear();
        group.held.clear();
        group.rows = 0;
    }

    fn write(&mut self, bytes: &[u8], rows: u64) -> io::Result<()> {
        // Senders will send again what they were told is not durable. As long as it may still stand in the segment,
        // nothing is taken, or it would be there twice.
        self.settle()?;
        let growing = match &mut self.growing {
            Some(growing) => growing,
            none => {
                let (id, path, file) = disk::create(&self.dir, self.clock.now_ms())?;
                let bytes = segment::FILE_HEADER_BYTES as u64;
                self.shared.level.bytes.fetch_add(bytes, Ordering::Relaxed);
                let since = Instant::now();
                none.insert(Growing {
                    id,
                    path,
                    file,
                    bytes,
                    rows: 0,
                    since,
                    uncut: false,
                    sync_failed: false,
                    sealing: false,
                })
            }
        };
        let written = growing.file.write_all(bytes).and_then(|()| {
            failpoint::reach("appended");
            growing.file.sync().inspect_err(|_| growing.sync_failed = true)
        });
        if let Err(error) = written {
            growing.uncut = true;
            let _ = self.take_back();
            return Err(error);
        }
        growing.bytes += bytes.len() as u64;
        growing.rows += rows;
        self.shared.level.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.shared.level.rows.fetch_add(rows, Ordering::Relaxed);
        Ok(())
    }

    /// Takes a failed write out of the growing segment and completes it there.
    fn take_back(&mut self) -> io::Result<()> {
        let Some(growing) = self.growing.as_mut().filter(|growing| growing.uncut) else { return Ok(()) };
        let cut = if growing.sync_failed {
            // After a failed sync the pages' state is unknown: they may be marked clean and be lost, and a second
            // sync would say OK. What was synced before is written anew.
            std::fs::read(&growing.path).and_then(|mut bytes| {
                bytes.truncate(growing.bytes as usize);
                super::replace(&growing.path, &bytes)?;
                growing.file = Out::open(&growing.path)?;
                growing.sync_failed = false;
                growing.file.cut(growing.bytes)
            })
        } else {
            let cut = growing.file.cut(growing.bytes);
            cut.and_then(|()| growing.file.sync().inspect_err(|_| growing.sync_failed = true))
        };
        if let Err(error) = cut {
            tracing::error!(%error, "the spool cannot take back a failed write; nothing is taken until it can");
            return Err(error);
        }
        growing.uncut = false;
        self.seal();
        Ok(())
    }

    /// Ends what an earlier failure left half done.
    fn settle(&mut self) -> io::Result<()> {
        self.take_back()?;
        if self.growing.as_ref().is_some_and(|growing| growing.sealing) { self.complete() } else { Ok(()) }
    }

    fn seal_if_due(&mut self) {
        // While complete segments wait for the store, age alone seals nothing: a long outage makes full segments,
        // not many small ones.
        let waiting = self.shared.level.segments.load(Ordering::Relaxed) > 0;
        let due = self.growing.as_ref().is_some_and(|growing| {
            growing.rows >= self.seal_rows_max
                || growing.bytes >= self.seal_bytes_max
                || (growing.since.elapsed() >= self.seal_after && !waiting)
        });
        if due {
            self.seal();
        }
    }

    fn seal(&mut self) {
        if self.take_back().is_ok() {
            let _ = self.complete();
        }
    }

    /// Gives the growing segment its last name. Where that fails, the next write tries again first.
    fn complete(&mut self) -> io::Result<()> {
        let Some(growing) = self.growing.take() else { return Ok(()) };
        failpoint::reach("before_seal");
        match disk::complete(&growing.path) {
            Ok(path) => {
                failpoint::reach("sealed");
                self.shared.announce(Sealed {
                    id: growing.id,
                    path,
                    bytes: growing.bytes,
                    rows: growing.rows,
                    sealed_at_ms: self.clock.now_ms(),
                });
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "the spool cannot complete a segment; nothing is taken until it can");
                let complete = growing.path.with_extension(disk::SEAL);
                let path = if complete.exists() { complete } else { growing.path };
                self.growing = Some(Growing { path, sealing: true, ..growing });
                self.shared.failing.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}
