//! How far from a bare HTTP server is the collector? Each server on one core, the load on another, in turn, so that a
//! machine that is now faster and now slower tells the same ratio.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use clap::Args;

use crate::bench::Bench;
use crate::collector::{free_port, pin};
use crate::run::{Target, run};
use crate::scenario::{Scenario, Step, Traffic};

/// What `compare` measures.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The collector's program; absent: the one beside this one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Events a request.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Connections.
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// Rounds; each measures every server once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// The core of the servers.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core of the load and of the engine.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Arguments for the collector.
    #[arg(last = true)]
    extra: Vec<String>,
}

/// A reference server; ends when it is dropped.
struct Reference(Child, SocketAddr);

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn reference(kind: &str, core: usize) -> Result<Reference, String> {
    let listen = free_port();
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(own)
        .args(["reference", kind, "--listen", &listen.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    pin(child.id(), &[core])?;
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(Reference(child, listen))
}

/// Figures of one server, one a round.
#[derive(Default)]
struct Figures {
    name: &'static str,
    requests_per_s: Vec<f64>,
    cpu_us: Vec<f64>,
    p99_ms: Vec<f64>,
}

fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => (f64::NAN, f64::NAN, f64::NAN),
        length => (sorted[0], sorted[length / 2], sorted[length - 1]),
    }
}

/// Measures and prints.
pub async fn compare(options: Options) -> Result<bool, String> {
    let traffic = Traffic {
        batch: vec![(options.batch, 1)],
        consent_yes_pct: 100,
        consent_no_pct: 0,
        bad_events_pct: 0,
        gzip_pct: 0,
        ..Traffic::default()
    };
    let scenario = Scenario {
        name: "compare".into(),
        connections: options.connections,
        seed: 1,
        step: vec![Step { seconds: options.seconds, requests_per_s: None }],
        traffic,
        ..Scenario::default()
    };
    let bare = reference("bare", options.server_core)?;
    let parse = reference("parse", options.server_core)?;
    let bench =
        Bench::plain(&crate::program(options.binary.clone())?, &options.extra, &[options.server_core])?;
    let ours = Target::of(bench.clone());
    if let Some(engine) =
        bench.collector.lock().unwrap_or_else(std::sync::PoisonError::into_inner).engine_pid()
    {
        pin(engine, &[options.load_core])?;
    }
    pin(0, &[options.load_core])?;
    let of_reference =
        |server: &Reference| Target { public: server.1, admin: None, pid: server.0.id(), bench: None };
    let targets = [
        ("hyper", of_reference(&bare)),
        ("hyper and parse", of_reference(&parse)),
        // Not settled after each round: shipping goes on as it would.
        ("consentry", Target { bench: None, ..ours }),
    ];
    let mut figures = targets.each_ref().map(|(name, _)| Figures { name, ..Figures::default() });
    for round in 0..=options.rounds {
        for ((_, target), figures) in targets.iter().zip(&mut figures) {
            let record = run(&Scenario { seed: round as u64, ..scenario.clone() }, target, true).await?;
            // The first round warms up.
            if round == 0 {
                continue;
            }
            let other = record.totals.by_status.iter().filter(|(status, _)| !matches!(status, 202 | 204));
            let other: u64 = other.map(|(_, count)| count).sum();
            if other > 0 || record.totals.unanswered > 0 {
                eprintln!(
                    "{}: {other} answers are refusals, {} events without an answer",
                    figures.name, record.totals.unanswered
                );
            }
            figures.requests_per_s.push(record.requests as f64 / record.seconds);
            let events = options.batch.max(1) as f64;
            figures.cpu_us.push(record.cpu_us_per_event.unwrap_or(f64::NAN) * events);
            figures.p99_ms.push(record.latency_ms.p99);
        }
        if round > 0 {
            eprintln!("round {round} of {}", options.rounds);
        }
    }
    print(&options, &figures);
    Ok(true)
}

fn print(options: &Options, figures: &[Figures; 3]) {
    println!(
        "{} events a request, {} connections, {} rounds of {} s, one core for the server (minimum, median, maximum)",
        options.batch, options.connections, options.rounds, options.seconds
    );
    println!("{:<18} {:>27} {:>21} {:>21}", "", "requests/s", "CPU us a request", "p99 ms");
    for one in figures {
        let (rates, cpu, p99) = (spread(&one.requests_per_s), spread(&one.cpu_us), spread(&one.p99_ms));
        println!(
            "{:<18} {:>8.0} {:>8.0} {:>8.0}   {:>6.2} {:>6.2} {:>6.2} {:>7.2} {:>6.2} {:>6.2}",
            one.name, rates.0, rates.1, rates.2, cpu.0, cpu.1, cpu.2, p99.0, p99.1, p99.2
        );
    }
    let [bare, parse, ours] = figures;
    for (name, other) in [("hyper", bare), ("hyper and parse", parse)] {
        // Of the same round: what both have met is the same.
        let ratios = |ours: &[f64], other: &[f64]| {
            spread(&ours.iter().zip(other).map(|(ours, other)| ours / other).collect::<Vec<_>>())
        };
        let (rate, cpu) =
            (ratios(&ours.requests_per_s, &other.requests_per_s), ratios(&ours.cpu_us, &other.cpu_us));
        println!(
            "consentry / {name}: requests/s {:.2} {:.2} {:.2}; CPU a request {:.2} {:.2} {:.2}",
            rate.0, rate.1, rate.2, cpu.0, cpu.1, cpu.2
        );
    }
    println!(
        "consentry: {:.0} events/s in the median",
        spread(&ours.requests_per_s).1 * options.batch as f64
    );
}
