//! Headers, sections and their edges; what two other decoders make of GPP strings is in the folder.

mod corpora;
mod fields;

use proptest::prelude::*;

use super::*;
use crate::consent::tcf::tests::{CORE, NOW_MS, draft::Draft, draft::Fixed, draft::put, draft::text};
use fields::{SECTIONS, Section};

fn read_alone(gpp: &str) -> Reading {
    read(gpp, None, NOW_MS)
}

/// Fibonacci coding as the specification tells it: the largest number first, taken off, until nothing is left.
fn put_fibonacci(bits: &mut String, mut number: u32) {
    let mut terms = vec![1, 2];
    while let [.., one, two] = terms[..]
        && one + two <= number
    {
        terms.push(one + two);
    }
    let mut code = String::from("1");
    for term in terms.into_iter().rev() {
        let set = term <= number;
        if set || code.len() > 1 {
            code.push(if set { '1' } else { '0' });
        }
        number -= if set { term } else { 0 };
    }
    bits.extend(code.chars().rev());
}

/// A header of single sections and ranges, first and last id.
fn header_of(entries: &[(u32, u32)]) -> String {
    let mut bits = String::from("000011000001");
    put(&mut bits, 12, entries.len() as u64);
    let mut seen = 0;
    for &(first, last) in entries {
        put(&mut bits, 1, (last > first).into());
        put_fibonacci(&mut bits, first - seen);
        if last > first {
            put_fibonacci(&mut bits, last - first);
        }
        seen = last;
    }
    text(&bits, 6)
}

fn with(sections: &[(u32, &str)]) -> String {
    let ids: Vec<_> = sections.iter().map(|&(id, _)| (id, id)).collect();
    sections.iter().fold(header_of(&ids), |gpp, (_, section)| format!("{gpp}~{section}"))
}

fn tc(purposes: u64) -> String {
    Draft::new(NOW_MS).with(Fixed::Purposes, purposes).write(24)
}

#[test]
fn headers_of_the_specification() {
    assert_eq!(header_of(&[(2, 2)]), "DBABM");
    assert_eq!(header_of(&[(2, 2), (6, 6)]), "DBACNY");
    assert_eq!(header_of(&[(5, 6)]), "DBABjw");
    for (gpp, ids) in
        [("DBABM~a", vec![2]), ("DBACNY~a~b", vec![2, 6]), ("DBABjw~a~b", vec![5, 6]), ("DBAA", vec![])]
    {
        let mut seen = Vec::new();
        let reading = sections(gpp, |id, _| {
            seen.push(id);
            Reading::Nothing
        });
        assert_eq!((reading, seen), (Some(Reading::Nothing), ids), "{gpp}");
    }
}

#[test]
fn the_type_is_3_and_the_version_is_1() {
    assert_eq!(read_alone("DBABTA~1YNN"), Reading::Nothing);
    for header in ["CBABTA", "EBABTA", "DAABTA", "DCABTA", "BBABTA"] {
        assert_eq!(read_alone(&format!("{header}~1YNN")), Reading::Malformed, "{header}");
    }
}

#[test]
fn there_are_as_many_sections_as_the_header_names() {
    for (gpp, reading) in [
        ("DBABTA~1YNN", Reading::Nothing),
        ("DBABTA", Reading::Malformed),
        ("DBABTA~1YNN~", Reading::Malformed),
        ("DBABTA~1YNN~1YNN", Reading::Malformed),
        ("DBACNY~1YNN", Reading::Malformed),
        ("DBAA", Reading::Nothing),
        ("DBAA~", Reading::Malformed),
    ] {
        assert_eq!(read_alone(gpp), reading, "{gpp}");
    }
}

