//! Which engine is there, without fetching anything.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Program;
use super::cache::{Surroundings, can_load, find, package, platform};
use super::error::EngineError;

/// The first version whose library can open ports.
pub(super) const OLDEST: (u32, u32) = (26, 7);
const ASK_VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Finds an engine: `CONSENTRY_LIBCHDB`, the cache, `clickhouse` on PATH, in this order. `None`: [`super::fetch`] one.
///
/// Blocks for as long as `clickhouse local --version` takes, where it comes to that.
///
/// # Errors
/// `CONSENTRY_LIBCHDB` names something that cannot be used (it is not passed over in silence), or no engine runs on
/// this platform at all.
pub fn locate() -> Result<Option<Program>, EngineError> {
    locate_in(&Surroundings::of_this_process())
}

pub(super) fn locate_in(surroundings: &Surroundings) -> Result<Option<Program>, EngineError> {
    if !cfg!(target_os = "linux") {
        return Err(EngineError::Unsupported { platform: platform() });
    }
    if let Some(path) = &surroundings.libchdb {
        let given = PathBuf::from(path);
        let refuse = |reason: String| EngineError::Library { path: given.clone(), reason };
        if !can_load() {
            return Err(refuse(format!("cannot be loaded into a program built for {}", platform())));
        }
        // The engine runs in another directory.
        let path = std::path::absolute(&given).map_err(|error| refuse(error.to_string()))?;
        return check_library(&path).map(|()| Some(Program::Library(path))).map_err(refuse);
    }
    if let (Some(engines), Some(package)) = (surroundings.engines(), package())
        && let Some(library) = find(&engines, package)
    {
        return Ok(Some(Program::Library(library)));
    }
    if let Some(program) = surroundings.program("clickhouse") {
        match version_of(&program) {
            Some(version) if version >= OLDEST => return Ok(Some(Program::Clickhouse(program))),
            version => {
                tracing::info!(program = %program.display(), ?version, "passed over: 26.7 or newer is needed")
            }
        }
    }
    if can_load() { Ok(None) } else { Err(EngineError::Unsupported { platform: platform() }) }
}

/// Looks at the head of the file: is it a shared library for this machine?
fn check_library(path: &Path) -> Result<(), String> {
    /// Size of the fields up to `e_machine`, System V ABI, "ELF Header".
    const HEAD_BYTES: usize = 20;
    const CLASS_64: u8 = 2;
    const TYPE_SHARED: u16 = 3;
    const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    let mut head = [0; HEAD_BYTES];
    let mut file = File::open(path).map_err(|error| format!("cannot be opened ({error})"))?;
    file.read_exact(&mut head).map_err(|error| format!("cannot be read ({error})"))?;
    let word = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    if !head.starts_with(b"\x7fELF") || word(16) != TYPE_SHARED {
        return Err("is not a shared library".into());
    }
    if head[4] != CLASS_64 || word(18) != MACHINE {
        return Err(format!("is a shared library for another machine than {}", std::env::consts::ARCH));
    }
    Ok(())
}

/// Asks a `clickhouse` program for its version; `None` if it does not say in time.
fn version_of(program: &Path) -> Option<(u32, u32)> {
    let mut child = Command::new(program)
        .args(["local", "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let deadline = Instant::now() + ASK_VERSION_TIMEOUT;
    while child.try_wait().ok()?.is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut text = String::new();
    child.stdout.take()?.take(1024).read_to_string(&mut text).ok()?;
    version_in(&text)
}

/// The first `MAJOR.MINOR` in a text.
pub(super) fn version_in(text: &str) -> Option<(u32, u32)> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let mut numbers = word.split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn with_clickhouse(dir: &Path, says: &str) -> Surroundings {
        let program = dir.join("clickhouse");
        fs::write(&program, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Surroundings { path: Some(dir.into()), ..Default::default() }
    }

    #[test]
    fn a_clickhouse_on_path_counts_from_26_7_on() {
        let dir = tempfile::tempdir().unwrap();
        for (says, counts) in [
            ("ClickHouse local version 26.7.1.5 (official build).", true),
            ("ClickHouse local version 27.1.1.1 (official build).", true),
            ("ClickHouse local version 26.6.9.9 (official build).", false),
            ("something else", false),
        ] {
            let found = locate_in(&with_clickhouse(dir.path(), says)).unwrap();
            assert_eq!(found.is_some(), counts, "{says}");
        }
        assert_eq!(locate_in(&Surroundings::default()).unwrap(), None);
    }

    #[test]
    fn a_named_library_that_cannot_be_used_is_an_error_and_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut surroundings = with_clickhouse(dir.path(), "ClickHouse local version 26.7.1.5");
        let text = dir.path().join("text.so");
        fs::write(&text, "twenty bytes and more of text").unwrap();
        let short = dir.path().join("short.so");
        fs::write(&short, "\x7fELF").unwrap();
        for path in [OsString::from("/nowhere/libchdb.so"), text.into(), short.into(), dir.path().into()] {
            surroundings.libchdb = Some(path.clone());
            let error = locate_in(&surroundings).unwrap_err();
            assert!(matches!(error, EngineError::Library { .. }), "{error}");
            assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        }
    }

    #[test]
    fn finds_a_version_in_a_text() {
        assert_eq!(version_in("26.7.3"), Some((26, 7)));
        assert_eq!(version_in("v 26. 7"), None);
        assert_eq!(version_in(""), None);
    }
}
