//! Bad input has an exact answer, leaves the collector running, and never takes its memory above 150 MB.

mod common;

use std::io::Write;

use common::Collector;

const MEMORY_BYTES_MAX: u64 = 150 * 1024 * 1024;
const EVENT: &str =
    r#"{"site":"demo","type":"pageview","url":"https://shop.example/","consent":{"analytics":true}}"#;

fn with(fields: &str) -> String {
    EVENT.replace("}}", &format!("}},{fields}}}"))
}

fn gzip_bomb(bytes: u64) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let chunk = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        writer.write_all(&chunk).unwrap();
    }
    writer.finish().unwrap()
}

/// A gzip stream in itself, compressed once more: some 1 KB of a bomb needs a second layer.
fn twice(bomb: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bomb).unwrap();
    writer.finish().unwrap()
}

#[test]
fn every_bad_input_has_its_code() {
    let collector = Collector::start();
    let json = ("content-type", "application/json");
    let check = |what: &str, headers: &[(&str, &str)], body: &[u8], status: u16, code: &str| {
        let answer = collector.request("POST", "/v1/events", headers, body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}: {}", answer.text());
        assert_eq!(collector.post(EVENT).status, 202, "the collector goes on after {what}");
        assert!(collector.memory_bytes(true) < MEMORY_BYTES_MAX, "memory after {what}");
    };
    let plain =
        |what: &str, body: &str, status: u16, code: &str| check(what, &[json], body.as_bytes(), status, code);

    plain("broken JSON", r#"{"site":"demo","#, 400, "json_invalid");
    plain("no body", "", 400, "json_invalid");
    plain("a wrong type", &with(r#""title":{"a":1}"#), 400, "field_type");
    plain("an unknown type", &EVENT.replace("pageview", "poke"), 400, "type_unknown");
    plain("an unknown site", &EVENT.replace("demo", "elsewhere"), 403, "site_unknown");
    plain("10,000 levels", &format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), 400, "json_invalid");
    plain(
        "10,000 levels of a known field",
        &with(&format!("\"title\":{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        400,
        "json_invalid",
    );
    plain(
        "10,000 levels of objects",
        &format!("{}1{}", r#"{"visit":"#.repeat(10_000), "}".repeat(10_000)),
        400,
        "json_invalid",
    );
    plain("a clock ten years off", &with(r#""ts":1448000000000"#), 400, "ts_out_of_range");
    plain(
        "a URL that is none",
        &EVENT.replace("https://shop.example/", "javascript:alert(1)"),
        400,
        "url_invalid",
    );
    plain(
        "an endless URL",
        &EVENT.replace("example/", &format!("example/{}", "a".repeat(5000))),
        400,
        "url_invalid",
    );

    let props: Vec<String> = (0..100_000).map(|index| format!("\"{index}\":1")).collect();
    let many = with(&format!("\"props\":{{{}}}", props.join(",")));
    plain("100,000 properties", &many, 400, "props_too_many");
    check(
        "100,000 properties in gzip",
        &[json, ("content-encoding", "gzip")],
        &twice(many.as_bytes()),
        400,
        "props_too_many",
    );

    let mut invalid = EVENT.as_bytes().to_vec();
    invalid.insert(20, 0xff);
    check("invalid UTF-8", &[json], &invalid, 400, "json_invalid");
    check("a 10 MB body", &[json], &vec![b' '; 10 << 20], 413, "body_too_large");
    let bomb = gzip_bomb(1 << 30);
    assert!(bomb.len() < 1_100_000, "{}", bomb.len());
    let gzip = ("content-encoding", "gzip");
    check("a bomb of 1 GB", &[json, gzip], &bomb[..], 413, "body_too_large");
    check("a bomb in a bomb", &[json, gzip], &twice(&bomb), 400, "json_invalid");
    let small_bomb = zstd::encode_all(std::io::repeat(0).take_bytes(1 << 30), 19).unwrap();
    assert!(small_bomb.len() < 40_000, "{}", small_bomb.len());
    check("a zstd bomb of 1 GB", &[json, ("content-encoding", "zstd")], &small_bomb, 413, "body_too_large");
    check("half a gzip", &[json, gzip], &bomb[..50], 400, "content_encoding_broken");
    check(
        "two codings",
        &[json, ("content-encoding", "gzip, br")],
        b"{}",
        415,
        "content_encoding_unsupported",
    );
    check(
        "a form",
        &[("content-type", "application/x-www-form-urlencoded")],
        b"a=b",
        415,
        "content_type_unsupported",
    );
    check(
        "a forbidden origin",
        &[json, ("origin", "https://evil.example")],
        EVENT.as_bytes(),
        403,
        "origin_forbidden",
    );

    // A NUL is no reason to reject: it is taken out.
    let answer = collector.post(&with(r#""title":"a\u0000b""#));
    assert_eq!(answer.status, 202, "{}", answer.text());
    collector.settle();
    let titles = collector.sql("SELECT DISTINCT hex(title) FROM consentry.events WHERE title != ''");
    assert!(!titles.is_empty() && !titles.contains("00"), "{titles}");
}

#[test]
fn a_wrong_clock_is_put_right_where_the_sender_says_what_it_shows() {
    let collector = Collector::start();
    let then = 1_448_000_000_000_i64;
    let body = format!(
        r#"{{"site":"demo","sent_at":{then},"consent":{{"analytics":true}},"events":[{{"type":"pageview",
        "url":"https://shop.example/","ts":{}}}]}}"#,
        then - 60_000
    );
    assert_eq!(collector.post(&body).status, 202);
    collector.settle();
    let age = collector.sql("SELECT dateDiff('second', ts, now()) BETWEEN 58 AND 120 FROM consentry.events");
    assert_eq!(age, "1");
}

#[test]
fn methods_and_paths_that_are_none() {
    let collector = Collector::start();
    let get = collector.get("/v1/events");
    assert_eq!(
        (get.status, get.code().as_str(), get.header("allow")),
        (405, "method_not_allowed", Some("POST, OPTIONS"))
    );
    assert_eq!(collector.get("/v1/stats/query").status, 404, "no path of the public address reads data");
    assert_eq!(collector.get("/metrics").status, 404);
    assert_eq!(collector.request("DELETE", "/v1/pixel.gif", &[], b"").status, 405);
    assert_eq!(collector.get("/v1/pixel.gif?site=elsewhere&c=1").status, 403);
}

#[test]
fn a_body_that_never_comes_is_given_up() {
    let collector = Collector::start_configured("body_timeout_ms = 300\n");
    let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let answer = collector.raw(head.as_bytes());
    assert_eq!((answer.status, answer.code().as_str()), (408, "body_slow"));
    assert_eq!(collector.post(EVENT).status, 202);
}

#[test]
fn many_large_bodies_at_once_stay_within_the_budget() {
    let collector = Collector::start();
    let body = vec![b' '; 1_000_000];
    let address = collector.public;
    let senders: Vec<_> = (0..64)
        .map(|_| {
            let body = body.clone();
            std::thread::spawn(move || {
                common::request(address, "POST", "/v1/events", &[("content-type", "application/json")], &body)
                    .status
            })
        })
        .collect();
    for sender in senders {
        assert!(matches!(sender.join().unwrap(), 400 | 503));
    }
    assert!(collector.memory_bytes(true) < MEMORY_BYTES_MAX);
    assert_eq!(collector.post(EVENT).status, 202);
}

/// `Read::take` on an endless reader, by a name that reads well above.
trait TakeBytes: std::io::Read + Sized {
    fn take_bytes(self, bytes: u64) -> std::io::Take<Self> {
        self.take(bytes)
    }
}

impl TakeBytes for std::io::Repeat {}
