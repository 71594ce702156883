//! How many connections one client network has open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Network;

/// The open connections of each network. It holds no more networks than there are connections.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<HashMap<Network, u32>>,
    /// 0: no limit.
    per_network_max: AtomicU32,
}

impl Connections {
    pub(super) fn limit(&self, per_network_max: u32) {
        self.per_network_max.store(per_network_max, Ordering::Relaxed);
    }

    /// Counts a connection for as long as the answer is kept; `None` where the network has as many as it may.
    pub(super) fn open(self: &Arc<Self>, network: Network) -> Option<Connected> {
        let max = self.per_network_max.load(Ordering::Relaxed);
        let mut all = self.lock();
        let open = all.entry(network).or_default();
        if max > 0 && *open >= max {
            return None;
        }
        *open += 1;
        Some(Connected { of: self.clone(), network })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Network, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One counted connection.
#[derive(Debug)]
pub struct Connected {
    of: Arc<Connections>,
    network: Network,
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut all = self.of.lock();
        let Some(open) = all.get_mut(&self.network) else { return };
        *open -= 1;
        if *open == 0 {
            all.remove(&self.network);
            // After a flood the table is as small again as before it.
            let len = all.len();
            if all.capacity() > 1024 && len * 4 < all.capacity() {
                all.shrink_to(len * 2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ClientAddress, NetworkKey};
    use super::*;

    #[test]
    fn exactly_at_the_limit_one_over_and_free_again() {
        let (connections, key) = (Arc::new(Connections::default()), NetworkKey::random());
        connections.limit(2);
        let network = |text: &str| key.network(text.parse::<ClientAddress>().unwrap());
        let first = connections.open(network("203.0.113.1")).unwrap();
        let _second = connections.open(network("203.0.113.2")).unwrap();
        assert!(connections.open(network("203.0.113.3")).is_none());
        assert!(connections.open(network("203.0.114.3")).is_some());
        drop(first);
        let third = connections.open(network("203.0.113.3")).unwrap();
        drop((third, _second));
        assert!(connections.lock().is_empty());
    }
}
