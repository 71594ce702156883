//! Days of pages and hosts are what their rows add up to: when they are settled, when rows come late, when a visitor's rows go.

mod common;

use clickhouse::Client;
use common::Collector;
use consentry::store::engine::read_access;
use consentry::store::{Role, embedded_client, freshen_visits, settle_visits};

const CONFIG: &str = "[[site]]\nid = \"shop\"\nk_anonymity = 10\n[[site]]\nid = \"blog\"\nk_anonymity = 10\n";

/// Twenty days of two sites with three hosts each; some visits go on over midnight.
fn insert(from: u64, count: u64) -> String {
    format!(
        "INSERT INTO consentry.events (site, type, ts, event_id, visitor, visit, host, path, device, engaged_ms, scroll_pct, retention_days) \
         WITH cityHash64(intDiv(number, 6), 'v') AS h, number % 6 AS step \
         SELECT if(h % 10 = 0, 'blog', 'shop'), if(step % 2 = 0, 'pageview', 'engagement') AS type, \
         toDateTime64(today() - 1 - h % 20, 3, 'UTC') + toIntervalSecond(80000 + h % 5000 + step * 400), number + 1, h, \
         if(h % 4 = 0, 0, cityHash64(h, 'visit')), 'h' || toString(cityHash64(h, intDiv(step, 4)) % 3), '/p/' || toString(cityHash64(h, intDiv(step, 2)) % 40), \
         'desktop', if(type = 'engagement', h % 9000, 0), if(type = 'engagement', h % 101, 0), 395 FROM numbers({from}, {count})"
    )
}

async fn compare(collector: &Collector, admin: &Client) {
    let mut lines = 0;
    for column in ["path", "host"] {
        let kind = column;
        let told = collector.sql(&format!(
            "SELECT site, day, name, views, engaged_ms, depth, depth_rows, visitors, visitors_again, visits, visits_again, \
             length(few) FROM consentry.page_days FINAL WHERE kind = '{kind}' AND rows > 0 ORDER BY ALL"
        ));
        let key = "if(visit = 0, visitor, visit)";
        let views =
            "FROM consentry.events WHERE no_share = 0 AND bot = 0 AND type IN ('pageview', 'engagement')";
        let counted = collector.sql(&format!(
            "SELECT site, day, name, sum(views), sum(engaged), sumIf(depth, engaged > 0 OR depth > 0), countIf(engaged > 0 OR depth > 0), \
             uniqExact(visitor), uniqExactIf(visitor, (site, day - 1, name, visitor) IN (SELECT site, toDate(ts), {column}, visitor {views})), \
             uniqExact(key), uniqExactIf(key, (site, day - 1, name, key) IN (SELECT site, toDate(ts), {column}, {key} {views})), \
             least(uniqExact(visitor), 64) \
             FROM (SELECT site, toDate(ts) AS day, {column} AS name, visitor, {key} AS key, countIf(type = 'pageview') AS views, \
             sum(engaged_ms) AS engaged, max(scroll_pct) AS depth {views} AND toDate(ts) <= today() - 5 \
             GROUP BY site, day, host, path, visitor, visit, key, toStartOfFifteenMinutes(ts)) GROUP BY site, day, name ORDER BY ALL"
        ));
        lines += counted.lines().count();
        let differ = told.lines().zip(counted.lines()).find(|(told, counted)| told != counted);
        assert!(
            told == counted,
            "{kind}: {} and {} days, {differ:?}",
            told.lines().count(),
            counted.lines().count()
        );
    }
    assert!(lines > 500, "{lines}");
    let again = "SELECT sum(visitors_again) FROM consentry.page_days FINAL";
    assert!(admin.query_raw(again).fetch_one::<u64>().await.unwrap() > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_pages_are_those_of_the_rows() {
    let collector = Collector::start_configured(CONFIG);
    let admin = embedded_client(&read_access(&collector.data_dir().join("engine")).unwrap(), Role::Admin);
    let now_ms = consentry::clock::Clock::system().now_ms();
    admin.query_raw(&insert(0, 30_000)).execute().await.unwrap();
    settle_visits(&admin, now_ms).await.unwrap();
    compare(&collector, &admin).await;
    // Done again it changes nothing.
    settle_visits(&admin, now_ms).await.unwrap();
    compare(&collector, &admin).await;
    // Rows come to days that are settled, names are new.
    admin.query_raw(&insert(30_000, 6_000)).execute().await.unwrap();
    freshen_visits(&admin, now_ms).await.unwrap();
    compare(&collector, &admin).await;
    // Rows go, names with them.
    let gone = "site = 'shop' AND path LIKE '/p/1%' AND day = today() - 9";
    admin.query_raw(&format!("DELETE FROM consentry.events WHERE {gone}")).execute().await.unwrap();
    let hours = "SELECT DISTINCT toUInt32(toStartOfHour(ts)) FROM consentry.events WHERE site = 'shop' AND day = today() - 9";
    let hours = admin.query_raw(hours).fetch_all::<u32>().await.unwrap();
    consentry::store::subject::rebuild_hours(&admin, "shop", &hours).await.unwrap();
    compare(&collector, &admin).await;
}
