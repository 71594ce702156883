//! The collector under load: one of our own on a data directory of its own, or one that runs already.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The first start may have to fetch the engine.
const START_MAX: Duration = Duration::from_secs(600);
/// Ticks of the kernel's clock in a second, in which it counts CPU time (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

/// Keeps a process, and what it starts later, on these cores. 0: this process.
pub fn pin(pid: u32, cores: &[usize]) -> Result<(), String> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    let raw = i32::try_from(pid).map_err(|error| error.to_string())?;
    let tasks = if pid == 0 {
        vec![None]
    } else {
        // Every thread that is there already.
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| error.to_string())?;
        let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse::<i32>().ok());
        ids.chain([raw]).map(Pid::from_raw).collect()
    };
    for task in tasks {
        sched_setaffinity(task, &set).map_err(|error| format!("cannot pin to cores {cores:?}: {error}"))?;
    }
    Ok(())
}

/// Sends a signal to a process that this program started.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// CPU time of a process and its threads, in seconds; `None` where it is gone.
pub fn cpu_s(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may have blanks: fields are counted behind its bracket.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = |field: Option<&str>| field?.parse::<f64>().ok();
    Some((ticks(fields.next())? + ticks(fields.next())?) / TICKS_PER_S)
}

/// A line of /proc/PID/status in bytes: `VmRSS:` or `VmHWM:`.
pub fn memory_bytes(pid: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    found.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Stands between a program and its clock; Debian's package `libfaketime`.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// A port that was free a moment ago.
pub fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address")
}

/// A collector that was started here. Ends when it is dropped.
#[derive(Debug)]
pub struct Collector {
    binary: PathBuf,
    dir: PathBuf,
    extra: Vec<String>,
    cores: Vec<usize>,
    /// Says how far its clock is off, where that can be changed.
    clock: Option<PathBuf>,
    child: Option<Child>,
    /// Beacons.
    pub public: SocketAddr,
    /// Metrics.
    pub admin: SocketAddr,
}

impl Collector {
    /// Starts `binary` on `dir`, with the same ports for as long as it lives. `cores`: where it is to run, empty: anywhere.
    pub fn start(binary: &Path, dir: &Path, extra: &[String], cores: &[usize]) -> Result<Self, String> {
        let mut collector = Self::new(binary, dir, extra, cores);
        collector.start_again()?;
        Ok(collector)
    }

    /// The same with a clock that can jump, where libfaketime is installed.
    pub fn start_with_clock(binary: &Path, dir: &Path, extra: &[String]) -> Result<Self, String> {
        let mut collector = Self::new(binary, dir, extra, &[]);
        if Path::new(FAKETIME).exists() {
            collector.clock = Some(dir.join("clock"));
            collector.set_clock_s(0)?;
        }
        collector.start_again()?;
        Ok(collector)
    }

    fn new(binary: &Path, dir: &Path, extra: &[String], cores: &[usize]) -> Self {
        Self {
            binary: binary.to_owned(),
            dir: dir.to_owned(),
            extra: extra.to_vec(),
            cores: cores.to_vec(),
            clock: None,
            child: None,
            public: free_port(),
            admin: free_port(),
        }
    }

    /// Whether its clock can be changed.
    pub fn has_clock(&self) -> bool {
        self.clock.is_some()
    }

    /// Sets its clock so many seconds ahead of the machine's; it looks once a second.
    pub fn set_clock_s(&self, ahead: i64) -> Result<(), String> {
        let Some(clock) = &self.clock else { return Ok(()) };
        std::fs::write(clock, format!("{ahead:+}\n")).map_err(|error| error.to_string())
    }

