//! Admission: how much one client network, one site and everybody together may send.
//!
//! Invariant: a network is a /24 or a /48, remembered as a hash under a key that this process drew and never writes.
//! Invariant: what is remembered has a bound; a network that has been quiet for long enough to have all of its burst again
//! is forgotten, since it cannot be told from one that never came.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debts::Debts;
use super::network::NetworkKey;
use super::{ClientAddress, Refusal};
use crate::config::Fault;

/// Requests between two looks at how many networks are remembered.
const LOOK_EVERY: u32 = 1024;
/// A body counts as one more request for each of these bytes, decompressed: so a bomb costs its network what it costs us.
pub const CHARGED_BYTES: usize = 64 * 1024;
/// Above `networks_max` newcomers share this many places.
const SHARED_PLACES: u64 = 1 << 14;

/// `[limits]` as written. A count of 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFile {
    /// Requests in a second that one client network (a /24 or /48) may go on sending.
    pub requests_per_network_and_s_max: u32,
    /// Requests that it may send at once after a quiet time.
    pub requests_per_network_burst_max: u32,
    /// Requests in a second that one site may go on getting.
    pub requests_per_site_and_s_max: u32,
    /// Requests that it may get at once after a quiet time.
    pub requests_per_site_burst_max: u32,
    /// Requests in a second that the collector goes on taking.
    pub requests_per_s_max: u32,
    /// Requests that it takes at once after a quiet time.
    pub requests_burst_max: u32,
    /// Connections that one client network may have open. Trusted proxies are not counted.
    pub connections_per_network_max: u32,
    /// Networks that are remembered at one time; above it newcomers share places.
    pub networks_max: usize,
    /// Networks that have no limit of their own: those of this machine, of one's own back ends, of a known large NAT.
    #[schemars(with = "Vec<String>")]
    pub unlimited_networks: Vec<IpNet>,
    /// A connection without a request is closed after this time, in milliseconds.
    pub idle_timeout_ms: u64,
    /// A connection whose other end takes nothing of an answer for this time is closed, in milliseconds.
    pub write_timeout_ms: u64,
    /// A connection ends after this time, in seconds, with the request that it is at. Its sender simply opens another one.
    pub connection_age_s_max: u64,
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self {
            requests_per_network_and_s_max: 200,
            requests_per_network_burst_max: 2_000,
            requests_per_site_and_s_max: 100_000,
            requests_per_site_burst_max: 200_000,
            requests_per_s_max: 200_000,
            requests_burst_max: 400_000,
            connections_per_network_max: 1_000,
            networks_max: 50_000,
            unlimited_networks: vec![
                IpNet::new_assert([127, 0, 0, 1].into(), 32),
                IpNet::new_assert(std::net::Ipv6Addr::LOCALHOST.into(), 128),
            ],
            idle_timeout_ms: 60_000,
            write_timeout_ms: 10_000,
            connection_age_s_max: 600,
        }
    }
}

impl LimitsFile {
    /// Checks what the values have to do with each other: the faults, with the keys of the whole configuration.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (rate_name, rate, burst_name, burst) in [
            (
                "requests_per_network_and_s_max",
                self.requests_per_network_and_s_max,
                "requests_per_network_burst_max",
                self.requests_per_network_burst_max,
            ),
            (
                "requests_per_site_and_s_max",
                self.requests_per_site_and_s_max,
                "requests_per_site_burst_max",
                self.requests_per_site_burst_max,
            ),
            ("requests_per_s_max", self.requests_per_s_max, "requests_burst_max", self.requests_burst_max),
        ] {
            if rate > 0 && burst == 0 {
                let what = format!("is 0, and {rate_name} is not: nothing could come in");
                let remedy = format!("write a number above 0, or {rate_name} = 0 for no limit");
                faults.push(Fault::new(burst_name, what, remedy).with(rate_name));
            }
        }
        for (name, value) in [
            ("networks_max", self.networks_max as u64),
            ("idle_timeout_ms", self.idle_timeout_ms),
            ("write_timeout_ms", self.write_timeout_ms),
            ("connection_age_s_max", self.connection_age_s_max),
        ] {
            if value == 0 {
                let remedy = "write a number above 0, or take it out for the default";
                faults.push(Fault::new(name, "is 0", remedy));
            }
        }
        faults.into_iter().map(|fault| fault.under("limits")).collect()
    }
}

