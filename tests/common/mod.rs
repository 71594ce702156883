//! A real collector: the built binary, its embedded ClickHouse, a data directory of its own, real sockets.

#![allow(dead_code)] // each test file uses its part

pub mod good;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long anything may take that has to happen soon.
pub const SOON: Duration = Duration::from_secs(60);
/// The first start may have to fetch the engine.
const FIRST_START: Duration = Duration::from_secs(600);

/// A collector that runs until it is dropped.
pub struct Collector {
    child: Child,
    pub dir: tempfile::TempDir,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub ready_after: Duration,
    args: Vec<String>,
    log: PathBuf,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text()))
    }

    /// The code of an error, or of the first rejected event.
    pub fn code(&self) -> String {
        let json = self.json();
        let code = json.pointer("/error/code").or_else(|| json.pointer("/rejected/0/code"));
        code.and_then(|code| code.as_str()).unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_consentry")
}

/// Waits until `done` gives something.
pub fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(begun.elapsed() < SOON, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Collector {
    /// Starts one with no configuration but its addresses and data directory.
    pub fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// Starts one with a configuration file.
    pub fn start_configured(toml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("consentry.toml");
        std::fs::write(&path, toml).unwrap();
        Self::start_in(dir, &["--config", path.to_str().unwrap()], &[])
    }

    pub fn start_with(args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), args, env)
    }

    /// Starts one with its public address somewhere else than on a free port.
    pub fn start_listening(listen: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_with(&[args, &["--listen", listen]].concat(), env)
    }

    pub fn start_in(dir: tempfile::TempDir, args: &[&str], env: &[(&str, &str)]) -> Self {
        let log = dir.path().join("collector.log");
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let (child, public, admin, ready_after) = spawn(dir.path(), &args, env, &log);
        Self { child, dir, public, admin, ready_after, args, log }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `kill -9`, and nothing else.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts again on the same data directory, on new ports.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same with something in the environment.
    pub fn restart_with(&mut self, env: &[(&str, &str)]) {
        let (child, public, admin, ready_after) = spawn(self.dir.path(), &self.args, env, &self.log);
        (self.child, self.public, self.admin, self.ready_after) = (child, public, admin, ready_after);
    }

    /// SIGTERM, then the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        signal(self.pid(), "TERM");
        self.end()
    }

    /// Waits for its end; the exit code, none where a signal ended it.
    pub fn end(&mut self) -> Option<i32> {
        let child = &mut self.child;
        eventually("the collector ends", || child.try_wait().unwrap()).code()
    }

    /// Process id of the embedded engine.
    pub fn engine_pid(&self) -> u32 {
        let children = format!("/proc/{0}/task", self.pid());
        for task in std::fs::read_dir(children).unwrap() {
            let list = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
            if let Some(pid) = list.split_whitespace().next() {
                return pid.parse().unwrap();
            }
        }
        panic!("the collector has no child");
    }

    /// Resident memory of the collector without its engine, in bytes; `peak`: the most it ever was.
    pub fn memory_bytes(&self, peak: bool) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let name = if peak { "VmHWM:" } else { "VmRSS:" };
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Waits until the store answers, after its engine was killed.
    pub fn store_answers(&self) {
        eventually("the store answers", || {
            let asked = Command::new(binary())
                .args(["sql", "SELECT 1", "--data-dir"])
                .arg(self.data_dir())
                .env_remove("CONSENTRY_CONFIG")
                .output();
            asked.unwrap().status.success().then_some(())
        });
    }

    /// Runs `consentry sql` against the running collector's store.
    pub fn sql(&self, query: &str) -> String {
        let output = Command::new(binary())
            .args(["sql", query, "--data-dir"])
            .arg(self.data_dir())
            .env_remove("CONSENTRY_CONFIG")
            .output()
            .unwrap();
        assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub fn count(&self, from_and_where: &str) -> u64 {
        self.sql(&format!("SELECT count() FROM {from_and_where}")).parse().unwrap()
    }

    /// Waits until nothing is in the spool any more.
    pub fn settle(&self) {
        eventually("the spool is empty", || {
            let metrics = self.get_admin("/metrics").text();
            let zero = |name: &str| metrics.lines().any(|line| line == format!("{name} 0"));
            (zero("consentry_spooled_events") && zero("consentry_spool_bytes")).then_some(())
        });
    }

    /// Sends one JSON body.
    pub fn post(&self, body: &str) -> Answer {
        self.request("POST", "/v1/events", &[("content-type", "application/json")], body.as_bytes())
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], b"")
    }

    pub fn get_admin(&self, path: &str) -> Answer {
        request(self.admin, "GET", path, &[], b"")
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        request(self.public, method, path, headers, body)
    }

    /// Sends bytes as they are and reads the answer.
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        raw(self.public, bytes)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the collector's log ---\n{}", self.log());
        }
    }
}

/// Sends a signal by name with the `kill` program.
pub fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap().success());
}

#[allow(clippy::zombie_processes)] // where it panics, the test is over
fn spawn(
    dir: &Path,
    args: &[String],
    env: &[(&str, &str)],
    log: &Path,
) -> (Child, SocketAddr, SocketAddr, Duration) {
    let begun = Instant::now();
    let log_file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut child = Command::new(binary())
        .args(["serve", "--admin-listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.join("data"))
        .args(args)
        .args(if args.iter().any(|arg| arg == "--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] })
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_file)
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        // Read on after the ready line, so that the collector never writes to a closed pipe.
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    while begun.elapsed() < FIRST_START {
        match told.recv_timeout(Duration::from_millis(100)) {
            Ok(line) if line.contains("is ready") => {
                // `Beacons: http://127.0.0.1:1  Admin: http://127.0.0.1:2`; a Unix socket has no address.
                let after =
                    |word: &str| line.split(word).nth(1).and_then(|rest| rest.split_whitespace().next());
                let address = |word: &str| {
                    let url = after(word).unwrap();
                    let address = url.split("://").nth(1).and_then(|address| address.parse().ok());
                    address.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
                };
                let (public, admin) = (address("Beacons: "), address("Admin: "));
                return (child, public, admin, begun.elapsed());
            }
            Ok(_) => {}
            Err(_) => {
                if let Some(status) = child.try_wait().unwrap() {
                    panic!("the collector ended: {status}\n{}", std::fs::read_to_string(log).unwrap());
                }
            }
        }
    }
    let _ = child.kill();
    panic!("the collector was not ready within {FIRST_START:?}\n{}", std::fs::read_to_string(log).unwrap());
}

/// One request on a connection of its own.
pub fn request(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() || method == "POST" {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    raw(to, &bytes)
}

fn raw(to: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    // A server that has seen enough may close while we still write; its answer is what counts.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut chunk = [0; 65536];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&chunk[..read]),
        }
    }
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head, body: answer.get(end + 4..).unwrap_or_default().to_vec() }
}

/// Every file below a directory.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(path),
                Ok(kind) if kind.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    found
}

/// A connection that is kept and used again, for loads.
pub struct KeepAlive {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl KeepAlive {
    pub fn connect(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOON))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends one JSON body; gives the status and the answer.
    pub fn post(&mut self, body: &str) -> std::io::Result<(u16, String)> {
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        self.buffer.clear();
        let mut chunk = [0; 16384];
        loop {
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend_from_slice(&chunk[..read]);
            let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
            let length = head
                .split("content-length:")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.trim().parse().ok());
            let length: usize = length.unwrap_or(0);
            if self.buffer.len() >= end + 4 + length {
                let status =
                    head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
                return Ok((status, String::from_utf8_lossy(&self.buffer[end + 4..]).into_owned()));
            }
        }
    }
}
