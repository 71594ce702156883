//! Where events come from, through a real collector: country, programs, siblings, spam, campaigns; and what it says when the
//! database of countries cannot be used.

mod common;
mod mmdb;

use std::process::Command;

use common::{Collector, binary};
use mmdb::Database;

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";

fn countries() -> Vec<u8> {
    let mut database = Database::default();
    database.add("81.2.69.0/24", "country", "GB");
    database.add("203.0.113.128/25", "country", "DE");
    database.add("2001:db8:5::/48", "country", "ES");
    database.add("198.51.100.0/24", "country", "not a country");
    database.finish()
}

fn config(dir: &std::path::Path) -> String {
    std::fs::write(dir.join("c.mmdb"), countries()).unwrap();
    std::fs::write(dir.join("spam.txt"), "listed-spam.example.com\n").unwrap();
    std::fs::write(dir.join("centres.txt"), "# ours\n192.0.2.0/24\n").unwrap();
    let at = |name: &str| dir.join(name).display().to_string();
    format!(
        "trusted_proxies = [\"127.0.0.0/8\"]\nclient_address_header = \"x-forwarded-for\"\ngeo_database = \"{}\"\n\
         referrer_spam_file = \"{}\"\ndatacenter_networks_file = \"{}\"\n\
         [[site]]\nid = \"shop\"\norigins = [\"https://shop.example\", \"https://checkout.shop-pay.example\"]\n\
         internal_hosts = [\"brand.example\"]\n[[site]]\nid = \"strict\"\norigins = [\"https://shop.example\"]\nbots = \"drop\"\n",
        at("c.mmdb"),
        at("spam.txt"),
        at("centres.txt")
    )
}

