//! TLS: both protocols, both versions, certificates exchanged under load, and faults that are named.

mod common;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Collector, binary, eventually, signal};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

const EVENT: &str =
    r#"{"site":"demo","type":"pageview","url":"https://shop.example/","consent":{"analytics":true}}"#;

/// An authority of our own, and what it vouches for.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    /// A certificate and its key in PEM.
    fn issue(&self) -> (String, String) {
        self.issue_until(4000, 1, 1)
    }

    fn issue_until(&self, year: i32, month: u8, day: u8) -> (String, String) {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, month, day);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn client(&self, alpn: &[&str], versions: &[&'static SupportedProtocolVersion]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        // Each handshake is a whole one, so that it meets the certificate of its moment.
        config.resumption = rustls::client::Resumption::disabled();
        TlsConnector::from(Arc::new(config))
    }
}

/// A directory with a pair and a configuration that names it.
struct Pair {
    dir: tempfile::TempDir,
}

impl Pair {
    fn new(issued: (String, String), more: &str) -> Self {
        let pair = Self { dir: tempfile::tempdir().unwrap() };
        pair.put(issued);
        let config = format!(
            "{more}\n[tls]\ncertificate_file = {:?}\nkey_file = {:?}\n",
            pair.path("tls.pem"),
            pair.path("tls.key")
        );
        std::fs::write(pair.path("c.toml"), config).unwrap();
        pair
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One file after the other, as most tools do it.
    fn put(&self, (certificate, key): (String, String)) {
        std::fs::write(self.path("tls.pem"), certificate).unwrap();
        std::fs::write(self.path("tls.key"), key).unwrap();
    }

    fn start(&self) -> Collector {
        Collector::start_with(&["--config", self.path("c.toml").to_str().unwrap()], &[])
    }
}

async fn connect(connector: &TlsConnector, to: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

fn request() -> http::Request<Full<Bytes>> {
    http::Request::post("https://localhost/v1/events")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(EVENT.as_bytes())))
        .unwrap()
}

/// One event over HTTP/1.1.
async fn post(stream: TlsStream<TcpStream>) -> (u16, http::Version) {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request()).await.unwrap();
    (answer.status().as_u16(), answer.version())
}

/// Several events at once over HTTP/2.
async fn post_http2(stream: TlsStream<TcpStream>, count: usize) -> Vec<(u16, http::Version)> {
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let sent = (0..count).map(|_| {
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let answer = sender.send_request(request()).await.unwrap();
            (answer.status().as_u16(), answer.version())
        })
    });
    let sent: Vec<_> = sent.collect();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    answers
}

