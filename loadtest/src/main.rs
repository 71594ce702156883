//! Loads for Consentry: as many requests as asked for, at the time asked for, and a verdict on what became of each event.
//!
//! `run` sends a scenario, `find-max` looks for the highest rate with a bound on latency, `compare` measures the
//! collector against bare servers in turn, `chaos` breaks things under load, `drain` empties a full spool, `report` draws a
//! recorded run.

mod attack;
mod bench;
mod chaos;
mod collector;
mod compare;
mod drain;
mod drive;
mod find_max;
mod proxy;
mod reference;
mod report;
mod run;
mod scenario;
mod traffic;
mod verdict;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use bench::Bench;
use run::Target;
use scenario::Scenario;

#[derive(Parser)]
#[command(name = "loadtest", about = "Loads, faults and comparisons for Consentry", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send a scenario and judge what became of every event.
    Run {
        /// A scenario's file, see loadtest/scenarios/.
        scenario: PathBuf,
        #[command(flatten)]
        at: At,
        /// Keep the record for `report` here.
        #[arg(long)]
        record: Option<PathBuf>,
        /// Send at this many requests a second instead.
        #[arg(long)]
        requests_per_s: Option<f64>,
        /// Send for this long instead.
        #[arg(long)]
        seconds: Option<f64>,
        /// Use HTTP/2.
        #[arg(long)]
        http2: bool,
        /// Another seed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Find the highest rate whose 99th percentile stays under a bound, with no request refused.
    FindMax {
        /// Events a request.
        #[arg(long, default_value_t = 1)]
        batch: usize,
        /// Connections.
        #[arg(long, default_value_t = 256)]
        connections: usize,
        /// The bound, in milliseconds.
        #[arg(long, default_value_t = 10.0)]
        p99_ms: f64,
        /// Seconds of each try.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        #[command(flatten)]
        at: At,
    },
    /// Measure a bare server, one that parses, and the collector, in turn, each on one core.
    Compare(compare::Options),
    /// Break the collector, its store and its disk under load, and count what is left.
    Chaos(chaos::Options),
    /// Fill the spool while the store is away, and measure how fast it empties.
    Drain(drain::Options),
    /// Draw a recorded run: one page of HTML, and each plot as SVG.
    Report {
        /// What `run --record` wrote.
        record: PathBuf,
        /// A directory, made where it is not there.
        #[arg(long, default_value = "loadtest-report")]
        out: PathBuf,
    },
    /// One of the servers that `compare` measures against.
    #[command(hide = true)]
    Reference {
        kind: reference::Kind,
        #[arg(long)]
        listen: SocketAddr,
    },
}

/// Which collector.
#[derive(Args, Clone)]
struct At {
    /// The program to start; absent: the one beside this one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// A collector that runs already, HOST:PORT of its beacons, instead of one started here.
    #[arg(long)]
    target: Option<SocketAddr>,
    /// Its admin address.
    #[arg(long, requires = "target")]
    admin: Option<SocketAddr>,
    /// Its process id, for CPU and memory.
    #[arg(long, requires = "target")]
    pid: Option<u32>,
    /// Arguments for a collector started here, such as `--config FILE`.
    #[arg(last = true)]
    extra: Vec<String>,
}

/// The collector's program.
fn program(given: Option<PathBuf>) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = given.unwrap_or_else(|| own.with_file_name("consentry"));
    if path.exists() {
        return Ok(path);
    }
    Err(format!(
        "{} is not there: build it with `cargo build --release`, or name it with --binary",
        path.display()
    ))
}

impl At {
    fn target(&self, config: Option<&toml::Table>) -> Result<Target, String> {
        if let Some(public) = self.target {
            return Ok(Target { public, admin: self.admin, pid: self.pid.unwrap_or(0), bench: None });
        }
        eprintln!("starting a collector");
        Ok(Target::of(Bench::configured(&program(self.binary.clone())?, &self.extra, &[], config)?))
    }
}

impl Target {
    /// A collector that was started here.
    fn of(bench: Bench) -> Self {
        let (public, admin, pid) = {
            let collector = bench.collector.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            (collector.public, collector.admin, collector.pid())
        };
        Self { public, admin: Some(admin), pid, bench: Some(bench) }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(carry_out(cli.command)));
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("loadtest: {reason}");
            ExitCode::from(2)
        }
    }
}

async fn carry_out(command: Command) -> Result<bool, String> {
    match command {
        Command::Run { scenario, at, record, requests_per_s, seconds, http2, seed } => {
            let mut scenario = Scenario::load(&scenario)?;
            for step in &mut scenario.step {
                step.requests_per_s = requests_per_s.or(step.requests_per_s);
            }
            if let Some(seconds) = seconds {
                scenario.step.truncate(1);
                scenario.step[0].seconds = seconds;
            }
            scenario.traffic.http2 |= http2;
            scenario.seed = seed.unwrap_or(scenario.seed);
            let ran = run::run(&scenario, &at.target(scenario.collector.as_ref())?, false).await?;
            if let Some(path) = record {
                ran.save(&path)?;
                println!("recorded in {}; draw it with `loadtest report {0}`", path.display());
            }
            Ok(ran.print())
        }
        Command::FindMax { batch, connections, p99_ms, seconds, at } => {
            find_max::find_max(&at.target(None)?, batch, connections, p99_ms, seconds).await
        }
        Command::Compare(options) => compare::compare(options).await,
        Command::Drain(options) => drain::drain(options).await,
        Command::Chaos(options) => chaos::chaos(options).await,
        Command::Report { record, out } => {
            let page = report::report(&run::Record::load(&record)?, &out)?;
            println!("{}", page.display());
            Ok(true)
        }
        Command::Reference { kind, listen } => reference::serve(kind, listen).await.map(|()| true),
    }
}
