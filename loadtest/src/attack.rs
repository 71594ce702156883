//! Those who mean harm: slow connections that are opened again whenever they are closed, and floods of events, bombs and
//! garbage from many networks. They run on a thread of their own, as somebody else's machines would.
//!
//! A network is a /24 of 127.0.0.0/8, which all reaches this machine; every second one comes through the trusted proxy
//! instead, under an address of its own. Each has one task that sends at a fixed rate, so the attack has a bound.

use std::cell::{Cell, RefCell};
use std::io::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::drive::Totals;
use crate::scenario::{Attack, Bound};
use crate::verdict::Finding;

/// An attacker waits no longer for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A slow connection sends one byte more this often.
const DRIP: Duration = Duration::from_secs(1);
/// Bytes of zeros in a bomb.
const BOMB_BYTES: usize = 64 << 20;
/// Connections that are opened at one time before others get their turn.
const OPENED_AT_ONCE: usize = 50;

/// What became of the attack.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Attacked {
    /// Requests of floods, bombs and garbage that were sent.
    pub sent: u64,
    /// Events that were taken: within the limits of their network.
    pub taken: u64,
    /// Turned away with 429 or 503.
    pub limited: u64,
    /// Refused as what they are: 400, 413 and the like.
    pub refused: u64,
    /// Closed without an answer, or never answered.
    pub closed: u64,
    /// Slow connections that were opened.
    pub slow_opened: u64,
    /// The most of them that were open at one time.
    pub slow_open_max: u64,
    /// Those that the collector closed.
    pub slow_closed: u64,
    /// The longest that one of them lived, in seconds.
    pub slow_life_s_max: f64,
    /// Events in requests without an answer: they may be kept or not.
    pub unsure: u64,
}

/// An attack that runs.
#[derive(Debug)]
pub struct Siege {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Attacked>,
}

impl Siege {
    /// Begins it. `run` is in the id of each event, so that none is a duplicate.
    pub fn lay(attack: Attack, to: SocketAddr, site: &str, run: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, site) = (stop.clone(), site.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a thread has room for a runtime");
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, attack_all(attack, to, site, run, stopped))
        });
        Self { stop, thread }
    }

    /// Ends it.
    pub fn lift(self) -> Result<Attacked, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the attackers ended by a fault of theirs".to_owned())
    }
}

/// What one kind of attacker sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Sound events, far too many.
    Flood,
    /// A small body that becomes a large one.
    Bomb,
    /// No HTTP at all.
    Noise,
    /// JSON without an end of brackets.
    Nested,
    /// More headers than anybody reads.
    Headers,
}

const KINDS: [Kind; 6] = [Kind::Flood, Kind::Bomb, Kind::Flood, Kind::Noise, Kind::Nested, Kind::Headers];

/// What slow connections send at first, and what then drips.
const SLOW: [(&[u8], &[u8]); 5] = [
    (b"", b""),
    (b"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-a: ", b"a"),
    (b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{", b" "),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", b""),
    (b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\n", b"a"),
];

struct Shared {
    to: SocketAddr,
    site: String,
    run: u64,
    stop: Arc<AtomicBool>,
    next_id: Cell<u64>,
    slow_open: Cell<u64>,
    attacked: RefCell<Attacked>,
    bomb: Vec<u8>,
}

impl Shared {
    fn ends(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A connection from this network.
    async fn connect(&self, network: u8, host: u8) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 1, network, host.max(1)], 0)))?;
        socket.connect(self.to).await
    }

    /// The next request of a network; the address it claims where it comes through the proxy.
    fn request(&self, kind: Kind, forwarded: &str, out: &mut Vec<u8>) {
        out.clear();
        let post = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        // Writing to memory does not fail.
        let _ = match kind {
            Kind::Flood => {
                let id = self.next_id.get();
                self.next_id.set(id + 1);
                let body = format!(
                    r#"{{"site":"{}","type":"pageview","id":"{:016x}{id:016x}","url":"https://shop.example/","consent":{{"analytics":true}}}}"#,
                    self.site, self.run
                );
                write!(out, "{post}{forwarded}content-length: {}\r\n\r\n{body}", body.len())
            }
            Kind::Bomb => {
                let length = self.bomb.len();
                let wrote = write!(
                    out,
                    "{post}{forwarded}content-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
                );
                out.extend_from_slice(&self.bomb);
                wrote
            }
            Kind::Noise => {
                out.extend_from_slice(b"\x16\x03\x01\x02\0\x01\xff\xfe garbage \0\0\r\n\r\n");
                Ok(())
            }
            Kind::Nested => {
                let body = "[".repeat(60_000);
                write!(out, "{post}{forwarded}content-length: {}\r\n\r\n{body}", body.len())
            }
            Kind::Headers => {
                let many = "x-a: b\r\n".repeat(400);
                write!(out, "{post}{forwarded}{many}content-length: 2\r\n\r\n{{}}")
            }
        };
    }
}

fn bomb() -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(&vec![0; BOMB_BYTES]).expect("memory");
    writer.finish().expect("memory")
}

async fn attack_all(
    attack: Attack,
    to: SocketAddr,
    site: String,
    run: u64,
    stop: Arc<AtomicBool>,
) -> Attacked {
    let shared = Rc::new(Shared {
        to,
        site,
        run,
        stop,
        next_id: Cell::new(1 << 40),
        slow_open: Cell::new(0),
        attacked: RefCell::default(),
        bomb: bomb(),
    });
    let mut tasks = tokio::task::JoinSet::new();
    for network in 0..attack.networks {
        tasks.spawn_local(flood(shared.clone(), network, attack.requests_per_network_and_s));
    }
    for number in 0..attack.slow_connections {
        if number % OPENED_AT_ONCE == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tasks.spawn_local(slow(shared.clone(), number, attack.networks.max(1)));
    }
    tasks.join_all().await;
    shared.attacked.take()
}

