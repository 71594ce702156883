//! Configuration: one TOML file, each key also as `CONSENTRY_<KEY>`, flags on top.
//!
//! [`File`] is what was written; [`Config`] is what it means. Everything is checked in [`File::resolve`], so no
//! other part of the program meets an unchecked value. The doc comments on `File` are the documentation: the sample
//! (`consentry config --sample`) and what is said of a misspelt key are made from them.
//!
//! [`Sources::read`] is the way from nothing to a [`Config`], at the start and for a reload: it gives a configuration
//! that can be used whole, or every problem with its line, its key and what to write instead.

mod problem;
mod read;
mod resolve;
mod sample;
mod secret;
mod shape;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use problem::{ConfigError, Fault, Place, Places, Problem, nearest, nearest_zone};
pub use read::Sources;
pub use sample::{effective, sample};
pub use secret::{REDACTED, Secret};
pub use shape::{Key, Takes, schema, shape};

use crate::accept::LimitsFile;
use crate::deidentify::{Networks, SaltStore};
use crate::enrich::channel::spam::SpamDomains;
use crate::server::{Certificates, Listen, TlsFile};
use crate::site::{SiteFile, Sites};

/// The configuration as written. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Where beacons, the tracker and the pixel are served: `127.0.0.1:8080`, or `unix:/run/consentry.sock`.
    pub listen: Listen,
    /// Where statistics, metrics and health are served. Loopback unless `admin_token` is set.
    pub admin_listen: SocketAddr,
    /// Spool, salts and the embedded engine live here.
    pub data_dir: PathBuf,
    /// Where the salts of visitors' hashes live: `file` (in `data_dir`, for the owner alone) or `memory` (nowhere else;
    /// a restart begins a new salt and splits the day's visitors).
    pub salt_store: SaltStore,
    /// `http://user:password@host:8123` of a ClickHouse; absent: the embedded engine.
    #[schemars(example = "http://consentry@clickhouse:8123")]
    pub clickhouse_url: Option<Secret>,
    /// A file with the password of the user that `clickhouse_url` names, so that it stands nowhere else.
    #[schemars(example = "/run/secrets/clickhouse_password")]
    pub clickhouse_password_file: Option<PathBuf>,
    /// Bearer token for the admin address; better in a file of its own.
    pub admin_token: Option<Secret>,
    /// A file with that token.
    #[schemars(example = "/run/secrets/admin_token")]
    pub admin_token_file: Option<PathBuf>,
    /// The authority that vouches for an https `clickhouse_url`, in PEM; absent: those that the system trusts.
    #[schemars(example = "/etc/consentry/clickhouse-ca.pem")]
    pub clickhouse_ca_file: Option<PathBuf>,
    /// Networks whose `client_address_header`, or PROXY header, is believed.
    #[schemars(with = "Vec<String>", example = ["10.0.0.0/8"])]
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections from trusted proxies begin with a PROXY header (version 2).
    pub proxy_protocol: bool,
    /// Header that a trusted proxy puts the client's address in, e.g. `x-forwarded-for`.
    #[schemars(example = "x-forwarded-for")]
    pub client_address_header: Option<String>,

    /// Largest body on the wire, in bytes, before decompression.
    pub body_bytes_max: usize,
    /// Largest body after decompression, in bytes.
    pub body_decoded_bytes_max: usize,
    /// Bytes of all bodies that are being read or handled at one time.
    pub bodies_in_flight_bytes_max: usize,
    /// A whole body has to arrive within this time, in milliseconds.
    pub body_timeout_ms: u64,
    /// All request headers have to arrive within this time, in milliseconds.
    pub header_timeout_ms: u64,
    /// Most connections open at one time.
    pub connections_max: usize,
    /// Whether the collector gives up, before it takes the first beacon, to write outside of `data_dir` and to start
    /// programs other than its engine (Landlock). A kernel that has none is no fault; the log says what holds.
    pub confine: bool,

    /// A segment is sealed at this many rows.
    pub seal_rows_max: u32,
    /// A segment is sealed at this many bytes.
    pub seal_bytes_max: u64,
    /// A segment is sealed this long after its first record, in milliseconds.
    pub seal_after_ms: u64,
    /// Bytes that the spool may hold on disk; above it beacons are answered with 503.
    pub spool_bytes_max: u64,
    /// Sending the same event id again within this time, in seconds, is counted once.
    pub duplicate_window_s: u64,
    /// Most event ids remembered for that; above it the window shrinks.
    pub duplicate_ids_max: usize,
    /// On SIGTERM, how long to try to ship what is spooled, in seconds.
    pub drain_seconds: u64,
    /// Rows of each segment that the leak alarm looks at in their stored form; 0: none.
    pub leak_scan_rows_max: usize,
    /// How many distinct User-Agents are remembered with their classification.
    pub agent_cache_entries_max: usize,
    /// The key that makes of a subject's token the column `subject`, 32 random bytes; absent: `subject.key` under
    /// `data_dir`, made at the first need. Several collectors share it. Without it no subject's rows are found again.
    #[schemars(example = "/run/secrets/subject_key")]
    pub subject_key_file: Option<PathBuf>,
    /// Requests to /v1/subjects that one network (a /24 or /48) may send in a minute.
    pub subject_requests_per_network_and_min_max: u32,
    /// The same for all networks together.
    pub subject_requests_per_min_max: u32,

    /// A MaxMind database (.mmdb) that has countries: `country` is filled from it, and nothing else of it is read.
    #[schemars(example = "/usr/share/consentry/country.mmdb")]
    pub geo_database: Option<PathBuf>,
    /// Networks of data centres: what comes from there is taken for a program's.
    #[schemars(with = "Vec<String>", example = ["192.0.2.0/24"])]
    pub datacenter_networks: Vec<IpNet>,
    /// More of them, one a line; "#" begins a note.
    #[schemars(example = "/etc/consentry/datacenters.txt")]
    pub datacenter_networks_file: Option<PathBuf>,
    /// Domains of referrer spam, one a line, besides the families that are built in.
    #[schemars(example = "/etc/consentry/spammers.txt")]
    pub referrer_spam_file: Option<PathBuf>,

    /// Encryption of the public address, and if wanted of the admin one; absent: in clear.
    pub tls: Option<TlsFile>,
    /// How much networks, sites and everybody may send, and how long a connection may do nothing.
    pub limits: LimitsFile,
    /// The sites that events are taken for. None: one site `demo` for loopback origins.
    pub site: Vec<SiteFile>,

    /// Where each key was written.
    #[serde(skip)]
    pub places: Places,
}

