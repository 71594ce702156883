//! Whom a request came from: Unix sockets, PROXY headers, the sockets and messages of a service manager, and the doctor that
//! shows it.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Collector, binary, eventually};

const EVENT: &str =
    r#"{"site":"demo","type":"pageview","url":"https://shop.example/","consent":{"analytics":true}}"#;

fn http(headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A header of version 2 as a proxy writes it.
fn proxy_v2(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(client);
    header.extend([127, 0, 0, 1, 0x30, 0x39, 0x1f, 0x90]);
    header
}

fn send(stream: &mut (impl Read + Write), parts: &[&[u8]]) -> String {
    for part in parts {
        if stream.write_all(part).is_err() {
            return String::new();
        }
        // A header that comes in pieces is one header.
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn tcp(to: SocketAddr, parts: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    send(&mut stream, parts)
}

fn visitors(collector: &Collector) -> String {
    collector.settle();
    collector.sql("SELECT count(), uniqExact(visitor) FROM consentry.events FORMAT TabSeparated")
}

#[test]
fn a_proxy_header_names_the_client_and_only_a_proxy_may_write_it() {
    let config = "trusted_proxies = [\"127.0.0.1/32\"]\nproxy_protocol = true\n";
    let collector = Collector::start_configured(config);
    let to = collector.public;
    let event = http("", EVENT);
    for (client, times) in [([203, 0, 113, 7], 3), ([198, 51, 100, 1], 2)] {
        for _ in 0..times {
            let header = proxy_v2(client);
            let answer = tcp(to, &[&header[..7], &header[7..20], &[&header[20..], &event[..]].concat()]);
            assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        }
    }
    // Our proxy without its header, with version 1, or with half of one: closed, and nothing of it is taken.
    let v1 = [b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n", &event[..]].concat();
    let datagram = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c"[..], &[0; 12], &event].concat();
    for bad in [&event, &v1, &datagram, &proxy_v2([1, 1, 1, 1])[..20].to_vec()] {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.write_all(bad).unwrap();
        // It may be closed already.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(String::from_utf8_lossy(&answer), "");
    }
    // A stranger's header is no request: 127.0.0.2 is no proxy of ours.
    let stranger = connect_from([127, 0, 0, 2], to);
    let answer = { send(&mut { stranger }, &[&proxy_v2([203, 0, 113, 7]), &event]) };
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    // And one who just speaks is taken for who the socket says.
    let answer = send(&mut connect_from([127, 0, 0, 2], to), &[&event]);
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(visitors(&collector), "6\t3");
}

/// A connection from another address of this machine.
fn connect_from(source: [u8; 4], to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((source, 0))).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

#[test]
fn a_unix_socket_takes_beacons_from_a_proxy_on_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, config) = (dir.path().join("c.sock"), dir.path().join("c.toml"));
    std::fs::write(&config, "client_address_header = \"x-forwarded-for\"\n").unwrap();
    let listen = format!("unix:{}", socket.display());
    let args = ["--config", config.to_str().unwrap()];
    let mut collector = Collector::start_listening(&listen, &args, &[]);
    let post = |client: &str| {
        let headers = format!("x-forwarded-for: 9.9.9.9, {client}\r\n");
        send(&mut UnixStream::connect(&socket).unwrap(), &[&http(&headers, EVENT)])
    };
    for client in ["203.0.113.1", "203.0.113.2", "203.0.113.1"] {
        let answer = post(client);
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(visitors(&collector), "3\t2");
    assert_eq!(collector.stop(), Some(0));
    assert!(!socket.exists(), "the file goes with the collector");
    // Without a header all visitors would be one: refused at the start.
    let output = Command::new(binary()).args(["serve", "--listen", &listen]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("client_address_header"), "{said}");
}

#[test]
fn a_service_manager_hands_over_sockets_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let notify = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    notify.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let (public, admin) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (to, admin_to) = (public.local_addr().unwrap(), admin.local_addr().unwrap());
    // As a service manager does it: descriptors 3 and 4, and the process's own number in LISTEN_PID.
    let script = format!(
        "exec 3<&{} 4<&{}; export LISTEN_FDS=2 LISTEN_PID=$$; exec {} serve --data-dir {} --listen 127.0.0.1:1 --admin-listen 127.0.0.1:2",
        public.as_raw_fd(),
        admin.as_raw_fd(),
        binary(),
        dir.path().join("data").display()
    );
    for listener in [&public, &admin] {
        rustix::io::fcntl_setfd(listener, rustix::io::FdFlags::empty()).unwrap();
    }
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    drop((public, admin));
    let next = || {
        let mut message = [0; 1024];
        let read = notify.recv(&mut message);
        let log = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        let read = read.unwrap_or_else(|error| panic!("no message: {error}\n{}", log()));
        String::from_utf8_lossy(&message[..read]).into_owned()
    };
    assert_eq!(next().trim(), "READY=1");
    let answer = tcp(to, &[&http("", EVENT)]);
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let ready = tcp(admin_to, &[b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"]);
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    common::signal(child.id(), "HUP");
    let reloading = next();
    assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert_eq!(next().trim(), "READY=1");
    common::signal(child.id(), "TERM");
    assert_eq!(next().trim(), "STOPPING=1");
    let ended = eventually("it ends", || child.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn the_doctor_says_which_hop_supplied_the_address_and_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("c.toml");
    std::fs::write(
        &config,
        "trusted_proxies = [\"127.0.0.1/32\", \"10.0.0.0/8\"]\nclient_address_header = \"x-forwarded-for\"\n",
    )
    .unwrap();
    let mut child = Command::new(binary())
        .args([
            "proxy-doctor",
            "--listen",
            "127.0.0.1:0",
            "--count",
            "2",
            "--config",
            config.to_str().unwrap(),
        ])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with('\n') {
        out.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    let to: SocketAddr = text.split_whitespace().nth(2).unwrap().trim_end_matches('.').parse().unwrap();
    let answer = tcp(
        to,
        &[&http("x-forwarded-for: 1.2.3.4, 203.0.113.9, 10.1.1.1\r\ncf-connecting-ip: 5.5.5.5\r\n", EVENT)],
    );
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("203.0.113.9"), "{answer}");
    tcp(to, &[&http("", EVENT)]);
    out.read_to_string(&mut text).unwrap();
    println!("{text}");
    assert!(text.contains(
        "client        203.0.113.9, supplied by hop 2 from the right of x-forwarded-for, which 10.1.1.1 wrote"
    ));
    assert!(
        text.contains("\"1.2.3.4\": anybody may have written it")
            && text.contains("not read      cf-connecting-ip")
    );
    assert!(
        text.contains("client        127.0.0.1, supplied by the socket") && text.contains("is not there")
    );
    assert!(child.wait().unwrap().success());
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["c.toml"], "nothing was written");
}
