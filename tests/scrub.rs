//! Nothing that identifies is stored, whichever field it comes in and however it is written: one snapshot a shape of leak.

mod common;

use common::{Collector, files};

const CONFIG: &str = r#"
trusted_proxies = ["127.0.0.0/8"]
client_address_header = "x-forwarded-for"
[[site]]
id = "shop"
origins = ["*"]
query_params = ["utm_*", "q", "email", "ref"]
[[site]]
id = "listed"
origins = ["*"]
props = ["plan"]
"#;

/// Sends one event; gives the columns as ClickHouse has them, tab-separated.
fn stored(collector: &Collector, site: &str, fields: &str, columns: &str) -> String {
    let id = fields.len() as u64 * 1_000 + u64::from(fields.bytes().fold(0_u8, u8::wrapping_add));
    let body = format!(
        r#"{{"site":"{site}","id":"{id}","consent":{{"analytics":true}},"url":"https://shop.example/x",{fields}}}"#
    );
    let answer = collector.post(&body);
    assert_eq!(answer.json()["accepted"], 1, "{body}: {}", answer.text());
    collector.settle();
    let row = collector.sql(&format!("SELECT {columns} FROM consentry.events WHERE site = '{site}'"));
    collector.sql(&format!(
        "ALTER TABLE consentry.events DELETE WHERE site = '{site}' SETTINGS mutations_sync = 2"
    ));
    row
}

