//! How fast does a full spool empty? The store is away while the spool fills; then it comes back, and what the collector
//! sends is written down on its way. Afterwards the same engine gets the same requests once more, ready made, one after
//! the other: that is as fast as it takes these rows from anybody.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::Bench;
use crate::collector::{cpu_s, get, metric};
use crate::proxy::Mode;
use crate::run::{Target, run};
use crate::scenario::{Scenario, Step, Traffic};

/// The spool has to be empty within this time.
const DRAIN_MAX: Duration = Duration::from_secs(180);
/// Rendering the metrics costs the collector something, which is counted as the drain's.
const POLL: Duration = Duration::from_millis(50);
/// In the address of an insert, before its token.
const TOKEN: &[u8] = b"insert_deduplication_token=";

/// What `drain` does.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The collector's program; absent: the one beside this one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Seconds of load that fill the spool, in batches of 20.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Rounds; each has a collector and an engine of its own.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Arguments for the collector.
    #[arg(last = true)]
    extra: Vec<String>,
}

/// Measures and prints.
pub async fn drain(options: Options) -> Result<bool, String> {
    let binary = crate::program(options.binary.clone())?;
    let mut ratios = Vec::new();
    for round in 1..=options.rounds {
        let one = Round::measure(&binary, &options, round).await?;
        println!(
            "round {round}: {} rows in {} segments; {:.0} rows/s drained, {:.0} rows/s ready made: {:.2}; {:.2} us of the \
             collector's CPU a row",
            one.rows,
            one.segments,
            one.drained,
            one.ready_made,
            one.drained / one.ready_made,
            one.cpu_us
        );
        ratios.push(one.drained / one.ready_made);
    }
    ratios.sort_by(f64::total_cmp);
    let (least, middle, most) = (ratios.first(), ratios.get(ratios.len() / 2), ratios.last());
    if let (Some(least), Some(middle), Some(most)) = (least, middle, most) {
        println!("drained / ready made: {least:.2} {middle:.2} {most:.2} (minimum, median, maximum)");
    }
    Ok(true)
}

/// Figures of one round; rates in rows a second.
struct Round {
    rows: u64,
    segments: usize,
    drained: f64,
    ready_made: f64,
    cpu_us: f64,
}

impl Round {
    async fn measure(binary: &std::path::Path, options: &Options, seed: u64) -> Result<Self, String> {
        let bench = Bench::breakable(binary, &options.extra).await?;
        let proxy = bench.proxy.clone().ok_or("no proxy")?;
        let target = Target::of(bench.clone());
        proxy.set(Mode::Error);
        let traffic = Traffic {
            batch: vec![(20, 1)],
            consent_yes_pct: 100,
            consent_no_pct: 0,
            bad_events_pct: 0,
            ..Traffic::default()
        };
        let scenario = Scenario {
            name: "drain".into(),
            connections: 16,
            seed,
            step: vec![Step { seconds: options.seconds, requests_per_s: None }],
            traffic,
            ..Scenario::default()
        };
        run(&scenario, &Target { bench: None, ..target.clone() }, true).await?;
        let admin = target.admin.ok_or("no admin address")?;
        let rows = figure(admin, "consentry_spooled_events").await? as u64;
        eprintln!("round {seed}: {rows} rows wait; the store comes back");

        let cpu_before = cpu_s(target.pid).ok_or("the collector is gone")?;
        proxy.set(Mode::Record);
        let begun = Instant::now();
        let mut first: Option<(Instant, f64)> = None;
        let last = loop {
            if begun.elapsed() > DRAIN_MAX {
                return Err(format!("the spool is not empty after {DRAIN_MAX:?}"));
            }
            let inserted = figure(admin, "consentry_inserted_rows_total").await?;
            if inserted > 0.0 {
                first.get_or_insert((Instant::now(), inserted));
            }
            if inserted >= rows as f64 {
                break Instant::now();
            }
            tokio::time::sleep(POLL).await;
        };
        let cpu = cpu_s(target.pid).ok_or("the collector is gone")? - cpu_before;
        let (since, of_first) = first.ok_or("nothing came")?;
        let drained = (rows as f64 - of_first) / last.duration_since(since).as_secs_f64();

        proxy.set(Mode::Pass);
        let requests: Vec<Vec<u8>> = proxy.recorded().iter().flat_map(|bytes| inserts(bytes)).collect();
        let segments = requests.iter().filter(|request| of_events(request)).count();
        let seconds = replay(proxy.address, &requests).await.map_err(|error| error.to_string())?;
        let ready_made = (rows as f64 - of_first) / seconds;
        Ok(Self { rows, segments, drained, ready_made, cpu_us: cpu * 1e6 / rows as f64 })
    }
}