fn served(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_and_both_versions() {
    let authority = Authority::new();
    let collector = Pair::new(authority.issue(), "").start();
    let to = collector.public;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = connect(&authority.client(&["http/1.1"], &[version]), to).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        assert_eq!(post(stream).await, (202, http::Version::HTTP_11));
        // A browser offers both, and gets the newer one.
        let stream = connect(&authority.client(&["h2", "http/1.1"], &[version]), to).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(post_http2(stream, 20).await, vec![(202, http::Version::HTTP_2); 20]);
    }
    // Without a word about the protocol it is HTTP/1.1.
    let stream = connect(&authority.client(&[], rustls::ALL_VERSIONS), to).await.unwrap();
    assert_eq!(post(stream).await, (202, http::Version::HTTP_11));
    // Whoever speaks in clear gets no answer that could be taken for one.
    let clear = common::request(to, "POST", "/v1/events", &[], EVENT.as_bytes());
    assert_eq!(clear.status, 0);
    // Somebody else's authority does not vouch for it.
    assert!(connect(&Authority::new().client(&[], rustls::ALL_VERSIONS), to).await.is_err());
    assert_eq!(collector.get_admin("/readyz").status, 200, "the admin address stays in clear");
    collector.settle();
    assert_eq!(collector.count("consentry.events"), 43);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn certificates_are_exchanged_under_load_and_no_request_fails() {
    let authority = Authority::new();
    let pair = Pair::new(authority.issue(), "");
    let collector = pair.start();
    let to = collector.public;
    let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (kept, opened) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut senders = Vec::new();
    // Connections that are there all the time.
    for alpn in ["h2", "http/1.1", "h2", "http/1.1"] {
        let stream = connect(&authority.client(&[alpn], rustls::ALL_VERSIONS), to).await.unwrap();
        let (stop, failed, kept) = (stop.clone(), failed.clone(), kept.clone());
        senders.push(tokio::spawn(async move {
            let io = TokioIo::new(stream);
            let mut http1 = None;
            let mut http2 = None;
            if alpn == "h2" {
                let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(made.1);
                http2 = Some(made.0);
            } else {
                let made = hyper::client::conn::http1::handshake(io).await.unwrap();
                tokio::spawn(made.1);
                http1 = Some(made.0);
            }
            while !stop.load(Ordering::Relaxed) {
                let answer = match (&mut http1, &mut http2) {
                    (Some(sender), _) => {
                        sender.ready().await.unwrap();
                        sender.send_request(request()).await
                    }
                    (_, Some(sender)) => sender.send_request(request()).await,
                    _ => unreachable!(),
                };
                let good = match answer {
                    Ok(answer) => {
                        let status = answer.status();
                        answer.into_body().collect().await.is_ok() && status == 202
                    }
                    Err(_) => false,
                };
                kept.fetch_add(1, Ordering::Relaxed);
                failed.fetch_add(u64::from(!good), Ordering::Relaxed);
            }
        }));
    }
    // And new ones all the time.
    for _ in 0..3 {
        let connector = authority.client(&["http/1.1"], rustls::ALL_VERSIONS);
        let (stop, failed, opened) = (stop.clone(), failed.clone(), opened.clone());
        senders.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let good = match connect(&connector, to).await {
                    Ok(stream) => post(stream).await.0 == 202,
                    Err(_) => false,
                };
                opened.fetch_add(1, Ordering::Relaxed);
                failed.fetch_add(u64::from(!good), Ordering::Relaxed);
            }
        }));
    }
    let probe = authority.client(&["http/1.1"], rustls::ALL_VERSIONS);
    let mut certificates = vec![served(&connect(&probe, to).await.unwrap())];
    // By itself, by its files alone.
    for round in 0..3 {
        pair.put(authority.issue());
        let begun = Instant::now();
        loop {
            let now = served(&connect(&probe, to).await.unwrap());
            if !certificates.contains(&now) {
                println!("exchange {round}: served after {:.2?}", begun.elapsed());
                certificates.push(now);
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "the new certificate is not served");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // A pair that does not fit: the old one stays, and the log says why.
    pair.put((authority.issue().0, authority.issue().1));
    eventually("the log says why", || collector.log().contains("same issue").then_some(()));
    assert_eq!(served(&connect(&probe, to).await.unwrap()), certificates[3]);
    // At once, when asked to.
    pair.put(authority.issue());
    signal(collector.pid(), "HUP");
    eventually("it was read again", || {
        collector.log().contains("the configuration was read again").then_some(())
    });
    assert_ne!(served(&connect(&probe, to).await.unwrap()), certificates[3]);
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    let (kept, opened) = (kept.load(Ordering::Relaxed), opened.load(Ordering::Relaxed));
    println!("{kept} requests on 4 connections that stayed, {opened} on new ones; failed: {failed:?}");
    assert!(kept > 200 && opened > 50);
    assert_eq!(failed.load(Ordering::Relaxed), 0);
}

fn check(config: &Path) -> (Option<i32>, String, Duration) {
    let begun = Instant::now();
    let output = std::process::Command::new(binary())
        .args(["serve", "--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0"])
        .args(["--admin-listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), begun.elapsed())
}

#[test]
fn a_bad_pair_ends_the_start_with_one_clear_line() {
    let authority = Authority::new();
    let pair = Pair::new((authority.issue().0, authority.issue().1), "");
    let (code, said, took) = check(&pair.path("c.toml"));
    println!("refused after {took:.0?}: {said}");
    assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("tls.key") && said.contains("same issue"), "{said}");
    std::fs::remove_file(pair.path("tls.key")).unwrap();
    let (code, said, _) = check(&pair.path("c.toml"));
    assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("tls.key_file") && said.contains("No such file"), "{said}");
}

#[test]
fn a_certificate_that_ends_soon_is_noticed_until_it_is_renewed() {
    let authority = Authority::new();
    // The beginning of the fourth day from now.
    let now_s = consentry::clock::Clock::system().now_ms() / 1000;
    let end =
        jiff::Timestamp::from_second(now_s + 4 * 86_400).unwrap().to_zoned(jiff::tz::TimeZone::UTC).date();
    let soon = || {
        let (month, day) = (u8::try_from(end.month()).unwrap(), u8::try_from(end.day()).unwrap());
        authority.issue_until(end.year().into(), month, day)
    };
    let pair = Pair::new(soon(), "");
    let said = || {
        let mut check = std::process::Command::new(binary());
        let output = check.args(["check-config", "--config"]).arg(pair.path("c.toml")).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(said().contains(&format!("valid until {end}, which is in 3 days: renew it now")), "{}", said());
    let collector = pair.start();
    let until = || -> i64 {
        let metrics = collector.get_admin("/metrics").text();
        let name = "consentry_tls_certificate_expiry_timestamp_seconds ";
        metrics.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap()
    };
    assert!((3 * 86_400..=4 * 86_400).contains(&(until() - now_s)));
    eventually("the log warns", || {
        collector.log().contains("WARN the certificate is valid until").then_some(())
    });
    pair.put(authority.issue());
    eventually("the new one is known", || (until() > now_s + 365 * 86_400).then_some(()));
    assert!(said().contains("valid until 4000-01-01."), "{}", said());
    pair.put(authority.issue_until(2020, 1, 1));
    eventually("the log says that it is over", || {
        collector.log().contains("ERROR the certificate is not valid since 2020-01-01").then_some(())
    });
}

#[test]
fn a_command_speaks_to_the_collector_that_has_the_configured_certificate_and_to_no_other() {
    let authority = Authority::new();
    let pair = Pair::new(authority.issue(), "");
    let config = std::fs::read_to_string(pair.path("c.toml")).unwrap() + "admin = true\n";
    std::fs::write(pair.path("c.toml"), &config).unwrap();
    let collector = pair.start();
    // Another certificate of the same authority, for the same name.
    let other = Pair::new(authority.issue(), "");
    std::fs::write(
        other.path("c.toml"),
        config.replace(pair.dir.path().to_str().unwrap(), other.dir.path().to_str().unwrap()),
    )
    .unwrap();
    let health = |config: PathBuf| {
        let mut health = std::process::Command::new(binary());
        health.args(["health", "--admin-listen", &collector.admin.to_string(), "--config"]).arg(config);
        let output = health.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(health(pair.path("c.toml")), (Some(0), String::new()));
    let (code, said) = health(other.path("c.toml"));
    assert!(code == Some(1) && said.contains("no collector answers"), "{said}");
    // In clear: the admin address takes nothing that is not TLS.
    std::fs::write(other.path("c.toml"), "").unwrap();
    assert_eq!(health(other.path("c.toml")).0, Some(1));
}

/// ClickHouse speaks TLS by itself; here a proxy does it in its place, for the engine of another collector.
async fn tls_in_front_of(port: u16, authority: &Authority) -> SocketAddr {
    let (certificate, key) = authority.issue();
    let chain = rustls::pki_types::pem::PemObject::pem_slice_iter(certificate.as_bytes());
    let chain: Vec<CertificateDer<'static>> = chain.collect::<Result<_, _>>().unwrap();
    let key = rustls::pki_types::pem::PemObject::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outer) = acceptor.accept(stream).await else { return };
                let Ok(mut inner) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn clickhouse_over_https_is_verified() {
    let store = tokio::task::spawn_blocking(Collector::start).await.unwrap();
    let access = std::fs::read(store.data_dir().join("engine/access.json")).unwrap();
    let access: serde_json::Value = serde_json::from_slice(&access).unwrap();
    let port = u16::try_from(access["http_port"].as_u64().unwrap()).unwrap();
    let authority = Authority::new();
    let front = tls_in_front_of(port, &authority).await;
    let dir = tempfile::tempdir().unwrap();
    let (ca, other) = (dir.path().join("ca.pem"), dir.path().join("other.pem"));
    std::fs::write(&ca, authority.certificate.pem()).unwrap();
    std::fs::write(&other, Authority::new().certificate.pem()).unwrap();
    let word = |key: &str| access["admin"][key].as_str().unwrap().to_owned();
    let (user, password) = (word("user"), word("password"));
    let url = move |host: &str| format!("https://{user}:{password}@{host}:{}", front.port());
    let ran = tokio::task::spawn_blocking(move || {
        let sql = |host: &str, ca: &Path| {
            let output = std::process::Command::new(binary())
                .args(["sql", "SELECT 40 + 2", "--clickhouse-url", &url(host)])
                .env("CONSENTRY_CLICKHOUSE_CA_FILE", ca)
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            (output.status.code(), told, String::from_utf8_lossy(&output.stderr).into_owned())
        };
        assert_eq!(sql("localhost", &ca).1, "42");
        // An authority that nobody asked, and a name that the certificate does not have.
        let (code, told, said) = sql("localhost", &other);
        assert_eq!((code, told.as_str()), (Some(1), ""), "{said}");
        assert!(said.contains("certificate") && !said.contains("password"), "{said}");
        let (code, _, said) = sql("127.0.0.1", &ca);
        assert!(code == Some(1) && said.contains("certificate"), "{said}");
        let (code, _, said) = sql("localhost", &dir.path().join("none.pem"));
        assert!(code == Some(2) && said.contains("clickhouse_ca_file"), "{said}");

        // A whole collector in front of it.
        let url = url("localhost");
        let mut collector = Collector::start_with(
            &["--clickhouse-url", &url],
            &[("CONSENTRY_CLICKHOUSE_CA_FILE", ca.to_str().unwrap())],
        );
        assert_eq!(collector.post(EVENT).status, 202);
        collector.settle();
        assert_eq!(collector.stop(), Some(0));
        assert_eq!(store.count("consentry.events"), 1);
    });
    ran.await.unwrap();
}
