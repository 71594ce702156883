//! Consent, as it comes: every signal in every carrier is read as its manager means it.

mod consent_support;

use std::collections::HashSet;

use consent_support::{ALL, Asked, By, Garbage, No, Nothing, Objects, Signal, Yes, asked, signals, sites};

#[test]
fn each_signal_says_what_it_says() {
    let sites = sites(ALL);
    let yes = Signal { by: By::Payload("analytics", "true".into()), says: Yes };
    for signal in signals() {
        let alone = asked([&signal]).outcome(&sites);
        let expected = match signal.says {
            Yes => alone.map(|_| ()),
            No => Err("consent_denied"),
            Objects => Err("consent_vetoed"),
            Nothing => Err("consent_absent"),
            Garbage => Err("consent_malformed"),
        };
        assert_eq!(alone.map(|_| ()), expected, "{signal:?}");
        assert_eq!(alone.is_ok(), signal.says == Yes, "{signal:?}");
        if signal.key() != yes.key() {
            let beside_a_yes = asked([&signal, &yes]).outcome(&sites);
            assert_eq!(beside_a_yes.is_ok(), matches!(signal.says, Yes | Nothing), "{signal:?}");
        }
    }
}

#[test]
fn only_what_the_site_names_is_consulted_and_the_headers_always() {
    let payload_only = sites("");
    let yes = Signal { by: By::Payload("analytics", "true".into()), says: Yes };
    for signal in signals() {
        let own = signal.key() == Some("analytics");
        let header = matches!(signal.by, By::Header(..)) && signal.says == Objects;
        let alone = asked([&signal]).outcome(&payload_only);
        assert_eq!(alone.is_ok(), own && signal.says == Yes, "{signal:?}");
        if !own {
            assert_eq!(asked([&signal, &yes]).outcome(&payload_only).is_ok(), !header, "{signal:?}");
        }
    }
}

