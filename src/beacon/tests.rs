//! Bodies as they come: good, odd and hostile.

use http::Request;
use http_body_util::Full;

use super::*;
use crate::accept::{self, Limits};
use crate::config::File;

const NOW: i64 = 1_763_848_800_000;

fn submission(body: &[u8], uri: &str) -> Submission {
    let method = if uri.contains("pixel") { "GET" } else { "POST" };
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header(
            "content-type",
            if uri.contains("lines") { "application/x-ndjson" } else { "application/json" },
        )
        .header("referer", "https://shop.example/from-header")
        .body(Full::new(bytes::Bytes::copy_from_slice(body)))
        .unwrap();
    let limits = Limits::new(&File::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(accept::receive(request, "127.0.0.1".parse().unwrap(), NOW, &limits)).unwrap()
}

/// Each entry as `ok` or its code, or the refusal of the whole.
fn outcome(body: &str, uri: &str) -> Result<Vec<String>, &'static str> {
    let sites = File::default().resolve().unwrap().sites;
    let submission = submission(body.as_bytes(), uri);
    let entries: Vec<_> = read(&submission, &sites).map_err(Refusal::code)?.collect();
    let codes: Vec<_> =
        entries.iter().filter_map(|entry| entry.as_ref().err()).map(|rejected| rejected.code).collect();
    if codes.len() == entries.len()
        && let Some(refusal) = forbidden(codes.iter().copied())
    {
        return Err(refusal.code());
    }
    Ok(entries
        .iter()
        .map(|entry| entry.as_ref().map_or_else(|r| r.code.code().into(), |_| "ok".into()))
        .collect())
}

fn json(body: &str) -> Result<Vec<String>, &'static str> {
    outcome(body, "/v1/events")
}

