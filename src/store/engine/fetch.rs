//! Brings the engine to this machine with npm, once; checked, whole, or not at all.
//!
//! Everything happens in a directory `tmp-*` beside the final one, on a thread of its own: npm is tied to the life of
//! that thread, so it does not outlive this process. A lock lets one process fetch at a time; the next one waits and
//! finds the result. Whoever holds the lock may remove every `tmp-*`: its owner is dead.

use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock, statvfs};
use tokio::sync::oneshot;

use super::Program;
use super::cache::{Package, Surroundings, can_load, dir_of, find, package, platform};
use super::child::{How, command, own_program};
use super::error::EngineError;
use super::files::make_private_dir;
use super::unpack::{publish, unpack, verify};

/// The package twice (npm keeps it in its cache first), then once with the library, and some air.
const DISK_BYTES_NEEDED: u64 = 1_200_000_000;
const POLL: Duration = Duration::from_millis(200);
/// npm has time-outs of its own; this one is for an npm that hangs.
const NPM_TIMEOUT: Duration = Duration::from_secs(3600);
const NPM_OUTPUT_BYTES_MAX: u64 = 64 * 1024;
const NPM_ERROR_CHARS_MAX: usize = 500;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Another process fetches; waiting for it.
    Waiting,
    /// npm downloads the package.
    Downloading,
    /// The library is written.
    Unpacking,
}

/// How far it is. Bytes are 0 of 0 while waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// Fetches the engine with npm into the cache, unless it is there. `progress` is called a few times a second.
///
/// Dropping the future gives up: npm is ended and what it wrote is removed.
///
/// # Errors
/// No package for this platform, no npm, no room, no network, or a package that is not the expected one.
pub async fn fetch(progress: impl FnMut(Progress) + Send + 'static) -> Result<Program, EngineError> {
    fetch_from(own_program()?, progress).await
}

/// As [`fetch`]; `own` is the program whose hidden subcommand `__engine` calls [`super::child_main`].
pub async fn fetch_from(
    own: PathBuf,
    progress: impl FnMut(Progress) + Send + 'static,
) -> Result<Program, EngineError> {
    let surroundings = Surroundings::of_this_process();
    let Some(package) = package() else {
        let platform = platform();
        return Err(if can_load() {
            EngineError::NoPackage { platform }
        } else {
            EngineError::Unsupported { platform }
        });
    };
    let cancelled = CancelOnDrop::default();
    let flag = Arc::clone(&cancelled.0);
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        let mut job = Job { own, surroundings, package, cancelled: flag, progress: Box::new(progress) };
        let _ = sender.send(job.run());
    };
    thread::Builder::new()
        .name("engine-fetch".into())
        .spawn(work)
        .map_err(EngineError::io("start a thread of", Path::new("this program")))?;
    receiver.await.unwrap_or(Err(EngineError::Cancelled)).map(Program::Library)
}

#[derive(Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

struct Job {
    own: PathBuf,
    surroundings: Surroundings,
    package: &'static Package,
    cancelled: Arc<AtomicBool>,
    progress: Box<dyn FnMut(Progress) + Send>,
}

impl Job {
    fn run(&mut self) -> Result<PathBuf, EngineError> {
        let engines = self.surroundings.engines().ok_or(EngineError::NoCacheDir)?;
        make_private_dir(&engines)?;
        let _lock = self.lock(&engines)?;
        if let Some(library) = find(&engines, self.package) {
            return Ok(library);
        }
        let npm = self.surroundings.program("npm").ok_or(EngineError::NpmMissing)?;
        remove_stale(&engines);
        require_room(&engines)?;
        let temporary = Temporary(engines.join(format!("tmp-{}", std::process::id())));
        make_private_dir(&temporary.0)?;

        let tarball = self.download(&npm, &temporary.0)?;
        // npm's own copy: the room is better used for the library.
        let _ = fs::remove_dir_all(temporary.0.join("npm-cache"));
        let (package, out) = (self.package, temporary.0.join("out"));
        verify(&tarball, package, &mut |bytes| self.tick(Step::Unpacking, bytes, package.library_bytes))?;
        unpack(&tarball, &out, package, &mut |bytes| {
            self.tick(Step::Unpacking, bytes, package.library_bytes)
        })?;
        publish(&out, &dir_of(&engines, package))?;
        find(&engines, package)
            .ok_or_else(|| EngineError::Integrity { reason: "it is not found again".into() })
    }

    /// Tells of progress; an error if nobody waits any more.
    fn tick(&mut self, step: Step, done_bytes: u64, total_bytes: u64) -> Result<(), EngineError> {
        if self.cancelled.load(Ordering::Acquire) {
            return Err(EngineError::Cancelled);
        }
        (self.progress)(Progress { step, done_bytes: done_bytes.min(total_bytes), total_bytes });
        Ok(())
    }

