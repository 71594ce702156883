//! The journal of salts: one line for each salt that was made or destroyed, each chained to the line before.
//!
//! A line is `chain TAB rest`, where rest is `number TAB at TAB event TAB day TAB store TAB commitment TAB reason TAB
//! collector`, and chain is the BLAKE3 hash, in hex, of `chain of the line before TAB rest` (64 zeros before the first
//! line). So nobody can take a line out or change one without changing all that follow, and the same lines stand in
//! `consentry.salt_receipts`. An auditor checks them with `consentry receipts`, or with `b3sum` alone.
//!
//! Invariant: a line is on the disk before what it says counts: before a new salt is first used, after an old one is
//! gone.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{SaltError, SaltStore};
use crate::clock::DAY_MS;

/// Name of the journal in the directory of salts.
pub(super) const FILE: &str = "receipts";
/// Two lines a day of some 250 bytes: enough for three centuries.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            /// As it stands in the journal and in the table.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            fn of(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// What a receipt is about.
    Event {
        /// A salt was made; the receipt is its commitment.
        Created = "created",
        /// A salt is gone for good.
        Destroyed = "destroyed",
    }
}

words! {
    /// Why a salt was destroyed.
    Reason {
        /// It was not.
        None = "",
        /// Its day and the day after are over.
        Over = "over",
        /// It lived in memory alone, and the collector was stopped.
        Stopped = "stopped",
        /// It lived in memory alone, and the collector ended without a chance to say so.
        ProcessEnded = "process_ended",
        /// The collector ended before the salt was kept, or its file was taken away: it was not there at the start.
        Lost = "lost",
        /// Its file had a wrong length.
        Damaged = "damaged",
        /// A file without a journal; it was never used by a collector with this one.
        Unknown = "unknown",
        /// The configuration says that salts live in memory from now on.
        StoreChanged = "store_changed",
    }
}

impl SaltStore {
    /// As it stands in the configuration, the journal and the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Memory => "memory",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::File, Self::Memory].into_iter().find(|store| store.word() == word)
    }
}

/// One line of the journal. It holds nothing of a salt but its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Counts from 1.
    pub number: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What.
    pub event: Event,
    /// The salt's UTC day, in days since the Unix epoch.
    pub day: i64,
    /// Where the salt lived.
    pub store: SaltStore,
    /// BLAKE3 of the salt, in hex.
    pub commitment: String,
    /// Why it was destroyed.
    pub reason: Reason,
    /// Random name of the collector, in hex; made with the journal.
    pub collector: String,
    /// Hash of this line and the chain before it, in hex.
    pub chain: String,
}

fn date_of(day: i64) -> Option<Date> {
    let begin = Timestamp::from_millisecond(day.checked_mul(DAY_MS)?).ok()?;
    Some(begin.to_zoned(TimeZone::UTC).date())
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn chain(before: &str, rest: &str) -> String {
    blake3::hash(format!("{before}\t{rest}").as_bytes()).to_hex().to_string()
}

impl Receipt {
    /// The salt's UTC day as `2026-11-25`.
    pub fn date(&self) -> String {
        date_of(self.day).map_or_else(|| self.day.to_string(), |date| date.to_string())
    }

    /// When, as RFC 3339 in UTC with milliseconds.
    pub fn at(&self) -> String {
        Timestamp::from_millisecond(self.at_ms)
            .map_or_else(|_| self.at_ms.to_string(), |at| format!("{at:.3}"))
    }

    fn rest(&self) -> String {
        [
            &self.number.to_string(),
            &self.at(),
            self.event.word(),
            &self.date(),
            self.store.word(),
            &self.commitment,
            self.reason.word(),
            &self.collector,
        ]
        .join("\t")
    }

    /// A line without its end; the error says what is wrong with it.
    fn parse(line: &str, before: Option<&Self>) -> Result<Self, &'static str> {
        let (own, rest) = line.split_once('\t').ok_or("it is not a line of a journal")?;
        let former = before.map_or(START, |before| &before.chain);
        if chain(former, rest) != own {
            return Err("its hash does not fit: it was changed, or a line before it is missing");
        }
        let fields: Vec<&str> = rest.split('\t').collect();
        let [number, at, event, day, store, commitment, reason, collector] = fields[..] else {
            return Err("it has another number of fields");
        };
        let parsed = || {
            let day = Date::from_str(day).ok()?.to_zoned(TimeZone::UTC).ok()?;
            let receipt = Self {
                number: number.parse().ok()?,
                at_ms: at.parse::<Timestamp>().ok()?.as_millisecond(),
                event: Event::of(event)?,
                day: day.timestamp().as_millisecond().div_euclid(DAY_MS),
                store: SaltStore::of(store)?,
                commitment: Some(commitment).filter(|text| is_hex(text, 64))?.to_owned(),
                reason: Reason::of(reason)?,
                collector: Some(collector).filter(|text| is_hex(text, 32))?.to_owned(),
                chain: own.to_owned(),
            };
            let follows = receipt.number == before.map_or(1, |before| before.number + 1)
                && before.is_none_or(|before| before.collector == receipt.collector);
            (receipt.rest() == rest && follows).then_some(receipt)
        };
        parsed().ok_or("a field of it cannot be read")
    }
}

