//! A connection that is watched: what it has sent, and whether it takes what it is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Bytes read at first, to see which protocol it is.
const FIRST_BYTES: usize = 512;

/// What a connection has done so far. Relaxed counters: they are looked at every few seconds.
#[derive(Debug, Default)]
pub(super) struct Activity {
    read_bytes: AtomicU64,
    /// `read_bytes` when the last request was answered.
    answered_at: AtomicU64,
    requests: AtomicU32,
    in_flight: AtomicU32,
}

/// A request that is being answered.
pub(super) struct InFlight(Arc<Activity>);

impl Activity {
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Whether something has come since the last answer that is not yet a request.
    pub(super) fn has_begun_another(&self) -> bool {
        self.read_bytes.load(Ordering::Relaxed) > self.answered_at.load(Ordering::Relaxed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.answered_at.store(self.0.read_bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connection.
pub(super) struct Watched<IO> {
    io: IO,
    first: Vec<u8>,
    given: usize,
    activity: Arc<Activity>,
    write: Duration,
    /// Set while the other end takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Watched<IO> {
    pub(super) fn new(io: IO, write: Duration) -> Self {
        let activity = Arc::default();
        Self { io, first: Vec::new(), given: 0, activity, write, stalled: None }
    }

    pub(super) fn activity(&self) -> Arc<Activity> {
        self.activity.clone()
    }

    /// Reads the first bytes and keeps them for whoever reads next. Gives whether they begin as HTTP/2 does.
    pub(super) async fn begins_as_http2(&mut self) -> io::Result<bool> {
        const PREFACE: &[u8] = b"PRI ";
        let mut first = vec![0; FIRST_BYTES];
        let mut filled = 0;
        let http2 = loop {
            let read = self.io.read(&mut first[filled..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
            let seen = filled.min(PREFACE.len());
            if first[..seen] != PREFACE[..seen] {
                break false;
            }
            if seen == PREFACE.len() {
                break true;
            }
        };
        first.truncate(filled);
        self.activity.read_bytes.fetch_add(filled as u64, Ordering::Relaxed);
        self.first = first;
        Ok(http2)
    }

    /// Passes on what writing came to, unless the other end has taken nothing for too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.write)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.given < this.first.len() {
            let rest = &this.first[this.given..];
            let count = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..count]);
            this.given += count;
            if this.given == this.first.len() {
                (this.first, this.given) = (Vec::new(), 0);
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
        let read = (buffer.filled().len() - before) as u64;
        // One task reads a connection.
        let total = this.activity.read_bytes.load(Ordering::Relaxed) + read;
        this.activity.read_bytes.store(total, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.judge(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.judge(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.io).poll_shutdown(cx);
        self.judge(cx, ended)
    }
}
