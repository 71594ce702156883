//! A subject's rights: whoever holds the token can have every row exported, erased or kept out of reports, and nobody else.

mod common;

use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Answer, Collector, binary, eventually, files, request, signal};

const ANNA: &str = "anna0123456789abcdef0123456789ab";
const BERT: &str = "bert0123456789abcdef0123456789ab";

/// A collector of one site that keeps subjects, and one that does not.
fn start(more: &str) -> (Collector, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("consentry.toml");
    let toml = format!(
        "subject_requests_per_network_and_min_max = 1000\nsubject_requests_per_min_max = 1000\n{more}\n\
         [[site]]\nid = \"shop\"\norigins = [\"https://shop.example\"]\nsubjects = true\nk_anonymity = 1\n\
         [[site]]\nid = \"blog\"\n"
    );
    std::fs::write(&path, toml).unwrap();
    (Collector::start_with(&["--config", path.to_str().unwrap()], &[("CONSENTRY_LOG", "trace")]), dir)
}

fn send(collector: &Collector, site: &str, token: &str, count: usize) -> serde_json::Value {
    let event = |number: usize| {
        format!(
            r#"{{"type":"pageview","subject":"{token}","url":"https://shop.example/p/{}","title":"Page {number}"}}"#,
            number % 3
        )
    };
    let events: Vec<String> = (0..count).map(event).collect();
    let body =
        format!(r#"{{"site":"{site}","consent":{{"analytics":true}},"events":[{}]}}"#, events.join(","));
    let answer = collector.post(&body);
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()
}

fn ask(collector: &Collector, verb: &str, token: &str, more: &str) -> Answer {
    let body = format!(r#"{{"token":"{token}"{more}}}"#);
    let headers = [("content-type", "application/json"), ("origin", "https://shop.example")];
    let answer = collector.request("POST", &format!("/v1/subjects/{verb}"), &headers, body.as_bytes());
    assert!(!answer.text().contains(token) && !answer.head.contains(token));
    answer
}

fn subject_of(collector: &Collector) -> String {
    collector.sql("SELECT DISTINCT toString(subject) FROM consentry.events WHERE subject != 0")
}

/// The roll-up and what a plain count of the rows gives.
fn rollup_is_exact(collector: &Collector) {
    let rollup = collector.sql(
        "SELECT site, hour, path, sum(views), sum(engaged_ms), uniqMerge(visitors) FROM consentry.pages \
         GROUP BY ALL HAVING sum(views) > 0 ORDER BY ALL",
    );
    let plain = collector.sql(
        "SELECT site, toStartOfHour(toDateTime(ts, 'UTC')) AS hour, path, countIf(type = 'pageview') AS views, sum(engaged_ms), \
         uniq(visitor) FROM consentry.events WHERE no_share = 0 AND type IN ('pageview', 'engagement') GROUP BY ALL ORDER BY ALL",
    );
    assert_eq!(rollup, plain);
}

/// received = dropped + rejected + quarantined + stored: what went later is a line of its own.
fn books_balance(collector: &Collector) {
    let off = collector.sql(
        "SELECT sumIf(count, outcome = 'received') - sumIf(count, outcome IN ('dropped', 'rejected', 'quarantined', 'stored')) \
         FROM consentry.ledger",
    );
    assert_eq!(off, "0");
}

fn nothing_has(collector: &Collector, needle: &str) {
    assert!(!collector.get_admin("/metrics").text().contains(needle));
    for path in files(collector.dir.path()) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(memchr::memmem::find(&bytes, needle.as_bytes()).is_none(), "{}", path.display());
    }
}

#[test]
fn every_row_is_exported_and_erased_wherever_it_lies() {
    let (collector, _dir) = start("");
    send(&collector, "shop", ANNA, 30);
    send(&collector, "shop", "an-account-no-1", 3); // too short to be random
    collector.settle();
    let anna = subject_of(&collector);
    assert!(!anna.is_empty() && !anna.contains('\n'));
    send(&collector, "shop", BERT, 7);
    send(&collector, "blog", ANNA, 4);
    collector.settle();
    assert_eq!(
        collector.count("consentry.events WHERE site = 'blog' AND subject != 0"),
        0,
        "blog keeps no subjects"
    );

    // A row of hers and one of somebody else's in the quarantine, as the shipper writes them.
    let quarantine = collector.data_dir().join("quarantine");
    std::fs::create_dir_all(&quarantine).unwrap();
    let lines =
        format!("{{\"subject\":\"{anna}\",\"title\":\"Q\"}}\n{{\"subject\":\"77\",\"title\":\"R\"}}\n");
    std::fs::write(quarantine.join("000000000001-00000000.jsonl"), lines).unwrap();
    // And one in the spool, if it is not shipped that soon.
    send(&collector, "shop", ANNA, 1);

    let export = ask(&collector, "export", ANNA, r#","site":"shop""#);
    assert_eq!(export.status, 200, "{}", export.text());
    assert_eq!(export.header("access-control-allow-origin"), Some("https://shop.example"));
    let export = export.json();
    let rows = export["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &export["complete"]), (32, &true.into()));
    let titles = |place: &str| rows.iter().filter(|row| row["stored_in"] == place).count();
    assert_eq!((titles("quarantine"), titles("events") + titles("spool")), (1, 31));
    let columns = collector.sql(
        "SELECT name FROM system.columns WHERE database = 'consentry' AND table = 'events' AND default_kind = ''",
    );
    let row = rows.iter().find(|row| row["stored_in"] == "events").unwrap();
    for column in columns.lines() {
        assert!(row.get(column).is_some(), "{column}");
    }
    let csv = ask(&collector, "export", ANNA, r#","format":"csv""#);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(csv.text().lines().count(), 33);

    let erased = ask(&collector, "erase", ANNA, "");
    assert_eq!(erased.status, 200, "{}", erased.text());
    let erased = erased.json();
    let counts = &erased["rows_erased"];
    let here = |place: &str| counts[place].as_u64().unwrap();
    assert_eq!((here("spool") + here("events"), here("quarantine")), (31, 1), "{erased}");
    assert!(erased["rollup_hours_rebuilt"].as_u64().unwrap() >= 1 && erased["request"] == "erase");
    collector.settle();
    assert_eq!(collector.count(&format!("consentry.events WHERE subject = toUInt128('{anna}')")), 0);
    assert_eq!(collector.count("consentry.events WHERE site = 'shop'"), 10, "nobody else's");
    let left = std::fs::read_to_string(quarantine.join("000000000001-00000000.jsonl")).unwrap();
    assert_eq!(left, "{\"subject\":\"77\",\"title\":\"R\"}\n");
    rollup_is_exact(&collector);
    books_balance(&collector);
    assert_eq!(
        collector.sql("SELECT sum(count) FROM consentry.ledger WHERE outcome = 'erased'"),
        (here("events") + 1).to_string()
    );

    // Again, and for a token that nobody has: the same answer, of nothing.
    for token in [ANNA, "nobody0123456789abcdef0123456789"] {
        let again = ask(&collector, "erase", token, "");
        assert_eq!(again.status, 200);
        let none = serde_json::json!({"spool": 0, "quarantine": 0, "events": 0});
        assert_eq!((&again.json()["rows_erased"], &again.json()["status"]), (&none, &"done".into()));
    }
    rollup_is_exact(&collector);
    // An hour that was built anew goes on as any other, and can be built anew again.
    send(&collector, "shop", ANNA, 3);
    collector.settle();
    rollup_is_exact(&collector);
    assert_eq!(ask(&collector, "erase", ANNA, "").json()["rows_erased"]["events"], 3);
    rollup_is_exact(&collector);

    let receipt = erased["receipt"].as_str().unwrap();
    let kept = format!(
        "SELECT request, site, quarantine FROM consentry.subject_receipts WHERE receipt = '{receipt}'"
    );
    assert_eq!(collector.sql(&kept), "erase\tshop\t1");
    assert!(
        std::fs::read_to_string(collector.data_dir().join("subjects/receipts.jsonl"))
            .unwrap()
            .contains(receipt)
    );
    for token in [ANNA, BERT, "nobody0123456789abcdef0123456789"] {
        nothing_has(&collector, token);
    }
}

#[test]
fn a_withdrawal_lasts_and_a_restriction_can_be_lifted() {
    let (mut collector, _dir) = start("");
    send(&collector, "shop", ANNA, 6);
    send(&collector, "shop", BERT, 9);
    collector.settle();
    let withdrawn = ask(&collector, "withdraw", ANNA, "");
    assert_eq!((withdrawn.status, &withdrawn.json()["request"]), (200, &"withdraw".into()));
    let restricted = ask(&collector, "restrict", BERT, "").json();
    assert_eq!(
        (&restricted["request"], &restricted["rows_marked"]["events"]),
        (&"restrict".into(), &9.into())
    );
    let later = |collector: &Collector, stored: u64| {
        let told = send(collector, "shop", ANNA, 2);
        assert_eq!((&told["accepted"], &told["dropped"]["subject_withdrawn"]), (&0.into(), &2.into()));
        send(collector, "shop", BERT, 1);
        collector.settle();
        assert_eq!(
            collector.sql("SELECT count(), min(no_share), max(no_share) FROM consentry.events"),
            format!("{stored}\t2\t2")
        );
        assert_eq!(collector.sql("SELECT sum(views) FROM report.pages"), "0");
        rollup_is_exact(collector);
        books_balance(collector);
    };
    later(&collector, 10);
    collector.kill();
    collector.restart();
    later(&collector, 11);
    let lifted = ask(&collector, "restrict", BERT, r#","lift":true"#).json();
    assert_eq!((&lifted["request"], &lifted["rows_marked"]["events"]), (&"lift".into(), &11.into()));
    assert_eq!(collector.sql("SELECT sum(views) FROM report.pages"), "11");
    rollup_is_exact(&collector);
    // Nobody who once had the token can undo a withdrawal.
    ask(&collector, "restrict", ANNA, r#","lift":true"#);
    assert_eq!(send(&collector, "shop", ANNA, 1)["dropped"]["subject_withdrawn"], 1);
    nothing_has(&collector, ANNA);
}

#[test]
fn what_is_asked_while_the_store_is_away_is_done_after_a_kill() {
    let (mut collector, _dir) = start("");
    send(&collector, "shop", ANNA, 6);
    send(&collector, "shop", BERT, 2);
    collector.settle();
    // The engine is there and does not answer: what comes now stays in the spool.
    let engine = collector.engine_pid();
    signal(engine, "STOP");
    send(&collector, "shop", ANNA, 5);
    send(&collector, "shop", BERT, 1);
    let export = ask(&collector, "withdraw", ANNA, "");
    assert_eq!((export.status, &export.json()["status"]), (202, &"pending".into()), "{}", export.text());
    assert_eq!(send(&collector, "shop", ANNA, 1)["dropped"]["subject_withdrawn"], 1, "it counts at once");
    collector.kill();
    signal(engine, "KILL");
    collector.restart();
    assert_eq!(send(&collector, "shop", ANNA, 1)["dropped"]["subject_withdrawn"], 1);
    eventually("the withdrawal is carried out", || {
        (collector.count("consentry.subject_receipts WHERE request = 'withdraw'") == 1).then_some(())
    });
    collector.settle();
    assert_eq!(collector.sql("SELECT spool + events FROM consentry.subject_receipts"), "11");
    assert_eq!(collector.count("consentry.events"), 3, "the other's");
    assert!(
        !files(&collector.data_dir().join("subjects"))
            .iter()
            .any(|path| path.extension().is_some_and(|e| e == "job"))
    );
    rollup_is_exact(&collector);
    books_balance(&collector);
    nothing_has(&collector, ANNA);
}

#[test]
fn a_mutation_that_a_kill_cuts_short_is_done_again() {
    let (mut collector, _dir) = start("");
    for _ in 0..20 {
        send(&collector, "shop", ANNA, 500);
    }
    send(&collector, "shop", BERT, 10);
    collector.settle();
    for after_ms in [150, 300, 350, 400] {
        let (to, body) = (collector.public, format!(r#"{{"token":"{ANNA}"}}"#));
        let asking = std::thread::spawn(move || {
            request(
                to,
                "POST",
                "/v1/subjects/erase",
                &[("content-type", "application/json")],
                body.as_bytes(),
            )
            .status
        });
        std::thread::sleep(Duration::from_millis(after_ms));
        collector.kill();
        let _ = asking.join();
        collector.restart();
        eventually("the erasure is carried out", || {
            let waits = files(&collector.data_dir().join("subjects"));
            (!waits.iter().any(|path| path.extension().is_some_and(|e| e == "job"))).then_some(())
        });
        collector.settle();
        assert_eq!(collector.count("consentry.events"), 10);
        rollup_is_exact(&collector);
        for _ in 0..4 {
            send(&collector, "shop", ANNA, 500);
        }
        collector.settle();
    }
    books_balance(&collector);
}

#[test]
fn a_person_without_a_token_is_told_why_and_a_guesser_is_slowed_down() {
    let (collector, _dir) = start("");
    let page = collector.get("/v1/subjects");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("Why nothing can be found without a token"));
    assert!(
        page.header("content-security-policy").unwrap().starts_with("default-src 'none'; script-src 'self'")
    );
    for path in ["/v1/subjects/page.js", "/v1/subjects/page.css", "/v1/subjects/erase", "/v1/subjects/"] {
        assert_eq!(collector.get(path).status, 200, "{path}");
    }
    let json = collector.request("GET", "/v1/subjects", &[("accept", "application/json")], b"");
    assert_eq!((json.status, json.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(collector.get("/v1/subjects/nonsense").status, 405);
    assert_eq!(collector.get("/v1/subjectsx").status, 404);
    for body in ["", "{", "[]", r#"{"token":"jane@example.com-0000"}"#, r#"{"token":"1"}"#, r#"{"token":5}"#]
    {
        let answer = collector.request(
            "POST",
            "/v1/subjects/erase",
            &[("content-type", "application/json")],
            body.as_bytes(),
        );
        assert_eq!((answer.status, answer.code().as_str()), (400, "subject_invalid"), "{body}");
    }
    assert_eq!(ask(&collector, "erase", ANNA, r#","site":"blog""#).code(), "site_unknown");
    assert_eq!(ask(&collector, "erase", ANNA, &format!(r#","format":"{}""#, "x".repeat(5000))).status, 413);
    let bearer = [("authorization", &*format!("Bearer {ANNA}"))];
    assert_eq!(collector.request("POST", "/v1/subjects/erase?site=shop", &bearer, b"").status, 200);
    let preflight = [("origin", "https://shop.example"), ("access-control-request-method", "POST")];
    assert_eq!(collector.request("OPTIONS", "/v1/subjects/erase", &preflight, b"").status, 204);

    // The command talks to the admin address; the token may come by standard input.
    send(&collector, "shop", ANNA, 2);
    collector.settle();
    let subject = |args: &[&str], token: &str| {
        let mut child = Command::new(binary())
            .args(["subject", args[0], "--token", "-", "--admin-listen", &collector.admin.to_string()])
            .args(&args[1..])
            .env_remove("CONSENTRY_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), token.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        assert!(!text.contains(token));
        (output.status.code(), text)
    };
    assert_eq!(subject(&["export", "--format", "csv", "--site", "shop"], ANNA).1.lines().count(), 3);
    let (code, told) = subject(&["erase"], ANNA);
    assert!(code == Some(0) && told.contains("\"events\":2"), "{told}");
    assert_eq!(subject(&["erase", "--lift"], ANNA).0, Some(2));
    assert_eq!(subject(&["erase", "--site", "nowhere"], ANNA).0, Some(2));
    assert_eq!(subject(&["erase"], "no-token").0, Some(2));
    assert_eq!(subject(&["erase", "--admin-listen", "127.0.0.1:1"], ANNA).0, Some(2), "given twice");
    nothing_has(&collector, ANNA);

    let (collector, _dir) = limited();
    let statuses: Vec<u16> =
        (0..5).map(|_| ask(&collector, "erase", "nobody0123456789abcdef0123456789", "").status).collect();
    assert_eq!(statuses, [200, 200, 429, 429, 429]);
    let refused = ask(&collector, "erase", ANNA, "");
    let wait_s: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait_s));
}

fn limited() -> (Collector, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("consentry.toml");
    let toml = "subject_requests_per_network_and_min_max = 2\n[[site]]\nid = \"shop\"\norigins = [\"https://shop.example\"]\nsubjects = true\n";
    std::fs::write(&path, toml).unwrap();
    (Collector::start_with(&["--config", path.to_str().unwrap()], &[]), dir)
}
