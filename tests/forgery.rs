//! Who may send for a site: its pages by their origin, its back ends by their signature, nobody for pages elsewhere.

mod common;

use std::io::Write;

use common::Collector;
use hmac::{Hmac, Mac};

const KEY: &str = "6d1f0c0f6f0e4c6c9f1f0d8c1c7b6a59";

fn event(site: &str, host: &str) -> String {
    format!(r#"{{"site":"{site}","type":"pageview","url":"https://{host}/","consent":{{"analytics":true}}}}"#)
}

fn now_s() -> i64 {
    let output = std::process::Command::new("date").arg("+%s").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn signature(key: &str, t: i64, body: &str) -> String {
    let mut hmac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    hmac.update(format!("{t}.{body}").as_bytes());
    let hex: String = hmac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={t},v1={hex}")
}

fn start() -> (Collector, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("shop.key");
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    let collector = Collector::start_configured(&format!(
        "[[site]]\nid = \"shop\"\norigins = [\"https://shop.example\"]\nserver_key_file = {key:?}\nhostnames = [\"shop.example\"]\n\
         [[site]]\nid = \"blog\"\norigins = [\"https://blog.example\"]\nhostnames = [\"blog.example\"]\nunknown_hostnames = \"reject\"\n"
    ));
    (collector, dir)
}

#[test]
fn a_back_end_signs_and_a_browser_says_its_origin() {
    let (collector, _dir) = start();
    let send = |signature: Option<&str>, origin: Option<&str>, body: &[u8], more: &[(&str, &str)]| {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(signature.map(|signature| ("consentry-signature", signature)));
        headers.extend(origin.map(|origin| ("origin", origin)));
        headers.extend(more);
        collector.request("POST", "/v1/events", &headers, body)
    };
    let body = event("shop", "shop.example");
    let t = now_s();
    // Browsers.
    assert_eq!(send(None, Some("https://shop.example"), body.as_bytes(), &[]).status, 202);
    assert_eq!(send(None, Some("https://evil.example"), body.as_bytes(), &[]).code(), "origin_forbidden");
    // Anybody with a shell.
    let refused = send(None, None, body.as_bytes(), &[]);
    assert_eq!((refused.status, refused.code().as_str()), (400, "signature_missing"));
    // Back ends.
    let good = signature(KEY, t, &body);
    assert_eq!(send(Some(&good), None, body.as_bytes(), &[]).status, 202);
    assert_eq!(send(Some(&good), None, body.as_bytes(), &[]).code(), "signature_replayed");
    assert_eq!(
        send(Some(&signature(KEY, t - 400, &body)), None, body.as_bytes(), &[]).code(),
        "signature_expired"
    );
    let wrong = signature("another key of thirty-two bytes!", t, &body);
    let refused = send(Some(&wrong), None, body.as_bytes(), &[]);
    assert_eq!(refused.code(), "signature_invalid");
    assert!(!refused.text().contains(&wrong[..20]), "never repeats what was sent");
    let changed = body.replace("shop.example/", "shop.example/else");
    assert_eq!(
        send(Some(&signature(KEY, t, &body)), None, changed.as_bytes(), &[]).code(),
        "signature_invalid"
    );
    // Twenty events, one signature; it is over the body before compression.
    let batch = format!("[{}]", vec![body.clone(); 20].join(","));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(batch.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let answer = send(Some(&signature(KEY, t, &batch)), None, &packed, &[("content-encoding", "gzip")]);
    assert_eq!(answer.json()["accepted"], 20, "{}", answer.text());
    // A site whose back ends do not sign takes what comes.
    assert_eq!(send(None, None, event("blog", "blog.example").as_bytes(), &[]).status, 202);
    // A picture cannot be signed: its page counts.
    let pixel = "/v1/pixel.gif?site=shop&c=1&url=https%3A%2F%2Fshop.example%2F";
    let seen = collector.request("GET", pixel, &[("referer", "https://shop.example/a")], b"");
    assert_eq!(seen.status, 200);
    assert_eq!(collector.request("GET", pixel, &[], b"").status, 400);
    assert_eq!(collector.request("GET", pixel, &[("referer", "https://evil.example/")], b"").status, 400);
    collector.settle();
    assert_eq!(collector.count("consentry.events WHERE site = 'shop'"), 23);
    assert!(!collector.log().contains(KEY));
}

#[test]
fn pages_elsewhere_are_counted_and_left_out_or_rejected() {
    let (collector, _dir) = start();
    let post = |site: &str, host: &str| {
        let origin = format!("https://{site}.example");
        let headers = [("content-type", "application/json"), ("origin", origin.as_str())];
        collector.request("POST", "/v1/events", &headers, event(site, host).as_bytes())
    };
    assert_eq!(post("shop", "shop.example").json()["accepted"], 1);
    assert_eq!(post("shop", "de.shop.example").json()["accepted"], 1);
    for host in ["spam.example", "shop.example.evil.example", "notshop.example", "shop.example@evil.example"]
    {
        let answer = post("shop", host);
        assert_eq!(
            (answer.status, answer.json()["dropped"]["hostname_unknown"].as_u64()),
            (202, Some(1)),
            "{host}"
        );
        let answer = post("blog", host);
        assert_eq!((answer.status, answer.code().as_str()), (400, "hostname_unknown"), "{host}");
        assert!(!answer.text().contains("evil"));
    }
    collector.settle();
    assert_eq!(collector.count("consentry.events"), 2);
    let counted = collector.sql("SELECT sum(count) FROM consentry.ledger WHERE reason = 'hostname_unknown'");
    assert_eq!(counted, "8");
}
