//! What raises the alarm, and what does not.

use super::*;
use crate::enrich::EventRow;
use crate::spool::encode;

fn kinds(text: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    LeakAlarm::new(1).text("crash_message", text, &mut found);
    found.into_iter().map(|leak| leak.kind).collect()
}

#[test]
fn each_kind_is_found() {
    for (text, kind) in [
        ("mail jane.doe@shop.example.com", "email"),
        ("jane%40mail.com", "email"),
        ("from 192.0.2.7, twice", "ipv4"),
        ("[2001:db8:85a3::8a2e:370:7334]", "ipv6"),
        ("4111 1111 1111 1111", "card"),
        ("pay DE89 3704 0044 0532 0130 00 now", "iban"),
        ("gb82west12345698765432", "iban"),
        ("+34 612 34 56 78", "phone"),
        ("+49 (0)30 1234567", "phone"),
        ("order 12345678901", "number"),
        ("id=6F9619FF-8B86-D011-B42D-00CF4FC964FF", "uuid"),
        ("00:1B:44:11:3A:B7", "mac"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "token"),
        ("-----BEGIN RSA PRIVATE KEY-----", "key"),
        ("https://jane:secret@shop.example/", "credentials"),
        ("at /home/jane/app.js", "user_path"),
        ("C:\\Users\\Jane\\app.js", "user_path"),
    ] {
        assert!(kinds(text).contains(&kind), "{text}: {:?}", kinds(text));
    }
}

#[test]
fn a_second_candidate_is_looked_at_when_the_first_is_none() {
    assert_eq!(kinds("300.1.1.1 127.0.0.1 192.0.2.7"), ["ipv4"]);
    assert_eq!(kinds("core@7.0.0-beta.invalidtld jane@mail.com"), ["email"]);
}

#[test]
fn what_detectors_leave_behind_and_ordinary_text_are_no_alarm() {
    for text in [
        "",
        "[email] called [number] from [ip]",
        "Top 10 phones of 2026 – iPhone 15 Pro 256GB",
        "/2026/11/23/why-std::vec::Vec",
        "10:15:30.123456789",
        "127.0.0.1",
        "[::1]",
        "Windows 10.0.19045.3693",
        "v1.2.3.4",
        "npm/@babel/core@7.0.0-beta.55/lib",
        "1.234.567,89 EUR",
        "https://shop.example/app.3f2a91bc.js:10:20",
        "/Users/Shared/x",
        "/home/[user]/x",
        "at https://shop.example/home/products/app.js:1:2",
        "0000 0000 0000 0000",
        "2026-11-23T10:15:30+02:00",
        "99% of 1+1",
    ] {
        assert_eq!(kinds(text), [""; 0], "{text}");
    }
}

#[test]
fn a_sample_is_evenly_spaced_bounded_and_the_same_again() {
    let mut bytes = Vec::new();
    encode(&EventRow::with_event_id(1), &mut bytes);
    let row = StoredRow { title: "jane@mail.com", ..StoredRow::decode(&bytes).unwrap() };
    let rows = vec![row; 1000];
    for (rows_max, found) in [(0, 0), (1, 1), (100, 100), (300, 250), (1000, 1000), (5000, 1000)] {
        let alarm = LeakAlarm::new(rows_max);
        let sample = alarm.sample("018f-1", rows.len(), |at| Some(rows[at].clone()));
        assert_eq!(sample.len(), found, "{rows_max}");
        assert_eq!(alarm.sample("018f-1", rows.len(), |at| Some(rows[at].clone())), sample);
        assert!(sample.values().all(|leaks| *leaks == [Leak { column: "title", kind: "email" }]));
    }
    let seen = |segment: &str| {
        let sample = LeakAlarm::new(10).sample(segment, rows.len(), |at| Some(rows[at].clone()));
        sample.into_keys().next()
    };
    assert_ne!(seen("018f-1"), seen("018f-2"), "each segment begins elsewhere");
}

#[test]
fn every_text_column_that_a_sender_can_reach_is_looked_at() {
    let mut bytes = Vec::new();
    encode(&EventRow::with_event_id(1), &mut bytes);
    let mut row = StoredRow::decode(&bytes).unwrap();
    row.query = vec![("jane@mail.com", "")];
    row.props = vec![("", "192.0.2.7")];
    row.crash_stack = "line\nat /home/jane/x.js";
    row.site = "jane@mail.com";
    row.path = "/home/products";
    let leaks = LeakAlarm::new(1).sample("s", 1, |_| Some(row.clone())).remove(&0).unwrap();
    let columns: Vec<_> = leaks.iter().map(|leak| (leak.column, leak.kind)).collect();
    assert_eq!(columns, [("query", "email"), ("props", "ipv4"), ("crash_stack", "user_path")]);
}

#[test]
fn a_shape_holds_no_letter_and_no_digit_of_the_text() {
    assert_eq!(shape("Jane.Doe+7@mail.com Ñandú ٣"), "aaaa.aaa+9@aaaa.aaa aaaaa 9");
}

#[test]
fn time_is_linear_in_the_text() {
    for piece in ["@", "a@", "1.", "1:", "+1", "1 ", "DE12 ", "a-", "eyJ.", "/home/", "%40"] {
        let text = piece.repeat(20_000);
        let begun = std::time::Instant::now();
        kinds(&text);
        assert!(begun.elapsed().as_secs() < 10, "{piece:?}");
    }
}