/// What stands for the chain before the first line.
const START: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A line of a journal that is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    /// Counts from 1.
    pub line: usize,
    /// In words.
    pub why: &'static str,
}

/// Checks a journal's text line by line. Gives the receipts and the bytes of whole lines; what follows the last line
/// end was never finished and never counted.
pub fn verify(text: &str) -> Result<(Vec<Receipt>, usize), Broken> {
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let mut receipts: Vec<Receipt> = Vec::new();
    for (index, line) in text[..whole].lines().enumerate() {
        let receipt = Receipt::parse(line, receipts.last()).map_err(|why| Broken { line: index + 1, why })?;
        receipts.push(receipt);
    }
    Ok((receipts, whole))
}

/// Reads and checks the journal of a directory of salts without changing it.
pub fn read_receipts(dir: &Path) -> Result<Vec<Receipt>, SaltError> {
    let path = dir.join(FILE);
    let mut file = File::open(&path).map_err(SaltError::io(&path))?;
    read_whole(&path, &mut file).map(|(receipts, _)| receipts)
}

fn read_whole(path: &Path, file: &mut File) -> Result<(Vec<Receipt>, usize), SaltError> {
    let mut bytes = Vec::new();
    file.take(JOURNAL_BYTES_MAX).read_to_end(&mut bytes).map_err(SaltError::io(path))?;
    let damaged = |line, why| SaltError::Journal { path: path.to_owned(), line, why };
    // A line that was torn by a power cut may end anywhere; what is before it is ASCII.
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| damaged(0, "it is not text"))?;
    verify(text).map_err(|broken| damaged(broken.line, broken.why))
}

/// The open journal of a collector.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    collector: String,
    receipts: Vec<Receipt>,
}

impl Journal {
    /// Opens or begins the journal in `dir`, cuts off a line that was never finished, and checks all others.
    pub(super) fn open(dir: &Path) -> Result<Self, SaltError> {
        let path = dir.join(FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(SaltError::io(&path))?;
        let (receipts, whole) = read_whole(&path, &mut file)?;
        let length = whole as u64;
        file.set_len(length).and_then(|()| file.sync_all()).map_err(SaltError::io(&path))?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(SaltError::io(dir))?;
        let collector = match receipts.first() {
            Some(first) => first.collector.clone(),
            None => random_name()?,
        };
        Ok(Self { path, file, length, collector, receipts })
    }

    pub(super) fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    /// The salts that were made and, as far as the journal knows, not destroyed.
    pub(super) fn living(&self) -> Vec<Receipt> {
        let gone: HashSet<&str> = self.of(Event::Destroyed).map(|gone| gone.commitment.as_str()).collect();
        self.of(Event::Created).filter(|made| !gone.contains(made.commitment.as_str())).cloned().collect()
    }

    pub(super) fn was_destroyed(&self, commitment: &str) -> bool {
        self.of(Event::Destroyed).any(|gone| gone.commitment == commitment)
    }

    fn of(&self, event: Event) -> impl Iterator<Item = &Receipt> {
        self.receipts.iter().filter(move |receipt| receipt.event == event)
    }

    pub(super) fn created(
        &mut self,
        day: i64,
        store: SaltStore,
        commitment: String,
        at_ms: i64,
    ) -> Result<(), SaltError> {
        self.append(Event::Created, day, store, commitment, Reason::None, at_ms)
    }

    pub(super) fn destroyed(&mut self, made: &Receipt, reason: Reason, at_ms: i64) -> Result<(), SaltError> {
        self.append(Event::Destroyed, made.day, made.store, made.commitment.clone(), reason, at_ms)
    }

    /// A file that no receipt was ever written for.
    pub(super) fn destroyed_unknown(
        &mut self,
        day: i64,
        commitment: String,
        at_ms: i64,
    ) -> Result<(), SaltError> {
        self.append(Event::Destroyed, day, SaltStore::File, commitment, Reason::Unknown, at_ms)
    }

    fn append(
        &mut self,
        event: Event,
        day: i64,
        store: SaltStore,
        commitment: String,
        reason: Reason,
        at_ms: i64,
    ) -> Result<(), SaltError> {
        let number = self.receipts.last().map_or(0, |last| last.number) + 1;
        let collector = self.collector.clone();
        let mut receipt =
            Receipt { number, at_ms, event, day, store, commitment, reason, collector, chain: String::new() };
        let rest = receipt.rest();
        receipt.chain = chain(self.receipts.last().map_or(START, |last| &last.chain), &rest);
        let line = format!("{}\t{rest}\n", receipt.chain);
        let write = |file: &mut File, length: u64| {
            file.seek(SeekFrom::Start(length))?;
            file.write_all(line.as_bytes())?;
            file.sync_all()
        };
        if let Err(error) = write(&mut self.file, self.length) {
            // Half a line must not stand in the way of the next try.
            let _ = self.file.set_len(self.length);
            return Err(SaltError::io(&self.path)(error));
        }
        self.length += line.len() as u64;
        self.receipts.push(receipt);
        Ok(())
    }
}

/// 16 random bytes in hex: says nothing about the machine.
fn random_name() -> Result<String, SaltError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| SaltError::Random(io::Error::other(error.to_string())))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
