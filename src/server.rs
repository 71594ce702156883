//! `run`: the caller owns the sockets, the clock and the stop signal; this owns everything between them.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::accept::Limits;
use crate::assets::Assets;
use crate::clock::Clock;
use crate::config::Config;
use crate::deidentify::Salts;
use crate::enrich::agent::Agents;
use crate::pipeline::Pipeline;
use crate::routes::Routes;
use crate::spool::Spool;
use crate::store::{self, MigrateError, Shipper, Source, State};
use crate::telemetry::Telemetry;

/// How long open connections may finish their requests when the collector stops.
const FINISH: Duration = Duration::from_secs(5);
/// How long to wait for the store at the start before beacons are taken without it. It knows the event ids of the
/// last minutes, by which a beacon that is sent again over a restart is recognised.
const STORE_WAIT: Duration = Duration::from_secs(10);
/// Streams that one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 128;
/// Bytes of headers in one request.
const HEADER_BYTES_MAX: u32 = 16 * 1024;

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
    /// The rules for User-Agents, which are part of the program.
    #[error("the User-Agent rules cannot be read: {0}")]
    Agents(String),
    /// The store has another schema.
    #[error(transparent)]
    Schema(#[from] MigrateError),
}

/// Runs a collector until `stop` is done, then finishes requests, seals and ships what it can.
///
/// `on_ready` is called once, when beacons are taken and the store is migrated.
pub async fn run(
    public: TcpListener,
    admin: TcpListener,
    config: Config,
    clock: Clock,
    source: Source,
    stop: impl Future<Output = ()>,
    on_ready: impl FnOnce(),
) -> Result<(), RunError> {
    let data_dir = config.file.data_dir.clone();
    let in_data_dir = |source| RunError::DataDir { path: data_dir.clone(), source };
    let telemetry = Telemetry::new();
    let (spool, recovered) =
        Spool::open(&data_dir.join("spool"), &config.file, clock.clone()).map_err(in_data_dir)?;
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
    let salts = Salts::open(&data_dir.join("salts"), sites, clock.now_ms()).map_err(in_data_dir)?;
    let agents = Agents::from_json(AGENT_RULES, config.file.agent_cache_entries_max)
        .map_err(|error| RunError::Agents(error.to_string()))?;
    let (state, store) = watch::channel(State::Starting("not reached yet".into()));
    let pipeline = Arc::new(Pipeline {
        sites: config.sites.clone(),
        limits: Limits::new(&config.file),
        salts,
        agents,
        spool: spool.clone(),
        telemetry: telemetry.clone(),
        clock: clock.clone(),
    });
    let routes = Arc::new(Routes {
        pipeline,
        assets: Assets::new(config.sites.by_id("demo").is_some()),
        store: store.clone(),
        admin_token: config.file.admin_token.clone(),
    });
    let shipper = Arc::new(Shipper::new(spool.clone(), source.clone(), &data_dir, telemetry, state.clone()));
    let mut stop = pin!(stop);

    let mut preparing =
        tokio::spawn(prepare_store(source.clone(), config.clone(), clock, spool.clone(), state));
    let mut prepared = None;
    tokio::select! {
        outcome = &mut preparing => prepared = Some(outcome),
        () = tokio::time::sleep(STORE_WAIT) => tracing::warn!("the store is not ready; beacons are taken and kept in the spool"),
        () = &mut stop => { preparing.abort(); return Ok(()) }
    }
    if let Some(outcome) = prepared {
        finished(outcome)?;
    }
    let (closing, closed) = watch::channel(false);
    let servers = [
        tokio::spawn(serve(public, routes.clone(), Face::Public, config.clone(), closed.clone())),
        tokio::spawn(serve(admin, routes, Face::Admin, config.clone(), closed)),
    ];
    let mut on_ready = Some(on_ready);
    let mut ready = store;
    let shipping = {
        let shipper = shipper.clone();
        tokio::spawn(async move { shipper.run().await })
    };
    let mut watching = true;
    loop {
        tokio::select! {
            () = &mut stop => break,
            outcome = &mut preparing, if !preparing.is_finished() => finished(outcome)?,
            arrived = ready.wait_for(|state| *state == State::Ready), if watching => {
                watching = false;
                if arrived.is_ok() && let Some(on_ready) = on_ready.take() {
                    on_ready();
                }
            }
        }
    }
    tracing::info!("stopping: finishing requests");
    let _ = closing.send(true);
    for server in servers {
        let _ = server.await;
    }
    spool.close().await;
    shipping.abort();
    let drain = Duration::from_secs(config.file.drain_seconds);
    if tokio::time::timeout(drain, shipper.drain()).await.is_err() {
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

fn finished(outcome: Result<Result<(), MigrateError>, tokio::task::JoinError>) -> Result<(), RunError> {
    match outcome {
        Ok(prepared) => Ok(prepared?),
        Err(_) => Ok(()),
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
        match store::migrate(&admin, &config.sites, !source.has_users_file()).await {
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

#[derive(Debug, Clone, Copy)]
enum Face {
    Public,
    Admin,
}

/// Accepts connections until `closed`, then lets the open ones finish.
async fn serve(
    listener: TcpListener,
    routes: Arc<Routes>,
    face: Face,
    config: Config,
    mut closed: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(config.file.connections_max.min(Semaphore::MAX_PERMITS)));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let header_timeout = Duration::from_millis(config.file.header_timeout_ms);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEADER_BYTES_MAX as usize * 4);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    let graceful = GracefulShutdown::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, mostly: the ones in use will end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = until(&mut closed) => break,
        };
        // Above the limit the kernel's queue holds the others back.
        let Ok(permit) = room.clone().acquire_owned().await else { break };
        let _ = stream.set_nodelay(true);
        let routes = routes.clone();
        let peer: IpAddr = peer.ip();
        let service = service_fn(move |request| {
            let routes = routes.clone();
            async move {
                match face {
                    Face::Public => routes.public(request, peer).await,
                    Face::Admin => Ok(routes.admin(&request)),
                }
            }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A broken connection is the other side's affair; what was acknowledged is durable.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(FINISH, graceful.shutdown()).await;
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
    Ok(file)
}
