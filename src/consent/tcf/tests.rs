//! The rules of validity, each with its edge; the corpora and the slow reader are in the folder.

mod corpora;
pub(in crate::consent) mod draft;

use proptest::prelude::*;

use super::*;
use draft::{Draft, Fixed, List, Segment, text, written};

/// 2026-01-15T12:00:00Z.
pub(in crate::consent) const NOW_MS: i64 = 1_768_478_400_000;

const HOUR_MS: i64 = 3_600_000;

/// Purposes 1, 8, 9 and 10.
const PURPOSES: u32 = 0b11_1000_0001;

const VENDOR: Terms = Terms { vendor_id: Some(755), purposes: PURPOSES, accept_core: false };
const PUBLISHER: Terms = Terms { vendor_id: None, purposes: PURPOSES, accept_core: false };
pub(in crate::consent) const CORE: Terms = Terms { vendor_id: None, purposes: PURPOSES, accept_core: true };

fn good() -> Draft {
    Draft::new(NOW_MS - HOUR_MS)
}

fn vendor(draft: &Draft) -> Reading {
    read(&draft.write(24), &VENDOR, NOW_MS)
}

fn disclosing(vendors: &[u16]) -> Segment {
    Segment::Vendors(1, List::of(vendors))
}

fn publishing(purposes: &[u32]) -> Segment {
    Segment::Publisher {
        consents: written(purposes),
        interests: written(&[1, 8, 9, 10]),
        custom: vec![true; 4],
    }
}

/// The instant of a text such as `2026-01-15T12:00:00Z`, in milliseconds.
fn at(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().as_millisecond()
}

#[test]
fn what_is_agreed_is_granted_in_both_paddings() {
    for multiple in [8, 24] {
        assert_eq!(read(&good().write(multiple), &VENDOR, NOW_MS), Reading::Grant);
    }
}

#[test]
fn the_version_is_two() {
    for version in [0, 1, 3, 63] {
        assert_eq!(vendor(&good().with(Fixed::Version, version)), Reading::Malformed, "{version}");
    }
}

#[test]
fn a_string_for_every_site_is_not_valid() {
    assert_eq!(vendor(&good().with(Fixed::ServiceSpecific, 0)), Reading::Malformed);
}

#[test]
fn policy_4_is_the_first_that_counts() {
    assert_eq!(vendor(&good().with(Fixed::Policy, 4)), Reading::Grant);
    for policy in 0..4 {
        assert_eq!(vendor(&good().with(Fixed::Policy, policy)), Reading::Malformed, "{policy}");
    }
}

#[test]
fn managers_0_and_1_are_nobody() {
    for (id, reading) in
        [(0, Reading::Malformed), (1, Reading::Malformed), (2, Reading::Grant), (4095, Reading::Grant)]
    {
        assert_eq!(vendor(&good().with(Fixed::CmpId, id)), reading, "{id}");
    }
}

