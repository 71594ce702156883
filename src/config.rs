//! Configuration: one TOML file, each key also as `CONSENTRY_<KEY>`, flags on top.
//!
//! [`File`] is what was written; [`Config`] is what it means. Everything is checked in [`File::resolve`], so no
//! other part of the program meets an unchecked value. The doc comments on `File` are the documentation.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;

use crate::accept::LimitsFile;
use crate::deidentify::network::read_bounded;
use crate::deidentify::{Networks, SaltStore};
use crate::enrich::channel::spam::{self, SpamDomains};
use crate::server::{Certificates, Listen, TlsFile};
use crate::site::{Site, SiteFile, Sites};

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The secret itself. Compare or send it; never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The configuration as written. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
    pub clickhouse_url: Option<Secret>,
    /// Bearer token for the admin address.
    pub admin_token: Option<Secret>,
    /// The authority that vouches for an https `clickhouse_url`, in PEM; absent: those that the system trusts.
    pub clickhouse_ca_file: Option<PathBuf>,
    /// Encryption of the public address, and if wanted of the admin one.
    pub tls: Option<TlsFile>,
    /// Networks whose `client_address_header`, or PROXY header, is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections from trusted proxies begin with a PROXY header (version 2).
    pub proxy_protocol: bool,
    /// Header that a trusted proxy puts the client's address in, e.g. `x-forwarded-for`.
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

    /// How much networks, sites and everybody may send, and how long a connection may do nothing.
    pub limits: LimitsFile,

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
    pub subject_key_file: Option<PathBuf>,
    /// Requests to /v1/subjects that one network (a /24 or /48) may send in a minute.
    pub subject_requests_per_network_and_min_max: u32,
    /// The same for all networks together.
    pub subject_requests_per_min_max: u32,

    /// A MaxMind database (.mmdb) that has countries: `country` is filled from it, and nothing else of it is read.
    pub geo_database: Option<PathBuf>,
    /// Networks of data centres: what comes from there is taken for a program's.
    pub datacenter_networks: Vec<IpNet>,
    /// More of them, one a line; "#" begins a note.
    pub datacenter_networks_file: Option<PathBuf>,
    /// Domains of referrer spam, one a line, besides the families that are built in.
    pub referrer_spam_file: Option<PathBuf>,

    /// The sites that events are taken for. None: one site `demo` for loopback origins.
    pub site: Vec<SiteFile>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            listen: Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080))),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            data_dir: PathBuf::from("./data"),
            salt_store: SaltStore::default(),
            clickhouse_url: None,
            admin_token: None,
            clickhouse_ca_file: None,
            tls: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            client_address_header: None,
            body_bytes_max: 1024 * 1024,
            body_decoded_bytes_max: 4 * 1024 * 1024,
            bodies_in_flight_bytes_max: 32 * 1024 * 1024,
            body_timeout_ms: 10_000,
            header_timeout_ms: 10_000,
            connections_max: 10_000,
            limits: LimitsFile::default(),
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
            site: Vec::new(),
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
    pub fn lists(&self) -> Vec<String> {
        let countries = if self.networks.knows_countries() { "from geo_database" } else { "not looked up" };
        let mut lines = vec![format!("Country: {countries}"), self.file.limits.to_string()];
        if let Some(tls) = &self.file.tls {
            lines.push(format!("TLS: the certificate in {}.", tls.certificate_file.display()));
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

/// Why a configuration cannot be used, in words for whoever wrote it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML, has an unknown key or a value of a wrong type.
    #[error("{origin}: {message}")]
    Invalid {
        /// The file or environment variable.
        origin: String,
        /// What is wrong and where.
        message: String,
    },
    /// A value that cannot be meant.
    #[error("configuration: {0}")]
    Unsound(String),
}

/// Environment variables that begin with `CONSENTRY_` and are not configuration keys.
const NOT_KEYS: &[&str] =
    &["LIBCHDB", "CACHE_DIR", "WEB_DIST", "CONFIG", "LOG", "LOG_FORMAT", "TEST_CHROMIUM"];

impl File {
    /// Reads `path` (or the defaults, if there is none) and lays the environment over it.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut text = String::new();
        let mut origin = String::from("environment");
        if let Some(path) = path {
            text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
            origin = path.display().to_string();
        }
        // Parsed once as it stands, so that an error names the line of the file.
        let as_written: Self = toml::from_str(&text).map_err(|error| invalid(&origin, &text, &error))?;
        let overrides: Vec<(String, String)> = env
            .filter_map(|(name, value)| Some((name.strip_prefix("CONSENTRY_")?.to_owned(), value)))
            .filter(|(name, _)| !NOT_KEYS.contains(&name.as_str()))
            .collect();
        if overrides.is_empty() {
            return Ok(as_written);
        }
        let mut table: toml::Table =
            toml::from_str(&text).map_err(|error| invalid(&origin, &text, &error))?;
        for (name, value) in overrides {
            // One at a time, so that the message names the variable. `123456` may be a number or a token.
            let (key, text) = (name.to_ascii_lowercase(), toml::Value::String(value.clone()));
            table.insert(key.clone(), env_value(&value));
            if table.clone().try_into::<Self>().is_err() {
                table.insert(key, text);
            }
            table.clone().try_into::<Self>().map_err(|error| ConfigError::Invalid {
                origin: format!("environment variable CONSENTRY_{name}"),
                message: without_values(error.message()),
            })?;
        }
        table.try_into().map_err(|error: toml::de::Error| invalid(&origin, &text, &error))
    }

    /// Checks the values and what they have to do with each other.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let unsound = |message: String| Err(ConfigError::Unsound(message));
        if self.admin_token.is_none() && !self.admin_listen.ip().is_loopback() {
            return unsound(format!(
                "admin_listen = \"{}\" can be reached from outside: set admin_token, or listen on 127.0.0.1",
                self.admin_listen
            ));
        }
        if self.listen.tcp() == Some(self.admin_listen) && self.admin_listen.port() != 0 {
            return unsound("listen and admin_listen are the same address: give them different ports".into());
        }
        // Behind a Unix socket everybody is a proxy of ours.
        let behind_proxies = !self.trusted_proxies.is_empty() || self.listen.tcp().is_none();
        if behind_proxies != (self.client_address_header.is_some() || self.proxy_protocol) {
            return unsound(
                "trusted_proxies (or a Unix socket) and client_address_header (or proxy_protocol) only work together: set both"
                    .into(),
            );
        }
        let certificates = match &self.tls {
            Some(tls) => {
                Some(Certificates::new(tls.load().map_err(|error| ConfigError::Unsound(error.to_string()))?))
            }
            None => None,
        };
        let orders = [
            (
                "body_bytes_max",
                self.body_bytes_max as u64,
                "body_decoded_bytes_max",
                self.body_decoded_bytes_max as u64,
            ),
            (
                "body_bytes_max + body_decoded_bytes_max",
                (self.body_bytes_max + self.body_decoded_bytes_max) as u64,
                "bodies_in_flight_bytes_max",
                self.bodies_in_flight_bytes_max as u64,
            ),
            (
                "body_decoded_bytes_max",
                self.body_decoded_bytes_max as u64,
                "seal_bytes_max",
                self.seal_bytes_max,
            ),
            ("2 x seal_bytes_max", self.seal_bytes_max * 2, "spool_bytes_max", self.spool_bytes_max),
        ];
        for (smaller_name, smaller, larger_name, larger) in orders {
            if smaller > larger {
                return unsound(format!(
                    "{smaller_name} ({smaller}) must not be above {larger_name} ({larger})"
                ));
            }
        }
        let positive = [
            ("body_bytes_max", self.body_bytes_max as u64),
            ("body_timeout_ms", self.body_timeout_ms),
            ("header_timeout_ms", self.header_timeout_ms),
            ("connections_max", self.connections_max as u64),
            ("seal_rows_max", u64::from(self.seal_rows_max)),
            ("seal_after_ms", self.seal_after_ms),
            ("duplicate_ids_max", self.duplicate_ids_max as u64),
            ("agent_cache_entries_max", self.agent_cache_entries_max as u64),
            (
                "subject_requests_per_network_and_min_max",
                u64::from(self.subject_requests_per_network_and_min_max),
            ),
            ("subject_requests_per_min_max", u64::from(self.subject_requests_per_min_max)),
        ];
        for (name, value) in positive {
            if value == 0 {
                return unsound(format!("{name} must be above 0"));
            }
        }
        self.limits.check().map_err(ConfigError::Unsound)?;
        let written = if self.site.is_empty() { vec![SiteFile::demo()] } else { self.site.clone() };
        let sites = written.into_iter().map(Site::resolve).collect::<Result<Vec<_>, _>>()?;
        let unusable = |error: crate::deidentify::NetworksError| ConfigError::Unsound(error.to_string());
        let networks = Networks::open(
            self.geo_database.as_deref(),
            &self.datacenter_networks,
            self.datacenter_networks_file.as_deref(),
        );
        let spam = match &self.referrer_spam_file {
            Some(path) => {
                let list =
                    read_bounded("referrer_spam_file", path, spam::LIST_BYTES_MAX).map_err(unusable)?;
                SpamDomains::from_list(&String::from_utf8_lossy(&list))
            }
            None => SpamDomains::default(),
        };
        Ok(Config {
            sites: Arc::new(Sites::new(sites)?),
            networks: Arc::new(networks.map_err(unusable)?),
            spam: Arc::new(spam),
            certificates,
            file: self,
        })
    }
}

