//! Hostile traffic is bounded, and good traffic beside it is answered.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::good::GoodTraffic;
use common::{Collector, KeepAlive, eventually};

const EVENT: &str =
    r#"{"site":"demo","type":"pageview","url":"https://shop.example/","consent":{"analytics":true}}"#;

const BEHIND_A_PROXY: &str =
    "trusted_proxies = [\"127.0.0.1/32\"]\nclient_address_header = \"x-forwarded-for\"\n";

fn post_from(collector: &Collector, client: &str, body: &str) -> common::Answer {
    let headers = [("content-type", "application/json"), ("x-forwarded-for", client)];
    collector.request("POST", "/v1/events", &headers, body.as_bytes())
}

#[test]
fn a_network_a_site_and_everybody_have_limits_and_are_told_when_to_come_back() {
    let sites = "[[site]]\nid = \"demo\"\norigins = [\"https://shop.example\"]\n\
                 [[site]]\nid = \"small\"\norigins = [\"*\"]\nrequests_per_s_max = 1\n";
    let limits = "[limits]\nrequests_per_network_and_s_max = 1\nrequests_per_network_burst_max = 5\n";
    let collector = Collector::start_configured(&format!("{BEHIND_A_PROXY}{sites}{limits}"));
    for host in 1..=5 {
        assert_eq!(post_from(&collector, &format!("203.0.113.{host}"), EVENT).status, 202);
    }
    let headers = [
        ("content-type", "application/json"),
        ("x-forwarded-for", "198.51.100.1, 203.0.113.77"),
        ("origin", "https://shop.example"),
    ];
    let refused = collector.request("POST", "/v1/events", &headers, EVENT.as_bytes());
    assert_eq!((refused.status, refused.code().as_str()), (429, "network_limited"));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"network\";q=5;w=5"));
    let wait_s: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait_s), "{wait_s}");
    assert_eq!(refused.header("ratelimit").unwrap(), format!("\"network\";r=0;t={wait_s}"));
    assert_eq!(
        refused.header("access-control-allow-origin"),
        Some("https://shop.example"),
        "a page may read it"
    );
    // Who stands beside it is not touched, and neither is who asks for health.
    assert_eq!(post_from(&collector, "203.0.114.1", EVENT).status, 202);
    assert_eq!(post_from(&collector, "2001:db8::1", EVENT).status, 202);
    for _ in 0..20 {
        let headers = [("x-forwarded-for", "203.0.113.7")];
        assert_eq!(collector.request("GET", "/readyz", &headers, b"").status, 200);
    }
    // What a stranger writes into the header chooses no other network: only the hop that our proxy saw counts.
    let turned_away =
        (0..20).filter(|n| post_from(&collector, &format!("9.9.{n}.9, 203.0.113.5"), EVENT).status == 429);
    assert!(turned_away.count() >= 18);
    // And it may again when the time has come.
    std::thread::sleep(Duration::from_millis(2_200));
    assert_eq!(post_from(&collector, "203.0.113.1", EVENT).status, 202);

    let small = EVENT.replace("demo", "small");
    let statuses: Vec<u16> =
        (0..6).map(|n| post_from(&collector, &format!("100.64.{n}.1"), &small).status).collect();
    assert!(statuses.contains(&202) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(post_from(&collector, "100.64.99.1", EVENT).status, 202, "the other site is not touched");
    let metrics = collector.get_admin("/metrics").text();
    let refusals = |code: &str| {
        let line = format!("consentry_refusals_total{{code=\"{code}\"}} ");
        metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse::<u64>().ok()).unwrap()
    };
    assert!(refusals("network_limited") >= 19 && refusals("site_limited") >= 3);
    assert!(!collector.log().contains("203.0.113"));
}

#[test]
fn a_network_may_have_so_many_connections_and_no_more() {
    let config = "trusted_proxies = [\"127.0.0.1/32\"]\nproxy_protocol = true\n\
                  [limits]\nconnections_per_network_max = 3\n";
    let collector = Collector::start_configured(config);
    let opened: Vec<bool> = {
        let streams: Vec<TcpStream> = (0..8).map(|n| proxied(collector.public, [203, 0, 113, n])).collect();
        let other = proxied(collector.public, [203, 0, 114, 1]);
        assert!(answers(other));
        streams.into_iter().map(answers).collect()
    };
    // All eight were open before the first was answered; one that was read late may have found the place of one that ended.
    let let_in = opened.iter().filter(|&&open| open).count();
    assert!((3..8).contains(&let_in), "{opened:?}");
    eventually("the network is let in again", || {
        answers(proxied(collector.public, [203, 0, 113, 9])).then_some(())
    });
}

