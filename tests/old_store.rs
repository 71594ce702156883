//! A store that an older version made, with rows in it: what the newest migration makes of them is what is counted from the rows.

mod common;

use std::path::Path;

use clickhouse::Client;
use common::{Collector, request};
use consentry::store::engine::read_access;
use consentry::store::{Role, embedded_client};
use serde_json::json;

const CONFIG: &str = "[[site]]\nid = \"shop\"\nk_anonymity = 10\n[[site]]\nid = \"blog\"\nk_anonymity = 10\n";

/// The last migration of the older version.
const LAST: usize = 12;

/// Twelve days of two sites: visits with an id and without, over midnight too, programs and what may not be shared.
const ROWS: &str = "INSERT INTO consentry.events (site, type, ts, event_id, visitor, visit, host, path, referrer_host, channel, source, \
    content, term, browser, browser_major, os, os_major, device, screen, country, name, engaged_ms, scroll_pct, no_share, bot, retention_days) \
    WITH cityHash64(intDiv(number, 5), 'v') AS h, number % 5 AS step, intDiv(number, 5) % 12 AS back \
    SELECT if(h % 10 = 0, 'blog', 'shop'), ['pageview','engagement','pageview','engagement','custom'][1 + step] AS type, \
    toDateTime64(today() - back, 3, 'UTC') - toIntervalMinute(20) + toIntervalSecond(h % 80000 + step * 300), number + 1, h, \
    if(h % 4 = 0, 0, cityHash64(h, 'visit')), 'shop.example', if(type = 'custom', '/done', '/p/' || toString(cityHash64(h, intDiv(step, 2)) % 12)), \
    if(step = 0, 'friend.example', ''), ['Direct','Referral','Email'][1 + h % 3], ['','friend','letter'][1 + h % 3], \
    if(h % 7 = 0, 'blue', ''), if(h % 7 = 1, 'shoes', ''), 'Firefox', 140 + h % 3, 'Windows', 10 + h % 2, 'desktop', 'w1024', 'ES', \
    if(type = 'custom', 'buy', ''), if(type = 'engagement', 1000 + h % 9000, 0), if(type = 'engagement', h % 101, 0), \
    h % 50 = 1, h % 50 = 2, 395 FROM numbers(40000)";

const SHARED: &str = "no_share = 0 AND bot = 0";

async fn run(admin: &Client, sql: &str) {
    if let Err(error) = admin.query_raw(sql).execute().await {
        panic!("{sql}: {error}");
    }
}

/// Puts a store in the place of the collector's that the version before the statistics API had made.
async fn make_old(admin: &Client) {
    run(admin, "DROP DATABASE IF EXISTS report SYNC").await;
    run(admin, "DROP DATABASE IF EXISTS consentry SYNC").await;
    run(admin, "CREATE DATABASE consentry").await;
    run(
        admin,
        "CREATE TABLE consentry.schema_migrations (version UInt32, name String, checksum String, applied_at DateTime DEFAULT now()) \
         ENGINE = MergeTree ORDER BY version",
    )
    .await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("00"));
    files.sort();
    for (number, path) in files.iter().take(LAST).enumerate() {
        let sql = std::fs::read_to_string(path).unwrap();
        for statement in sql.split(";\n") {
            let code: Vec<&str> =
                statement.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
            let code = code.join("\n");
            if !code.trim().is_empty() {
                run(admin, &code).await;
            }
        }
        let checksum = blake3::hash(sql.as_bytes()).to_hex();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let record = format!(
            "INSERT INTO consentry.schema_migrations (version, name, checksum) VALUES ({}, '{}', '{}')",
            number + 1,
            &name[5..],
            &checksum[..32]
        );
        run(admin, &record).await;
    }
}