#[test]
fn a_cookie_that_comes_twice_counts_at_its_strictest() {
    let sites = sites(ALL);
    let cookies = |cookies: &[&str], apart| {
        let cookies = cookies.iter().map(|cookie| cookie.as_bytes().to_vec()).collect();
        Asked { cookies, apart, ..Asked::default() }.outcome(&sites)
    };
    for apart in [false, true] {
        assert_eq!(cookies(&["a=b", "cmplz_statistics=allow", "c"], apart), Ok("complianz"));
        assert_eq!(cookies(&["cmplz_statistics=\"allow\""], apart), Ok("complianz"));
        for (other, reason) in
            [("deny", "consent_denied"), ("", "consent_malformed"), ("x", "consent_malformed")]
        {
            let other = format!("cmplz_statistics={other}");
            assert_eq!(cookies(&["cmplz_statistics=allow", &other], apart), Err(reason));
            assert_eq!(cookies(&[&other, "cmplz_statistics=allow"], apart), Err(reason));
        }
        let (optanon, closed) =
            ("OptanonConsent=groups=C0002%3A1", "OptanonAlertBoxClosed=2026-01-02T03:04:05.678Z");
        assert_eq!(cookies(&[optanon], apart), Err("consent_absent"));
        assert_eq!(cookies(&[optanon, closed], apart), Ok("onetrust"));
        assert_eq!(cookies(&[closed, optanon], apart), Ok("onetrust"));
        assert_eq!(cookies(&[closed, optanon, "OptanonAlertBoxClosed="], apart), Err("consent_malformed"));
        let trustarc = ["notice_gdpr_prefs=0,1,2:", "notice_behavior=implied,eu", "notice_preferences=2:"];
        assert_eq!(cookies(&trustarc, apart), Ok("trustarc"));
        assert_eq!(
            cookies(&[trustarc[0], "cmapi_cookie_privacy=permit 1 required"], apart),
            Err("consent_denied")
        );
    }
    let many = format!("x={}", "y".repeat(16 * 1024));
    assert_eq!(cookies(&["cmplz_statistics=allow", &many], false), Err("consent_malformed"));
    let long = format!("klaro={}", "y".repeat(4097));
    assert_eq!(cookies(&["cmplz_statistics=allow", &long], false), Err("consent_malformed"));
    let event = Some(vec![r#""analytics":true"#.to_owned()]);
    let full = Asked { event, cookies: vec![many.into_bytes()], ..Asked::default() };
    assert_eq!(
        full.outcome(&consent_support::sites("")),
        Ok("payload"),
        "who does not consult cookies does not mind them"
    );
}

/// Rows that contradict themselves or the rule, with the reason; what is decided instead is fail closed.
const DISPUTED: [(&str, &str, &str); 1] = [(
    "usp",
    "1yny",
    "the row's own reason asks for malformed, its answer for nothing: dropped as malformed",
)];

/// What the row's configuration is called here.
fn configured(row: &serde_json::Value) -> (String, &'static str) {
    let adapter = match row["signal"].as_str().unwrap() {
        "tcf" => "tcf",
        "gpp" => "gpp",
        "usp" => "usp",
        "gcm" => "gcm",
        "onetrust" => "onetrust",
        "trustarc" => "trustarc",
        "cookiebot" => "cookiebot",
        "cookieyes" => "cookieyes",
        "didomi" => "didomi",
        "klaro" => "klaro",
        "wp_consent_api" => "wp_consent",
        "complianz" => "complianz",
        "cookieconsent_v3" => "cookieconsent",
        // The browser's headers are always read; Osano and Usercentrics are read by the page.
        "gpc" | "dnt" | "payload" | "osano" | "usercentrics" => "payload",
        other => panic!("a signal that nobody reads: {other}"),
    };
    let mut toml = format!("adapters = [\"{adapter}\", \"payload\"]\n");
    let mut named = HashSet::new();
    for (key, value) in row["config"].as_object().into_iter().flatten() {
        let key = match key.as_str() {
            "analytics_bucket" => "trustarc_bucket",
            "analytics_group" => "onetrust_group",
            "implied_ok" => "implied_is_grant",
            "purpose" => "didomi_purpose",
            "service" => "klaro_service",
            "category" => "cookieconsent_category",
            other => panic!("a key that nobody reads: {other}"),
        };
        named.insert(key);
        toml += &format!("{key} = {value}\n");
    }
    for key in ["didomi_purpose", "klaro_service"] {
        if !named.contains(key) {
            toml += &format!("{key} = \"analytics\"\n");
        }
    }
    (toml, adapter)
}

/// The row's signal, as a request brings it.
fn carried(row: &serde_json::Value) -> Asked {
    let [name, value] = ["name", "value"].map(|key| row[key].as_str().unwrap());
    let mut asked = Asked::default();
    match row["where"].as_str().unwrap() {
        "header" => asked.headers.push((name.to_ascii_lowercase(), value.to_owned())),
        "cookie" => asked.cookies.push(format!("{name}={value}").into_bytes()),
        "cookies" => asked.cookies.push(value.as_bytes().to_vec()),
        "query" => asked
            .query
            .push(url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()),
        "payload" => {
            let text = serde_json::Value::from(value);
            asked.event = Some(vec![match (row["signal"].as_str().unwrap(), name, value) {
                ("gcm", "analytics_storage", _) => format!(r#""gcm":{{"analytics_storage":{text}}}"#),
                // The tracker asks Osano in the page, and sends what it says.
                ("osano", "ANALYTICS", "ACCEPT") => r#""analytics":true"#.into(),
                ("osano", "ANALYTICS", "DENY") => r#""analytics":false"#.into(),
                (adapter, ..) => format!(r#""{adapter}":{text}"#),
            }]);
        }
        other => panic!("a carrier that nobody reads: {other}"),
    }
    asked
}

#[test]
fn the_worked_examples_are_answered_as_written() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpora/consent/consent_signals.jsonl");
    let Ok(rows) = std::fs::read_to_string(path) else {
        println!("skipped: no corpora beside the repository");
        return;
    };
    let (mut wrong, mut disputed_count) = (Vec::new(), 0);
    for line in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let (toml, adapter) = configured(&row);
        let (sites, alone) = (sites(&toml), carried(&row));
        let mut beside_a_yes = alone.clone();
        beside_a_yes.envelope = Some(vec![r#""analytics":true"#.into()]);
        let (alone, beside_a_yes) = (alone.outcome(&sites), beside_a_yes.outcome(&sites));
        let answered = match row["analytics_allowed"].as_bool() {
            Some(true) => alone == Ok(adapter),
            Some(false) if row["signal"] == "gpc" => alone.is_err() && beside_a_yes.is_err(),
            Some(false) => alone.is_err(),
            None => alone == Err("consent_absent") && beside_a_yes == Ok("payload"),
        };
        let told = (row["signal"].as_str().unwrap(), row["value"].as_str().unwrap());
        let disputed = DISPUTED.iter().any(|&(signal, value, _)| told == (signal, value));
        if disputed {
            disputed_count += 1;
            assert!(alone.is_err() && beside_a_yes == Err("consent_malformed"), "{line}");
        } else if !answered {
            wrong.push(format!("{alone:?}, {beside_a_yes:?}: {line}"));
        }
    }
    let count = rows.lines().count();
    println!("{} of {count} as written, {disputed_count} disputed", count - wrong.len() - disputed_count);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), count, wrong.join("\n"));
}
