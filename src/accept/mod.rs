//! First room: a request becomes a [`Submission`], a bounded, decompressed body with what came around it.
//!
//! Invariant: nothing behind this room meets a body above its limit, a compressed byte, or an address that a
//! stranger wrote into a header.

mod address;
mod admit;
mod body;
mod budget;
mod connections;
mod debts;
mod hints;
mod network;
pub mod proxy;
mod refusal;
mod signature;
mod zstandard;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderMap, Request, header};
use hyper::body::Body;

pub use address::{ClientAddress, Hop, Peer, Proxies};
pub use admit::{Admission, Limited, LimitsFile, Scope};
pub use budget::{Budget, Reservation};
pub use connections::{Connected, Connections};
use hints::Present;
pub use hints::{ClientHints, HeaderTraits};
pub use network::{Network, NetworkKey};
pub use refusal::{Fault, Refusal};
pub use signature::{SIGNATURE_HEADER, ServerKeys, SignatureFault};

use crate::config::File;

/// Bytes of a User-Agent that anything looks at; real ones stay far below.
pub const AGENT_BYTES_MAX: usize = 512;

/// How the body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One event, an array of events or an envelope.
    Json,
    /// One event a line.
    Lines,
    /// No body: one page view in the query string.
    Pixel,
}

/// What every request is held to. One for the whole collector; can be exchanged while it runs.
#[derive(Debug)]
pub struct Limits {
    bounds: ArcSwap<Bounds>,
    budget: Budget,
    connections: Arc<Connections>,
    signatures: signature::Seen,
    key: NetworkKey,
}

/// How long a connection may take over what.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// For all headers of a request, and for what comes before the first one.
    pub header: Duration,
    /// For nothing at all.
    pub idle: Duration,
    /// For taking nothing of an answer.
    pub write: Duration,
    /// For its whole life.
    pub age: Duration,
}

/// What may be exchanged: all at once, so that no request is held to half of each.
#[derive(Debug)]
struct Bounds {
    body_bytes_max: usize,
    body_decoded_bytes_max: usize,
    body_timeout_ms: u64,
    pace: Pace,
    proxies: Proxies,
    admission: Admission,
}

impl Bounds {
    fn new(config: &File, key: NetworkKey) -> Self {
        let sites = config.site.iter().map(|site| (site.id.as_str(), site.requests_per_s_max));
        // Without any site there is `demo`.
        let demo = config.site.is_empty().then_some(("demo", None));
        Self {
            body_bytes_max: config.body_bytes_max,
            body_decoded_bytes_max: config.body_decoded_bytes_max,
            body_timeout_ms: config.body_timeout_ms,
            pace: Pace {
                header: Duration::from_millis(config.header_timeout_ms),
                idle: Duration::from_millis(config.limits.idle_timeout_ms),
                write: Duration::from_millis(config.limits.write_timeout_ms),
                age: Duration::from_secs(config.limits.connection_age_s_max),
            },
            proxies: Proxies::new(&config.trusted_proxies, config.client_address_header.as_deref()),
            admission: Admission::new(&config.limits, sites.chain(demo), key),
        }
    }
}

impl Limits {
    /// Takes the limits from the configuration.
    pub fn new(config: &File) -> Self {
        let key = NetworkKey::random();
        let connections = Arc::new(Connections::default());
        connections.limit(config.limits.connections_per_network_max);
        Self {
            connections,
            signatures: signature::Seen::default(),
            bounds: ArcSwap::from_pointee(Bounds::new(config, key.clone())),
            budget: Budget::new(config.bodies_in_flight_bytes_max),
            key,
        }
    }

    /// Exchanges all limits but `bodies_in_flight_bytes_max`. Who has used how much is forgotten.
    pub fn replace(&self, config: &File) {
        self.connections.limit(config.limits.connections_per_network_max);
        self.bounds.store(Arc::new(Bounds::new(config, self.key.clone())));
    }

