//! The salt of the day: 32 random bytes a UTC day, from nothing but the system's random source.
//!
//! A visitor's hash is only as secret as its salt, so salts live at most 48 h and never leave this machine: the
//! salt of day D is destroyed when day D+2 begins. What stays in memory are the keys that sites get of it, in locked
//! pages. The `file` store keeps salts over a restart, so that a restart does not split the day's visitors; the `memory`
//! store writes them nowhere. Either way the journal has a receipt of each salt's making and end.
//!
//! Invariant: a salt is used only if the journal says that it was made here, for this day, and not yet destroyed.

mod derivable;
mod file;
mod journal;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

pub use journal::{Broken, Event, Reason, Receipt, read_receipts, verify};

use self::journal::Journal;
use super::locked::Locked;
use crate::clock::day_of;

/// Bytes of a salt and of a key.
const SALT_BYTES: usize = 32;
/// Domain of the keys that are derived from a salt (BLAKE3 `derive_key`); changing it changes every hash.
const SITE_KEY_CONTEXT: &str = "consentry 2026-11-23 site key of a day v1";
/// Whatever the wall clock says, no key is older than this.
const LIFE_MAX: Duration = Duration::from_secs(48 * 3600);

/// Where the salts of a collector live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SaltStore {
    /// In `data_dir`, readable by the owner alone: a restart goes on with the day's visitors.
    #[default]
    File,
    /// Nowhere but in memory: a restart begins a new salt, and whoever comes before and after it counts as two visitors.
    Memory,
}

/// Why there is no salt to work with. Without one no event can be taken.
#[derive(Debug, thiserror::Error)]
pub enum SaltError {
    /// The file system.
    #[error("{path}: {source}")]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system has no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(io::Error),
    /// A salt that anybody could compute.
    #[error(
        "{path} is no secret ({what}): whoever guesses it can compute the hash of every visitor of that day. Find out \
         who put it there, then remove the file; the next start makes a new salt, and today's visitors count anew"
    )]
    Derivable {
        /// The file.
        path: PathBuf,
        /// How it could be derived.
        what: &'static str,
    },
    /// A site that was added while the collector runs, and salts that are nowhere any more.
    #[error(
        "with salt_store = \"memory\" a new site needs a restart: the day's salt is not kept, only the keys made of it"
    )]
    NewSite,
    /// A salt that came back.
    #[error(
        "{path} is a salt that was destroyed before, so somebody kept a copy of it (a backup of the data directory, \
         perhaps). Remove the file and that copy; the next start makes a new salt, and today's visitors count anew"
    )]
    Reused {
        /// The file.
        path: PathBuf,
    },
    /// A salt that was not made here.
    #[error(
        "{path} is not the salt that the journal {FILE} says was made for this day: somebody put another in its place. \
         Remove the file; the next start makes a new salt, and today's visitors count anew",
        FILE = journal::FILE
    )]
    Swapped {
        /// The file.
        path: PathBuf,
    },
    /// The journal is not as it was written, so nobody can say which salts were destroyed.
    #[error(
        "the journal of salts {path} is damaged at line {line}: {why}. Move it aside and keep it for whoever audits \
         you; the next start destroys the salts that it vouched for and begins a new journal"
    )]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Counts from 1; 0: all of it.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// The collector is stopping.
    #[error("the collector is stopping")]
    Closed,
}

impl SaltError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// One site's key of one day. Everything that stands for a person is hashed with it.
#[derive(Clone, Copy)]
pub struct SiteKey<'a>(&'a [u8; SALT_BYTES]);

impl SiteKey<'_> {
    /// Whether it is the same key of the same day.
    pub(super) fn is(&self, other: SiteKey<'_>) -> bool {
        std::ptr::eq(self.0, other.0)
    }

    pub(super) fn bytes(&self) -> &[u8; SALT_BYTES] {
        self.0
    }
}

impl std::fmt::Debug for SiteKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The keys of all sites of one day, one after the other in locked pages. The salt itself is not kept.
#[derive(Debug)]
struct Day {
    day: i64,
    keys: Locked,
    sites: Arc<HashMap<String, usize>>,
    since: Instant,
}

