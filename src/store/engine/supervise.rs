//! The thread that keeps the engine running.
//!
//! It is a thread of its own and blocks, because the kernel ties the child to the thread that started it: a worker of
//! the runtime may end early and would take the engine with it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use tokio::sync::watch;

use super::access::{self, Access, Users};
use super::child::EXIT_UNUSABLE;
use super::error::EngineError;
use super::files::{CONFIG, make_private_dir, write_all};
use super::output::Tail;
use super::run::{Run, describe};
use super::{Program, State, http};

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A run that lasted this long begins the count of attempts anew.
const LASTED: Duration = Duration::from_secs(60);
/// Loading many tables takes time; an engine that does not answer for this long is started again.
const START_TIMEOUT: Duration = Duration::from_secs(600);
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
const ASK_EVERY: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// An engine that was killed a moment ago may hold its lock for so many attempts before it is worth a warning.
const LOCKED_ATTEMPTS_QUIET: u32 = 5;
/// The type of our own function `file`; the one that reads files gives a String.
const FILE_SWITCHED_OFF: &str = "UInt8\n";
/// ClickHouse's error ACCESS_DENIED.
const ACCESS_DENIED: u32 = 497;

/// What the supervisor is told.
#[derive(Debug)]
pub(super) enum Message {
    /// End the engine and yourself.
    Stop,
    /// The child with this number closed its output: it has ended.
    Ended(u64),
}

/// What the supervisor tells.
#[derive(Debug)]
pub(super) struct Shared {
    state: watch::Sender<State>,
    access: Mutex<Option<Access>>,
    failure: Mutex<Option<EngineError>>,
}

impl Shared {
    pub(super) fn access(&self) -> Option<Access> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Why it stopped for good; the first who asks learns it.
    pub(super) fn failure(&self) -> Option<EngineError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Access comes before the state that promises it, and goes before the state that takes it back.
    fn set(&self, state: State, access: Option<Access>) {
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = access;
        self.state.send_replace(state);
    }
}

