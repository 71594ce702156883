//! A client's network, as a hash: which one it was cannot be told from it.

use siphasher::sip::SipHasher13;

use super::ClientAddress;

/// A network's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(u64);

impl Network {
    /// Where it is remembered.
    pub(super) fn place(self) -> u64 {
        self.0
    }
}

/// The key of the networks' hashes, drawn once in a process.
#[derive(Clone)]
pub struct NetworkKey(SipHasher13);

impl std::fmt::Debug for NetworkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl NetworkKey {
    /// Draws a key.
    pub fn random() -> Self {
        let mut key = [0; 16];
        if getrandom::fill(&mut key).is_err() {
            // The standard library has drawn one for its maps.
            use std::hash::BuildHasher;
            let drawn = std::hash::RandomState::new();
            key[..8].copy_from_slice(&drawn.hash_one(0).to_le_bytes());
            key[8..].copy_from_slice(&drawn.hash_one(1).to_le_bytes());
        }
        Self(SipHasher13::new_with_key(&key))
    }

    /// The hash of a client's /24 or /48.
    pub fn network(&self, client: ClientAddress) -> Network {
        let mut bytes = [0; 8];
        match client.expose() {
            std::net::IpAddr::V4(address) => bytes[..3].copy_from_slice(&address.octets()[..3]),
            std::net::IpAddr::V6(address) => {
                bytes[0] = 6;
                bytes[2..].copy_from_slice(&address.octets()[..6]);
            }
        }
        Network(self.0.hash(&bytes))
    }
}