impl std::fmt::Display for LimitsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = |count: u32| if count == 0 { "any number of".to_owned() } else { count.to_string() };
        write!(
            f,
            "Limits: {} requests a second of one network, {} to one site, {} in all; {} connections of one network.",
            said(self.requests_per_network_and_s_max),
            said(self.requests_per_site_and_s_max),
            said(self.requests_per_s_max),
            said(self.connections_per_network_max)
        )
    }
}

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One client network's.
    Network,
    /// One site's.
    Site,
    /// Everybody's.
    All,
}

impl Scope {
    /// The policy's name in the `RateLimit` headers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Site => "site",
            Self::All => "all",
        }
    }
}

/// A limit that was reached, with all that the sender is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// Whose.
    pub scope: Scope,
    /// Requests in the window.
    pub requests_max: u32,
    /// The window, in seconds.
    pub window_s: u32,
    /// Seconds after which to try again.
    pub wait_s: u32,
}

impl Limited {
    /// One of each scope, as a metric names it.
    pub const fn of(scope: Scope) -> Self {
        Self { scope, requests_max: 0, window_s: 0, wait_s: 1 }
    }

    /// `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10, section 3).
    pub fn policy(&self) -> String {
        format!("\"{}\";q={};w={}", self.scope.word(), self.requests_max, self.window_s)
    }

    /// `RateLimit` (section 4): nothing is left, until when.
    pub fn state(&self) -> String {
        format!("\"{}\";r=0;t={}", self.scope.word(), self.wait_s)
    }
}

/// Time since the first look at it.
#[derive(Debug, Clone, Default)]
struct Elapsed;

impl Clock for Elapsed {
    type Instant = Duration;

    fn now(&self) -> Duration {
        static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGUN.elapsed()
    }
}

type Middleware = NoOpMiddleware<Duration>;

/// One limit with its burst.
struct Bucket<L> {
    limiter: L,
    told: Limited,
}

type Direct = Bucket<RateLimiter<NotKeyed, InMemoryState, Elapsed, Middleware>>;
type Keyed = Bucket<RateLimiter<u64, DashMapStateStore<u64, AsIs>, Elapsed, Middleware>>;

/// A network is a hash already: the map need not hash it once more.
#[derive(Debug, Clone, Copy, Default)]
struct AsIs(u64);

impl std::hash::BuildHasher for AsIs {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl std::hash::Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used for numbers.
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl<L> Bucket<L> {
    /// `None` where there is no limit.
    fn new(scope: Scope, per_s: u32, burst: u32, limiter: impl FnOnce(Quota) -> L) -> Option<Self> {
        let (rate, most) = (NonZeroU32::new(per_s)?, NonZeroU32::new(burst)?);
        let told = Limited { scope, requests_max: burst, window_s: burst.div_ceil(per_s).max(1), wait_s: 1 };
        Some(Self { limiter: limiter(Quota::per_second(rate).allow_burst(most)), told })
    }

    fn refusal(&self, wait: Duration) -> Refusal {
        let wait_s = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
        Refusal::Limited(Limited { wait_s, ..self.told })
    }
}

fn direct(scope: Scope, per_s: u32, burst: u32) -> Option<Direct> {
    Bucket::new(scope, per_s, burst, |quota| RateLimiter::direct_with_clock(quota, Elapsed))
}

impl Direct {
    fn admit(&self) -> Result<(), Refusal> {
        self.limiter.check().map_err(|until| self.refusal(until.wait_time_from(Elapsed.now())))
    }
}

impl Keyed {
    /// Takes as many of `count` requests as are left, and gives how many were not.
    fn take(&self, place: u64, count: u32) -> u32 {
        let (mut left, mut more) = (count, count);
        // All or nothing is taken at one time: what is not there is tried by halves.
        while let Some(some) = NonZeroU32::new(more) {
            match self.limiter.check_key_n(&place, some) {
                Ok(Ok(())) => left -= more,
                // Not so many are left, or so many never are.
                Ok(Err(_)) | Err(_) => more /= 2,
            }
            more = more.min(left);
        }
        left
    }

    /// How long it takes until so many requests are there.
    fn time_of(&self, requests: u32) -> Duration {
        Duration::from_secs(u64::from(self.told.window_s)) * requests / self.told.requests_max.max(1)
    }
}

/// The limits of requests, and who has used how much of them.
pub struct Admission {
    key: NetworkKey,
    unlimited: Vec<IpNet>,
    networks: Option<Keyed>,
    debts: Debts,
    networks_max: usize,
    since_look: AtomicU32,
    crowded: AtomicBool,
    sites: HashMap<String, Direct>,
    all: Option<Direct>,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admission")
    }
}

