//! What analysts read is what plain SQL counts: every view over every roll-up, with groups under k left out and counted.

mod common;

use common::Collector;
use consentry::store::rollups::{ROLLUPS, VIEWS};

const CONFIG: &str = "[[site]]\nid = \"shop\"\nk_anonymity = 10\n[[site]]\nid = \"tiny\"\nk_anonymity = 10\n";

/// Events of one day: 200 visitors with skewed pages, sources, devices, and everything else that is rolled up.
const INSERT: &str = "INSERT INTO consentry.events (site, type, ts, visitor, host, path, prev_path, channel, source, medium, device, os, \
    os_major, browser, browser_major, screen, country, language, name, point, engaged_ms, lcp_ms, cls, crash_kind, \
    crash_message, crash_fingerprint, app_version, no_share, bot, retention_days) \
    SELECT 'shop', ['pageview','engagement','click','custom','performance','crash'][1 + number % 6] AS type, \
    toDateTime64(today() - 1, 3, 'UTC') + toIntervalSecond(number * 17 % 86400) AS ts, \
    cityHash64(visitor_number), 'shop.example', '/p/' || toString(toUInt32(sqrt(visitor_number))), \
    if(number % 12 = 0, '', '/before'), ['Direct','Organic Search','Email'][1 + intDiv(visitor_number, 95)] AS channel, channel || '-source', \
    'medium', ['desktop','mobile','tablet'][1 + intDiv(visitor_number, 97)], 'Windows', 10 + visitor_number % 3, 'Chrome', 140 + intDiv(visitor_number, 60), \
    'w1024', ['ES','DE'][1 + (visitor_number > 194)], ['en','es'][1 + visitor_number % 2], if(type = 'custom', 'buy', ''), \
    if(type = 'click', 'nav', ''), if(type = 'engagement', 100, 0), if(type = 'performance', 1000 + number % 1000, NULL), \
    if(type = 'performance', 0.1, NULL), if(type = 'crash', 'TypeError', ''), if(type = 'crash', 'x is undefined', ''), \
    if(type = 'crash', 7 + (visitor_number > 190), 0), ['1.0','1.1'][1 + intDiv(number, 6) % 2], number % 50 = 1, number % 50 = 2, 30 \
    FROM (SELECT number, cityHash64(number, 'v') % 200 AS visitor_number FROM numbers(12000))";

const SHARED: &str = "site = 'shop' AND no_share = 0 AND bot = 0";

/// Every view beside a plain count over the rows: dimensions, condition, measures in the view and in the rows.
const PLAIN: [(&str, &str, &str, &str, &str); 12] = [
    (
        "pages",
        "host, path",
        "type IN ('pageview', 'engagement')",
        "views, engaged_ms",
        "countIf(type = 'pageview'), sum(engaged_ms)",
    ),
    ("channels", "channel", "type = 'pageview' AND prev_path = ''", "entries", "count()"),
    (
        "sources",
        "channel, source, medium, campaign",
        "type = 'pageview' AND prev_path = ''",
        "entries",
        "count()",
    ),
    ("devices", "device", "1", "views, events", "countIf(type = 'pageview'), count()"),
    (
        "browsers",
        "browser, toString(browser_major)",
        "1",
        "views, events",
        "countIf(type = 'pageview'), count()",
    ),
    ("systems", "os, toString(os_major)", "1", "views, events", "countIf(type = 'pageview'), count()"),
    ("screens", "device, screen", "1", "views, events", "countIf(type = 'pageview'), count()"),
    ("countries", "country", "1", "views, events", "countIf(type = 'pageview'), count()"),
    ("languages", "language", "1", "views, events", "countIf(type = 'pageview'), count()"),
    ("events", "name", "type = 'custom'", "events", "count()"),
    ("points", "point, host, path", "type = 'click'", "clicks", "count()"),
    ("crashes", "hex(crash_fingerprint)", "type = 'crash'", "crashes", "count()"),
];

fn columns(view: &str) -> &'static str {
    match view {
        "browsers" => "browser, version",
        "systems" => "os, version",
        "crashes" => "fingerprint",
        _ => PLAIN.iter().find(|plain| plain.0 == view).map_or("", |plain| plain.1),
    }
}

