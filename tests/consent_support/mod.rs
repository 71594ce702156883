//! Requests that carry consent: real signals of every kind, in every carrier.

#![allow(dead_code)] // each test file uses its part

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use consentry::accept::{self, Limits};
use consentry::beacon;
use consentry::config::File;
use consentry::consent::gate;
use consentry::site::Sites;
use http::{HeaderValue, Request};
use http_body_util::Full;

/// January 2026.
pub const NOW: i64 = 1_769_000_000_000;

pub const ALL: &str = r#"
    adapters = ["payload", "tcf", "gpp", "usp", "gcm", "onetrust", "trustarc", "cookiebot", "cookieyes", "didomi",
                "klaro", "wp_consent", "complianz", "cookieconsent"]
    didomi_purpose = "analytics-1"
    klaro_service = "matomo"
    tcf = { accept_core = true }
"#;

pub fn file(consent: &str) -> File {
    let toml = format!("[[site]]\nid = \"shop\"\norigins = [\"*\"]\n[site.consent]\n{consent}");
    toml::from_str(&toml).unwrap_or_else(|error| panic!("{toml}: {error}"))
}

pub fn sites(consent: &str) -> Arc<Sites> {
    file(consent).resolve().unwrap().sites
}

/// One request with one event.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Members of the envelope's and of the event's `consent`, as JSON; `None`: it has none.
    pub envelope: Option<Vec<String>>,
    pub event: Option<Vec<String>>,
    pub query: Vec<String>,
    pub cookies: Vec<Vec<u8>>,
    /// Whether each cookie comes in a header of its own.
    pub apart: bool,
    pub headers: Vec<(String, String)>,
}

