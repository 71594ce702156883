//! What was asked for and is not done yet, one file each, written before anything is begun.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::spool::replace;

/// Most jobs that may wait; one more is answered with 503.
const JOBS_MAX: usize = 10_000;

/// What a subject can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// A copy of every row.
    Export,
    /// Every row goes.
    Erase,
    /// Every row goes, and none comes any more.
    Withdraw,
    /// Rows stay, and are in no report.
    Restrict,
    /// They are in reports again.
    Lift,
}

impl Request {
    /// The word in paths, answers and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Erase => "erase",
            Self::Withdraw => "withdraw",
            Self::Restrict => "restrict",
            Self::Lift => "lift",
        }
    }

    /// The request of a path's last part.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Export, Self::Erase, Self::Withdraw, Self::Restrict]
            .into_iter()
            .find(|known| known.word() == word)
    }

    pub(super) fn erases(self) -> bool {
        matches!(self, Self::Erase | Self::Withdraw)
    }
}

/// One site's part of a job, with what was found so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) site: String,
    /// In hex: JSON has no number of 128 bits.
    subject: String,
    pub(super) spool: u64,
    pub(super) quarantine: u64,
    /// Written down before the rows go, so that a crash between does not lose the count.
    pub(super) events: u64,
    /// Hours of the roll-ups that are to be built anew, written down before the rows go.
    pub(super) hours: Vec<u32>,
}

impl Target {
    pub(super) fn new(site: &str, subject: u128) -> Self {
        let subject = format!("{subject:032x}");
        Self { site: site.to_owned(), subject, spool: 0, quarantine: 0, events: 0, hours: Vec::new() }
    }

    /// 0, which is nobody, where the file does not say.
    pub(super) fn subject(&self) -> u128 {
        u128::from_str_radix(&self.subject, 16).unwrap_or(0)
    }
}

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) request: Request,
    pub(super) at_ms: i64,
    /// Asked of another collector, which gives the receipt.
    pub(super) shared: bool,
    pub(super) targets: Vec<Target>,
    /// Stretches of files on this disk that could not be read.
    #[serde(default)]
    pub(super) unreadable: u64,
}

impl Job {
    fn same(&self, other: &Self) -> bool {
        let key = |job: &Self| job.targets.iter().map(|target| target.subject.clone()).collect::<Vec<_>>();
        self.request == other.request && self.shared == other.shared && key(self) == key(other)
    }
}

/// A random id in hex.
pub(super) fn new_id() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{:032x}", u128::from_le_bytes(random)))
}

/// The jobs that wait, in memory and on the disk.
#[derive(Debug)]
pub(super) struct Jobs {
    dir: Option<PathBuf>,
    waiting: Mutex<BTreeMap<String, Job>>,
    /// The one that is being carried out.
    running: Mutex<Option<String>>,
}

/// A job is being carried out for as long as this is held.
pub(super) struct Running<'a>(&'a Mutex<Option<String>>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Jobs {
    /// Reads what waits in `dir`.
    pub(super) fn open(dir: Option<&Path>) -> io::Result<Self> {
        let mut waiting = BTreeMap::new();
        for entry in dir.map(fs::read_dir).transpose()?.into_iter().flatten() {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "job") {
                let job: Job = serde_json::from_slice(&fs::read(&path)?).map_err(io::Error::other)?;
                waiting.insert(job.id.clone(), job);
            }
        }
        Ok(Self { dir: dir.map(Path::to_owned), waiting: Mutex::new(waiting), running: Mutex::default() })
    }

    fn path(&self, id: &str) -> io::Result<PathBuf> {
        let dir = self.dir.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(dir.join(id).with_extension("job"))
    }

    /// Says that a job is being carried out. What is asked for from now on is another job's: it may mean rows that this
    /// one does not see any more.
    pub(super) fn run(&self, id: &str) -> Running<'_> {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
        Running(&self.running)
    }

    /// Keeps a job durably. Asked for again while it waits, it is the same job, with the later time. Gives its id.
    pub(super) fn add(&self, job: Job) -> io::Result<String> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let waits = |waiting: &&Job| running.as_ref() != Some(&waiting.id);
        if let Some(same) = waiting.values().filter(waits).find(|waiting| waiting.same(&job)) {
            let later = Job { at_ms: same.at_ms.max(job.at_ms), ..same.clone() };
            replace(&self.path(&later.id)?, &serde_json::to_vec(&later).map_err(io::Error::other)?)?;
            let id = later.id.clone();
            waiting.insert(id.clone(), later);
            return Ok(id);
        }
        if waiting.len() >= JOBS_MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        replace(&self.path(&job.id)?, &serde_json::to_vec(&job).map_err(io::Error::other)?)?;
        let id = job.id.clone();
        waiting.insert(id.clone(), job);
        Ok(id)
    }

    /// Writes down how far a job has come.
    pub(super) fn save(&self, job: &Job) -> io::Result<()> {
        replace(&self.path(&job.id)?, &serde_json::to_vec(job).map_err(io::Error::other)?)?;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(job.id.clone(), job.clone());
        Ok(())
    }

    pub(super) fn get(&self, id: &str) -> Option<Job> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Ids of all that wait, as they were asked for: a restriction and its end must not change places.
    pub(super) fn ids(&self) -> Vec<String> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<_> = waiting.values().map(|job| (job.at_ms, job.id.clone())).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// The job is done.
    pub(super) fn end(&self, id: &str) -> io::Result<()> {
        fs::remove_file(self.path(id)?)?;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(())
    }
}