fn send(
    collector: &Collector,
    site: &str,
    name: &str,
    from: &str,
    agent: &str,
    more: &str,
) -> serde_json::Value {
    let body = format!(
        r#"{{"site":"{site}","type":"pageview","url":"https://shop.example/{name}","consent":{{"analytics":true}}{more}}}"#
    );
    let headers = [
        ("content-type", "application/json"),
        ("origin", "https://shop.example"),
        ("accept-language", "en"),
        ("user-agent", agent),
        ("x-forwarded-for", from),
    ];
    let answer = collector.request("POST", "/v1/events", &headers, body.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()
}

#[test]
fn where_events_come_from() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start_configured(&config(dir.path()));
    let referrer = |url: &str| format!(r#","referrer":"{url}""#);
    for (name, from) in [
        ("gb", "81.2.69.160"),
        ("de", "203.0.113.200"),
        ("none", "203.0.113.1"),
        ("es", "2001:db8:5::7"),
        ("mapped", "::ffff:81.2.69.160"),
        ("wrong", "198.51.100.4"),
        ("centre", "192.0.2.77"),
    ] {
        send(&collector, "shop", name, from, CHROME, "");
    }
    send(&collector, "shop", "curl", "81.2.69.160", "curl/8.9.1", "");
    for (name, url) in [
        ("sibling", "https://www.brand.example/x"),
        ("listed", "https://checkout.shop-pay.example/pay"),
        ("spam", "https://a.listed-spam.example.com/"),
        ("family", "https://semalt.com/crawler"),
        ("lookalike", "https://www.google.com.evil.example/"),
        ("app", "android-app://com.google.android.gm/"),
        ("search", "https://www.google.co.uk/"),
    ] {
        send(&collector, "shop", name, "81.2.69.160", CHROME, &referrer(url));
    }
    send(&collector, "shop", "click?fbclid=IwAR0abcdefghij", "81.2.69.160", CHROME, "");
    let dropped = send(&collector, "strict", "curl", "81.2.69.160", "curl/8.9.1", "");
    assert_eq!((&dropped["accepted"], &dropped["dropped"]["bot"]), (&0.into(), &1.into()));
    assert_eq!(send(&collector, "strict", "kept", "81.2.69.160", CHROME, "")["accepted"], 1);
    collector.settle();

    let rows = collector.sql(
        "SELECT path, country, bot, referrer_host, channel, source FROM consentry.events WHERE site = 'shop' ORDER BY path",
    );
    let want = [
        "/app\tGB\t0\tcom.google.android.gm\tEmail\tgmail",
        "/centre\t\t1\t\tDirect\t(direct)",
        "/click\tGB\t0\t\tPaid Social\tfacebook",
        "/curl\tGB\t1\t\tDirect\t(direct)",
        "/de\tDE\t0\t\tDirect\t(direct)",
        "/es\tES\t0\t\tDirect\t(direct)",
        "/family\tGB\t0\t\tDirect\t(direct)",
        "/gb\tGB\t0\t\tDirect\t(direct)",
        "/listed\tGB\t0\t\tDirect\t(direct)",
        "/lookalike\tGB\t0\twww.google.com.evil.example\tReferral\tgoogle.com.evil.example",
        "/mapped\tGB\t0\t\tDirect\t(direct)",
        "/none\t\t0\t\tDirect\t(direct)",
        "/search\tGB\t0\twww.google.co.uk\tOrganic Search\tgoogle",
        "/sibling\tGB\t0\t\tDirect\t(direct)",
        "/spam\tGB\t0\t\tDirect\t(direct)",
        "/wrong\t\t0\t\tDirect\t(direct)",
    ];
    assert_eq!(rows.trim_end().lines().collect::<Vec<_>>(), want);
    assert_eq!(collector.count("consentry.events WHERE site = 'strict'"), 1);
    let books = "consentry.ledger WHERE site = 'strict' AND outcome = 'dropped' AND reason = 'bot'";
    assert_eq!(collector.count(books), 1);
    let paths = collector
        .sql("SELECT DISTINCT path FROM report.pages WHERE site = 'shop' AND path IN ('/curl', '/centre')");
    assert_eq!(paths.trim(), "", "a program is in no report");
}

#[test]
fn a_database_that_cannot_be_used_is_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let good = countries();
    let mut owners = Database::default();
    owners.add("81.2.69.0/24", "autonomous_system", "GB");
    // The first node of the tree leads out of the file.
    let mut torn = good.clone();
    torn[..6].copy_from_slice(&[0xff, 0xff, 0xf0, 0xff, 0xff, 0xf0]);
    let cases: [(&str, Option<&[u8]>, &str); 5] = [
        ("missing.mmdb", None, "cannot read"),
        ("text.mmdb", Some(b"country,code\n"), "no sound MaxMind database"),
        ("cut.mmdb", Some(&good[..good.len() / 2]), "no sound MaxMind database"),
        ("torn.mmdb", Some(&torn), "no sound MaxMind database"),
        ("owners.mmdb", Some(&owners.finish()), "it has no countries"),
    ];
    for (name, bytes, reason) in cases {
        let database = dir.path().join(name);
        if let Some(bytes) = bytes {
            std::fs::write(&database, bytes).unwrap();
        }
        let file = dir.path().join("c.toml");
        let data = dir.path().join("data");
        std::fs::write(&file, format!("geo_database = \"{}\"\n", database.display())).unwrap();
        for command in ["check-config", "serve"] {
            let output = Command::new(binary())
                .args([command, "--config", file.to_str().unwrap()])
                .env("CONSENTRY_DATA_DIR", &data)
                .env("CONSENTRY_LISTEN", "127.0.0.1:0")
                .env("CONSENTRY_ADMIN_LISTEN", "127.0.0.1:0")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{command} {name}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(said.contains("geo_database") && said.contains(name) && said.contains(reason), "{said}");
            assert!(!data.exists());
        }
    }
    std::fs::write(dir.path().join("good.mmdb"), &good).unwrap();
    let file = dir.path().join("c.toml");
    std::fs::write(&file, format!("geo_database = \"{}\"\n", dir.path().join("good.mmdb").display()))
        .unwrap();
    let output =
        Command::new(binary()).args(["check-config", "--config", file.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("Country: from geo_database"));
}
