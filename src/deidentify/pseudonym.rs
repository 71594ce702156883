//! Hashes that stand for a visitor, a visit and an event, under the site's key of the day.

use std::net::IpAddr;

use super::salt::SiteKey;

/// What a hash is for; keeps a visit's id from ever giving a visitor's hash.
#[derive(Clone, Copy)]
enum Domain {
    Visitor = 1,
    Visit = 2,
    Event = 3,
}

/// Each part goes in behind its length, so that no two lists of parts give the same input.
///
/// The hasher is not zeroized: it lies on a stack that the next calls overwrite, in a process without core dumps, and
/// wiping it costs half a hash more (115 ns of 215) without reaching the copies that `finalize` makes.
fn hash(key: &SiteKey, domain: Domain, parts: [&[u8]; 2]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_keyed(key.bytes());
    hasher.update(&[domain as u8]);
    for part in parts {
        hasher.update(&(part.len() as u32).to_le_bytes());
        hasher.update(part);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

fn low_u64(hash: [u8; 16]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = hash;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// A visitor of one site on one day: the address (IPv6 cut to its /64, which is one household) and the User-Agent.
pub(super) fn visitor(key: &SiteKey, address: IpAddr, agent: &str) -> u64 {
    let (v4, v6);
    let network: &[u8] = match address.to_canonical() {
        IpAddr::V4(address) => {
            v4 = address.octets();
            &v4
        }
        IpAddr::V6(address) => {
            v6 = address.octets();
            &v6[..8]
        }
    };
    low_u64(hash(key, Domain::Visitor, [network, agent.as_bytes()]))
}

/// A visit of the browser's own numbering.
pub(super) fn visit(key: &SiteKey, id: &str) -> u64 {
    low_u64(hash(key, Domain::Visit, [id.as_bytes(), b""]))
}

/// An event of the sender's own numbering: the same id is the same event, and tells nothing else.
pub(super) fn event(key: &SiteKey, id: &str) -> u128 {
    u128::from_le_bytes(hash(key, Domain::Event, [id.as_bytes(), b""]))
}

#[cfg(test)]
mod tests;