/// Rows by where they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) spool: u64,
    pub(super) quarantine: u64,
    pub(super) events: u64,
}

/// What whoever asked is told, and what is kept of it. Neither token nor subject is in it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Receipt {
    pub(super) request: Request,
    pub(super) status: &'static str,
    /// The site; the sites, joined by commas, where the request named none.
    pub(super) site: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rows_erased: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rows_marked: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rows_exported: Option<Counts>,
    pub(super) rollup_hours_rebuilt: usize,
    /// Damaged stretches on this collector's disk whose rows nobody can tell apart any more; the operator knows of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) unreadable_stretches: u64,
    /// RFC 3339.
    pub(super) at: String,
    pub(super) receipt: String,
    pub(super) note: &'static str,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What no program can reach.
const OUT_OF_REACH: &str = "Backups that the operator made, and figures of groups that were exported before, are out of this \
    program's reach; the database unlinks the files that held erased rows within minutes.";

impl Job {
    /// The receipt of a job, done or not.
    pub(super) fn receipt(&self, done: bool) -> Receipt {
        let sum = |of: fn(&Target) -> u64| self.targets.iter().map(of).sum();
        let counts = Counts {
            spool: sum(|target| target.spool),
            quarantine: sum(|target| target.quarantine),
            events: sum(|target| target.events),
        };
        let sites: Vec<&str> = self.targets.iter().map(|target| target.site.as_str()).collect();
        let counts_if = |is: bool| is.then_some(counts);
        Receipt {
            request: self.request,
            status: if done { "done" } else { "pending" },
            site: sites.join(","),
            rows_erased: counts_if(self.request.erases()),
            rows_marked: counts_if(matches!(self.request, Request::Restrict | Request::Lift)),
            rows_exported: counts_if(self.request == Request::Export),
            rollup_hours_rebuilt: self.targets.iter().map(|target| target.hours.len()).sum(),
            unreadable_stretches: self.unreadable,
            at: jiff::Timestamp::from_millisecond(self.at_ms).unwrap_or_default().to_string(),
            receipt: self.id.clone(),
            note: OUT_OF_REACH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_wait_are_done_in_the_order_in_which_they_were_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(Some(dir.path())).unwrap();
        for (id, request, at_ms) in [("f", Request::Restrict, 1), ("0", Request::Lift, 2)] {
            let targets = vec![Target::new("shop", 7)];
            jobs.add(Job { id: id.to_owned(), request, at_ms, shared: false, targets, unreadable: 0 })
                .unwrap();
        }
        for jobs in [jobs, Jobs::open(Some(dir.path())).unwrap()] {
            assert_eq!(jobs.ids(), ["f", "0"]);
        }
    }

    #[test]
    fn asked_for_again_it_is_the_same_job_until_it_is_carried_out() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(Some(dir.path())).unwrap();
        let ask = |id: &str, at_ms| {
            let targets = vec![Target::new("shop", 7)];
            jobs.add(Job {
                id: id.to_owned(),
                request: Request::Erase,
                at_ms,
                shared: false,
                targets,
                unreadable: 0,
            })
            .unwrap()
        };
        assert_eq!((ask("a", 1), ask("b", 9)), ("a".to_owned(), "a".to_owned()));
        assert_eq!(jobs.get("a").unwrap().at_ms, 9, "rows up to the later request are meant");
        let running = jobs.run("a");
        assert_eq!((ask("c", 10), ask("d", 11)), ("c".to_owned(), "c".to_owned()));
        drop(running);
        assert_eq!(jobs.ids(), ["a", "c"]);
    }
}
