//! Sends the canaries: every kind in every field of the wire format, by every carrier, with consent and without, in
//! requests that are taken and in requests that are turned away.
//!
//! Long: fields, carriers and refusals are one list, to be read beside the wire format. What is put into client hints
//! stands in `hints`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::{Value, json};

use super::canary::{Canary, Variant, percent};
use super::hints::hinted;
use super::search::{Needles, Stream};
use crate::reach::{Reach, ReachClient};

/// Events in one body.
const BATCH_EVENTS: usize = 20;
const ANSWER_WAIT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often a request is sent again that was answered 429 or 503.
const TRIES: u32 = 10;
/// Larger than any body that a collector is configured for by default.
const TOO_LARGE_BYTES: usize = 1024 * 1024 + 64 * 1024;

/// The User-Agent of all that is sent: a bot's, so that no report counts it.
pub const AGENT: &str = "Mozilla/5.0 (compatible; ConsentryAuditBot/1.0)";

/// The encodings of a body.
const ENCODINGS: [&str; 5] = ["identity", "gzip", "deflate", "br", "zstd"];

/// What was sent and what became of it.
#[derive(Debug, Default, serde::Serialize)]
pub struct Sent {
    /// Requests.
    pub requests: u64,
    /// Events in them.
    pub events: u64,
    /// Events that the collector says it has kept.
    pub accepted: u64,
    /// Requests by carrier.
    pub carriers: BTreeMap<&'static str, u64>,
    /// Bodies by encoding.
    pub encodings: BTreeMap<&'static str, u64>,
    /// Requests by protocol.
    pub protocols: BTreeMap<&'static str, u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Events by what they say of consent.
    pub consents: BTreeMap<&'static str, u64>,
}

/// Where to send, as which site.
#[derive(Debug)]
pub struct Target<'a> {
    /// The public address of the collector.
    pub public: &'a Reach,
    /// The site that the events name.
    pub site: &'a str,
    /// The host of their pages, by which their rows can be told from others.
    pub host: &'a str,
}

/// What says yes, what says no, and what says nothing.
const CONSENTS: [(&str, Option<bool>); 3] =
    [("granted", Some(true)), ("denied", Some(false)), ("absent", None)];

/// The fields of the wire format that a canary is put into.
pub const FIELDS: [&str; 33] = [
    "id",
    "url (user, path, query, fragment)",
    "referrer",
    "title",
    "page_id",
    "prev_url",
    "visit.id",
    "subject",
    "consent.tcf",
    "consent.gpp",
    "consent.onetrust",
    "consent.trustarc",
    "consent.cookiebot",
    "language",
    "timezone",
    "connection",
    "app.version",
    "app.sdk",
    "utm.source",
    "utm.medium",
    "utm.campaign",
    "utm.content",
    "utm.term",
    "utm.channel",
    "utm.type",
    "name",
    "props (name and value)",
    "point",
    "crash.kind",
    "crash.message",
    "crash.stack",
    "crash.source",
    "a field that is none",
];

/// Sends; feeds the answers to a search.
pub struct Sender<'a> {
    target: &'a Target<'a>,
    http1: ReachClient,
    http2: ReachClient,
    needles: Stream<'a>,
    sent: Sent,
    turn: usize,
}

fn with_consent(mut event: Value, consent: Option<bool>) -> Value {
    match (&mut event["consent"], consent) {
        (Value::Object(said), Some(choice)) => drop(said.insert("analytics".into(), choice.into())),
        (said, Some(choice)) => *said = json!({ "analytics": choice }),
        (_, None) => drop(event.as_object_mut().map(|event| event.remove("consent"))),
    }
    event
}

fn encode(encoding: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let level = flate2::Compression::default();
    match encoding {
        "gzip" => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
            writer.write_all(body)?;
            writer.finish()
        }
        "deflate" => {
            let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), level);
            writer.write_all(body)?;
            writer.finish()
        }
        "br" => {
            let mut out = Vec::new();
            brotli::CompressorWriter::new(&mut out, 4096, 5, 22).write_all(body)?;
            Ok(out)
        }
        "zstd" => Ok(ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest)),
        _ => Ok(body.to_vec()),
    }
}

impl<'a> Sender<'a> {
    /// Nothing is sent yet.
    pub fn new(target: &'a Target<'a>, needles: &'a Needles) -> Self {
        Self {
            target,
            http1: target.public.http1(),
            http2: target.public.http2(),
            needles: needles.stream(),
            sent: Sent::default(),
            turn: 0,
        }
    }

