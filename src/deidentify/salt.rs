//! The salt of the day: 32 random bytes a UTC day, from nothing but the system's random source.
//!
//! A visitor's hash is only as secret as its salt, so salts live at most 48 h and never leave this machine: the
//! salt of day D is destroyed when day D+2 begins. The file store keeps them over a restart (0600, overwritten and
//! unlinked when their time has come), so that a restart does not split the day's visitors.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::clock::day_of;

/// Bytes of a salt and of a key.
const SALT_BYTES: usize = 32;
/// Domain of the keys that are derived from a salt (BLAKE3 `derive_key`); changing it changes every hash.
const SITE_KEY_CONTEXT: &str = "consentry 2026-11-23 site key of a day v1";

/// One site's key of one day. Everything that stands for a person is hashed with it.
#[derive(Clone)]
pub struct SiteKey(Zeroizing<[u8; SALT_BYTES]>);

impl SiteKey {
    pub(super) fn bytes(&self) -> &[u8; SALT_BYTES] {
        &self.0
    }
}

impl std::fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

#[derive(Debug)]
struct Day {
    day: i64,
    keys: HashMap<String, SiteKey>,
}

impl Day {
    fn derive(day: i64, salt: &Zeroizing<[u8; SALT_BYTES]>, sites: &[String]) -> Self {
        let key_of = |site: &String| {
            let mut material = Zeroizing::new(Vec::with_capacity(SALT_BYTES + site.len()));
            material.extend_from_slice(&salt[..]);
            material.extend_from_slice(site.as_bytes());
            (site.clone(), SiteKey(Zeroizing::new(blake3::derive_key(SITE_KEY_CONTEXT, &material))))
        };
        Self { day, keys: sites.iter().map(key_of).collect() }
    }
}

/// The keys of one day and, where there is one, of the day before.
#[derive(Debug)]
pub struct Keys {
    current: Day,
    before: Option<Day>,
}

impl Keys {
    /// A site's key of the UTC day in which `at_ms` lies; `None` where that day's salt is not kept.
    pub fn of_day(&self, site: &str, at_ms: i64) -> Option<&SiteKey> {
        let wanted = day_of(at_ms);
        let days = std::iter::once(&self.current).chain(&self.before);
        days.filter(|day| day.day == wanted).find_map(|day| day.keys.get(site))
    }

    fn covers(&self, day: i64) -> bool {
        self.current.day == day || self.before.as_ref().is_some_and(|before| before.day == day)
    }
}

/// Keeps the salts and destroys them in time.
#[derive(Debug)]
pub struct Salts {
    dir: PathBuf,
    sites: Vec<String>,
    keys: RwLock<Arc<Keys>>,
}

impl Salts {
    /// Opens the file store in `dir` and makes today's salt if there is none.
    ///
    /// Errors are those of the file system; without a durable salt no event can be taken.
    pub fn open(dir: &Path, sites: Vec<String>, now_ms: i64) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let keys = load(dir, &sites, day_of(now_ms))?;
        Ok(Self { dir: dir.to_owned(), sites, keys: RwLock::new(Arc::new(keys)) })
    }

    /// The keys for events received at `now_ms`. On a new day makes its salt and destroys those past their time.
    pub fn keys(&self, now_ms: i64) -> io::Result<Arc<Keys>> {
        let day = day_of(now_ms);
        let kept = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        if kept.covers(day) {
            return Ok(kept);
        }
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if !keys.covers(day) {
            *keys = Arc::new(load(&self.dir, &self.sites, day)?);
        }
        Ok(keys.clone())
    }
}

/// Keeps what belongs to `day` and the day before, destroys the rest, makes what `day` lacks.
fn load(dir: &Path, sites: &[String], day: i64) -> io::Result<Keys> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let of_day =
            path.file_name().and_then(|name| name.to_str()?.strip_suffix(".salt")?.parse::<i64>().ok());
        if !of_day.is_some_and(|of_day| of_day == day || of_day == day - 1) {
            destroy(&path)?;
        }
    }
    let current = match read(&path_of(dir, day))? {
        Some(salt) => salt,
        None => make(dir, day)?,
    };
    let before = read(&path_of(dir, day - 1))?;
    Ok(Keys {
        current: Day::derive(day, &current, sites),
        before: before.map(|salt| Day::derive(day - 1, &salt, sites)),
    })
}

