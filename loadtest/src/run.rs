//! One load against one collector: progress while it runs, figures and a verdict at its end.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::attack::{self, Attacked, Siege};
use crate::bench::Bench;
use crate::collector;
use crate::drive::{Load, Sample, Totals};
use crate::scenario::{Fault, Scenario};
use crate::verdict::{Finding, Stored, judge};

/// Latencies of a run, in milliseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Latency {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// All that is known of a run, as it is written to its file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// What was run.
    pub scenario: Scenario,
    /// Seconds since 1970 when it began.
    pub began_s: u64,
    /// How long it took.
    pub seconds: f64,
    /// What was sent and answered.
    pub totals: Totals,
    /// Requests answered.
    pub requests: u64,
    /// Latencies.
    pub latency_ms: Latency,
    /// Latencies by their upper bound in microseconds, with how many there were.
    pub histogram: Vec<(u64, u64)>,
    /// Second by second.
    pub samples: Vec<Sample>,
    /// Faults: when they began and ended, and what they were.
    pub faults: Vec<(f64, f64, String)>,
    /// Microseconds of CPU of the collector for an event that was sent; absent: it was started again, or is not ours.
    pub cpu_us_per_event: Option<f64>,
    /// The most memory that the collector had, in bytes.
    pub memory_bytes_peak: u64,
    /// What the store holds.
    pub stored: Option<Stored>,
    /// Cores that the collector kept busy on average; absent as above.
    #[serde(default)]
    pub cores: Option<f64>,
    /// What the collector itself measured of all requests: no more than 1 of 100 took longer, in milliseconds.
    #[serde(default)]
    pub own_p99_ms: Option<f64>,
    /// What became of the attack, where there was one.
    #[serde(default)]
    pub attacked: Option<Attacked>,
    /// The verdict.
    pub findings: Vec<Finding>,
}

/// Where a load goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// Beacons.
    pub public: SocketAddr,
    /// Metrics, where they can be asked for.
    pub admin: Option<SocketAddr>,
    /// Process id; 0: unknown.
    pub pid: u32,
    /// What can be broken and asked; `None`: a collector that somebody else runs.
    pub bench: Option<Bench>,
}

/// Runs a scenario to its end.
pub async fn run(scenario: &Scenario, target: &Target, quiet: bool) -> Result<Record, String> {
    if let Some(fault) = scenario.fault.first()
        && target.bench.is_none()
    {
        return Err(format!(
            "{}: faults are made in a collector that was started here alone",
            fault.kind.word()
        ));
    }
    for fault in &scenario.fault {
        if let Some(Err(reason)) = target.bench.as_ref().map(|bench| bench.can(fault.kind)) {
            return Err(format!("{}: {reason}", fault.kind.word()));
        }
    }
    let began_s = crate::drive::now_ms() / 1000;
    let begun = Instant::now();
    let cpu_before = collector::cpu_s(target.pid);
    let run = began_s << 20 ^ u64::from(std::process::id());
    let load = Load::new(scenario, target.public, run, begun);
    let siege = scenario.attack.map(|attack| {
        open_many_files();
        Siege::lay(attack, target.public, &scenario.traffic.site, run)
    });
    let samples = Rc::new(RefCell::new(Vec::new()));
    let local = tokio::task::LocalSet::new();
    let watch = local.spawn_local(sample(load.clone(), target.clone(), samples.clone(), begun, quiet));
    let faults =
        target.bench.clone().map(|bench| local.spawn_local(break_all(bench, scenario.fault.clone(), begun)));
    local.run_until(load.run()).await;
    let seconds = begun.elapsed().as_secs_f64();
    let own_p99_ms = match target.admin {
        Some(admin) => collector::own_p99_ms(&collector::get(admin, "/metrics").await.unwrap_or_default()),
        None => None,
    };
    let attacked = match siege {
        Some(siege) => {
            let lifted = tokio::task::spawn_blocking(move || siege.lift()).await;
            Some(lifted.map_err(|error| error.to_string())??)
        }
        None => None,
    };
    let faults = match faults {
        Some(faults) => local.run_until(faults).await.map_err(|error| error.to_string())??,
        None => Vec::new(),
    };
    watch.abort();
    if !quiet {
        eprintln!();
    }
    let same = target.bench.as_ref().is_none_or(|bench| bench.pid() == target.pid);
    let cpu =
        cpu_before.zip(collector::cpu_s(target.pid)).map(|(before, after)| after - before).filter(|_| same);
    let memory_bytes_peak =
        collector::memory_bytes(target.bench.as_ref().map_or(target.pid, Bench::pid), "VmHWM:");
    let stored = match &target.bench {
        Some(bench) => {
            Some(bench.settled().await.map_err(|reason| format!("{reason}\n{}", bench.log_tail()))?)
        }
        None => None,
    };
    let gathered = load.gathered.borrow();
    let of = &gathered.latencies;
    let ms = |us: u64| us as f64 / 1000.0;
    let latency_ms = Latency {
        mean: of.mean() / 1000.0,
        p50: ms(of.value_at_quantile(0.5)),
        p90: ms(of.value_at_quantile(0.9)),
        p99: ms(of.value_at_quantile(0.99)),
        p999: ms(of.value_at_quantile(0.999)),
        max: ms(of.max()),
    };
    let all =
        attacked.as_ref().map_or_else(|| gathered.totals.clone(), |attacked| attacked.with(&gathered.totals));
    let mut findings = judge(&all, stored.as_ref());
    if let Some((attacked, attack)) = attacked.as_ref().zip(scenario.attack.as_ref()) {
        findings.extend(attacked.judge(attack));
    }
    if let Some(bound) = &scenario.bound {
        let p99_ms = latency_ms.p99;
        findings.extend(attack::judge_good(bound, &gathered.totals, p99_ms, memory_bytes_peak, same));
    }
    let events = gathered.totals.sent.max(1);
    Ok(Record {
        scenario: scenario.clone(),
        began_s,
        seconds,
        totals: gathered.totals.clone(),
        requests: gathered.requests,
        latency_ms,
        histogram: of.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect(),
        samples: samples.take(),
        faults,
        cores: cpu.filter(|_| target.pid > 0).map(|busy| busy / seconds),
        own_p99_ms,
        attacked,
        cpu_us_per_event: cpu.filter(|_| target.pid > 0).map(|seconds| seconds * 1e6 / events as f64),
        memory_bytes_peak,
        stored,
        findings,
    })
}

