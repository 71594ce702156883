//! Hashes that stand for a visitor, a visit and an event, under the site's key of the day.

use std::borrow::Cow;
use std::net::IpAddr;

use super::salt::{Keys, SiteKey};
use super::{PseudonymousEvent, Pseudonyms, ScrubbedEvent, SubjectKeys};
use crate::accept::{AGENT_BYTES_MAX, ClientAddress};
use crate::beacon::{Identifying, Time};
use crate::clock::{DAY_MS, day_of};
use crate::site::Site;

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

/// How long after midnight an event may be one that was first sent before it.
const RESENT_MS_MAX: i64 = crate::clock::HOUR_MS;

/// Hashes address, User-Agent and ids of one request's events. Most of them are of one site, visitor and visit, which are
/// hashed once.
pub struct Pseudonymiser<'k, 'a> {
    keys: &'k Keys,
    subjects: &'k SubjectKeys,
    today: Option<(&'a Site, SiteKey<'k>)>,
    visitor: Option<(SiteKey<'k>, ClientAddress, &'a str, u64)>,
    visit: Option<(SiteKey<'k>, &'a str, u64)>,
}

impl std::fmt::Debug for Pseudonymiser<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pseudonymiser").finish_non_exhaustive()
    }
}

impl<'k, 'a> Pseudonymiser<'k, 'a> {
    /// With the keys of the day of receipt, and of the day before.
    pub fn new(keys: &'k Keys, subjects: &'k SubjectKeys) -> Self {
        Self { keys, subjects, today: None, visitor: None, visit: None }
    }

    /// Hashes one event's. `None` where the keys of the day of receipt are not at hand.
    pub fn pseudonymise(&mut self, scrubbed: ScrubbedEvent<'a>) -> Option<PseudonymousEvent<'a>> {
        let ScrubbedEvent { site, grant, measures, content, place, raw } = scrubbed;
        let today = self.today(site, raw.received_at_ms)?;
        // A visit keeps the key of the day it began on, so that midnight does not cut it in two.
        let visit_began_ms = raw.visit_started_at.map(|Time(at_ms)| at_ms.saturating_add(raw.skew_ms));
        let age_ms = visit_began_ms.map(|began_ms| raw.received_at_ms.saturating_sub(began_ms));
        let of_visit = visit_began_ms
            .filter(|_| age_ms.is_some_and(|age_ms| (0..=DAY_MS).contains(&age_ms)))
            .filter(|&began_ms| day_of(began_ms) != day_of(raw.received_at_ms))
            .and_then(|began_ms| self.keys.of_day(&site.id, began_ms))
            .unwrap_or(today);
        // A visit id older than its 24 h is an identifier past its time.
        let over_age = age_ms.is_some_and(|age_ms| age_ms > DAY_MS);
        let visit = raw.visit_id.filter(|_| !over_age).map_or(0, |id| self.visit(of_visit, id));
        let event_id = raw.event_id.as_ref().map_or(0, |id| event(&today, id.expose()));
        // Sent before midnight and again after it, an event has an id under either day's key.
        let event_id_before = match &raw.event_id {
            Some(id) if raw.received_at_ms.rem_euclid(DAY_MS) < RESENT_MS_MAX => {
                let yesterday = self.keys.of_day(&site.id, raw.received_at_ms - DAY_MS);
                yesterday.map_or(0, |key| event(&key, id.expose()))
            }
            _ => 0,
        };
        let visitor = self.visitor(of_visit, raw.client, raw.sender.agent.expose());
        let subject = raw.subject.filter(|_| site.subjects);
        let subject = subject.map_or(0, |token| self.subjects.of_event(&site.id, token.expose()));
        let pseudonyms = Pseudonyms { visitor, visit, event_id, subject, event_id_before };
        let sender = raw.sender;
        Some(PseudonymousEvent {
            site,
            grant,
            measures,
            content,
            pseudonyms,
            restricted: false,
            place,
            sender,
        })
    }

    fn today(&mut self, site: &'a Site, received_at_ms: i64) -> Option<SiteKey<'k>> {
        match self.today {
            Some((of, key)) if std::ptr::eq(of, site) => Some(key),
            _ => {
                let key = self.keys.of_day(&site.id, received_at_ms)?;
                self.today = Some((site, key));
                Some(key)
            }
        }
    }

    fn visitor(&mut self, key: SiteKey<'k>, client: ClientAddress, agent: &'a str) -> u64 {
        match self.visitor {
            Some((of, from, by, hash)) if of.is(key) && from == client && by == agent => hash,
            _ => {
                let hash = visitor(&key, client.expose(), agent);
                self.visitor = Some((key, client, agent, hash));
                hash
            }
        }
    }

    fn visit(&mut self, key: SiteKey<'k>, id: Identifying<'a>) -> u64 {
        let id = match id.into_exposed() {
            Cow::Borrowed(id) => id,
            Cow::Owned(id) => return visit(&key, &id),
        };
        match self.visit {
            Some((of, before, hash)) if of.is(key) && before == id => hash,
            _ => {
                let hash = visit(&key, id);
                self.visit = Some((key, id, hash));
                hash
            }
        }
    }
}

#[cfg(test)]
mod tests;