impl Default for File {
    fn default() -> Self {
        Self {
            listen: Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080))),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            data_dir: PathBuf::from("./data"),
            salt_store: SaltStore::default(),
            clickhouse_url: None,
            clickhouse_password_file: None,
            admin_token: None,
            admin_token_file: None,
            clickhouse_ca_file: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            client_address_header: None,
            body_bytes_max: 1024 * 1024,
            body_decoded_bytes_max: 4 * 1024 * 1024,
            bodies_in_flight_bytes_max: 32 * 1024 * 1024,
            body_timeout_ms: 10_000,
            header_timeout_ms: 10_000,
            connections_max: 10_000,
            confine: true,
            seal_rows_max: 50_000,
            seal_bytes_max: 8 * 1024 * 1024,
            seal_after_ms: 1_000,
            spool_bytes_max: 4 * 1024 * 1024 * 1024,
            duplicate_window_s: 600,
            duplicate_ids_max: 1_000_000,
            drain_seconds: 10,
            leak_scan_rows_max: 100,
            agent_cache_entries_max: 4096,
            subject_key_file: None,
            subject_requests_per_network_and_min_max: 10,
            subject_requests_per_min_max: 60,
            geo_database: None,
            datacenter_networks: Vec::new(),
            datacenter_networks_file: None,
            referrer_spam_file: None,
            tls: None,
            limits: LimitsFile::default(),
            site: Vec::new(),
            places: Places::default(),
        }
    }
}

