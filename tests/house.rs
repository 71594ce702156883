//! The house: a room imports the rooms before it and none behind it, and no room grows past reading.

use std::path::Path;

/// In the order an event walks through them, which is the alphabet's.
const ROOMS: [&str; 9] =
    ["accept", "beacon", "consent", "deidentify", "enrich", "spool", "store", "tally", "withdraw"];

fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn no_room_looks_into_a_later_one() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (index, room) in ROOMS.iter().enumerate() {
        let mut files = Vec::new();
        if src.join(room).is_dir() {
            sources(&src.join(room), &mut files);
        }
        for (path, text) in files {
            for later in &ROOMS[index + 1..] {
                assert!(!text.contains(&format!("crate::{later}")), "{path} imports {later}");
            }
        }
    }
}

#[test]
fn rooms_stand_in_the_order_of_the_walk() {
    let lib = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let mods: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let rooms: Vec<&str> = mods.iter().copied().filter(|name| ROOMS.contains(name)).collect();
    // A room that is not built yet leaves no gap that another may stand in.
    let built: Vec<&str> = ROOMS.into_iter().filter(|room| rooms.contains(room)).collect();
    assert_eq!(rooms, built);
}

#[test]
fn one_file_is_one_sitting() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    for (path, text) in files {
        let lines = text.lines().count();
        // Above 400 lines a file says at its head why it is one.
        assert!(
            lines <= 450 || text.lines().take(12).any(|line| line.contains("Long:")),
            "{path} has {lines} lines"
        );
    }
    let main = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs")).unwrap();
    assert!(main.lines().count() < 60);
}