/// An attacker has many connections open.
fn open_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Makes the faults of a scenario, each at its time; one that lasts does not hold up the next.
async fn break_all(
    bench: Bench,
    faults: Vec<Fault>,
    begun: Instant,
) -> Result<Vec<(f64, f64, String)>, String> {
    let mut making = Vec::new();
    for fault in faults {
        let bench = bench.clone();
        making.push(tokio::spawn(async move {
            tokio::time::sleep_until((begun + Duration::from_secs_f64(fault.at_s)).into()).await;
            let from = begun.elapsed().as_secs_f64();
            let made = tokio::task::spawn_blocking(move || bench.break_it(fault)).await;
            made.map_err(|error| error.to_string())??;
            Ok::<_, String>((from, begun.elapsed().as_secs_f64(), fault.kind.word().to_owned()))
        }));
    }
    let mut made = Vec::new();
    for fault in making {
        made.push(fault.await.map_err(|error| error.to_string())??);
    }
    Ok(made)
}

/// Looks once a second, and says how it goes.
async fn sample(load: Load, target: Target, samples: Rc<RefCell<Vec<Sample>>>, begun: Instant, quiet: bool) {
    let live = std::io::stderr().is_terminal();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut before = 0;
    loop {
        ticks.tick().await;
        let metrics = match target.admin {
            Some(admin) => collector::get(admin, "/metrics").await.unwrap_or_default(),
            None => String::new(),
        };
        let metric = |name: &str| collector::metric(&metrics, name).unwrap_or(0.0) as u64;
        let pid = target.bench.as_ref().map_or(target.pid, Bench::pid);
        let sample = {
            let mut gathered = load.gathered.borrow_mut();
            let totals = &gathered.totals;
            Sample {
                at_s: begun.elapsed().as_secs_f64(),
                requests: gathered.requests,
                accepted: totals.accepted + totals.duplicates,
                refused: totals.refused + totals.unanswered,
                slowest_us: std::mem::take(&mut gathered.slowest_us),
                spooled: metric("consentry_spooled_events"),
                spool_bytes: metric("consentry_spool_bytes"),
                memory_bytes: collector::memory_bytes(pid, "VmRSS:"),
            }
        };
        let seconds = sample.at_s.round() as u64;
        if !quiet && (live || seconds.is_multiple_of(10)) {
            let line = format!(
                "{seconds:>5} s  {:>7} requests/s  {:>10} kept  {:>7} refused  slowest {:>8.1} ms  in the spool {:>8}",
                sample.requests - before,
                sample.accepted,
                sample.refused,
                sample.slowest_us as f64 / 1000.0,
                sample.spooled
            );
            if live { eprint!("\r{line}") } else { eprintln!("{line}") }
        }
        before = sample.requests;
        samples.borrow_mut().push(sample);
    }
}

impl Record {
    /// Prints the figures and the verdict; true where it holds.
    pub fn print(&self) -> bool {
        let latency = &self.latency_ms;
        println!(
            "{}: {} requests with {} events in {:.1} s: {:.0} requests/s, {:.0} events/s",
            self.scenario.name,
            self.requests,
            self.totals.sent,
            self.seconds,
            self.requests as f64 / self.seconds,
            self.totals.sent as f64 / self.seconds
        );
        let statuses: Vec<String> =
            self.totals.by_status.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        println!("  answers {}; sent again {}", statuses.join(", "), self.totals.resent);
        println!(
            "  latency from when it was due, ms: mean {:.2}, p50 {:.2}, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.1}",
            latency.mean, latency.p50, latency.p90, latency.p99, latency.p999, latency.max
        );
        if let Some(cores) = self.cores {
            println!("  collector: {cores:.2} cores busy on average");
        }
        // Of attackers' requests it is no measure: they are events too.
        if let Some(cpu) = self.cpu_us_per_event.filter(|_| self.attacked.is_none()) {
            println!("  collector: {cpu:.2} us of CPU an event");
        }
        // Slow bodies are among an attack's, and take as long as they are let.
        if let Some(p99) = self.own_p99_ms.filter(|_| self.attacked.is_none()) {
            println!(
                "  collector: 99 of 100 of all its requests answered within {p99:.2} ms of their headers"
            );
        }
        println!("  collector: {:.0} MB of memory at most", self.memory_bytes_peak as f64 / 1e6);
        for (from, to, kind) in &self.faults {
            println!("  fault from {from:.1} s to {to:.1} s: {kind}");
        }
        crate::verdict::print(&self.findings)
    }

    /// Writes it where `report` finds it.
    pub fn save(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Reads it back.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}
