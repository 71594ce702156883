//! A place to try a load: a collector on a directory that goes away, with or without a breakable store behind it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::collector::{self, Collector};
use crate::proxy::{Access, Mode, Proxy};
use crate::scenario::{Fault, FaultKind};
use crate::verdict::Stored;

/// The spool has to be empty within this time after a load.
const SETTLE_MAX: Duration = Duration::from_secs(180);
/// How far a clock jumps, in seconds, and how long it takes until the collector has seen it.
const CLOCK_JUMP_S: i64 = 3_600;
const CLOCK_LOOK: Duration = Duration::from_secs(1);
/// Size of the disk that is filled up.
const SMALL_DISK_BYTES: u64 = 192 << 20;

/// Who is under load, and what can be broken about it.
#[derive(Debug, Clone)]
pub struct Bench {
    /// The collector under load.
    pub collector: Arc<Mutex<Collector>>,
    /// Runs the store, where the store is to be broken in ways of its own.
    host: Option<Arc<Mutex<Collector>>>,
    /// What stands between the collector and its store, where something does.
    pub proxy: Option<Proxy>,
    /// Keeps the directory; first the processes end.
    dir: Arc<Dir>,
}

/// A directory that is unmounted and removed.
#[derive(Debug)]
struct Dir {
    dir: tempfile::TempDir,
    mounted: Option<PathBuf>,
}

