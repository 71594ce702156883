//! The wire: every form of a beacon, in every coding, over both versions of HTTP, becomes the same row.

mod common;

use std::io::Write;

use common::Collector;

const EVENT: &str =
    r#"{"site":"demo","type":"pageview","url":"https://shop.example/p/1","consent":{"analytics":true}}"#;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

fn brotli(plain: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    brotli::BrotliCompress(&mut &plain[..], &mut coded, &brotli::enc::BrotliEncoderParams::default())
        .unwrap();
    coded
}

#[test]
fn every_form_and_coding_becomes_a_row() {
    let collector = Collector::start();
    let path = |name: &str| EVENT.replace("/p/1", name);
    let json = [("content-type", "application/json")];
    let send = |headers: &[(&str, &str)], body: &[u8]| {
        let answer = collector.request("POST", "/v1/events", headers, body);
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["accepted"].as_u64().unwrap()
    };

    assert_eq!(send(&json, path("/one").as_bytes()), 1);
    assert_eq!(send(&json, format!("[{},{}]", path("/array"), path("/array")).as_bytes()), 2);
    let envelope = r#"{"site":"demo","consent":{"analytics":true},"context":{"url":"https://shop.example/context","language":"en-GB"},
        "events":[{"type":"pageview"},{"type":"click","point":"nav.buy"},{"type":"pageview","url":"https://shop.example/own"}]}"#;
    assert_eq!(send(&json, envelope.as_bytes()), 3);
    assert_eq!(send(&[("content-type", "text/plain;charset=UTF-8")], path("/text").as_bytes()), 1);
    let lines = format!("{}\n\n{}\r\n", path("/lines"), path("/lines"));
    assert_eq!(send(&[("content-type", "application/x-ndjson")], lines.as_bytes()), 2);
    let no_site = path("/hint").replace(r#""site":"demo","#, "");
    let answer = collector.request("POST", "/v1/events?site=demo", &json, no_site.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.text());

    type Coder = fn(&[u8]) -> Vec<u8>;
    let codings: [(&str, Coder); 5] = [
        ("identity", <[u8]>::to_vec),
        ("gzip", gzip),
        ("deflate", deflate),
        ("br", brotli),
        ("zstd", |plain| zstd::encode_all(plain, 3).unwrap()),
    ];
    for (name, code) in codings {
        let headers = [json[0], ("content-encoding", name)];
        assert_eq!(send(&headers, &code(path(&format!("/coding/{name}")).as_bytes())), 1, "{name}");
    }

    let pixel = collector
        .get("/v1/pixel.gif?site=demo&c=1&url=https%3A%2F%2Fshop.example%2Fpixel%3Futm_source%3Dmail");
    assert_eq!((pixel.status, pixel.header("content-type")), (200, Some("image/gif")));
    assert!(pixel.body.starts_with(b"GIF89a"));

    collector.settle();
    let paths = collector.sql("SELECT path, count() FROM consentry.events GROUP BY path ORDER BY path");
    let expected = "/array\t2\n/coding/br\t1\n/coding/deflate\t1\n/coding/gzip\t1\n/coding/identity\t1\n/coding/zstd\t1\n\
                    /context\t2\n/hint\t1\n/lines\t2\n/one\t1\n/own\t1\n/pixel\t1\n/text\t1";
    assert_eq!(paths, expected);
    assert_eq!(
        collector.sql("SELECT language, point FROM consentry.events WHERE type = 'click'"),
        "en-GB\tnav.buy"
    );
    assert_eq!(collector.sql("SELECT source FROM consentry.events WHERE path = '/pixel'"), "mail");
}

#[test]
fn http2_without_tls_is_spoken_too() {
    let collector = Collector::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .http2_only(true)
            .build_http();
        let body = http_body_util::Full::new(bytes::Bytes::from(EVENT));
        let request = hyper::Request::post(format!("http://{}/v1/events", collector.public))
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        let answer = client.request(request).await.unwrap();
        assert_eq!(answer.version(), hyper::Version::HTTP_2);
        answer.status().as_u16()
    });
    assert_eq!(status, 202);
    collector.settle();
    assert_eq!(collector.count("consentry.events"), 1);
}

