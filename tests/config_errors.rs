//! A wrong configuration ends the start at once, with where it stands, the key, and what to write instead.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::binary;
use consentry::config::{Key, Takes, sample, shape};

const WITHIN: Duration = Duration::from_millis(100);

fn broken() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config")
}

fn run(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> (Output, Duration) {
    let mut command = Command::new(binary());
    let command =
        command.current_dir(dir).args(args).env_remove("CONSENTRY_CONFIG").envs(env.iter().copied());
    let begun = Instant::now();
    let output = command.output().unwrap();
    (output, begun.elapsed())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The messages of `expected.txt` by file: each begins with the file's name, after "consentry: " or two spaces.
fn expected() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(broken().join("expected.txt")).unwrap();
    let mut messages: Vec<String> = Vec::new();
    for line in text.lines() {
        match messages.last_mut() {
            Some(message) if line.starts_with("  ") => *message += &format!("{line}\n"),
            _ => messages.push(format!("{line}\n")),
        }
    }
    let file = |message: &str| {
        let word = message.split_whitespace().find(|word| word.contains(".toml:")).unwrap();
        word.split(':').next().unwrap().to_owned()
    };
    messages.into_iter().map(|message| (file(&message), message)).collect()
}

#[test]
fn every_broken_file_is_named_with_line_key_and_remedy_at_once() {
    let expected = expected();
    let mut files: Vec<String> = std::fs::read_dir(broken())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 40 && files.len() == expected.len(), "{} files", files.len());
    let mut slowest = Duration::ZERO;
    for file in &files {
        for command in ["check-config", "serve"] {
            // A machine that is busy with something else is not what is measured: the best of a few counts.
            let mut best = Duration::MAX;
            for _ in 0..5 {
                let (output, took) = run(&broken(), &[command, "--config", file], &[]);
                assert_eq!(output.status.code(), Some(2), "{command} {file}: {}", said(&output));
                assert_eq!(said(&output), expected[file], "{command} {file}");
                best = best.min(took);
                if best < WITHIN {
                    break;
                }
            }
            assert!(best < WITHIN, "{command} {file} took {best:?}");
            slowest = slowest.max(best);
        }
    }
    println!("{} broken files, the slowest refused after {slowest:.1?}", files.len());
    assert!(!broken().join("data").exists(), "nothing half-started stays behind");
}

#[test]
fn every_message_has_a_line_a_key_and_a_remedy_and_no_secret() {
    for (file, message) in expected() {
        let faults = message.lines().filter(|line| line.contains(".toml:"));
        for fault in faults {
            let fault = fault.trim_start_matches("consentry:").trim();
            let (place, rest) = fault.split_once(": ").unwrap();
            assert!(place.starts_with(&format!("{file}:")), "{fault}");
            assert!(place.rsplit(':').next().unwrap().parse::<usize>().is_ok(), "{fault}");
            let (key, rest) = rest.split_once(": ").unwrap();
            assert!(!key.contains(' ') && rest.contains("; "), "{fault}");
            assert!(!fault.contains("hunter2") && !fault.contains("4711"), "{fault}");
        }
    }
}