    fn lock(&mut self, engines: &Path) -> Result<File, EngineError> {
        let path = engines.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(EngineError::io("open", &path))?;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {
                    self.tick(Step::Waiting, 0, 0)?;
                    thread::sleep(POLL);
                }
                Err(error) => return Err(EngineError::io("lock", &path)(error.into())),
            }
        }
    }

    /// Runs npm and returns the package that it left in `dir`.
    fn download(&mut self, npm: &Path, dir: &Path) -> Result<PathBuf, EngineError> {
        let log_path = dir.join("npm.log");
        let log = File::create_new(&log_path).map_err(EngineError::io("make", &log_path))?;
        let both = log.try_clone().map_err(EngineError::io("open", &log_path))?;
        let mut command = command(&self.own, How::Exec, npm);
        command
            .arg("pack")
            .arg(format!("{}@{}", self.package.name, self.package.version))
            .arg("--pack-destination")
            .arg(dir)
            .arg("--cache")
            .arg(dir.join("npm-cache"))
            .args(["--ignore-scripts", "--no-update-notifier", "--no-progress"])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(both);
        // npm needs its environment (proxies, its own configuration), but not our secrets.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CONSENTRY_"))
        {
            command.env_remove(name);
        }
        let mut child = command.spawn().map_err(EngineError::io("start", npm))?;
        let deadline = Instant::now() + NPM_TIMEOUT;
        let ended = loop {
            match child.try_wait().map_err(EngineError::io("wait for", npm)) {
                Ok(Some(status)) => break Ok(status),
                Ok(None) if Instant::now() > deadline => {
                    break Err(npm_failed("no end after an hour".into(), &log_path));
                }
                Ok(None) => {}
                Err(error) => break Err(error),
            }
            let done = bytes_below(dir, 16);
            if let Err(error) = self.tick(Step::Downloading, done, self.package.tarball_bytes) {
                break Err(error);
            }
            thread::sleep(POLL);
        };
        if ended.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let status: ExitStatus = ended?;
        if !status.success() {
            return Err(npm_failed(status.to_string(), &log_path));
        }
        let files = fs::read_dir(dir).map_err(EngineError::io("read", dir))?;
        let tarball = files
            .flatten()
            .map(|file| file.path())
            .find(|path| path.extension().is_some_and(|end| end == "tgz"));
        tarball.ok_or_else(|| npm_failed("it brought no package".into(), &log_path))
    }
}

/// Removed when the work is done or has failed; a killed process leaves it to the next.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn remove_stale(engines: &Path) {
    let Ok(entries) = fs::read_dir(engines) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("tmp-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn require_room(dir: &Path) -> Result<(), EngineError> {
    const MB: u64 = 1_000_000;
    let disk = statvfs(dir).map_err(|error| EngineError::io("ask for the room in", dir)(error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= DISK_BYTES_NEEDED {
        return Ok(());
    }
    Err(EngineError::DiskFull { dir: dir.to_owned(), needed_mb: DISK_BYTES_NEEDED / MB, free_mb: free / MB })
}

/// Sum of the sizes of all files below `dir`, at most `depth_max` directories deep.
fn bytes_below(dir: &Path, depth_max: usize) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().filter_map(|entry| {
        let about = entry.metadata().ok()?;
        Some(if about.is_dir() && depth_max > 0 {
            bytes_below(&entry.path(), depth_max - 1)
        } else {
            about.len()
        })
    });
    sizes.sum()
}

/// The errors in npm's output; its warnings and notices are none.
fn npm_failed(status: String, log: &Path) -> EngineError {
    let mut text = String::new();
    let _ = File::open(log).and_then(|file| file.take(NPM_OUTPUT_BYTES_MAX).read_to_string(&mut text));
    EngineError::Npm { status, output: npm_errors(&text) }
}

fn npm_errors(text: &str) -> String {
    let is_error = |line: &&str| {
        line.starts_with("npm error") || line.starts_with("npm ERR!") || line.starts_with("engine:")
    };
    let errors: Vec<_> = text.lines().filter(is_error).take(6).collect();
    let errors: String =
        errors.join("; ").chars().filter(|c| !c.is_control()).take(NPM_ERROR_CHARS_MAX).collect();
    if errors.is_empty() { "it printed no error".into() } else { errors }
}

/// Shows progress on standard error: one line that changes on a terminal, a line every ten per cent elsewhere.
pub fn stderr_progress() -> impl FnMut(Progress) + Send + 'static {
    let terminal = std::io::stderr().is_terminal();
    let mut last: Option<(Step, u64)> = None;
    move |progress| {
        const MB: u64 = 1_000_000;
        let percent = (progress.done_bytes * 100).checked_div(progress.total_bytes).unwrap_or(0);
        let shown = if terminal { percent } else { percent / 10 * 10 };
        if last == Some((progress.step, shown)) {
            return;
        }
        let (done, total) = (progress.done_bytes / MB, progress.total_bytes / MB);
        let text = match progress.step {
            Step::Waiting => "engine: another process fetches it, waiting".to_owned(),
            Step::Downloading => {
                format!("engine: fetching ClickHouse once with npm, {shown:3} % of {total} MB")
            }
            Step::Unpacking => format!("engine: unpacking, {shown:3} % of {total} MB"),
        };
        let is_last = progress.step == Step::Unpacking && done == total;
        let end = if terminal && !is_last { "" } else { "\n" };
        let start = if terminal { "\r\x1b[2K" } else { "" };
        last = Some((progress.step, shown));
        // A closed standard error is no reason not to fetch.
        let _ = write!(std::io::stderr(), "{start}{text}{end}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_npm_are_no_errors() {
        let text = "npm warn Unknown user config\nnpm notice\nnpm error code E404\nnpm error 404 Not Found\n";
        assert_eq!(npm_errors(text), "npm error code E404; npm error 404 Not Found");
        assert_eq!(npm_errors("npm warn x\n"), "it printed no error");
    }

    #[test]
    fn counts_bytes_in_all_directories() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/c"), [0; 10]).unwrap();
        fs::write(dir.path().join("d"), [0; 5]).unwrap();
        assert_eq!(bytes_below(dir.path(), 16), 15);
        assert_eq!(bytes_below(&dir.path().join("absent"), 16), 0);
    }
}
