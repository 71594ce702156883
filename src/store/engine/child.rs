//! The hidden subcommand `__engine`: ties this process to its parent, then becomes the engine (or npm).
//!
//! `consentry __engine PARENT_PID library PATH ARGS...` loads the library and calls it;
//! `consentry __engine PARENT_PID exec PROGRAM ARGS...` becomes the program.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};

use super::error::EngineError;
use super::loader::{self, LoadError};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__engine";
/// Exit code: the program can never be the engine.
pub(super) const EXIT_UNUSABLE: i32 = 121;
/// Exit code: the parent was gone before this process was tied to it, or the call made no sense.
const EXIT_ORPHAN: i32 = 122;
/// Exit code: the engine came to its end by itself.
const EXIT_ENDED: i32 = 123;
/// Begins each line that this module prints, for the supervisor to find.
pub(super) const WORD: &str = "engine: ";

/// How the child becomes another program.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// Load a library and call it.
    Library,
    /// Replace the process.
    Exec,
}

/// The program to start as the child: this one, also after its file was replaced by another version.
pub(super) fn own_program() -> Result<PathBuf, EngineError> {
    if cfg!(target_os = "linux") {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    std::env::current_exe().map_err(EngineError::io("find", Path::new("this program")))
}

/// A command that runs `program` tied to the life of the *thread* that spawns it. `own` as in `Engine::start_from`.
pub(super) fn command(own: &Path, mode: How, program: &Path) -> Command {
    let mode = match mode {
        How::Library => "library",
        How::Exec => "exec",
    };
    let mut command = Command::new(own);
    command.arg0("consentry").args([SUBCOMMAND, &std::process::id().to_string(), mode]).arg(program);
    command
}

/// The body of `consentry __engine ...`: `args` are those after the subcommand. Returns the exit code.
///
/// Call it first thing in `main`, on the main thread and before any other thread: the tie to the parent is the
/// thread's, and the engine wants the process for itself.
pub fn child_main(args: Vec<OsString>) -> i32 {
    let mut args = args.into_iter();
    let (Some(parent), Some(mode), Some(program)) = (args.next(), args.next(), args.next()) else {
        return orphan("called without its three arguments");
    };
    if !tie_to_parent(&parent) {
        return orphan("the collector is gone");
    }
    // Files for the owner alone; no copy of the memory, which holds visitors' rows and passwords, in a core dump.
    umask(Mode::RWXG | Mode::RWXO);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    match mode.to_str() {
        Some("library") => run_library(Path::new(&program), args),
        Some("exec") => {
            let error = Command::new(&program).args(args).exec();
            report(EXIT_UNUSABLE, &format!("{} cannot be run: {error}", program.display()))
        }
        _ => orphan("called with an unknown mode"),
    }
}

fn run_library(path: &Path, args: impl Iterator<Item = OsString>) -> i32 {
    // The name comes first; the word "local" must not follow, or the call returns at once.
    let args = std::iter::once(OsString::from("clickhouse")).chain(args);
    let Ok(args) = args.map(|arg| CString::new(arg.into_vec())).collect() else {
        return report(EXIT_UNUSABLE, "an argument holds a zero byte");
    };
    match loader::run(path, args) {
        LoadError::Unusable(reason) => report(EXIT_UNUSABLE, &reason),
        LoadError::Ended(said) => report(EXIT_ENDED, said.lines().next().unwrap_or_default()),
    }
}

/// Asks the kernel to kill this process when its parent ends. False if the parent ended before that.
fn tie_to_parent(parent: &OsStr) -> bool {
    #[cfg(target_os = "linux")]
    if rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).is_err() {
        return false;
    }
    let expected = parent.to_str().and_then(|pid| pid.parse().ok());
    let actual = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    expected.is_some() && expected == actual
}

fn orphan(reason: &str) -> i32 {
    report(EXIT_ORPHAN, reason)
}

fn report(code: i32, reason: &str) -> i32 {
    // Also where standard error is closed: the exit code says enough.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{WORD}{reason}\n").as_bytes());
    code
}