    /// Largest body after decompression, and largest record that is made of one, in bytes.
    pub fn body_decoded_bytes_max(&self) -> usize {
        self.bounds.load().body_decoded_bytes_max
    }

    /// How long a connection may take over what.
    pub fn pace(&self) -> Pace {
        self.bounds.load().pace
    }

    /// Whether a peer is one of our proxies.
    pub fn trusts(&self, peer: Peer) -> bool {
        self.bounds.load().proxies.trusts(peer)
    }

    /// Counts a connection for as long as the answer is kept. The error: its network has as many as it may. Those of our
    /// proxies, and of networks without a limit, are not counted.
    pub fn connect(&self, peer: Peer) -> Result<Option<Connected>, Refusal> {
        let bounds = self.bounds.load();
        if bounds.proxies.trusts(peer) || bounds.admission.is_unlimited(peer.address()) {
            return Ok(None);
        }
        let counted = self.connections.open(self.key.network(peer.address()));
        counted.map(Some).ok_or(Refusal::Limited(Limited::of(Scope::Network)))
    }

    /// Whom a request came from: `peer` is the socket's other end.
    pub fn client_of(&self, peer: Peer, headers: &HeaderMap) -> ClientAddress {
        self.bounds.load().proxies.client_of(peer, headers)
    }

    /// Counts a request of a client. The error is the answer.
    pub fn admit(&self, client: ClientAddress) -> Result<(), Refusal> {
        self.bounds.load().admission.admit(client)
    }

    /// Counts a request to a site. The error is the answer.
    pub fn admit_to(&self, site: &str) -> Result<(), Refusal> {
        self.bounds.load().admission.admit_to(site)
    }

    /// Forgets networks that have been quiet; to be called now and then.
    pub fn tidy(&self) {
        self.bounds.load().admission.tidy();
    }
}

/// The User-Agent header, at most [`AGENT_BYTES_MAX`] bytes. Never printed, never stored.
#[derive(Clone, Copy)]
pub struct UserAgent<'a>(&'a str);

impl<'a> UserAgent<'a> {
    /// The string itself, for hashing and for classification.
    pub fn expose(self) -> &'a str {
        self.0
    }
}

impl std::fmt::Debug for UserAgent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What a request says of the browser that sent it: the same for all events of its body.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The User-Agent; empty where there is none or it is not UTF-8.
    pub agent: UserAgent<'a>,
    /// The client hints.
    pub hints: ClientHints<'a>,
    /// Which headers are there that browsers send by themselves.
    pub traits: HeaderTraits,
}

impl Sender<'_> {
    /// Whether both are of one request: the texts are the same bytes in the same place.
    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self.agent.0, other.agent.0)
            && self
                .hints
                .all()
                .into_iter()
                .zip(other.hints.all())
                .all(|(one, other)| std::ptr::eq(one, other))
    }
}

/// A request that was let in. Made by [`receive`] alone.
pub struct Submission {
    form: Form,
    body: Vec<u8>,
    headers: HeaderMap,
    present: Present,
    query: Option<String>,
    client: ClientAddress,
    received_at_ms: i64,
    /// The body's share of the budget.
    held: Reservation,
    signatures: signature::Seen,
}

impl std::fmt::Debug for Submission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Submission").field("form", &self.form).finish_non_exhaustive()
    }
}