    /// Where its data lies.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("collector.log")
    }

    /// Starts it where it is not running, and waits for its ready line.
    pub fn start_again(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log());
        // From its first moment, so that it sees as many cores as it has.
        let before = sched_getaffinity(None).map_err(|error| error.to_string())?;
        if !self.cores.is_empty() {
            pin(0, &self.cores)?;
        }
        let mut command = Command::new(&self.binary);
        if let Some(clock) = &self.clock {
            command
                .env("LD_PRELOAD", FAKETIME)
                .env("FAKETIME_TIMESTAMP_FILE", clock)
                .env("FAKETIME_CACHE_DURATION", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let child = command
            .args(["serve", "--listen", &self.public.to_string(), "--admin-listen", &self.admin.to_string()])
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(&self.extra)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.map_err(|error| error.to_string())?)
            .spawn();
        sched_setaffinity(None, &before).map_err(|error| error.to_string())?;
        let mut child = child.map_err(|error| format!("{}: {error}", self.binary.display()))?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            // Read on after the ready line, so that the collector never writes to a closed pipe.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        self.child = Some(child);
        while begun.elapsed() < START_MAX {
            match told.recv_timeout(Duration::from_millis(50)) {
                Ok(line) if line.contains("is ready") => return Ok(()),
                Ok(_) => {}
                Err(_) => {
                    let child = self.child.as_mut().ok_or("it is gone")?;
                    if let Ok(Some(status)) = child.try_wait() {
                        return Err(format!("the collector ended: {status}; see {}", self.log().display()));
                    }
                }
            }
        }
        Err(format!("the collector was not ready within {START_MAX:?}"))
    }

    /// Process id; 0 while it is down.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Process id of the embedded engine, where there is one.
    pub fn engine_pid(&self) -> Option<u32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).ok()?;
        tasks.flatten().find_map(|task| {
            let children = std::fs::read_to_string(task.path().join("children")).ok()?;
            children.split_whitespace().next()?.parse().ok()
        })
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Runs a query against its store.
    pub fn sql(&self, query: &str) -> Result<String, String> {
        sql(&self.binary, &self.data_dir(), &self.extra, query)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a query with `consentry sql`.
pub fn sql(binary: &Path, data_dir: &Path, extra: &[String], query: &str) -> Result<String, String> {
    let output = Command::new(binary)
        .args(["sql", query, "--data-dir"])
        .arg(data_dir)
        .args(extra)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{query}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Asks the admin address for a page.
pub async fn get(from: SocketAddr, path: &str) -> std::io::Result<String> {
    let asked = async {
        let mut stream = tokio::net::TcpStream::connect(from).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {from}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    tokio::time::timeout(Duration::from_secs(5), asked).await?
}

/// A metric without labels, or the sum over all labels.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    let mut found = None;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(name) else { continue };
        if !rest.starts_with([' ', '{']) {
            continue;
        }
        if let Some(value) = rest.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()) {
            *found.get_or_insert(0.0) += value;
        }
    }
    found
}

/// The bound of the bucket that the 99th percentile of all answers lies in, in milliseconds.
pub fn own_p99_ms(text: &str) -> Option<f64> {
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("consentry_request_seconds_bucket{") else { continue };
        let bound = rest.split("le=\"").nth(1)?.split('"').next()?;
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
        let count: f64 = rest.rsplit(' ').next()?.parse().ok()?;
        match buckets.iter_mut().find(|bucket| bucket.0 == bound) {
            Some(bucket) => bucket.1 += count,
            None => buckets.push((bound, count)),
        }
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all = buckets.last()?.1;
    buckets.iter().find(|bucket| all > 0.0 && bucket.1 >= all * 0.99).map(|bucket| bucket.0 * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read() {
        let text = "# HELP a b\na 3\na_total 9\nb{x=\"y z\"} 1\nb{x=\"w\"} 2.5\n";
        assert_eq!((metric(text, "a"), metric(text, "b"), metric(text, "c")), (Some(3.0), Some(3.5), None));
    }

    #[test]
    fn the_bucket_of_the_99th_percentile_is_found_over_all_routes() {
        let bucket = |route: &str, le: &str, count: u32| {
            format!("consentry_request_seconds_bucket{{le=\"{le}\",route=\"{route}\"}} {count}\n")
        };
        let text = [bucket("a", "0.5", 98), bucket("a", "1.0", 100), bucket("a", "+Inf", 100)].concat();
        assert_eq!(own_p99_ms(&text), Some(1000.0));
        let more = [bucket("b", "0.5", 100), bucket("b", "1.0", 100), bucket("b", "+Inf", 100)].concat();
        assert_eq!(own_p99_ms(&(text + &more)), Some(500.0));
        assert_eq!(own_p99_ms(""), None);
    }

    #[test]
    fn this_process_has_used_the_cpu_and_memory() {
        assert!(cpu_s(std::process::id()).is_some());
        assert!(memory_bytes(std::process::id(), "VmRSS:") > 0);
    }
}