/// Named by the number of the day since 1970: no more than the directory's own times tell.
fn path_of(dir: &Path, day: i64) -> PathBuf {
    dir.join(format!("{day}.salt"))
}

fn read(path: &Path) -> io::Result<Option<Zeroizing<[u8; SALT_BYTES]>>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut salt = Zeroizing::new([0; SALT_BYTES]);
    let whole = file.metadata()?.len() == SALT_BYTES as u64;
    if !whole || file.read_exact(&mut salt[..]).is_err() || salt.iter().all(|&byte| byte == 0) {
        // Not a salt of ours: better a split day than a salt that somebody chose.
        drop(file);
        destroy(path)?;
        return Ok(None);
    }
    Ok(Some(salt))
}

fn make(dir: &Path, day: i64) -> io::Result<Zeroizing<[u8; SALT_BYTES]>> {
    let mut salt = Zeroizing::new([0; SALT_BYTES]);
    getrandom::fill(&mut salt[..]).map_err(|error| io::Error::other(error.to_string()))?;
    let path = path_of(dir, day);
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&salt[..])?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(salt)
}

/// Overwrites a salt before it unlinks it, as far as a file system allows.
fn destroy(path: &Path) -> io::Result<()> {
    let length = fs::metadata(path)?.len();
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(&vec![0; usize::try_from(length).unwrap_or(0).min(4096)])?;
    file.sync_all()?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::clock::{DAY_MS, HOUR_MS};

    const NOON: i64 = 20_000 * DAY_MS + 12 * HOUR_MS;

    fn open(dir: &Path, now_ms: i64) -> Salts {
        Salts::open(dir, vec!["shop".into(), "blog".into()], now_ms).unwrap()
    }

    fn key(salts: &Salts, site: &str, now_ms: i64, at_ms: i64) -> Option<[u8; 32]> {
        salts.keys(now_ms).unwrap().of_day(site, at_ms).map(|key| *key.bytes())
    }

    #[test]
    fn a_restart_keeps_the_days_key_and_sites_never_share_one() {
        let dir = tempfile::tempdir().unwrap();
        let before = key(&open(dir.path(), NOON), "shop", NOON, NOON).unwrap();
        let salts = open(dir.path(), NOON + HOUR_MS);
        assert_eq!(key(&salts, "shop", NOON, NOON), Some(before));
        assert_ne!(key(&salts, "blog", NOON, NOON), Some(before));
        let mode = fs::metadata(path_of(dir.path(), 20_000)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_salt_dies_within_48_hours() {
        let dir = tempfile::tempdir().unwrap();
        let salts = open(dir.path(), NOON);
        let first = key(&salts, "shop", NOON, NOON).unwrap();
        let second = key(&salts, "shop", NOON + DAY_MS, NOON + DAY_MS).unwrap();
        assert_ne!(first, second);
        assert_eq!(key(&salts, "shop", NOON + DAY_MS, NOON), Some(first), "a visit over midnight");
        assert!(key(&salts, "shop", NOON + 2 * DAY_MS, NOON).is_none());
        assert!(!path_of(dir.path(), 20_000).exists());
        assert!(path_of(dir.path(), 20_001).exists() && path_of(dir.path(), 20_002).exists());
    }

    #[test]
    fn a_collector_that_slept_for_a_week_destroys_what_it_finds() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), NOON));
        drop(open(dir.path(), NOON + 7 * DAY_MS));
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["20007.salt"]);
    }

    #[test]
    fn a_salt_of_zeros_or_of_a_wrong_length_is_not_used() {
        for planted in [vec![0; 32], vec![7; 31], vec![7; 33]] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(path_of(dir.path(), 20_000), &planted).unwrap();
            drop(open(dir.path(), NOON));
            let now = fs::read(path_of(dir.path(), 20_000)).unwrap();
            assert!(now.len() == 32 && now != planted);
        }
    }
}
