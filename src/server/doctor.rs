//! `consentry proxy-doctor`: shows of each request which hop supplied the client's address. Nothing is stored, and nothing
//! of it is told to whoever sent the request.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::listen::{Listener, Stream};
use super::speak::proxy_header;
use crate::accept::{Hop, Pace, Peer, Proxies, proxy::ProxyError};
use crate::config::Config;

/// Headers by which proxies tell a client's address. Only the configured one is ever read.
const FORWARDING: [&str; 10] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "fastly-client-ip",
    "x-original-forwarded-for",
    "x-envoy-external-address",
];
/// Bytes that are shown of what is no address.
const SHOWN_BYTES_MAX: usize = 64;

/// What came before the first request of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// A PROXY header is not read: it is switched off, or the socket is not one of our proxies.
    NotRead,
    /// It names a client.
    Client(Peer),
    /// The proxy speaks for itself.
    Local,
}

/// Says which hop supplied the client's address of a request, and why.
pub fn diagnose(proxies: &Proxies, socket: Peer, before: Before, headers: &HeaderMap) -> String {
    let mut said = String::new();
    let trusted =
        |peer| if proxies.trusts(peer) { "one of trusted_proxies" } else { "not one of trusted_proxies" };
    let name = |peer: Peer| match peer {
        Peer::Local => "a program of this machine".to_owned(),
        Peer::Net(_) => peer.address().expose().to_string(),
    };
    let _ = writeln!(said, "  socket        {}: {}", name(socket), trusted(socket));
    let mut supplied = "the socket".to_owned();
    let mut peer = socket;
    match before {
        Before::NotRead => {}
        Before::Client(client) => {
            let _ = writeln!(said, "  PROXY header  {}: {}", name(client), trusted(client));
            (peer, supplied) = (client, format!("the PROXY header of {}", name(socket)));
        }
        Before::Local => {
            said.push_str("  PROXY header  LOCAL: the proxy speaks for itself, the socket counts\n")
        }
    }
    let mut client = peer.address();
    let mut written_by = name(peer);
    let mut number = 0;
    let mut all_ours = true;
    if let Some(header) = proxies.header() {
        proxies.walk(peer, headers, |hop| {
            number += 1;
            if number == 1 {
                let _ = writeln!(said, "  {header}, from the right:");
            }
            let _ = match hop {
                Hop::Trusted(address) | Hop::Client(address) => {
                    supplied = format!("hop {number} from the right of {header}, which {written_by} wrote");
                    client = address;
                    written_by = address.expose().to_string();
                    all_ours &= matches!(hop, Hop::Trusted(_));
                    let what = match hop {
                        Hop::Trusted(_) => "one of trusted_proxies, so what stands left of it is believed",
                        _ => "not one of trusted_proxies: this is the client",
                    };
                    writeln!(said, "    {number}. {}: {what}", address.expose())
                }
                Hop::Unreadable(bytes) => {
                    all_ours = false;
                    writeln!(said, "    {number}. {}: no address, the walk ends before it", shown(bytes))
                }
                Hop::Ignored(bytes) => {
                    writeln!(
                        said,
                        "    {number}. {}: anybody may have written it, not believed",
                        shown(bytes)
                    )
                }
            };
            true
        });
    }
    let _ = writeln!(said, "  client        {}, supplied by {supplied}", client.expose());
    let read = proxies.header().filter(|_| proxies.trusts(peer)).map(http::HeaderName::as_str);
    let others: Vec<&str> =
        FORWARDING.into_iter().filter(|name| headers.contains_key(*name) && Some(*name) != read).collect();
    if !others.is_empty() {
        let _ = writeln!(said, "  not read      {}", others.join(", "));
        if !proxies.trusts(peer) {
            let _ = writeln!(
                said,
                "  If {} is a proxy of yours, add it to trusted_proxies and name its header in client_address_header.",
                name(peer)
            );
        }
    }
    if read.is_some() && number == 0 {
        said.push_str("  The header that client_address_header names is not there: everybody behind this proxy is one client.\n");
    } else if number > 0 && all_ours {
        said.push_str("  Every hop is a proxy of yours: the request came from within, or trusted_proxies is too wide.\n");
    }
    said
}

fn shown(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes[..bytes.len().min(SHOWN_BYTES_MAX)].escape_ascii())
}

/// What all connections share.
struct Doctor {
    config: Config,
    proxies: Proxies,
    pace: Pace,
    seen: AtomicUsize,
    count: usize,
    done: Notify,
}

/// Diagnoses `count` requests (0: any number) that come in through `listener`.
pub async fn run(listener: Listener, config: Config, count: usize) -> std::io::Result<()> {
    let file = &config.file;
    let pace = crate::accept::Limits::new(file).pace();
    let proxies = Proxies::new(&file.trusted_proxies, file.client_address_header.as_deref());
    let doctor = Doctor { proxies, pace, config, seen: AtomicUsize::new(0), count, done: Notify::new() };
    let doctor = Arc::new(doctor);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = doctor.done.notified() => return Ok(()),
        };
        let doctor = doctor.clone();
        tokio::spawn(async move {
            match stream {
                Stream::Tcp(stream) => doctor.see(stream, peer).await,
                Stream::Unix(stream) => doctor.see(stream, peer).await,
            }
        });
    }
}

