//! Who is the same visitor, and who never is.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::super::salt::{SaltStore, Salts};
use super::*;
use crate::clock::{DAY_MS, HOUR_MS};
use crate::deidentify::scrub;

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

/// What is found once for a request is what is found for each event by itself.
#[test]
fn events_of_one_request_have_the_hashes_that_each_has_alone() {
    let file: crate::config::File = toml::from_str("[[site]]\nid = \"a\"\n[[site]]\nid = \"b\"\n").unwrap();
    let sites = file.resolve().unwrap().sites;
    let now_ms = 1_763_848_800_000;
    let mut events = Vec::new();
    for (site, visit, began_ms) in [
        ("a", "one", now_ms),
        ("a", "one", now_ms),
        ("a", "two", now_ms),
        ("b", "two", now_ms),
        ("a", "t\\u0077o", now_ms),
        ("a", "two", now_ms - 86_000_000),
        ("a", "one", now_ms),
    ] {
        events.push(format!(
            r#"{{"site":"{site}","type":"custom","name":"n","id":"e{}","visit":{{"id":"{visit}","started_at":{began_ms}}}}}"#,
            events.len()
        ));
    }
    let body =
        format!(r#"{{"sent_at":{now_ms},"consent":{{"analytics":true}},"events":[{}]}}"#, events.join(","));
    let request = http::Request::post("/v1/events").header("user-agent", "an agent");
    let request = request.body(http_body_util::Full::new(bytes::Bytes::from(body))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let limits = crate::accept::Limits::new(&crate::config::File::default());
    let client = "203.0.113.7".parse().unwrap();
    let submission = runtime.block_on(crate::accept::receive(request, client, now_ms, &limits)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let names = vec!["a".to_owned(), "b".to_owned()];
    let salts = Salts::open(dir.path(), SaltStore::Memory, names, now_ms - 86_400_000).unwrap();
    let (keys, subjects) = (salts.keys(now_ms).unwrap(), SubjectKeys::default());
    let scrubbed = || {
        let beacons = crate::beacon::read(&submission, &sites).unwrap();
        beacons.map(|beacon| scrub(crate::consent::gate(beacon.unwrap()).unwrap()).unwrap())
    };
    let of = |event: PseudonymousEvent<'_>| {
        let Pseudonyms { visitor, visit, event_id, .. } = event.pseudonyms;
        (visitor, visit, event_id)
    };
    let mut one = Pseudonymiser::new(&keys, &subjects);
    let together: Vec<_> = scrubbed().map(|event| of(one.pseudonymise(event).unwrap())).collect();
    let alone: Vec<_> = scrubbed()
        .map(|event| of(Pseudonymiser::new(&keys, &subjects).pseudonymise(event).unwrap()))
        .collect();
    assert_eq!(together, alone);
    assert_eq!((together[0].0, together[0].1), (together[6].0, together[6].1));
    assert_eq!(together[2].1, together[4].1, "written with an escape it is the same visit");
    assert!(
        together[0].1 != together[2].1 && together[2].1 != together[3].1 && together[2].1 != together[5].1
    );
    assert!(
        together[0].0 != together[3].0 && together[0].0 != together[5].0,
        "another site, another day's key"
    );
}