#[test]
fn what_is_no_header_is_malformed() {
    let texts = [
        "",
        "D",
        "DB",
        "DBA",
        "DBAB",
        "DBABT",
        "~",
        "~1YNN",
        "DBABTA=~1YNN",
        "DBABT+~1YNN",
        "${GPP_STRING_755}",
    ];
    for gpp in texts.into_iter().chain([
        "DBABTB~1YNN",
        "DBABTAAAAA~1YNN",
        " DBABTA~1YNN",
        "DBABTA~1YNN ",
        "1YNN",
        "é",
    ]) {
        assert_eq!(read_alone(gpp), Reading::Malformed, "{gpp:?}");
    }
}

#[test]
fn four_kib_exactly_at_limit_and_one_over() {
    let long = |bytes: usize| format!("DBABM~{}", "A".repeat(bytes - 6));
    assert_eq!(read_alone(&long(STRING_BYTES_MAX)), Reading::Nothing);
    assert_eq!(read_alone(&long(STRING_BYTES_MAX + 1)), Reading::Malformed);
}

#[test]
fn a_header_cannot_ask_for_more_than_there_is() {
    // One range to the end of what a code can say.
    let bomb = header_of(&[(1, 3_000_000)]);
    assert_eq!(read_alone(&format!("{bomb}~1YNN")), Reading::Malformed);
    // A code without an end, and the longest codes there are.
    assert_eq!(read_alone(&format!("DBD_{}~a", "A".repeat(4000))), Reading::Malformed);
    let entries: Vec<_> = (1..=SECTIONS_MAX as u32).map(|n| (n * 3_500_000, n * 3_500_000)).collect();
    let many = header_of(&entries);
    for (count, reading) in [(63, Reading::Malformed), (64, Reading::Nothing), (65, Reading::Malformed)] {
        assert_eq!(read_alone(&format!("{many}{}", "~a".repeat(count))), reading, "{count}");
    }
}

#[test]
fn sixty_four_sections_exactly_at_limit_and_one_over() {
    for (count, reading) in [(SECTIONS_MAX, Reading::Nothing), (SECTIONS_MAX + 1, Reading::Malformed)] {
        let (range, ids) = ((100, 99 + count as u32), (100..100 + count as u32).map(|id| (id, id)));
        for header in [header_of(&[range]), header_of(&ids.collect::<Vec<_>>())] {
            assert_eq!(read_alone(&format!("{header}{}", "~a".repeat(count))), reading, "{count}");
        }
    }
}

#[test]
fn section_2_is_a_tc_string_where_the_site_has_terms() {
    let read_with = |gpp: &str| read(gpp, Some(&CORE), NOW_MS);
    let yes = with(&[(2, &tc(u64::from(u32::MAX >> 8)))]);
    let no = with(&[(2, &tc(0))]);
    assert_eq!((read_with(&yes), read_with(&no)), (Reading::Grant, Reading::Deny));
    assert_eq!((read_alone(&yes), read_alone(&no)), (Reading::Nothing, Reading::Nothing));
    assert_eq!(read_with("DBABM~CPXxRfA"), Reading::Malformed);
    assert_eq!(read_alone("DBABM~CPXxRfA"), Reading::Nothing);
}

#[test]
fn of_several_sections_the_strictest_counts() {
    let (yes, no) = (tc(u64::from(u32::MAX >> 8)), tc(0));
    let optout = "BVVVVVg";
    let nothing = "BqqqqqA";
    for (sections, reading) in [
        (vec![(2, yes.as_str()), (10, nothing)], Reading::Grant),
        (vec![(2, &yes), (6, "1YNN"), (10, nothing)], Reading::Grant),
        (vec![(2, &yes), (6, "1YYN")], Reading::Veto),
        (vec![(2, &yes), (10, optout)], Reading::Veto),
        (vec![(2, &no), (10, optout)], Reading::Deny),
        (vec![(2, &no), (10, "B")], Reading::Malformed),
        (vec![(2, &yes), (6, "1YYN"), (10, "")], Reading::Malformed),
        (vec![(2, "C"), (6, "1YYN")], Reading::Malformed),
        (vec![(2, &yes), (5, "what"), (99, "ever")], Reading::Grant),
    ] {
        assert_eq!(read(&with(&sections), Some(&CORE), NOW_MS), reading, "{sections:?}");
    }
}

