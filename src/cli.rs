//! The command line. Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration.

mod args;
mod health;
mod print;
mod serve;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use args::{ConfigArgs, HealthArgs, Print, ServeArgs, sources};

use crate::audit::{self, AuditError};
use crate::config::{Config, ConfigError};
use crate::policy;
use crate::server::{self, Listen, listen};
use crate::store::engine::{self, Engine, Program};
use crate::store::{self, External, Source, Target};
use crate::tally::command::{self as stats, StatsArgs};
use crate::telemetry;
use crate::withdraw::command::{self as subject, SubjectArgs};

/// What `--version` says: the version, and the commit that the program was built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CONSENTRY_COMMIT"), ")");

/// Consentry: a consent-gated, de-identifying analytics collector in front of ClickHouse.
#[derive(Debug, Parser)]
#[command(version = VERSION, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take beacons (the default command).
    Serve(ServeArgs),
    /// Read the configuration and say what it means, or what is wrong with it, line by line.
    CheckConfig(ConfigArgs),
    /// Print a configuration: a sample of every key, what is in effect, or the schema for an editor.
    Config {
        /// What to print.
        #[command(flatten)]
        what: Print,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Ask a running collector how it is: exit code 0 where it answers that it is well. For a container's health check.
    Health(HealthArgs),
    /// Bring the store's schema to this version.
    Migrate(ConfigArgs),
    /// Print what is collected, why, in which form and for how long, from the code and the configuration.
    Policy {
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: policy::Format,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Check the journal of salts line by line and print what became of each salt.
    Receipts(ConfigArgs),
    /// Send canary identifiers through a running collector, search all that it keeps for them, and print a report.
    Audit(AuditArgs),
    /// Ask a running collector to export, erase, withdraw or restrict the rows of whoever holds a token.
    Subject(SubjectArgs),
    /// Ask a running collector for figures: pages, sources, days, events, a funnel and more, as a table, JSON or CSV.
    Stats(StatsArgs),
    /// Show of each request that comes in which hop supplied the client's address. Nothing is stored.
    ProxyDoctor {
        /// Where to listen; absent: where beacons are taken.
        #[arg(long, value_name = "ADDR")]
        listen: Option<Listen>,
        /// End after so many requests; 0: at Ctrl-C.
        #[arg(long, value_name = "N", default_value_t = 0)]
        count: usize,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Run one query as admin and print the answer, TabSeparated unless the query names a FORMAT.
    Sql {
        /// The query.
        query: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

#[derive(Debug, Args, Clone, Default)]
struct AuditArgs {
    #[command(flatten)]
    options: audit::Options,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t)]
    format: audit::Format,
    /// Print the canaries and do nothing else.
    #[arg(long)]
    list: bool,
    /// Write the report to a file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Why a command ended, in one line with the way out.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    fn of(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::from(1),
        }
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    // The engine is this program again: it has to be a child that dies with us, and loads a library that nothing
    // else of us should share a process with.
    if args.get(1).is_some_and(|first| first == engine::SUBCOMMAND) {
        let status = engine::child_main(args[2..].to_vec());
        return ExitCode::from(u8::try_from(status).unwrap_or(1));
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    telemetry::quiet_panics();
    telemetry::init_logging();
    let done = match cli.command {
        // Gives rights up before it has a second thread.
        None => serve::serve(&cli.serve),
        Some(Command::Serve(args)) => serve::serve(&args),
        Some(command) => in_runtime(carry_out(command)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("consentry: {failure}");
            failure.exit_code()
        }
    }
}

fn in_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::of(format!("cannot start: {error}")))?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}

async fn carry_out(command: Command) -> Result<(), Failure> {
    match command {
        // Not from within a runtime: see `main`.
        Command::Serve(_) => Err(Failure::of("serve begins before its runtime")),
        Command::CheckConfig(args) => print::check_config(&args),
        Command::Config { what, config } => print::print_config(what, &config),
        Command::Health(args) => health::health(&args).await,
        Command::Migrate(args) => migrate(&args).await,
        Command::Policy { format, config } => print::print_policy(format, &config),
        Command::Receipts(args) => print::receipts(&args),
        Command::Audit(args) => run_audit(&args).await,
        Command::Subject(args) => ask_subject(args).await,
        Command::Stats(args) => ask_stats(args).await,
        Command::ProxyDoctor { listen, count, config } => proxy_doctor(listen, count, &config).await,
        Command::Sql { query, config } => sql(&query, &config).await,
    }
}

fn lock(data_dir: &Path) -> Result<std::fs::File, Failure> {
    server::lock_data_dir(data_dir).map_err(|error| {
        Failure::of(match error.kind() {
            std::io::ErrorKind::WouldBlock => format!(
                "the data directory {} is in use by another collector; give --data-dir another one",
                data_dir.display()
            ),
            _ => format!("cannot use the data directory {}: {error}", data_dir.display()),
        })
    })
}