/// Reads a `POST /v1/events` or a `GET /v1/pixel.gif` whole.
///
/// `client` is whom it came from and `received_at_ms` the collector's clock. The error is the answer.
pub async fn receive<B>(
    request: Request<B>,
    client: ClientAddress,
    received_at_ms: i64,
    limits: &Limits,
) -> Result<Submission, Refusal>
where
    B: Body<Data = bytes::Bytes> + Unpin,
{
    let (parts, stream) = request.into_parts();
    let mut held = limits.budget.hold();
    let bounds = limits.bounds.load_full();
    let (form, body) = if parts.method == http::Method::GET {
        (Form::Pixel, Vec::new())
    } else {
        let form = form_of(&parts.headers)?;
        let coding = body::Coding::of(&parts.headers)?;
        let timeout = std::time::Duration::from_millis(bounds.body_timeout_ms);
        let reading = body::read(stream, bounds.body_bytes_max, &mut held);
        let raw = tokio::time::timeout(timeout, reading).await.map_err(|_| Refusal::BodySlow)??;
        let decoded = body::decode(raw, coding, bounds.body_decoded_bytes_max, &mut held);
        // What was too large was decompressed up to the limit.
        let bytes = decoded.as_ref().map_or(bounds.body_decoded_bytes_max, Vec::len);
        bounds.admission.charge(client, bytes);
        (form, decoded?)
    };
    Ok(Submission {
        form,
        body,
        query: parts.uri.query().map(str::to_owned),
        present: Present::of(&parts.headers),
        headers: parts.headers,
        client,
        received_at_ms,
        held,
        signatures: limits.signatures.clone(),
    })
}

fn form_of(headers: &HeaderMap) -> Result<Form, Refusal> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Form::Json) };
    let value = value.to_str().map_err(|_| Refusal::TypeUnsupported)?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    match essence {
        _ if essence.eq_ignore_ascii_case("application/json") => Ok(Form::Json),
        _ if essence.eq_ignore_ascii_case("text/plain") => Ok(Form::Json),
        _ if essence.eq_ignore_ascii_case("application/x-ndjson") => Ok(Form::Lines),
        _ => Err(Refusal::TypeUnsupported),
    }
}

impl Submission {
    /// Ends the submission and gives its share of the budget to what was made of it.
    pub fn into_reservation(self) -> Reservation {
        self.held
    }

    /// How the body is to be read.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The body, decompressed.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The query string as sent, without `?`.
    pub fn query(&self) -> &str {
        self.query.as_deref().unwrap_or_default()
    }

    /// When the request came, by the collector's clock, in milliseconds.
    pub fn received_at_ms(&self) -> i64 {
        self.received_at_ms
    }

    /// Whom the request came from.
    pub fn client(&self) -> ClientAddress {
        self.client
    }

    /// The `Origin` header; `None` where there is none (a server, a tool), `Some("")` where it is not text.
    pub fn origin(&self) -> Option<&str> {
        self.headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or_default())
    }

    /// Whether one of these keys signed the request, now and for the first time. To be asked once for a request.
    pub fn verify(&self, keys: &ServerKeys) -> Result<(), SignatureFault> {
        signature::verify(&self.headers, &self.body, keys, &self.signatures, self.received_at_ms)
    }

    /// The `Referer` header: on a pixel, the page that shows it.
    pub fn referer(&self) -> Option<&str> {
        self.headers.get(header::REFERER).and_then(|value| value.to_str().ok())
    }

    /// All values of one header, for the consent gate.
    #[inline(always)] // names are literals, and whether one is there is then a bit
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let headers = self.present.may_have(name).then(|| self.headers.get_all(name));
        headers.into_iter().flatten().map(http::HeaderValue::as_bytes)
    }

    /// What it says of its sender.
    pub fn sender(&self) -> Sender<'_> {
        Sender { agent: self.agent(), hints: self.hints(), traits: self.present.traits() }
    }

    fn agent(&self) -> UserAgent<'_> {
        let bytes = self.headers.get(header::USER_AGENT).map_or(&b""[..], http::HeaderValue::as_bytes);
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        UserAgent(&text[..text.floor_char_boundary(AGENT_BYTES_MAX)])
    }

    fn hints(&self) -> ClientHints<'_> {
        if !self.present.has_hints() {
            return ClientHints::default();
        }
        ClientHints::from_headers(|name| self.headers.get(name).and_then(|value| value.to_str().ok()))
    }
}
