//! What is past its time goes, site by site, and takes no number with it: rows by their TTL, hashes of visitors out
//! of the roll-ups, roll-ups by a retention of their own.

mod common;

use clickhouse::Client;
use common::{Collector, eventually};
use consentry::clock::{Clock, DAY_MS};
use consentry::store::engine::read_access;
use consentry::store::{Retained, Role, STATE_DAYS, agrees_on_time, embedded_client, retain};

const CONFIG: &str = "
[[site]]
id = \"shop\"
retention_days = 30
rollup_retention_days = 60
k_anonymity = 1
[[site]]
id = \"blog\"
retention_days = 300
k_anonymity = 1
";

const REPORT: &str = "SELECT * FROM report.pages ORDER BY ALL";
/// As the roll-up's view makes them; what an erasure does with the hours that it touches.
const REBUILD: &str = "INSERT INTO consentry.pages SELECT site, toStartOfHour(toDateTime(ts, 'UTC')) AS hour, host, path, \
    countIf(type = 'pageview') AS views, sum(engaged_ms) AS engaged_ms, uniqState(visitor) AS visitors FROM consentry.events \
    WHERE no_share = 0 AND bot = 0 AND type IN ('pageview', 'engagement') AND path != '' GROUP BY site, hour, host, path";

fn admin(collector: &Collector) -> Client {
    embedded_client(&read_access(&collector.data_dir().join("engine")).unwrap(), Role::Admin)
}

/// One event every 20 minutes of one day, from 50 visitors in turn, so that each hour has others and the day all.
fn insert_day(collector: &Collector, site: &str, days_ago: u32, retention_days: u16) {
    collector.sql(&format!(
        "INSERT INTO consentry.events (site, type, ts, visitor, host, path, engaged_ms, retention_days) \
         SELECT '{site}', 'pageview', toDateTime64(today() - {days_ago}, 3, 'UTC') + toIntervalMinute(number * 20), \
         cityHash64('{site}', number * 7 % 50), 'h', '/' || toString(number % 2), 10, {retention_days} FROM numbers(72)"
    ));
}

fn states(collector: &Collector) -> String {
    collector.sql(
        "SELECT countIf(finalizeAggregation(visitors) > 0), max(length(hex(visitors))) FROM consentry.pages",
    )
}