impl Drop for Dir {
    fn drop(&mut self) {
        if let Some(path) = &self.mounted {
            let _ = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

fn locked(collector: &Mutex<Collector>) -> std::sync::MutexGuard<'_, Collector> {
    collector.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bench {
    /// A collector with its embedded engine.
    pub fn plain(binary: &Path, extra: &[String], cores: &[usize]) -> Result<Self, String> {
        Self::configured(binary, extra, cores, None)
    }

    /// The same with a configuration of its own.
    pub fn configured(
        binary: &Path,
        extra: &[String],
        cores: &[usize],
        config: Option<&toml::Table>,
    ) -> Result<Self, String> {
        let dir = Dir { dir: tempfile::tempdir().map_err(|error| error.to_string())?, mounted: None };
        let mut extra = extra.to_vec();
        if let Some(config) = config {
            let path = dir.dir.path().join("consentry.toml");
            std::fs::write(&path, config.to_string()).map_err(|error| error.to_string())?;
            extra.extend(["--config".to_owned(), path.display().to_string()]);
        }
        let extra = &extra;
        let collector = Collector::start(binary, dir.dir.path(), extra, cores)?;
        Ok(Self { collector: Arc::new(Mutex::new(collector)), host: None, proxy: None, dir: Arc::new(dir) })
    }

    /// A collector whose store is behind a proxy and whose disk is small, as far as this user may make one.
    pub async fn breakable(binary: &Path, extra: &[String]) -> Result<Self, String> {
        let mut dir = Dir { dir: tempfile::tempdir().map_err(|error| error.to_string())?, mounted: None };
        let (of_host, of_collector) = (dir.dir.path().join("store"), dir.dir.path().join("collector"));
        for path in [&of_host, &of_collector] {
            std::fs::create_dir(path).map_err(|error| error.to_string())?;
        }
        if Self::mount(&of_collector).is_ok() {
            dir.mounted = Some(of_collector.clone());
        }
        let (owned, host_dir) = (binary.to_owned(), of_host.clone());
        let host = tokio::task::spawn_blocking(move || Collector::start(&owned, &host_dir, &[], &[]));
        let host = host.await.map_err(|error| error.to_string())??;
        let proxy = Proxy::start(&host.data_dir()).await.map_err(|error| error.to_string())?;
        let access = Access::read(&host.data_dir()).ok_or("the engine has not said where it listens")?;
        let mut extra = extra.to_vec();
        extra.extend(["--clickhouse-url".to_owned(), access.url(proxy.address)]);
        let owned = binary.to_owned();
        let collector =
            tokio::task::spawn_blocking(move || Collector::start_with_clock(&owned, &of_collector, &extra));
        let collector = collector.await.map_err(|error| error.to_string())??;
        Ok(Self {
            collector: Arc::new(Mutex::new(collector)),
            host: Some(Arc::new(Mutex::new(host))),
            proxy: Some(proxy),
            dir: Arc::new(dir),
        })
    }

    fn mount(at: &Path) -> rustix::io::Result<()> {
        let size = std::ffi::CString::new(format!("size={SMALL_DISK_BYTES}")).expect("digits");
        rustix::mount::mount("tmpfs", at, "tmpfs", rustix::mount::MountFlags::empty(), Some(size.as_c_str()))
    }

    /// Whether a kind of fault can be made here; else why not.
    pub fn can(&self, kind: FaultKind) -> Result<(), &'static str> {
        match kind {
            FaultKind::ClockJump if !locked(&self.collector).has_clock() => {
                Err("libfaketime is not installed")
            }
            FaultKind::DiskFull if self.dir.mounted.is_none() => {
                Err("a small disk is a tmpfs, which only root may mount")
            }
            FaultKind::StoreError
            | FaultKind::StoreHang
            | FaultKind::StoreCut
            | FaultKind::StoreLost
            | FaultKind::StoreLostKill
                if self.proxy.is_none() =>
            {
                Err("there is no proxy in front of the embedded engine; use `chaos`")
            }
            _ => Ok(()),
        }
    }

    fn engine_pid(&self) -> Option<u32> {
        match &self.host {
            Some(host) => locked(host).engine_pid(),
            None => locked(&self.collector).engine_pid(),
        }
    }

    /// Makes a fault and, where it lasts, ends it. Blocks.
    pub fn break_it(&self, fault: Fault) -> Result<(), String> {
        let lasts = Duration::from_secs_f64(fault.seconds);
        let store = |mode: Mode| {
            if let Some(proxy) = &self.proxy {
                proxy.set(mode);
                std::thread::sleep(lasts);
                proxy.set(Mode::Pass);
            }
            Ok(())
        };
        match fault.kind {
            FaultKind::KillCollector => self.kill_collector(|_| Ok(())),
            FaultKind::KillEngine => {
                self.engine_pid().into_iter().for_each(|pid| collector::signal(pid, Signal::KILL));
                Ok(())
            }
            FaultKind::KillBoth => {
                self.engine_pid().into_iter().for_each(|pid| collector::signal(pid, Signal::KILL));
                self.kill_collector(|_| Ok(()))
            }
            FaultKind::StopEngine => {
                let pid = self.engine_pid();
                pid.into_iter().for_each(|pid| collector::signal(pid, Signal::STOP));
                std::thread::sleep(lasts);
                pid.into_iter().for_each(|pid| collector::signal(pid, Signal::CONT));
                Ok(())
            }
            FaultKind::StoreError => store(Mode::Error),
            FaultKind::StoreHang => store(Mode::Hang),
            FaultKind::StoreCut => store(Mode::Cut),
            FaultKind::StoreLost => store(Mode::Lost),
            FaultKind::StoreLostKill => {
                let Some(proxy) = &self.proxy else { return Ok(()) };
                proxy.set(Mode::LostThenKill);
                let begun = Instant::now();
                while proxy.mode() == Mode::LostThenKill && begun.elapsed() < Duration::from_secs(30) {
                    std::thread::sleep(Duration::from_millis(20));
                }
                proxy.set(Mode::Pass);
                Ok(())
            }
            FaultKind::DiskFull => self.fill_disk(lasts),
            FaultKind::TornTail => self.kill_collector(tear),
            FaultKind::ClockJump => {
                // Which way it goes comes with how long: both are drawn by the same seed.
                let ahead = if fault.seconds.to_bits() & 1 == 0 { CLOCK_JUMP_S } else { -CLOCK_JUMP_S };
                locked(&self.collector).set_clock_s(ahead)?;
                std::thread::sleep(lasts + CLOCK_LOOK);
                locked(&self.collector).set_clock_s(0)
            }
        }
    }

    fn kill_collector(&self, between: fn(&Path) -> std::io::Result<()>) -> Result<(), String> {
        let mut collector = locked(&self.collector);
        collector.kill();
        between(&collector.data_dir().join("spool")).map_err(|error| error.to_string())?;
        collector.start_again()
    }

    fn fill_disk(&self, lasts: Duration) -> Result<(), String> {
        use std::io::Write;
        let Some(disk) = &self.dir.mounted else { return Ok(()) };
        let path = disk.join("filler");
        let begun = Instant::now();
        let block = vec![0; 1 << 20];
        let mut file = std::fs::File::create(&path).map_err(|error| error.to_string())?;
        // Whatever room comes back meanwhile is taken too.
        while begun.elapsed() < lasts {
            let mut size = block.len();
            while size > 0 {
                match file.write(&block[..size]) {
                    Ok(0) | Err(_) => size /= 2,
                    Ok(_) => {}
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        std::fs::remove_file(path).map_err(|error| error.to_string())
    }

    /// Waits until nothing is in the spool, and counts what the store holds.
    pub async fn settled(&self) -> Result<Stored, String> {
        let admin = locked(&self.collector).admin;
        let begun = Instant::now();
        loop {
            let text = collector::get(admin, "/metrics").await.unwrap_or_default();
            let spooled = collector::metric(&text, "consentry_spooled_events");
            if spooled == Some(0.0) && collector::metric(&text, "consentry_spool_bytes") == Some(0.0) {
                break;
            }
            if begun.elapsed() > SETTLE_MAX {
                return Err(format!("the spool is not empty after {SETTLE_MAX:?}: {spooled:?} events"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // The books of the last minute go with the last segment.
        let of_store = self.host.clone().unwrap_or_else(|| self.collector.clone());
        let line = tokio::task::spawn_blocking(move || locked(&of_store).sql(Stored::QUERY));
        let line = line.await.map_err(|error| error.to_string())??;
        Stored::parse(&line).ok_or_else(|| format!("the store's figures cannot be read: {line}"))
    }

    /// Process id of the collector under load, where a blocked fault does not hold it.
    pub fn pid(&self) -> u32 {
        self.collector.try_lock().map_or(0, |collector| collector.pid())
    }

    /// The last lines of the collector's log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(locked(&self.collector).log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// Bytes behind the last whole record of the segment that was being written, as a write leaves them that a crash cut.
fn tear(spool: &Path) -> std::io::Result<()> {
    use std::io::Write;
    for entry in std::fs::read_dir(spool)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "open") {
            let mut file = std::fs::OpenOptions::new().append(true).open(path)?;
            file.write_all(b"CREC\x40\x01\x00\x00torn in the middle")?;
        }
    }
    Ok(())
}