    /// Ends; all connections are closed. Gives what was sent and the search of the answers.
    pub fn finish(self) -> (Sent, Stream<'a>) {
        (self.sent, self.needles)
    }

    /// The events of one canary, in one way of writing it.
    fn events(&self, canary: &Canary, variant: Variant) -> Vec<Value> {
        let host = self.target.host;
        let value = variant.write(&canary.value);
        let in_url = percent(value.as_bytes());
        let label = canary.kind;
        let text = |before: &str| if canary.free_text { format!("{before} {value}") } else { String::new() };
        let (path, kept) = match canary.free_text {
            true => (format!("/p/{in_url}"), format!("&utm_content={in_url}")),
            false => ("/p/1".to_owned(), String::new()),
        };
        let page = json!({
            "site": self.target.site, "type": "pageview", "id": value,
            "url": format!("https://{in_url}@{host}{path}?{label}={in_url}{kept}#{in_url}"),
            "referrer": format!("https://elsewhere.example{path}?{label}={in_url}"),
            "prev_url": format!("https://{host}{path}?{label}={in_url}"),
            "title": text("Order of"), "page_id": text("page"),
            "visit": { "id": value }, "subject": value, "x_unknown": value,
            "language": value, "timezone": value, "connection": value,
            "app": { "version": text("1.2"), "sdk": text("web") },
            "utm": { "source": text("mail"), "medium": text("mail"), "campaign": text("for"), "content": text("to"),
                     "term": text("find"), "channel": text("from"), "type": text("of") },
        });
        let mut props = serde_json::Map::new();
        if canary.labelled {
            props.insert(label.into(), value.clone().into());
        }
        if canary.free_text {
            props.insert("note".into(), text("call").into());
            props.insert(value.clone(), "yes".into());
        }
        let url = format!("https://{host}/p/2");
        let more = |event: Value| {
            let mut event = event;
            event["site"] = self.target.site.into();
            event["url"] = url.clone().into();
            event["visit"] = json!({ "id": value });
            event
        };
        // A signal that cannot be read may be a no: its event is one that has nothing else to lose.
        let signals = json!({ "type": "pageview",
            "consent": { "tcf": value, "gpp": value, "onetrust": value, "trustarc": value, "cookiebot": value } });
        vec![
            page,
            more(signals),
            more(json!({ "type": "custom", "name": format!("note {}", text("")).trim(), "props": props })),
            more(json!({ "type": "click", "point": format!("nav {}", text("")).trim() })),
            more(json!({ "type": "crash", "crash": { "kind": text("Error"), "message": text("no entry for"),
                "stack": text("Error at f (https://shop.example/app.js:1:2)\n at g"),
                "source": format!("https://{host}{path}?{label}={in_url}") } })),
        ]
    }

    /// Everything.
    pub async fn all(&mut self, canaries: &[Canary], variants: &[Variant]) -> Result<(), String> {
        for (word, consent) in CONSENTS {
            // Written in another way it has to be told only where it is kept.
            let written = if consent == Some(true) { variants } else { &variants[..1] };
            let mut events = Vec::new();
            for &variant in written {
                for canary in canaries.iter().filter(|canary| canary.survives(variant)) {
                    events.extend(
                        self.events(canary, variant).into_iter().map(|event| with_consent(event, consent)),
                    );
                }
            }
            eprintln!("audit: sending {} events, consent {word}", events.len());
            for batch in events.chunks(BATCH_EVENTS) {
                *self.sent.consents.entry(word).or_default() += batch.len() as u64;
                self.batch(batch).await?;
            }
            for canary in canaries {
                self.carriers(canary, consent).await?;
            }
        }
        eprintln!("audit: sending what is turned away");
        for canary in canaries {
            self.refused(canary).await?;
        }
        Ok(())
    }

    /// A batch as an array, as lines, as plain text, by turns, and so the encodings.
    async fn batch(&mut self, events: &[Value]) -> Result<(), String> {
        self.turn += 1;
        self.sent.events += events.len() as u64;
        let list = Value::from(events.to_vec()).to_string();
        let lines = || events.iter().map(|event| event.to_string() + "\n").collect::<String>();
        let (carrier, kind, body) = match self.turn % 4 {
            0 => ("JSON array", "application/json", list),
            1 => ("NDJSON", "application/x-ndjson", lines()),
            2 => ("text/plain", "text/plain", list),
            _ => (
                "envelope",
                "application/json",
                json!({ "site": self.target.site, "events": events }).to_string(),
            ),
        };
        let encoding = ENCODINGS[self.turn % ENCODINGS.len()];
        self.post(carrier, "/v1/events", kind, encoding, &[], body.as_bytes()).await
    }

