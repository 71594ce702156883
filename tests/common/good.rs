//! Good traffic, to be sent beside bad one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::KeepAlive;

const EVENT: &str =
    r#"{"site":"demo","type":"pageview","url":"https://shop.example/","consent":{"analytics":true}}"#;
/// Between two requests of one sender.
const PAUSE: Duration = Duration::from_millis(5);

/// Senders, each with one connection and one request after the other, until they are ended. A request that is not
/// answered with 202 fails the test.
pub struct GoodTraffic {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Vec<Duration>>>,
}

/// How long the answers took.
pub struct Times(Vec<Duration>);

impl GoodTraffic {
    pub fn start(to: SocketAddr, senders: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sender = |_| {
            let stop = stop.clone();
            std::thread::spawn(move || send(to, &stop))
        };
        let senders = (0..senders).map(sender).collect();
        Self { stop, senders }
    }

    pub fn end(self) -> Times {
        self.stop.store(true, Ordering::Relaxed);
        let mut times: Vec<Duration> =
            self.senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
        times.sort_unstable();
        assert!(!times.is_empty());
        Times(times)
    }

    /// What it takes on this machine at this time, with nothing beside it.
    pub fn alone(to: SocketAddr, senders: usize) -> Times {
        let good = Self::start(to, senders);
        std::thread::sleep(Duration::from_secs(2));
        good.end()
    }
}

fn send(to: SocketAddr, stop: &AtomicBool) -> Vec<Duration> {
    let mut connection = KeepAlive::connect(to).unwrap();
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let (status, answer) = connection.post(EVENT).unwrap();
        assert_eq!(status, 202, "{answer}");
        times.push(begun.elapsed());
        std::thread::sleep(PAUSE);
    }
    times
}

impl Times {
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn p99(&self) -> Duration {
        self.0[self.0.len() * 99 / 100]
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let median = self.0[self.0.len() / 2];
        write!(f, "{} good requests, all answered, median {median:.1?}, p99 {:.1?}", self.0.len(), self.p99())
    }
}
