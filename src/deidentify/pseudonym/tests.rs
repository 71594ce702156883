//! Who is the same visitor, and who never is.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::super::salt::{Keys, SaltStore, Salts};
use super::*;
use crate::clock::{DAY_MS, HOUR_MS};

const NOON: i64 = 20_000 * DAY_MS + 12 * HOUR_MS;

/// Keys of two days for two sites.
static KEYS: LazyLock<Arc<Keys>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let sites = vec!["shop".into(), "blog".into()];
    let salts = Salts::open(dir.path(), SaltStore::Memory, sites, NOON).unwrap();
    salts.keys(NOON + DAY_MS).unwrap()
});

fn of(site: &str, at_ms: i64, address: IpAddr, agent: &str) -> u64 {
    visitor(&KEYS.of_day(site, at_ms).unwrap(), address, agent)
}

fn shop(address: IpAddr, agent: &str) -> u64 {
    of("shop", NOON, address, agent)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits))),
    ]
}

/// What counts of an address.
fn network(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}

proptest! {
    #[test]
    fn the_same_network_and_agent_are_the_same_visitor_and_no_other(
        one in address(), two in address(), first in ".{0,40}", second in ".{0,40}",
    ) {
        let same = network(one) == network(two) && first == second;
        prop_assert_eq!(shop(one, &first) == shop(two, &second), same);
    }

    /// Bytes that move from one part into the other make another input: each stands behind its length.
    #[test]
    fn nothing_collides_by_concatenation(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0_usize..64, other in 0_usize..64) {
        let key = KEYS.of_day("shop", NOON).unwrap();
        let (cut, other) = (cut.min(bytes.len()), other.min(bytes.len()));
        let of = |cut: usize| hash(&key, Domain::Visitor, [&bytes[..cut], &bytes[cut..]]);
        prop_assert_eq!(of(cut) == of(other), cut == other);
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address(bits in any::<u32>(), agent in ".{0,40}") {
        let plain = Ipv4Addr::from(bits);
        prop_assert_eq!(shop(plain.into(), &agent), shop(plain.to_ipv6_mapped().into(), &agent));
    }

    #[test]
    fn a_household_is_one_network(prefix in any::<u64>(), one in any::<u64>(), two in any::<u64>(), agent in ".{0,40}") {
        // The mapped prefix is IPv4's.
        prop_assume!(prefix != 0);
        let at = |prefix: u64, host: u64| IpAddr::V6(Ipv6Addr::from(u128::from(prefix) << 64 | u128::from(host)));
        prop_assert_eq!(shop(at(prefix, one), &agent), shop(at(prefix, two), &agent));
        prop_assert_ne!(shop(at(prefix, one), &agent), shop(at(prefix ^ 1, one), &agent));
    }

    #[test]
    fn another_site_or_day_is_another_visitor(address in address(), agent in ".{0,40}") {
        let here = shop(address, &agent);
        prop_assert_ne!(here, of("blog", NOON, address, &agent));
        prop_assert_ne!(here, of("shop", NOON + DAY_MS, address, &agent));
    }
}

#[test]
fn a_visit_an_event_and_a_visitor_of_one_name_have_nothing_in_common() {
    let key = KEYS.of_day("shop", NOON).unwrap();
    let (of_visit, of_event) = (visit(&key, "a"), event(&key, "a"));
    let of_visitor = low_u64(hash(&key, Domain::Visitor, [b"a", b""]));
    assert!(of_visit != of_visitor && of_visit != of_event as u64 && of_visitor != of_event as u64);
}