    /// One canary in headers, query string, context and pixel.
    async fn carriers(&mut self, canary: &Canary, consent: Option<bool>) -> Result<(), String> {
        let (site, host, value) = (self.target.site, self.target.host, canary.value.as_str());
        let in_url = percent(value.as_bytes());
        let event = |event| with_consent(event, consent);
        let minimal = event(json!({ "type": "pageview", "url": format!("https://{host}/p/3") }));
        self.sent.events += 3;

        let envelope = json!({ "site": site, "context": { "visit": { "id": value }, "subject": value,
            "title": if canary.free_text { value } else { "" }, "language": value }, "events": [minimal.clone()] });
        let body = envelope.to_string();
        self.post(
            "context of an envelope",
            "/v1/events",
            "application/json",
            "identity",
            &[],
            body.as_bytes(),
        )
        .await?;

        let path = format!("/v1/events?site={site}&{}={in_url}&gdpr_consent={in_url}", canary.kind);
        let headers = [
            ("user-agent", format!("{AGENT} {value}")),
            ("referer", format!("https://elsewhere.example/{in_url}?{}={in_url}", canary.kind)),
            (
                "cookie",
                format!(
                    "session={in_url}; OptanonConsent=consentId={in_url}&groups=C0002%3A1; _ga=GA1.2.{in_url}"
                ),
            ),
            ("x-forwarded-for", value.to_owned()),
            ("forwarded", format!("for=\"{value}\"")),
            ("authorization", format!("Bearer {value}")),
            ("accept-language", value.to_owned()),
            ("x-client-id", value.to_owned()),
        ];
        self.post(
            "headers and query string",
            &path,
            "application/json",
            "identity",
            &headers,
            minimal.to_string().as_bytes(),
        )
        .await?;

        for variant in [Variant::Plain, Variant::Percent] {
            self.sent.events += 1;
            let written = variant.write(value);
            self.post(
                "client hints",
                "/v1/events",
                "application/json",
                "identity",
                &hinted(AGENT, &written, canary.free_text),
                minimal.to_string().as_bytes(),
            )
            .await?;
        }

        let choice = consent.map_or("", |yes| if yes { "&c=1" } else { "&c=0" });
        let title = if canary.free_text { in_url.as_str() } else { "" };
        let page = percent(format!("https://{host}/p/4?{}={in_url}", canary.kind).as_bytes());
        let path = format!(
            "/v1/pixel.gif?site={site}{choice}&url={page}&title={title}&id=px{in_url}&{}={in_url}",
            canary.kind
        );
        self.request("pixel", Method::GET, &path, &headers, Vec::new()).await
    }

    /// Requests that are turned away, each with the canary in it.
    async fn refused(&mut self, canary: &Canary) -> Result<(), String> {
        let (site, value) = (self.target.site, canary.value.as_str());
        let in_url = percent(value.as_bytes());
        let json = "application/json";
        let good = json!({ "site": site, "type": "custom", "name": "x", "props": { canary.kind: value }, "consent": { "analytics": true } });
        let good_text = good.to_string();
        let with = |key: &str, wrong: Value| {
            let mut event = good.clone();
            event[key] = wrong;
            event.to_string()
        };
        for (carrier, body) in [
            ("broken JSON", format!("{good_text}{value}")),
            ("broken JSON", good_text[..good_text.len() - 1].to_owned()),
            ("event that is invalid", with("type", value.into())),
            ("event that is invalid", with("ts", value.into())),
            ("event that is invalid", with("url", json!(format!("not a url {value}")))),
            ("event that is invalid", with("screen", value.into())),
            ("unknown site", with("site", value.into())),
        ] {
            self.post(carrier, "/v1/events", json, "identity", &[], body.as_bytes()).await?;
        }
        let body = good_text.as_bytes();
        self.post("unknown content type", "/v1/events", "application/x-canary", "identity", &[], body)
            .await?;
        let headers = [("content-encoding", value.to_owned()), ("content-type", json.to_owned())];
        self.request("unknown encoding", Method::POST, "/v1/events", &headers, body.to_vec()).await?;
        let headers = [("content-encoding", "gzip".to_owned()), ("content-type", json.to_owned())];
        self.request("corrupt encoding", Method::POST, "/v1/events", &headers, body.to_vec()).await?;
        let mut torn = encode("zstd", body).map_err(|error| error.to_string())?;
        torn.truncate(torn.len() * 3 / 4);
        let headers = [("content-encoding", "zstd".to_owned()), ("content-type", json.to_owned())];
        self.request("corrupt encoding", Method::POST, "/v1/events", &headers, torn).await?;
        let headers = [("origin", format!("https://{}.example", in_url.replace('%', "-")))];
        self.post("forbidden origin", "/v1/events", json, "identity", &headers, body).await?;
        self.request(
            "unknown path",
            Method::GET,
            &format!("/{in_url}?{}={in_url}", canary.kind),
            &[],
            Vec::new(),
        )
        .await?;
        self.request("unknown method", Method::PUT, &format!("/v1/events?x={in_url}"), &[], body.to_vec())
            .await
    }

