//! Who has withdrawn or restricted: asked for every event that has a subject, known again after a restart.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

/// Most subjects that are remembered; some 40 bytes each. One more is refused, and the operator is told.
const CHOICES_MAX: usize = 1_000_000;

/// What a subject chose for what comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Nothing is taken any more.
    Withdrawn,
    /// It is taken, and is in no report.
    Restricted,
}

/// One step of a choice, as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Set(Choice),
    /// A restriction ends. A withdrawal does not: nobody who once had the token can undo it.
    Lift,
}

impl Step {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Set(Choice::Withdrawn) => "withdrawn",
            Self::Set(Choice::Restricted) => "restricted",
            Self::Lift => "lifted",
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        [Self::Set(Choice::Withdrawn), Self::Set(Choice::Restricted), Self::Lift]
            .into_iter()
            .find(|step| step.word() == word)
    }
}

/// The choices of all subjects of this collector's sites. Subjects of two sites never have the same number.
#[derive(Debug, Default)]
pub struct Choices {
    known: RwLock<HashMap<u128, Choice>>,
    /// `None`: kept in memory alone, for a collector without such sites.
    file: Mutex<Option<File>>,
}

fn apply(known: &mut HashMap<u128, Choice>, subject: u128, step: Step) {
    match (step, known.get(&subject)) {
        (_, Some(Choice::Withdrawn)) => {}
        (Step::Set(choice), _) => drop(known.insert(subject, choice)),
        (Step::Lift, _) => drop(known.remove(&subject)),
    }
}

fn line(subject: u128, step: Step) -> String {
    format!("{subject:032x} {}\n", step.word())
}

impl Choices {
    /// Reads the file in `dir`, writes it anew without what is out of date, and keeps it open.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let path: PathBuf = dir.join("choices");
        let mut known = HashMap::new();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        // A last line without its end was cut by a crash: nobody was told that it is kept.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        for written in whole.lines() {
            let parsed = written.split_once(' ').and_then(|(subject, word)| {
                Some((u128::from_str_radix(subject, 16).ok()?, Step::of_word(word)?))
            });
            let (subject, step) = parsed.ok_or_else(|| {
                let reason = "the file of the subjects' choices is damaged; bring it back from a copy";
                io::Error::new(io::ErrorKind::InvalidData, reason)
            })?;
            apply(&mut known, subject, step);
        }
        let now: String = known.iter().map(|(&subject, &choice)| line(subject, Step::Set(choice))).collect();
        crate::spool::replace(&path, now.as_bytes())?;
        let file = OpenOptions::new().append(true).mode(0o600).open(&path)?;
        Ok(Self { known: RwLock::new(known), file: Mutex::new(Some(file)) })
    }

    /// What the subject chose. Cheap: no wait for a disk.
    pub fn of(&self, subject: u128) -> Option<Choice> {
        if subject == 0 {
            return None;
        }
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&subject).copied()
    }

    /// Keeps a step durably, then lets it count. Blocks for one sync.
    pub(super) fn set(&self, subject: u128, step: Step) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (same, full) = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let before = known.get(&subject).copied();
            let same = match step {
                Step::Set(choice) => before == Some(choice) || before == Some(Choice::Withdrawn),
                Step::Lift => before != Some(Choice::Restricted),
            };
            (same, known.len() >= CHOICES_MAX && before.is_none())
        };
        if same {
            return Ok(());
        }
        if full {
            tracing::error!(CHOICES_MAX, "no room for another subject's choice");
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(file) = file.as_mut() {
            let end = file.metadata()?.len();
            let written = file.write_all(line(subject, step).as_bytes()).and_then(|()| file.sync_data());
            if let Err(error) = written {
                // Half a line would make one with the next.
                file.set_len(end)?;
                return Err(error);
            }
        }
        apply(&mut self.known.write().unwrap_or_else(PoisonError::into_inner), subject, step);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHDRAWN: Step = Step::Set(Choice::Withdrawn);
    const RESTRICTED: Step = Step::Set(Choice::Restricted);

    #[test]
    fn choices_survive_a_restart_and_a_withdrawal_is_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let choices = Choices::open(dir.path()).unwrap();
        for (subject, step) in [
            (1, WITHDRAWN),
            (2, RESTRICTED),
            (3, RESTRICTED),
            (3, Step::Lift),
            (1, Step::Lift),
            (1, RESTRICTED),
        ] {
            choices.set(subject, step).unwrap();
        }
        for choices in [choices, Choices::open(dir.path()).unwrap()] {
            let all = [0, 1, 2, 3].map(|subject| choices.of(subject));
            assert_eq!(all, [None, Some(Choice::Withdrawn), Some(Choice::Restricted), None]);
        }
    }

    #[test]
    fn a_line_that_a_crash_cut_is_left_out_and_a_damaged_file_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("choices");
        fs::write(&path, line(1, WITHDRAWN) + &line(2, WITHDRAWN)[..20]).unwrap();
        let choices = Choices::open(dir.path()).unwrap();
        assert_eq!((choices.of(1), choices.of(2)), (Some(Choice::Withdrawn), None));
        fs::write(&path, "nonsense\n").unwrap();
        assert!(Choices::open(dir.path()).is_err());
    }
}