#[test]
fn results_are_told_event_by_event() {
    let collector = Collector::start();
    let body = r#"{"site":"demo","consent":{"analytics":true},"context":{"url":"https://shop.example/"},"events":[
        {"type":"pageview","id":"e1"},
        {"type":"pageview","consent":{"analytics":false}},
        {"type":"pageview","consent":{}},
        {"type":"pageview","consent":{"analytics":"yes"}},
        {"type":"pageview","consent":null},
        {"type":"pageview","id":"e1"},
        {"type":"poke"},
        {"type":"custom"},
        {"type":"pageview","url":"ftp://shop.example/"},
        {"type":"pageview","title":7},
        7
    ]}"#;
    let answer = collector.post(body);
    assert_eq!(answer.status, 202);
    let json = answer.json();
    assert_eq!((&json["received"], &json["accepted"]), (&11.into(), &1.into()));
    let dropped =
        serde_json::json!({"consent_denied":1,"consent_absent":1,"consent_malformed":2,"duplicate":1});
    assert_eq!(json["dropped"], dropped);
    let rejected: Vec<(u64, &str)> = json["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["index"].as_u64().unwrap(), event["code"].as_str().unwrap()))
        .collect();
    let expected = [
        (6, "type_unknown"),
        (7, "field_missing"),
        (8, "url_invalid"),
        (9, "field_type"),
        (10, "event_invalid"),
    ];
    assert_eq!(rejected, expected);

    collector.settle();
    let books = collector.sql(
        "SELECT outcome, sum(count) FROM consentry.ledger WHERE site = 'demo' GROUP BY outcome ORDER BY outcome",
    );
    assert_eq!(books, "dropped\t5\nreceived\t11\nrejected\t5\nstored\t1");
}

#[test]
fn browsers_of_allowed_origins_are_answered_and_no_others() {
    let collector = Collector::start_configured(
        "[[site]]\nid = \"shop\"\norigins = [\"https://shop.example\"]\n[[site]]\nid = \"open\"\norigins = [\"*\"]\n\
         [site.consent]\nadapters = [\"payload\", \"onetrust\"]\n",
    );
    let shop = EVENT.replace("demo", "shop");
    let from = |origin: &str| {
        let headers = [("content-type", "application/json"), ("origin", origin)];
        collector.request("POST", "/v1/events", &headers, shop.as_bytes())
    };
    let good = from("https://shop.example");
    assert_eq!(good.status, 202);
    assert_eq!(good.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(good.header("access-control-allow-credentials"), Some("true"));
    let evil = from("https://evil.example");
    assert_eq!((evil.status, evil.code().as_str()), (403, "origin_forbidden"));
    assert!(!evil.text().contains("evil"));
    assert_eq!(evil.header("access-control-allow-credentials"), None, "allowed only by the open site");

    let ask = |path: &str, origin: &str| {
        collector.request(
            "OPTIONS",
            path,
            &[("origin", origin), ("access-control-request-method", "POST")],
            b"",
        )
    };
    assert_eq!(ask("/v1/events?site=shop", "https://shop.example").status, 204);
    assert_eq!(ask("/v1/events?site=shop", "https://evil.example").status, 403);
    assert_eq!(ask("/v1/events?site=open", "https://evil.example").status, 204);
}

#[test]
fn a_no_of_the_body_stays_a_no_for_events_that_do_not_speak_of_it() {
    let collector = Collector::start_configured(
        "[[site]]\nid = \"demo\"\norigins = [\"loopback\"]\n[site.consent]\nadapters = [\"payload\", \"usp\", \"gcm\"]\n",
    );
    let outcome = |around: &str, own: &str| {
        let body = format!(
            r#"{{"site":"demo","consent":{around},"events":[{{"type":"pageview","url":"https://shop.example/","consent":{own}}}]}}"#
        );
        let answer = collector.post(&body).json();
        answer["dropped"].as_object().unwrap().keys().next().cloned().unwrap_or("kept".into())
    };
    assert_eq!(outcome(r#"{"usp":"1YYN"}"#, r#"{"analytics":true}"#), "consent_vetoed");
    assert_eq!(
        outcome(r#"{"analytics":false}"#, r#"{"gcm":{"analytics_storage":"granted"}}"#),
        "consent_denied"
    );
    assert_eq!(
        outcome(r#"{"analytics":true}"#, r#"{"usp":"1YNN"}"#),
        "consent_absent",
        "a yes does not reach so far"
    );
    assert_eq!(
        outcome(r#"{"analytics":false}"#, r#"{"analytics":true}"#),
        "kept",
        "the event's own word on the same signal"
    );
    assert_eq!(outcome("null", r#"{"analytics":true}"#), "kept");
}
