//! `consentry audit`: proves to an outsider that nothing that identifies survives in a running collector.
//!
//! It sends made-up identifiers of every kind in every field by every carrier, waits until they are where events end,
//! and looks for them in everything that the collector keeps: files, logs, metrics, answers, the store and memory.
//! (Issue of both policies: what they name must not be kept; this shows it from outside.)
//!
//! - `canary`: the identifiers; `send`: fields and carriers; `search`: forms and the one pass; `places`: where; `report`.
//!
//! Invariant: what could not be searched is said, and never counts as clean.
//! Invariant: a finding names kind, form and place, and never shows what stands around it.

mod canary;
mod hints;
mod places;
mod report;
mod search;
mod send;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};

pub use canary::{Canary, Variant, canaries};
pub use places::{Finding, NotSearched, Searched};
pub use report::{Format, Report};

use crate::clock::Clock;
use crate::config::Config;
use crate::reach::Reach;
use crate::store::{External, Target, engine};
use places::{Outcome, lines};
use search::{FORMS, Needles};
use send::{FIELDS, Sender};

/// How long the audit's events may take from the spool to the store.
const SETTLE_WAIT: Duration = Duration::from_secs(60);
/// How long connections may take to end, and the last events to be stored.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
}

/// What to audit, and how.
#[derive(Debug, clap::Args, Clone, Default)]
pub struct Options {
    /// Where the collector takes beacons; absent: as configured.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where its admin address is; absent: as configured.
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
    /// The site that the canaries are sent for; absent: the first one. Its consent adapters must have `payload`.
    #[arg(long, value_name = "ID")]
    pub site: Option<String>,
    /// A file that the collector's log goes to; may be given more than once.
    #[arg(long = "log", value_name = "FILE")]
    pub logs: Vec<PathBuf>,
    /// The collector's process; absent: the one that has locked the data directory.
    #[arg(long)]
    pub pid: Option<u32>,
    /// What the canaries are made from; absent: random.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Send only these kinds (see --list).
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// Write them only in these ways.
    #[arg(long = "variant", value_enum, value_delimiter = ',')]
    pub variants: Vec<Variant>,
}

impl Options {
    /// The canaries that are asked for, and the seed that they come from.
    pub fn canaries(&self) -> Result<(u64, Vec<Canary>), AuditError> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => {
                let mut bytes = [0; 8];
                getrandom::fill(&mut bytes).map_err(|error| AuditError::Failed(error.to_string()))?;
                u64::from_le_bytes(bytes)
            }
        };
        let mut list = canaries(seed);
        if let Some(unknown) =
            self.kinds.iter().find(|kind| !list.iter().any(|canary| canary.kind == kind.as_str()))
        {
            return Err(AuditError::Usage(format!(
                "no canary is of the kind \"{unknown}\"; --list shows them"
            )));
        }
        list.retain(|canary| self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == canary.kind));
        Ok((seed, list))
    }
}

