//! Where connections come in: a TCP port, a Unix socket, or a socket that the service manager has opened already.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use super::service_manager;
use crate::accept::Peer;
use crate::config::File;

/// Connections that the kernel keeps until they are accepted. A flood of slow ones must not overflow it: whoever is dropped
/// there waits a second before trying again. The kernel's own bound (net.core.somaxconn) is 4096.
const BACKLOG: u32 = 4096;

/// Opens the public and the admin address, or takes what the service manager has opened for us in their place. The error says
/// what to change.
pub async fn open(file: &File) -> Result<(Listener, Listener), String> {
    let handed = service_manager::sockets();
    let (public, admin) =
        handed.map_err(|error| format!("a socket of the service manager cannot be used: {error}"))?;
    let public = match public {
        Some(listener) => listener,
        None => bind(&file.listen, "beacons", "--listen").await?,
    };
    let admin = match admin {
        Some(listener) => listener,
        None => bind(&Listen::Tcp(file.admin_listen), "admin", "--admin-listen").await?,
    };
    Ok((public, admin))
}

/// Opens one address; `what` it is for and the `flag` that gives it another one are for the error.
pub async fn bind(address: &Listen, what: &str, flag: &str) -> Result<Listener, String> {
    Listener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "{what}: {address} is in use by another program; end that one or give {flag} another address"
            )
        }
        _ => format!("{what}: cannot listen on {address}: {error}"),
    })
}

/// An address to listen on: `127.0.0.1:8080`, or `unix:/run/consentry/consentry.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Listen {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// The TCP address, where it is one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err("a Unix socket takes its whole path: unix:/run/consentry.sock".into()),
            None => {
                text.parse().map(Self::Tcp).map_err(|_| "takes an address and a port, or unix:/path".into())
            }
        }
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

impl JsonSchema for Listen {
    fn schema_name() -> Cow<'static, str> {
        "Listen".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// An open socket.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket, and the file to be taken away at the end where we made it.
    Unix(UnixListener, Option<Made>),
}

/// The file of a Unix socket that we made; taken away with this.
#[derive(Debug)]
pub struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An open socket that belongs to no runtime.
#[derive(Debug)]
pub enum Detached {
    /// A TCP port.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener, Option<Made>),
}

impl Detached {
    /// Gives it to the runtime that is running.
    pub fn attach(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(socket) => TcpListener::from_std(socket).map(Listener::Tcp),
            Self::Unix(socket, made) => Ok(Listener::Unix(UnixListener::from_std(socket)?, made)),
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

/// A connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Opens an address. A socket's file that nobody listens on any more is taken away first.
    pub async fn bind(address: &Listen) -> io::Result<Self> {
        match address {
            Listen::Tcp(address) => {
                let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                socket.set_reuseaddr(true)?;
                socket.bind(*address)?;
                socket.listen(BACKLOG).map(Self::Tcp)
            }
            Listen::Unix(path) => {
                if is_left_over(path) {
                    std::fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                // Whoever may connect is believed about the client's address: the owner and the group.
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o660);
                std::fs::set_permissions(path, mode)?;
                Ok(Self::Unix(listener, Some(Made(path.clone()))))
            }
        }
    }

    /// Takes a TCP socket that is open already.
    pub fn from_tcp(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket).map(Self::Tcp)
    }

    /// Takes a Unix socket that is open already; its file stays.
    pub fn from_unix(socket: std::os::unix::net::UnixListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self::Unix(UnixListener::from_std(socket)?, None))
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Listen::Tcp),
            Self::Unix(listener, _) => {
                let address = listener.local_addr()?;
                Ok(Listen::Unix(address.as_pathname().unwrap_or(Path::new("?")).to_owned()))
            }
        }
    }

    /// Takes it away from its runtime.
    pub fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(listener) => listener.into_std().map(Detached::Tcp),
            Self::Unix(listener, made) => Ok(Detached::Unix(listener.into_std()?, made)),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // An answer is one small write: it must not wait for the next one.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Peer::Net(peer.ip())))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Local))
            }
        }
    }
}

/// A socket's file that refuses connections belongs to a process that is gone.
fn is_left_over(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = || std::os::unix::net::UnixStream::connect(path).map_err(|error| error.kind());
    socket && matches!(refused(), Err(io::ErrorKind::ConnectionRefused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ports_or_whole_paths() {
        assert_eq!("127.0.0.1:80".parse::<Listen>().unwrap().to_string(), "127.0.0.1:80");
        assert_eq!("unix:/run/c.sock".parse::<Listen>().unwrap().to_string(), "unix:/run/c.sock");
        assert!("unix:c.sock".parse::<Listen>().unwrap_err().contains("whole path"));
        assert!("localhost".parse::<Listen>().is_err());
    }

    #[tokio::test]
    async fn a_file_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let address = Listen::Unix(dir.path().join("c.sock"));
        drop(std::os::unix::net::UnixListener::bind(dir.path().join("c.sock")).unwrap());
        let first = Listener::bind(&address).await.unwrap();
        assert_eq!(Listener::bind(&address).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(!dir.path().join("c.sock").exists());
        // Not a socket: somebody's file.
        std::fs::write(dir.path().join("c.sock"), "x").unwrap();
        assert!(Listener::bind(&address).await.is_err());
        assert_eq!(std::fs::read(dir.path().join("c.sock")).unwrap(), b"x");
    }
}