/// Takes the directory and starts the thread.
pub(super) fn start(
    own: PathBuf,
    program: Program,
    dir: PathBuf,
) -> Result<(Sender<Message>, Arc<Shared>), EngineError> {
    make_private_dir(&dir)?;
    // The engine runs in it, and takes a relative path twice.
    let dir = dir.canonicalize().map_err(EngineError::io("resolve", &dir))?;
    let lock = lock(&dir)?;
    access::remove(&dir);
    let users = Users::random()?;
    write_all(&dir, &users)?;
    let (inbox, outbox) = mpsc::channel();
    let shared = Arc::new(Shared {
        state: watch::Sender::new(State::Starting),
        access: Mutex::default(),
        failure: Mutex::default(),
    });
    let supervisor = Supervisor {
        own,
        program,
        dir,
        users,
        inbox: inbox.clone(),
        messages: outbox,
        shared: Arc::clone(&shared),
        runs: 0,
    };
    let work = move || {
        let shared = Arc::clone(&supervisor.shared);
        let failure = supervisor.run().err();
        // Free the directory first, so that whoever waits for the stop can start again.
        drop(lock);
        if let Some(error) = failure {
            tracing::error!(%error, "the embedded engine is given up");
            *shared.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        shared.set(State::Stopped, None);
    };
    thread::Builder::new()
        .name("engine".into())
        .spawn(work)
        .map_err(EngineError::io("start a thread of", Path::new("this program")))?;
    Ok((inbox, shared))
}

/// One collector per directory; the lock goes with the process.
fn lock(dir: &Path) -> Result<File, EngineError> {
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(EngineError::io("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let _ = file.take(20).read_to_string(&mut holder);
            return Err(EngineError::InUse { dir: dir.to_owned(), holder: holder.trim().parse().ok() });
        }
        Err(error) => return Err(EngineError::io("lock", &path)(error.into())),
    }
    // For the message above only.
    let note = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    note(&mut file).map_err(EngineError::io("write", &path))?;
    Ok(file)
}

/// Why a run came to its end.
enum End {
    Stopped,
    Died(ExitStatus),
    Failed(String),
}

struct Supervisor {
    own: PathBuf,
    program: Program,
    dir: PathBuf,
    users: Users,
    inbox: Sender<Message>,
    messages: Receiver<Message>,
    shared: Arc<Shared>,
    runs: u64,
}

impl Supervisor {
    /// Returns when it is told to stop, or if the program can never be the engine.
    fn run(mut self) -> Result<(), EngineError> {
        let mut attempts = 0;
        let mut was_ready = false;
        loop {
            let since = Instant::now();
            self.runs += 1;
            let (inbox, number) = (self.inbox.clone(), self.runs);
            let on_end = move || {
                // An error means that nobody waits for it any more.
                let _ = inbox.send(Message::Ended(number));
            };
            let (end, tail) = match Run::start(&self.own, &self.program, &self.dir, on_end) {
                Ok(mut run) => {
                    let end = self.attend(&mut run, &mut was_ready);
                    run.end();
                    (end?, Some(run.tail))
                }
                // Out of processes, files or memory: that may pass.
                Err(error) if was_ready => (End::Failed(error.to_string()), None),
                Err(error) => return Err(error),
            };
            access::remove(&self.dir);
            let tail = tail.as_deref();
            let said = tail.and_then(Tail::last);
            let reason = match end {
                End::Stopped => return Ok(()),
                End::Died(status) if status.code() == Some(EXIT_UNUSABLE) && !was_ready => {
                    return Err(self.unusable(said.unwrap_or_else(|| status.to_string())));
                }
                End::Died(status) => describe(status, said.as_deref()),
                End::Failed(reason) => reason,
            };
            attempts = if since.elapsed() > LASTED { 1 } else { attempts + 1 };
            let delay = backoff(attempts);
            let delay_ms = delay.as_millis() as u64;
            let is_lock = said.is_some_and(|line| line.contains("Cannot lock file"));
            if is_lock && attempts <= LOCKED_ATTEMPTS_QUIET {
                tracing::debug!(attempts, delay_ms, "the engine before this one still ends");
            } else {
                tracing::warn!(attempts, delay_ms, %reason, "the embedded engine ended and is started again");
                for line in tail.map(Tail::all).unwrap_or_default() {
                    tracing::debug!(line, "of the embedded engine");
                }
            }
            self.shared.set(State::Restarting { attempts, reason }, None);
            if self.wait(delay, None) {
                return Ok(());
            }
        }
    }

    fn path(&self) -> &Path {
        match &self.program {
            Program::Library(path) | Program::Clickhouse(path) => path,
        }
    }

    fn unusable(&self, reason: String) -> EngineError {
        let reason = reason.strip_prefix(super::child::WORD).map(str::to_owned).unwrap_or(reason);
        EngineError::Unusable { program: self.path().to_owned(), reason }
    }

    /// Waits until the engine is ready, then until it ends.
    fn attend(&self, run: &mut Run, was_ready: &mut bool) -> Result<End, EngineError> {
        let since = Instant::now();
        loop {
            match self.next(run, ASK_EVERY)? {
                Some(end) => return Ok(end),
                None if self.answers(run)? => break,
                None if since.elapsed() > START_TIMEOUT => {
                    return Ok(End::Failed("it did not answer in time".into()));
                }
                None => {}
            }
        }
        run.tail.takes_queries();
        *was_ready = true;
        let users = self.users.clone();
        let access = Access {
            pid: run.pid(),
            http_port: run.http_port,
            tcp_port: run.tcp_port,
            admin: users.admin,
            ingest: users.ingest,
            analyst: users.analyst,
            statistics: users.statistics,
        };
        if let Err(error) = access::write(&self.dir, &access) {
            tracing::warn!(%error, "other commands will not find the embedded engine");
        }
        let ms = since.elapsed().as_millis() as u64;
        tracing::info!(ms, pid = access.pid, url = access.http_url(), "the embedded engine is ready");
        self.shared.set(State::Ready, Some(access));
        loop {
            if let Some(end) = self.next(run, LOOK_EVERY)? {
                return Ok(end);
            }
        }
    }

    /// The run's end, if it comes within `timeout`.
    fn next(&self, run: &mut Run, timeout: Duration) -> Result<Option<End>, EngineError> {
        if self.wait(timeout, Some(self.runs)) {
            return Ok(Some(End::Stopped));
        }
        Ok(run.ended()?.map(End::Died))
    }

    /// Waits for `timeout`, or until the run with this number closes its output. True if the supervisor is to stop.
    fn wait(&self, timeout: Duration, run: Option<u64>) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            match self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Ok(Message::Ended(number)) if Some(number) == run => {
                    // The exit code follows within moments.
                    thread::sleep(Duration::from_millis(5));
                    return false;
                }
                // Of a run that was seen to its end.
                Ok(Message::Ended(_)) => {}
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// Whether the engine answers, lets `admin` in, and keeps files from everybody else.
    fn answers(&self, run: &Run) -> Result<bool, EngineError> {
        let port = run.http_port;
        if http::ping(port, ASK_TIMEOUT).is_err() {
            return Ok(false);
        }
        let one = http::query(port, ASK_TIMEOUT, &self.users.admin, "SELECT 1");
        if !one.is_ok_and(|answer| answer.status == 200 && answer.body == "1\n") {
            return Ok(false);
        }
        for user in [&self.users.analyst, &self.users.statistics, &self.users.ingest] {
            let sql = format!("SELECT toTypeName(file('{CONFIG}'))");
            match http::query(port, ASK_TIMEOUT, user, &sql) {
                Ok(answer) if answer.body == FILE_SWITCHED_OFF || answer.error == Some(ACCESS_DENIED) => {}
                Ok(answer) if answer.status == 200 => {
                    let reason = format!("it lets the user {} read files", user.user);
                    return Err(self.unusable(reason));
                }
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Doubles with each attempt up to ten seconds; between half and all of it, so that engines do not start in step.
fn backoff(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let whole = BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    let mut byte = [0];
    // Without randomness the whole delay is as good.
    if getrandom::fill(&mut byte).is_err() {
        byte = [255];
    }
    whole.mul_f64(0.5 + f64::from(byte[0]) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_limit() {
        for (attempts, most_ms) in [(0, 100), (1, 100), (2, 200), (7, 6400), (8, 10_000), (u32::MAX, 10_000)]
        {
            let delay = backoff(attempts).as_millis();
            assert!((most_ms / 2..=most_ms).contains(&delay), "{attempts}: {delay}");
        }
    }

    #[test]
    fn a_directory_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        let error = lock(dir.path()).unwrap_err();
        assert!(
            matches!(error, EngineError::InUse { holder: Some(pid), .. } if pid == std::process::id()),
            "{error}"
        );
        drop(first);
        lock(dir.path()).unwrap();
    }
}
