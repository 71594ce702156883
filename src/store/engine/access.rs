//! Where the engine listens and as whom to talk to it; for this process, and for others of the same owner.
//!
//! `access.json` is written when the engine is ready and removed when it ends. Passwords are made for each start of
//! the collector, so a file that was left behind opens nothing.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use super::error::EngineError;
use super::files::write_private;
use super::http;

const FILE: &str = "access.json";
const FILE_BYTES_MAX: u64 = 16 * 1024;
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// A password. Debug does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// 32 random bytes in hex.
    pub(super) fn random() -> Result<Self, EngineError> {
        let mut bytes = [0; 32];
        let failed = EngineError::io("read random bytes from", Path::new("the operating system"));
        getrandom::fill(&mut bytes).map_err(|error| failed(io::Error::other(error.to_string())))?;
        Ok(Self(hex(&bytes)))
    }

    /// The password itself. Send it; never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A user of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name.
    pub user: String,
    /// Password.
    pub password: Secret,
}

impl Credentials {
    /// A new password for `user`.
    pub(super) fn random(user: &str) -> Result<Self, EngineError> {
        Ok(Self { user: user.to_owned(), password: Secret::random()? })
    }
}

/// The users of the engine besides its own session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Users {
    pub(super) admin: Credentials,
    pub(super) ingest: Credentials,
    pub(super) analyst: Credentials,
    pub(super) statistics: Credentials,
}

impl Users {
    /// The users with new passwords.
    pub(super) fn random() -> Result<Self, EngineError> {
        let random = Credentials::random;
        Ok(Self {
            admin: random("admin")?,
            ingest: random("ingest")?,
            analyst: random("analyst")?,
            statistics: random("statistics")?,
        })
    }
}

/// A ready engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Process of the engine.
    pub pid: u32,
    /// Port of the HTTP protocol on 127.0.0.1.
    pub http_port: u16,
    /// Port of the native protocol on 127.0.0.1.
    pub tcp_port: u16,
    /// May do anything.
    pub admin: Credentials,
    /// May insert into `consentry` and read nothing.
    pub ingest: Credentials,
    /// May read `report` and nothing else.
    pub analyst: Credentials,
    /// May read what the statistics API is made from, within limits.
    pub statistics: Credentials,
}

impl Access {
    /// `http://127.0.0.1:PORT`
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }
}

#[derive(Serialize, Deserialize)]
struct Login {
    user: String,
    password: String,
}

impl From<&Credentials> for Login {
    fn from(from: &Credentials) -> Self {
        Self { user: from.user.clone(), password: from.password.expose().to_owned() }
    }
}

impl From<Login> for Credentials {
    fn from(from: Login) -> Self {
        Self { user: from.user, password: Secret(from.password) }
    }
}

/// `access.json`
#[derive(Serialize, Deserialize)]
struct Record {
    pid: u32,
    http_port: u16,
    tcp_port: u16,
    admin: Login,
    ingest: Login,
    analyst: Login,
    statistics: Login,
}

/// Writes `access.json` for other processes of the same owner.
pub(super) fn write(dir: &Path, access: &Access) -> Result<(), EngineError> {
    let record = Record {
        pid: access.pid,
        http_port: access.http_port,
        tcp_port: access.tcp_port,
        admin: (&access.admin).into(),
        ingest: (&access.ingest).into(),
        analyst: (&access.analyst).into(),
        statistics: (&access.statistics).into(),
    };
    let path = dir.join(FILE);
    let text =
        serde_json::to_vec_pretty(&record).map_err(|error| EngineError::io("write", &path)(error.into()))?;
    write_private(&path, &text)
}

/// Takes `access.json` away.
pub(super) fn remove(dir: &Path) {
    // It is absent before the first start, and its passwords are worth nothing once the engine has ended.
    let _ = fs::remove_file(dir.join(FILE));
}

/// The engine that another process runs in `dir`, if it is alive and answers. Blocks for up to a few seconds.
pub fn read_access(dir: &Path) -> Option<Access> {
    let path = dir.join(FILE);
    let size = fs::metadata(&path).ok()?.len();
    if size > FILE_BYTES_MAX {
        return None;
    }
    let record: Record = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
    test_kill_process(Pid::from_raw(i32::try_from(record.pid).ok()?)?).ok()?;
    http::ping(record.http_port, PING_TIMEOUT).ok()?;
    Some(Access {
        pid: record.pid,
        http_port: record.http_port,
        tcp_port: record.tcp_port,
        admin: record.admin.into(),
        ingest: record.ingest.into(),
        analyst: record.analyst.into(),
        statistics: record.statistics.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_64_hex_digits_and_never_printed() {
        let credentials = Credentials::random("admin").unwrap();
        let password = credentials.password.expose();
        assert_eq!(password.len(), 64);
        assert!(password.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(!format!("{credentials:?}").contains(password));
        assert_ne!(credentials, Credentials::random("admin").unwrap());
    }

    #[test]
    fn a_record_of_an_engine_that_has_ended_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let users = Users::random().unwrap();
        // Our own process is alive, but nothing answers on the port.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let access = Access {
            pid: std::process::id(),
            http_port: port,
            tcp_port: port,
            admin: users.admin,
            ingest: users.ingest,
            analyst: users.analyst,
            statistics: users.statistics,
        };
        write(dir.path(), &access).unwrap();
        assert_eq!(read_access(dir.path()), None);
        remove(dir.path());
        assert_eq!(read_access(dir.path()), None);
    }
}
