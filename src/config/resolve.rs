//! From what was written to what it means: the values, and what they have to do with each other.

use std::path::Path;
use std::sync::Arc;

use super::problem::{ConfigError, Fault};
use super::secret::Secret;
use super::{Config, File};
use crate::deidentify::network::read_bounded;
use crate::deidentify::{Networks, NetworksError};
use crate::enrich::channel::spam::{self, SpamDomains};
use crate::server::{Certificates, TlsFile};
use crate::site::{Site, SiteFile, Sites};
use crate::store::External;

impl File {
    /// Checks the values and what they have to do with each other, and reads the files that are named.
    ///
    /// # Errors
    /// Every fault that was found, each with its place and what to write instead.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let mut faults = self.addresses();
        faults.extend(self.limits());
        faults.extend(self.limits.faults());
        let certificates = match self.tls.as_ref().map(TlsFile::load).transpose() {
            Ok(loaded) => loaded.map(Certificates::new),
            Err(error) => {
                faults.push(error.fault());
                None
            }
        };
        let written = if self.site.is_empty() { vec![SiteFile::demo()] } else { self.site.clone() };
        let mut sites = Vec::with_capacity(written.len());
        for (index, site) in written.into_iter().enumerate() {
            match Site::resolve(site) {
                Ok(site) => sites.push(site),
                Err(found) => {
                    faults.extend(found.into_iter().map(|fault| fault.under(&format!("site[{index}]"))));
                }
            }
        }
        let sites = match Sites::new(sites) {
            Ok(sites) => Some(sites),
            Err(fault) => {
                faults.push(fault);
                None
            }
        };
        let mut noted = |error: NetworksError| faults.push(unusable(&error));
        let networks = Networks::open(
            self.geo_database.as_deref(),
            &self.datacenter_networks,
            self.datacenter_networks_file.as_deref(),
        );
        let networks = networks.map_err(&mut noted).ok();
        let spam = spam(self.referrer_spam_file.as_deref()).map_err(&mut noted).ok();
        match (sites, networks, spam) {
            (Some(sites), Some(networks), Some(spam)) if faults.is_empty() => Ok(Config {
                sites: Arc::new(sites),
                networks: Arc::new(networks),
                spam: Arc::new(spam),
                certificates,
                file: self,
            }),
            _ => Err(self.located(faults)),
        }
    }

    /// The faults with their places, in the order of the file.
    pub(super) fn located(&self, faults: Vec<Fault>) -> ConfigError {
        ConfigError::new(faults.into_iter().map(|fault| self.places.locate(fault)).collect())
    }

    /// Takes secrets from the files that are named for them.
    pub(super) fn take_secrets(&mut self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Some(path) = &self.admin_token_file {
            match Secret::from_file("admin_token_file", path) {
                _ if self.admin_token.is_some() => faults.push(
                    Fault::new("admin_token", "is set, and admin_token_file too", "take one of the two out")
                        .with("admin_token_file"),
                ),
                Ok(token) => self.admin_token = Some(token),
                Err(fault) => faults.push(fault),
            }
        }
        if let Some(path) = &self.clickhouse_password_file {
            match Secret::from_file("clickhouse_password_file", path) {
                Ok(password) => match self.clickhouse_url.as_ref().map(|url| with_password(url, &password)) {
                    Some(Ok(url)) => self.clickhouse_url = Some(url),
                    Some(Err(fault)) => faults.push(fault),
                    None => faults.push(Fault::new(
                        "clickhouse_password_file",
                        "needs clickhouse_url, which is not set",
                        "write clickhouse_url = \"http://user@host:8123\"",
                    )),
                },
                Err(fault) => faults.push(fault),
            }
        }
        faults
    }

    /// Who may reach what.
    fn addresses(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.admin_token.is_none() && !self.admin_listen.ip().is_loopback() {
            let what =
                format!("\"{}\" can be reached from outside, and there is no token", self.admin_listen);
            let remedy = "set admin_token_file, or listen on 127.0.0.1";
            faults.push(Fault::new("admin_listen", what, remedy).with("admin_token"));
        }
        if self.listen.tcp() == Some(self.admin_listen) && self.admin_listen.port() != 0 {
            let what = "is the same address as listen";
            faults.push(Fault::new("admin_listen", what, "give them different ports").with("listen"));
        }
        faults.extend(self.proxies());
        let ca_file = self.clickhouse_ca_file.as_deref();
        if let Some(Err(fault)) = self.clickhouse_url.as_ref().map(|url| External::open(url, ca_file)) {
            faults.push(fault);
        } else if self.clickhouse_url.is_none() && ca_file.is_some() {
            let what = "needs clickhouse_url, which is not set";
            let remedy = "write clickhouse_url = \"https://user@host:8443\", or take it out";
            faults.push(Fault::new("clickhouse_ca_file", what, remedy));
        }
        faults
    }

    /// Who is believed about a client's address, and by what.
    fn proxies(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let (is_socket, are_trusted) = (self.listen.tcp().is_none(), !self.trusted_proxies.is_empty());
        let told = self.client_address_header.is_some() || self.proxy_protocol;
        if told && !are_trusted && !is_socket {
            let key = if self.proxy_protocol { "proxy_protocol" } else { "client_address_header" };
            faults.push(Fault::new(
                key,
                "is believed of trusted_proxies alone, and there are none",
                "set trusted_proxies to the networks of your proxies, or take it out",
            ));
        }
        if !told && (are_trusted || is_socket) {
            let (key, what, remedy) = if are_trusted {
                ("trusted_proxies", "have no header to put a client's address in", ", or take them out")
            } else {
                ("listen", "is a Unix socket, and nothing says whom a request comes from", "")
            };
            let remedy =
                format!("set client_address_header, such as \"x-forwarded-for\", or proxy_protocol{remedy}");
            faults.push(Fault::new(key, what, remedy));
        }
        if self
            .client_address_header
            .as_ref()
            .is_some_and(|name| http::HeaderName::from_bytes(name.as_bytes()).is_err())
        {
            let what = "is not the name of a header";
            faults.push(Fault::new("client_address_header", what, "write \"x-forwarded-for\""));
        }
        faults
    }

    /// What must be above nothing, and what must not be above something else.
    fn limits(&self) -> Vec<Fault> {
        let (body, decoded) = (self.body_bytes_max as u64, self.body_decoded_bytes_max as u64);
        let mut faults = Vec::new();
        for (name, value) in [
            ("body_bytes_max", body),
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
        ] {
            if value == 0 {
                faults.push(Fault::new(
                    name,
                    "is 0",
                    "write a number above 0, or take it out for the default",
                ));
            }
        }
        let orders: [(&[&str], u64, &str, u64); 4] = [
            (&["body_bytes_max"], body, "body_decoded_bytes_max", decoded),
            (
                &["body_bytes_max", "body_decoded_bytes_max"],
                body.saturating_add(decoded),
                "bodies_in_flight_bytes_max",
                self.bodies_in_flight_bytes_max as u64,
            ),
            (&["body_decoded_bytes_max"], decoded, "seal_bytes_max", self.seal_bytes_max),
            (
                &["seal_bytes_max"],
                self.seal_bytes_max.saturating_mul(2),
                "spool_bytes_max",
                self.spool_bytes_max,
            ),
        ];
        for (smaller, is, larger, most) in orders {
            if is <= most {
                continue;
            }
            let name = smaller.join(" and ");
            let what = match smaller {
                [_, _] => format!("together with {} is {is}, above {larger} ({most})", smaller[1]),
                _ if larger == "spool_bytes_max" => format!("twice is {is}, above {larger} ({most})"),
                _ => format!("is {is}, above {larger} ({most})"),
            };
            let mut fault = Fault::new(smaller[0], what, format!("lower {name}, or raise {larger}"));
            for other in &smaller[1..] {
                fault = fault.with(*other);
            }
            faults.push(fault.with(larger));
        }
        faults
    }
}