/// Page views and visits as they are, beside a recomputation from the rows.
fn compare(collector: &Collector) {
    let told = collector.sql(
        "SELECT site, day, host, path, visitor, visit, slot, sum(views), sum(engaged_ms), max(scroll_pct), max(retention_days) \
         FROM consentry.page_visitors GROUP BY ALL ORDER BY ALL",
    );
    let counted = collector.sql(&format!(
        "SELECT site, toDate(ts), host, path, visitor, visit, toDateTime(intDiv(toUnixTimestamp(ts), 900) * 900, 'UTC'), \
         countIf(type = 'pageview'), sum(engaged_ms), max(scroll_pct), max(retention_days) FROM consentry.events \
         WHERE {SHARED} AND type IN ('pageview', 'engagement') GROUP BY ALL ORDER BY ALL"
    ));
    assert!(counted.lines().count() > 10_000);
    assert!(told == counted, "page views are not those of the rows");

    // One visit each by the id; without one, none of these breaks off for half an hour.
    let told = collector.sql(
        "SELECT site, day, visitor, events_of, start, end, length_ms, pages, referrer_host, channel, content, term, browser_major, \
         os_major, screen FROM consentry.visits ORDER BY ALL",
    );
    let counted = collector.sql(&format!(
        "SELECT site, toDate(min(ts)), any(visitor), if(visit = 0, any(visitor), visit), min(ts), max(ts), sum(engaged_ms), \
         countIf(type = 'pageview'), argMin(referrer_host, ts), any(channel), any(content), any(term), any(browser_major), any(os_major), \
         any(screen) FROM consentry.events WHERE {SHARED} GROUP BY site, visit, if(visit = 0, visitor, 0) ORDER BY ALL"
    ));
    assert!(counted.lines().count() > 7_000);
    let differ = told.lines().zip(counted.lines()).find(|(told, counted)| told != counted);
    assert!(told == counted, "visits are not those of the rows, first {differ:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_from_before_the_statistics_are_in_them() {
    let mut collector = Collector::start_configured(CONFIG);
    let admin = |collector: &Collector| {
        embedded_client(&read_access(&collector.data_dir().join("engine")).unwrap(), Role::Admin)
    };
    make_old(&admin(&collector)).await;
    run(&admin(&collector), ROWS).await;
    assert_eq!(collector.sql("SELECT max(version) FROM consentry.schema_migrations"), LAST.to_string());
    // The older version had settled its visits.
    run(
        &admin(&collector),
        "INSERT INTO consentry.visits_settled SELECT * FROM consentry.visits_between(first_day = today() - 12, last_day = today() - 5)",
    )
    .await;

    collector.kill();
    collector.restart();
    collector.store_answers();
    let now_ms = consentry::clock::Clock::system().now_ms();
    consentry::store::freshen_visits(&admin(&collector), now_ms).await.unwrap();
    compare(&collector);

    // The figures that are asked for.
    let body = json!({"site": "shop", "metrics": ["visitors", "pageviews"], "date_range": "28d", "dimensions": ["event:page"]});
    let answer = request(collector.admin, "POST", "/v1/stats/query", &[], body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut told: Vec<String> = answer.json()["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            format!(
                "{}\t{}\t{}",
                row["dimensions"][0].as_str().unwrap(),
                row["metrics"][0],
                row["metrics"][1]
            )
        })
        .collect();
    told.sort();
    let counted = collector.sql(&format!(
        "SELECT path, uniqExact(visitor), countIf(type = 'pageview') FROM consentry.events WHERE site = 'shop' AND {SHARED} \
         AND type IN ('pageview', 'engagement') GROUP BY path ORDER BY path"
    ));
    assert_eq!(told.join("\n"), counted);

    // A migration that was cut off before it was written down is done again, and counts nothing twice.
    run(&admin(&collector), &format!("DELETE FROM consentry.schema_migrations WHERE version > {LAST}")).await;
    collector.kill();
    collector.restart();
    collector.store_answers();
    consentry::store::freshen_visits(&admin(&collector), now_ms).await.unwrap();
    compare(&collector);
}