impl Asked {
    pub fn request(&self) -> Request<Full<Bytes>> {
        let consent = |members: &Option<Vec<String>>| {
            members
                .as_ref()
                .map_or(String::new(), |members| format!(r#","consent":{{{}}}"#, members.join(",")))
        };
        let body = format!(
            r#"{{"site":"shop"{},"events":[{{"type":"pageview","url":"https://shop.example/"{}}}]}}"#,
            consent(&self.envelope),
            consent(&self.event)
        );
        let mut request = Request::post(format!("/v1/events?{}", self.query.join("&")));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let jars = if self.apart { self.cookies.clone() } else { vec![self.cookies.join(&b"; "[..])] };
        for jar in jars {
            request = request.header("cookie", HeaderValue::from_bytes(&jar).unwrap());
        }
        request.body(Full::new(Bytes::from(body))).unwrap()
    }

    /// What granted, or why not.
    pub fn outcome(&self, sites: &Sites) -> Result<&'static str, &'static str> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let limits = Limits::new(&File::default());
        let receiving = accept::receive(self.request(), "127.0.0.1".parse().unwrap(), NOW, &limits);
        let submission = runtime.block_on(receiving).unwrap();
        let beacon = beacon::read(&submission, sites).unwrap().next().unwrap().unwrap();
        gate(beacon).map(|event| event.grant().basis.as_str()).map_err(|reason| reason.code())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    Yes,
    No,
    Objects,
    Nothing,
    Garbage,
}
pub use Says::{Garbage, No, Nothing, Objects, Yes};

#[derive(Debug, Clone)]
pub enum By {
    /// A key of the payload with its JSON.
    Payload(&'static str, String),
    Query(&'static str, String),
    Cookie(&'static str, String),
    Header(&'static str, String),
}

#[derive(Debug, Clone)]
pub struct Signal {
    pub by: By,
    pub says: Says,
}

impl Signal {
    pub fn key(&self) -> Option<&'static str> {
        if let By::Payload(key, _) = self.by { Some(key) } else { None }
    }

    pub fn put(&self, asked: &mut Asked) {
        match &self.by {
            By::Payload(key, json) => {
                asked.event.get_or_insert_default().push(format!(r#""{key}":{json}"#));
            }
            By::Query(name, value) => asked
                .query
                .push(url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()),
            By::Cookie(name, value) => asked.cookies.push(format!("{name}={value}").into_bytes()),
            By::Header(name, value) => asked.headers.push(((*name).to_owned(), value.clone())),
        }
    }
}

/// A valid TC string of version 2.2: service specific, policy 4, no vendors, these purposes.
pub fn tc(purposes: &[u32], updated_ms: i64) -> String {
    let mut bits = String::new();
    let mut put = |value: u64, count: usize| bits.push_str(&format!("{value:0count$b}"));
    let deciseconds = (updated_ms / 100) as u64;
    for (value, count) in [(2, 6), (deciseconds, 36), (deciseconds, 36), (31, 12), (1, 12), (1, 6)] {
        put(value, count);
    }
    for (value, count) in [(4, 6), (13, 6), (200, 12), (4, 6), (1, 1), (0, 1), (0, 12)] {
        put(value, count);
    }
    put(purposes.iter().map(|purpose| 1 << (24 - purpose)).sum(), 24);
    for (value, count) in [(0, 24), (0, 1), (4, 6), (18, 6), (0, 16), (0, 1), (0, 16), (0, 1), (0, 12)] {
        put(value, count);
    }
    let bytes = bits
        .as_bytes()
        .chunks(8)
        .map(|byte| u8::from_str_radix(&format!("{:0<8}", std::str::from_utf8(byte).unwrap()), 2).unwrap());
    URL_SAFE_NO_PAD.encode(bytes.collect::<Vec<u8>>())
}

/// Real signals of each kind, with what each says by itself.
pub fn signals() -> Vec<Signal> {
    let yes = tc(&[1, 8, 9, 10], NOW - 1_000);
    let no = tc(&[1, 8], NOW - 1_000);
    let text = |text: &str| serde_json::to_string(text).unwrap();
    let didomi = |json: &str| STANDARD.encode(json);
    let enabled = didomi(r#"{"purposes":{"enabled":["analytics-1"]}}"#);
    let disabled = didomi(r#"{"purposes":{"enabled":["x"],"disabled":["analytics-1"]}}"#);
    let storage = |word: &str| format!(r#"{{"analytics_storage":"{word}"}}"#);
    let optanon = |count: u8, on: u8| format!("interactionCount={count}&groups=C0001%3A1%2CC0002%3A{on}");
    let cookiebot = |on: bool, method: &str| {
        format!("{{stamp:%27x%27%2Cnecessary:true%2Cstatistics:{on}%2Cmethod:%27{method}%27%2Cver:1}}")
    };
    let cookieyes =
        |action: &str, on: &str| format!("consentid:x,consent:yes,action:{action},analytics:{on}");
    let category = |name: &str| format!("%7B%22categories%22%3A%5B%22necessary%22%2C%22{name}%22%5D%7D");
    let mut signals = Vec::new();
    let mut add = |says, by| signals.push(Signal { by, says });
    for (says, json) in
        [(Yes, "true"), (Yes, "\"granted\""), (No, "0"), (No, "\"denied\""), (Garbage, "null")]
    {
        add(says, By::Payload("analytics", json.into()));
    }
    for (says, value) in [
        (Yes, yes.clone()),
        (No, no.clone()),
        (No, tc(&[1, 8, 9, 10], NOW - 400 * 24 * 3_600_000)),
        (Garbage, "${GDPR_CONSENT_755}".into()),
    ] {
        add(says, By::Payload("tcf", text(&value)));
        add(says, By::Query("gdpr_consent", value.clone()));
        if says != Garbage {
            add(says, By::Cookie("euconsent-v2", value));
        }
    }
    for (says, value) in [
        (Yes, format!("DBABMA~{yes}")),
        (No, format!("DBABMA~{no}")),
        (Objects, "DBABCw~BVVVVVVA".into()),
        (Nothing, "DBABEw~BqqqqqqA".into()),
        (Garbage, "D".into()),
    ] {
        add(says, By::Payload("gpp", text(&value)));
        add(says, By::Query("gpp", value));
    }
    for (says, value) in [(Objects, "1YYN"), (Nothing, "1---"), (Nothing, "1YNN"), (Garbage, "2YNN")] {
        add(says, By::Payload("usp", text(value)));
        add(says, By::Query("us_privacy", value.into()));
        add(says, By::Cookie("usprivacy", value.into()));
    }
    for (says, word) in [(Yes, "granted"), (No, "denied"), (Garbage, "unknown")] {
        add(says, By::Payload("gcm", storage(word)));
    }
    for (says, value) in [(Yes, "G101"), (No, "G110"), (Nothing, "G1--"), (Garbage, "G1")] {
        add(says, By::Query("gcs", value.into()));
    }
    for (says, value) in [(Yes, "11p1r1p1p5"), (No, "11r1p1r1r5"), (Nothing, "13t3t3t3t5l1")] {
        add(says, By::Query("gcd", value.into()));
    }
    let mut manager = |key, cookie, says, value: &str| {
        add(says, By::Cookie(cookie, value.to_owned()));
        add(says, By::Payload(key, text(value)));
    };
    for (says, value) in [(Yes, optanon(1, 1)), (No, optanon(1, 0)), (Nothing, optanon(0, 1))] {
        manager("onetrust", "OptanonConsent", says, &value);
    }
    manager("trustarc", "notice_gdpr_prefs", Yes, "0,1,2:");
    manager("trustarc", "notice_gdpr_prefs", No, "0,2:");
    manager("trustarc", "notice_gdpr_prefs", Nothing, "0,1,2::implied,eu");
    manager("trustarc", "cmapi_cookie_privacy", Yes, "permit 1,2,3");
    manager("trustarc", "cmapi_cookie_privacy", No, "permit 1 required");
    manager("cookiebot", "CookieConsent", Yes, &cookiebot(true, "explicit"));
    manager("cookiebot", "CookieConsent", No, &cookiebot(false, "explicit"));
    manager("cookiebot", "CookieConsent", Nothing, &cookiebot(true, "implied"));
    manager("cookieyes", "cookieyes-consent", Yes, &cookieyes("yes", "yes"));
    manager("cookieyes", "cookieyes-consent", No, &cookieyes("yes", "no"));
    manager("cookieyes", "cookieyes-consent", Nothing, &cookieyes("", ""));
    manager("cookieyes", "cookieyes-consent", Garbage, "%E0%A4%A");
    manager("didomi", "didomi_token", Yes, &enabled);
    manager("didomi", "didomi_token", No, &disabled);
    manager("didomi", "didomi_token", Garbage, "1");
    manager("klaro", "klaro", Yes, "%7B%22matomo%22%3Atrue%7D");
    manager("klaro", "klaro", No, "%7B%22matomo%22%3Afalse%7D");
    manager("klaro", "klaro", Garbage, "%7B%22matomo%22%3A%22true%22%7D");
    for (says, word) in [(Yes, "allow"), (No, "deny"), (Garbage, "")] {
        manager("wp_consent", "wp_consent_statistics", says, word);
        manager("complianz", "cmplz_statistics", says, word);
    }
    manager("cookieconsent", "cc_cookie", Yes, &category("analytics"));
    manager("cookieconsent", "cc_cookie", No, &category("marketing"));
    for (name, says, value) in [
        ("sec-gpc", Objects, "1"),
        ("sec-gpc", Nothing, "0"),
        ("dnt", Objects, "1"),
        ("dnt", Nothing, "0"),
        ("x-do-not-track", Objects, "1"),
    ] {
        add(says, By::Header(name, value.into()));
    }
    signals
}

pub fn asked<'a>(signals: impl IntoIterator<Item = &'a Signal>) -> Asked {
    let mut asked = Asked::default();
    signals.into_iter().for_each(|signal| signal.put(&mut asked));
    asked
}
