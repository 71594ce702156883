//! One connection to a server: a request goes out, its answer comes back.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::traffic::Request;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What came back.
#[derive(Debug, Default)]
pub struct Answer {
    /// Status of the answer.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
    /// The server closes the connection.
    pub closes: bool,
}

/// A connection, of either version of HTTP.
#[derive(Debug)]
pub enum Connection {
    /// HTTP/1.1, one request at a time.
    One(One),
    /// HTTP/2.
    Two(http2::SendRequest<Full<Bytes>>, SocketAddr),
}

/// An HTTP/1.1 connection, with as little work between request and socket as there can be.
#[derive(Debug)]
pub struct One {
    stream: TcpStream,
    to: SocketAddr,
    out: Vec<u8>,
    inward: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(to: SocketAddr, http2: bool) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        if !http2 {
            let (out, inward) = (Vec::with_capacity(4_096), Vec::with_capacity(4_096));
            return Ok(Self::One(One { stream, to, out, inward }));
        }
        let (send, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        Ok(Self::Two(send, to))
    }

    /// Sends a request and reads the answer into `answer`.
    pub async fn send(&mut self, request: &Request, keep: bool, answer: &mut Answer) -> io::Result<()> {
        match self {
            Self::One(one) => one.send(request, keep, answer).await,
            Self::Two(send, to) => {
                let mut builder = http::Request::post(format!("http://{to}/v1/events"))
                    .header("content-type", "application/json")
                    .header("user-agent", request.agent);
                if request.gzip {
                    builder = builder.header("content-encoding", "gzip");
                }
                if let Some(client) = request.client {
                    builder = builder.header("x-forwarded-for", client.to_string());
                }
                let body = Full::new(Bytes::copy_from_slice(&request.body));
                let request = builder.body(body).map_err(io::Error::other)?;
                let response = send.send_request(request).await.map_err(io::Error::other)?;
                answer.status = response.status().as_u16();
                answer.closes = !keep;
                let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
                answer.body.clear();
                answer.body.extend_from_slice(&body);
                Ok(())
            }
        }
    }
}

impl One {
    async fn send(&mut self, request: &Request, keep: bool, answer: &mut Answer) -> io::Result<()> {
        use std::io::Write as _;
        self.out.clear();
        let encoding = if request.gzip { "content-encoding: gzip\r\n" } else { "" };
        let connection = if keep { "" } else { "connection: close\r\n" };
        write!(
            self.out,
            "POST /v1/events HTTP/1.1\r\nhost: {}\r\nuser-agent: {}\r\naccept: */*\r\naccept-language: en-GB,en;q=0.9\r\n\
             content-type: application/json\r\n{encoding}{connection}",
            self.to, request.agent,
        )?;
        if let Some(client) = request.client {
            write!(self.out, "x-forwarded-for: {client}\r\n")?;
        }
        write!(self.out, "content-length: {}\r\n\r\n", request.body.len())?;
        self.out.extend_from_slice(&request.body);
        self.stream.write_all(&self.out).await?;
        self.read(answer).await
    }

    async fn read(&mut self, answer: &mut Answer) -> io::Result<()> {
        self.inward.clear();
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (mut head_end, mut length) = (None, 0);
        loop {
            if let Some(end) = head_end
                && self.inward.len() >= end + length
            {
                break;
            }
            if self.inward.len() > ANSWER_BYTES_MAX || self.stream.read_buf(&mut self.inward).await? == 0 {
                return Err(cut());
            }
            if head_end.is_none()
                && let Some(end) = memchr::memmem::find(&self.inward, b"\r\n\r\n")
            {
                head_end = Some(end + 4);
                let head = &self.inward[..end];
                answer.status = head
                    .get(9..12)
                    .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
                    .ok_or_else(cut)?;
                answer.closes = false;
                length = 0;
                for line in head.split(|&byte| byte == b'\n').skip(1) {
                    let Some(colon) = memchr::memchr(b':', line) else { continue };
                    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
                    if name.eq_ignore_ascii_case(b"content-length") {
                        length =
                            std::str::from_utf8(value).ok().and_then(|value| value.parse().ok()).unwrap_or(0);
                    } else if name.eq_ignore_ascii_case(b"connection") {
                        answer.closes = value.eq_ignore_ascii_case(b"close");
                    }
                }
            }
        }
        let end = head_end.ok_or_else(cut)?;
        answer.body.clear();
        answer.body.extend_from_slice(&self.inward[end..end + length]);
        Ok(())
    }
}

/// What an answer says became of the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Kept.
    pub accepted: u64,
    /// Not kept, duplicates apart.
    pub dropped: u64,
    /// Kept before.
    pub duplicates: u64,
    /// None.
    pub rejected: u64,
}

impl Told {
    /// Reads the counts of a 202, or of a 400 that rejects every event.
    pub fn read(body: &[u8]) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Counts<'a> {
            accepted: u64,
            #[serde(borrow)]
            dropped: std::collections::BTreeMap<&'a str, u64>,
            rejected: Vec<serde::de::IgnoredAny>,
        }
        let counts: Counts<'_> = serde_json::from_slice(body).ok()?;
        let duplicates = counts.dropped.get("duplicate").copied().unwrap_or(0);
        Some(Self {
            accepted: counts.accepted,
            dropped: counts.dropped.values().sum::<u64>() - duplicates,
            duplicates,
            rejected: counts.rejected.len() as u64,
        })
    }
}
