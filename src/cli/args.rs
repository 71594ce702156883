//! What the commands take, and the configuration that comes of it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use crate::config::{Config, File, Sources};
use crate::server::Listen;

#[derive(Debug, Args, Clone, Default)]
pub(super) struct ConfigArgs {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Where spool, salts and the embedded engine live.
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// http://user:password@host:8123 of a ClickHouse; without it the embedded engine runs.
    #[arg(long, value_name = "URL")]
    pub(super) clickhouse_url: Option<String>,
}

#[derive(Debug, Args, Clone, Copy, Default)]
#[group(required = true, multiple = false)]
pub(super) struct Print {
    /// Every key with its documentation and its default, as a file to begin with.
    #[arg(long)]
    pub(super) sample: bool,
    /// Every key as it is in effect, and where it comes from; secrets are left out.
    #[arg(long)]
    pub(super) effective: bool,
    /// JSON Schema of the file.
    #[arg(long)]
    pub(super) schema: bool,
}

#[derive(Debug, Args, Clone, Default)]
pub(super) struct HealthArgs {
    /// Ask whether it is alive, not whether it is ready to take beacons.
    #[arg(long)]
    pub(super) live: bool,
    /// Its admin address, where it is not the configuration's.
    #[arg(long, value_name = "ADDR")]
    pub(super) admin_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(super) config: ConfigArgs,
}

#[derive(Debug, Args, Clone, Default)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Where beacons are taken: 127.0.0.1:8080, or unix:/path.
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<Listen>,
    /// Where metrics, statistics and health are served.
    #[arg(long, value_name = "ADDR")]
    pub(super) admin_listen: Option<SocketAddr>,
}

impl ConfigArgs {
    /// Where the configuration comes from, flags included.
    pub(super) fn sources(&self) -> Sources {
        let data_dir = self.data_dir.as_ref().map(|dir| dir.display().to_string());
        let flags = [
            ("--data-dir", "data_dir", data_dir),
            ("--clickhouse-url", "clickhouse_url", self.clickhouse_url.clone()),
        ];
        sources(self.config.as_deref(), flags)
    }

    pub(super) fn load(&self) -> Result<File, Failure> {
        Ok(self.sources().load()?)
    }

    pub(super) fn read(&self) -> Result<Config, Failure> {
        Ok(self.sources().read()?)
    }
}

impl ServeArgs {
    pub(super) fn sources(&self) -> Sources {
        let mut sources = self.config.sources();
        let flags = [
            ("--listen", "listen", self.listen.as_ref().map(Listen::to_string)),
            ("--admin-listen", "admin_listen", self.admin_listen.map(|address| address.to_string())),
        ];
        sources.flags.extend(given(flags));
        sources
    }
}

type Flag<T> = (&'static str, &'static str, T);

fn given(flags: impl IntoIterator<Item = Flag<Option<String>>>) -> impl Iterator<Item = Flag<String>> {
    flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?)))
}

/// Variables that are text; one that is none cannot be meant for us.
pub(super) fn sources(path: Option<&Path>, flags: impl IntoIterator<Item = Flag<Option<String>>>) -> Sources {
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    Sources {
        path: path.map(Path::to_owned),
        environment: std::env::vars_os().filter_map(text).collect(),
        flags: given(flags).collect(),
    }
}