fn external(config: &Config) -> Result<Option<External>, Failure> {
    let ca_file = config.file.clickhouse_ca_file.as_deref();
    let url = config.file.clickhouse_url.as_ref();
    let opened = url.map(|url| External::open(url, ca_file)).transpose();
    opened.map_err(|fault| Failure::Usage(fault.to_string()))
}

async fn find_engine() -> Result<Program, Failure> {
    match engine::locate().map_err(Failure::of)? {
        Some(program) => Ok(program),
        None => engine::fetch(engine::stderr_progress()).await.map_err(Failure::of),
    }
}

fn start_engine(program: Program, data_dir: &Path) -> Result<Engine, Failure> {
    Engine::start(program, engine_dir(data_dir)).map_err(Failure::of)
}

fn engine_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("engine")
}

async fn proxy_doctor(listen: Option<Listen>, count: usize, args: &ConfigArgs) -> Result<(), Failure> {
    let config = args.read()?;
    let address = listen.unwrap_or_else(|| config.file.listen.clone());
    let listener = listen::bind(&address, "proxy-doctor", "--listen").await.map_err(Failure::Failed)?;
    let address = listener.address().map_err(Failure::of)?;
    println!(
        "Listening on {address}. Send a request through your proxies; nothing is stored. Ctrl-C ends it."
    );
    server::doctor::run(listener, config, count).await.map_err(Failure::of)
}

async fn run_audit(args: &AuditArgs) -> Result<(), Failure> {
    let failure = |error| match error {
        AuditError::Usage(message) => Failure::Usage(message),
        AuditError::Failed(message) => Failure::Failed(message),
    };
    if args.list {
        let (seed, canaries) = args.options.canaries().map_err(failure)?;
        println!("seed\t{seed}");
        canaries.iter().for_each(|canary| println!("{}\t{}", canary.kind, canary.value));
        return Ok(());
    }
    let config = args.config.read()?;
    let external = external(&config)?;
    let report = audit::run(&config, external.as_ref(), &args.options).await.map_err(failure)?;
    let text = report.render(args.format);
    match &args.out {
        Some(path) => std::fs::write(path, text)
            .map_err(|error| Failure::of(format!("cannot write {}: {error}", path.display())))?,
        None => print!("{text}"),
    }
    match report.findings.len() {
        0 => Ok(()),
        found => {
            Err(Failure::of(format!("the audit found {found} traces of what identifies; see the report")))
        }
    }
}

async fn ask_subject(args: SubjectArgs) -> Result<(), Failure> {
    let file = sources(args.config.as_deref(), []).load()?;
    subject::run(&args, &file).await.map_err(|failure| match failure {
        subject::SubjectFailure::Usage(reason) => Failure::Usage(reason),
        subject::SubjectFailure::Failed(reason) => Failure::Failed(reason),
    })
}

async fn ask_stats(args: StatsArgs) -> Result<(), Failure> {
    let file = sources(args.config.as_deref(), []).load()?;
    let done = stats::run(&args, &file).await;
    done.map_err(|why| if why.usage { Failure::Usage(why.reason) } else { Failure::Failed(why.reason) })
}

async fn migrate(args: &ConfigArgs) -> Result<(), Failure> {
    let config = args.read()?;
    let (source, engine, _lock) = match external(&config)? {
        Some(external) => (Source::External(Arc::new(external)), None, None),
        None => {
            let program = find_engine().await?;
            let lock = lock(&config.file.data_dir)?;
            let engine = Arc::new(start_engine(program, &config.file.data_dir)?);
            engine.ready().await.map_err(Failure::of)?;
            (Source::Embedded(engine.clone()), Some(engine), Some(lock))
        }
    };
    let admin = source.admin().ok_or_else(|| Failure::of("the engine is not ready"))?;
    let applied = store::migrate(&admin, &config.sites, !source.has_users_file()).await.map_err(Failure::of);
    if let Some(engine) = engine {
        engine.stop().await;
    }
    println!("Applied {} migrations.", applied?);
    Ok(())
}

async fn sql(query: &str, args: &ConfigArgs) -> Result<(), Failure> {
    let config = args.read()?;
    let out = std::io::stdout().lock();
    if let Some(external) = external(&config)? {
        return store::query(&Target::from(&external), query, out).await.map_err(Failure::of);
    }
    let dir = engine_dir(&config.file.data_dir);
    if let Some(access) = engine::read_access(&dir) {
        return store::query(&Target::from(&access), query, out).await.map_err(Failure::of);
    }
    // No collector runs: start the engine for this one query.
    let program = find_engine().await?;
    let _lock = lock(&config.file.data_dir)?;
    let engine = start_engine(program, &config.file.data_dir)?;
    engine.ready().await.map_err(Failure::of)?;
    let access = engine.access().ok_or_else(|| Failure::of("the engine is not ready"))?;
    let answered = store::query(&Target::from(&access), query, out).await.map_err(Failure::of);
    engine.stop().await;
    answered
}
