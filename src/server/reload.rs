//! The configuration read again while the collector runs: sites, limits and certificates, whole or not at all.
//!
//! Invariant: everything that can fail is done before the first part is exchanged. A configuration that cannot be taken, or
//! that changes a key which needs a restart, leaves the old one in every part.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::service_manager;
use super::tls::Certificates;
use crate::config::{Config, ConfigError, File};
use crate::live::Live;
use crate::pipeline::Pipeline;
use crate::site::Sites;
use crate::store::{self, Source, State};

/// How often networks that have been quiet are forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(10);
/// After the store refused the sites.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Where a new configuration comes from.
pub struct Reload {
    /// Something for each time that it shall be read.
    pub asked: mpsc::Receiver<()>,
    /// Reads it as it was read at the start.
    pub read: Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reload")
    }
}

/// Why a new configuration was not taken.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("{0}")]
    Unsound(#[from] ConfigError),
    #[error("{0} can only be changed by a restart")]
    Fixed(String),
    #[error("salts: {0}")]
    Salts(#[from] crate::deidentify::SaltError),
}

/// Exchanges what may be exchanged.
pub(super) struct Reloader {
    config: Config,
    pipeline: Arc<Pipeline>,
    certificates: Option<Certificates>,
    source: Source,
    state: watch::Receiver<State>,
    /// Brings the sites of the last change to the store.
    registering: Option<JoinHandle<()>>,
}

impl Reloader {
    pub(super) fn new(
        config: Config,
        pipeline: Arc<Pipeline>,
        certificates: Option<Certificates>,
        source: Source,
        state: watch::Receiver<State>,
    ) -> Self {
        Self { config, pipeline, certificates, source, state, registering: None }
    }

    /// Waits for requests to read the configuration again; until it is dropped.
    pub(super) async fn run(mut self, mut reload: Option<Reload>) {
        let files = Live::from(Arc::new(self.config.file.tls.clone()));
        let following = self.certificates.clone().map(|certificates| {
            let files = files.clone();
            let clock = self.pipeline.clock.clone();
            Aborted(tokio::spawn(certificates.follow(clock, move || (*files.now()).clone())))
        });
        loop {
            tokio::select! {
                asked = next(&mut reload) => if asked.is_none() { reload = None },
                () = tokio::time::sleep(TIDY_EVERY) => {
                    self.pipeline.limits.tidy();
                    continue;
                }
            }
            let Some(reload) = &mut reload else { continue };
            // However often it was asked for meanwhile, it is read once.
            while reload.asked.try_recv().is_ok() {}
            service_manager::reloading();
            match tokio::task::block_in_place(|| self.take(&reload.read)) {
                Ok(()) => {
                    files.replace(Arc::new(self.config.file.tls.clone()));
                    tracing::info!(
                        sites = self.config.sites.iter().count(),
                        "the configuration was read again"
                    );
                }
                Err(reason) => {
                    // A line of the log is a line, however many faults there are.
                    let reason = reason.to_string().replace("\n  ", " | ");
                    tracing::error!(
                        reason,
                        "the configuration was read again and not taken; the old one stays"
                    );
                }
            }
            service_manager::ready();
            let _ = &following;
        }
    }

    fn take(&mut self, read: &dyn Fn() -> Result<Config, ConfigError>) -> Result<(), NotTaken> {
        let new = read()?;
        let fixed = fixed(&self.config, &new);
        if !fixed.is_empty() {
            return Err(NotTaken::Fixed(fixed.join(", ")));
        }
        let ids = new.sites.iter().map(|site| site.id.clone()).collect();
        self.pipeline.salts.set_sites(ids, self.pipeline.clock.now_ms())?;
        // From here on nothing fails.
        self.pipeline.sites.replace(new.sites.clone());
        self.pipeline.limits.replace(&new.file);
        if let (Some(certificates), Some(loaded)) = (&self.certificates, &new.certificates) {
            certificates.replace(loaded.current());
        }
        if let Some(before) = self.registering.take() {
            before.abort();
        }
        self.registering =
            Some(tokio::spawn(register(self.source.clone(), self.state.clone(), new.sites.clone())));
        self.config = new;
        Ok(())
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        if let Some(registering) = &self.registering {
            registering.abort();
        }
    }
}

/// A task that ends with its owner.
struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn next(reload: &mut Option<Reload>) -> Option<()> {
    match reload {
        Some(reload) => reload.asked.recv().await,
        None => std::future::pending().await,
    }
}

/// Writes the sites down in the store, which looks there for time zones, retention and k-anonymity.
async fn register(source: Source, mut state: watch::Receiver<State>, sites: Arc<Sites>) {
    // Before that the store is being prepared, with the sites of the start.
    if state.wait_for(|state| !matches!(state, State::Starting(_))).await.is_err() {
        return;
    }
    loop {
        let written = match source.admin() {
            Some(admin) => store::write_sites(&admin, &sites).await.map_err(|error| error.to_string()),
            None => Err("the engine is not ready".to_owned()),
        };
        match written {
            Ok(()) => return,
            Err(reason) => {
                tracing::warn!(reason, "the sites are not written down in the store yet; trying again");
            }
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// The keys that differ and need a restart.
fn fixed(old: &Config, new: &Config) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    macro_rules! compare {
        ($($key:ident)*) => { $(
            if old.file.$key != new.file.$key {
                names.push(stringify!($key).to_owned());
            }
        )* };
    }
    compare!(
        listen admin_listen data_dir salt_store clickhouse_url clickhouse_password_file clickhouse_ca_file
        admin_token admin_token_file proxy_protocol
        bodies_in_flight_bytes_max connections_max confine seal_rows_max seal_bytes_max seal_after_ms spool_bytes_max
        duplicate_window_s duplicate_ids_max drain_seconds leak_scan_rows_max agent_cache_entries_max
        subject_key_file subject_requests_per_network_and_min_max subject_requests_per_min_max
        geo_database datacenter_networks datacenter_networks_file referrer_spam_file
    );
    let admin_tls = |file: &File| file.tls.as_ref().map(|tls| tls.admin);
    if admin_tls(&old.file) != admin_tls(&new.file) {
        names.push("tls (that there is one, and for which address)".into());
    }
    let exchanged = File {
        site: new.file.site.clone(),
        limits: new.file.limits.clone(),
        tls: new.file.tls.clone(),
        body_bytes_max: new.file.body_bytes_max,
        body_decoded_bytes_max: new.file.body_decoded_bytes_max,
        body_timeout_ms: new.file.body_timeout_ms,
        header_timeout_ms: new.file.header_timeout_ms,
        trusted_proxies: new.file.trusted_proxies.clone(),
        client_address_header: new.file.client_address_header.clone(),
        // Lines move when others are written between them.
        places: new.file.places.clone(),
        ..old.file.clone()
    };
    if names.is_empty() && exchanged != new.file {
        names.push("a key other than those of sites, limits and certificates".into());
    }
    // Their keys and their choices are opened at the start.
    let subjects = |config: &Config| {
        let mut ids: Vec<String> =
            config.sites.iter().filter(|site| site.subjects).map(|site| site.id.clone()).collect();
        ids.sort();
        ids
    };
    if subjects(old) != subjects(new) {
        names.push("which sites have subjects = true".into());
    }
    if old.sites.by_id("demo").is_some() != new.sites.by_id("demo").is_some() {
        names.push("whether there is a site demo, which has a page of its own".into());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str::<File>(text).unwrap().resolve().unwrap()
    }

    const SHOP: &str = "[[site]]\nid = \"shop\"\norigins = [\"https://shop.example\"]\n";

    #[test]
    fn sites_and_limits_change_and_the_rest_is_named() {
        let old = config(SHOP);
        let more =
            format!("body_timeout_ms = 5000\n{SHOP}[[site]]\nid = \"blog\"\n[limits]\nnetworks_max = 7\n");
        assert_eq!(fixed(&old, &config(&more)), Vec::<String>::new());
        let moved = config(&format!("data_dir = \"/elsewhere\"\nadmin_token = \"t\"\n{SHOP}"));
        assert_eq!(fixed(&old, &moved), ["data_dir", "admin_token"]);
        let subjects = config(&format!("{SHOP}subjects = true\n"));
        assert_eq!(fixed(&old, &subjects), ["which sites have subjects = true"]);
    }
}