impl Admission {
    /// Takes the limits; `sites` with what each may go on getting in a second, where it has a limit of its own.
    pub fn new<'a>(
        limits: &LimitsFile,
        sites: impl Iterator<Item = (&'a str, Option<u32>)>,
        key: NetworkKey,
    ) -> Self {
        let network = (limits.requests_per_network_and_s_max, limits.requests_per_network_burst_max);
        let of_site = |own: Option<u32>| match own {
            // In proportion, so that a site with a limit of its own has a burst of its own.
            Some(per_s) => {
                let default = u64::from(limits.requests_per_site_and_s_max.max(1));
                let burst = u64::from(per_s) * u64::from(limits.requests_per_site_burst_max) / default;
                (per_s, u32::try_from(burst).unwrap_or(u32::MAX).max(per_s))
            }
            None => (limits.requests_per_site_and_s_max, limits.requests_per_site_burst_max),
        };
        let site = |(id, own): (&str, Option<u32>)| {
            let (per_s, burst) = of_site(own);
            Some((id.to_owned(), direct(Scope::Site, per_s, burst)?))
        };
        Self {
            key,
            unlimited: limits.unlimited_networks.clone(),
            networks: Bucket::new(Scope::Network, network.0, network.1, |quota| {
                RateLimiter::new(quota, DashMapStateStore::with_hasher(AsIs::default()), Elapsed)
            }),
            debts: Debts::default(),
            networks_max: limits.networks_max,
            since_look: AtomicU32::new(0),
            crowded: AtomicBool::new(false),
            sites: sites.filter_map(site).collect(),
            all: direct(Scope::All, limits.requests_per_s_max, limits.requests_burst_max),
        }
    }

    /// Whether a client has no limit of its own.
    pub fn is_unlimited(&self, client: ClientAddress) -> bool {
        self.unlimited.iter().any(|network| network.contains(&client.expose()))
    }

    /// Counts a request of a client. The error is the answer.
    pub fn admit(&self, client: ClientAddress) -> Result<(), Refusal> {
        // The network's own limit first: one network must not use up what all have.
        if let Some(networks) = &self.networks
            && !self.is_unlimited(client)
        {
            if self.since_look.fetch_add(1, Ordering::Relaxed) >= LOOK_EVERY {
                self.since_look.store(0, Ordering::Relaxed);
                self.tidy();
            }
            let place = self.place(client);
            let owed = self.debts.settle(place, |owed| networks.take(place, owed));
            if owed > 0 {
                return Err(networks.refusal(networks.time_of(owed)));
            }
            let checked = networks.limiter.check_key(&place);
            checked.map_err(|until| networks.refusal(until.wait_time_from(Elapsed.now())))?;
        }
        self.all.as_ref().map_or(Ok(()), Direct::admit)
    }

    /// Counts a body that took work: one request more for each [`CHARGED_BYTES`] of it. What is not left now is owed, up to
    /// a whole burst.
    pub fn charge(&self, client: ClientAddress, body_bytes: usize) {
        let Some(networks) = self.networks.as_ref().filter(|_| body_bytes >= CHARGED_BYTES) else { return };
        if self.is_unlimited(client) {
            return;
        }
        let place = self.place(client);
        let more = u32::try_from(body_bytes / CHARGED_BYTES).unwrap_or(u32::MAX);
        let most = networks.told.requests_max;
        self.debts.owe(place, networks.take(place, more.min(most)), most, self.networks_max);
    }

    fn place(&self, client: ClientAddress) -> u64 {
        let place = self.key.network(client).place();
        if self.crowded.load(Ordering::Relaxed) {
            // Spread over all bits again, of which the map looks at the upper ones.
            return (place % SHARED_PLACES).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        place
    }

    /// Counts a request to a site. The error is the answer.
    pub fn admit_to(&self, site: &str) -> Result<(), Refusal> {
        self.sites.get(site).map_or(Ok(()), Direct::admit)
    }

    /// Forgets networks that have been quiet, when there are many; also to be called now and then.
    pub fn tidy(&self) {
        let Some(networks) = &self.networks else { return };
        self.debts.forget(Duration::from_secs(u64::from(networks.told.window_s)));
        if networks.limiter.len() * 2 > self.networks_max {
            networks.limiter.retain_recent();
            networks.limiter.shrink_to_fit();
        }
        self.crowded.store(networks.limiter.len() > self.networks_max, Ordering::Relaxed);
    }

    /// Networks that are remembered.
    pub fn networks(&self) -> usize {
        self.networks.as_ref().map_or(0, |networks| networks.limiter.len())
    }
}

#[cfg(test)]
#[path = "admit/tests.rs"]
mod tests;
