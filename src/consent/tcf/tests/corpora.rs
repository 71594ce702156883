//! Strings that others wrote, with what other decoders make of them. Read where the folder is there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::segments::Vendors;
use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpora/tcf");

/// First bit and length of the fields, as the standard's table tells them; the writer counts widths.
const PLACES: [(Fixed, usize, usize); 16] = [
    (Fixed::Version, 0, 6),
    (Fixed::Created, 6, 36),
    (Fixed::LastUpdated, 42, 36),
    (Fixed::CmpId, 78, 12),
    (Fixed::CmpVersion, 90, 12),
    (Fixed::Screen, 102, 6),
    (Fixed::Language, 108, 12),
    (Fixed::VendorList, 120, 12),
    (Fixed::Policy, 132, 6),
    (Fixed::ServiceSpecific, 138, 1),
    (Fixed::Texts, 139, 1),
    (Fixed::Features, 140, 12),
    (Fixed::Purposes, 152, 24),
    (Fixed::Interests, 176, 24),
    (Fixed::PurposeOne, 200, 1),
    (Fixed::Country, 201, 12),
];

fn rows(file: &str) -> Vec<Value> {
    match std::fs::read_to_string(format!("{FOLDER}/{file}.jsonl")) {
        Ok(text) => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        Err(_) => {
            println!("skipped: there is no {file} of the check corpora");
            Vec::new()
        }
    }
}

fn tc(row: &Value) -> &str {
    row["tc"].as_str().unwrap()
}

fn numbers(list: &Value) -> Option<BTreeSet<u64>> {
    Some(list.as_array()?.iter().map(|number| number.as_u64().unwrap()).collect())
}

fn ones(purposes: u32) -> BTreeSet<u64> {
    (1..=24).filter(|purpose| purposes >> (purpose - 1) & 1 == 1).collect()
}

fn field_ones(core: &Core<'_>, at: usize, count: usize) -> BTreeSet<u64> {
    let ones = (0..count).filter(|place| core.field(at + place, 1) == 1);
    ones.map(|place| place as u64 + 1).collect()
}

fn vendors(list: Vendors<'_>) -> BTreeSet<u64> {
    let all: BTreeSet<u64> = match list {
        Vendors::Field { max, .. } => (1..=max).filter(|&id| list.contains(id)).map(u64::from).collect(),
        Vendors::Ranges(ranges) => {
            ranges.entries().flat_map(|(first, last)| first..=last).map(u64::from).collect()
        }
    };
    assert!((0..2000).all(|id| list.contains(id) == all.contains(&id.into())));
    all
}

fn letters(two: u64) -> String {
    [two >> 6, two & 63].map(|letter| char::from(b'A' + letter as u8)).iter().collect()
}

fn updated_ms(row: &Value) -> i64 {
    match (&row["lastUpdated"], row["lastUpdated_epoch"].as_i64()) {
        (Value::String(time), _) => at(time),
        (_, Some(seconds)) => seconds * 1000,
        _ => panic!("no time in {row}"),
    }
}

#[test]
fn agreed_strings_decode_field_for_field() {
    for row in rows("tc_agreed") {
        let string = TcString::read(tc(&row)).unwrap_or_else(|| panic!("malformed: {}", tc(&row)));
        let TcString { core, others } = string;
        let same = |name: &str, ours: Value| match &row[name] {
            Value::Null => {}
            theirs => assert_eq!(*theirs, ours, "{name} of {}", tc(&row)),
        };
        let same_set = |name: &str, ours: BTreeSet<u64>| {
            assert_eq!(numbers(&row[name]).unwrap_or_else(|| ours.clone()), ours, "{name} of {}", tc(&row));
        };
        same("cmpId", core.cmp_id().into());
        same("policyVersion", core.policy_version().into());
        same("vendorListVersion", core.field(120, 12).into());
        same("isServiceSpecific", core.is_service_specific().into());
        // One string has small letters, which the decoders make large.
        same("publisherCC", letters(core.field(201, 12)).to_uppercase().into());
        same("purposeOneTreatment", (core.field(200, 1) == 1).into());
        // One of the decoders drops the tenths of a second.
        let drops = row["lastUpdated"].is_null();
        let ours = core.last_updated_ms();
        assert_eq!(updated_ms(&row), if drops { ours - ours % 1000 } else { ours }, "{}", tc(&row));
        same_set("specialFeatures", field_ones(&core, 140, 12));
        same_set("purposeConsents", ones(core.purposes()));
        assert_eq!(ones(core.purposes()), field_ones(&core, 152, 24));
        same_set("purposeLI", field_ones(&core, 176, 24));
        same_set("vendorConsents", vendors(core.consents));
        same_set("vendorLI", vendors(core.interests));
        same_set("vendorsDisclosed", others.disclosed.map(vendors).unwrap_or_default());
        same_set(
            "publisherConsents",
            others.publisher.map(|publisher| ones(publisher.purposes())).unwrap_or_default(),
        );
        restrictions_are_the_same(&row, &core);
        expectations_hold(&row, &core);
        let draft = Draft::well_formed(tc(&row)).unwrap();
        PLACES.into_iter().for_each(|(field, at, count)| assert_eq!(draft.get(field), core.field(at, count)));
        assert!(letters(core.field(108, 12)).bytes().all(|letter| letter.is_ascii_uppercase()));
    }
}