fn with_password(url: &Secret, password: &Secret) -> Result<Secret, Fault> {
    let fault = |what: &str, remedy: &str| Err(Fault::new("clickhouse_url", what, remedy));
    let Ok(mut parsed) = url::Url::parse(url.expose()) else {
        return fault("is not a URL", "write http://user@host:8123");
    };
    if parsed.password().is_some() {
        return fault(
            "has a password, and clickhouse_password_file has one too",
            "write http://user@host:8123",
        );
    }
    if parsed.username().is_empty() || parsed.set_password(Some(password.expose())).is_err() {
        return fault("names no user that the password is for", "write http://user@host:8123");
    }
    Ok(Secret::new(parsed.to_string()))
}

fn spam(path: Option<&Path>) -> Result<SpamDomains, NetworksError> {
    let Some(path) = path else { return Ok(SpamDomains::default()) };
    let list = read_bounded("referrer_spam_file", path, spam::LIST_BYTES_MAX)?;
    Ok(SpamDomains::from_list(&String::from_utf8_lossy(&list)))
}

/// The message begins with the key.
fn unusable(error: &NetworksError) -> Fault {
    let message = error.to_string();
    let (key, what) = message.split_once(": ").unwrap_or(("file", &message));
    let remedy = match error {
        NetworksError::Unreadable { .. } => "name a file that can be read, or take the key out",
        NetworksError::TooLarge { .. } => "name the right file, or take the key out",
        NetworksError::Database { .. } => "fetch the file anew, or take the key out",
        NetworksError::Line { .. } => "write a network a line; \"#\" begins a note",
    };
    Fault::new(key, what, remedy)
}