impl Day {
    fn derive(day: i64, salt: &Locked, sites: &Arc<HashMap<String, usize>>) -> io::Result<Self> {
        let mut keys = Locked::zeroed(SALT_BYTES * sites.len())?;
        for (site, &index) in sites.iter() {
            let mut hasher = blake3::Hasher::new_derive_key(SITE_KEY_CONTEXT);
            hasher.update(&salt[..SALT_BYTES]).update(site.as_bytes());
            let mut output = hasher.finalize_xof();
            output.fill(&mut keys[index * SALT_BYTES..(index + 1) * SALT_BYTES]);
            hasher.zeroize();
            output.zeroize();
        }
        Ok(Self { day, keys, sites: sites.clone(), since: Instant::now() })
    }

    fn key(&self, site: &str) -> Option<SiteKey<'_>> {
        let (keys, _) = self.keys.as_chunks::<SALT_BYTES>();
        self.sites.get(site).and_then(|&index| keys.get(index)).map(SiteKey)
    }
}

/// The keys of one day and, where there is one, of the day before.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    days: Vec<Arc<Day>>,
}

impl Keys {
    /// A site's key of the UTC day in which `at_ms` lies; `None` where that day's salt is not kept.
    pub fn of_day(&self, site: &str, at_ms: i64) -> Option<SiteKey<'_>> {
        let wanted = day_of(at_ms);
        self.days.iter().find(|day| day.day == wanted)?.key(site)
    }

    fn covers(&self, day: i64) -> bool {
        self.days.iter().any(|kept| kept.day == day)
    }
}

/// Keeps the salts and destroys them in time.
#[derive(Debug)]
pub struct Salts {
    keys: RwLock<Arc<Keys>>,
    keeper: Mutex<Keeper>,
}

/// Whoever holds it may make and destroy salts.
#[derive(Debug)]
struct Keeper {
    dir: PathBuf,
    store: SaltStore,
    sites: Arc<HashMap<String, usize>>,
    journal: Journal,
    life_max: Duration,
    closed: bool,
}

