//! What an answer withholds cannot be found by taking what it shows from the whole: in each slice of it, the visitors of all that
//! is not shown are none or at least k. The same of the last half hour, of crashes and of funnels.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use clickhouse::Client;
use common::{Answer, Collector, request};
use consentry::store::engine::read_access;
use consentry::store::{Role, embedded_client};
use serde_json::{Value, json};

const K: usize = 10;
const CONFIG: &str = "[[site]]\nid = \"shop\"\nk_anonymity = 10\n";

/// A visit each of 900 visitors over 40 days, with values that many have and values that few have.
const ROWS: &str = "INSERT INTO consentry.events (site, type, ts, event_id, visitor, visit, host, path, prev_path, channel, device, country, \
    name, point, engaged_ms, crash_kind, crash_message, crash_fingerprint, retention_days) \
    WITH cityHash64(intDiv(number, 6), 'v') AS h, number % 6 AS step, cityHash64(number) AS r, \
    ['pageview','engagement','custom','click','pageview','crash'][1 + step] AS kind \
    SELECT 'shop', if(kind = 'crash' AND r % 3 != 0, 'custom', kind) AS type, \
    toDateTime64(today() - 1 - toUInt32(40 * pow(h % 1009 / 1009, 3)), 3, 'UTC') + toIntervalSecond(h % 80000 + step * 60), number + 1, h, \
    cityHash64(h, 'visit'), 'shop.example', '/p/' || toString(toUInt32(14 * pow(cityHash64(h, intDiv(step, 3)) % 1013 / 1013, 4))), \
    if(step = 0, '', '/before'), 'channel-' || toString(toUInt32(9 * pow(h % 1019 / 1019, 4))), \
    ['desktop','mobile','tablet','tv'][1 + toUInt32(3.05 * pow(h % 1021 / 1021, 2))], \
    'C' || toString(toUInt32(12 * pow(h % 1031 / 1031, 5))), \
    if(type = 'custom', 'name-' || toString(toUInt32(9 * pow(r % 1033 / 1033, 4))), ''), \
    if(type = 'click', 'point-' || toString(toUInt32(9 * pow(r % 1039 / 1039, 4))), ''), if(type = 'engagement', 3000, 0), \
    if(type = 'crash', 'TypeError', ''), if(type = 'crash', 'x', ''), if(type = 'crash', 1 + toUInt32(7 * pow(r % 1049 / 1049, 3)), 0), 395 \
    FROM numbers(900 * 6)";

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn admin(collector: &Collector) -> Client {
    embedded_client(&read_access(&collector.data_dir().join("engine")).unwrap(), Role::Admin)
}

/// Asks as somebody who has asked nothing before.
fn ask(collector: &Collector, asker: u64, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer asker-{asker}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    request(collector.admin, "POST", &format!("/v1/stats/{path}"), &headers, body.to_string().as_bytes())
}

fn get(collector: &Collector, asker: u64, path: &str) -> Answer {
    let bearer = format!("Bearer asker-{asker}");
    request(collector.admin, "GET", &format!("/v1/stats/{path}"), &[("authorization", &bearer)], b"")
}

const DIMENSIONS: [(&str, &str); 7] = [
    ("event:page", "path"),
    ("event:name", "name"),
    ("event:point", "point"),
    ("visit:channel", "channel"),
    ("visit:device", "device"),
    ("visit:country", "country"),
    ("time:day", "toString(toDate(ts))"),
];

/// Which rows the visitors are counted from, by the dimensions.
fn rows_of(dimensions: &[&str]) -> &'static str {
    let has = |name: &str| dimensions.contains(&name);
    match (has("event:name"), has("event:point"), has("event:page")) {
        (true, _, _) => "type = 'custom'",
        (_, true, _) => "type = 'click'",
        (_, _, true) => "type IN ('pageview', 'engagement')",
        _ => "1",
    }
}

/// The values that are fixed in a slice.
fn within(slice: usize, key: &[String]) -> Vec<&str> {
    let fixed = key.iter().enumerate().filter(|(place, _)| slice & (1 << place) != 0);
    fixed.map(|(_, value)| value.as_str()).collect()
}

type Groups = BTreeMap<Vec<String>, BTreeSet<u64>>;

