//! `consentry serve`: everything is opened with one thread, what is not needed any more is given up, and then it runs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::ServeArgs;
use super::{Failure, external, find_engine, in_runtime, lock, start_engine};
use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::confine::{self, Held, Needs};
use crate::deidentify;
use crate::server::listen::Detached;
use crate::server::{self, Listen, Listener, Reload, Sockets, listen, service_manager, signals};
use crate::store::engine::Program;
use crate::store::{External, Source};

/// What is open before the first beacon.
struct Opened {
    config: Config,
    external: Option<External>,
    program: Option<Program>,
    public: Detached,
    admin: Detached,
    /// Held for as long as the collector runs.
    _lock: std::fs::File,
}

pub(super) fn serve(args: &ServeArgs) -> Result<(), Failure> {
    // Before there is a key in memory.
    deidentify::forbid_core_dumps().map_err(|error| {
        Failure::of(format!("cannot switch off core dumps, which would hold keys: {error}"))
    })?;
    server::raise_open_files();
    let sources = args.sources();
    let first = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let first = first.map_err(|error| Failure::of(format!("cannot start: {error}")))?;
    let opened = first.block_on(open(&sources))?;
    // Its helpers end with it: from here on there is one thread.
    drop(first);
    give_up(&opened);
    in_runtime(run(opened, sources))
}

async fn open(sources: &Sources) -> Result<Opened, Failure> {
    let config = sources.read()?;
    let external = external(&config)?;
    let (public, admin) = listen::open(&config.file).await.map_err(Failure::Failed)?;
    // Nothing is written before it is sure that everything is there.
    let program = match &external {
        Some(_) => None,
        None => Some(find_engine().await?),
    };
    let _lock = lock(&config.file.data_dir)?;
    let (public, admin) = (public.detach().map_err(Failure::of)?, admin.detach().map_err(Failure::of)?);
    Ok(Opened { config, external, program, public, admin, _lock })
}

/// Gives up what is not needed any more, as far as the kernel knows how; the log says how far that is.
fn give_up(opened: &Opened) {
    let file = &opened.config.file;
    if !file.confine {
        return tracing::info!("not confined: confine = false");
    }
    let directory = |path: &Path| path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
    let sockets = match &file.listen {
        Listen::Unix(path) => vec![directory(path)],
        Listen::Tcp(_) => Vec::new(),
    };
    // The engine is this program again, which loads the library or becomes the other program.
    let programs = match &opened.program {
        None => Vec::new(),
        Some(Program::Library(_)) => vec!["/proc/self/exe".into()],
        Some(Program::Clickhouse(path)) => vec!["/proc/self/exe".into(), path.clone()],
    };
    let needs = Needs { written: vec![file.data_dir.clone()], sockets, programs };
    match confine::confine_process(&needs) {
        Ok(Held::Whole) => {
            tracing::info!(
                "confined: writes to its data directory alone and starts no program but its engine"
            );
        }
        Ok(Held::Partly) => {
            tracing::info!(
                "confined as far as this kernel goes: its Landlock does not know all that was given up"
            );
        }
        Ok(Held::Not) => tracing::info!("not confined: this kernel has no Landlock"),
        Err(error) => tracing::warn!(%error, "not confined"),
    }
}

async fn run(opened: Opened, sources: Sources) -> Result<(), Failure> {
    let Opened { config, external, program, public, admin, _lock } = opened;
    let (public, admin) = (public.attach().map_err(Failure::of)?, admin.attach().map_err(Failure::of)?);
    let stop = signals::stop().map_err(Failure::of)?;
    let (source, engine) = match (external, program) {
        (Some(external), _) => (Source::External(Arc::new(external)), None),
        (None, Some(program)) => {
            let engine = Arc::new(start_engine(program, &config.file.data_dir)?);
            (Source::Embedded(engine.clone()), Some(engine))
        }
        (None, None) => return Err(Failure::of("no store")),
    };
    let scheme = |tls: bool| if tls { "https" } else { "http" };
    let tls = config.file.tls.as_ref();
    let said = |listener: &Listener, tls| match listener.address() {
        Ok(Listen::Tcp(address)) => Ok(format!("{}://{address}", scheme(tls))),
        Ok(socket) => Ok(socket.to_string()),
        Err(error) => Err(Failure::of(error)),
    };
    let addresses = (said(&public, tls.is_some())?, said(&admin, tls.is_some_and(|tls| tls.admin))?);
    let sites: Vec<String> = config.sites.iter().map(|site| site.id.clone()).collect();
    let reload =
        Reload { asked: signals::hangups().map_err(Failure::of)?, read: Box::new(move || sources.read()) };
    let sockets = Sockets { public, admin, reload: Some(reload) };
    let ran = server::run_with(sockets, config, Clock::system(), source, stop, || {
        ready(&addresses, &sites);
        service_manager::ready();
    })
    .await;
    if let Some(engine) = engine {
        engine.stop().await;
    }
    ran.map_err(Failure::of)
}

/// The lines that a newcomer waits for. Whoever has read the first of them and closes its end must not end the collector
/// by it, so they go out at once, and what becomes of them is no matter.
fn ready((public, admin): &(String, String), sites: &[String]) {
    let site = sites.iter().find(|site| *site == "demo").or(sites.first()).map_or("demo", String::as_str);
    let look = if site == "demo" { format!("Look:  {public}/demo\n") } else { String::new() };
    // As it was called, so that the line works where it is not on PATH.
    let own = std::env::args().next().unwrap_or_else(|| "consentry".into());
    let lines = format!(
        "Consentry is ready. Beacons: {public}  Admin: {admin}\n{look}\
         Try:   curl -s {public}/v1/events -H 'content-type: application/json' \
         -d '{{\"site\":\"{site}\",\"type\":\"pageview\",\"url\":\"https://example.com/hello\",\"consent\":{{\"analytics\":true}}}}'\n\
         Then:  {own} sql \"SELECT type, path, channel FROM consentry.events\"\n"
    );
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}
