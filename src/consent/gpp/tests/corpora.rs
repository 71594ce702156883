//! What two other decoders make of GPP strings. Read where the folder is there.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpora/tcf/gpp_two_decoders.jsonl");

fn rows() -> Vec<Value> {
    match std::fs::read_to_string(FILE) {
        Ok(text) => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        Err(_) => {
            println!("skipped: there are no GPP strings of the check corpora");
            Vec::new()
        }
    }
}

/// Whether any field below, in the spelling of either decoder, is an opt-out.
fn objects(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| match (name.as_str(), value.as_str()) {
            ("SaleOptOut" | "SharingOptOut" | "TargetedAdvertisingOptOut", _) => value == 1,
            ("Gpc" | "gpc", _) => value == true,
            ("sale_opt_out" | "sharing_opt_out" | "targeted_advertising_opt_out", Some(text)) => {
                text == "OptedOut"
            }
            ("OptOutSale", Some(text)) => text == "Y",
            ("opt_out_sale", Some(text)) => text == "Yes",
            _ => objects(value),
        }),
        Value::Array(values) => values.iter().any(objects),
        _ => false,
    }
}

/// Whether a decoder read every section.
fn read_all(decoder: &Value) -> bool {
    let failed = |section: &Value| section.get("error").is_some();
    decoder
        .get("sections")
        .is_some_and(|sections| !sections.as_array().is_some_and(|list| list.iter().any(failed)))
}

/// Strings that one decoder does not read, or not wholly, and this one reads as nothing or as malformed.
fn choice(gpp: &str) -> Reading {
    match gpp {
        // A version that is none, a US Privacy string that is none, a part that is empty, a section too few, and
        // a national section that is shorter than its version.
        "DBABBgA~xlgWEYCZAA"
        | "DBABzw~1YNN~BVVqAAEABCA."
        | "DBABLA~CAAAAAAAAQA.QA"
        | "DBABLA~CAAAAAABEQA.QA" => Reading::Malformed,
        _ if gpp.ends_with("~present") || gpp.starts_with("DBACNY~") && gpp.split('~').count() == 2 => {
            Reading::Malformed
        }
        _ if gpp.starts_with("DBACOeA~") && gpp.split('~').count() == 3 => Reading::Malformed,
        // The rest: one of the decoders refuses a 0 in the fields of the MSPA, does not know the newest sections, or
        // runs out of memory. None of them opts out.
        _ => Reading::Nothing,
    }
}

#[test]
fn where_both_decoders_read_a_string_the_reading_is_theirs() {
    let mut both = 0;
    for row in rows() {
        let (gpp, js, rs) = (row["gpp"].as_str().unwrap(), &row["js"], &row["rs"]);
        if read_all(js) && read_all(rs) {
            both += 1;
            assert_eq!(objects(js), objects(rs), "{gpp}");
            let reading = if objects(js) { Reading::Veto } else { Reading::Nothing };
            assert_eq!(read_alone(gpp), reading, "{gpp}");
        } else {
            assert_eq!(read_alone(gpp), choice(gpp), "{gpp}");
        }
        assert_ne!(read(gpp, Some(&CORE), NOW_MS), Reading::Grant, "{gpp}");
    }
    println!("{both} strings that both decoders read");
}

#[test]
fn no_string_takes_long() {
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 50 } else { 1 });
    for row in rows() {
        let gpp = row["gpp"].as_str().unwrap();
        let took = (0..3).map(|_| {
            let start = Instant::now();
            let _ = std::hint::black_box(read(gpp, Some(&CORE), NOW_MS));
            start.elapsed()
        });
        assert!(took.min().is_some_and(|took| took < limit), "{gpp}");
    }
}

#[test]
fn strings_cut_or_with_a_bit_flipped_are_never_granted() {
    for row in rows() {
        let gpp = row["gpp"].as_str().unwrap();
        for cut in (0..gpp.len()).filter(|&cut| gpp.is_char_boundary(cut)) {
            assert_ne!(read(&gpp[..cut], Some(&CORE), NOW_MS), Reading::Grant, "{gpp} at {cut}");
        }
        for place in 0..gpp.len() * 7 {
            let mut bytes = gpp.as_bytes().to_vec();
            bytes[place / 7] ^= 1 << (place % 7);
            let flipped = String::from_utf8(bytes).unwrap();
            assert_ne!(read(&flipped, Some(&CORE), NOW_MS), Reading::Grant, "{flipped}");
        }
    }
}
