//! `run`: the caller owns the sockets, the clock and the stop signal; this owns everything between them.

pub mod doctor;
pub mod listen;
mod reload;
pub mod service_manager;
pub mod signals;
mod speak;
mod stream;
mod tls;
mod validity;

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};

pub use listen::{Listen, Listener};
pub use reload::Reload;
pub(crate) use tls::provider;
pub use tls::{Certificates, TlsError, TlsFile};
pub use validity::{Standing, ValidUntil};

use crate::accept::Limits;
use crate::assets::Assets;
use crate::clock::Clock;
use crate::config::Config;
use crate::deidentify::{SaltError, Salts};
use crate::enrich::agent::Agents;
use crate::enrich::bot::Bots;
use crate::live::Live;
use crate::pipeline::Pipeline;
use crate::routes::Routes;
use crate::spool::Spool;
use crate::store::{self, Brief, MigrateError, Shipper, Source, State};
use crate::tally::Statistics;
use crate::telemetry::Telemetry;
use crate::upkeep::Upkeep;
use crate::withdraw::{self, Rights, Subjects};
use reload::Reloader;
use speak::{Face, Speaker};

/// How long open connections may finish their requests when the collector stops.
const FINISH: Duration = Duration::from_secs(5);
/// How long to wait for the store at the start before beacons are taken without it. It knows the event ids of the
/// last minutes, by which a beacon that is sent again over a restart is recognised.
const STORE_WAIT: Duration = Duration::from_secs(10);
/// How long the store may take over one step of its preparation.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// What ends the collector.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Spool or salts.
    #[error("cannot use the data directory {path}: {source}")]
    DataDir {
        /// The directory.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A salt that must not be used, or none to be had.
    #[error("salts: {0}")]
    Salts(#[from] SaltError),
    /// The rules for User-Agents, which are part of the program.
    #[error("the User-Agent rules cannot be read: {0}")]
    Agents(String),
    /// A part of the program ended that never should.
    #[error("{0} ended by a fault of this program; what was acknowledged is on the disk")]
    Task(&'static str),
    /// The store has another schema.
    #[error(transparent)]
    Schema(#[from] MigrateError),
}

/// Runs a collector until `stop` is done, then finishes requests, seals and ships what it can.
///
/// `on_ready` is called once, when beacons are taken and the store is migrated.
pub async fn run(
    public: impl Into<Listener>,
    admin: impl Into<Listener>,
    config: Config,
    clock: Clock,
    source: Source,
    stop: impl Future<Output = ()>,
    on_ready: impl FnOnce(),
) -> Result<(), RunError> {
    let sockets = Sockets { public: public.into(), admin: admin.into(), reload: None };
    run_with(sockets, config, clock, source, stop, on_ready).await
}

/// What the collector is reached by from outside.
#[derive(Debug)]
pub struct Sockets {
    /// Where beacons come in.
    pub public: Listener,
    /// Where metrics and health are.
    pub admin: Listener,
    /// How the configuration is read again; `None`: never.
    pub reload: Option<Reload>,
}

/// As [`run`], with a configuration that can be read again.
pub async fn run_with(
    sockets: Sockets,
    config: Config,
    clock: Clock,
    source: Source,
    stop: impl Future<Output = ()>,
    on_ready: impl FnOnce(),
) -> Result<(), RunError> {
    let Sockets { public, admin, reload } = sockets;
    let data_dir = config.file.data_dir.clone();
    let in_data_dir = |source| RunError::DataDir { path: data_dir.clone(), source };
    let telemetry = Telemetry::new();
    let (spool, recovered) =
        Spool::open(&data_dir.join("spool"), &config.file, clock.clone(), telemetry.clone())
            .map_err(in_data_dir)?;
    if recovered.segments > 0 || recovered.torn_bytes > 0 {
        tracing::info!(
            segments = recovered.segments,
            rows = recovered.rows,
            torn_bytes = recovered.torn_bytes,
            damaged = recovered.damaged,
            "the spool was recovered"
        );
    }
    let sites = config.sites.iter().map(|site| site.id.clone()).collect();
    let salts = Salts::open(&data_dir.join("salts"), config.file.salt_store, sites, clock.now_ms())?;
    let subjects = Arc::new(Subjects::open(&config).map_err(in_data_dir)?);
    let agents = Agents::from_json(AGENT_RULES, config.file.agent_cache_entries_max)
        .map_err(|error| RunError::Agents(error.to_string()))?;
    let bots = Bots::from_json(CRAWLERS).map_err(|error| RunError::Agents(error.to_string()))?;
    let (state, store) = watch::channel(State::Starting("not reached yet".into()));
    let pipeline = Arc::new(Pipeline {
        sites: Live::from(config.sites.clone()),
        limits: Limits::new(&config.file),
        salts,
        subjects: subjects.clone(),
        agents: agents.with_bots(bots),
        networks: config.networks.clone(),
        spam: config.spam.clone(),
        spool: spool.clone(),
        telemetry: telemetry.clone(),
        clock: clock.clone(),
    });
    let (resting, rest) = watch::channel(false);
    let upkeep = tokio::spawn(Upkeep::new(pipeline.clone(), source.clone(), store.clone()).run(rest));
    let shipper = Arc::new(Shipper::new(
        spool.clone(),
        source.clone(),
        &data_dir,
        config.file.leak_scan_rows_max,
        telemetry.clone(),
        state.clone(),
    ));
    let parts = withdraw::Parts {
        subjects,
        spool: spool.clone(),
        source: source.clone(),
        state: store.clone(),
        telemetry,
        clock: clock.clone(),
        gate: shipper.gate(),
    };
    let rights = Arc::new(Rights::open(&config, parts).map_err(in_data_dir)?);
    let statistics =
        Statistics::new(&data_dir, pipeline.sites.clone(), source.clone(), store.clone(), clock.clone());
    let routes = Arc::new(Routes {
        pipeline: pipeline.clone(),
        statistics: Arc::new(statistics),
        assets: Assets::new(config.sites.by_id("demo").is_some()),
        store: store.clone(),
        rights: rights.clone(),
        admin_token: config.file.admin_token.clone(),
        certificates: config.certificates.clone(),
    });
    let mut stop = pin!(stop);

    let mut preparing =
        tokio::spawn(prepare_store(source.clone(), config.clone(), clock, spool.clone(), state));
    let mut prepared = tokio::select! {
        outcome = &mut preparing => finished(outcome)?,
        () = tokio::time::sleep(STORE_WAIT) => {
            tracing::warn!("the store is not ready; beacons are taken and kept in the spool");
            false
        }
        () = &mut stop => {
            preparing.abort();
            let _ = resting.send(true);
            let _ = upkeep.await;
            return Ok(());
        }
    };
    let (closing, closed) = watch::channel(false);
    let certificates = config.certificates.clone();
    let for_admin = certificates.clone().filter(|_| config.file.tls.as_ref().is_some_and(|tls| tls.admin));
    let proxy_protocol = config.file.proxy_protocol;
    let speakers = [
        (public, Speaker::new(routes.clone(), Face::Public, certificates.clone(), proxy_protocol)),
        (admin, Speaker::new(routes.clone(), Face::Admin, for_admin, false)),
    ];
    let servers = speakers.map(|(listener, speaker)| {
        tokio::spawn(serve(listener, Arc::new(speaker), config.file.connections_max, closed.clone()))
    });
    drop(closed);
    let reloader = Reloader::new(config.clone(), pipeline, certificates, source.clone(), store);
    let reloader = tokio::spawn(reloader.run(reload));
    let mut shipping = {
        let shipper = shipper.clone();
        tokio::spawn(async move { shipper.run().await })
    };
    let rights = tokio::spawn(rights.run());
    let mut on_ready = Some(on_ready);
    if prepared && let Some(on_ready) = on_ready.take() {
        on_ready();
    }
    loop {
        tokio::select! {
            () = &mut stop => break,
            outcome = &mut preparing, if !prepared => {
                prepared = finished(outcome)?;
                if let Some(on_ready) = on_ready.take() {
                    on_ready();
                }
            }
            _ = &mut shipping => return Err(RunError::Task("shipping")),
            () = spool.ended() => return Err(RunError::Task("the spool")),
        }
    }
    tracing::info!("stopping: finishing requests");
    service_manager::stopping();
    reloader.abort();
    preparing.abort();
    // What it was at is done again after the next start.
    rights.abort();
    let _ = rights.await;
    let _ = closing.send(true);
    for server in servers {
        let _ = server.await;
    }
    spool.close().await;
    let _ = resting.send(true);
    let _ = upkeep.await;
    shipping.abort();
    let _ = shipping.await;
    let drain = Duration::from_secs(config.file.drain_seconds);
    let drained = tokio::time::timeout(drain, shipper.drain()).await;
    if drained.is_err() || spool.segments() > 0 {
        tracing::warn!(
            segments = spool.segments(),
            "not everything could be shipped; the rest is in the spool"
        );
    }
    tracing::info!("stopped");
    Ok(())
}

/// `uap-core`'s rules, taken from its npm package when the program is built.
const AGENT_RULES: &str = include_str!(concat!(env!("OUT_DIR"), "/uap_regexes.json"));
const CRAWLERS: &str = include_str!(concat!(env!("OUT_DIR"), "/crawlers.json"));

fn finished(outcome: Result<Result<(), MigrateError>, tokio::task::JoinError>) -> Result<bool, RunError> {
    match outcome {
        Ok(prepared) => Ok(prepared.map(|()| true)?),
        Err(_) => Err(RunError::Task("preparing the store")),
    }
}

/// Migrates the store as soon as it answers, and learns the event ids of the last minutes from it.
async fn prepare_store(
    source: Source,
    config: Config,
    clock: Clock,
    spool: Spool,
    state: watch::Sender<State>,
) -> Result<(), MigrateError> {
    let mut pause = Duration::from_millis(20);
    loop {
        let Some(admin) = source.admin() else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let migrating = store::migrate(&admin, &config.sites, !source.has_users_file());
        let migrated = tokio::time::timeout(ANSWER_WAIT, migrating).await.unwrap_or_else(|_| {
            Err(MigrateError::Store {
                name: "schema".into(),
                reason: Brief("ClickHouse did not answer in time".into()),
            })
        });
        match migrated {
            Ok(_) => {
                let since_ms =
                    clock.now_ms() - 1000 * i64::try_from(config.file.duplicate_window_s).unwrap_or(0);
                match store::recent_ids(&admin, since_ms, config.file.duplicate_ids_max / 2).await {
                    Ok(ids) => spool.remember(ids),
                    Err(reason) => {
                        tracing::warn!(%reason, "recent event ids are not known; a duplicate may be counted twice")
                    }
                }
                state.send_replace(State::Ready);
                return Ok(());
            }
            Err(MigrateError::Store { reason, name }) => {
                let reason = format!("{name}: {reason}");
                if *state.borrow() != State::Starting(reason.clone()) {
                    tracing::warn!(reason, "the store is not ready; trying again until it is");
                }
                state.send_replace(State::Starting(reason));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            Err(final_error) => return Err(final_error),
        }
    }
}

/// Done when the flag is set, or nobody is left to set it.
async fn until(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|&set| set).await;
}

/// Accepts connections until `closed`, then lets the open ones finish.
async fn serve(
    listener: Listener,
    speaker: Arc<Speaker>,
    connections_max: usize,
    mut closed: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    // Each connection holds one end: when the other end has nobody left to hear from, all have ended.
    let (open, mut all_ended) = mpsc::channel::<()>(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = until(&mut closed) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: the ones in use will end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Above the limit the kernel's queue holds the others back.
        let permit = tokio::select! {
            permit = room.clone().acquire_owned() => permit,
            () = until(&mut closed) => break,
        };
        let (speaker, closed, open) = (speaker.clone(), closed.clone(), open.clone());
        tokio::spawn(async move {
            speaker.speak(stream, peer, closed).await;
            drop((permit, open));
        });
    }
    drop((listener, open));
    let _ = tokio::time::timeout(FINISH + Duration::from_secs(1), all_ended.recv()).await;
}

/// Lets the process open as many files as it may: a connection is one.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it may not, `connections_max` may be out of reach, and accepting says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Locks the data directory for one collector. The lock lives as long as the file.
pub fn lock_data_dir(data_dir: &Path) -> io::Result<std::fs::File> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(data_dir.join("lock"))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    // Who holds it, for `consentry audit`.
    file.set_len(0)?;
    io::Write::write_all(&mut &file, format!("{}\n", std::process::id()).as_bytes())?;
    Ok(file)
}
