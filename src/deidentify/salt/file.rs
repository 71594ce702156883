//! Salts as files: 0600, named by the number of their day, overwritten and unlinked when their time has come.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Locked, SALT_BYTES, journal};

/// Named by the number of the day since 1970: no more than the directory's own times tell.
pub(super) fn path_of(dir: &Path, day: i64) -> PathBuf {
    dir.join(format!("{day}.salt"))
}

/// What lies in `dir` besides the journal; the day of each file that has the name of a salt.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(PathBuf, Option<i64>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name != journal::FILE {
            let day = name.strip_suffix(".salt").and_then(|day| day.parse().ok());
            found.push((path, day));
        }
    }
    found.sort();
    Ok(found)
}

/// A salt as it lies there; `None` where the file has not the length of one.
pub(super) fn read(path: &Path) -> io::Result<Option<Locked>> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() != SALT_BYTES as u64 {
        return Ok(None);
    }
    let mut salt = Locked::zeroed(SALT_BYTES)?;
    file.read_exact(&mut salt[..SALT_BYTES])?;
    Ok(Some(salt))
}

/// Keeps a salt, durably and under its name or not at all.
pub(super) fn keep(dir: &Path, day: i64, salt: &[u8]) -> io::Result<()> {
    let path = path_of(dir, day);
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(salt)?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    File::open(dir)?.sync_all()
}

/// Overwrites a salt before it unlinks it, as far as a file system allows; durable when it returns.
pub(super) fn destroy(path: &Path) -> io::Result<()> {
    let length = fs::metadata(path)?.len();
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(&vec![0; usize::try_from(length).unwrap_or(0).min(4096)])?;
    file.sync_all()?;
    fs::remove_file(path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}
