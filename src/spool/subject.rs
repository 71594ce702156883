//! One subject's rows in complete segments: read, taken out, or marked.
//!
//! A segment is written anew under its own id and put in the old one's place by one rename, so a crash leaves the one or
//! the other. Its insert keeps its token: if the store had the old one already, the new one does not come on top.
//! What is taken out is counted as `dropped`, reason `erased`, in its own record: the books still balance.
//!
//! Whoever calls this holds the shipper back, so that no segment is read while it is changed.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::codec::subject_of;
use super::fs as disk_fs;
use super::{Line, Sealed, Spool, disk, segment};
use crate::ledger::{ERASED, Outcome};

/// What is to become of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// They go.
    Erase,
    /// They are in no report: `no_share` 0 becomes 2.
    Restrict,
    /// They are again: 2 becomes 0.
    Lift,
}

/// What became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// Rows that were changed.
    pub rows: u64,
    /// A segment with such rows had to be left as it is for now.
    pub left: bool,
    /// Stretches and whole files that nobody can read any more: whose rows they held cannot be told.
    pub unreadable: u64,
}

/// A segment with the change made; where `changed` is 0, nothing in it is the subject's.
struct Rewritten {
    bytes: Vec<u8>,
    changed: u64,
    rows: u64,
    unreadable: u64,
}

/// `until_minute`: only rows of requests that came up to this minute.
fn rewrite(bytes: &[u8], subject: u128, change: Change, until_minute: u32) -> Rewritten {
    let mut new = Rewritten { bytes: segment::file_header().to_vec(), changed: 0, rows: 0, unreadable: 0 };
    // What is no segment is the shipper's to set aside.
    let Ok(contents) = segment::read(bytes) else {
        new.unreadable = 1;
        return new;
    };
    new.unreadable = u64::from(contents.damaged);
    for record in &contents.records {
        let mut rows: Vec<Vec<u8>> = Vec::with_capacity(record.rows.len());
        let mut lines = record.lines.clone();
        for row in &record.rows {
            let known = subject_of(row);
            new.unreadable += u64::from(known.is_none());
            let place = known.filter(|place| place.subject == subject && record.minute <= until_minute);
            let mut row = row.to_vec();
            if let Some(place) = place {
                let to = match (change, place.no_share) {
                    (Change::Erase, _) => {
                        new.changed += 1;
                        count_erased(&mut lines, place.site);
                        continue;
                    }
                    (Change::Restrict, 0) => 2,
                    (Change::Lift, 2) => 0,
                    (_, same) => same,
                };
                new.changed += u64::from(to != place.no_share);
                row[place.no_share_at] = to;
            }
            rows.push(row);
        }
        new.rows += rows.len() as u64;
        let rows = rows.iter().map(Vec::as_slice);
        segment::put_record(&mut new.bytes, record.minute, rows, lines.into_iter());
    }
    // Damaged stretches stay behind: nobody can tell whose they are.
    new
}

fn count_erased<'a>(lines: &mut Vec<Line<'a>>, site: &'a str) {
    let (outcome, reason) = (Outcome::Dropped(ERASED).word(), ERASED);
    match lines.iter_mut().find(|line| line.site == site && line.outcome == outcome && line.reason == reason)
    {
        Some(line) => line.count += 1,
        None => lines.push(Line { site, outcome, reason, count: 1 }),
    }
}

/// Puts new contents in a file's place, durably.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension(disk::FRESH);
    let mut file = disk_fs::Out::create(&fresh, true)?;
    file.write_all(bytes)?;
    file.sync()?;
    disk_fs::rename(&fresh, path)?;
    disk_fs::sync_dir(path.parent().unwrap_or(Path::new(".")))
}

