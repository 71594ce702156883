//! What the public and the admin address answer. The public one has no path that reads data.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;

use crate::accept::{ClientAddress, Peer, Refusal};
use crate::assets::Assets;
use crate::beacon::GIF;
use crate::config::Secret;
use crate::payload::Payload;
use crate::pipeline::{Answer, Pipeline};
use crate::server::Certificates;
use crate::spool::SpoolError;
use crate::store::State;
use crate::tally::{STATS_PATH, Said as Figures, SaidBody, Statistics};
use crate::telemetry::{Reading, Route};
use crate::withdraw::{Rights, SUBJECTS_PATH, Said};

/// An answer.
pub type Reply = Response<Payload>;

/// Where a site says that it honours Global Privacy Control (w3c/gpc, section 5).
const GPC_PATH: &str = "/.well-known/gpc.json";

/// What both addresses share.
#[derive(Debug)]
pub struct Routes {
    /// Where events go.
    pub pipeline: Arc<Pipeline>,
    /// The tracker and the demo page.
    pub assets: Assets,
    /// How the store is.
    pub store: watch::Receiver<State>,
    /// What subjects may ask for.
    pub rights: Arc<Rights>,
    /// What analysts may ask.
    pub statistics: Arc<Statistics>,
    /// The admin address asks for it, where there is one.
    pub admin_token: Option<Secret>,
    /// The certificate in use, where there is one.
    pub certificates: Option<Certificates>,
}

/// What a page of another origin may know of an answer.
struct Cors {
    origin: HeaderValue,
    credentials: bool,
}

impl Cors {
    fn put(self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin);
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("retry-after, ratelimit, ratelimit-policy"),
        );
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

/// Headers of an answer, with those for other origins and what the server adds: their table is never made twice.
const HEADERS: usize = 12;

fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Payload::from(body.into()));
    *reply.status_mut() = status;
    *reply.headers_mut() = HeaderMap::with_capacity(HEADERS);
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Payload::default());
    *reply.status_mut() = status;
    reply
}