fn restrictions_are_the_same(row: &Value, core: &Core<'_>) {
    let Some(theirs) = row["publisherRestrictions"].as_array() else { return };
    let theirs: BTreeSet<_> = theirs
        .iter()
        .flat_map(|one| {
            let (purpose, kind) = (one["purposeId"].as_u64().unwrap(), one["type"].as_u64().unwrap());
            numbers(&one["vendors"]).unwrap().into_iter().map(move |vendor| (purpose, kind, vendor))
        })
        .collect();
    let ours: BTreeSet<_> = core
        .restrictions
        .entries_for(0)
        .flat_map(|(one, _)| {
            let vendors = one.vendors.entries().flat_map(|(first, last)| first..=last);
            vendors.map(move |vendor| (u64::from(one.purpose), u64::from(one.kind), u64::from(vendor)))
        })
        .collect();
    assert_eq!(theirs, ours, "restrictions of {}", tc(row));
}

/// The rows' own conclusions are of the core's purposes alone.
fn expectations_hold(row: &Value, core: &Core<'_>) {
    let all_in = |purposes: u32| core.purposes() & purposes == purposes;
    assert_eq!(row["expect_p1_8_9_10"], all_in(PURPOSES), "{}", tc(row));
    assert_eq!(row["expect_p1_7_8_9_10"], all_in(PURPOSES | 1 << 6), "{}", tc(row));
    assert_eq!(row["expect_p1_and_p8"], all_in(0b1000_0001), "{}", tc(row));
    let now_ms = core.last_updated_ms() + 30 * 24 * HOUR_MS;
    let valid = core.is_service_specific() && core.policy_version() >= 4 && core.cmp_id() > 1;
    let reading = match (valid, all_in(PURPOSES)) {
        (false, _) => Reading::Malformed,
        (true, true) => Reading::Grant,
        (true, false) => Reading::Deny,
    };
    assert_eq!(read(tc(row), &CORE, now_ms), reading, "{}", tc(row));
}

#[test]
fn what_others_disagree_on_or_reject_is_never_granted() {
    let rows = [rows("tc_disputed"), rows("tc_rejected_by_all")].concat();
    for row in rows {
        let updated_ms = TcString::read(tc(&row)).map_or(NOW_MS, |tc| tc.core.last_updated_ms());
        for now_ms in [NOW_MS, updated_ms, updated_ms + 24 * HOUR_MS] {
            for vendor_id in (0..=1000).map(Some).chain([None]) {
                for accept_core in [false, true] {
                    let terms = Terms { vendor_id, purposes: 1, accept_core };
                    assert_ne!(read(tc(&row), &terms, now_ms), Reading::Grant, "{}", tc(&row));
                }
            }
        }
    }
}

#[test]
fn sections_2_of_gpp_strings_that_both_decoders_read_are_well_formed() {
    for row in rows("gpp_two_decoders") {
        let (gpp, js) = (row["gpp"].as_str().unwrap(), &row["js"]["sections"]["tcfeuv2"]);
        // In all of them it comes first, where it is at all.
        let Some(tc) = gpp.split('~').nth(1).filter(|_| js.is_object()) else { continue };
        let core = TcString::read(tc).unwrap_or_else(|| panic!("malformed: {tc}")).core;
        assert_eq!(js["CmpId"], core.cmp_id());
        assert_eq!(js["PolicyVersion"], core.policy_version());
        assert_eq!(js["CmpVersion"], core.field(90, 12));
        assert_eq!(js["ConsentScreen"], core.field(102, 6));
        assert_eq!(js["ConsentLanguage"], letters(core.field(108, 12)));
    }
}

