//! How often subjects may ask: per network and in all.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::accept::ClientAddress;
use crate::config::File;

/// Networks that are remembered at one time; those that have been quiet are forgotten when there are more.
const NETWORKS_MAX: usize = 10_000;

/// Both limits. A network is remembered as a hash under a key that this process drew.
pub(super) struct Rate {
    key: [u8; 32],
    all: DefaultDirectRateLimiter,
    networks: DefaultKeyedRateLimiter<u64>,
}

impl std::fmt::Debug for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rate")
    }
}

impl Rate {
    pub(super) fn new(config: &File) -> Self {
        let mut key = [0; 32];
        // Without randomness the hashes are of a known key: still in memory alone, for a minute.
        let _ = getrandom::fill(&mut key);
        let quota = |per_min: u32| Quota::per_minute(NonZeroU32::new(per_min).unwrap_or(NonZeroU32::MIN));
        Self {
            key,
            all: RateLimiter::direct(quota(config.subject_requests_per_min_max)),
            networks: RateLimiter::keyed(quota(config.subject_requests_per_network_and_min_max)),
        }
    }

    /// Counts a request. The error is the seconds after which to try again.
    pub(super) fn admit(&self, client: ClientAddress) -> Result<(), u32> {
        let clock = DefaultClock::default();
        let seconds = |wait: std::time::Duration| u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
        // The network's own limit first: one network must not use up what all have.
        if self.networks.len() > NETWORKS_MAX {
            self.networks.retain_recent();
            self.networks.shrink_to_fit();
            if self.networks.len() > NETWORKS_MAX {
                return Err(60);
            }
        }
        let by_network = self.networks.check_key(&self.network(client));
        by_network.map_err(|until| seconds(until.wait_time_from(clock.now())))?;
        self.all.check().map_err(|until| seconds(until.wait_time_from(clock.now())))
    }

    /// A /24 or /48.
    fn network(&self, client: ClientAddress) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        match client.expose().to_canonical() {
            IpAddr::V4(address) => hasher.update(&address.octets()[..3]),
            IpAddr::V6(address) => hasher.update(&address.octets()[..6]),
        };
        let mut short = [0; 8];
        short.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_le_bytes(short)
    }
}