#[test]
fn other_sections_say_nothing_whatever_they_hold() {
    for id in [1, 3, 4, 5, 28, 29, 100, 65_536] {
        assert_eq!(read_alone(&with(&[(id, "+/= anything.at.all")])), Reading::Nothing, "{id}");
    }
}

#[test]
fn us_privacy_third_of_four_characters() {
    for (text, reading) in [
        ("1YYN", Reading::Veto),
        ("1-Y-", Reading::Veto),
        ("1NYN", Reading::Veto),
        ("1YNN", Reading::Nothing),
        ("1YNY", Reading::Nothing),
        ("1---", Reading::Nothing),
        ("1Y-Y", Reading::Nothing),
        ("2YYN", Reading::Malformed),
        ("0---", Reading::Malformed),
        ("1YN", Reading::Malformed),
        ("1YNNN", Reading::Malformed),
        ("1yny", Reading::Malformed),
        ("1YXN", Reading::Malformed),
        ("1 YN", Reading::Malformed),
        ("", Reading::Malformed),
        ("present", Reading::Malformed),
        ("${US_PRIVACY}", Reading::Malformed),
    ] {
        assert_eq!(us_privacy(text), reading, "{text}");
        assert_eq!(read_alone(&with(&[(6, text)])), reading, "{text}");
    }
}

fn reading_of(section: &Section, core: &str, rest: &str) -> Reading {
    read_alone(&with(&[(section.id, &format!("{}{rest}", text(core, 8)))]))
}

#[test]
fn each_opt_out_of_each_section_alone_is_a_veto_and_nothing_else_is() {
    for section in SECTIONS {
        for field in section.fields() {
            for value in 1..=2 {
                let core = section.core(|name| if name == field { value } else { 0 });
                let objects = fields::is_opt_out(field) && value == 1;
                let reading = if objects { Reading::Veto } else { Reading::Nothing };
                assert_eq!(reading_of(section, &core, ""), reading, "{field} of {}", section.id);
            }
            let core = section.core(|name| if name == field { 3 } else { 0 });
            let reading = if fields::is_opt_out(field) { Reading::Malformed } else { Reading::Nothing };
            assert_eq!(reading_of(section, &core, ""), reading, "{field} of {}: 3 is no value", section.id);
        }
        let (all, none) = (section.core(|_| 1), section.core(|_| 2));
        assert_eq!(reading_of(section, &all, ""), Reading::Veto);
        assert_eq!(reading_of(section, &none, ""), Reading::Nothing);
    }
}

#[test]
fn the_browsers_signal_in_a_section_is_a_veto() {
    for section in SECTIONS.iter().filter(|section| section.id < 25) {
        let core = section.core(|_| 2);
        for (rest, reading) in [
            (".Q", Reading::Nothing),
            (".QA", Reading::Nothing),
            (".Y", Reading::Veto),
            (".YA", Reading::Veto),
            (".YAAA", Reading::Veto),
            (".QA.YA", Reading::Malformed),
            (".", Reading::Malformed),
            (".Z", Reading::Malformed),
            (".A", Reading::Malformed),
            (".IA", Reading::Malformed),
            (".gA", Reading::Malformed),
            (".YAAAA", Reading::Malformed),
            (".YA.", Reading::Malformed),
        ] {
            assert_eq!(reading_of(section, &core, rest), reading, "{rest} of {}", section.id);
        }
        assert_eq!(reading_of(section, &section.core(|_| 1), ".QA"), Reading::Veto);
    }
}