/// One network's flood, at its rate, until it is over.
async fn flood(shared: Rc<Shared>, network: u8, rate: u32) {
    let kind = KINDS[usize::from(network) % KINDS.len()];
    let proxied = network % 2 == 1;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / f64::from(rate.max(1))));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut request, mut answer) = (Vec::new(), vec![0; 4096]);
    let mut kept = None;
    let mut host = 0_u8;
    while !shared.ends() {
        ticks.tick().await;
        host = host.wrapping_add(1);
        let forwarded = match proxied {
            true => format!("x-forwarded-for: 10.9.{network}.{host}, 203.0.{network}.{host}\r\n"),
            false => String::new(),
        };
        shared.request(kind, &forwarded, &mut request);
        let event = u64::from(kind == Kind::Flood);
        let asked = async {
            let mut stream = match kept.take() {
                Some(stream) => stream,
                None if proxied => TcpStream::connect(shared.to).await?,
                None => shared.connect(network, host).await?,
            };
            // Whoever is turned away early may close while we still write: its answer counts.
            let _ = stream.write_all(&request).await;
            let read = stream.read(&mut answer).await?;
            std::io::Result::Ok((stream, read))
        };
        let asked = tokio::time::timeout(PATIENCE, asked).await;
        let mut attacked = shared.attacked.borrow_mut();
        attacked.sent += 1;
        match asked {
            Ok(Ok((stream, read))) if read > 12 => {
                let said = &answer[..read];
                match &said[9..12] {
                    b"202" => attacked.taken += event,
                    b"429" | b"503" => attacked.limited += 1,
                    _ => attacked.refused += 1,
                }
                let closes = memchr::memmem::find(said, b"connection: close").is_some();
                // Only a small answer to a small request is sure to be all of it.
                kept = (kind == Kind::Flood && !closes).then_some(stream);
            }
            _ => {
                attacked.closed += 1;
                attacked.unsure += event;
            }
        }
    }
}

/// One slow connection after the other.
async fn slow(shared: Rc<Shared>, number: usize, networks: u8) {
    let (first, drip) = SLOW[number % SLOW.len()];
    let network = (number % usize::from(networks)) as u8;
    let host = (number / usize::from(networks) % 250) as u8;
    while !shared.ends() {
        let Ok(mut stream) = shared.connect(network, host).await else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        let born = Instant::now();
        shared.slow_open.set(shared.slow_open.get() + 1);
        {
            let mut attacked = shared.attacked.borrow_mut();
            attacked.slow_opened += 1;
            attacked.slow_open_max = attacked.slow_open_max.max(shared.slow_open.get());
        }
        let mut some = [0; 512];
        let mut open = stream.write_all(first).await.is_ok();
        while open && !shared.ends() {
            open = match tokio::time::timeout(DRIP, stream.read(&mut some)).await {
                Ok(read) => read.is_ok_and(|read| read > 0),
                Err(_) => stream.write_all(drip).await.is_ok(),
            };
        }
        shared.slow_open.set(shared.slow_open.get() - 1);
        {
            let mut attacked = shared.attacked.borrow_mut();
            attacked.slow_closed += u64::from(!open);
            attacked.slow_life_s_max = attacked.slow_life_s_max.max(born.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Attacked {
    /// The good traffic's totals with the attackers' sound events, which the store's books hold too.
    pub fn with(&self, totals: &Totals) -> Totals {
        let mut all = totals.clone();
        all.sent += self.taken + self.unsure;
        all.accepted += self.taken;
        all.unanswered += self.unsure;
        all
    }

    /// What has to be true of an attack that was one, and was held off.
    pub fn judge(&self, attack: &Attack) -> Vec<Finding> {
        let say = |holds: bool, what: String| Finding { holds, what };
        vec![
            say(
                self.limited > 0 && self.refused > 0,
                format!(
                    "{} networks sent {} requests: {} events taken, {} turned away, {} refused, {} closed",
                    attack.networks, self.sent, self.taken, self.limited, self.refused, self.closed
                ),
            ),
            say(
                self.slow_open_max >= attack.slow_connections as u64 * 9 / 10 && self.slow_closed > 0,
                format!(
                    "slow connections: {} at one time, {} opened, {} closed by the collector",
                    self.slow_open_max, self.slow_opened, self.slow_closed
                ),
            ),
            say(
                self.slow_life_s_max <= attack.slow_ends_within_s,
                format!(
                    "none of them lived longer than {:.1} s (bound {} s)",
                    self.slow_life_s_max, attack.slow_ends_within_s
                ),
            ),
        ]
    }
}

/// What has to be true of the good traffic beside it.
pub fn judge_good(
    bound: &Bound,
    totals: &Totals,
    p99_ms: f64,
    memory_bytes_peak: u64,
    same_process: bool,
) -> Vec<Finding> {
    let say = |holds: bool, what: String| Finding { holds, what };
    let missed = totals.refused + totals.unanswered + totals.mismatched + totals.never_sent;
    let memory_mb = memory_bytes_peak as f64 / 1e6;
    vec![
        say(
            missed == 0,
            format!("every good request was answered as it deserves ({missed} events were not)"),
        ),
        say(
            p99_ms < bound.p99_ms,
            format!("p99 of good requests {p99_ms:.2} ms (bound {} ms)", bound.p99_ms),
        ),
        say(
            memory_mb < bound.memory_mb,
            format!("memory of the collector {memory_mb:.0} MB at most (bound {} MB)", bound.memory_mb),
        ),
        say(same_process, "the collector was not started again".to_owned()),
    ]
}
