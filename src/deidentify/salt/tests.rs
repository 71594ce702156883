//! What the file system and the journal say after each turn.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sha2::{Digest, Sha256};

use super::file::path_of;
use super::*;
use crate::clock::{DAY_MS, HOUR_MS};

const DAY: i64 = 20_000; // 2024-10-04
const NOON: i64 = DAY * DAY_MS + 12 * HOUR_MS;

fn open_as(dir: &Path, store: SaltStore, now_ms: i64) -> Result<Salts, SaltError> {
    Salts::open(dir, store, vec!["shop".into(), "blog".into()], now_ms)
}

fn open(dir: &Path, now_ms: i64) -> Salts {
    open_as(dir, SaltStore::File, now_ms).unwrap()
}

fn key(salts: &Salts, site: &str, now_ms: i64, at_ms: i64) -> Option<[u8; 32]> {
    salts.keys(now_ms).unwrap().of_day(site, at_ms).map(|key| *key.bytes())
}

/// The journal in short: event, day since `DAY`, reason.
fn told(dir: &Path) -> Vec<String> {
    let line = |receipt: Receipt| {
        format!("{} {} {}", receipt.event.word(), receipt.day - DAY, receipt.reason.word()).trim().to_owned()
    };
    read_receipts(dir).unwrap().into_iter().map(line).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_restart_keeps_the_days_key_and_sites_never_share_one() {
    let dir = tempfile::tempdir().unwrap();
    let before = key(&open(dir.path(), NOON), "shop", NOON, NOON).unwrap();
    let salts = open(dir.path(), NOON + HOUR_MS);
    assert_eq!(key(&salts, "shop", NOON, NOON), Some(before));
    assert_ne!(key(&salts, "blog", NOON, NOON), Some(before));
    for file in [path_of(dir.path(), DAY), dir.path().join(journal::FILE)] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(told(dir.path()), ["created 0"]);
}

#[test]
fn the_commitment_is_the_hash_of_the_salt() {
    let dir = tempfile::tempdir().unwrap();
    let salts = open(dir.path(), NOON);
    let salt = fs::read(path_of(dir.path(), DAY)).unwrap();
    let receipts = salts.receipts(0);
    assert_eq!(receipts[0].commitment, blake3::hash(&salt).to_hex().to_string());
    assert_eq!(
        (receipts[0].date(), receipts[0].at()),
        ("2024-10-04".into(), "2024-10-04T12:00:00.000Z".into())
    );
    let journal = fs::read(dir.path().join(journal::FILE)).unwrap();
    let hex: String = salt.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!String::from_utf8(journal).unwrap().contains(&hex));
}

#[test]
fn a_salt_dies_within_48_hours_and_leaves_a_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let salts = open(dir.path(), NOON);
    let first = key(&salts, "shop", NOON, NOON).unwrap();
    let second = key(&salts, "shop", NOON + DAY_MS, NOON + DAY_MS).unwrap();
    assert_ne!(first, second);
    assert_eq!(key(&salts, "shop", NOON + DAY_MS, NOON), Some(first), "a visit over midnight");
    // Nobody sends anything.
    salts.tend((DAY + 2) * DAY_MS - 1).unwrap();
    assert_eq!(names(dir.path()), ["20000.salt", "20001.salt", "receipts"]);
    salts.tend((DAY + 2) * DAY_MS).unwrap();
    assert_eq!(names(dir.path()), ["20001.salt", "20002.salt", "receipts"]);
    assert!(key(&salts, "shop", NOON + 2 * DAY_MS, NOON).is_none());
    assert_eq!(told(dir.path()), ["created 0", "created 1", "destroyed 0 over", "created 2"]);
}

#[test]
fn a_collector_that_slept_for_a_week_destroys_what_it_finds() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), NOON));
    fs::write(dir.path().join("20000.salt.bak"), [7; 32]).unwrap();
    drop(open(dir.path(), NOON + 7 * DAY_MS));
    assert_eq!(names(dir.path()), ["20007.salt", "receipts"]);
    assert_eq!(told(dir.path()), ["created 0", "destroyed 0 over", "created 7"]);
}