#[test]
fn thirteen_months_by_the_calendar_exactly_at_limit_and_one_over() {
    let edges = [
        ("2025-01-15T12:00:00Z", "2026-02-15T12:00:00Z"),
        // No 31st, no 29th: the last day of the month.
        ("2025-01-31T23:59:59.9Z", "2026-02-28T23:59:59.9Z"),
        ("2023-01-31T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("2024-02-29T06:00:00Z", "2025-03-29T06:00:00Z"),
        ("2024-12-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    ];
    for (updated, limit) in edges {
        let tc = Draft::new(at(updated)).write(24);
        assert_eq!(read(&tc, &VENDOR, at(limit)), Reading::Grant, "{updated}");
        assert_eq!(read(&tc, &VENDOR, at(limit) + 1), Reading::Deny, "{updated}");
        assert_eq!(read(&tc, &VENDOR, i64::MAX), Reading::Deny, "{updated}");
    }
}

#[test]
fn a_day_ahead_exactly_at_limit_and_one_over() {
    let updated_ms = NOW_MS + 24 * HOUR_MS;
    let tc = Draft::new(updated_ms).write(24);
    assert_eq!(read(&tc, &VENDOR, NOW_MS), Reading::Grant);
    assert_eq!(read(&tc, &VENDOR, NOW_MS - 1), Reading::Deny);
    assert_eq!(read(&tc, &VENDOR, i64::MIN), Reading::Deny);
    let last = good().with(Fixed::LastUpdated, (1 << 36) - 1);
    assert_eq!(vendor(&last), Reading::Deny);
}

#[test]
fn every_purpose_asked_for_is_needed() {
    for missing in [1, 8, 9, 10] {
        let rest: Vec<u32> = (1..=24).filter(|&purpose| purpose != missing).collect();
        let draft = good().with(Fixed::Purposes, written(&rest)).with(Fixed::Interests, written(&[missing]));
        assert_eq!(vendor(&draft), Reading::Deny, "{missing}");
        assert_eq!(read(&draft.write(24), &CORE, NOW_MS), Reading::Deny, "{missing}");
    }
    let all = good().with(Fixed::Purposes, (1 << 24) - 1);
    let asks = |purposes| read(&all.write(24), &Terms { purposes, ..VENDOR }, NOW_MS);
    assert_eq!(asks((1 << 24) - 1), Reading::Grant);
    assert_eq!(asks(1 << 24), Reading::Deny, "there is no purpose 25");
    assert_eq!(asks(0), Reading::Deny, "asking for nothing is not consent");
}

#[test]
fn the_vendor_needs_consent_not_interest() {
    let without = Draft { consents: List::of(&[754, 756]), interests: List::of(&[755]), ..good() };
    assert_eq!(vendor(&without), Reading::Deny);
    let last = Draft { consents: List::of(&[1, 755]), ..good() };
    assert_eq!(vendor(&last), Reading::Grant);
    for (id, reading) in
        [(0, Reading::Deny), (1, Reading::Grant), (756, Reading::Deny), (u16::MAX, Reading::Deny)]
    {
        assert_eq!(read(&last.write(24), &Terms { vendor_id: Some(id), ..VENDOR }, NOW_MS), reading, "{id}");
    }
}

#[test]
fn a_range_has_both_its_ends() {
    for (entry, reading) in [
        ((755, None), Reading::Grant),
        ((700, Some(755)), Reading::Grant),
        ((755, Some(800)), Reading::Grant),
        ((700, Some(754)), Reading::Deny),
        ((756, Some(800)), Reading::Deny),
    ] {
        let draft = Draft { consents: List::ranges(800, &[(9, None), entry, (3, Some(4))]), ..good() };
        assert_eq!(vendor(&draft), reading, "{entry:?}");
    }
}

#[test]
fn a_range_begins_at_one_ends_after_it_begins_and_not_after_the_last_vendor() {
    for (entry, reading) in [
        ((0, None), Reading::Malformed),
        ((0, Some(5)), Reading::Malformed),
        ((6, Some(5)), Reading::Malformed),
        ((5, Some(5)), Reading::Grant),
        ((799, Some(800)), Reading::Grant),
        ((799, Some(801)), Reading::Malformed),
        ((801, None), Reading::Malformed),
    ] {
        let draft = Draft { consents: List::ranges(800, &[(755, None), entry]), ..good() };
        assert_eq!(vendor(&draft), reading, "{entry:?}");
    }
}

#[test]
fn restrictions_of_kind_0_and_2_bar_the_vendor_and_kind_1_does_not() {
    for (kind, reading) in [(0, Reading::Deny), (1, Reading::Grant), (2, Reading::Deny), (3, Reading::Deny)] {
        for entries in [&[(755, None)][..], &[(3, None), (700, Some(800))]] {
            let draft = good().restricted(8, 1, &[(755, None)]).restricted(10, kind, entries);
            assert_eq!(vendor(&draft), reading, "{kind}");
            assert_eq!(read(&draft.write(24), &CORE, NOW_MS), Reading::Grant, "they are for vendors");
        }
    }
}

#[test]
fn a_restriction_of_another_vendor_or_purpose_does_not_concern() {
    assert_eq!(vendor(&good().restricted(8, 0, &[(754, None), (756, Some(900))])), Reading::Grant);
    assert_eq!(vendor(&good().restricted(2, 0, &[(755, None)])), Reading::Grant);
    assert_eq!(
        vendor(&good().restricted(0, 0, &[(755, None)]).restricted(63, 0, &[(755, None)])),
        Reading::Grant
    );
    assert_eq!(vendor(&good().restricted(8, 0, &[])), Reading::Grant);
}

#[test]
fn from_policy_5_on_the_vendor_was_disclosed() {
    for policy in [5, 6, 63] {
        let draft = good().with(Fixed::Policy, policy);
        assert_eq!(vendor(&draft), Reading::Deny, "no segment");
        assert_eq!(vendor(&draft.clone().and(disclosing(&[754, 756]))), Reading::Deny);
        assert_eq!(
            vendor(&draft.clone().and(Segment::Vendors(2, List::of(&[755])))),
            Reading::Deny,
            "allowed"
        );
        assert_eq!(vendor(&draft.clone().and(disclosing(&[755]))), Reading::Grant);
        let ranges = List::ranges(900, &[(2, Some(900))]);
        assert_eq!(vendor(&draft.and(Segment::Vendors(1, ranges))), Reading::Grant);
    }
    assert_eq!(vendor(&good().and(disclosing(&[754]))), Reading::Grant, "policy 4 does not ask");
}

#[test]
fn without_a_vendor_the_publishers_segment_decides() {
    let publisher = |draft: Draft| read(&draft.write(24), &PUBLISHER, NOW_MS);
    assert_eq!(publisher(good()), Reading::Deny, "no segment");
    assert_eq!(publisher(good().and(publishing(&[1, 8, 9, 10]))), Reading::Grant);
    assert_eq!(publisher(good().and(publishing(&[1, 8, 9]))), Reading::Deny);
    let core_says_no = good().with(Fixed::Purposes, 0).and(publishing(&[1, 8, 9, 10]));
    assert_eq!(publisher(core_says_no), Reading::Grant);
    let behind =
        good().and(Segment::Vendors(2, List::of(&[]))).and(disclosing(&[1])).and(publishing(&[1, 8, 9, 10]));
    assert_eq!(publisher(behind), Reading::Grant, "segments come in any order");
}

#[test]
fn the_core_alone_decides_only_where_the_site_says_so() {
    let core = |draft: Draft| read(&draft.write(24), &CORE, NOW_MS);
    assert_eq!(core(good()), Reading::Grant);
    assert_eq!(core(good().and(publishing(&[]))), Reading::Grant);
    assert_eq!(core(good().with(Fixed::Purposes, 0).and(publishing(&[1, 8, 9, 10]))), Reading::Deny);
    let both = Terms { vendor_id: Some(756), ..CORE };
    assert_eq!(read(&good().write(24), &both, NOW_MS), Reading::Deny, "with a vendor it says nothing");
}

#[test]
fn a_segment_of_unknown_type_or_a_second_of_one_type_is_malformed() {
    for segments in
        [[disclosing(&[755]), disclosing(&[755])], [publishing(&[1, 8, 9, 10]), publishing(&[1, 8, 9, 10])]]
    {
        let [one, other] = segments;
        assert_eq!(vendor(&good().and(one).and(other)), Reading::Malformed);
    }
    for kind in [0, 4, 5, 6, 7] {
        assert_eq!(
            vendor(&good().and(Segment::Vendors(kind, List::of(&[755])))),
            Reading::Malformed,
            "{kind}"
        );
    }
}

#[test]
fn other_alphabets_paddings_and_texts_are_malformed() {
    let tc = good().with(Fixed::Purposes, (1 << 24) - 1).with(Fixed::Created, (1 << 36) - 1).write(24);
    assert_eq!(read(&tc, &VENDOR, NOW_MS), Reading::Grant);
    assert!(tc.contains('_'));
    let damaged = [
        "=",
        "==",
        ".",
        "..",
        " ",
        "\n",
        "%3D",
        "A",
        "AAAA",
        ".A",
        ".AAAA",
        ".undefined",
        ".é",
        "\0",
        "~",
        ",",
    ];
    for tail in damaged {
        assert_eq!(read(&format!("{tc}{tail}"), &VENDOR, NOW_MS), Reading::Malformed, "{tail:?} behind");
        assert_eq!(read(&format!("{tail}{tc}"), &VENDOR, NOW_MS), Reading::Malformed, "{tail:?} before");
    }
    assert_eq!(read(&tc.replace('_', "/"), &VENDOR, NOW_MS), Reading::Malformed);
    for text in
        ["", "${GDPR_CONSENT_755}", "$%7BGDPR_CONSENT_755%7D", "null", "undefined", "1", "C", "ÄÖÜ", "1YNN"]
    {
        assert_eq!(read(text, &VENDOR, NOW_MS), Reading::Malformed, "{text:?}");
    }
}

#[test]
fn padding_is_zeros_to_the_byte_or_to_three_bytes() {
    let bits = good().core_bits();
    let padded = |zeros: usize, last: &str| {
        let all = format!("{bits}{:0<zeros$}{last}", "");
        (all.len() % 6 == 0).then(|| read(&text(&all, 6), &VENDOR, NOW_MS))
    };
    let whole = bits.len().next_multiple_of(8).next_multiple_of(6) - bits.len();
    let group = bits.len().next_multiple_of(24) - bits.len();
    for zeros in 0..72 {
        let sound = zeros == whole || zeros == group;
        let reading = if sound { Reading::Grant } else { Reading::Malformed };
        assert!(padded(zeros, "").is_none_or(|read| read == reading), "{zeros} zeros");
        assert!(padded(zeros, "1").is_none_or(|read| read == Reading::Malformed), "{zeros} zeros, a one");
    }
}

#[test]
fn a_count_of_more_than_there_is_room_for_is_malformed() {
    let fixed: String = good().core_bits()[..213].into();
    let behind = |rest: &str| read(&text(&format!("{fixed}{rest}"), 24), &VENDOR, NOW_MS);
    let many = "1".repeat(12);
    assert_eq!(behind(&format!("{:016b}0{:032b}", 60_000, 0)), Reading::Malformed, "a bit field");
    assert_eq!(behind(&format!("{:016b}1{many}{:0200b}", 60_000, 0)), Reading::Malformed, "ranges");
    assert_eq!(behind(&format!("{:034b}{many}{:0200b}", 0, 0)), Reading::Malformed, "restrictions");
    assert_eq!(
        behind(&format!("{:034b}{:012b}00100000{many}{:0200b}", 0, 1, 0)),
        Reading::Malformed,
        "of one"
    );
    assert_eq!(behind(""), Reading::Malformed);
}

#[test]
fn restrictions_exactly_at_limit_and_one_over() {
    let max = usize::from(super::segments::Restrictions::ENTRIES_MAX);
    for (count, reading) in [(max, Reading::Grant), (max + 1, Reading::Malformed)] {
        let draft = Draft { restrictions: vec![(8, 1, vec![(755, None)]); count], ..good() };
        assert_eq!(vendor(&draft), reading, "{count}");
    }
}

#[test]
fn four_kib_exactly_at_limit_and_one_over() {
    // A list of 1400 ranges, and a bit field that fills the string to so many bits.
    let long = |bits: usize| {
        let mut draft = Draft { consents: List::ranges(755, &vec![(755, None); 1400]), ..good() };
        draft.interests = List::Field(vec![false; bits - draft.core_bits().len()]);
        draft.write(24)
    };
    let (limit, over) = (long(STRING_BYTES_MAX * 6), long(STRING_BYTES_MAX * 6 + 1));
    assert_eq!((limit.len(), over.len()), (STRING_BYTES_MAX, STRING_BYTES_MAX + 4));
    assert_eq!(read(&limit, &VENDOR, NOW_MS), Reading::Grant);
    assert!(Draft::well_formed(&over).is_some_and(|draft| draft.agrees(&VENDOR)));
    assert_eq!(read(&over, &VENDOR, NOW_MS), Reading::Malformed);
}

#[test]
fn bits_are_read_across_characters_and_never_past_the_end() {
    let mut bits = Bits::new("_-AB").unwrap();
    assert_eq!(bits.peek(), 0b1111_1111_1110_0000_0000_0001 << 8);
    assert_eq!((bits.take(5), bits.take(8), bits.left()), (Some(0b11111), Some(0b1111_1100), 11));
    assert_eq!(
        (bits.ahead(10, 1), bits.ahead(10, 2), bits.ahead(12, 0), bits.take(12)),
        (Some(1), None, None, None)
    );
    assert_eq!((bits.skip(12), bits.skip(11), bits.left(), bits.peek()), (None, Some(()), 0, 0));
    assert_eq!((bits.take(0), bits.take(1), bits.ahead(usize::MAX, 1)), (Some(0), None, None));
    assert_eq!(Bits::new("________").and_then(|mut bits| bits.take(40)), Some((1 << 40) - 1));
    assert!(["+", "/", "=", " ", "é", "A\0"].iter().all(|text| Bits::new(text).is_none()));
}

/// A grant has to be one for the slow reader too.
fn check(tc: &str, terms: &Terms) -> Reading {
    let reading = read(tc, terms, NOW_MS);
    let drafted = Draft::well_formed(tc);
    assert_eq!(TcString::read(tc).is_some(), drafted.is_some() && tc.len() <= STRING_BYTES_MAX, "{tc}");
    if reading == Reading::Grant {
        assert!(drafted.is_some_and(|draft| draft.agrees(terms)), "{tc}");
    }
    assert_ne!(reading, Reading::Nothing);
    reading
}

proptest! {
    #[test]
    fn any_draft_is_read_as_it_was_drafted(draft in draft::any_draft(NOW_MS), short in any::<bool>(), id in 1u16..900) {
        for terms in [Terms { vendor_id: Some(id), ..VENDOR }, PUBLISHER, CORE] {
            let reading = check(&draft.write(if short { 8 } else { 24 }), &terms);
            let current = draft.get(Fixed::LastUpdated) == NOW_MS as u64 / 100;
            prop_assert_eq!(reading == Reading::Grant && current, draft.agrees(&terms) && current);
        }
    }

    #[test]
    fn a_flipped_bit_is_read_as_what_it_makes(draft in draft::any_draft(NOW_MS), places in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let tc = draft.write(24);
        let mut bytes = tc.clone().into_bytes();
        for place in places {
            let place = place.index(bytes.len() * 7);
            bytes[place / 7] ^= 1 << (place % 7);
        }
        for terms in [VENDOR, PUBLISHER, CORE] {
            check(std::str::from_utf8(&bytes).unwrap(), &terms);
        }
    }

    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,60}|[A-Za-z0-9_.-]{0,200}|C[A-Za-z0-9_-]{36}[A-Za-z0-9_.-]{0,80}|C[A_]{36,120}") {
        for terms in [VENDOR, PUBLISHER, CORE] {
            check(&text, &terms);
        }
    }
}
