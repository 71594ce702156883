//! Broken, ambiguous and slow HTTP: nothing of it becomes an event that its sender did not clearly send.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use common::Collector;
use common::good::GoodTraffic;
use serde::Deserialize;

const EVENT: &str =
    r#"{"site":"demo","type":"pageview","url":"https://shop.example/","consent":{"analytics":true}}"#;
const CORPORA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpora");

fn corpus<Row: for<'a> Deserialize<'a>>(name: &str) -> Vec<Row> {
    let path = Path::new(CORPORA).join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not there", path.display());
        return Vec::new();
    };
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn decode(b64: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(b64).unwrap()
}

/// Whoever says no more is let go soon, so that all that is answered can be read.
const IMPATIENT: &str = "header_timeout_ms = 400\nbody_timeout_ms = 400\n[limits]\nidle_timeout_ms = 400\n";

/// Sends bytes and gives all that is answered until the other side closes.
fn exchange(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Events that came in since the start, whatever became of them.
fn received(collector: &Collector) -> u64 {
    let metrics = collector.get_admin("/metrics").text();
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("consentry_events_total") && line.contains("outcome=\"received\""));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

fn statuses(answers: &str) -> Vec<&str> {
    let lines = answers.lines().filter_map(|line| line.split_once("HTTP/1.1 "));
    lines.map(|(_, status)| &status[..3]).collect()
}

#[derive(Deserialize)]
struct Row {
    b64: String,
    llhttp: String,
    error: Option<String>,
    title: String,
    #[serde(rename = "type")]
    kind: String,
}

/// What llhttp finds in a head, as opposed to the request line, the body, or the end of what it parses.
const IN_THE_HEAD: [&str; 10] = [
    "Duplicate Content-Length",
    "Invalid character in Content-Length",
    "Invalid header token",
    "Expected LF after headers",
    "Expected LF after CR",
    "Unexpected space after start line",
    "Unexpected whitespace after header value",
    "Invalid header value char",
    "Request has invalid `Transfer-Encoding`",
    "Transfer-Encoding can't be present with Content-Length",
];

/// The row's headers around an event of ours: the same fault, with something to win.
fn with_an_event(row: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(row).into_owned();
    let (_, headers) = text.split_once("\r\n")?;
    let head = headers.split("\r\n\r\n").next()?;
    let mut lines = Vec::new();
    let mut length = EVENT.len();
    for line in head.split("\r\n") {
        match line.split_once(':') {
            // A good number where the row has one: the fault has to be elsewhere.
            Some((name, value))
                if name.eq_ignore_ascii_case("content-length") && value.trim().parse::<u32>().is_ok() =>
            {
                lines.push(format!("{name}: {length}"));
                length += 1;
            }
            _ => lines.push(line.to_owned()),
        }
    }
    let head = lines.join("\r\n");
    let body = match head.to_ascii_lowercase().contains("chunked") {
        true => format!("{:x}\r\n{EVENT}\r\n0\r\n\r\n", EVENT.len()),
        false => EVENT.to_owned(),
    };
    Some(format!("POST /v1/events HTTP/1.1\r\n{head}\r\n\r\n{body}").into_bytes())
}

#[test]
fn what_llhttp_calls_an_error_becomes_no_event() {
    let rows: Vec<Row> = corpus("http/llhttp_requests.jsonl");
    if rows.is_empty() {
        return;
    }
    let collector = Collector::start_configured(IMPATIENT);
    let (errors, dressed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let try_row = |row: &Row| {
        let bytes = decode(&row.b64);
        let answers = exchange(collector.public, &bytes);
        if row.llhttp != "error" {
            return;
        }
        errors.fetch_add(1, Ordering::Relaxed);
        assert!(!statuses(&answers).contains(&"202"), "{}: {answers}", row.title);
        let error = row.error.as_deref().unwrap_or_default();
        if IN_THE_HEAD.contains(&error)
            && let Some(bytes) = with_an_event(&bytes)
        {
            dressed.fetch_add(1, Ordering::Relaxed);
            let answers = exchange(collector.public, &bytes);
            let told = statuses(&answers);
            assert!(
                !told.contains(&"202"),
                "{} ({error}): {answers}\n{}",
                row.title,
                String::from_utf8_lossy(&bytes)
            );
        }
    };
    let requests: Vec<&Row> = rows.iter().filter(|row| row.kind == "request").collect();
    std::thread::scope(|scope| {
        for some in requests.chunks(requests.len().div_ceil(8)) {
            scope.spawn(|| some.iter().for_each(|row| try_row(row)));
        }
    });
    let (errors, dressed) = (errors.into_inner(), dressed.into_inner());
    println!(
        "{} rows, {errors} of them errors, {dressed} of those with an event in them: none was taken",
        rows.len()
    );
    assert!(errors > 25 && dressed > 10);
    assert_eq!(received(&collector), 0);
    assert_eq!(collector.post(EVENT).status, 202, "and it lives");
}

#[test]
fn a_request_is_not_smuggled_in_another_ones_body() {
    let collector = Collector::start_configured(IMPATIENT);
    let len = EVENT.len();
    let chunked = format!("{len:x}\r\n{EVENT}\r\n0\r\n\r\n");
    let hidden = format!("POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: {len}\r\n\r\n{EVENT}");
    let post = "POST /v1/events HTTP/1.1\r\nhost: x\r\n";
    // What is sent, and the most events that it may count for.
    let shapes: Vec<(&str, String, u64)> = vec![
        // RFC 9112 6.3: the length does not count, and nothing that follows is a request.
        (
            "CL.TE",
            format!(
                "{post}content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
                5 + hidden.len()
            ),
            0,
        ),
        (
            "TE.CL",
            format!(
                "{post}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
                hidden.len()
            ),
            0,
        ),
        (
            "CL.TE with an event",
            format!("{post}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n{chunked}{hidden}"),
            1,
        ),
        ("two lengths", format!("{post}content-length: {len}\r\ncontent-length: 0\r\n\r\n{EVENT}"), 0),
        ("two lengths in one", format!("{post}content-length: {len}, {len}\r\n\r\n{EVENT}{hidden}"), 0),
        ("a signed length", format!("{post}content-length: +{len}\r\n\r\n{EVENT}"), 0),
        ("a negative length", format!("{post}content-length: -1\r\n\r\n{EVENT}"), 0),
        ("a length in hex", format!("{post}content-length: 0x{len:x}\r\n\r\n{EVENT}"), 0),
        ("a length above all", format!("{post}content-length: 99999999999999999999999\r\n\r\n{EVENT}"), 0),
        ("an encoding that is none", format!("{post}transfer-encoding: xchunked\r\n\r\n{chunked}"), 0),
        (
            "an encoding behind chunked",
            format!("{post}transfer-encoding: chunked, identity\r\n\r\n{chunked}"),
            0,
        ),
        (
            "chunked, then another line",
            format!("{post}transfer-encoding: chunked\r\ntransfer-encoding: cow\r\n\r\n{chunked}"),
            0,
        ),
        ("a space before the colon", format!("{post}transfer-encoding : chunked\r\n\r\n{chunked}"), 0),
        ("a tab before the colon", format!("{post}content-length\t: {len}\r\n\r\n{EVENT}"), 0),
        ("a folded encoding", format!("{post}transfer-encoding:\r\n chunked\r\n\r\n{chunked}"), 0),
        (
            "a vertical tab in the encoding",
            format!("{post}transfer-encoding: \x0bchunked\r\n\r\n{chunked}"),
            0,
        ),
        ("a NUL in the name", format!("{post}transfer-encoding\0: chunked\r\n\r\n{chunked}"), 0),
        ("a bare CR in a value", format!("{post}x: a\rtransfer-encoding: chunked\r\n\r\n{chunked}"), 0),
        ("a quoted encoding", format!("{post}transfer-encoding: \"chunked\"\r\n\r\n{chunked}"), 0),
        (
            "chunks over HTTP/1.0",
            format!("POST /v1/events HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"),
            0,
        ),
        (
            "a chunk of more than there can be",
            format!("{post}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{EVENT}\r\n0\r\n\r\n"),
            0,
        ),
        ("a signed chunk", format!("{post}transfer-encoding: chunked\r\n\r\n+{chunked}"), 0),
        ("a chunk in 0x", format!("{post}transfer-encoding: chunked\r\n\r\n0x{chunked}"), 0),
        (
            "a chunk without its end",
            format!("{post}transfer-encoding: chunked\r\n\r\n{len:x}\r\n{EVENT}XX0\r\n\r\n"),
            0,
        ),
        (
            "a chunk that ends in LF",
            format!("{post}transfer-encoding: chunked\r\n\r\n{len:x}\n{EVENT}\r\n0\r\n\r\n"),
            0,
        ),
        (
            "LF in an extension",
            format!("{post}transfer-encoding: chunked\r\n\r\n{len:x};a\nb\r\n{EVENT}\r\n0\r\n\r\n"),
            0,
        ),
        (
            "chunks that never end",
            format!("{post}transfer-encoding: chunked\r\n\r\n{len:x}\r\n{EVENT}\r\n"),
            0,
        ),
        ("a body that is cut short", format!("{post}content-length: {}\r\n\r\n{EVENT}", len + 10), 0),
        (
            "a body behind GET",
            format!("GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len()),
            0,
        ),
        (
            "a body where none is read",
            format!("POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len()),
            0,
        ),
        (
            "CRLF in the target",
            format!("POST /v1/events?a=b\r\nHTTP/1.1\r\nhost: x\r\ncontent-length: {len}\r\n\r\n{EVENT}"),
            0,
        ),
        (
            "a request in an upgrade",
            format!("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n{hidden}"),
            1,
        ),
        ("behind a close", format!("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n{hidden}"), 0),
        // Two whole requests, one after the other, are two.
        ("pipelined", format!("{hidden}{hidden}"), 2),
    ];
    for (name, bytes, most) in &shapes {
        let before = received(&collector);
        let answers = exchange(collector.public, bytes.as_bytes());
        let counted = received(&collector) - before;
        assert!(counted <= *most, "{name}: {counted} events\n{answers}");
        if *most == 2 {
            assert_eq!(counted, 2, "{answers}");
        }
    }
    println!("{} shapes, none counted for more than was clearly sent", shapes.len());
    assert_eq!(collector.post(EVENT).status, 202);
}

#[derive(Deserialize)]
struct Json {
    b64: String,
    expect: String,
    name: String,
}

#[test]
fn json_that_is_none_becomes_no_event() {
    let rows: Vec<Json> = corpus("json/jsontestsuite.jsonl");
    if rows.is_empty() {
        return;
    }
    let collector = Collector::start();
    let mut connection = None;
    let mut send = |body: &[u8]| {
        // A body as it is, and a connection that is used again.
        let mut stream = connection.take().unwrap_or_else(|| TcpStream::connect(collector.public).unwrap());
        let head = format!("POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = [0; 8192];
        let read = stream.read(&mut answer).unwrap();
        connection = Some(stream);
        String::from_utf8_lossy(&answer[..read]).into_owned()
    };
    let (mut rejected, mut accepted) = (0, 0);
    for row in &rows {
        let bytes = decode(&row.b64);
        let alone = send(&bytes);
        assert!(alone.starts_with("HTTP/1.1 4"), "{}: no row is an event: {alone}", row.name);
        // As the value of a key that nobody asked for, within a good event.
        let within = [&EVENT.as_bytes()[..EVENT.len() - 1], b",\"x\":", &bytes, b"}"].concat();
        let answer = send(&within);
        // A row that closes the event early and opens another one makes a text of its own, which is not this row any more.
        match row.expect.as_str() {
            "reject" if !row.name.contains("structure_close_unopened") => {
                rejected += 1;
                assert!(answer.starts_with("HTTP/1.1 400"), "{}: {answer}", row.name);
            }
            "accept" => {
                accepted += 1;
                assert!(answer.starts_with("HTTP/1.1 202"), "{}: {answer}", row.name);
            }
            _ => assert!(answer.starts_with("HTTP/1.1 "), "{}", row.name),
        }
    }
    println!("{} rows: {rejected} rejected and {accepted} accepted as they have to be", rows.len());
    assert_eq!(collector.post(EVENT).status, 202);
}

/// The four modes of slowhttptest, each with good traffic beside it.
#[test]
fn slowhttptest_in_four_modes_beside_good_traffic() {
    if Command::new("slowhttptest").arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("skipped: slowhttptest is not installed (apt-get install slowhttptest)");
        return;
    }
    let collector = Collector::start_configured("header_timeout_ms = 3000\nbody_timeout_ms = 3000\n");
    let url = format!("http://{}", collector.public);
    let (events, script) = (format!("{url}/v1/events"), format!("{url}/js/consentry.js"));
    let modes: [(&str, &[&str]); 4] = [
        ("slow headers", &["-H", "-u", &script, "-i", "1"]),
        ("slow body", &["-B", "-u", &events, "-i", "1", "-s", "8192"]),
        ("ranges", &["-R", "-u", &script, "-a", "10", "-b", "3000"]),
        ("slow read", &["-X", "-u", &script, "-k", "5", "-n", "1", "-w", "256", "-y", "512", "-z", "16"]),
    ];
    for (name, args) in modes {
        let good = GoodTraffic::start(collector.public, 4);
        let output = Command::new("slowhttptest")
            .args(["-c", "600", "-r", "300", "-l", "8", "-p", "3"])
            .args(args)
            .output()
            .unwrap();
        let times = good.end();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let available = said.lines().rfind(|line| line.contains("service available")).unwrap_or_default();
        println!("{name}: {times};{}", available.replace('\u{1b}', ""));
        assert!(available.contains("YES"), "{name}: {said}");
        assert!(times.count() > 100);
    }
    let memory = collector.memory_bytes(true);
    println!("the most memory that the collector took: {:.1} MB", memory as f64 / 1e6);
    assert!(memory < 150 * 1024 * 1024);
}