#[test]
fn a_clock_that_jumps_never_brings_a_salt_back() {
    let dir = tempfile::tempdir().unwrap();
    let salts = open(dir.path(), NOON);
    let first = key(&salts, "shop", NOON, NOON);
    salts.tend(NOON + 30 * DAY_MS).unwrap();
    assert!(!path_of(dir.path(), DAY).exists());
    let again = key(&salts, "shop", NOON, NOON);
    assert!(again.is_some() && again != first, "the day has a new salt");
    assert_eq!(
        told(dir.path()),
        ["created 0", "destroyed 0 over", "created 30", "destroyed 30 over", "created 0"]
    );
    drop(salts);
    assert_eq!(key(&open(dir.path(), NOON), "shop", NOON, NOON), again);
}

#[test]
fn a_clock_that_stands_still_does_not_keep_a_salt_alive() {
    let dir = tempfile::tempdir().unwrap();
    let salts = open(dir.path(), NOON);
    let first = key(&salts, "shop", NOON, NOON);
    salts.keeper().life_max = Duration::from_nanos(1);
    salts.tend(NOON).unwrap();
    salts.keeper().life_max = LIFE_MAX;
    assert_ne!(key(&salts, "shop", NOON, NOON), first);
    assert_eq!(told(dir.path()), ["created 0", "destroyed 0 over", "created 0"]);
}

#[test]
fn a_salt_of_a_wrong_length_is_replaced() {
    for length in [0, 31, 33] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), NOON));
        let path = path_of(dir.path(), DAY);
        let salt = fs::read(&path).unwrap();
        fs::write(&path, &[&salt[..], &[7]].concat()[..length]).unwrap();
        drop(open(dir.path(), NOON));
        assert_eq!(fs::read(&path).unwrap().len(), 32);
        assert_eq!(told(dir.path()), ["created 0", "destroyed 0 damaged", "created 0"]);
    }
}

fn refusal(dir: &Path, salt: &[u8]) -> String {
    let path = path_of(dir, DAY);
    fs::write(&path, salt).unwrap();
    let error = open_as(dir, SaltStore::File, NOON).unwrap_err().to_string();
    assert!(error.contains("20000.salt") && error.to_lowercase().contains("remove the file"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), salt, "it is left for whoever looks into it");
    // What the message says helps.
    fs::remove_file(&path).unwrap();
    open(dir, NOON);
    error
}

#[test]
fn a_derivable_salt_refuses_the_start() {
    let date = Sha256::digest("2024-10-04").to_vec();
    let of_site = Sha256::digest("blog:2024-10-04").to_vec();
    for salt in [vec![0; 32], vec![0xaa; 32], (0..32).collect(), date, of_site] {
        for with_journal in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            if with_journal {
                drop(open(dir.path(), NOON));
            }
            let error = refusal(dir.path(), &salt);
            assert!(error.contains("is no secret"), "{error}");
        }
    }
}

#[test]
fn a_salt_that_was_destroyed_never_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let salts = open(dir.path(), NOON);
    let copy = fs::read(path_of(dir.path(), DAY)).unwrap();
    salts.tend(NOON + 2 * DAY_MS).unwrap();
    drop(salts);
    let error = refusal(dir.path(), &copy);
    assert!(error.contains("destroyed before"), "{error}");
}

#[test]
fn a_salt_that_somebody_put_in_the_place_of_ours_refuses_the_start() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), NOON));
    let mut other = [0; 32];
    getrandom::fill(&mut other).unwrap();
    let error = refusal(dir.path(), &other);
    assert!(error.contains("not the salt"), "{error}");
    // Also the salt of another day.
    let salts = open(dir.path(), NOON);
    let yesterdays = fs::read(path_of(dir.path(), DAY)).unwrap();
    drop(salts);
    fs::write(path_of(dir.path(), DAY + 1), yesterdays).unwrap();
    assert!(matches!(open_as(dir.path(), SaltStore::File, NOON + DAY_MS), Err(SaltError::Swapped { .. })));
}

#[test]
fn a_salt_without_a_journal_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), NOON));
    let before = fs::read(path_of(dir.path(), DAY)).unwrap();
    fs::remove_file(dir.path().join(journal::FILE)).unwrap();
    drop(open(dir.path(), NOON));
    assert_ne!(fs::read(path_of(dir.path(), DAY)).unwrap(), before);
    assert_eq!(told(dir.path()), ["destroyed 0 unknown", "created 0"]);
}

