//! Faults drawn by lot, under load, again and again: after each run every event has to be there once.

use std::path::PathBuf;

use clap::Args;

use crate::bench::Bench;
use crate::run::{Target, run};
use crate::scenario::{Fault, FaultKind, Scenario, Step, Traffic};

/// Faults of one run.
const FAULTS: usize = 4;

/// What `chaos` does.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The collector's program; absent: the one beside this one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// The first seed. A run that failed is run again with its seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// Seconds of load with each.
    #[arg(long, default_value_t = 15.0)]
    seconds: f64,
    /// Requests a second.
    #[arg(long, default_value_t = 300.0)]
    requests_per_s: f64,
    /// Only these kinds of faults.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Keep each run's record in this directory, for `report`.
    #[arg(long)]
    records: Option<PathBuf>,
}

/// The run of one seed. Faults of the same thing do not overlap: they come one after the other.
fn scenario(options: &Options, kinds: &[FaultKind], seed: u64) -> Scenario {
    let mut random = fastrand::Rng::with_seed(seed);
    let each = options.seconds / FAULTS as f64;
    let faults = (0..FAULTS).map(|index| {
        let kind = kinds[random.usize(..kinds.len())];
        let at_s = index as f64 * each + 0.2 + random.f64() * each * 0.4;
        Fault { at_s, kind, seconds: (random.f64() * each * 0.6).max(0.2) }
    });
    Scenario {
        name: format!("chaos-{seed}"),
        connections: 32,
        seed,
        step: vec![Step { seconds: options.seconds, requests_per_s: Some(options.requests_per_s) }],
        fault: faults.collect(),
        traffic: Traffic { resend: true, timeout_seconds: 5.0, ..Traffic::default() },
        ..Scenario::default()
    }
}

/// Runs every seed; true where nothing was lost and nothing came twice.
pub async fn chaos(options: Options) -> Result<bool, String> {
    let binary = crate::program(options.binary.clone())?;
    let mut kinds = FaultKind::ALL.to_vec();
    if !options.only.is_empty() {
        kinds.retain(|kind| options.only.iter().any(|word| word == kind.word()));
        if kinds.is_empty() {
            let words: Vec<&str> = FaultKind::ALL.iter().map(|kind| kind.word()).collect();
            return Err(format!("--only: none of {}", words.join(", ")));
        }
    }
    let mut failed = Vec::new();
    let (mut events, mut rows) = (0, 0);
    for seed in options.seed..options.seed + options.seeds {
        // Small segments, so that something is always on its way.
        let extra = Vec::new();
        let bench = Bench::breakable(&binary, &extra).await?;
        let able: Vec<FaultKind> = kinds.iter().copied().filter(|&kind| bench.can(kind).is_ok()).collect();
        for kind in kinds.iter().filter(|kind| !able.contains(kind)) {
            eprintln!(
                "seed {seed}: {} is left out: {}",
                kind.word(),
                bench.can(*kind).err().unwrap_or_default()
            );
        }
        let scenario = scenario(&options, &able, seed);
        let plan: Vec<String> = scenario
            .fault
            .iter()
            .map(|fault| format!("{:.1} s {} {:.1} s", fault.at_s, fault.kind.word(), fault.seconds))
            .collect();
        println!("seed {seed}: {}", plan.join("; "));
        let record = match run(&scenario, &Target::of(bench), true).await {
            Ok(record) => record,
            Err(reason) => {
                println!("  NOT {reason}");
                failed.push(seed);
                continue;
            }
        };
        if let Some(dir) = &options.records {
            std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
            record.save(&dir.join(format!("chaos-{seed}.json")))?;
        }
        println!(
            "  {} events, sent again {}, slowest answer {:.1} s",
            record.totals.sent,
            record.totals.resent,
            record.latency_ms.max / 1000.0
        );
        if !crate::verdict::print(&record.findings) {
            failed.push(seed);
        }
        events += record.totals.sent;
        rows += record.stored.map_or(0, |stored| stored.rows);
    }
    println!(
        "{} seeds, {events} events sent, {rows} rows: {} failed {failed:?}",
        options.seeds,
        failed.len()
    );
    Ok(failed.is_empty())
}