    /// Bodies that are too large, as sent and after decompression, once.
    pub async fn too_large(&mut self, canary: &Canary) -> Result<(), String> {
        let text = format!("{} ", canary.value);
        let body = text.repeat(TOO_LARGE_BYTES / text.len());
        self.post("too large", "/v1/events", "text/plain", "identity", &[], body.as_bytes()).await?;
        self.post("too large", "/v1/events", "text/plain", "gzip", &[], body.repeat(5).as_bytes()).await
    }

    async fn post(
        &mut self,
        carrier: &'static str,
        path: &str,
        kind: &str,
        encoding: &'static str,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Result<(), String> {
        let mut all = vec![("content-type", kind.to_owned())];
        if encoding != "identity" {
            all.push(("content-encoding", encoding.to_owned()));
        }
        all.extend_from_slice(headers);
        *self.sent.encodings.entry(encoding).or_default() += 1;
        let body = encode(encoding, body).map_err(|error| error.to_string())?;
        self.request(carrier, Method::POST, path, &all, body).await
    }

    async fn request(
        &mut self,
        carrier: &'static str,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<(), String> {
        self.sent.requests += 1;
        *self.sent.carriers.entry(carrier).or_default() += 1;
        let (protocol, client) = match self.sent.requests % 3 {
            0 => ("HTTP/2", &self.http2),
            _ => ("HTTP/1.1", &self.http1),
        };
        *self.sent.protocols.entry(protocol).or_default() += 1;
        let body = Bytes::from(body);
        let mut answer = None;
        for attempt in 0..TRIES {
            let mut request = Request::builder().method(&method).uri(self.target.public.url(path));
            if !headers.iter().any(|(name, _)| *name == "user-agent") {
                request = request.header("user-agent", AGENT);
            }
            for (name, value) in headers {
                // UTF-8 is allowed in a header's value, if not welcome.
                request = request.header(*name, value.as_bytes());
            }
            let request =
                request.body(Full::new(body.clone())).map_err(|error| format!("{carrier}: {error}"))?;
            let came = tokio::time::timeout(ANSWER_WAIT, client.request(request)).await;
            match came.map_err(|_| format!("{carrier}: no answer within {ANSWER_WAIT:?}"))? {
                Ok(came) if matches!(came.status().as_u16(), 429 | 503) => {
                    tokio::time::sleep(Duration::from_millis(200 << attempt.min(4))).await;
                }
                Ok(came) => {
                    answer = Some(came);
                    break;
                }
                // A connection may end while a body is sent that nobody wants.
                Err(_) if carrier == "too large" => return Ok(()),
                Err(_) if attempt + 1 < TRIES => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => {
                    let address = self.target.public.address();
                    return Err(format!("the collector at {address} does not answer: {error}"));
                }
            }
        }
        let Some(answer) = answer else {
            return Err("the collector has no room (429 or 503); try again when it is less busy".into());
        };
        *self.sent.statuses.entry(answer.status().as_u16()).or_default() += 1;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        for value in head.headers.values() {
            self.needles.push(value.as_bytes());
            self.needles.push(b"\n");
        }
        self.needles.push(&body);
        let told: Option<Value> = serde_json::from_slice(&body).ok();
        self.sent.accepted += told.and_then(|told| told["accepted"].as_u64()).unwrap_or(0);
        Ok(())
    }
}
