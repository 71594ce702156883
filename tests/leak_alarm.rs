//! What the detectors might let through is found once more in the stored form: the row goes to the quarantine, without
//! the text at fault, and a metric is raised. The books still balance.

mod common;

use common::{Collector, files, signal};

/// A word that no detector minds, as long as the identifier that takes its place on the disk.
const HARMLESS: &str = "plain-words-only-x";
const PLANTED: &str = "jane.doe@gmail.com";

/// Puts the identifier into a segment, as a detector's fault would have, and mends the record's checksum.
fn plant(segment: &std::path::Path) -> usize {
    let mut bytes = std::fs::read(segment).unwrap();
    let mut planted = 0;
    let mut from = 0;
    while let Some(at) = memchr::memmem::find(&bytes[from..], HARMLESS.as_bytes()) {
        bytes[from + at..from + at + PLANTED.len()].copy_from_slice(PLANTED.as_bytes());
        from += at + PLANTED.len();
        planted += 1;
    }
    // magic, length, checksum, payload: see the head of spool/mod.rs.
    let mut record = 8;
    while record < bytes.len() {
        assert_eq!(&bytes[record..record + 4], b"CREC");
        let length: [u8; 4] = bytes[record + 4..record + 8].try_into().unwrap();
        let end = record + 12 + u32::from_le_bytes(length) as usize;
        let sum = crc32c::crc32c_append(crc32c::crc32c(&length), &bytes[record + 12..end]);
        bytes[record + 8..record + 12].copy_from_slice(&sum.to_le_bytes());
        record = end;
    }
    std::fs::write(segment, bytes).unwrap();
    planted
}

#[test]
fn a_leak_in_stored_form_is_quarantined_by_its_shape_and_raises_a_metric() {
    assert_eq!(HARMLESS.len(), PLANTED.len());
    let mut collector = Collector::start();
    // Nothing is shipped while the engine stands still.
    signal(collector.engine_pid(), "STOP");
    let events: Vec<String> = (0..20)
        .map(|index| {
            let title = if index % 10 == 3 { HARMLESS } else { "Blue shoes" };
            format!(r#"{{"type":"pageview","url":"https://shop.example/{index}","title":"{title}"}}"#)
        })
        .collect();
    let body = format!(r#"{{"site":"demo","consent":{{"analytics":true}},"events":[{}]}}"#, events.join(","));
    assert_eq!(collector.post(&body).json()["accepted"], 20);
    collector.kill();
    let planted: usize = files(&collector.data_dir().join("spool")).iter().map(|path| plant(path)).sum();
    assert_eq!(planted, 2);

    collector.restart();
    collector.settle();
    assert_eq!(
        collector.sql("SELECT count(), countIf(title = 'Blue shoes') FROM consentry.events"),
        "18\t18"
    );
    let books =
        collector.sql("SELECT outcome, sum(count) FROM consentry.ledger GROUP BY outcome ORDER BY outcome");
    assert_eq!(books, "quarantined\t2\nreceived\t20\nstored\t18");
    let metrics = collector.get_admin("/metrics").text();
    assert!(
        metrics.contains(r#"consentry_leaks_total{site="demo",column="title",kind="email"} 2"#),
        "{metrics}"
    );
    assert!(collector.log().contains("leak alarm"), "{}", collector.log());

    let kept: Vec<_> = files(&collector.data_dir().join("quarantine"));
    let text = std::fs::read_to_string(&kept[0]).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((kept.len(), lines.len()), (1, 2));
    for line in &lines {
        assert_eq!(line["title"], "aaaa.aaa@aaaaa.aaa");
        assert_eq!(line["quarantine_reason"], "leak alarm: email in title");
    }
    for path in files(collector.dir.path()) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(memchr::memmem::find(&bytes, PLANTED.as_bytes()).is_none(), "{}", path.display());
    }
}

#[test]
fn ordinary_rows_raise_no_alarm() {
    let collector = Collector::start();
    for body in [
        r#"{"site":"demo","type":"crash","url":"https://shop.example/home/products","consent":{"analytics":true},
        "crash":{"kind":"TypeError","message":"x is undefined","stack":"at f (https://shop.example/home/app.3f2a91bc.js:10:20)"}}"#,
        r#"{"site":"demo","type":"pageview","url":"http://127.0.0.1:8080/","title":"jane@mail.com and 192.0.2.7","consent":{"analytics":true}}"#,
        r#"{"site":"demo","type":"custom","name":"buy","url":"https://shop.example/","props":{"price":"1.234.567,89 EUR"},"consent":{"analytics":true}}"#,
    ] {
        assert_eq!(collector.post(body).json()["accepted"], 1);
    }
    collector.settle();
    assert_eq!(collector.count("consentry.events"), 3);
    let metrics = collector.get_admin("/metrics").text();
    assert!(!metrics.contains("consentry_leaks_total{"), "{metrics}");
    assert!(!collector.data_dir().join("quarantine").exists());
}