impl Spool {
    /// All complete segments, oldest first.
    pub fn sealed(&self) -> Vec<Sealed> {
        self.shared.sealed.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Changes a subject's rows in all complete segments. `fixed` names segments whose rows must keep their number.
    pub fn change_subject(
        &self,
        subject: u128,
        change: Change,
        until_minute: u32,
        fixed: impl Fn(&str) -> bool,
    ) -> io::Result<Changed> {
        let mut all = Changed::default();
        self.shared.rewrites.fetch_add(1, Ordering::AcqRel);
        let segments = self.sealed();
        // An earlier try may have got as far as the rename of a segment and no further: then there is nothing to
        // change any more, and it would still not be durable.
        if let Some(dir) = segments.first().and_then(|sealed| sealed.path.parent()) {
            disk_fs::sync_dir(dir)?;
        }
        for sealed in segments {
            let new = rewrite(&sealed.load()?, subject, change, until_minute);
            all.unreadable += new.unreadable;
            if new.changed == 0 {
                continue;
            }
            if change == Change::Erase && fixed(&sealed.id) {
                all.left = true;
                continue;
            }
            replace(&sealed.path, &new.bytes)?;
            all.rows += new.changed;
            let mut list = self.shared.sealed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(listed) = list.iter_mut().find(|listed| listed.id == sealed.id) {
                let level = &self.shared.level;
                level.rows.fetch_sub(listed.rows.saturating_sub(new.rows), Ordering::Relaxed);
                let bytes = new.bytes.len() as u64;
                // A line for the books may cost more than a small row gave.
                level.bytes.fetch_add(bytes, Ordering::Relaxed);
                level.bytes.fetch_sub(listed.bytes, Ordering::Relaxed);
                (listed.rows, listed.bytes) = (new.rows, bytes);
            }
        }
        Ok(all)
    }
}

/// Takes a subject's rows out of segments that were set aside in `dir`. Nobody else may be writing there.
pub fn erase_aside(dir: &Path, subject: u128, until_minute: u32) -> io::Result<Changed> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Changed::default()),
        entries => entries?,
    };
    let mut all = Changed::default();
    for entry in entries {
        let path = entry?.path();
        // What a crash left half written holds the same rows as the file beside it.
        if path.extension().is_some_and(|extension| extension == disk::FRESH) {
            fs::remove_file(&path)?;
            continue;
        }
        let new = rewrite(&fs::read(&path)?, subject, Change::Erase, until_minute);
        all.unreadable += new.unreadable;
        if new.changed > 0 {
            replace(&path, &new.bytes)?;
            all.rows += new.changed;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::EventRow;
    use crate::ledger::Tally;
    use crate::spool::{StoredRow, encode, read};

    fn segment_of(subjects: &[u128]) -> Vec<u8> {
        let mut bytes = segment::file_header().to_vec();
        for (minute, &subject) in subjects.iter().enumerate() {
            let mut row = Vec::new();
            encode(&EventRow::with_subject(subject), &mut row);
            let mut tally = Tally::default();
            let site = tally.site(None);
            tally.count(site, Outcome::Received);
            segment::put_record(
                &mut bytes,
                minute as u32,
                [row.as_slice()].into_iter(),
                segment::lines_of(&tally),
            );
        }
        bytes
    }

    fn seen(bytes: &[u8]) -> Vec<(u128, u8)> {
        let contents = read(bytes).unwrap();
        let rows = contents.records.iter().flat_map(|record| &record.rows);
        rows.map(|row| StoredRow::decode(row).unwrap()).map(|row| (row.subject, row.no_share)).collect()
    }

    #[test]
    fn an_erased_row_is_gone_and_counted_in_its_own_record() {
        let new = rewrite(&segment_of(&[7, 8, 7]), 7, Change::Erase, u32::MAX);
        assert_eq!((seen(&new.bytes), new.changed, new.rows), (vec![(8, 0)], 2, 1));
        let contents = read(&new.bytes).unwrap();
        assert_eq!(contents.records.len(), 3, "their lines stay");
        let erased = Line { site: "", outcome: "dropped", reason: "erased", count: 1 };
        assert_eq!(contents.records[0].lines[1..], [erased]);
        assert_eq!(contents.records[1].lines.len(), 1);
        assert_eq!(rewrite(&new.bytes, 7, Change::Erase, u32::MAX).changed, 0, "again it is nothing");
    }

    #[test]
    fn a_restriction_can_be_lifted_and_what_came_later_is_left() {
        let new = rewrite(&segment_of(&[7, 8, 7]), 7, Change::Restrict, 1);
        assert_eq!(seen(&new.bytes), [(7, 2), (8, 0), (7, 0)]);
        let lifted = rewrite(&new.bytes, 7, Change::Lift, u32::MAX);
        assert_eq!(lifted.bytes, segment_of(&[7, 8, 7]));
    }

    #[test]
    fn a_crash_leaves_the_old_segment_or_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let settings = crate::config::File::default();
        let open = || {
            let clock = crate::clock::Clock::system();
            Spool::open(dir.path(), &settings, clock, crate::telemetry::Telemetry::new()).unwrap()
        };
        let path = dir.path().join("0190a0000000-00000001.seal");
        let (old, new) = (segment_of(&[7, 8]), rewrite(&segment_of(&[7, 8]), 7, Change::Erase, u32::MAX));
        // Before the rename: whatever of the new file is there goes at the next start.
        for length in 0..=new.bytes.len() {
            fs::write(&path, &old).unwrap();
            fs::write(path.with_extension(disk::FRESH), &new.bytes[..length]).unwrap();
            if length % 97 != 0 && length != new.bytes.len() {
                continue;
            }
            let (spool, recovered) = open();
            assert_eq!((recovered.segments, recovered.rows), (1, 2));
            assert!(!path.with_extension(disk::FRESH).exists());
            drop(spool);
        }
        // Behind it.
        let (spool, _) = open();
        let changed = spool.change_subject(7, Change::Erase, u32::MAX, |_| false).unwrap();
        assert_eq!((changed, spool.rows()), (Changed { rows: 1, ..Changed::default() }, 1));
        assert_eq!(spool.bytes(), fs::metadata(&path).unwrap().len());
        drop(spool);
        assert_eq!((open().1.rows, seen(&fs::read(&path).unwrap())), (1, vec![(8, 0)]));
    }

    #[test]
    fn a_segment_that_is_inserted_in_parts_keeps_its_rows_for_now() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0190a0000000-00000001.seal");
        fs::write(&path, segment_of(&[7, 8])).unwrap();
        let settings = crate::config::File::default();
        let telemetry = crate::telemetry::Telemetry::new();
        let (spool, _) =
            Spool::open(dir.path(), &settings, crate::clock::Clock::system(), telemetry).unwrap();
        let changed = spool.change_subject(7, Change::Erase, u32::MAX, |_| true).unwrap();
        assert_eq!((changed, spool.rows()), (Changed { left: true, ..Changed::default() }, 2));
    }

    #[test]
    fn what_was_set_aside_is_searched_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0190a0000000-00000001.seal");
        fs::write(&path, segment_of(&[7, 8])).unwrap();
        // Half of a rewrite, a file that is none of ours, a stretch that something changed on the disk.
        fs::write(path.with_extension(disk::FRESH), b"half").unwrap();
        fs::write(dir.path().join("noise.seal"), b"noise").unwrap();
        let mut damaged = segment_of(&[7, 7, 8]);
        let middle = segment_of(&[7]).len() + 40;
        damaged[middle] ^= 1;
        fs::write(dir.path().join("0190a0000000-00000002.seal"), damaged).unwrap();
        let changed = erase_aside(dir.path(), 7, u32::MAX).unwrap();
        assert_eq!(changed, Changed { rows: 2, left: false, unreadable: 2 });
        assert_eq!(seen(&fs::read(&path).unwrap()), [(8, 0)]);
        assert!(!path.with_extension(disk::FRESH).exists());
        assert_eq!(erase_aside(&dir.path().join("none"), 7, u32::MAX).unwrap(), Changed::default());
    }
}