/// The configuration as meant: checked, and with its sites resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// Every key but the sites.
    pub file: File,
    /// The sites by id.
    pub sites: Arc<Sites>,
    /// What may be known of networks, read from the files that were named.
    pub networks: Arc<Networks>,
    /// The domains of referrer spam, likewise.
    pub spam: Arc<SpamDomains>,
    /// The certificate and key of `[tls]`.
    pub certificates: Option<Certificates>,
}

impl Config {
    /// What was read from files that the configuration names, a line each.
    pub fn lists(&self, now_ms: i64) -> Vec<String> {
        let countries = if self.networks.knows_countries() { "from geo_database" } else { "not looked up" };
        let mut lines = vec![format!("Country: {countries}"), self.file.limits.to_string()];
        if let Some(tls) = &self.file.tls {
            let until = self.certificates.as_ref().and_then(Certificates::valid_until);
            let until = until.map_or("of a validity that cannot be read".into(), |until| until.words(now_ms));
            lines.push(format!("TLS: the certificate in {}, {until}.", tls.certificate_file.display()));
        }
        if self.networks.datacenters() > 0 {
            let count = self.networks.datacenters();
            lines.push(format!("Data centres: {count} networks; what comes from there is a program's."));
        }
        if !self.spam.is_empty() {
            let count = self.spam.len();
            lines.push(format!("Referrer spam: {count} listed domains, besides the built-in families."));
        }
        lines
    }
}

impl File {
    /// Reads `path` (or the defaults, if there is none) and lays the environment over it.
    ///
    /// # Errors
    /// Every key that is not known and every value of a wrong type, each with its place.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let environment = env.collect();
        Sources { path: path.map(Path::to_owned), environment, flags: Vec::new() }.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("consentry.toml");
        std::fs::write(&path, text).unwrap();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        File::load(Some(&path), env)?.resolve()
    }

    #[test]
    fn nothing_at_all_is_a_demo_on_loopback() {
        let config = File::load(None, std::iter::empty()).unwrap().resolve().unwrap();
        assert_eq!(config.file.listen.to_string(), "127.0.0.1:8080");
        assert!(config.sites.by_id("demo").is_some());
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_line() {
        let error = load("listen = \"127.0.0.1:1\"\nadmin_lisen = \"x\"\n", &[]).unwrap_err().to_string();
        assert!(
            error.contains(":2: admin_lisen: ") && error.contains("did you mean admin_listen?"),
            "{error}"
        );
    }

    #[test]
    fn environment_wins_over_the_file() {
        let config = load("body_bytes_max = 10", &[("CONSENTRY_BODY_BYTES_MAX", "2048")]).unwrap();
        assert_eq!(config.file.body_bytes_max, 2048);
        let error = load("", &[("CONSENTRY_NONSENSE", "1")]).unwrap_err().to_string();
        assert!(error.contains("CONSENTRY_NONSENSE"), "{error}");
    }

    #[test]
    fn an_admin_address_without_a_token_must_be_loopback() {
        assert!(load("admin_listen = \"0.0.0.0:8081\"", &[]).is_err());
        assert!(load("admin_listen = \"0.0.0.0:8081\"\nadmin_token = \"t\"", &[]).is_ok());
    }

    #[test]
    fn limits_must_fit_each_other() {
        let error = load("body_decoded_bytes_max = 16000000", &[]).unwrap_err().to_string();
        assert!(error.contains("seal_bytes_max"), "{error}");
    }

    #[test]
    fn secrets_are_not_printed() {
        let config = load("admin_token = \"hunter2\"\nclickhouse_url = \"http://u:pw@h:1\"", &[]).unwrap();
        let error = load("admin_token = 4711\n", &[]).unwrap_err().to_string();
        assert!(!error.contains("4711") && error.contains(":1: admin_token: takes text"), "{error}");
        let token = load("", &[("CONSENTRY_ADMIN_TOKEN", "4711")]).unwrap().file.admin_token.unwrap();
        assert_eq!(token.expose(), "4711", "looks like a number, is a token");
        let printed = format!("{config:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("pw@h"), "{printed}");
    }
}
