//! One connection from its first byte to its last: PROXY header, TLS, HTTP/1.1 or HTTP/2, and the clocks that end it.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::listen::Stream;
use super::stream::{Activity, Watched};
use super::tls::Certificates;
use super::{FINISH, until};
use crate::accept::{Connected, Pace, Peer, proxy};
use crate::routes::{Reply, Routes};

/// Streams that one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 128;
/// Bytes of headers in one request over HTTP/2.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Streams that the other end has given up and that are not cleared away yet; more end the connection (CVE-2023-44487).
const RESET_STREAMS_MAX: usize = 64;
/// Bytes that HTTP/1.1 may buffer of a connection; its headers have to fit.
const HTTP1_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Which address of the collector it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    Public,
    Admin,
}

/// What all connections of one address share.
pub(super) struct Speaker {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    routes: Arc<Routes>,
    face: Face,
    /// `None`: in clear.
    certificates: Option<Certificates>,
    /// Whether our proxies begin with a PROXY header.
    proxy_protocol: bool,
}

impl Speaker {
    pub(super) fn new(
        routes: Arc<Routes>,
        face: Face,
        certificates: Option<Certificates>,
        proxy_protocol: bool,
    ) -> Self {
        let mut http1 = http1::Builder::new();
        // Slow headers are noticed by `drive`, at no cost to a request.
        http1.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HTTP1_BUFFER_BYTES_MAX);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .keep_alive_interval(Some(Duration::from_secs(30)));
        Self { http1, http2, routes, face, certificates, proxy_protocol }
    }

    /// Serves one connection to its end. A broken one is the other side's affair; what was acknowledged is durable.
    pub(super) async fn speak(&self, stream: Stream, peer: Peer, closed: watch::Receiver<bool>) {
        match stream {
            Stream::Tcp(stream) => self.introduce(stream, peer, closed).await,
            Stream::Unix(stream) => self.introduce(stream, peer, closed).await,
        }
    }

    /// Learns who it is.
    async fn introduce<IO>(&self, mut io: IO, mut peer: Peer, closed: watch::Receiver<bool>)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.routes.pipeline.limits;
        let pace = limits.pace();
        if self.face == Face::Public && self.proxy_protocol && limits.trusts(peer) {
            match timeout(pace.header, proxy_header(&mut io)).await {
                Ok(Ok(Some(client))) => peer = Peer::Net(client),
                Ok(Ok(None)) => {}
                Ok(Err(reason)) => {
                    if let Some(reason) = reason {
                        tracing::debug!(%reason, "a connection of a proxy was closed");
                    }
                    return;
                }
                Err(_) => return,
            }
        }
        let connected: Option<Connected> = match self.face {
            Face::Public => match limits.connect(peer) {
                Ok(connected) => connected,
                // Closed without a word: an answer would cost more than the connection.
                Err(refusal) => return self.routes.pipeline.telemetry.refused(refusal),
            },
            Face::Admin => None,
        };
        match &self.certificates {
            None => self.serve(Watched::new(io, pace.write), None, peer, pace, closed).await,
            Some(certificates) => {
                let Ok(Ok(stream)) = timeout(pace.header, certificates.acceptor().accept(io)).await else {
                    return;
                };
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let stream = Watched::new(stream, pace.write);
                Box::pin(self.serve(stream, Some(http2), peer, pace, closed)).await;
            }
        }
        drop(connected);
    }

    /// `http2`: what was agreed on, if anything was.
    async fn serve<IO>(
        &self,
        mut io: Watched<IO>,
        http2: Option<bool>,
        peer: Peer,
        pace: Pace,
        closed: watch::Receiver<bool>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let http2 = match http2 {
            Some(agreed) => agreed,
            None => match timeout(pace.header, io.begins_as_http2()).await {
                Ok(Ok(http2)) => http2,
                // Nobody spoke in time.
                Ok(Err(_)) | Err(_) => return,
            },
        };
        let (activity, face, routes) = (io.activity(), self.face, self.routes.clone());
        let service = {
            let activity = activity.clone();
            service_fn(move |request: Request<Incoming>| {
                let (routes, flight) = (routes.clone(), activity.begin());
                async move {
                    let reply: Reply = match face {
                        Face::Public => routes.public(request, peer).await,
                        Face::Admin => routes.admin(request, peer).await,
                    };
                    drop(flight);
                    Ok::<_, Infallible>(reply)
                }
            })
        };
        let io = TokioIo::new(io);
        // On the heap, so that a connection takes what its own protocol needs, and not the most that any would.
        if http2 {
            let connection = self.http2.serve_connection(io, service);
            Box::pin(drive(connection, &activity, true, pace, closed)).await;
        } else {
            let connection = self.http1.serve_connection(io, service);
            Box::pin(drive(connection, &activity, false, pace, closed)).await;
        }
    }
}

/// Reads the header byte by byte no further than its end. The error is silent where the connection just ended: a proxy's
/// health check.
pub(super) async fn proxy_header<IO: AsyncRead + Unpin>(
    io: &mut IO,
) -> Result<Option<std::net::IpAddr>, Option<proxy::ProxyError>> {
    let mut head = [0; proxy::FIXED_BYTES];
    io.read_exact(&mut head).await.map_err(|_| None)?;
    let head = proxy::fixed(&head)?;
    let mut rest = vec![0; head.rest_bytes];
    io.read_exact(&mut rest).await.map_err(|_| None)?;
    Ok(head.client(&rest)?)
}

/// Runs a connection until it ends, has been idle or slow for too long, is old, or the collector stops. One that is at a
/// request may finish it.
async fn drive<C: GracefulConnection>(
    connection: C,
    activity: &Activity,
    http2: bool,
    pace: Pace,
    mut closed: watch::Receiver<bool>,
) {
    let mut connection = pin!(connection);
    let born = Instant::now();
    let mut stop = pin!(until(&mut closed));
    // Twice within the time for headers, so that a slow one is noticed before half of it again.
    let tick = (pace.header / 2).max(Duration::from_millis(1));
    let mut seen = (0, born);
    let mut slow_since: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stop.as_mut() => break,
            () = sleep(tick) => {}
        }
        let now = Instant::now();
        if now - born >= pace.age {
            break;
        }
        let requests = activity.requests();
        if requests != seen.0 || activity.is_busy() {
            (seen, slow_since) = ((requests, now), None);
            continue;
        }
        let quiet = now - seen.1;
        if requests == 0 && quiet >= pace.header {
            return;
        }
        if quiet >= pace.idle {
            break;
        }
        // Frames of HTTP/2 that are no request come at any time.
        if !http2 && activity.has_begun_another() {
            let since = *slow_since.get_or_insert(now);
            if now - since >= pace.header {
                return;
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(FINISH, connection).await;
}