#[test]
fn a_salt_whose_file_was_never_kept_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), NOON));
    fs::remove_file(path_of(dir.path(), DAY)).unwrap();
    drop(open(dir.path(), NOON));
    assert_eq!(told(dir.path()), ["created 0", "destroyed 0 lost", "created 0"]);
}

#[test]
fn salts_in_memory_reach_no_disk_and_end_with_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let memory = |now_ms| open_as(dir.path(), SaltStore::Memory, now_ms).unwrap();
    let salts = memory(NOON);
    let first = key(&salts, "shop", NOON, NOON);
    assert_eq!(names(dir.path()), ["receipts"]);
    assert!(key(&salts, "shop", NOON + DAY_MS, NOON) == first, "a visit over midnight");
    salts.close(NOON + DAY_MS).unwrap();
    assert!(matches!(salts.keys(NOON + DAY_MS), Err(SaltError::Closed)));
    drop(salts);
    let salts = memory(NOON + DAY_MS);
    assert_ne!(key(&salts, "shop", NOON + DAY_MS, NOON + DAY_MS), first);
    drop(salts); // as kill -9 would
    drop(memory(NOON + DAY_MS));
    assert_eq!(
        told(dir.path()),
        [
            "created 0",
            "created 1",
            "destroyed 0 stopped",
            "destroyed 1 stopped",
            "created 1",
            "destroyed 1 process_ended",
            "created 1"
        ]
    );
}

#[test]
fn from_file_to_memory_the_files_go() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), NOON));
    drop(open_as(dir.path(), SaltStore::Memory, NOON).unwrap());
    assert_eq!(names(dir.path()), ["receipts"]);
    assert_eq!(told(dir.path()), ["created 0", "destroyed 0 store_changed", "created 0"]);
}

#[test]
fn a_journal_that_was_tampered_with_refuses_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let salts = open(dir.path(), NOON);
    (1..5).for_each(|day| salts.tend(NOON + day * DAY_MS).unwrap());
    drop(salts);
    let path = dir.path().join(journal::FILE);
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let without = |at: usize| {
        let kept = lines.iter().enumerate().filter(|(index, _)| *index != at);
        kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    for (text, line) in [
        (without(2), 3),
        (whole.replacen("\tover\t", "\tlost\t", 1), 3),
        (whole.replacen("2024-10-05", "2024-10-06", 1), 2),
        (without(0), 1),
        ("nonsense\n".to_owned(), 1),
    ] {
        fs::write(&path, &text).unwrap();
        match open_as(dir.path(), SaltStore::File, NOON + 4 * DAY_MS) {
            Err(SaltError::Journal { line: found, .. }) => assert_eq!(found, line),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "it is left for whoever looks into it");
    }
    // Moved aside, as the message says.
    let aside = tempfile::tempdir().unwrap();
    fs::rename(&path, aside.path().join("receipts")).unwrap();
    drop(open(dir.path(), NOON + 4 * DAY_MS));
    assert_eq!(told(dir.path()), ["destroyed 3 unknown", "destroyed 4 unknown", "created 4"]);
}

#[test]
fn a_line_that_was_never_finished_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), NOON));
    let path = dir.path().join(journal::FILE);
    let whole = fs::read(&path).unwrap();
    for torn in [&b"3f"[..], b"\xff\xfe", &whole[..whole.len() - 1]] {
        fs::write(&path, [&whole[..], torn].concat()).unwrap();
        drop(open(dir.path(), NOON));
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

/// What docs/AUDITOR.md tells an auditor who trusts no program of ours.
#[test]
fn the_chain_can_be_checked_without_this_program() {
    let dir = tempfile::tempdir().unwrap();
    let salts = open(dir.path(), NOON);
    (1..4).for_each(|day| salts.tend(NOON + day * DAY_MS).unwrap());
    let journal = fs::read_to_string(dir.path().join(journal::FILE)).unwrap();
    let mut before = "0".repeat(64);
    for line in journal.lines() {
        let (chain, rest) = line.split_once('\t').unwrap();
        assert_eq!(blake3::hash(format!("{before}\t{rest}").as_bytes()).to_hex().as_str(), chain);
        before = chain.to_owned();
    }
    assert_eq!(salts.receipts(0).last().unwrap().chain, before);
}
