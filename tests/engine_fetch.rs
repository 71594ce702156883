//! The embedded engine is fetched whole or not at all.

mod engine_support;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use consentry::store::engine::fetch_from;
use engine_support::*;

/// Not a test by itself: the collector that another test starts, and kills while it fetches.
#[tokio::test]
async fn helper_fetches() {
    if std::env::var_os(HELPER_DIR).is_none() {
        return;
    }
    match fetch_from(OWN.into(), |_| ()).await {
        Ok(program) => println!("\nfetched {program:?}"),
        Err(error) => println!("\nfailed {error}"),
    }
}

/// A directory with an `npm` of our own on PATH.
fn fake_npm(dir: &Path, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(bin.join("npm"), format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(bin.join("npm"), std::fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

fn fetching(dir: &Path, bin: &Path) -> Child {
    let mut command = helper("helper_fetches", dir);
    command.env("CONSENTRY_CACHE_DIR", dir.join("cache")).env_remove("CONSENTRY_LIBCHDB");
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    command.spawn().unwrap()
}

fn in_cache(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("cache/engine")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "no package for this architecture")]
fn an_interrupted_fetch_leaves_nothing_that_passes_for_whole() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("npm.pids");
    // $4 is where the package goes.
    let slow = format!("echo half > \"$4/p.tgz\"; echo $$ >> {}; exec sleep 60", pids.display());
    let bin = fake_npm(dir.path(), &slow);
    let npm = |nth: usize| {
        let mut pid = None;
        within(Duration::from_secs(10), "npm runs", || {
            let text = std::fs::read_to_string(&pids).unwrap_or_default();
            pid = text
                .split_inclusive('\n')
                .nth(nth)
                .and_then(|line| line.strip_suffix('\n')?.parse::<u32>().ok());
            pid.is_some()
        });
        pid.unwrap()
    };
    let mut first = fetching(dir.path(), &bin);
    let first_npm = npm(0);
    let mut second = fetching(dir.path(), &bin);
    first.kill().unwrap();
    first.wait().unwrap();
    within(Duration::from_secs(2), "npm ends with the first", || !alive(first_npm));

    // The one that waited cleans up and tries by itself, until it is killed too.
    npm(1);
    assert_eq!(in_cache(dir.path()).iter().filter(|name| name.starts_with("tmp-")).count(), 1);
    second.kill().unwrap();
    second.wait().unwrap();

    // The third one's npm brings another package.
    let mut third =
        fetching(dir.path(), &fake_npm(dir.path(), "echo 'npm warn x' >&2; echo other > \"$4/p.tgz\""));
    let (said, _open) = line_of(&mut third, "failed ");
    assert!(said.contains("6 bytes instead of"), "{said}");
    third.wait().unwrap();
    assert_eq!(in_cache(dir.path()), ["lock"]);
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "no package for this architecture")]
fn a_failing_npm_is_quoted_and_a_missing_one_has_three_ways_out() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo 'npm warn old' >&2; echo 'npm error code E404' >&2; exit 1";
    let mut fetch = fetching(dir.path(), &fake_npm(dir.path(), script));
    let (said, _open) = line_of(&mut fetch, "failed ");
    fetch.wait().unwrap();
    assert!(
        said.contains("exit status: 1") && said.contains("npm error code E404") && !said.contains("npm warn"),
        "{said}"
    );
    assert_eq!(in_cache(dir.path()), ["lock"]);

    let mut command = helper("helper_fetches", dir.path());
    command
        .env("CONSENTRY_CACHE_DIR", dir.path().join("cache"))
        .env_remove("CONSENTRY_LIBCHDB")
        .env("PATH", "/nowhere");
    let mut fetch = command.spawn().unwrap();
    let (said, _open) = line_of(&mut fetch, "failed ");
    fetch.wait().unwrap();
    for way in ["Node.js", "CONSENTRY_LIBCHDB", "clickhouse_url"] {
        assert!(said.contains(way), "{said}");
    }
}

/// Downloads 170 MB: only where ENGINE_TEST_FETCH is set.
#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "no package for this architecture")]
fn two_that_fetch_at_once_fetch_once() {
    if std::env::var_os("ENGINE_TEST_FETCH").is_none() {
        println!("skipped: two_that_fetch_at_once_fetch_once: set ENGINE_TEST_FETCH=1 to download 170 MB");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let fetch = || {
        let mut command = helper("helper_fetches", dir.path());
        command.env("CONSENTRY_CACHE_DIR", dir.path().join("cache")).env_remove("CONSENTRY_LIBCHDB");
        command.spawn().unwrap()
    };
    let (mut one, mut two) = (fetch(), fetch());
    let ((first, _open), (second, _other)) = (line_of(&mut one, "fetched "), line_of(&mut two, "fetched "));
    assert_eq!(first, second);
    one.wait().unwrap();
    two.wait().unwrap();
    assert_eq!(in_cache(dir.path()).len(), 2, "{:?}", in_cache(dir.path()));
}
