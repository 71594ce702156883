//! What holds for any text.

use proptest::prelude::*;

use super::super::*;

/// What the detectors look for, in pieces.
fn piece() -> impl Strategy<Value = String> {
    const WORDS: [&str; 44] = [
        "://",
        "//",
        "%40",
        "%2B",
        "&#64;",
        "\\u0040",
        "eyJ",
        "-----BEGIN ",
        "-----",
        "Bearer ",
        "/home/",
        "C:\\Users\\",
        "(at)",
        "tel ",
        "born ",
        "passport ",
        "Street",
        "Calle ",
        ", CA ",
        "ａ",
        "١",
        "é",
        "€",
        "\u{200b}",
        "email",
        "phone",
        "[",
        "]",
        ",",
        "\n",
        "=",
        ":",
        "\"",
        "'",
        "@",
        ".",
        "-",
        " ",
        "?",
        "#",
        "丁目",
        "路",
        "°",
        "ул. ",
    ];
    prop_oneof![
        "[0-9]{1,6}".prop_map(String::from),
        "[A-Z]{1,3}".prop_map(String::from),
        "[a-z]{1,4}".prop_map(String::from),
        (0..WORDS.len()).prop_map(|index| WORDS[index].to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_twice_is_once(text in ".{0,120}") {
        let once = redact(&text);
        let twice = redact(&once.text);
        prop_assert_eq!(&*twice.text, &*once.text);
    }

    #[test]
    fn dense_text_twice_is_once(text in "([0-9]{1,5}|[-.:/@%()+ ]|%40|[a-fv]|[€é\u{a0}]|2026-11-23|12:30|192\\.0\\.2\\.1|\\[|\\]|,|\"){0,40}") {
        let once = redact(&text);
        let twice = redact(&once.text);
        prop_assert_eq!(&*twice.text, &*once.text);
    }

    #[test]
    fn pieces_of_every_detector_twice_are_once(pieces in prop::collection::vec(piece(), 0..24)) {
        let text = pieces.concat();
        let once = redact(&text);
        let twice = redact(&once.text);
        prop_assert_eq!(&*twice.text, &*once.text);
    }

    #[test]
    fn no_run_of_digits_survives(prefix in "[a-z ]{0,10}", number in "[0-9]{7,20}", suffix in "[a-z ]{0,10}") {
        let text = format!("{prefix}{number}{suffix}");
        prop_assert!(!redact(&text).text.contains(|c: char| c.is_ascii_digit()));
    }

    #[test]
    fn no_address_survives(address in any::<[u8; 4]>(), v6 in any::<[u16; 8]>(), before in "[ ,;=(\\[]?", after in "[ ,;)\\]/]?") {
        let v4 = std::net::Ipv4Addr::from(address).to_string();
        let v6 = std::net::Ipv6Addr::from(v6).to_string();
        for ip in [v4, v6] {
            let text = format!("{before}{ip}{after}");
            prop_assert_eq!(redact(&text).text, format!("{before}[ip]{after}"));
        }
    }

    #[test]
    fn clean_is_bounded_and_free_of_controls(text in any::<String>(), bytes_max in 0..60_usize) {
        let cleaned = clean(&text, bytes_max);
        prop_assert!(cleaned.len() <= bytes_max);
        prop_assert!(!cleaned.contains(char::is_control));
    }
}
