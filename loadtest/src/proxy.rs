//! Stands between a collector and its store, and breaks what goes through it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes of a request that get through before it is cut.
const CUT_BYTES: usize = 8 << 10;

/// What the proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything goes through.
    Pass,
    /// Everything goes through, and what the store is sent is kept.
    Record,
    /// Every request is answered with 500, and does not reach the store.
    Error,
    /// Every request is taken, and none is answered.
    Hang,
    /// A request reaches the store in part.
    Cut,
    /// A request reaches the store, its answer reaches nobody.
    Lost,
    /// The same, once, for an insert; and the store dies before it could say it again.
    LostThenKill,
}

/// Where the store is, as the collector that runs it writes down.
#[derive(Debug, serde::Deserialize)]
pub struct Access {
    /// Process id of the engine.
    pub pid: u32,
    http_port: u16,
    admin: Admin,
}

#[derive(Debug, serde::Deserialize)]
struct Admin {
    user: String,
    password: String,
}

impl Access {
    /// Reads it from the data directory of the collector that runs the engine.
    pub fn read(data_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(data_dir.join("engine/access.json")).ok()?).ok()
    }

    /// The store's address, by way of `through`.
    pub fn url(&self, through: SocketAddr) -> String {
        format!("http://{}:{}@{through}", self.admin.user, self.admin.password)
    }
}

/// A proxy that runs until the runtime ends.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    recorded: Recorded,
}

/// What was sent to the store, by connection.
type Recorded = Arc<Mutex<Vec<Arc<Mutex<Vec<u8>>>>>>;

impl Proxy {
    /// In front of the engine of the collector with this data directory.
    pub async fn start(engine_of: &Path) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Self {
            address: listener.local_addr()?,
            mode: Arc::new(watch::channel(Mode::Pass).0),
            recorded: Recorded::default(),
        };
        let (mode, data_dir) = (proxy.mode.clone(), engine_of.to_owned());
        let recorded = proxy.recorded.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, data_dir.clone(), mode.clone(), recorded.clone()));
            }
        });
        Ok(proxy)
    }

    /// From now on, also for connections that are open: they end.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// What was sent to the store while everything was kept, one piece a connection, in the order they were opened.
    pub fn recorded(&self) -> Vec<Vec<u8>> {
        let all = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|bytes| bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// What it does now.
    pub fn mode(&self) -> Mode {
        *self.mode.borrow()
    }
}

async fn serve(
    mut client: TcpStream,
    data_dir: PathBuf,
    modes: Arc<watch::Sender<Mode>>,
    recorded: Recorded,
) {
    let mut changes = modes.subscribe();
    let mode = *changes.borrow_and_update();
    let through = async {
        match mode {
            Mode::Error => {
                let mut some = [0; 4_096];
                let _ = client.read(&mut some).await?;
                let body = "Code: 999. DB::Exception: made by the load tester. (KEEPER_EXCEPTION)\n";
                let answer = format!(
                    "HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                client.write_all(answer.as_bytes()).await?;
                // What is still on its way is read, so that the answer is not lost in a reset.
                let mut nowhere = tokio::io::sink();
                let rest = tokio::io::copy(&mut client, &mut nowhere);
                let _ = tokio::time::timeout(std::time::Duration::from_millis(200), rest).await;
                Ok(())
            }
            Mode::Hang => tokio::io::copy(&mut client, &mut tokio::io::sink()).await.map(|_| ()),
            Mode::Pass | Mode::Record | Mode::Cut | Mode::Lost | Mode::LostThenKill => {
                let access = Access::read(&data_dir).ok_or(std::io::ErrorKind::NotConnected)?;
                let mut engine = TcpStream::connect(("127.0.0.1", access.http_port)).await?;
                client.set_nodelay(true)?;
                engine.set_nodelay(true)?;
                if mode == Mode::Pass {
                    return tokio::io::copy_bidirectional(&mut client, &mut engine).await.map(|_| ());
                }
                if mode == Mode::Record {
                    let kept = Arc::default();
                    recorded.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&kept));
                    return record(&mut client, &mut engine, &kept).await;
                }
                let (mut from_client, _to_client) = client.split();
                let (mut from_engine, mut to_engine) = engine.split();
                let bytes_max = if mode == Mode::Cut { CUT_BYTES } else { usize::MAX };
                let mut insert = false;
                let mut answered = [0; 4_096];
                tokio::select! {
                    sent = forward(&mut from_client, &mut to_engine, bytes_max, &mut insert) => sent?,
                    read = from_engine.read(&mut answered), if mode != Mode::Cut => drop(read?),
                }
                if mode == Mode::LostThenKill && insert {
                    crate::collector::signal(access.pid, Signal::KILL);
                    modes.send_replace(Mode::Pass);
                }
                Ok(())
            }
        }
    };
    tokio::select! {
        done = through => { let _: std::io::Result<()> = done; }
        _ = changes.changed() => {}
    }
}

async fn record(
    client: &mut TcpStream,
    engine: &mut TcpStream,
    kept: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_engine, mut to_engine) = engine.split();
    let up = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return to_engine.shutdown().await;
            }
            kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
            to_engine.write_all(&buffer[..read]).await?;
        }
    };
    tokio::try_join!(up, tokio::io::copy(&mut from_engine, &mut to_client)).map(|_| ())
}

/// Copies up to `bytes_max` bytes, and notes whether they are an insert of events.
async fn forward(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    bytes_max: usize,
    insert: &mut bool,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut copied = 0;
    while copied < bytes_max {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            // The store still has to answer.
            return std::future::pending().await;
        }
        *insert |= memchr::memmem::find(&buffer[..read], b"consentry.events").is_some()
            && memchr::memmem::find(&buffer[..read], b"INSERT").is_some();
        let part = read.min(bytes_max - copied);
        to.write_all(&buffer[..part]).await?;
        copied += part;
    }
    Ok(())
}
