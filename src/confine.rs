//! What the process gives up before it takes the first beacon: writing anywhere but where its data lies, and starting
//! programs. Landlock, a part of the Linux kernel, holds it to that, also whoever has taken the process over.
//!
//! Invariant: it is done while the process has one thread. The kernel holds a thread, and those that it starts later, to
//! what it gave up; threads that are there already it does not.
//!
//! Absent: limits on reading. A reload may name other certificates, lists and keys, wherever they lie; what may be read is
//! said by the files' owners, the service manager and the container.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};

/// Rights up to those of Linux 6.2: to cut a file short and to move one elsewhere are among them.
const RIGHTS: ABI = ABI::V3;

/// What it goes on needing.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Directories below which anything may be written.
    pub written: Vec<PathBuf>,
    /// Directories in which a socket's file has to be taken away at the end.
    pub sockets: Vec<PathBuf>,
    /// Programs that are started.
    pub programs: Vec<PathBuf>,
}

/// How much of it the kernel holds the process to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// All of it.
    Whole,
    /// What this kernel knows of it.
    Partly,
    /// Nothing: the kernel has no Landlock, or it is switched off there.
    Not,
}

/// Why nothing was given up.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// A path that is needed is not there.
    #[error(transparent)]
    Path(#[from] PathFdError),
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] RulesetError),
    /// It comes too late.
    #[error("the process has {0} threads already")]
    Threads(usize),
}

/// Gives up, for this thread and all that it starts, what `needs` does not name.
///
/// # Errors
/// Nothing was given up then.
pub fn confine(needs: &Needs) -> Result<Held, ConfineError> {
    let write = AccessFs::from_write(RIGHTS);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(write | AccessFs::Execute)?
        .create()?;
    let mut allow = |path: &Path, rights: BitFlags<AccessFs>| -> Result<(), ConfineError> {
        let rule = PathBeneath::new(PathFd::new(path)?, rights);
        (&mut rules).add_rule(rule)?;
        Ok(())
    };
    for path in &needs.written {
        allow(path, write)?;
    }
    for path in &needs.sockets {
        allow(path, AccessFs::RemoveFile.into())?;
    }
    // What a child has in place of a terminal.
    allow(Path::new("/dev/null"), AccessFs::WriteFile.into())?;
    for path in &needs.programs {
        allow(path, AccessFs::Execute.into())?;
    }
    if !needs.programs.is_empty() {
        for path in loaders() {
            allow(&path, AccessFs::Execute.into())?;
        }
    }
    let status = rules.restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Held::Whole,
        RulesetStatus::PartiallyEnforced => Held::Partly,
        RulesetStatus::NotEnforced => Held::Not,
    })
}

/// The same for the whole process, which must have one thread.
///
/// # Errors
/// As for [`confine`], and where there are other threads.
pub fn confine_process(needs: &Needs) -> Result<Held, ConfineError> {
    // Without /proc it cannot be told; then it is taken for granted.
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(ConfineError::Threads(threads));
    }
    confine(needs)
}

/// The dynamic loader of this process: the kernel starts it before a program that is linked dynamically.
fn loaders() -> Vec<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut found: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .filter(|path| path.rsplit('/').next().is_some_and(|name| name.starts_with("ld-")))
        .map(PathBuf::from)
        .collect();
    found.dedup();
    found.retain(|path| path.exists());
    found
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// In a thread of its own, which alone gives something up.
    #[test]
    fn outside_of_its_data_nothing_is_written_and_no_program_started() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let kept = outside.path().join("kept");
        std::fs::write(&kept, "as it was").unwrap();
        let needs = Needs { written: vec![inside.path().to_owned()], ..Needs::default() };
        let (own, other, file) = (inside.path().to_owned(), outside.path().to_owned(), kept.clone());
        let held = std::thread::spawn(move || {
            let held = confine(&needs).unwrap();
            if held == Held::Not {
                return held;
            }
            std::fs::create_dir(own.join("a")).unwrap();
            std::fs::write(own.join("a/b"), "x").unwrap();
            std::fs::rename(own.join("a/b"), own.join("c")).unwrap();
            std::fs::remove_dir(own.join("a")).unwrap();
            std::fs::write("/dev/null", "x").unwrap();
            let refused = |done: std::io::Result<()>| {
                let kind = done.map_err(|error| error.kind());
                // Moving a file across is refused as if the two were different disks.
                assert!(
                    matches!(
                        kind,
                        Err(std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::CrossesDevices)
                    ),
                    "{kind:?}"
                );
            };
            refused(std::fs::write(&file, "another"));
            refused(std::fs::write(other.join("new"), "x"));
            refused(std::fs::remove_file(&file));
            refused(std::fs::create_dir(other.join("dir")));
            refused(std::fs::rename(own.join("c"), other.join("c")));
            refused(std::os::unix::fs::symlink(&file, other.join("link")));
            refused(Command::new("/bin/true").status().map(drop));
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "as it was", "reading is not limited");
            held
        });
        let held = held.join().unwrap();
        println!("this kernel holds it: {held:?}");
        if held == Held::Not {
            println!("skipped: this kernel has no Landlock");
        }
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "as it was");
        // Other threads gave nothing up.
        std::fs::write(&kept, "another").unwrap();
    }

    #[test]
    fn a_program_that_is_needed_can_be_started_and_no_other() {
        let needs = Needs { programs: vec!["/bin/true".into()], ..Needs::default() };
        let done = std::thread::spawn(move || {
            let held = confine(&needs).unwrap();
            (held, Command::new("/bin/true").status(), Command::new("/bin/echo").status())
        });
        let (held, needed, other) = done.join().unwrap();
        assert!(needed.unwrap().success());
        assert!(held == Held::Not || other.is_err());
    }

    #[test]
    fn what_is_not_there_is_said() {
        let needs = Needs { written: vec!["/nowhere/at/all".into()], ..Needs::default() };
        assert!(std::thread::spawn(move || confine(&needs).is_err()).join().unwrap());
        // The tests' own process has many threads.
        assert!(matches!(confine_process(&Needs::default()), Err(ConfineError::Threads(_))));
    }
}