/// A connection as a proxy opens it for a client.
fn proxied(to: SocketAddr, client: [u8; 4]) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(client);
    header.extend([127, 0, 0, 1, 0x30, 0x39, 0x1f, 0x90]);
    stream.write_all(&header).unwrap();
    stream
}

fn answers(mut stream: TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    let sent = stream.write_all(request);
    sent.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// Slow connections of one kind, held open until they are closed from the other side.
struct Slow {
    open: Vec<TcpStream>,
    since: Instant,
}

impl Slow {
    fn open(to: SocketAddr, count: usize, begin: impl Fn(&mut TcpStream)) -> Self {
        let since = Instant::now();
        let open = (0..count).map(|_| {
            let mut stream = TcpStream::connect(to).unwrap();
            stream.set_nonblocking(false).unwrap();
            begin(&mut stream);
            stream
        });
        Self { open: open.collect(), since }
    }

    /// How many are still open.
    fn left(&mut self) -> usize {
        self.open.retain_mut(|stream| {
            stream.set_nonblocking(true).unwrap();
            let mut some = [0; 4096];
            let open = match stream.read(&mut some) {
                Ok(0) => false,
                Ok(_) => true,
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            };
            stream.set_nonblocking(false).unwrap();
            open
        });
        self.open.len()
    }

    /// Sends a little more on each.
    fn drip(&mut self, bytes: &[u8]) {
        for stream in &mut self.open {
            let _ = stream.write_all(bytes);
        }
    }
}

#[test]
fn slow_and_idle_connections_end_in_time_and_good_ones_are_answered_beside_them() {
    const COUNT: usize = 500;
    let config = "header_timeout_ms = 2000\nbody_timeout_ms = 2000\n\
                  [limits]\nidle_timeout_ms = 4000\nwrite_timeout_ms = 2000\n";
    let collector = Collector::start_configured(config);
    let to = collector.public;
    let alone = GoodTraffic::alone(to, 8);
    let good = GoodTraffic::start(to, 8);
    let before = collector.memory_bytes(false);

    let http2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // What is sent at first, and what then drips.
    let kinds: [(&str, &[u8], &[u8]); 6] = [
        ("silent", b"", b""),
        ("slow headers", b"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-a: ", b"a"),
        (
            "slow headers of a second request",
            b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\n",
            b"a",
        ),
        ("slow body", b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{", b" "),
        ("http/2 without a request", http2, b""),
        ("idle", b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n", b""),
    ];
    let attacks: Vec<_> = kinds
        .into_iter()
        .map(|(name, first, drip)| {
            std::thread::spawn(move || {
                let mut slow = Slow::open(to, COUNT, |stream| stream.write_all(first).unwrap());
                let opened = slow.since.elapsed();
                while slow.left() > 0 {
                    // From the moment at which the last was open: a busy machine takes its time to open them.
                    let after = slow.since.elapsed().saturating_sub(opened);
                    assert!(after < Duration::from_secs(40), "{name}: {} are open", slow.open.len());
                    slow.drip(drip);
                    std::thread::sleep(Duration::from_millis(200));
                }
                println!(
                    "{COUNT} connections, {name}: opened within {opened:.1?}, all closed after {:.1?}",
                    slow.since.elapsed()
                );
            })
        })
        .collect();
    // Asks for much and takes nothing of it.
    let read = Slow::open(to, 50, |stream| {
        let asked = b"GET /js/consentry.js HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
        stream.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
        let _ = stream.write_all(&asked);
    });
    attacks.into_iter().for_each(|attack| attack.join().unwrap());
    // Those that take nothing were closed too: the collector has hardly a file open.
    let open = || std::fs::read_dir(format!("/proc/{}/fd", collector.pid())).unwrap().count();
    eventually("all are closed", || (open() < 60).then_some(()));
    drop(read);
    let grown = collector.memory_bytes(true).saturating_sub(before);
    let times = good.end();
    println!(
        "{times} beside them, p99 {:.1?} alone; memory grew by {:.1} MB at most",
        alone.p99(),
        grown as f64 / 1e6
    );
    // A second is for a program that is not optimised, on a machine that has time for it. What the machine's other work
    // costs good traffic shows before the attack, and comes on top.
    assert!(times.p99() < Duration::from_secs(1) + 10 * alone.p99(), "{:?}", times.p99());
    assert!(collector.memory_bytes(true) < 150 * 1024 * 1024);
}

#[test]
fn an_idle_connection_that_lives_on_may_send_at_any_time() {
    let config = "header_timeout_ms = 500\n[limits]\nidle_timeout_ms = 10000\n";
    let collector = Collector::start_configured(config);
    let mut connection = KeepAlive::connect(collector.public).unwrap();
    for pause_ms in [0, 700, 1600, 300] {
        std::thread::sleep(Duration::from_millis(pause_ms));
        assert_eq!(connection.post(EVENT).unwrap().0, 202, "after {pause_ms} ms");
    }
}

/// A connection from another address of this machine.
fn connect_from(
    runtime: &tokio::runtime::Runtime,
    source: [u8; 4],
    to: SocketAddr,
) -> std::io::Result<TcpStream> {
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((source, 0)))?;
        socket.connect(to).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

fn bomb() -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(&vec![0; 64 << 20]).unwrap();
    let body = writer.finish().unwrap();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// Fifty networks send as fast as they can: events, bombs and garbage. Beside them and beside slow connections good traffic
/// has to be answered, all of it.
#[test]
fn a_flood_from_fifty_networks_leaves_good_traffic_alone() {
    let limits = "header_timeout_ms = 3000\nbody_timeout_ms = 3000\n\
                  [limits]\nrequests_per_network_and_s_max = 2\nrequests_per_network_burst_max = 5\n";
    let collector = Collector::start_configured(limits);
    let (to, stop) = (collector.public, Arc::new(AtomicBool::new(false)));
    let event = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{EVENT}",
        EVENT.len()
    );
    let kinds = Arc::new([event.into_bytes(), bomb(), b"\x16\x03\x01\x02\0\x01garbage\r\n\r\n".to_vec()]);
    let flooder = |network: u8| {
        let (stop, kinds) = (stop.clone(), kinds.clone());
        std::thread::spawn(move || {
            let (mut taken, mut limited, mut other) = (0_u64, 0_u64, 0_u64);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut connection = None;
            let kind = &kinds[usize::from(network % 3)];
            while !stop.load(Ordering::Relaxed) {
                let opened =
                    connection.take().map_or_else(|| connect_from(&runtime, [127, 0, network, 1], to), Ok);
                let Ok(mut stream) = opened else { continue };
                let mut answer = [0; 2048];
                let read = stream.write_all(kind).and_then(|()| stream.read(&mut answer));
                match read.map(|read| answer[..read].get(9..12).map(<[u8]>::to_vec)) {
                    Ok(Some(status)) => {
                        match status.as_slice() {
                            b"202" => taken += 1,
                            b"429" => limited += 1,
                            _ => other += 1,
                        }
                        if !String::from_utf8_lossy(&answer).contains("connection: close")
                            && network.is_multiple_of(3)
                        {
                            connection = Some(stream);
                        }
                    }
                    _ => other += 1,
                }
            }
            (taken, limited, other)
        })
    };
    let mut slow =
        Slow::open(to, 300, |stream| stream.write_all(b"POST /v1/events HTTP/1.1\r\nx: ").unwrap());
    let flood: Vec<_> = (1..=50).map(flooder).collect();
    let good = GoodTraffic::start(to, 8);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        slow.drip(b"a");
        std::thread::sleep(Duration::from_millis(500));
    }
    stop.store(true, Ordering::Relaxed);
    let times = good.end();
    let (mut taken, mut limited, mut other) = (0, 0, 0);
    for flooder in flood {
        let (more_taken, more_limited, more_other) = flooder.join().unwrap();
        (taken, limited, other) = (taken + more_taken, limited + more_limited, other + more_other);
    }
    println!(
        "50 networks: {taken} requests taken, {limited} turned away, {other} bombs and garbage refused; beside them \
         {times}; the most memory {:.1} MB",
        collector.memory_bytes(true) as f64 / 1e6
    );
    // 16 networks send events: 5 at once and 2 a second each.
    assert!(limited > 50 && taken < 16 * (5 + 2 * 20), "{taken} {limited}");
    assert!(times.count() > 50);
    assert!(collector.memory_bytes(true) < 150 * 1024 * 1024);
    assert_eq!(collector.get("/readyz").status, 200);
}