#[test]
fn rows_go_after_their_sites_retention_and_the_rollup_still_has_the_numbers() {
    let collector = Collector::start_configured(CONFIG);
    collector.sql("SYSTEM STOP TTL MERGES consentry.events");
    collector.sql("SYSTEM STOP MERGES consentry.events");
    for site in ["shop", "blog"] {
        let retention_days = if site == "shop" { 30 } else { 300 };
        insert_day(&collector, site, 40, retention_days);
        insert_day(&collector, site, 3, retention_days);
    }
    let rows = "SELECT site, today() - day AS ago, count() FROM consentry.events GROUP BY ALL ORDER BY ALL";
    let report = collector.sql(REPORT);
    assert_eq!(collector.sql(rows), "blog\t3\t72\nblog\t40\t72\nshop\t3\t72\nshop\t40\t72");

    // ClickHouse looks for such rows every four hours; for the test every second. Nobody calls OPTIMIZE.
    collector.sql("ALTER TABLE consentry.events MODIFY SETTING merge_with_ttl_timeout = 1");
    collector.sql("SYSTEM START MERGES consentry.events");
    collector.sql("SYSTEM START TTL MERGES consentry.events");
    eventually("the rows past their time are gone", || {
        (collector.sql(rows) == "blog\t3\t72\nblog\t40\t72\nshop\t3\t72").then_some(())
    });
    assert_eq!(collector.sql(REPORT), report);
    let numbers = collector.sql(
        "SELECT site, today() - day, sum(views), max(visitors) FROM report.pages GROUP BY ALL ORDER BY ALL",
    );
    assert_eq!(numbers, "blog\t3\t72\t25\nblog\t40\t72\t25\nshop\t3\t72\t25\nshop\t40\t72\t25");
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_of_visitors_leave_the_rollup_and_no_number_changes() {
    let collector = Collector::start_configured(CONFIG);
    let (admin, now_ms) = (admin(&collector), Clock::system().now_ms());
    for days_ago in [0, 1, 4] {
        insert_day(&collector, "shop", days_ago, 30);
    }
    let before = collector.sql(REPORT);
    assert_eq!(collector.sql("SELECT max(visitors), sum(visitors) FROM report.pages"), "25\t150");
    assert_eq!(retain(&admin, now_ms).await.unwrap(), Retained::default(), "too early for anything");
    let (filled, _) = states(&collector).split_once('\t').map(|(n, b)| (n.to_owned(), b.to_owned())).unwrap();
    assert_eq!(filled, "144");

    // A day later the oldest day is full.
    let done = retain(&admin, now_ms + DAY_MS).await.unwrap();
    assert_eq!(done.emptied_months, 1);
    assert!(states(&collector).starts_with("96\t"));
    assert_eq!(collector.sql(REPORT), before);

    let later_ms = now_ms + STATE_DAYS * DAY_MS;
    assert!(retain(&admin, later_ms).await.unwrap().emptied_months >= 1);
    let empty = collector.sql("SELECT length(hex(initializeAggregation('uniqStateIf', toUInt64(0), 0)))");
    assert_eq!(states(&collector), format!("0\t{empty}"), "no state holds a hash");
    assert_eq!(collector.sql(REPORT), before);
    assert_eq!(retain(&admin, later_ms).await.unwrap(), Retained::default(), "once is enough");

    // An erasure rebuilds hours from the rows that are left; the next round empties what it brought.
    collector.sql("DELETE FROM consentry.pages WHERE site = 'shop' AND hour < now() - toIntervalDay(2)");
    collector.sql(&format!("{REBUILD} HAVING hour < now() - toIntervalDay(2)"));
    assert!(states(&collector).starts_with("48\t"));
    assert_eq!(collector.sql(REPORT), before);
    assert_eq!(retain(&admin, later_ms).await.unwrap().emptied_months, 1);
    assert_eq!(collector.sql(REPORT), before);

    // What comes too late adds its views; its visitors are not added to a number that is written down.
    collector.sql(
        "INSERT INTO consentry.events (site, type, ts, visitor, host, path, retention_days) \
         VALUES ('shop', 'pageview', toDateTime64(today() - 4, 3, 'UTC'), 1, 'h', '/0', 30)",
    );
    let late = "SELECT views, visitors FROM report.pages WHERE day = today() - 4 AND path = '/0'";
    assert_eq!(collector.sql(late), "37\t25");
    retain(&admin, later_ms).await.unwrap();
    assert_eq!(collector.sql(late), "37\t25");
}

#[tokio::test(flavor = "multi_thread")]
async fn rollups_go_after_a_retention_of_their_own() {
    let collector = Collector::start_configured(CONFIG);
    let (admin, now_ms) = (admin(&collector), Clock::system().now_ms());
    for site in ["shop", "blog"] {
        // They came when the retention was longer.
        insert_day(&collector, site, 10, 4000);
        insert_day(&collector, site, 9, 4000);
    }
    retain(&admin, now_ms).await.unwrap();
    let days = |table: &str| {
        let column = if matches!(table, "pages" | "devices") { "toDate(hour, 'UTC')" } else { "day" };
        collector.sql(&format!(
            "SELECT site, groupUniqArray(today() - {column} AS ago) FROM consentry.{table} GROUP BY site ORDER BY site"
        ))
        .replace("[9,10]", "[10,9]")
    };
    let all = "blog\t[10,9]\nshop\t[10,9]";
    for table in ["events", "pages", "devices", "rollup_visitors"] {
        assert_eq!(days(table), all, "{table}");
    }
    // On this day shop's roll-ups are 60 and 59 days old: the older one goes with the next.
    retain(&admin, now_ms + 50 * DAY_MS).await.unwrap();
    assert_eq!(
        days("events"),
        "blog\t[10,9]",
        "a retention that was shortened counts for rows that are there"
    );
    assert_eq!(days("pages"), all);
    retain(&admin, now_ms + 51 * DAY_MS).await.unwrap();
    for table in ["pages", "devices", "rollup_visitors"] {
        assert_eq!(days(table), "blog\t[10,9]\nshop\t[9]", "{table}");
    }
    retain(&admin, now_ms + 1815 * DAY_MS).await.unwrap();
    assert_eq!(
        (days("events"), days("pages").as_str()),
        (String::new(), "blog\t[10,9]"),
        "five years unless set"
    );
    retain(&admin, now_ms + 1817 * DAY_MS).await.unwrap();
    for table in ["pages", "devices", "rollup_visitors"] {
        assert_eq!(days(table), "", "{table}");
    }
    let ttl = collector.sql(
        "SELECT count() FROM system.tables WHERE database = 'consentry' AND name IN ('pages', 'devices', 'rollup_visitors') \
         AND create_table_query LIKE '%TTL % + toIntervalDay(3650)%'",
    );
    assert_eq!(ttl, "3", "the engine's own bound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumped_deletes_nothing() {
    let collector = Collector::start_configured(CONFIG);
    let (admin, now_ms) = (admin(&collector), Clock::system().now_ms());
    assert!(agrees_on_time(&admin, now_ms).await.unwrap());
    for days in [-400, -2, 2, 400] {
        assert!(!agrees_on_time(&admin, now_ms + days * DAY_MS).await.unwrap());
    }
}
