//! Seventh room: a complete segment becomes one insert. Embedded engine, migrations, shipping.
//!
//! Invariant: one store protocol, ClickHouse over HTTP. The embedded engine is a ClickHouse too, and no code behind
//! [`Source`] can tell them apart.
//! Invariant: an error of the store is written down by its number, never with the values it quotes.

mod columns;
mod connect;
pub mod engine;
mod leak;
mod migrate;
mod page_days;
mod prepare;
mod quarantine;
mod receipts;
mod retention;
pub mod rollups;
mod ship;
mod sql;
pub mod subject;
mod verdict;
mod visits;

use std::sync::Arc;

use clickhouse::Client;

pub use migrate::{MigrateError, migrate, write_sites};
pub use quarantine::{Quarantine, as_json};
pub use receipts::publish_receipts;
pub use retention::{Retained, STATE_DAYS, agrees_on_time, retain};
pub use ship::Shipper;
pub use sql::{SqlError, Target, query};
pub use verdict::{Brief, Verdict, brief};
pub use visits::{freshen_visits, settle_visits};

use crate::config::{Fault, Secret};
use engine::{Access, Engine};

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was not ready yet; why.
    Starting(String),
    /// It takes inserts.
    Ready,
    /// It does not, for now; why.
    Away(String),
}

/// A ClickHouse of somebody's own.
#[derive(Debug)]
pub struct External {
    /// `None`: http.
    tls: Option<connect::Http>,
    url: String,
    user: Option<String>,
    password: Option<Secret>,
}

impl External {
    /// Takes `http://user:password@host:8123` or `https://...:8443` apart. `ca_file`: the authority that vouches for the latter,
    /// else those that the system trusts.
    ///
    /// # Errors
    /// The fault says what is wrong without the password.
    pub fn open(url: &Secret, ca_file: Option<&std::path::Path>) -> Result<Self, Fault> {
        let fault = |what: String| {
            Fault::new("clickhouse_url", what, "write http://user@host:8123 or https://user@host:8443")
        };
        let mut url =
            url::Url::parse(url.expose()).map_err(|error| fault(format!("is not a URL ({error})")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(fault("is not a URL of http or https".into()));
        }
        let tls = match url.scheme() {
            "https" => Some(connect::https(ca_file)?),
            _ if ca_file.is_some() => {
                let what = "is for an https clickhouse_url, and that is http";
                return Err(Fault::new("clickhouse_ca_file", what, "take it out, or write https://"));
            }
            _ => None,
        };
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = Some(decode(url.username())).filter(|user| !user.is_empty());
        let password = url.password().map(|password| Secret::new(decode(password)));
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Self { tls, url: url.to_string(), user, password })
    }

    fn client(&self) -> Client {
        let mut client = match &self.tls {
            Some(https) => Client::with_http_client(https.client()),
            None => Client::default(),
        };
        client = client.with_url(&self.url);
        if let Some(user) = &self.user {
            client = client.with_user(user);
        }
        if let Some(password) = &self.password {
            client = client.with_password(password.expose());
        }
        client
    }
}

/// Where ClickHouse is at the moment, and as whom to talk to it.
#[derive(Debug, Clone)]
pub enum Source {
    /// One that is configured.
    External(Arc<External>),
    /// Our own; it may come back on another port.
    Embedded(Arc<Engine>),
}

/// The person behind a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Inserts into `consentry`, reads nothing.
    Ingest,
    /// Reads what the statistics API is made from, within limits of time, memory and rows.
    Statistics,
    /// Does anything.
    Admin,
}

/// The limits of [`Role::Statistics`] on a ClickHouse that is not ours; the embedded engine has the same in its users file.
const STATISTICS_LIMITS: [(&str, &str); 5] = [
    ("readonly", "1"),
    ("max_execution_time", "30"),
    ("max_memory_usage", "2000000000"),
    ("max_rows_to_read", "400000000"),
    ("max_result_rows", "1000000"),
];

impl Source {
    /// A client that may insert and nothing else; `None` while the engine is not up.
    pub fn ingest(&self) -> Option<Client> {
        self.client(Role::Ingest)
    }

    /// A client that may do anything; `None` while the engine is not up.
    pub fn admin(&self) -> Option<Client> {
        self.client(Role::Admin)
    }

    /// A client that may read what statistics are made from, within limits; `None` while the engine is not up.
    pub fn statistics(&self) -> Option<Client> {
        self.client(Role::Statistics)
    }

    fn client(&self, role: Role) -> Option<Client> {
        match self {
            Self::External(external) if role == Role::Statistics => Some(
                STATISTICS_LIMITS
                    .iter()
                    .fold(external.client(), |client, &(name, value)| client.with_setting(name, value)),
            ),
            Self::External(external) => Some(external.client()),
            Self::Embedded(engine) => engine.access().map(|access| embedded_client(&access, role)),
        }
    }

    /// Whether roles come from a users file that we write.
    pub fn has_users_file(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }
}

/// Hashes of the event ids that came since `since_ms`, newest segments first, at most `ids_max`.
pub async fn recent_ids(admin: &Client, since_ms: i64, ids_max: usize) -> Result<Vec<u64>, Brief> {
    // Segment ids begin with their time in hex, so they compare as times; an event is at most 72 h older.
    let first = format!("{:012x}", since_ms.max(0));
    let sql = format!(
        "SELECT toUInt64(event_id) FROM consentry.events \
         WHERE day >= toDate(fromUnixTimestamp64Milli(toInt64({since_ms})), 'UTC') - 4 \
         AND segment >= '{first}' AND event_id != 0 ORDER BY segment DESC LIMIT {ids_max}"
    );
    admin.query_raw(&sql).fetch_all::<u64>().await.map_err(|error| brief(&error))
}

/// A client of the embedded engine.
pub fn embedded_client(access: &Access, role: Role) -> Client {
    let credentials = match role {
        Role::Ingest => &access.ingest,
        Role::Statistics => &access.statistics,
        Role::Admin => &access.admin,
    };
    Client::default()
        .with_url(access.http_url())
        .with_user(&credentials.user)
        .with_password(credentials.password.expose())
}
