//! Nothing without consent: of a dropped event no byte is on the disk, in a log line, a metric or an answer.

mod common;

use common::{Collector, files};

const REFUSALS: [&str; 4] = [r#"{"analytics":false}"#, r#"{}"#, r#"{"analytics":"maybe"}"#, r#"null"#];

#[test]
fn of_a_dropped_event_only_its_count_remains() {
    let collector = Collector::start_with(&[], &[("CONSENTRY_LOG", "trace")]);
    let mut answers = String::new();
    let send = |consent: &str, headers: &[(&str, &str)]| {
        let body = format!(
            r#"{{"site":"demo","type":"custom","name":"canary-1f7b","id":"canary-1f7b","url":"https://canary-1f7b.example/canary-1f7b?q=canary-1f7b",
            "referrer":"https://canary-1f7b.example/","title":"canary-1f7b","page_id":"canary-1f7b","prev_url":"/canary-1f7b",
            "visit":{{"id":"canary-1f7b"}},"subject":"canary-1f7b","language":"canary-1f7b","timezone":"canary-1f7b",
            "utm":{{"source":"canary-1f7b"}},"props":{{"canary-1f7b":"canary-1f7b"}},"point":"canary-1f7b","consent":{consent}}}"#
        );
        let mut all = vec![
            ("content-type", "application/json"),
            ("user-agent", "canary-1f7b"),
            ("referer", "https://canary-1f7b.example/"),
        ];
        all.extend_from_slice(headers);
        let answer = collector.request("POST", "/v1/events", &all, body.as_bytes());
        assert_eq!(answer.status, 202);
        answer.head + &String::from_utf8_lossy(&answer.body)
    };
    for refusal in REFUSALS {
        answers += &send(refusal, &[]);
    }
    for objection in [("sec-gpc", "1"), ("dnt", "1"), ("x-do-not-track", "1")] {
        answers += &send(r#"{"analytics":true}"#, &[objection]);
    }
    answers += &collector.get("/v1/pixel.gif?site=demo&c=0&url=https%3A%2F%2Fcanary-1f7b.example%2F").head;
    // A body that cannot be read, and an event that is rejected, are not kept either.
    answers += &collector.post(r#"{"canary-1f7b": "#).text();
    answers += &collector.post(r#"{"site":"demo","type":"canary-1f7b","consent":{"analytics":true}}"#).text();
    assert!(!answers.contains("canary-1f7b"), "{answers}");

    collector.settle();
    let books = collector.sql(
        "SELECT outcome, reason, sum(count) FROM consentry.ledger WHERE outcome != 'received' GROUP BY ALL ORDER BY ALL",
    );
    assert_eq!(
        books,
        "dropped\tconsent_absent\t1\ndropped\tconsent_denied\t2\ndropped\tconsent_malformed\t2\n\
         dropped\tconsent_vetoed\t3\nrejected\ttype_unknown\t1"
    );
    assert_eq!(collector.count("consentry.events"), 0);

    assert!(!collector.get_admin("/metrics").text().contains("canary-1f7b"));
    assert!(!collector.log().contains("canary-1f7b"));
    let found: Vec<_> = files(collector.dir.path())
        .into_iter()
        .filter(|path| {
            let bytes = std::fs::read(path).unwrap_or_default();
            memchr::memmem::find(&bytes, b"canary-1f7b").is_some()
        })
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

/// Every signal that a site can consult, with a consent manager's identifiers in it.
#[test]
fn of_a_consent_managers_cookies_nothing_remains() {
    let collector = Collector::start_configured(
        "[[site]]\nid = \"demo\"\norigins = [\"loopback\"]\n[site.consent]\nadapters = [\"payload\", \"tcf\", \"gpp\", \"usp\", \"gcm\", \
         \"onetrust\", \"trustarc\", \"cookiebot\", \"cookieyes\", \"didomi\", \"klaro\", \"wp_consent\", \"complianz\", \"cookieconsent\"]\n\
         didomi_purpose = \"analytics\"\nklaro_service = \"consentry\"\n",
    );
    let cookies = [
        "OptanonConsent=consentId=canary-77c&interactionCount=1&groups=C0001%3A1%2CC0002%3A1",
        "CookieConsent={stamp:'canary-77c',statistics:true,method:'explicit'}",
        "cookieyes-consent=consentid:canary-77c,consent:yes,action:yes,analytics:yes",
        "notice_preferences=2:; notice_gdpr_prefs=0,1,2:; cmapi_cookie_privacy=permit 1,2,3; TAsessionID=canary-77c",
        "euconsent-v2=canary-77c; usprivacy=canary-77c; didomi_token=canary-77c; klaro=canary-77c; cc_cookie=canary-77c",
    ];
    let mut expected = 0;
    for consent in [
        r#"{"analytics":true}"#,
        r#"{"analytics":false,"tcf":"canary-77c","gpp":"canary-77c","onetrust":"canary-77c"}"#,
    ] {
        for cookie in cookies {
            let body = format!(
                r#"{{"site":"demo","type":"pageview","url":"https://shop.example/","consent":{consent}}}"#
            );
            let headers = [("content-type", "application/json"), ("cookie", cookie)];
            let path = "/v1/events?gdpr_consent=canary-77c-query";
            let with_query = collector.request("POST", path, &headers, body.as_bytes());
            let without = collector.request("POST", "/v1/events", &headers, body.as_bytes());
            for answer in [with_query, without] {
                assert_eq!(answer.status, 202);
                assert!(!answer.text().contains("canary-77c"));
                expected += answer.json()["accepted"].as_u64().unwrap();
            }
        }
    }
    collector.settle();
    assert_eq!(collector.count("consentry.events"), expected);
    assert_eq!(expected, 4, "payload, beside four managers that agree and one whose cookies cannot be read");
    assert!(!collector.get_admin("/metrics").text().contains("canary-77c"));
    for path in files(collector.dir.path()) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(memchr::memmem::find(&bytes, b"canary-77c").is_none(), "{}", path.display());
    }
}

#[test]
fn of_a_kept_event_no_identifier_remains() {
    let collector = Collector::start();
    let body = r#"{"site":"demo","type":"pageview","id":"canary-id-77","url":"https://user:pw@shop.example/p/1?token=canary-q&utm_source=news#canary-f",
        "referrer":"https://search.example/find?q=canary-r","visit":{"id":"canary-visit-77"},"title":"Hello jane.canary@shop.example",
        "consent":{"analytics":true}}"#;
    let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 canary-ua";
    let headers =
        [("content-type", "application/json"), ("user-agent", agent), ("cookie", "session=canary-cookie")];
    assert_eq!(collector.request("POST", "/v1/events", &headers, body.as_bytes()).status, 202);
    collector.settle();
    let row = collector.sql(
        "SELECT host, path, title, query, referrer_host, browser, browser_major, os, device, visit != 0, visitor != 0, event_id != 0 \
         FROM consentry.events",
    );
    assert_eq!(
        row,
        "shop.example\t/p/1\tHello [email]\t{'utm_source':'news'}\tsearch.example\tChrome\t126\tLinux\tdesktop\t1\t1\t1"
    );
    for path in files(collector.dir.path()) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(memchr::memmem::find(&bytes, b"canary").is_none(), "{}", path.display());
    }
}