/// Strings of the corpus, and the same made valid: what the corpus has of policy 2 could never be granted.
fn strings_and_times() -> Vec<(String, i64)> {
    let mut strings = Vec::new();
    for row in rows("tc_agreed") {
        let updated_ms = updated_ms(&row);
        let draft = Draft::well_formed(tc(&row)).unwrap();
        let valid =
            draft.with(Fixed::Policy, 4).with(Fixed::ServiceSpecific, 1).with(Fixed::CmpId, 10).write(24);
        strings.push((tc(&row).to_owned(), updated_ms));
        strings.push((valid, updated_ms));
    }
    strings
}

/// Terms that a string meets, as far as it meets any: its own purposes, and a vendor of its own.
fn terms_of(tc: &str) -> [Terms; 3] {
    let TcString { core, others } = TcString::read(tc).unwrap();
    let publisher = others.publisher.map_or(1, |publisher| publisher.purposes());
    let vendor_id = vendors(core.consents).last().map(|&id| id as u16);
    [
        Terms { purposes: core.purposes().max(1), ..CORE },
        Terms { purposes: publisher.max(1), ..PUBLISHER },
        Terms { vendor_id: vendor_id.or(Some(1)), purposes: core.purposes().max(1), accept_core: false },
    ]
}

/// Reads a damaged string. Where that is a grant, the damage has to have made another string that grants.
fn damaged(tc: &str, terms: &Terms, updated_ms: i64) {
    if read(tc, terms, updated_ms) == Reading::Grant {
        let draft = Draft::well_formed(tc).unwrap_or_else(|| panic!("not well-formed, and granted: {tc}"));
        assert!(draft.agrees(terms), "{tc}");
        let age_ms = updated_ms - draft.get(Fixed::LastUpdated) as i64 * 100;
        assert!((-24 * HOUR_MS..=397 * 24 * HOUR_MS).contains(&age_ms), "{tc}");
    }
}

#[test]
fn agreed_strings_cut_anywhere_are_granted_only_where_whole() {
    let mut grants = 0;
    for (tc, updated_ms) in strings_and_times() {
        let terms = terms_of(&tc);
        grants += terms.iter().filter(|terms| read(&tc, terms, updated_ms) == Reading::Grant).count();
        for cut in 0..tc.len() {
            terms.iter().for_each(|terms| damaged(&tc[..cut], terms, updated_ms));
        }
        // Cut inside of what it says, it says nothing.
        let said = Draft::well_formed(&tc).unwrap().core_bits().len();
        assert!((0..said / 6).all(|cut| TcString::read(&tc[..cut]).is_none()), "{tc}");
    }
    assert!(grants == 0 || grants > 300, "most strings meet their own terms, {grants}");
}

#[test]
fn agreed_strings_with_any_bit_flipped_are_granted_only_where_well_formed() {
    for (turn, (tc, updated_ms)) in strings_and_times().into_iter().enumerate() {
        let terms = terms_of(&tc)[turn / 2 % 3];
        // The corpus' own strings at every bit, those made valid at every fifth, which meets all kinds of damage.
        for place in (0..tc.len() * 13).step_by(if turn % 2 == 0 { 1 } else { 5 }) {
            let (at, bit) = (place / 13, place % 13);
            // Six bits of the value, and seven of the character where that leaves the alphabet or makes a segment.
            let flipped = match (draft::bits(&tc[at..=at]), bit) {
                (Some(bits), 0..6) => {
                    text(&format!("{:06b}", u8::from_str_radix(&bits, 2).unwrap() ^ 1 << bit), 6)
                }
                (None, 0..6) => continue,
                _ => char::from(tc.as_bytes()[at] ^ 1 << (bit - 6)).to_string(),
            };
            if bit > 5 && draft::bits(&flipped).is_some() {
                continue;
            }
            damaged(&format!("{}{flipped}{}", &tc[..at], &tc[at + 1..]), &terms, updated_ms);
        }
    }
}
