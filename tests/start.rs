//! The first minutes with it: what it says when it starts, and when it cannot.

mod common;

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::{Collector, binary};

const READY_WITHIN: Duration = Duration::from_secs(5);
const IDLE_MEMORY_BYTES_MAX: u64 = 40 * 1024 * 1024;

fn run(args: &[&str], env: &[(&str, &str)]) -> (Output, String) {
    let mut command = Command::new(binary());
    command.args(args).envs(env.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

#[test]
fn ready_soon_small_and_healthy() {
    // The engine may have to be fetched first; that start does not count.
    drop(Collector::start());
    let collector = Collector::start();
    println!("ready after {:.2?} on an empty data directory", collector.ready_after);
    assert!(collector.ready_after < READY_WITHIN, "{:?}", collector.ready_after);
    std::thread::sleep(Duration::from_secs(1));
    let idle = collector.memory_bytes(false);
    println!("idle memory of the collector without its engine: {:.1} MB", idle as f64 / 1e6);
    assert!(idle < IDLE_MEMORY_BYTES_MAX, "{idle}");
    for path in ["/livez", "/readyz"] {
        assert_eq!((collector.get(path).status, collector.get_admin(path).status), (200, 200), "{path}");
    }
    assert!(collector.get_admin("/metrics").text().contains("consentry_build_info"));
    let tracker = collector.get("/js/consentry.js");
    assert_eq!(tracker.header("content-type"), Some("text/javascript; charset=utf-8"));
    let packed = collector.request("GET", "/js/consentry.js", &[("accept-encoding", "gzip")], b"");
    println!("the tracker has {} bytes in gzip", packed.body.len());
    assert!(packed.body.len() <= 4096);
    let page = collector.get("/demo");
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let not_modified =
        collector.request("GET", "/demo", &[("if-none-match", page.header("etag").unwrap())], b"");
    assert_eq!((not_modified.status, not_modified.body.len()), (304, 0));
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (output, said) = run(&["--listen", &address, "--data-dir", data.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
    assert!(!data.exists(), "nothing half-started stays behind");
}

#[test]
fn a_data_directory_belongs_to_one_collector() {
    let collector = Collector::start();
    let data = collector.data_dir();
    let free = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir"];
    let (output, said) = run(&[&free[..], &[data.to_str().unwrap()]].concat(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.lines().count() == 1 && said.contains("in use by another collector"), "{said}");
    assert_eq!(collector.get("/readyz").status, 200);
}

#[test]
fn no_engine_and_no_npm_is_one_clear_line_with_ways_out() {
    let dir = tempfile::tempdir().unwrap();
    let (data, cache) = (dir.path().join("data"), dir.path().join("cache"));
    let free = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir"];
    let env =
        [("PATH", "/nowhere"), ("CONSENTRY_CACHE_DIR", cache.to_str().unwrap()), ("CONSENTRY_LIBCHDB", "")];
    let (output, said) = run(&[&free[..], &[data.to_str().unwrap()]].concat(), &env);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("npm") && said.contains("clickhouse_url"), "{said}");
    let planted =
        [("CONSENTRY_LIBCHDB", "/nowhere/libchdb.so"), ("CONSENTRY_CACHE_DIR", cache.to_str().unwrap())];
    let (output, said) = run(&[&free[..], &[data.to_str().unwrap()]].concat(), &planted);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("CONSENTRY_LIBCHDB"), "{said}");
}

#[test]
fn wrong_usage_and_wrong_configuration_exit_with_2() {
    assert_eq!(run(&["--nonsense"], &[]).0.status.code(), Some(2));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(&path, "lisen = \"127.0.0.1:1\"\n").unwrap();
    let (output, said) = run(&["check-config", "--config", path.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("c.toml:1: lisen: ") && said.contains("did you mean listen?"), "{said}");
    std::fs::write(&path, "[[site]]\nid = \"shop\"\norigins = [\"https://shop.example\"]\n").unwrap();
    let (output, _) = run(&["check-config", "--config", path.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("Site shop"));
}

/// As `consentry serve | head -1` does, or a supervisor that waits for the first line.
#[test]
fn whoever_stops_reading_what_it_prints_does_not_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path().join("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = Vec::new();
    // No further than the first line, byte by byte: the end that is closed has nothing waiting in it.
    let mut stdout = child.stdout.take().unwrap();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        stdout.read_exact(&mut byte).expect("the collector ended");
        line.push(byte[0]);
    }
    drop((stdout, child.stderr.take()));
    let line = String::from_utf8(line).unwrap();
    let admin = line.split("http://").nth(2).unwrap().trim();
    // Asked once, at once.
    let (asked, said) = run(&["health", "--admin-listen", admin], &[]);
    assert_eq!(asked.status.code(), Some(0), "{said}");
    // And later, when it has had lines to write to nobody: a reload that is refused makes one.
    common::signal(child.id(), "HUP");
    std::thread::sleep(Duration::from_millis(500));
    let (asked, said) = run(&["health", "--admin-listen", admin, "--live"], &[]);
    assert_eq!(asked.status.code(), Some(0), "{said}");
    assert!(child.try_wait().unwrap().is_none());
    common::signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