async fn figure(admin: SocketAddr, name: &str) -> Result<f64, String> {
    let text = get(admin, "/metrics").await.map_err(|error| error.to_string())?;
    metric(&text, name).ok_or_else(|| format!("{name} is not among the metrics"))
}

/// Where the line of a head ends, and the head itself.
fn head_of(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

fn of_events(request: &[u8]) -> bool {
    let head = &request[..request.len().min(16 << 10)];
    memchr::memmem::find(head, b"consentry.events").is_some()
}

/// The length of the body behind `head`, in `rest`; `None` where it is not whole.
fn body_bytes(head: &[u8], rest: &[u8]) -> Option<usize> {
    let head = head.to_ascii_lowercase();
    let value = |name: &[u8]| {
        let at = memchr::memmem::find(&head, name)? + name.len();
        let line = head[at..].split(|&byte| byte == b'\r').next()?;
        std::str::from_utf8(line).ok().map(str::trim)
    };
    if let Some(length) = value(b"content-length:") {
        return length.parse().ok().filter(|&length| length <= rest.len());
    }
    if value(b"transfer-encoding:") != Some("chunked") {
        return Some(0);
    }
    let mut at = 0;
    loop {
        let line = memchr::memmem::find(rest.get(at..)?, b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[at..at + line]).ok()?.trim(), 16).ok()?;
        at += line + 2 + size + 2;
        if size == 0 {
            return (at <= rest.len()).then_some(at);
        }
    }
}

/// The requests of one connection that insert something, each whole and with another token, so that it is no repetition.
fn inserts(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some(head) = head_of(bytes) {
        let Some(body) = body_bytes(&bytes[..head], &bytes[head..]) else { break };
        let (request, rest) = bytes.split_at(head + body);
        if let Some(at) = memchr::memmem::find(&request[..head], TOKEN) {
            let mut request = request.to_vec();
            request[at + TOKEN.len()] = b'r';
            found.push(request);
        }
        bytes = rest;
    }
    found
}

/// Sends requests one after the other; the seconds from the answer to the first insert of events to the last answer.
async fn replay(to: SocketAddr, requests: &[Vec<u8>]) -> std::io::Result<f64> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut since = None;
    let mut answer = Vec::new();
    for request in requests {
        stream.write_all(request).await?;
        answer.clear();
        loop {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let Some(head) = head_of(&answer) else { continue };
            if body_bytes(&answer[..head], &answer[head..]).is_some() {
                break;
            }
        }
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(std::io::Error::other("the store does not take what it has taken before"));
        }
        if of_events(request) {
            since.get_or_insert_with(Instant::now);
        }
    }
    since.map(|since| since.elapsed().as_secs_f64()).ok_or_else(|| std::io::Error::other("nothing was sent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_and_get_another_token() {
        let one = b"POST /?insert_deduplication_token=0a-1&x=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let other = b"POST /?query=SELECT HTTP/1.1\r\nContent-Length: 2\r\n\r\nok";
        let cut = b"POST /?insert_deduplication_token=0b HTTP/1.1\r\nContent-Length: 9\r\n\r\nok";
        let all = [&other[..], one, other, cut].concat();
        let found = inserts(&all);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].len(), one.len());
        assert!(found[0].starts_with(b"POST /?insert_deduplication_token=ra-1&"));
    }
}