fn one(fields: &str) -> String {
    let body = format!(r#"{{"site":"demo","type":"pageview","url":"https://shop.example/"{fields}}}"#);
    json(&body).unwrap().remove(0)
}

/// What the first event says of consent; without a payload's consent there is nothing, and an unreadable one is `Err`.
fn consent<T: Default>(body: &str, of: impl Fn(&WireConsent<'_>) -> T) -> Result<T, ()> {
    let sites = File::default().resolve().unwrap().sites;
    let submission = submission(body.as_bytes(), "/v1/events");
    match read(&submission, &sites).unwrap().next().unwrap().unwrap().consent() {
        PayloadConsent::Silent => Ok(T::default()),
        PayloadConsent::Says(consent) => Ok(of(consent)),
        PayloadConsent::Unreadable => Err(()),
    }
}

#[test]
fn bodies_that_are_none() {
    let refusals = [
        ("", "json_invalid"),
        ("{", "json_invalid"),
        ("nonsense", "json_invalid"),
        ("{} {}", "json_invalid"),
        ("\"text\"", "shape_invalid"),
        ("17", "shape_invalid"),
        ("null", "shape_invalid"),
        ("[]", "events_empty"),
        (r#"{"events":[]}"#, "events_empty"),
        (r#"{"events":7}"#, "shape_invalid"),
        (r#"{"events":{"events":[{}]}}"#, "shape_invalid"),
        (r#"{"events":[{}],"events":[{}]}"#, "shape_invalid"),
        ("{}", "site_unknown"),
        (r#"{"site":"elsewhere","type":"pageview"}"#, "site_unknown"),
    ];
    for (body, code) in refusals {
        assert_eq!(json(body), Err(code), "{body}");
    }
}

#[test]
fn a_field_of_a_wrong_type_rejects_its_event_and_no_other() {
    let good = r#"{"type":"pageview","url":"https://shop.example/"}"#;
    for bad in [
        r#"{"type":"pageview","url":"https://shop.example/","title":{}}"#,
        r#"{"type":"pageview","url":"https://shop.example/","screen":[1,2]}"#,
        r#"{"type":"pageview","url":"https://shop.example/","visit":{"id":7}}"#,
        r#"{"type":"pageview","url":"https://shop.example/","title":"a","title":"b"}"#,
        r#"{"type":"pageview","url":"https://shop.example/","props":{"a":[]}}"#,
    ] {
        let body = format!(r#"{{"site":"demo","events":[{good},{bad},{good}]}}"#);
        assert_eq!(json(&body).unwrap(), ["ok", "field_type", "ok"], "{bad}");
    }
}

#[test]
fn unknown_fields_are_skipped_whatever_they_hold() {
    assert_eq!(one(r#","password":"x","nested":{"a":[{"b":null}]}"#), "ok");
}

#[test]
fn nesting_deeper_than_any_event_is_no_json_of_ours() {
    let list = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(one(&format!(r#","x":{}"#, list(100))), "ok");
    assert_eq!(one(&format!(r#","title":{}"#, list(100))), "field_type");
    let event = |field: &str, value: &str| {
        json(&format!(
            r#"{{"site":"demo","type":"pageview","url":"https://shop.example/","{field}":{value}}}"#
        ))
    };
    for field in ["x", "title", "props", "consent", "visit"] {
        assert_eq!(event(field, &list(10_000)), Err("json_invalid"), "{field}");
        let objects = format!("{}1{}", r#"{"visit":"#.repeat(10_000), "}".repeat(10_000));
        assert_eq!(event(field, &objects), Err("json_invalid"), "{field}");
    }
    assert_eq!(json(&list(10_000)), Err("json_invalid"));
}

#[test]
fn limits_at_and_over() {
    let props = |count: usize| {
        let pairs: Vec<String> = (0..count).map(|index| format!(r#""p{index}":{index}"#)).collect();
        one(&format!(r#","props":{{{}}}"#, pairs.join(",")))
    };
    assert_eq!((props(PROPS_MAX), props(PROPS_MAX + 1)), ("ok".into(), "props_too_many".into()));
    assert_eq!(props(50_000), "props_too_many");
    let id = |length: usize| one(&format!(r#","id":"{}""#, "x".repeat(length)));
    assert_eq!((id(256), id(257)), ("ok".into(), "field_too_long".into()));
    let event = r#"{"site":"demo","type":"pageview","url":"https://shop.example/"}"#;
    let events = |count: usize| json(&format!("[{}]", vec![event; count].join(",")));
    assert_eq!(events(EVENTS_PER_BODY_MAX).unwrap().len(), EVENTS_PER_BODY_MAX);
    assert_eq!(events(EVENTS_PER_BODY_MAX + 1), Err("events_too_many"));
}

#[test]
fn what_a_type_needs() {
    for (event, code) in [
        (r#""type":"pageview""#, "url_invalid"),
        (r#""type":"custom""#, "field_missing"),
        (r#""type":"click","point":"""#, "field_missing"),
        (r#""type":"engagement","engaged_ms":-1"#, "field_range"),
        (r#""type":"engagement","scroll_pct":101"#, "field_range"),
        (r#""type":"performance","vitals":{"cls":-0.1}"#, "field_range"),
        (r#""type":"crash","crash":{"kind":"TypeError"}"#, "ok"),
        (r#""type":"custom","name":"buy","ts":"never""#, "ts_invalid"),
        (r#""type":"custom","name":"buy","ts":1"#, "ts_out_of_range"),
        (r#""type":"custom","name":"buy","ts":1763848800000"#, "ok"),
        (r#""type":"Pageview""#, "type_unknown"),
    ] {
        let body = format!(r#"{{"site":"demo",{event}}}"#);
        assert_eq!(json(&body).unwrap(), [code], "{event}");
    }
}

#[test]
fn consent_is_the_events_own_or_the_bodys() {
    use Choice::{Denied, Granted, Malformed};
    let event = |consent: &str| format!(r#"{{"type":"pageview","url":"https://shop.example/"{consent}}}"#);
    let envelope = |outer: &str, own: &str| format!(r#"{{"site":"demo"{outer},"events":[{}]}}"#, event(own));
    let says = |body: String| consent(&body, |consent| consent.analytics).unwrap_or(Some(Malformed));
    let yes = r#","consent":{"analytics":true}"#;
    let no = r#","consent":{"analytics":"denied"}"#;
    assert_eq!(says(envelope(yes, "")), Some(Granted));
    assert_eq!(
        says(envelope(yes, no)),
        Some(Denied),
        "a grant of the batch does not outrank the event's denial"
    );
    assert_eq!(
        says(envelope(no, yes)),
        Some(Granted),
        "the batch's applies to events that have none of their own"
    );
    assert_eq!(says(envelope(yes, r#","consent":{}"#)), None);
    assert_eq!(says(envelope("", "")), None);
    for odd in [
        "null",
        "7",
        "[]",
        "\"granted\"",
        "true",
        r#"{"analytics":null}"#,
        r#"{"analytics":"yes"}"#,
        r#"{"analytics":2}"#,
        r#"{"analytics":1.5}"#,
        r#"{"analytics":[true]}"#,
        r#"{"analytics":true,"analytics":false}"#,
    ] {
        assert_eq!(says(envelope(yes, &format!(r#","consent":{odd}"#))), Some(Malformed), "{odd}");
    }
    let context = |consent: &str, outer: &str| {
        let event = event("");
        says(format!(r#"{{"site":"demo"{outer},"context":{{"language":"en"{consent}}},"events":[{event}]}}"#))
    };
    assert_eq!(context(yes, ""), Some(Granted));
    assert_eq!(
        context(yes, no),
        Some(Malformed),
        "envelope and context speak for the same events and disagree"
    );
    assert_eq!(context(no, yes), Some(Malformed));
    assert_eq!(context(r#","consent":7"#, yes), Some(Malformed));
    let twice = r#","consent":{"analytics":true},"consent":{"analytics":false}"#;
    assert_eq!(says(envelope("", twice)), Some(Malformed));
    let agreeing = r#","consent":{"analytics":true,"analytics":1,"ads":false}"#;
    assert_eq!(says(envelope("", agreeing)), Some(Granted));
    let escaped = r#","consent":{"\u0061nalytics":"gr\u0061nted"}"#;
    assert_eq!(says(envelope("", escaped)), Some(Granted));
}

#[test]
fn a_signal_is_text_or_malformed_and_no_fault_of_its_neighbours() {
    let said = |body: &str| {
        consent(body, |consent| {
            let signals = consent.signals.as_deref().cloned().unwrap_or_default();
            let word = |said: &Said<'_>| match said {
                Said::Nothing => "-".to_owned(),
                Said::Text(text) => text.to_string(),
                Said::Malformed => "!".to_owned(),
            };
            (word(&signals.tcf), word(&signals.usp), signals.gcm, consent.analytics)
        })
        .unwrap()
    };
    let one = |fields: &str| {
        said(&format!(
            r#"{{"site":"demo","type":"pageview","url":"https://shop.example/","consent":{{{fields}}}}}"#
        ))
    };
    let yes = Some(Choice::Granted);
    let silent = || ("-".to_owned(), "-".to_owned(), None, yes);
    assert_eq!(one(r#""analytics":true"#), silent());
    assert_eq!(one(r#""analytics":true,"other":{"tcf":"x"}"#), silent());
    assert_eq!(
        one(r#""analytics":true,"tcf":"a","usp":"b","gcm":{"analytics_storage":"denied","ad_storage":7}"#),
        ("a".into(), "b".into(), Some(Choice::Denied), yes)
    );
    for odd in ["null", "7", "true", "[\"a\"]", "{}"] {
        assert_eq!(
            one(&format!(r#""analytics":true,"tcf":{odd},"usp":"b""#)),
            ("!".into(), "b".into(), None, yes),
            "{odd}"
        );
    }
    assert_eq!(one(r#""tcf":"a","\u0074cf":"\u0061""#).0, "a", "twice the same");
    assert_eq!(one(r#""tcf":"a","tcf":"b""#).0, "!");
    for odd in ["null", "7", r#""granted""#, r#"{"analytics_storage":true}"#, r#"{"analytics_storage":null}"#]
    {
        assert_eq!(one(&format!(r#""gcm":{odd}"#)).2, Some(Choice::Malformed), "{odd}");
    }
    assert_eq!(one(r#""gcm":{}"#).2, None);
    let twice = r#""gcm":{"analytics_storage":"granted","analytics_storage":"denied"}"#;
    assert_eq!(one(twice).2, Some(Choice::Malformed));
}

#[test]
fn envelope_and_context_speak_together_and_an_event_for_itself() {
    let tcf = |envelope: &str, context: &str, own: &str| {
        let body = format!(
            r#"{{"site":"demo"{envelope},"context":{{"language":"en"{context}}},
            "events":[{{"type":"pageview","url":"https://shop.example/"{own}}}]}}"#
        );
        consent(&body, |consent| format!("{:?}", consent.signals.as_ref().map(|signals| &signals.tcf)))
            .unwrap()
    };
    let (a, b) = (r#","consent":{"tcf":"a"}"#, r#","consent":{"tcf":"b","usp":"1YNN"}"#);
    assert_eq!(tcf(a, "", ""), "Some([redacted])");
    assert_eq!(tcf(a, a, ""), "Some([redacted])");
    assert_eq!(tcf(a, b, ""), "Some(Malformed)");
    assert_eq!(tcf(a, b, a), "Some([redacted])");
    assert_eq!(tcf(a, "", r#","consent":{}"#), "None", "what the event says replaces all of it");
}

#[test]
fn one_bad_line_does_not_spoil_the_others() {
    let good = r#"{"site":"demo","type":"pageview","url":"https://shop.example/"}"#;
    assert_eq!(
        outcome(&format!("{good}\nnonsense\n{good}\n"), "/lines").unwrap(),
        ["ok", "event_invalid", "ok"]
    );
    assert_eq!(outcome("nonsense\nmore\n", "/lines"), Err("json_invalid"));
    assert_eq!(outcome("\n\n", "/lines"), Err("events_empty"));
}

#[test]
fn a_pixel_is_a_page_view() {
    assert_eq!(outcome("", "/v1/pixel.gif?site=demo&url=https%3A%2F%2Fa.example%2F&c=1").unwrap(), ["ok"]);
    assert_eq!(outcome("", "/v1/pixel.gif?site=demo&c=1").unwrap(), ["ok"], "the page is the Referer");
    assert_eq!(outcome("", "/v1/pixel.gif?site=demo&site=demo"), Err("site_unknown"), "said twice");
    assert_eq!(outcome("", "/v1/pixel.gif"), Err("site_unknown"));
}

#[test]
fn nothing_that_identifies_is_printed_by_debug() {
    let body = r#"{"site":"demo","type":"pageview","url":"https://canary.example/","id":"canary","referrer":"https://canary.example",
        "visit":{"id":"canary"},"subject":"canary","prev_url":"https://canary.example",
        "consent":{"tcf":"canary","onetrust":"canary","didomi":"canary"}}"#;
    let sites = File::default().resolve().unwrap().sites;
    let submission = submission(body.as_bytes(), "/v1/events");
    let beacon = read(&submission, &sites).unwrap().next().unwrap().unwrap();
    let printed = format!("{submission:?} {beacon:?}");
    assert!(!printed.contains("canary"), "{printed}");
}