/// The line and what is wrong there, without the line itself: it may hold a secret.
fn invalid(origin: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let message = without_values(error.message());
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let origin = line.map_or_else(|| origin.to_owned(), |line| format!("{origin}, line {line}"));
    ConfigError::Invalid { origin, message }
}

/// serde says `invalid type: string "...", expected ...`: the value goes, the words stay.
fn without_values(message: &str) -> String {
    match (message.split_once(": "), message.rsplit_once(", expected ")) {
        (Some((what, _)), Some((_, expected))) if what.starts_with("invalid ") => {
            format!("{what}, expected {expected}")
        }
        _ => message.lines().next().unwrap_or_default().to_owned(),
    }
}

/// `1024`, `true` and `["a"]` are meant as TOML; anything else is a plain string.
fn env_value(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("v = {text}")).ok();
    parsed.and_then(|mut table| table.remove("v")).unwrap_or_else(|| toml::Value::String(text.to_owned()))
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
        assert!(error.contains("admin_lisen") && error.contains("line 2"), "{error}");
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
        assert!(!error.contains("4711") && error.contains("line 1"), "{error}");
        let token = load("", &[("CONSENTRY_ADMIN_TOKEN", "4711")]).unwrap().file.admin_token.unwrap();
        assert_eq!(token.expose(), "4711", "looks like a number, is a token");
        let printed = format!("{config:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("pw@h"), "{printed}");
    }
}