#[test]
fn other_versions_and_cut_sections_are_malformed() {
    for section in SECTIONS {
        let core = section.core(|_| 2);
        for version in
            (0..64).filter(|version| !section.versions().contains(version) && *version != section.id)
        {
            let other = format!("{version:06b}{}", &core[6..]);
            assert_eq!(reading_of(section, &other, ""), Reading::Malformed, "{version} of {}", section.id);
        }
        let whole = text(&core, 6);
        for cut in 0..(core.len() / 6) {
            let gpp = with(&[(section.id, &whole[..cut])]);
            // A national section of version 1 with the fields of version 2 is in use.
            assert_eq!(read_alone(&gpp), Reading::Malformed, "{cut} characters of {}", section.id);
        }
        for (more, reading) in
            [("AAA", Reading::Nothing), ("AAAAA", Reading::Malformed), ("+", Reading::Malformed)]
        {
            let gpp = with(&[(section.id, &format!("{whole}{more}"))]);
            assert_eq!(read_alone(&gpp), reading, "{more} behind {}", section.id);
        }
    }
}

#[test]
fn a_section_header_of_2025_may_stand_before_the_core() {
    for section in SECTIONS.iter().filter(|section| section.id > 23) {
        let (yes, no) = (text(&section.core(|_| 1), 6), text(&section.core(|_| 2), 6));
        let header = text(&format!("{:06b}000001{:012b}", section.id, 0), 6);
        let mspa_7 = text(&format!("000111{}", &section.core(|_| 1)[6..]), 6);
        for (text, reading) in [
            (format!("{header}.{yes}"), Reading::Veto),
            (format!("{header}.{no}"), Reading::Nothing),
            (format!("{header}.{mspa_7}"), Reading::Veto),
            (header.clone(), Reading::Malformed),
            (format!("{header}."), Reading::Malformed),
            (format!("{}C{}.{yes}", &header[..1], &header[2..]), Reading::Malformed),
        ] {
            assert_eq!(read_alone(&with(&[(section.id, &text)])), reading, "{text} of {}", section.id);
        }
        if section.id > 24 {
            for (data, reading) in
                [("AAA", Reading::Nothing), ("AA", Reading::Malformed), ("", Reading::Malformed)]
            {
                let gpp = with(&[(section.id, &format!("{no}.{data}"))]);
                assert_eq!(read_alone(&gpp), reading, "{data} of {}", section.id);
            }
        }
    }
}

proptest! {
    #[test]
    fn numbers_are_read_as_they_are_written(numbers in prop::collection::vec(1u32..2_000_000, 1..20)) {
        let mut written = String::new();
        numbers.iter().for_each(|&number| put_fibonacci(&mut written, number));
        let characters = text(&written, 6);
        let mut bits = Bits::new(&characters).unwrap();
        let read: Vec<_> = numbers.iter().map(|_| fibonacci(&mut bits)).collect();
        prop_assert_eq!(read, numbers.into_iter().map(Some).collect::<Vec<_>>());
        prop_assert!(bits.is_padding(6));
    }

    #[test]
    fn sections_are_met_in_the_headers_order(mut ids in prop::collection::btree_set(1u32..60, 0..20)) {
        let mut entries: Vec<(u32, u32)> = Vec::new();
        for &id in &ids {
            match entries.last_mut() {
                Some((_, last)) if *last + 1 == id => *last = id,
                _ => entries.push((id, id)),
            }
        }
        let gpp = ids.iter().fold(header_of(&entries), |gpp, id| format!("{gpp}~{id}"));
        let reading = sections(&gpp, |id, section| {
            assert!(ids.remove(&id) && section == id.to_string());
            Reading::Nothing
        });
        prop_assert_eq!((reading, ids.len()), (Some(Reading::Nothing), 0));
    }

    #[test]
    fn any_text_is_read_without_panic_and_never_granted(
        text in "\\PC{0,60}|[A-Za-z0-9_.~-]{0,200}|DBA[A-F][A-Za-z0-9_-]{1,6}(~[A-Za-z0-9_.-]{0,30}){0,6}|DBAB[LBRJFVDQHKMTE]A~[BC][A-Za-z0-9_-]{5,12}(\\.[QYA]A)?",
    ) {
        prop_assert_ne!(read_alone(&text), Reading::Grant);
        // At random no 39 characters make a valid TC string.
        prop_assert_ne!(read(&text, Some(&CORE), NOW_MS), Reading::Grant);
    }
}
