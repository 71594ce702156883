//! Names, creation, completion and recovery of the spool's files.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::fs::{self as disk_fs, Out, sync_dir};
use super::{Sealed, codec::Input, segment};

const OPEN: &str = "open";
pub(super) const SEAL: &str = "seal";
/// A file that is not in its place yet.
pub(super) const FRESH: &str = "new";

/// A new id: the time and 32 random bits.
fn new_id(now_ms: i64) -> io::Result<String> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{:012x}-{:08x}", now_ms.max(0), u32::from_le_bytes(random)))
}

/// When a segment of this id was begun, in milliseconds.
pub(super) fn created_ms(id: &str) -> Option<i64> {
    i64::from_str_radix(id.split_once('-')?.0, 16).ok()
}

/// Begins a segment: its header is durable and its name is in the directory.
pub(super) fn create(dir: &Path, now_ms: i64) -> io::Result<(String, PathBuf, Out)> {
    let id = new_id(now_ms)?;
    let path = dir.join(&id).with_extension(OPEN);
    let mut file = Out::create(&path, false)?;
    let begun =
        file.write_all(&segment::file_header()).and_then(|()| file.sync()).and_then(|()| sync_dir(dir));
    if let Err(error) = begun {
        // A full disk: leave no empty file behind.
        let _ = disk_fs::remove(&path);
        return Err(error);
    }
    Ok((id, path, file))
}

/// Whether the disk takes so many bytes durably.
pub(super) fn probe(dir: &Path, bytes: usize) -> io::Result<()> {
    let path = dir.join("probe").with_extension(FRESH);
    let mut file = Out::create(&path, true)?;
    let taken = file.write_all(&vec![0; bytes]).and_then(|()| file.sync());
    disk_fs::remove(&path)?;
    taken
}

/// Completes a segment whose bytes are synced.
pub(super) fn complete(path: &Path) -> io::Result<PathBuf> {
    let complete = path.with_extension(SEAL);
    match disk_fs::rename(path, &complete) {
        // An earlier try got as far as the rename and no further.
        Err(error) if error.kind() == io::ErrorKind::NotFound && complete.exists() => {}
        renamed => renamed?,
    }
    sync_dir(complete.parent().unwrap_or(Path::new(".")))?;
    Ok(complete)
}

/// Removes a segment. Not synced: if a crash brings it back, its insert is not counted again.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match disk_fs::remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

pub(super) fn set_aside(path: &Path, dir: &Path) -> io::Result<PathBuf> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let aside = dir.join(path.file_name().unwrap_or_default());
    fs::rename(path, &aside)?;
    sync_dir(dir)?;
    Ok(aside)
}

/// A file of the spool as it was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) sealed: Option<Sealed>,
    pub(super) ids: Vec<u64>,
    pub(super) torn_bytes: u64,
    pub(super) damaged: u32,
}

/// Reads the whole spool, oldest first and one file at a time: cuts torn tails, completes what was growing. Event ids
/// are given of segments that may hold events received since `ids_since_ms`.
pub(super) fn recover(
    dir: &Path,
    now_ms: i64,
    ids_since_ms: i64,
) -> io::Result<impl Iterator<Item = io::Result<Found>>> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    if let Some(parent) = dir.parent() {
        sync_dir(parent)?;
    }
    // What an earlier run renamed and could not sync is on the disk before anything else is renamed.
    sync_dir(dir)?;
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    // A crash came before they were in their place: the file that they were to replace is still there.
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == FRESH)) {
        disk_fs::remove(path)?;
    }
    // A segment's last name is given to whole contents alone, so what has the first name besides is older.
    let growing = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == OPEN));
    for path in growing.filter(|path| path.with_extension(SEAL).exists()) {
        disk_fs::remove(path)?;
    }
    paths.retain(|path| {
        path.exists() && path.extension().is_some_and(|extension| extension == OPEN || extension == SEAL)
    });
    paths.sort();
    // A segment is completed some time after it was begun; one that the next was begun after is older than that.
    let begun: Vec<Option<i64>> = paths.iter().map(|path| created_ms(path.file_stem()?.to_str()?)).collect();
    Ok(paths.into_iter().enumerate().map(move |(index, path)| {
        let next_begun = begun.get(index + 1).copied().flatten();
        recover_one(&path, now_ms, next_begun.is_none_or(|at_ms| at_ms >= ids_since_ms))
    }))
}

fn recover_one(path: &Path, now_ms: i64, with_ids: bool) -> io::Result<Found> {
    let bytes = fs::read(path)?;
    let growing = path.extension().is_some_and(|extension| extension == OPEN);
    let mut found = Found::default();
    let (mut whole_bytes, mut rows) = (bytes.len(), 0);
    // What is not a segment at all is the shipper's to set aside: it tells the operator.
    if let Ok(contents) = segment::read(&bytes) {
        found.damaged = contents.damaged;
        whole_bytes = contents.whole_bytes;
        for row in contents.records.iter().flat_map(|record| &record.rows) {
            rows += 1;
            if !with_ids {
                continue;
            }
            // The id is the record's first column.
            let id = Input(row).bytes(8).and_then(|bytes| bytes.try_into().ok());
            found.ids.push(id.map_or(0, u64::from_le_bytes));
        }
    } else if bytes.len() < segment::FILE_HEADER_BYTES {
        whole_bytes = 0;
    }
    let empty = whole_bytes <= segment::FILE_HEADER_BYTES;
    if growing && empty {
        found.torn_bytes = (bytes.len() - whole_bytes.min(bytes.len())) as u64;
        disk_fs::remove(path)?;
        return Ok(found);
    }
    let mut path = path.to_owned();
    if growing {
        found.torn_bytes = (bytes.len() - whole_bytes) as u64;
        // Written anew: after a sync that failed, what can be read here need not be on the disk, and no later sync of
        // this file would tell.
        match super::replace(&path, &bytes[..whole_bytes]) {
            // No room for a copy, and the collector must start all the same.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let _ = disk_fs::remove(&path.with_extension(FRESH));
                let mut file = Out::open(&path)?;
                file.cut(whole_bytes as u64)?;
                file.sync()?;
            }
            replaced => replaced?,
        }
        path = complete(&path)?;
    }
    let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    let bytes = fs::metadata(&path)?.len();
    found.sealed = Some(Sealed { id, path, bytes, rows, sealed_at_ms: now_ms });
    Ok(found)
}