/// Audits the collector that runs with this configuration.
///
/// `external` is the configured ClickHouse; `None`: the embedded engine below the data directory.
pub async fn run(
    config: &Config,
    external: Option<&External>,
    options: &Options,
) -> Result<Report, AuditError> {
    let begun = Instant::now();
    let (seed, canaries) = options.canaries()?;
    eprintln!("audit: seed {seed}, {} canaries", canaries.len());
    let mut variants = options.variants.clone();
    if variants.is_empty() {
        variants = <Variant as clap::ValueEnum>::value_variants().to_vec();
    }
    let data_dir = &config.file.data_dir;
    let public = options
        .listen
        .or(config.file.listen.tcp())
        .ok_or_else(|| AuditError::Usage("listen is a Unix socket: name an address with --listen".into()))?;
    let tls = config.file.tls.as_ref();
    let reach = Reach::public(public, tls).map_err(AuditError::Failed)?;
    let public = reach.address();
    let admin = options.admin_listen.unwrap_or(config.file.admin_listen);
    let admin = Reach::admin(admin, tls).map_err(AuditError::Failed)?;
    let mut sites: Vec<&str> = config.sites.iter().map(|site| site.id.as_str()).collect();
    sites.sort_unstable();
    let site = match &options.site {
        Some(named) => sites.iter().find(|site| *site == named).ok_or_else(|| {
            AuditError::Usage(format!("no site \"{named}\" is configured; there are: {}", sites.join(", ")))
        })?,
        None => sites.first().ok_or_else(|| AuditError::Usage("no site is configured".into()))?,
    };

    let digested = [
        ("client_address", if public.is_ipv6() { "::1" } else { "127.0.0.1" }.to_owned()),
        ("user_agent", send::AGENT.to_owned()),
    ];
    let needles = Needles::new(&canaries, &digested).map_err(AuditError::Failed)?;
    // In letters: a number would be scrubbed from the host's name.
    let letters: String = seed.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
    let host = format!("run-{letters}.consentry-audit.invalid");
    let to = send::Target { public: &reach, site, host: &host };
    let mut sender = Sender::new(&to, &needles);
    sender.all(&canaries, &variants).await.map_err(AuditError::Failed)?;
    if let Some(first) = canaries.first() {
        sender.too_large(first).await.map_err(AuditError::Failed)?;
    }
    let (sent, answers) = sender.finish();
    if sent.accepted == 0 {
        return Err(AuditError::Failed(format!(
            "the collector kept none of the events, so nothing could be shown; name with --site a site that takes consent \
             from the payload (\"{site}\" does not)"
        )));
    }

    let mut outcome = Outcome::default();
    outcome.whole("answers received", "answers", sent.requests, answers);
    let access = match external {
        Some(_) => None,
        None => engine::read_access(&data_dir.join("engine")),
    };
    let target = external.map(Target::from).or_else(|| access.as_ref().map(Target::from));
    let mut stored = 0;
    match &target {
        Some(target) => {
            eprintln!("audit: waiting until {} events are stored", sent.accepted);
            stored = settle(target, &host, sent.accepted, &mut outcome).await;
            // The pixel's answer does not say what became of its event: those may still be on their way.
            tokio::time::sleep(CLOSE_WAIT).await;
            eprintln!("audit: searching the store");
            outcome.store(&needles, target).await;
        }
        None => {
            tokio::time::sleep(CLOSE_WAIT).await;
            outcome.not("the store", "no embedded engine runs below the data directory");
        }
    }
    match metrics(&admin, config).await {
        Ok(text) => {
            let mut stream = needles.stream();
            stream.push(&text);
            outcome.whole("/metrics", "pages", 1, stream);
        }
        Err(error) => outcome.not("/metrics", error),
    }
    let pid = options.pid.or_else(|| holder(data_dir));
    eprintln!("audit: searching files");
    outcome.data_dir(&needles, data_dir);
    outcome.logs(&needles, &options.logs, pid);
    eprintln!("audit: searching memory");
    match pid {
        Some(pid) => outcome.memory(&needles, "the collector", pid),
        None => outcome
            .not("memory of the collector", "no process holds the data directory's lock; name it with --pid"),
    }
    match access.as_ref() {
        Some(access) => outcome.memory(&needles, "the embedded engine", access.pid),
        None => outcome.not("memory of the store", "it is not a child of this collector"),
    }
    for kind in &needles.unsearchable {
        outcome.not(
            format!("the {kind} that was sent"),
            "many people share the value, so a find would prove nothing",
        );
    }
    outcome.not(
        "values in memory as packed numbers (IPv4 addresses in 4 bytes, IMEI in 8)",
        "too short to be told from other numbers",
    );
    outcome.findings.sort_by(|a, b| (a.kind, &a.place, a.form).cmp(&(b.kind, &b.place, b.form)));
    let at = jiff::Timestamp::from_millisecond(Clock::system().now_ms()).map(|at| at.to_string());
    Ok(Report {
        verdict: if outcome.findings.is_empty() { "clean" } else { "finding" },
        consentry: env!("CARGO_PKG_VERSION"),
        at: at.unwrap_or_default(),
        seconds: begun.elapsed().as_secs_f64(),
        seed,
        collector: reach.url(""),
        site: (*site).to_owned(),
        canaries: canaries.len(),
        kinds: canaries.iter().map(|canary| canary.kind).collect(),
        fields: FIELDS.to_vec(),
        variants: variants.iter().map(|variant| format!("{variant:?}")).collect(),
        sent,
        stored,
        forms: FORMS.to_vec(),
        patterns: needles.count(),
        searched: outcome.searched,
        not_searched: outcome.not_searched,
        findings: outcome.findings,
        remains: format!(
            "The audit's events are ordinary rows of the site {site} on the host {host}; hourly counts have them too. To \
             remove the rows: consentry sql \"DELETE FROM consentry.events WHERE host = '{host}'\". A site of its own for audits \
             (--site) keeps them apart."
        ),
    })
}

/// Waits until as many events of the audit are stored as were accepted; gives how many are.
async fn settle(target: &Target<'_>, host: &str, accepted: u64, outcome: &mut Outcome) -> u64 {
    let sql = format!("SELECT count() FROM consentry.events WHERE host = '{host}'");
    let begun = Instant::now();
    loop {
        let told = lines(target, &sql).await;
        let stored = told.ok().and_then(|lines| lines.first()?.parse().ok()).unwrap_or(0);
        if stored >= accepted {
            return stored;
        }
        if begun.elapsed() > SETTLE_WAIT {
            outcome.not(
                format!("{} events of the audit in the store", accepted - stored),
                "they are not stored yet, or were quarantined by the leak alarm; the files they are in were searched",
            );
            return stored;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn metrics(admin: &Reach, config: &Config) -> Result<Vec<u8>, String> {
    let mut request = hyper::Request::get(admin.url("/metrics"));
    if let Some(token) = &config.file.admin_token {
        request = request.header("authorization", format!("Bearer {}", token.expose()));
    }
    let request = request.body(Full::new(bytes::Bytes::new())).map_err(|error| error.to_string())?;
    let answer = admin.http1().request(request).await;
    let answer = answer.map_err(|_| format!("{} does not answer; see --admin-listen", admin.address()))?;
    if !answer.status().is_success() {
        return Err(format!("{} answered {}", admin.address(), answer.status()));
    }
    Ok(answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes().to_vec())
}

/// The process that holds the data directory's lock.
fn holder(data_dir: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(data_dir.join("lock")).ok()?.trim().parse().ok()?;
    Path::new(&format!("/proc/{pid}")).exists().then_some(pid)
}