impl Salts {
    /// Opens the salts in `dir`, checks those that lie there, destroys those whose time is over and makes today's if
    /// there is none. `sites`: the ids of all sites.
    pub fn open(dir: &Path, store: SaltStore, sites: Vec<String>, now_ms: i64) -> Result<Self, SaltError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(SaltError::io(dir))?;
        let journal = Journal::open(dir)?;
        let sites = Arc::new(sites.into_iter().enumerate().map(|(index, site)| (site, index)).collect());
        let mut keeper =
            Keeper { dir: dir.to_owned(), store, sites, journal, life_max: LIFE_MAX, closed: false };
        let mut days = keeper.find(now_ms)?;
        keeper.turn(&mut days, now_ms)?;
        Ok(Self { keys: RwLock::new(Arc::new(Keys { days })), keeper: Mutex::new(keeper) })
    }

    /// The keys for events received at `now_ms`. On a new day makes its salt and destroys those past their time.
    pub fn keys(&self, now_ms: i64) -> Result<Arc<Keys>, SaltError> {
        let kept = self.kept();
        if kept.covers(day_of(now_ms)) { Ok(kept) } else { self.renew(now_ms) }
    }

    /// What has to be done also when nobody sends anything; to be called every few seconds. Blocks.
    ///
    /// Besides the turn of the day it ends the life of keys that are too old by the machine's uptime, whatever
    /// became of its wall clock.
    pub fn tend(&self, now_ms: i64) -> Result<(), SaltError> {
        let life_max = self.keeper().life_max;
        let old = self.kept().days.iter().any(|day| day.since.elapsed() >= life_max);
        if old { self.renew(now_ms).map(drop) } else { self.keys(now_ms).map(drop) }
    }

    /// Time since the oldest salt in memory was made, or found at the start.
    pub fn oldest_age(&self) -> Duration {
        self.kept().days.iter().map(|day| day.since.elapsed()).max().unwrap_or_default()
    }

    /// Receipts from the `skip`-th on, oldest first. Blocks while a salt is made or destroyed.
    pub fn receipts(&self, skip: usize) -> Vec<Receipt> {
        self.keeper().journal.receipts().get(skip..).unwrap_or_default().to_vec()
    }

    /// For the end of the process, when no request needs a key any more: forgets all keys, and writes the receipts of
    /// those salts that end with it.
    pub fn close(&self, now_ms: i64) -> Result<(), SaltError> {
        let mut keeper = self.keeper();
        keeper.closed = true;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        match keeper.store {
            SaltStore::File => Ok(()),
            SaltStore::Memory => keeper.gone(Reason::Stopped, now_ms, |_| true),
        }
    }

    /// Gives keys to the sites that are there now, of the same salts. Blocks. The error leaves everything as it was.
    pub fn set_sites(&self, sites: Vec<String>, now_ms: i64) -> Result<(), SaltError> {
        self.keys(now_ms)?;
        let mut keeper = self.keeper();
        if sites.iter().all(|site| keeper.sites.contains_key(site)) {
            return Ok(());
        }
        if keeper.store == SaltStore::Memory {
            return Err(SaltError::NewSite);
        }
        let sites = Arc::new(sites.into_iter().enumerate().map(|(index, site)| (site, index)).collect());
        let again = |held: &Arc<Day>| {
            let path = file::path_of(&keeper.dir, held.day);
            let salt = file::read(&path).map_err(SaltError::io(&path))?;
            let whole = salt.ok_or_else(|| SaltError::io(&path)(io::ErrorKind::InvalidData.into()))?;
            let ours = |made: &Receipt| made.day == held.day && made.commitment == commitment(&whole);
            if !keeper.journal.living().iter().any(ours) {
                return Err(SaltError::Swapped { path });
            }
            let derived = Day::derive(held.day, &whole, &sites).map_err(SaltError::io(&path))?;
            // Its life goes on; it does not begin again.
            Ok(Arc::new(Day { since: held.since, ..derived }))
        };
        let days = self.kept().days.iter().map(again).collect::<Result<Vec<_>, SaltError>>()?;
        keeper.sites = sites;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Keys { days });
        Ok(())
    }

    fn kept(&self) -> Arc<Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keeper(&self) -> std::sync::MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&self, now_ms: i64) -> Result<Arc<Keys>, SaltError> {
        let mut keeper = self.keeper();
        let kept = self.kept();
        let old = kept.days.iter().any(|day| day.since.elapsed() >= keeper.life_max);
        if kept.covers(day_of(now_ms)) && !old {
            return Ok(kept);
        }
        // Nobody gets the old keys any more while they are being destroyed; a request that holds them lets go of them
        // with its answer.
        drop(kept);
        let held = std::mem::take(&mut *self.keys.write().unwrap_or_else(PoisonError::into_inner));
        let mut days = held.days.clone();
        drop(held);
        let turned = keeper.turn(&mut days, now_ms);
        // Where today's salt cannot be made, yesterday's stays for the next try.
        let keys = Arc::new(Keys { days });
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.clone();
        turned.map(|()| keys)
    }
}

impl Keeper {
    /// At the start: what lies on the disk, is whole, ours, and no secret to nobody. Settles what the last process left.
    fn find(&mut self, now_ms: i64) -> Result<Vec<Arc<Day>>, SaltError> {
        self.gone(Reason::ProcessEnded, now_ms, |made| made.store == SaltStore::Memory)?;
        let today = day_of(now_ms);
        let fresh = self.journal.receipts().is_empty();
        let mut found = Vec::new();
        for (path, day) in file::list(&self.dir).map_err(SaltError::io(&self.dir))? {
            let Some(day) = day.filter(|&day| day == today || day == today - 1) else { continue };
            let Some(salt) = file::read(&path).map_err(SaltError::io(&path))? else {
                // Not whole: better a split day than half a salt.
                file::destroy(&path).map_err(SaltError::io(&path))?;
                self.gone(Reason::Damaged, now_ms, |made| made.day == day)?;
                continue;
            };
            if let Some(bytes) = salt.first_chunk::<SALT_BYTES>()
                && let Some(what) = derivable::derivable(bytes, day, &self.site_ids())
            {
                return Err(SaltError::Derivable { path, what });
            }
            let commitment = commitment(&salt);
            if fresh {
                // Of a version without a journal, or of somebody who took the journal away: nobody vouches for it.
                file::destroy(&path).map_err(SaltError::io(&path))?;
                self.journal.destroyed_unknown(day, commitment, now_ms)?;
                continue;
            }
            if self.journal.was_destroyed(&commitment) {
                return Err(SaltError::Reused { path });
            }
            let ours = |made: &Receipt| made.day == day && made.commitment == commitment;
            if !self.journal.living().iter().any(ours) {
                return Err(SaltError::Swapped { path });
            }
            if self.store == SaltStore::File {
                found.push(Arc::new(Day::derive(day, &salt, &self.sites).map_err(SaltError::io(&path))?));
            }
        }
        Ok(found)
    }

