//! Carrying jobs out: spool, quarantine, table, roll-ups, receipt.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use clickhouse::Client;
use serde_json::{Map, Value};

use super::job::{Job, Receipt, Request, Target};
use super::{Rights, share};
use crate::clock::minute_of;
use crate::spool::{self, Change, StoredRow};
use crate::store::subject::{self, ReceiptLine, SubjectRows};
use crate::store::{Brief, State, as_json};

/// An event that was let in before a choice counted is in the spool after this time.
const IN_FLIGHT: Duration = Duration::from_millis(250);
/// How often jobs that wait are tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Receipts that are kept for callers that still wait.
const RECEIPTS_MAX: usize = 100;
/// Most rows in one export; more are told of by `complete: false`.
pub(super) const EXPORT_ROWS_MAX: usize = 100_000;

/// A row by its columns' names.
pub(super) type Row = Map<String, Value>;

/// Why a job is not done yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    #[error("{0}")]
    Store(#[from] Brief),
    #[error("the disk: {0}")]
    Disk(#[from] io::Error),
    #[error("a segment is being inserted in parts; its rows go when it is in")]
    InParts,
}

impl Rights {
    /// Works on jobs that wait, and on what other collectors were asked, for as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        if self.dir.is_none() {
            return std::future::pending().await;
        }
        let mut shared = share::Cursor::default();
        let mut told = false;
        loop {
            for id in self.jobs.ids() {
                match self.carry_out(&id).await {
                    Ok(_) => told = false,
                    Err(reason) => {
                        if !told {
                            tracing::warn!(%reason, waiting = self.jobs.ids().len(), "a subject's request waits; trying again until it is done");
                        }
                        told = true;
                    }
                }
            }
            self.learn(&mut shared).await;
            tokio::time::sleep(AGAIN).await;
        }
    }

    pub(super) fn admin(&self) -> Result<Client, Brief> {
        if matches!(*self.state.borrow(), State::Starting(_)) {
            return Err(Brief("the store is not ready".into()));
        }
        self.source.admin().ok_or_else(|| Brief("the engine is not ready".into()))
    }

    /// Does a job from its beginning, whatever of it was done before.
    pub(super) async fn carry_out(&self, id: &str) -> Result<Receipt, NotDone> {
        let _one = self.one.lock().await;
        let _running = self.jobs.run(id);
        let Some(mut job) = self.jobs.get(id) else {
            // Somebody else has just done it.
            let receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
            let receipt = receipts.iter().find(|receipt| receipt.receipt == id).cloned();
            return receipt.ok_or_else(|| NotDone::Disk(io::ErrorKind::NotFound.into()));
        };
        // Without a store nothing is read and nothing held up.
        let admin = self.admin()?;
        tokio::time::sleep(IN_FLIGHT).await;
        let held = self.gate.lock().await;
        subject::end_inserts(&admin).await?;
        if !self.spool.seal().await {
            return Err(NotDone::Disk(io::Error::other("the spool cannot complete its segment")));
        }
        let left = tokio::task::block_in_place(|| self.change_here(&mut job))?;
        for index in 0..job.targets.len() {
            self.change_store(&admin, &mut job, index).await?;
        }
        drop(held);
        if left {
            return Err(NotDone::InParts);
        }
        for target in &job.targets {
            let erased = if job.request.erases() { target.quarantine + target.events } else { 0 };
            self.write_down(&admin, &job, target, erased).await?;
        }
        let receipt = job.receipt(true);
        if !job.shared {
            self.keep_receipt(&receipt)?;
        }
        self.jobs.end(id)?;
        let mut receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        receipts.truncate(RECEIPTS_MAX - 1);
        receipts.push_front(receipt.clone());
        Ok(receipt)
    }

    /// Spool, quarantine and what was set aside. True where a segment had to be left.
    fn change_here(&self, job: &mut Job) -> io::Result<bool> {
        let change = match job.request {
            Request::Erase | Request::Withdraw => Change::Erase,
            Request::Restrict => Change::Restrict,
            Request::Lift => Change::Lift,
            Request::Export => return Ok(false),
        };
        // Rows that came after an erasure was asked for are not meant; after a withdrawal none comes.
        let until = if job.request == Request::Erase { minute_of(job.at_ms) } else { u32::MAX };
        let (mut left, mut unreadable) = (false, 0);
        for target in &mut job.targets {
            let subject = target.subject();
            let changed =
                self.spool.change_subject(subject, change, until, |id| self.quarantine.is_split(id))?;
            left |= changed.left;
            unreadable = changed.unreadable;
            target.spool += changed.rows;
            if change == Change::Erase {
                if changed.rows > 0 {
                    self.telemetry.erased(&target.site, changed.rows);
                }
                target.quarantine += self.quarantine.erase(subject)?;
                let aside = spool::erase_aside(&self.damaged, subject, until)?;
                target.quarantine += aside.rows;
                unreadable += aside.unreadable;
            }
        }
        // The same files for each site.
        job.unreadable = unreadable;
        if unreadable > 0 {
            tracing::warn!(
                unreadable,
                "a subject's rows were looked for, and some of what lies on the disk cannot be read"
            );
        }
        self.jobs.save(job)?;
        Ok(left)
    }

    /// The table and its roll-ups. What is found is written down before it is changed.
    async fn change_store(&self, admin: &Client, job: &mut Job, index: usize) -> Result<(), NotDone> {
        let target = &job.targets[index];
        let (site, subject) = (target.site.clone(), target.subject());
        let rows = SubjectRows { admin, site: &site, subject };
        let found = match job.request {
            Request::Export => return Ok(()),
            Request::Erase | Request::Withdraw => rows.all().await?,
            Request::Restrict => rows.with_no_share(0).await?,
            Request::Lift => rows.with_no_share(2).await?,
        };
        let target = &mut job.targets[index];
        target.events = target.events.max(found.rows);
        target.hours.extend(found.hours);
        target.hours.sort_unstable();
        target.hours.dedup();
        let hours = target.hours.clone();
        tokio::task::block_in_place(|| self.jobs.save(job))?;
        if found.rows > 0 {
            match job.request {
                Request::Export => {}
                Request::Erase | Request::Withdraw => rows.delete().await?,
                Request::Restrict => rows.mark(0, 2).await?,
                Request::Lift => rows.mark(2, 0).await?,
            }
        }
        subject::rebuild_hours(admin, &site, &hours).await?;
        Ok(())
    }

    async fn write_down(
        &self,
        admin: &Client,
        job: &Job,
        target: &Target,
        erased: u64,
    ) -> Result<(), NotDone> {
        let line = ReceiptLine {
            receipt: &job.id,
            request: job.request.word(),
            site: &target.site,
            at_ms: job.at_ms,
            spool: target.spool,
            quarantine: target.quarantine,
            events: target.events,
            hours: target.hours.len() as u64,
        };
        subject::write_receipt(admin, &line, erased).await?;
        if !job.shared {
            self.share(admin, job, target).await?;
        }
        Ok(())
    }

    /// The operator's own record: one line for each request that was carried out.
    pub(super) fn keep_receipt(&self, receipt: &Receipt) -> io::Result<()> {
        let dir = self.dir.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut line = serde_json::to_vec(receipt).map_err(io::Error::other)?;
        line.push(b'\n');
        let path = dir.join("receipts.jsonl");
        let mut file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        file.write_all(&line)?;
        file.sync_data()
    }

    /// Every row of the targets, wherever it lies. The flag says whether that is all.
    pub(super) async fn export(&self, job: &mut Job) -> Result<(Vec<Row>, bool), NotDone> {
        let _one = self.one.lock().await;
        let admin = self.admin()?;
        let _held = self.gate.lock().await;
        if !self.spool.seal().await {
            return Err(NotDone::Disk(io::Error::other("the spool cannot complete its segment")));
        }
        let mut all = Vec::new();
        let mut complete = true;
        for target in &mut job.targets {
            let subject = target.subject();
            let rows = SubjectRows { admin: &admin, site: &target.site, subject };
            let lines = rows.export(EXPORT_ROWS_MAX + 1).await?;
            let lines = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
            let stored = lines.map(serde_json::from_slice::<Row>).collect::<Result<Vec<_>, _>>();
            let stored = stored.map_err(|_| Brief("the store's answer is no JSON".into()))?;
            let spooled = tokio::task::block_in_place(|| self.spooled(subject))?;
            let quarantined = tokio::task::block_in_place(|| self.quarantine.rows_of(subject))?;
            target.events = stored.len() as u64;
            target.spool = spooled.len() as u64;
            target.quarantine = quarantined.len() as u64;
            for (place, rows) in [("events", stored), ("spool", spooled), ("quarantine", quarantined)] {
                for mut row in rows {
                    row.insert("stored_in".into(), place.into());
                    all.push(row);
                }
            }
        }
        if all.len() > EXPORT_ROWS_MAX {
            all.truncate(EXPORT_ROWS_MAX);
            complete = false;
        }
        for target in &job.targets {
            self.write_down(&admin, job, target, 0).await?;
        }
        tokio::task::block_in_place(|| self.keep_receipt(&job.receipt(true)))?;
        Ok((all, complete))
    }

    fn spooled(&self, subject: u128) -> io::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for sealed in self.spool.sealed() {
            let bytes = sealed.load()?;
            let Ok(contents) = spool::read(&bytes) else { continue };
            let decoded = contents.records.iter().flat_map(|record| &record.rows);
            let of_subject =
                decoded.filter_map(|row| StoredRow::decode(row)).filter(|row| row.subject == subject);
            rows.extend(of_subject.map(|row| as_json(&row)));
        }
        Ok(rows)
    }
}
