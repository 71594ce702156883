//! The dashboard, as the collector serves it, in a real browser: web/e2e/dashboard.mjs says what is held.
//!
//! Needs Chromium (Debian's package `chromium`; `CHROMIUM` names another path) and Node.js with npm.

mod browser_support;
mod common;

use std::path::Path;

use browser_support::drive;
use common::{Collector, request};

/// A second until there is something to see, two until there are figures (this collector is built for tests, not for speed): of
/// several loads the one in the middle, on a server that was asked before. On a machine that does much else at the time a second
/// is as much longer as everything is.
fn soon(shown: &serde_json::Value) {
    let crowded = shown["crowded"].as_f64().unwrap();
    for (moment, most_ms) in [("first_paint_ms", 1000.0), ("first_figures_ms", 2000.0)] {
        let ms = shown[moment].as_f64().unwrap();
        assert!(ms > 0.0 && ms < most_ms * crowded + 1.0, "{moment}: {ms}, {crowded} times as slow as alone");
    }
}

#[test]
fn each_card_shows_what_the_api_says_by_mouse_and_keyboard_light_and_dark_wide_and_narrow() {
    let collector = Collector::start();
    let admin = format!("http://{}", collector.admin);
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
    // The figures are made up by web/e2e/fake_stats.mjs; page, script, styles and their headers are the collector's.
    let args = [admin.as_str(), shots.to_str().unwrap()];
    let Some(shown) = drive("dashboard", "dashboard.mjs", &args) else { return };
    println!("{shown}");
    assert!(shown["first_load_bytes"].as_u64().is_some_and(|bytes| bytes < 100_000));
    soon(&shown);
    for name in
        ["light", "dark", "light-360", "dark-360", "completeness", "compared", "hover", "all", "token"]
    {
        assert!(shots.join(format!("dashboard-{name}.png")).is_file(), "{name}");
    }
}

#[test]
fn the_page_needs_no_token_and_nothing_else_on_the_admin_address_does_without() {
    let collector =
        Collector::start_with(&[], &[("CONSENTRY_ADMIN_TOKEN", "0123456789abcdef0123456789abcdef")]);
    for (path, content_type) in [
        ("/dashboard", "text/html; charset=utf-8"),
        ("/dashboard/", "text/html; charset=utf-8"),
        ("/dashboard/dashboard.js", "text/javascript; charset=utf-8"),
        ("/dashboard/dashboard.css", "text/css; charset=utf-8"),
    ] {
        let answer = collector.get_admin(path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(content_type));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        let tag = answer.header("etag").unwrap();
        let again = request(collector.admin, "GET", path, &[("if-none-match", tag)], b"");
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(request(collector.admin, "POST", path, &[], b"{}").status, 405, "{path}");
        assert_eq!(collector.get(path).status, 404, "{path} is not on the public address");
    }
    for path in ["/metrics", "/v1/stats/sites", "/dashboard/../metrics", "/dashboard/nothing", "/dashboards"]
    {
        assert_eq!(collector.get_admin(path).status, 401, "{path}");
    }
}

#[test]
fn nothing_in_the_page_is_inline() {
    let collector = Collector::start();
    let page = collector.get_admin("/dashboard").text();
    for tag in page.split('<').skip(1) {
        assert!(!tag.contains(" on") && !tag.contains("style="), "<{tag}");
        if let Some(rest) = tag.strip_prefix("script") {
            assert!(
                rest.contains("src=\"/dashboard/dashboard.js\"") && rest.trim_end().ends_with('>'),
                "<{tag}"
            );
        }
        assert!(!tag.starts_with("style"), "<{tag}");
    }
    let script = collector.get_admin("/dashboard/dashboard.js").text();
    for way in ["eval(", "new Function", "innerHTML", "insertAdjacentHTML", "document.write"] {
        assert!(!script.contains(way), "{way}");
    }
}

/// A month of some forty visitors a day, each with one visit of several pages, in the site's own day (UTC).
const MONTH: &str = "INSERT INTO consentry.events (site, type, ts, visitor, visit, host, path, prev_path, channel, source, medium, \
    campaign, device, os, os_major, browser, browser_major, screen, country, language, name, point, engaged_ms, scroll_pct, ttfb_ms, \
    fcp_ms, lcp_ms, inp_ms, cls, crash_kind, crash_message, crash_stack, crash_source, crash_fingerprint, app_version, retention_days) \
    WITH intDiv(number, 400) AS back, intDiv(number % 400, 10) AS v, number % 10 AS step, cityHash64(back, v) AS h, \
    ['pageview','performance','engagement','click','pageview','engagement','custom','pageview','engagement','crash'][1 + step] AS kind, \
    cityHash64(h, if(step < 4, 0, if(step < 7, 1, 2))) AS p \
    SELECT 'shop', kind AS type, \
    toDateTime64(toStartOfDay(now('UTC')) - toIntervalDay(1 + back), 3, 'UTC') + toIntervalSecond(h % 80000 + step * 20) AS ts, h, \
    cityHash64(h, 'visit'), 'shop.example', ['/','/blog','/blog/hello','/basket','/about','/blog/more'][1 + p % 6], if(step = 0, '', '/before'), \
    ['Direct','Organic Search','Email','Referral'][1 + h % 4], ['','google','newsletter','friend.example'][1 + h % 4], \
    ['','organic','email','referral'][1 + h % 4], if(h % 4 = 2, 'autumn', ''), ['desktop','mobile','mobile','tablet'][1 + h % 4], \
    ['Windows','Android','iOS'][1 + h % 3], 10 + h % 2, ['Chrome','Firefox'][1 + h % 2], 140 + h % 2, ['w1024','w390'][1 + h % 2], \
    ['ES','DE','FR'][1 + h % 3], ['en','es'][1 + h % 2], if(kind = 'custom', ['buy','sign_up'][1 + p % 2], ''), \
    if(kind = 'click', ['nav.buy','hero.more'][1 + p % 2], ''), if(kind = 'engagement', 4000 + h % 9000, 0), \
    if(kind = 'engagement', h % 101, 0), if(kind = 'performance', 300 + h % 900, NULL), if(kind = 'performance', 900 + h % 2000, NULL), \
    if(kind = 'performance', 1500 + h % 3000, NULL), if(kind = 'performance', 100 + h % 300, NULL), \
    if(kind = 'performance', h % 30 / 100, NULL), if(kind = 'crash', 'TypeError', ''), if(kind = 'crash', 'x is undefined', ''), \
    if(kind = 'crash', 'TypeError: x is undefined\\n    at buy (/app.js:10:5)', ''), if(kind = 'crash', '/app.js:10:5', ''), \
    if(kind = 'crash', 7, 0), '1.2.3', 395 FROM numbers(60 * 400)";

