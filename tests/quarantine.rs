//! A row that ClickHouse will never take goes to the quarantine with the reason; the rest of its segment goes in.

mod common;

use common::Collector;

#[test]
fn a_poisoned_row_does_not_hold_up_the_others() {
    let collector = Collector::start();
    collector.sql("ALTER TABLE consentry.events ADD CONSTRAINT no_poison CHECK name != 'poison'");
    let event =
        |name: &str| format!(r#"{{"type":"custom","name":"{name}","url":"https://shop.example/{name}"}}"#);
    let names: Vec<String> = (0..50)
        .map(|index| if index == 17 || index == 44 { "poison".into() } else { format!("n{index}") })
        .collect();
    let events: Vec<String> = names.iter().map(|name| event(name)).collect();
    let body = format!(r#"{{"site":"demo","consent":{{"analytics":true}},"events":[{}]}}"#, events.join(","));
    assert_eq!(collector.post(&body).json()["accepted"], 50);
    collector.settle();

    assert_eq!(collector.sql("SELECT count(), uniqExact(name) FROM consentry.events"), "48\t48");
    let books =
        collector.sql("SELECT outcome, sum(count) FROM consentry.ledger GROUP BY outcome ORDER BY outcome");
    assert_eq!(books, "quarantined\t2\nreceived\t50\nstored\t48");
    let files = common::files(&collector.data_dir().join("quarantine"));
    let kept = std::fs::read_to_string(&files[0]).unwrap();
    let lines: Vec<serde_json::Value> =
        kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert_eq!((&line["name"], &line["path"]), (&"poison".into(), &"/poison".into()));
        assert!(line["quarantine_reason"].as_str().unwrap().contains("469 (VIOLATED_CONSTRAINT)"), "{line}");
    }
}