fn compare_all(collector: &Collector) {
    for (view, dims, condition, measures, plain) in PLAIN {
        let columns = columns(view);
        let shown = collector.sql(&format!(
            "SELECT {columns}, {measures}, visitors FROM report.{view} WHERE site = 'shop' AND {} != '(withheld)' ORDER BY ALL",
            columns.split(',').next().unwrap()
        ));
        let counted = collector.sql(&format!(
            "SELECT {dims}, {plain}, uniqExact(visitor) AS visitors FROM consentry.events WHERE {SHARED} AND {condition} \
             GROUP BY {dims} HAVING visitors >= 10 ORDER BY ALL"
        ));
        assert_eq!(shown, counted, "{view}");
        assert!(!counted.is_empty(), "{view}");
        // What was left out is counted, and its figures are told where together it has enough visitors.
        let withheld = collector.sql(&format!(
            "SELECT groups, {measures}, visitors FROM report.{view} WHERE site = 'shop' AND {} = '(withheld)'",
            columns.split(',').next().unwrap()
        ));
        let small = format!(
            "SELECT {dims} FROM consentry.events WHERE {SHARED} AND {condition} GROUP BY {dims} HAVING uniqExact(visitor) < 10"
        );
        let left_out = collector.sql(&format!(
            "SELECT (SELECT count() FROM ({small})), {plain}, uniqExact(visitor) FROM consentry.events \
             WHERE {SHARED} AND {condition} AND ({dims}) IN ({small})"
        ));
        let together: u64 = left_out.rsplit('\t').next().unwrap().parse().unwrap();
        let count: u64 = left_out.split('\t').next().unwrap().parse().unwrap();
        match (count, together) {
            (0, _) => assert_eq!(withheld, "", "{view}"),
            (_, 10..) => assert_eq!(withheld, left_out, "{view}"),
            (_, _) => {
                let figures = measures.split(',').count() + 1;
                assert_eq!(
                    withheld,
                    format!("{count}{}", "\t0".repeat(figures)),
                    "{view}: together they are few"
                );
            }
        }
    }
}

#[test]
fn every_view_says_what_plain_sql_counts_before_and_after_its_hashes_are_gone() {
    let collector = Collector::start_configured(CONFIG);
    collector.sql(INSERT);
    compare_all(&collector);
    let vitals = collector.sql(
        "SELECT sum(samples), min(lcp_p50) > 1000, max(lcp_p95) < 2000, min(cls_p75) > 0.09, countIf(ttfb_p50 IS NOT NULL) \
         FROM report.vitals WHERE site = 'shop'",
    );
    let samples = collector
        .sql(&format!("SELECT count() FROM consentry.events WHERE {SHARED} AND type = 'performance'"));
    assert_eq!(vitals, format!("{samples}\t1\t1\t1\t0"));
    let crash = "SELECT kind, message, arraySort(versions), first_seen = today() - 1, last_seen = today() - 1 FROM report.crashes \
                 WHERE site = 'shop' AND fingerprint != '(withheld)'";
    assert_eq!(collector.sql(crash), "TypeError\tx is undefined\t['1.0','1.1']\t1\t1");

    // What is emptied after five days must change no figure.
    let everything = |collector: &Collector| {
        let all =
            VIEWS.map(|view| collector.sql(&format!("SELECT * FROM report.{} ORDER BY ALL", view.name)));
        all.join("\n\n")
    };
    let before = everything(&collector);
    let access = consentry::store::engine::read_access(&collector.data_dir().join("engine")).unwrap();
    let admin = consentry::store::embedded_client(&access, consentry::store::Role::Admin);
    let later_ms = consentry::clock::Clock::system().now_ms() + 6 * consentry::clock::DAY_MS;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let retained = runtime.block_on(consentry::store::retain(&admin, later_ms)).unwrap();
    assert_eq!(retained.emptied_months, 1);
    for rollup in ROLLUPS {
        let left = format!("consentry.{rollup} WHERE finalizeAggregation(visitors) > 0");
        assert_eq!(collector.count(&left), 0, "{rollup} holds a hash");
    }
    assert_eq!(everything(&collector), before);
    compare_all(&collector);
}

#[test]
fn a_site_of_few_visitors_shows_how_many_groups_there_are_and_nothing_else() {
    let collector = Collector::start_configured(CONFIG);
    collector.sql(
        "INSERT INTO consentry.events (site, type, ts, visitor, host, path, retention_days) \
         SELECT 'tiny', 'pageview', now64(3), number % 9, 'h', '/' || toString(number % 3), 30 FROM numbers(90)",
    );
    let pages = collector.sql("SELECT host, path, views, engaged_ms, visitors, groups FROM report.pages");
    assert_eq!(pages, "(withheld)\t(withheld)\t0\t0\t0\t3");
    // A site that nobody has configured has no k.
    collector.sql(
        "INSERT INTO consentry.events (site, type, ts, visitor, host, path, retention_days) \
         SELECT 'unknown', 'pageview', now64(3), number, 'h', '/', 30 FROM numbers(90)",
    );
    assert_eq!(collector.count("report.pages WHERE site = 'unknown'"), 0);
}

#[test]
fn the_list_of_roll_ups_is_the_schemas() {
    let collector = Collector::start_configured(CONFIG);
    let tables = collector.sql(
        "SELECT table FROM system.columns WHERE database = 'consentry' AND name = 'visitors' AND type LIKE 'AggregateFunction(uniq%' AND table NOT LIKE '%_mv' \
         ORDER BY table",
    );
    let mut listed = ROLLUPS.to_vec();
    listed.sort_unstable();
    assert_eq!(tables, listed.join("\n"));
    let views = collector.sql(
        "SELECT table FROM system.columns WHERE database = 'report' AND name = 'groups' \
         AND table NOT IN ('visits', 'entry_pages', 'exit_pages') ORDER BY table",
    );
    let mut listed = VIEWS.map(|view| view.name).to_vec();
    listed.sort_unstable();
    assert_eq!(views, listed.join("\n"));
    for view in VIEWS {
        assert!(ROLLUPS.contains(&view.rollup));
    }
}
