//! The servers that the collector is measured against: what HTTP alone costs, and HTTP with a parse.

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;

/// What a reference server does with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Reads it.
    Bare,
    /// Reads it and parses it into types.
    Parse,
}

#[derive(Deserialize)]
#[allow(dead_code)] // parsed for its cost
struct Envelope<'a> {
    #[serde(borrow)]
    site: Cow<'a, str>,
    sent_at: Option<u64>,
    consent: Option<Consent>,
    #[serde(borrow)]
    context: Option<Context<'a>>,
    #[serde(borrow)]
    events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Consent {
    analytics: Option<bool>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Context<'a> {
    screen: Option<Size>,
    viewport: Option<Size>,
    #[serde(borrow)]
    language: Option<Cow<'a, str>>,
    #[serde(borrow)]
    timezone: Option<Cow<'a, str>>,
    #[serde(borrow)]
    visit: Option<Visit<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Size {
    w: u32,
    h: u32,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Visit<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    ts: Option<u64>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    referrer: Option<Cow<'a, str>>,
    #[serde(borrow)]
    title: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    point: Option<Cow<'a, str>>,
    engaged_ms: Option<u32>,
    scroll_pct: Option<u8>,
}

async fn answer(kind: Kind, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let good = match kind {
        Kind::Bare => true,
        Kind::Parse => {
            serde_json::from_slice::<Envelope<'_>>(&body).is_ok_and(|parsed| !parsed.events.is_empty())
        }
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = if good { StatusCode::NO_CONTENT } else { StatusCode::BAD_REQUEST };
    Ok(response)
}

/// Serves until the process is ended.
pub async fn serve(kind: Kind, listen: SocketAddr) -> Result<(), String> {
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(|error| error.to_string())?;
    println!("listening");
    loop {
        let (stream, _) = listener.accept().await.map_err(|error| error.to_string())?;
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| answer(kind, request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
