//! The spool over its whole life: durable when it says so, there again after a restart, gone only when removed.

use super::*;
use crate::enrich::EventRow;
use crate::ledger::Outcome;

fn settings() -> Settings {
    // Nothing is sealed unless the test says so.
    Settings { seal_after_ms: 3_600_000, ..Settings::default() }
}

fn open(dir: &Path) -> (Spool, Recovered) {
    Spool::open(dir, &settings(), Clock::system(), Telemetry::new()).unwrap()
}

fn batch(ids: &[u64]) -> Batch {
    let mut batch = Batch::new(7);
    for &id in ids {
        let site = batch.tally().site(None);
        batch.tally().count(site, Outcome::Received);
        batch.push(site, &EventRow::with_event_id(u128::from(id)), 0);
    }
    batch
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_is_acknowledged_is_there_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for id in 1..=20 {
        assert_eq!(spool.append(batch(&[id, id + 100])).await.unwrap().rows, 2);
    }
    // A crash leaves the file as it is: a copy of it is what the next start finds.
    let crashed = tempfile::tempdir().unwrap();
    let name = names(dir.path()).remove(0);
    assert!(name.ends_with(".open"));
    std::fs::copy(dir.path().join(&name), crashed.path().join(&name)).unwrap();

    let (again, recovered) = open(crashed.path());
    assert_eq!(recovered, Recovered { segments: 1, rows: 40, torn_bytes: 0, damaged: 0 });
    let sealed = again.next_sealed().await;
    let bytes = sealed.load().unwrap();
    let contents = read(&bytes).unwrap();
    let rows = contents.records.iter().flat_map(|record| &record.rows);
    let mut ids: Vec<u128> = rows.map(|row| StoredRow::decode(row).unwrap().event_id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=20).chain(101..=120).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_torn_tail_is_cut_at_the_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    spool.append(batch(&[1])).await.unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let name = names(dir.path()).remove(0);
    let mut bytes = std::fs::read(dir.path().join(&name)).unwrap();
    bytes.extend_from_slice(b"CREC half of a record");
    std::fs::write(crashed.path().join(&name), bytes).unwrap();
    let (_, recovered) = open(crashed.path());
    assert_eq!(recovered, Recovered { segments: 1, rows: 1, torn_bytes: 21, damaged: 0 });
    assert_eq!(open(crashed.path()).1.torn_bytes, 0);
}

#[tokio::test]
async fn an_id_is_taken_once_also_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    assert_eq!(spool.append(batch(&[5, 6, 5])).await.unwrap().rows, 2);
    let committed = spool.append(batch(&[6, 7])).await.unwrap();
    assert_eq!(committed.rows, 1);
    assert_eq!(committed.tally.total(|outcome| outcome == Outcome::Dropped("duplicate")), 1);
    spool.close().await;
    let (again, _) = open(dir.path());
    assert_eq!(again.append(batch(&[5, 6, 7, 8, 0, 0])).await.unwrap().rows, 3);
}

#[tokio::test]
async fn a_segment_is_sealed_by_rows_and_leaves_only_when_removed() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { seal_rows_max: 3, ..settings() };
    let (spool, _) = Spool::open(dir.path(), &settings, Clock::system(), Telemetry::new()).unwrap();
    spool.append(batch(&[1, 2])).await.unwrap();
    assert!(spool.oldest().is_none());
    spool.append(batch(&[3])).await.unwrap();
    let sealed = spool.next_sealed().await;
    assert_eq!((spool.rows(), spool.segments()), (3, 1));
    assert_eq!(names(dir.path()), [format!("{}.seal", sealed.id)]);
    spool.remove(&sealed).unwrap();
    assert_eq!((spool.rows(), spool.segments(), spool.bytes()), (0, 0, 0));
    assert!(names(dir.path()).is_empty());
}

#[tokio::test]
async fn a_segment_is_sealed_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { seal_after_ms: 20, ..settings() };
    let (spool, _) = Spool::open(dir.path(), &settings, Clock::system(), Telemetry::new()).unwrap();
    spool.append(batch(&[1])).await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), spool.next_sealed()).await.unwrap();
}

#[tokio::test]
async fn full_is_said_before_anything_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { spool_bytes_max: 200, ..settings() };
    let (spool, _) = Spool::open(dir.path(), &settings, Clock::system(), Telemetry::new()).unwrap();
    assert_eq!(spool.admit(), Ok(()));
    spool.append(batch(&[1, 2, 3])).await.unwrap();
    assert_eq!(spool.admit(), Err(SpoolError::Full));
    assert!(spool.seal().await);
    let sealed = spool.next_sealed().await;
    spool.remove(&sealed).unwrap();
    assert_eq!(spool.admit(), Ok(()));
}

#[tokio::test]
async fn after_the_end_everything_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    spool.append(batch(&[1])).await.unwrap();
    spool.close().await;
    assert_eq!(spool.append(batch(&[2])).await.unwrap_err(), SpoolError::Closed);
    assert_eq!(names(dir.path()).len(), 1);
    assert!(names(dir.path())[0].ends_with(".seal"));
}

#[tokio::test]
async fn a_disk_that_goes_away_is_said_and_nothing_is_pretended() {
    let dir = tempfile::tempdir().unwrap();
    let spool_dir = dir.path().join("spool");
    let (spool, _) = open(&spool_dir);
    std::fs::remove_dir_all(&spool_dir).unwrap();
    assert_eq!(spool.append(batch(&[1])).await.unwrap_err(), SpoolError::Failed);
    std::fs::create_dir(&spool_dir).unwrap();
    assert_eq!(
        spool.append(batch(&[1])).await.unwrap().rows,
        1,
        "the id was forgotten: sent again, it counts"
    );
}
