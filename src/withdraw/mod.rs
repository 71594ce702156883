//! Last room: what a subject may ask for. Export, erasure, withdrawal and restriction, for whoever holds the token.
//!
//! Invariant: the token is all there is. It is hashed and looked up; it is never written, logged or compared, and
//! without it nobody, the operator included, can tell whose a row is.
//! Invariant: what was asked for is durable before it is begun, and every step can be done again: a crash, a store that is
//! away or an impatient client only delays it.
//!
//! A job goes through the spool (the growing segment is completed first), the quarantine, what was set aside as damaged,
//! and the table. Meanwhile the shipper is held back, so that no row passes by and no hour of a roll-up is counted twice.
//! With several collectors on one store each carries the job out for its own spool (`consentry.subject_choices`); the hours
//! that are being built anew at that moment may then count an insert of another collector twice.

mod choices;
pub mod command;
mod http;
mod job;
mod limit;
mod share;
mod work;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

pub use choices::{Choice, Choices};
pub use http::{SUBJECTS_PATH, Said};
pub use job::Request;

use crate::accept::Limits;
use crate::clock::Clock;
use crate::config::Config;
use crate::deidentify::SubjectKeys;
use crate::site::Sites;
use crate::spool::Spool;
use crate::store::{Quarantine, Source, State};
use crate::telemetry::Telemetry;
use job::Jobs;

/// What the walk of an event has to know of subjects.
#[derive(Debug, Default)]
pub struct Subjects {
    /// From token to column.
    pub keys: SubjectKeys,
    /// Who has withdrawn or restricted.
    pub choices: Choices,
}

impl Subjects {
    /// Opens the key and the choices of a collector; nothing is made where no site keeps subjects.
    pub fn open(config: &Config) -> io::Result<Self> {
        let sites: Vec<String> =
            config.sites.iter().filter(|site| site.subjects).map(|site| site.id.clone()).collect();
        if sites.is_empty() {
            return Ok(Self::default());
        }
        let data_dir = &config.file.data_dir;
        let key = config.file.subject_key_file.clone().unwrap_or_else(|| data_dir.join("subject.key"));
        Ok(Self { keys: SubjectKeys::open(&key, &sites)?, choices: Choices::open(&dir_of(data_dir)?)? })
    }
}

/// Where choices, jobs and receipts lie.
fn dir_of(data_dir: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = data_dir.join("subjects");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    Ok(dir)
}

/// Carries out what subjects ask for.
#[derive(Debug)]
pub struct Rights {
    subjects: Arc<Subjects>,
    sites: Arc<Sites>,
    spool: Spool,
    source: Source,
    state: watch::Receiver<State>,
    telemetry: Telemetry,
    clock: Clock,
    /// Held by the shipper while it ships.
    gate: Arc<Mutex<()>>,
    /// One job at a time.
    one: Mutex<()>,
    quarantine: Quarantine,
    damaged: PathBuf,
    /// `None`: no site keeps subjects.
    dir: Option<PathBuf>,
    jobs: Jobs,
    /// Receipts of the last jobs, for callers that still wait.
    receipts: std::sync::Mutex<VecDeque<job::Receipt>>,
    limits: Limits,
    rate: limit::Rate,
}

/// The parts of the collector that a job goes through.
#[derive(Debug)]
pub struct Parts {
    /// Keys and choices.
    pub subjects: Arc<Subjects>,
    /// Rows that are not shipped yet.
    pub spool: Spool,
    /// Rows that are.
    pub source: Source,
    /// How the store is.
    pub state: watch::Receiver<State>,
    /// Counters.
    pub telemetry: Telemetry,
    /// Time.
    pub clock: Clock,
    /// What holds the shipper back.
    pub gate: Arc<Mutex<()>>,
}

impl Rights {
    /// Takes up the jobs that an earlier run left.
    pub fn open(config: &Config, parts: Parts) -> io::Result<Self> {
        let Parts { subjects, spool, source, state, telemetry, clock, gate } = parts;
        let data_dir = &config.file.data_dir;
        let some = config.sites.iter().any(|site| site.subjects);
        let dir = if some { Some(dir_of(data_dir)?) } else { None };
        Ok(Self {
            subjects,
            sites: config.sites.clone(),
            spool,
            source,
            state,
            telemetry,
            clock,
            gate,
            one: Mutex::new(()),
            quarantine: Quarantine::new(data_dir.join("quarantine")),
            damaged: data_dir.join("damaged"),
            jobs: Jobs::open(dir.as_deref())?,
            dir,
            receipts: std::sync::Mutex::default(),
            limits: http::limits(&config.file),
            rate: limit::Rate::new(&config.file),
        })
    }
}
