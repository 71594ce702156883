//! The rule of consent over whole requests: denials override, order does not matter, decided per event, and nobody can
//! tell a drop from an acceptance by its status.

mod consent_support;

use std::collections::HashSet;

use consent_support::{ALL, Asked, By, Garbage, NOW, No, Objects, Signal, Yes, asked, file, signals, sites};
use consentry::accept::Limits;
use consentry::clock::Clock;
use consentry::deidentify::{SaltStore, Salts};
use consentry::enrich::agent::Agents;
use consentry::pipeline::Pipeline;
use consentry::spool::Spool;
use consentry::telemetry::Telemetry;
use proptest::prelude::*;

/// Up to seven signals; a key of the payload at most once, as one object says a thing once.
fn some_signals() -> impl Strategy<Value = Vec<Signal>> {
    prop::collection::vec(prop::sample::select(signals()), 0..8).prop_map(|mut signals| {
        let mut keys = HashSet::new();
        signals.retain(|signal| signal.key().is_none_or(|key| keys.insert(key)));
        signals
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn order_does_not_matter(
        (one, other) in some_signals().prop_flat_map(|signals| (Just(signals.clone()), Just(signals).prop_shuffle())),
        apart: bool,
    ) {
        let sites = sites(ALL);
        let shuffled = Asked { apart, ..asked(&other) };
        prop_assert_eq!(asked(&one).outcome(&sites), shuffled.outcome(&sites));
    }

    #[test]
    fn an_objection_more_never_turns_a_drop_into_accept(
        signals in some_signals(),
        more in prop::sample::select(signals()),
    ) {
        let objects = matches!(more.says, No | Objects | Garbage);
        let said = |signal: &Signal| more.key().is_some() && signal.key() == more.key();
        if objects && !signals.iter().any(said) {
            prop_assert!(asked(signals.iter().chain([&more])).outcome(&sites(ALL)).is_err());
        }
    }

    #[test]
    fn a_grant_less_never_turns_a_drop_into_accept(signals in some_signals()) {
        let sites = sites(ALL);
        if asked(&signals).outcome(&sites).is_err() {
            for at in (0..signals.len()).filter(|&at| signals[at].says == Yes) {
                let mut less = signals.clone();
                less.remove(at);
                prop_assert!(asked(&less).outcome(&sites).is_err(), "without {at}");
            }
        }
    }

    #[test]
    fn a_grant_of_the_batch_does_not_outrank_a_denial_of_the_event(
        grants in some_signals(),
        denial in prop::sample::select(signals()),
    ) {
        if denial.key().is_some() && denial.says == No {
            let grants = asked(grants.iter().filter(|signal| signal.says == Yes));
            let asked = Asked { envelope: grants.event.clone(), ..grants };
            let event = consent_support::asked([&denial]).event;
            prop_assert_eq!(Asked { event, ..asked }.outcome(&sites(ALL)), Err("consent_denied"));
        }
    }

    #[test]
    fn no_bytes_do_harm(
        name in prop::sample::select(signals()),
        bytes in prop::collection::vec(any::<u8>().prop_filter("a header's", |b| *b >= 32 && *b != 127), 0..200),
        cut in 0usize..200,
    ) {
        let mut asked = Asked::default();
        match &name.by {
            By::Cookie(cookie, value) => {
                let value = &value.as_bytes()[..cut.min(value.len())];
                asked.cookies.push([cookie.as_bytes(), b"=", value, &bytes].concat());
            }
            By::Query(param, value) => {
                let value: String = value.chars().take(cut).collect();
                asked.query.push(format!("{param}={value}%{:02X}", bytes.first().unwrap_or(&0)).replace(['$', '{', '}'], ""));
            }
            By::Payload(key, _) => {
                let text = serde_json::to_string(&String::from_utf8_lossy(&bytes)).unwrap();
                asked.event = Some(vec![format!(r#""{key}":{text}"#)]);
            }
            By::Header(header, _) => asked.headers.push(((*header).to_owned(), "1".repeat(cut))),
        }
        let _ = asked.outcome(&sites(ALL));
    }
}

#[tokio::test]
async fn a_dropped_event_is_answered_like_an_accepted_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = file(ALL);
    let ((clock, _hand), telemetry) = (Clock::manual(NOW), Telemetry::new());
    let (spool, _) = Spool::open(dir.path(), &config, clock.clone(), telemetry.clone()).unwrap();
    let rules = include_str!(concat!(env!("OUT_DIR"), "/uap_regexes.json"));
    let pipeline = Pipeline {
        subjects: Default::default(),
        limits: Limits::new(&config),
        sites: config.resolve().unwrap().sites.into(),
        salts: Salts::open(&dir.path().join("salts"), SaltStore::File, vec!["shop".into()], NOW).unwrap(),
        agents: Agents::from_json(rules, 16).unwrap(),
        networks: Default::default(),
        spam: Default::default(),
        spool,
        telemetry,
        clock,
    };
    let mut accepted = 0;
    for signal in signals() {
        let answer =
            pipeline.collect(asked([&signal]).request(), "127.0.0.1".parse().unwrap()).await.unwrap();
        assert_eq!(answer.status(), 202, "{signal:?}");
        let answer = serde_json::to_value(answer).unwrap();
        assert_eq!(answer["accepted"] == 1, signal.says == Yes, "{signal:?}");
        accepted += answer["accepted"].as_u64().unwrap();
    }
    assert!(accepted > 10);
}