/// The month's books, as a collector would have kept them.
const BOOKS: &str = "INSERT INTO consentry.ledger (site, minute, outcome, reason, count) \
    SELECT 'shop', toDateTime(toStartOfDay(now('UTC')) - toIntervalDay(1 + number % 60)) + 3600, \
    ['received','stored','dropped','dropped'][1 + intDiv(number, 60)], ['','','consent_absent','consent_denied'][1 + intDiv(number, 60)], \
    [1000, 400, 350, 250][1 + intDiv(number, 60)] FROM numbers(240)";

#[tokio::test(flavor = "multi_thread")]
async fn each_card_shows_the_number_that_plain_sql_gives() {
    let collector = Collector::start_configured(
        "admin_token = \"0123456789abcdef0123456789abcdef\"\n[[site]]\nid = \"shop\"\nk_anonymity = 10\n",
    );
    let token = "0123456789abcdef0123456789abcdef";
    collector.sql(MONTH);
    collector.sql(BOOKS);
    let access = consentry::store::engine::read_access(&collector.data_dir().join("engine")).unwrap();
    let admin = consentry::store::embedded_client(&access, consentry::store::Role::Admin);
    for view in ["visits_now_mv", "visits_late_mv"] {
        collector.sql(&format!("SYSTEM REFRESH VIEW consentry.{view}"));
        collector.sql(&format!("SYSTEM WAIT VIEW consentry.{view}"));
    }
    let now_ms = consentry::clock::Clock::system().now_ms();
    consentry::store::settle_visits(&admin, now_ms).await.unwrap();

    let url = format!("http://{}", collector.admin);
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots/real");
    let args = [url.as_str(), shots.to_str().unwrap(), token, "shop"];
    let Some(shown) = drive("dashboard", "dashboard.mjs", &args) else { return };
    println!("{shown}");
    soon(&shown);
    let rows = "consentry.events WHERE site = 'shop' AND day >= today() - 27";
    let plain = |text: &serde_json::Value| text.as_str().unwrap().replace(',', "");
    for (tile, sql) in [
        ("visitors", "uniqExact(visitor)"),
        ("visits", "uniqExact(visit)"),
        ("pageviews", "countIf(type = 'pageview')"),
    ] {
        assert_eq!(plain(&shown[tile]), collector.sql(&format!("SELECT {sql} FROM {rows}")), "{tile}");
    }
    for (dimension, sql) in [
        (
            "event:page",
            format!("path, uniqExact(visitor), count() FROM {rows} AND type = 'pageview' GROUP BY path"),
        ),
        (
            "event:name",
            format!("name, count(), uniqExact(visitor) FROM {rows} AND type = 'custom' GROUP BY name"),
        ),
        (
            "event:point",
            format!("point, count(), uniqExact(visitor) FROM {rows} AND type = 'click' GROUP BY point"),
        ),
        ("visit:device", format!("device, uniqExact(visitor), uniqExact(visit) FROM {rows} GROUP BY device")),
        (
            "visit:country",
            format!("country, uniqExact(visitor), uniqExact(visit) FROM {rows} GROUP BY country"),
        ),
        (
            "visit:channel",
            format!("channel, uniqExact(visitor), uniqExact(visit) FROM {rows} GROUP BY channel"),
        ),
    ] {
        let counted = collector.sql(&format!("SELECT {sql} ORDER BY 1"));
        let mut told: Vec<String> = shown["tables"][dimension]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| format!("{}\t{}\t{}", row[0].as_str().unwrap(), plain(&row[1]), plain(&row[2])))
            .collect();
        told.sort();
        assert_eq!(told.join("\n"), counted, "{dimension}");
    }
    for (line, condition) in [
        ("Received", "outcome = 'received'"),
        ("Stored", "outcome = 'stored'"),
        ("consent_denied", "reason = 'consent_denied'"),
    ] {
        let counted = collector.sql(&format!(
            "SELECT sum(count) FROM consentry.ledger WHERE site = 'shop' AND minute >= toDateTime(today() - 27) AND {condition}"
        ));
        assert_eq!(plain(&shown["books"][line]), counted, "{line}");
    }
}