fn refuse(refusal: Refusal) -> Reply {
    let body = format!(r#"{{"error":{{"code":"{}","message":{:?}}}}}"#, refusal.code(), refusal.message());
    let mut reply = reply(refusal.status(), "application/json", body);
    if let Some(seconds) = refusal.retry_after_s() {
        reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Refusal::Limited(limited) = refusal {
        for (name, value) in [("ratelimit-policy", limited.policy()), ("ratelimit", limited.state())] {
            // Our own words and numbers always make a header.
            if let Ok(value) = HeaderValue::try_from(value) {
                reply.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
    }
    if refusal == Refusal::BodySlow {
        // What is left of the body is not worth reading.
        reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

fn not_allowed(allow: &'static str) -> Reply {
    let mut reply = refuse(Refusal::MethodNotAllowed);
    reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    reply
}

impl Routes {
    /// The public address.
    pub async fn public(&self, request: Request<Incoming>, peer: Peer) -> Reply {
        let method = request.method().clone();
        let (route, begun) = (Route::of(request.uri().path()), Instant::now());
        let limits = &self.pipeline.limits;
        let client = limits.client_of(peer, request.headers());
        let health = matches!(request.uri().path(), "/livez" | "/readyz");
        // Before anything of the body is read. Who asks whether the collector lives is not turned away.
        if let Err(refusal) = if health { Ok(()) } else { limits.admit(client) } {
            let reply = self.turn_away(request.headers(), refusal);
            self.pipeline.telemetry.answered(route, begun.elapsed());
            return reply;
        }
        let reply = match (request.uri().path(), &method) {
            ("/v1/events", &Method::POST) | ("/v1/pixel.gif", &Method::GET) => {
                self.events(request, client).await
            }
            ("/v1/events", &Method::OPTIONS) => self.preflight(request.headers(), request.uri().query()),
            (path, &Method::OPTIONS) if path.starts_with(SUBJECTS_PATH) => {
                self.preflight(request.headers(), None)
            }
            // Rare and large: in a place of its own, or every request's future would have room for it.
            (path, _) if path.starts_with(SUBJECTS_PATH) => {
                Box::pin(self.subjects(request, client, false)).await
            }
            ("/v1/events", _) => not_allowed("POST, OPTIONS"),
            ("/v1/pixel.gif", _) => not_allowed("GET"),
            (GPC_PATH, &Method::GET | &Method::HEAD) if self.honours_gpc() => {
                reply(StatusCode::OK, "application/json", r#"{"gpc":true}"#)
            }
            (path, &Method::GET | &Method::HEAD) => match self.assets.get(path, request.headers()) {
                Some(reply) => reply,
                None => self.health(path, false).unwrap_or_else(|| refuse(Refusal::NotFound)),
            },
            (path, _) if self.assets.has(path) || matches!(path, "/livez" | "/readyz") => {
                not_allowed("GET, HEAD")
            }
            _ => refuse(Refusal::NotFound),
        };
        // A preflight leaves no trace.
        if method != Method::OPTIONS {
            self.pipeline.telemetry.answered(route, begun.elapsed());
        }
        reply
    }

    /// Whether a site says so in its configuration; the gate honours the header in any case.
    fn honours_gpc(&self) -> bool {
        self.pipeline.sites.now().iter().any(|site| site.consent.gpc_json())
    }

    /// Refuses a request that a page may want to know the reason of.
    fn turn_away(&self, headers: &HeaderMap, refusal: Refusal) -> Reply {
        self.pipeline.telemetry.refused(refusal);
        let mut reply = refuse(refusal);
        if let Some(cors) = self.cors(headers) {
            cors.put(reply.headers_mut());
        }
        reply
    }

    async fn events(&self, request: Request<Incoming>, client: ClientAddress) -> Reply {
        let pixel = *request.method() == Method::GET;
        let cors = self.cors(request.headers());
        let mut reply = match self.pipeline.collect(request, client).await {
            Ok(answer) if pixel && answer.status().is_success() => reply(StatusCode::OK, "image/gif", GIF),
            Ok(answer) => told(&answer),
            Err(refusal) => {
                self.pipeline.telemetry.refused(refusal);
                refuse(refusal)
            }
        };
        if let Some(cors) = cors {
            cors.put(reply.headers_mut());
        }
        reply
    }

    /// What a subject asks for, with its own token.
    async fn subjects(&self, request: Request<Incoming>, client: ClientAddress, admin: bool) -> Reply {
        let cors = self.cors(request.headers());
        let mut answer = match self.rights.clone().answer(request, client, admin).await {
            Ok(Said { status, content_type, policy, body }) => {
                let mut answer = reply(status, content_type, body);
                answer.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
                if let Some(policy) = policy {
                    let policy = HeaderValue::from_static(policy);
                    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
                }
                answer
            }
            Err((Refusal::MethodNotAllowed, _)) => not_allowed("GET, POST, OPTIONS"),
            Err((refusal, wait_s)) => {
                self.pipeline.telemetry.refused(refusal);
                let mut answer = refuse(refusal);
                if let Some(seconds) = wait_s {
                    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                answer
            }
        };
        if let Some(cors) = cors {
            cors.put(answer.headers_mut());
        }
        answer
    }

    /// Answers a preflight and leaves no trace of it.
    fn preflight(&self, headers: &HeaderMap, query: Option<&str>) -> Reply {
        let named = query.and_then(|query| {
            url::form_urlencoded::parse(query.as_bytes())
                .find_map(|(name, value)| (name == "site").then_some(value))
        });
        let known = named.is_none_or(|site| {
            let origin =
                headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
            self.pipeline.sites.now().by_id(&site).is_some_and(|site| site.allows_origin(origin))
        });
        let Some(cors) = self.cors(headers).filter(|_| known) else {
            return refuse(Refusal::OriginForbidden);
        };
        let mut reply = empty(StatusCode::NO_CONTENT);
        let own = reply.headers_mut();
        cors.put(own);
        own.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        own.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("content-type, content-encoding, authorization"),
        );
        own.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        reply
    }

    /// By what a page of an allowed origin may read the answer; `None` for any other.
    fn cors(&self, headers: &HeaderMap) -> Option<Cors> {
        let origin = headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        let sites = self.pipeline.sites.now();
        let mut allowing = sites.iter().filter(|site| site.allows_origin(text)).peekable();
        allowing.peek()?;
        // A site that takes any origin must not tell any page what its visitors' cookies say.
        let credentials = allowing.any(|site| !site.allows_any_origin() || !site.consent.reads_cookies());
        Some(Cors { origin: origin.clone(), credentials })
    }

    fn health(&self, path: &str, detailed: bool) -> Option<Reply> {
        match path {
            "/livez" => Some(reply(StatusCode::OK, "text/plain; charset=utf-8", "alive\n")),
            "/readyz" => Some(self.ready(detailed)),
            _ => None,
        }
    }

    /// 200 once beacons are taken and the store is migrated. A store that is away later does not make the collector
    /// unready: the spool takes the events. Strangers are told no numbers and no errors.
    fn ready(&self, detailed: bool) -> Reply {
        let state = self.store.borrow().clone();
        let spool = self.pipeline.spool.admit();
        let (store, reason) = match &state {
            State::Ready => ("ready", ""),
            State::Starting(reason) => ("starting", reason.as_str()),
            State::Away(reason) => ("away", reason.as_str()),
        };
        let ready = spool.is_ok() && !matches!(state, State::Starting(_));
        let room = match spool {
            Ok(()) => "room",
            Err(SpoolError::Failed) => "the disk takes nothing",
            Err(_) => "full",
        };
        let mut body = serde_json::json!({ "ready": ready, "store": store, "spool": room });
        if detailed {
            body["reason"] = reason.into();
            body["spooled_events"] = self.pipeline.spool.rows().into();
        }
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        reply(status, "application/json", body.to_string())
    }

    /// The admin address.
    pub async fn admin(&self, request: Request<Incoming>, peer: Peer) -> Reply {
        let path = request.uri().path();
        if let Some(health) = self.health(path, true) {
            return health;
        }
        if path.starts_with(STATS_PATH) {
            return Box::pin(self.figures(request)).await;
        }
        // Before the token is asked for: the page is where an analyst enters it, and holds no figures itself.
        if let Some(file) = self.assets.dashboard(path, request.headers()) {
            return match *request.method() {
                Method::GET | Method::HEAD => file,
                _ => not_allowed("GET, HEAD"),
            };
        }
        if !self.authorized(request.headers()) {
            let mut reply = refuse(Refusal::Unauthorized);
            reply.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return reply;
        }
        match (path, request.method()) {
            ("/metrics", &Method::GET | &Method::HEAD) => {
                let reading = Reading::of(&self.pipeline, &self.store.borrow(), self.certificates.as_ref());
                let metrics = self.pipeline.telemetry.render(&reading);
                reply(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", metrics)
            }
            ("/metrics", _) => not_allowed("GET, HEAD"),
            (path, _) if path.starts_with(SUBJECTS_PATH) => {
                let client = self.pipeline.limits.client_of(peer, request.headers());
                Box::pin(self.subjects(request, client, true)).await
            }
            _ => refuse(Refusal::NotFound),
        }
    }

    /// What analysts ask; whoever has a share may ask a part of it.
    async fn figures(&self, request: Request<Incoming>) -> Reply {
        let bearer = bearer(request.headers()).map(str::to_owned);
        let authorized = self.authorized(request.headers());
        let Figures { status, content_type, file, body } =
            self.statistics.answer(request, bearer.as_deref(), authorized).await;
        let mut answer = match body {
            SaidBody::Whole(body) => reply(status, content_type, body),
            SaidBody::Pieces(pieces) => {
                let mut answer = reply(status, content_type, "");
                *answer.body_mut() = Payload::Pieces(pieces);
                answer
            }
        };
        let headers = answer.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        let file = file.map(|name| HeaderValue::try_from(format!("attachment; filename=\"{name}\"")));
        if let Some(Ok(file)) = file {
            headers.insert(header::CONTENT_DISPOSITION, file);
        }
        answer
    }

    fn authorized(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.admin_token else { return true };
        let sent = bearer(headers).unwrap_or_default();
        // Hashes are compared in constant time, so that the answer's time tells nothing of the token.
        blake3::hash(sent.as_bytes()) == blake3::hash(token.expose().as_bytes())
    }
}

/// The token of `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn told(answer: &Answer) -> Reply {
    match answer.to_json() {
        Ok(body) => reply(answer.status(), "application/json", body),
        // An answer of numbers and our own words always serializes.
        Err(_) => empty(answer.status()),
    }
}