#[test]
fn a_variable_and_a_flag_are_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        (
            ("CONSENTRY_LISTN", "127.0.0.1:1"),
            "CONSENTRY_LISTN: listn: there is no such key; did you mean CONSENTRY_LISTEN?",
        ),
        (
            ("CONSENTRY_CONNECTIONS_MAX", "many"),
            "CONSENTRY_CONNECTIONS_MAX: connections_max: takes a whole number of 0 or more, not text;",
        ),
        (("CONSENTRY_SALT_STORE", "disk"), "CONSENTRY_SALT_STORE: salt_store: takes \"file\" or \"memory\";"),
        (("CONSENTRY_SITE", "[{id=\"a b\"}]"), "CONSENTRY_SITE: site[0].id: is not a name"),
        (("CONSENTRY_CONNECTIONS_MAX", "0"), "CONSENTRY_CONNECTIONS_MAX: connections_max: is 0;"),
    ];
    for (variable, part) in cases {
        let (output, _) = run(dir.path(), &["check-config"], &[variable]);
        assert_eq!(output.status.code(), Some(2), "{variable:?}");
        let said = said(&output);
        assert!(said.contains(&format!("environment variable {part}")), "{said}");
    }
    let (output, _) = run(dir.path(), &["serve", "--admin-listen", "0.0.0.0:0"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("--admin-listen: admin_listen: \"0.0.0.0:0\" can be reached"),
        "{}",
        said(&output)
    );
    let (output, _) = run(dir.path(), &["check-config", "--config", "nowhere.toml"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("nowhere.toml") && said(&output).contains("--config"),
        "{}",
        said(&output)
    );
}

fn keys(of: &Key, under: &str, found: &mut Vec<String>) {
    for key in of.takes.keys().unwrap_or_default() {
        let name = if under.is_empty() { key.name.clone() } else { format!("{under}.{}", key.name) };
        keys(key, &name, found);
        found.push(name);
    }
}

#[test]
fn the_sample_has_every_key_with_its_documentation_and_is_sound() {
    let sample = sample();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sample.toml"), &sample).unwrap();
    let (output, _) = run(dir.path(), &["check-config", "--config", "sample.toml"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    // With every key switched on each value still has the form that its key takes.
    let all: String = sample.lines().map(|line| format!("{}\n", shown(line).unwrap_or(line))).collect();
    let all: toml::Table = toml::from_str(&all).unwrap_or_else(|error| panic!("{error}\n{all}"));
    let parsed: Result<consentry::config::File, _> = all.clone().try_into();
    parsed.unwrap_or_else(|error| panic!("{error}"));
    let shape = shape();
    let mut names = Vec::new();
    keys(&shape, "", &mut names);
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        let mut value = &toml::Value::Table(all.clone());
        for part in name.split('.') {
            value = match value {
                toml::Value::Array(tables) => &tables[0],
                value => value,
            };
            value = value.get(part).unwrap_or_else(|| panic!("the sample lacks {name}"));
        }
    }
    undocumented(&shape);
}

/// A line of the sample with its key switched on.
fn shown(line: &str) -> Option<&str> {
    let line = line.strip_prefix("# ")?;
    let bare = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let is_key = line.split_once(" = ").is_some_and(|(key, _)| bare(key));
    (line.starts_with('[') || is_key).then_some(line)
}

fn undocumented(of: &Key) {
    for key in of.takes.keys().unwrap_or_default() {
        assert!(key.doc.len() > 8, "{} has no documentation", key.name);
        assert!(!matches!(key.takes, Takes::Other), "{} takes what the messages have no word for", key.name);
        undocumented(key);
    }
}

#[test]
fn what_is_in_effect_says_where_it_comes_from_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("token", "of-a-file-4711\n");
    write("password", "pass word/4712");
    write(
        "c.toml",
        "admin_token_file = \"token\"\nclickhouse_url = \"http://me@store:8123\"\n\
         clickhouse_password_file = \"password\"\n[[site]]\nid = \"shop\"\nretention_days = 30\n",
    );
    let args = ["config", "--effective", "--config", "c.toml", "--data-dir", "elsewhere"];
    let (output, _) = run(dir.path(), &args, &[("CONSENTRY_CONNECTIONS_MAX", "77")]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let shown = String::from_utf8(output.stdout).unwrap();
    for line in [
        "data_dir = \"elsewhere\"  # --data-dir",
        "connections_max = 77  # environment variable CONSENTRY_CONNECTIONS_MAX",
        "admin_token = \"[redacted]\"",
        "clickhouse_url = \"http://[redacted]@store:8123/\"  # c.toml:2",
        "retention_days = 30  # c.toml:6",
        "k_anonymity = 10  # default",
        "listen = \"127.0.0.1:8080\"  # default",
        "[[site]]",
        "[site.consent.tcf]",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(!shown.contains("471"), "{shown}");
    // It is a configuration again.
    toml::from_str::<toml::Table>(&shown).unwrap();
    let (output, _) = run(dir.path(), &["config", "--schema"], &[]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema.pointer("/properties/site/items/properties/consent/properties/adapters").is_some());
    let (output, _) = run(dir.path(), &["config"], &[]);
    assert_eq!(output.status.code(), Some(2), "one of three has to be asked for");
}