/// Visitors by group, counted from the rows.
async fn counted(admin: &Client, columns: &[&str], condition: &str) -> Groups {
    let key: Vec<String> = columns.iter().map(|column| format!("toString({column})")).collect();
    let sql = format!(
        "SELECT DISTINCT [{}]::Array(String), visitor FROM consentry.events WHERE site = 'shop' AND {condition}",
        key.join(", ")
    );
    let rows = admin.query_raw(&sql).fetch_all::<(Vec<String>, u64)>().await.unwrap();
    let mut groups = Groups::new();
    for (key, visitor) in rows {
        groups.entry(key).or_default().insert(visitor);
    }
    groups
}

/// Visitors of what is not shown, for each slice of an answer by `dimensions` dimensions whose whole is of k visitors or more: a
/// smaller whole is withheld itself, in the answer that has it.
fn hidden(groups: &Groups, shown: &BTreeSet<Vec<String>>, dimensions: usize) -> Vec<usize> {
    let mut slices = Vec::new();
    // With all dimensions fixed there is but the group itself.
    for slice in 0..(1_usize << dimensions) - 1 {
        let mut wholes: BTreeMap<Vec<&str>, (BTreeSet<u64>, BTreeSet<u64>)> = BTreeMap::new();
        for (key, visitors) in groups {
            let (whole, left) = wholes.entry(within(slice, key)).or_default();
            whole.extend(visitors);
            if !shown.contains(key) {
                left.extend(visitors);
            }
        }
        let told = wholes.values().filter(|(whole, left)| whole.len() >= K && !left.is_empty());
        slices.extend(told.map(|(_, left)| left.len()));
    }
    slices
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_withheld_is_the_difference_of_what_is_told() {
    let collector = Collector::start_configured(CONFIG);
    let admin = admin(&collector);
    admin.query_raw(ROWS).execute().await.unwrap();
    let mut random = Random(3);
    let (mut asked, mut own, mut others, mut cells, mut shown_groups) = (0, 0, 0, 0, 0);
    for number in 0..160 {
        let mut by: Vec<(&str, &str)> =
            (0..1 + random.below(3)).map(|_| DIMENSIONS[random.below(7) as usize]).collect();
        by.sort_unstable();
        by.dedup();
        let names: Vec<&str> = by.iter().map(|one| one.0).collect();
        let columns: Vec<&str> = by.iter().map(|one| one.1).collect();
        let (metric, of_metric) = [
            ("pageviews", ""),
            ("visits", ""),
            ("events", "type = 'custom'"),
            ("clicks", "type = 'click'"),
            ("crashes", "type = 'crash'"),
        ][number as usize % 5];
        let (filters, condition) = match random.below(3) {
            0 => (json!([["is", "visit:device", ["mobile"]]]), "device = 'mobile'"),
            1 => (json!([["is_not", "visit:country", ["C0"]]]), "country != 'C0'"),
            _ => (json!([]), "1"),
        };
        let (range, days) = [("7d", 6), ("28d", 27), ("91d", 90)][random.below(3) as usize];
        let condition = format!("{condition} AND day >= today() - {days}");
        let body = json!({
            "site": "shop", "metrics": ["visitors", metric], "date_range": range, "dimensions": names, "filters": filters,
        });
        let answer = ask(&collector, number, "query", &body);
        if answer.code() == "metric_dimension_mismatch" {
            continue;
        }
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        let answer = answer.json();
        let rows: Vec<(Vec<String>, Value)> = answer["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let key = row["dimensions"].as_array().unwrap().iter();
                (key.map(|value| value.as_str().unwrap().to_owned()).collect(), row["metrics"].clone())
            })
            .collect();
        let groups = counted(&admin, &columns, &format!("{condition} AND {}", rows_of(&names))).await;
        let shown: BTreeSet<Vec<String>> = rows.iter().map(|row| row.0.clone()).collect();
        for (key, metrics) in &rows {
            let visitors = groups.get(key).map_or(0, BTreeSet::len);
            assert!(visitors >= K, "{body}: {key:?} of {visitors}");
            assert_eq!(metrics[0], visitors, "{body}: {key:?}");
        }
        for left in hidden(&groups, &shown, by.len()) {
            assert!(
                left >= K,
                "{body}: {left} visitors are what the whole has more than the groups\n{answer}"
            );
        }
        let few = groups.values().filter(|visitors| visitors.len() < K).count();
        let withheld = groups.len() - shown.len();
        assert_eq!(answer["meta"]["withheld"]["groups"], withheld, "{body}");
        assert!(withheld == few || few > 0, "{body}: withheld without need");
        if by.len() == 1 {
            assert!(withheld <= few + 1, "{body}: one more is enough");
        }
        asked += 1;
        own += few;
        others += withheld - few;
        shown_groups += shown.len();

        // The second metric, where it is counted from other rows: a cell that is null is withheld as well.
        let elsewhere = !of_metric.is_empty() && of_metric != rows_of(&names);
        if elsewhere {
            let counts = counted(&admin, &columns, &format!("{condition} AND {of_metric}")).await;
            let told = rows.iter().filter(|(_, metrics)| !metrics[1].is_null());
            let told: BTreeSet<Vec<String>> = told.map(|row| row.0.clone()).collect();
            cells += shown.len() - told.len();
            for key in &told {
                let visitors = counts.get(key).map_or(0, BTreeSet::len);
                assert!(visitors == 0 || visitors >= K, "{body}: {key:?} tells {metric} of {visitors}");
            }
            for left in hidden(&counts, &told, by.len()) {
                assert!(
                    left >= K,
                    "{body}: {metric} of {left} visitors is what the whole has more\n{answer}"
                );
            }
        }
    }
    println!(
        "{asked} questions, {shown_groups} groups shown, {own} withheld for themselves, {others} for others, {cells} single figures"
    );
    assert!(asked > 100 && shown_groups > 500 && own > 500 && others > 20 && cells > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_small_group_takes_the_next_one_with_it() {
    let collector = Collector::start_configured(CONFIG);
    // 3 visitors on one page, 20, 30 and 40 on others.
    let seed = "INSERT INTO consentry.events (site, type, ts, visitor, visit, host, path, device, retention_days) \
                SELECT 'shop', 'pageview', now64(3) - 60, number + 1, number + 1, 'h', \
                multiIf(number < 3, '/a', number < 23, '/b', number < 53, '/c', '/d'), 'desktop', 30 FROM numbers(93)";
    admin(&collector).query_raw(seed).execute().await.unwrap();
    let body = json!({"site": "shop", "metrics": ["visitors", "pageviews"], "date_range": "7d", "dimensions": ["event:page"]});
    let answer = ask(&collector, 1, "query", &body).json();
    let pages: Vec<&str> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["dimensions"][0].as_str().unwrap())
        .collect();
    assert_eq!(pages, ["/d", "/c"], "{answer}");
    assert_eq!(answer["meta"]["withheld"], json!({"groups": 2, "metrics": null}));
    let mut file = body.clone();
    file["format"] = "jsonl".into();
    let file = ask(&collector, 1, "export", &file).text();
    assert!(file.contains("/c") && !file.contains("\"/b\"") && !file.contains("\"/a\""), "{file}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_half_hour_stands_still_until_enough_have_come_or_gone() {
    let collector = Collector::start_configured(CONFIG);
    let admin = admin(&collector);
    let come = async |from: u64, count: u64, path: &str| {
        let sql = format!(
            "INSERT INTO consentry.events (site, type, ts, visitor, visit, host, path, device, retention_days) \
             SELECT 'shop', 'pageview', now64(3) - 1, {from} + number, {from} + number, 'h', '{path}', 'desktop', 30 FROM numbers({count})"
        );
        admin.query_raw(&sql).execute().await.unwrap();
    };
    let now = |asker: u64| get(&collector, asker, "realtime?site=shop").json();
    // Within one minute: what comes to a half hour that was told of, and is over, keeps the answer for longer.
    let second = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() % 60;
    if second > 25 {
        tokio::time::sleep(std::time::Duration::from_secs(61 - second)).await;
    }
    assert_eq!(now(1)["visitors"], 0);
    come(1, 3, "/").await;
    let few = now(1);
    assert_eq!(
        (&few["visitors"], &few["withheld"], &few["pages"]),
        (&Value::Null, &json!("few"), &json!([]))
    );
    come(100, 20, "/").await;
    come(200, 12, "/b").await;
    come(300, 15, "/c").await;
    // 50 have come, 3 of them alone on a page of theirs.
    come(400, 3, "/secret").await;
    let busy = now(1);
    assert_eq!(busy["visitors"], 53, "{busy}");
    let pages: Vec<&str> =
        busy["pages"].as_array().unwrap().iter().map(|page| page["page"].as_str().unwrap()).collect();
    assert_eq!(pages, ["/", "/c"], "the smallest page is withheld with the one of three");
    // Four more, whatever minute it is by now.
    come(500, 4, "/").await;
    for _ in 0..3 {
        assert_eq!(now(1)["visitors"], 53);
    }
    assert_eq!(now(1)["as_of"], busy["as_of"]);
    come(600, 6, "/").await;
    assert_eq!(now(1)["visitors"], 63);
    // A filter or another period would leave few.
    for more in ["&filters=%5B%5D", "&date_range=day"] {
        let refused = get(&collector, 1, &format!("realtime?site=shop{more}"));
        assert_eq!((refused.status, refused.code().as_str()), (400, "body_invalid"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_are_those_of_the_filters_and_no_difference_of_few() {
    let collector = Collector::start_configured(CONFIG);
    // Of 60 visitors 40 met one crash, 12 another, 3 a third; the visits of 20 were by mobile.
    let seed = "INSERT INTO consentry.events (site, type, ts, visitor, visit, host, path, device, crash_kind, crash_message, crash_fingerprint, \
                retention_days) SELECT 'shop', ['pageview','crash'][1 + number % 2] AS type, now64(3) - 60, v + 1, v + 1, 'h', \
                if(v = 59, '/secret', '/'), if(v < 20, 'mobile', 'desktop'), if(type = 'crash', 'TypeError', ''), if(type = 'crash', 'x', ''), \
                if(type = 'crash', multiIf(v < 40, 1, v < 52, 2, v < 55, 3, 0), 0), 30 FROM (SELECT number, intDiv(number, 2) AS v FROM numbers(120))";
    admin(&collector).query_raw(seed).execute().await.unwrap();
    let crashes = |asker: u64, filters: &Value| {
        let filters: String = url::form_urlencoded::byte_serialize(filters.to_string().as_bytes()).collect();
        get(&collector, asker, &format!("crashes?site=shop&date_range=7d&filters={filters}"))
    };
    let all = crashes(1, &json!([])).json();
    let found = |answer: &Value| -> Vec<(String, u64)> {
        let list = answer["crashes"].as_array().unwrap().iter();
        list.map(|crash| {
            (crash["fingerprint"].as_str().unwrap().to_owned(), crash["visitors"].as_u64().unwrap())
        })
        .collect()
    };
    // The one of 12 is withheld with the one of 3.
    assert_eq!(found(&all), [("01".to_owned(), 40)], "{all}");
    assert_eq!(all["meta"]["withheld"]["groups"], 2);
    let mobile = crashes(2, &json!([["is", "visit:device", ["mobile"]]])).json();
    assert_eq!(found(&mobile), [("01".to_owned(), 20)], "{mobile}");
    let by_page = crashes(3, &json!([["is", "event:page", ["/nowhere"]]])).json();
    assert_eq!(found(&by_page), []);
    // Everybody, and everybody but one.
    let but_one = crashes(1, &json!([["is_not", "event:page", ["/secret"]]]));
    assert_eq!((but_one.status, but_one.code().as_str()), (422, "difference_too_small"));
    let question = json!({"site": "shop", "metrics": ["visitors"], "date_range": "7d", "filters": [["is_not", "event:page", ["/secret"]]]});
    assert_eq!(
        ask(&collector, 1, "query", &question).code(),
        "difference_too_small",
        "crashes are remembered"
    );
    let wrong = crashes(4, &json!([["is", "visit:hat", ["a"]]]));
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "filter_invalid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_a_funnel_that_few_did_not_take_is_not_told() {
    let collector = Collector::start_configured(CONFIG);
    // 50 came in, 47 of them went on, 30 of these bought.
    let seed = "INSERT INTO consentry.events (site, type, ts, visitor, visit, host, path, name, device, retention_days) \
                SELECT 'shop', ['pageview','pageview','custom'][1 + number % 3] AS type, now64(3) - 600 + (number % 3) * 10, v + 1, v + 1, 'h', \
                if(number % 3 = 1 AND v < 47, '/next', '/'), if(type = 'custom' AND v < 30, 'buy', ''), 'desktop', 30 \
                FROM (SELECT number, intDiv(number, 3) AS v FROM numbers(150))";
    admin(&collector).query_raw(seed).execute().await.unwrap();
    let body = json!({"site": "shop", "date_range": "7d", "steps": [{"page": "/"}, {"page": "/next"}, {"event": "buy"}]});
    let told = ask(&collector, 1, "funnel", &body).json();
    let visits: Vec<&Value> = (0..3).map(|step| &told["steps"][step]["visits"]).collect();
    assert_eq!(visits, [&json!(50), &Value::Null, &json!(30)], "{told}");
    assert_eq!(told["meta"]["withheld"]["groups"], 1);
}