    fn site_ids(&self) -> Vec<String> {
        self.sites.keys().cloned().collect()
    }

    /// Keeps of `days` what belongs to the day of `now_ms` and the day before, destroys everything else wherever it
    /// lies, and makes what the day lacks.
    fn turn(&mut self, days: &mut Vec<Arc<Day>>, now_ms: i64) -> Result<(), SaltError> {
        if self.closed {
            days.clear();
            return Err(SaltError::Closed);
        }
        let today = day_of(now_ms);
        let over = |day: i64| day != today && day != today - 1;
        let too_old = |kept: &Arc<Day>| kept.since.elapsed() >= self.life_max;
        let old: Vec<i64> = days.iter().filter(|kept| too_old(kept)).map(|kept| kept.day).collect();
        days.retain(|kept| !over(kept.day) && !old.contains(&kept.day));
        let held: Vec<i64> = days.iter().map(|kept| kept.day).collect();
        for (path, day) in file::list(&self.dir).map_err(SaltError::io(&self.dir))? {
            let is_held = day.is_some_and(|day| held.contains(&day));
            if !(is_held && self.store == SaltStore::File) {
                file::destroy(&path).map_err(SaltError::io(&path))?;
            }
        }
        // One pass for each reason, so that each receipt says why.
        if self.store == SaltStore::Memory {
            self.gone(Reason::StoreChanged, now_ms, |made| made.store == SaltStore::File)?;
        }
        self.gone(Reason::Over, now_ms, |made| over(made.day) || old.contains(&made.day))?;
        self.gone(Reason::Lost, now_ms, |made| !held.contains(&made.day))?;
        if !held.contains(&today) {
            days.push(Arc::new(self.make(today, now_ms)?));
        }
        Ok(())
    }

    /// Writes the receipts of the salts that are gone. To be called when they are.
    fn gone(
        &mut self,
        reason: Reason,
        now_ms: i64,
        which: impl Fn(&Receipt) -> bool,
    ) -> Result<(), SaltError> {
        for made in self.journal.living() {
            if which(&made) {
                self.journal.destroyed(&made, reason, now_ms)?;
            }
        }
        Ok(())
    }

    /// The one place that a new day's salt comes from. Collectors that share a day's salt would ask each other here,
    /// before one of them draws it; the journal would have the same commitment under each collector's name.
    fn make(&mut self, day: i64, now_ms: i64) -> Result<Day, SaltError> {
        let mut salt = Locked::zeroed(SALT_BYTES).map_err(SaltError::io(&self.dir))?;
        loop {
            getrandom::fill(&mut salt[..SALT_BYTES])
                .map_err(|error| SaltError::Random(io::Error::other(error.to_string())))?;
            let bytes = salt.first_chunk::<SALT_BYTES>();
            // Once in 10^10 days: the next start would not take it.
            if bytes.is_some_and(|bytes| derivable::pattern(bytes).is_none()) {
                break;
            }
        }
        self.journal.created(day, self.store, commitment(&salt), now_ms)?;
        if self.store == SaltStore::File {
            file::keep(&self.dir, day, &salt[..SALT_BYTES])
                .map_err(SaltError::io(&file::path_of(&self.dir, day)))?;
        }
        Day::derive(day, &salt, &self.sites).map_err(SaltError::io(&self.dir))
    }
}

/// BLAKE3 of the salt, in hex: tells nobody the salt, and whoever has the salt that it is this one.
fn commitment(salt: &Locked) -> String {
    let mut hasher = blake3::Hasher::new();
    let hash = hasher.update(&salt[..SALT_BYTES]).finalize();
    hasher.zeroize();
    hash.to_hex().to_string()
}
