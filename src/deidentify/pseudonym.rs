//! Hashes that stand for a visitor, a visit and an event, under the site's key of the day.

use std::net::IpAddr;

use super::salt::SiteKey;
use crate::accept::AGENT_BYTES_MAX;

/// What a hash is for; keeps a visit's id from ever giving a visitor's hash.
#[derive(Clone, Copy)]
enum Domain {
    Visitor = 1,
    Visit = 2,
    Event = 3,
}

/// Room for the longest parts: an id of 256 bytes, or a network and a User-Agent of 512, each behind its length.
const INPUT_BYTES_MAX: usize = 1 + 4 + 16 + 4 + AGENT_BYTES_MAX;

/// Each part goes in behind its length, so that no two lists of parts give the same input. Hashed in one piece, which
/// costs less than a hasher that is fed.
///
/// Neither input nor state is zeroized: they lie on a stack that the next calls overwrite, in a process without core
/// dumps.
fn hash(key: &SiteKey, domain: Domain, parts: [&[u8]; 2]) -> [u8; 16] {
    let mut input = [0; INPUT_BYTES_MAX];
    input[0] = domain as u8;
    let mut length = 1;
    for part in parts {
        // Longer parts do not come this far; if they did, their beginning and their length would count.
        let kept = &part[..part.len().min(INPUT_BYTES_MAX.saturating_sub(length + 8))];
        input[length..length + 4].copy_from_slice(&(part.len() as u32).to_le_bytes());
        input[length + 4..length + 4 + kept.len()].copy_from_slice(kept);
        length += 4 + kept.len();
    }
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::keyed_hash(key.bytes(), &input[..length]).as_bytes()[..16]);
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