#[test]
fn every_free_text_position_is_scrubbed() {
    let collector = Collector::start_configured(CONFIG);
    let mail = "jane.doe@mail.example";
    for (fields, columns, want) in [
        (r#""type":"pageview","title":"Hi MAIL""#, "title", "Hi [email]"),
        (r#""type":"pageview","page_id":"MAIL""#, "page_id", "[email]"),
        (
            r#""type":"pageview","app":{"version":"1.2 MAIL","sdk":"x/1 MAIL"}"#,
            "app_version, sdk",
            "1.2 [email]\tx/1 [email]",
        ),
        (r#""type":"custom","name":"buy MAIL""#, "name", "buy [email]"),
        (r#""type":"click","point":"nav.MAIL""#, "point", "[email]"),
        (
            r#""type":"custom","name":"x","props":{"note":"to MAIL","MAIL":"x"}"#,
            "props",
            "{'note':'to [email]','[email]':'x'}",
        ),
        (
            r#""type":"custom","name":"x","props":{"email":"jane","lat":40.41,"plan":"pro"}"#,
            "props",
            "{'email':'[email]','lat':'[location]','plan':'pro'}",
        ),
        (
            r#""type":"pageview","utm":{"source":"MAIL","medium":"MAIL","campaign":"MAIL","content":"MAIL","term":"MAIL","channel":"MAIL","type":"MAIL"}"#,
            "source, medium, campaign, content, term, utm_channel, utm_type",
            "[email]\t[email]\t[email]\t[email]\t[email]\t[email]\t[email]",
        ),
        (r#""type":"pageview","prev_url":"https://shop.example/u/MAIL/x""#, "prev_path", "/u/[email]/x"),
        (
            r#""type":"pageview","referrer":"https://u12345678.track.example/MAIL?q=MAIL""#,
            "referrer_host",
            "[id].track.example",
        ),
        (
            r#""type":"pageview","language":"MAIL","timezone":"MAIL","connection":"MAIL""#,
            "language, connection, timezone_offset",
            "\t\t0",
        ),
        (
            r#""type":"crash","crash":{"kind":"MAIL","message":"no user MAIL","stack":"Error: MAIL\n at f (https://shop.example/a.js?u=MAIL:10:5)\n at /home/jane/app/b.js:1:2","source":"https://shop.example/MAIL/a.js","line":1,"column":2}"#,
            "crash_kind, crash_message, crash_stack, crash_source",
            "[email]\tno user [email]\tError: [email]\\n at f (https://shop.example/a.js?[query]:10:5)\\n at /home/[user]/app/b.js:1:2\t/[email]/a.js:1:2",
        ),
    ] {
        assert_eq!(stored(&collector, "shop", &fields.replace("MAIL", mail), columns), want, "{fields}");
    }
    let url = |url: &str, columns: &str| {
        let body =
            format!(r#"{{"site":"shop","type":"pageview","consent":{{"analytics":true}},"url":"{url}"}}"#);
        assert_eq!(collector.post(&body).json()["accepted"], 1);
        collector.settle();
        let row = collector.sql(&format!("SELECT {columns} FROM consentry.events WHERE site = 'shop'"));
        collector.sql("ALTER TABLE consentry.events DELETE WHERE site = 'shop' SETTINGS mutations_sync = 2");
        row
    };
    assert_eq!(
        url("https://shop.example/user/jane%40mail.example/4111111111111111", "path"),
        "/user/[email]/[card]"
    );
    assert_eq!(
        url(
            "https://shop.example/?q=call+%2B34612345678&email=jane&ref=x&secret=y&utm_term=jane@mail.example",
            "query, term, redactions"
        ),
        "{'q':'call [phone]','email':'[email]','ref':'x','utm_term':'[email]'}\t[email]\t3"
    );
}

#[test]
fn however_it_is_written() {
    let collector = Collector::start_configured(CONFIG);
    for (written, want) in [
        ("jane%2540mail.example", "[email]"),
        ("JANE.DOE@MAIL.EXAMPLE", "[email]"),
        ("ｊａｎｅ＠ｍａｉｌ．ｅｘａｍｐｌｅ", "[email]"),
        ("ja\u{200b}ne@ma\u{ad}il.example", "[email]"),
        ("amFuZS5kb2VAbWFpbC5leGFtcGxl", "[token]"),
        ("6a616e652e646f65406d61696c2e6578616d706c65", "[token]"),
        ("jane (at) mail (dot) example", "[email]"),
        ("jane&#64;mail.example", "[email]"),
        (
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
            "[token]",
        ),
        ("٦١٢٣٤٥٦٧٨", "[number]"),
        ("https://jane:hunter2@mail.example/", "https://[auth]@mail.example/"),
        ("C:\\\\Users\\\\jane\\\\app.js", "C:\\\\Users\\\\[user]\\\\app.js"),
        ("{\\\"phone\\\":\\\"71 234\\\"}", "{\"phone\":\"[phone]\"}"),
        ("password=hunter2&x=1", "password=[secret]&x=1"),
        ("born on 12 March 1984", "born on [birthday]"),
        ("lives at 221b Baker Street", "lives at [address]"),
        ("Passport no. X1234567", "Passport no. [id]"),
    ] {
        let got = stored(&collector, "shop", &format!(r#""type":"pageview","title":"{written}""#), "title");
        assert_eq!(got, want, "{written}");
    }
}

#[test]
fn a_property_that_the_site_does_not_list_is_gone_before_there_is_an_event() {
    let collector = Collector::start_configured(CONFIG);
    let fields =
        r#""type":"custom","name":"x","props":{"plan":"pro","color":"canary-44","jane":"canary-44"}"#;
    assert_eq!(stored(&collector, "listed", fields, "props, redactions"), "{'plan':'pro'}\t0");
    for path in files(collector.dir.path()) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(memchr::memmem::find(&bytes, b"canary-44").is_none(), "{}", path.display());
    }
}

/// No client address survives, valid or not: not in the store, nor in any file.
#[test]
fn no_client_address_survives() {
    let collector = Collector::start_configured(CONFIG);
    let mut addresses: Vec<String> =
        ["203.0.113.77", "2001:db8:77::1", "777.2.23.1", "::ffff:203.0.113.78", "203.0.113"]
            .map(str::to_owned)
            .to_vec();
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpora/ip/snowplow_anon_ip.jsonl");
    match std::fs::read_to_string(corpus) {
        Err(_) => println!("skipped: the corpus of addresses is not here"),
        Ok(text) => addresses.extend(
            text.lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .filter_map(|row| row["ip"].as_str().map(str::to_owned))
                .filter(|address| !address.is_empty()),
        ),
    }
    for address in &addresses {
        let body =
            r#"{"site":"shop","type":"pageview","url":"https://shop.example/","consent":{"analytics":true}}"#;
        let headers = [("content-type", "application/json"), ("x-forwarded-for", address.as_str())];
        let status = collector.request("POST", "/v1/events", &headers, body.as_bytes()).status;
        assert!(status < 500, "{address}: {status}");
    }
    collector.settle();
    let rows = collector.sql("SELECT * FROM consentry.events FORMAT JSONEachRow");
    for address in &addresses {
        assert!(!rows.contains(address.as_str()), "{address}");
        for path in files(collector.dir.path()) {
            let bytes = std::fs::read(&path).unwrap_or_default();
            // What is too short to be told from a number of the engine's own is looked for in the rows alone.
            let found = address.len() >= 8 && memchr::memmem::find(&bytes, address.as_bytes()).is_some();
            assert!(!found, "{address} in {}", path.display());
        }
    }
}