impl Doctor {
    async fn see<IO>(self: Arc<Self>, mut io: IO, socket: Peer)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut before = Before::NotRead;
        if self.config.file.proxy_protocol && self.proxies.trusts(socket) {
            let read = timeout(self.pace.header, proxy_header(&mut io)).await;
            before = match read {
                Ok(Ok(Some(client))) => Before::Client(Peer::Net(client)),
                Ok(Ok(None)) => Before::Local,
                Ok(Err(reason)) => return self.closed(socket, reason),
                Err(_) => return self.closed(socket, None),
            };
        }
        match &self.config.certificates {
            None => self.serve(io, socket, before).await,
            Some(certificates) => match timeout(self.pace.header, certificates.acceptor().accept(io)).await {
                Ok(Ok(stream)) => self.serve(stream, socket, before).await,
                _ => println!("a connection that spoke no TLS was closed"),
            },
        }
    }

    fn closed(&self, socket: Peer, reason: Option<ProxyError>) {
        let reason = reason.map_or("it sent no whole PROXY header".to_owned(), |reason| reason.to_string());
        println!("a connection from {} was closed: {reason}", socket.address().expose());
    }

    async fn serve<IO>(self: Arc<Self>, io: IO, socket: Peer, before: Before)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let patience = self.pace.header;
        let service = service_fn(move |request: Request<Incoming>| {
            let doctor = self.clone();
            async move {
                let number = doctor.seen.fetch_add(1, Ordering::Relaxed) + 1;
                let said = diagnose(&doctor.proxies, socket, before, request.headers());
                println!("request {number}\n{said}");
                if number == doctor.count {
                    doctor.done.notify_one();
                }
                let answer = Full::new(Bytes::from_static(b"Seen. The answer is on the terminal.\n"));
                Ok::<_, Infallible>(Response::new(answer))
            }
        });
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(patience).keep_alive(false);
        let _ = http1.serve_connection(TokioIo::new(io), service).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(
        trusted: &[&str],
        header: Option<&str>,
        peer: &str,
        before: Before,
        sent: &[(&'static str, &str)],
    ) -> String {
        let trusted: Vec<_> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, value.parse().unwrap());
        }
        diagnose(&Proxies::new(&trusted, header), Peer::Net(peer.parse().unwrap()), before, &headers)
    }

    #[test]
    fn the_hop_that_supplied_the_address_is_named() {
        let text = said(
            &["10.0.0.0/8"],
            Some("x-forwarded-for"),
            "10.0.0.7",
            Before::NotRead,
            &[("x-forwarded-for", "1.1.1.1, 198.51.100.7, 10.1.2.3"), ("x-real-ip", "9.9.9.9")],
        );
        insta::assert_snapshot!(text, @r#"
          socket        10.0.0.7: one of trusted_proxies
          x-forwarded-for, from the right:
            1. 10.1.2.3: one of trusted_proxies, so what stands left of it is believed
            2. 198.51.100.7: not one of trusted_proxies: this is the client
            3. "1.1.1.1": anybody may have written it, not believed
          client        198.51.100.7, supplied by hop 2 from the right of x-forwarded-for, which 10.1.2.3 wrote
          not read      x-real-ip
        "#);
    }

    #[test]
    fn what_is_missing_is_said() {
        let forgotten = said(&[], None, "172.17.0.1", Before::NotRead, &[("x-forwarded-for", "203.0.113.1")]);
        assert!(forgotten.contains("client        172.17.0.1, supplied by the socket"), "{forgotten}");
        assert!(
            forgotten.contains("If 172.17.0.1 is a proxy of yours, add it to trusted_proxies"),
            "{forgotten}"
        );
        let header = Some("x-forwarded-for");
        let absent = said(&["10.0.0.0/8"], header, "10.0.0.1", Before::NotRead, &[]);
        assert!(absent.contains("is not there"), "{absent}");
        let wide =
            said(&["0.0.0.0/0"], header, "10.0.0.1", Before::NotRead, &[("x-forwarded-for", "203.0.113.1")]);
        assert!(wide.contains("too wide"), "{wide}");
        let junk = said(
            &["10.0.0.0/8"],
            header,
            "10.0.0.1",
            Before::NotRead,
            &[("x-forwarded-for", "1.1.1.1, <b>")],
        );
        assert!(junk.contains("\"<b>\": no address") && junk.contains("client        10.0.0.1"), "{junk}");
        let before = Before::Client(Peer::Net("203.0.113.9".parse().unwrap()));
        let proxied = said(&["10.0.0.0/8"], None, "10.0.0.1", before, &[]);
        assert!(
            proxied.contains("client        203.0.113.9, supplied by the PROXY header of 10.0.0.1"),
            "{proxied}"
        );
    }
}
