//! The statistics API says what a plain reading of the generated events says, and never shows a group of few.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Answer, Collector, request};
use serde_json::{Value, json};

const CONFIG: &str = "[[site]]\nid = \"shop\"\nk_anonymity = 10\ntimezone = \"Europe/Madrid\"\n\
                      [[site]]\nid = \"other\"\nk_anonymity = 10\n";
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1440 * MINUTE_MS;

/// A generator of its own, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn skewed<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let at =
            self.below(of.len() as u64).min(self.below(of.len() as u64)).min(self.below(of.len() as u64));
        of[at as usize]
    }
}

#[derive(Debug, Clone)]
struct Event {
    kind: &'static str,
    ts: i64,
    visitor: u64,
    visit: u64,
    path: String,
    channel: &'static str,
    device: &'static str,
    country: &'static str,
    label: &'static str,
    engaged_ms: u64,
    lcp_ms: Option<u64>,
}

/// A visit as generated.
#[derive(Debug, Clone)]
struct Visit {
    id: u64,
    visitor: u64,
    channel: &'static str,
    device: &'static str,
    entry: String,
    start: i64,
    end: i64,
    views: u64,
    actions: u64,
    engaged_ms: u64,
}

/// Sixty days of visits, each of one visitor of one UTC day, none over midnight UTC.
fn generate(today_ms: i64) -> (Vec<Event>, Vec<Visit>) {
    let mut random = Random(11);
    let (mut events, mut visits) = (Vec::new(), Vec::new());
    for day in 0..60_i64 {
        let begin = today_ms - day * DAY_MS;
        for number in 0..40 + random.below(30) {
            let visitor = 1 + (day as u64) * 1000 + number;
            for round in 0..1 + random.below(5) / 4 {
                let id = (visitor << 8) + round + 1;
                let channel =
                    random.skewed(&["Direct", "Organic Search", "Referral", "Email", "Paid Search"]);
                let device = ["desktop", "mobile", "tablet"][(visitor % 7 / 3) as usize];
                let country = ["ES", "DE", "PT", "FR"][(visitor % 11 / 3) as usize];
                let mut ts = begin + random.below(85_000_000) as i64;
                let last = begin + DAY_MS - 1000;
                let mut visit = Visit {
                    id,
                    visitor,
                    channel,
                    device,
                    entry: String::new(),
                    start: ts,
                    end: ts,
                    views: 0,
                    actions: 0,
                    engaged_ms: 0,
                };
                for _ in 0..1 + random.below(5) {
                    let path = random
                        .skewed(&["/", "/blog", "/shop", "/shop/a", "/shop/b", "/about", "/legal", "/rare"])
                        .to_owned();
                    if visit.entry.is_empty() {
                        visit.entry.clone_from(&path);
                    }
                    let event = |kind, ts| Event {
                        kind,
                        ts,
                        visitor,
                        visit: id,
                        path: path.clone(),
                        channel: if visit.views == 0 { channel } else { "Direct" },
                        device,
                        country,
                        label: "",
                        engaged_ms: 0,
                        lcp_ms: None,
                    };
                    events.push(event("pageview", ts));
                    let engaged_ms = random.below(30_000);
                    ts = (ts + engaged_ms as i64).min(last);
                    events.push(Event { engaged_ms, ..event("engagement", ts) });
                    if random.below(4) == 0 {
                        let label = random.skewed(&["signup", "purchase", "search"]);
                        events.push(Event { label, ..event("custom", ts) });
                        visit.actions += 1;
                    }
                    if random.below(5) == 0 {
                        let label = random.skewed(&["nav.buy", "hero", "footer"]);
                        events.push(Event { label, ..event("click", ts) });
                        visit.actions += 1;
                    }
                    if random.below(4) == 0 {
                        events.push(Event {
                            lcp_ms: Some(500 + random.below(4000)),
                            ..event("performance", ts)
                        });
                    }
                    if random.below(30) == 0 {
                        events.push(Event { label: random.skewed(&["1", "2"]), ..event("crash", ts) });
                    }
                    visit.end = visit.end.max(ts);
                    visit.views += 1;
                    visit.engaged_ms += engaged_ms;
                    ts = (ts + random.below(200_000) as i64).min(last);
                }
                visits.push(visit);
            }
        }
    }
    (events, visits)
}

fn insert(collector: &Collector, events: &[Event]) {
    let access = consentry::store::engine::read_access(&collector.data_dir().join("engine")).unwrap();
    let admin = consentry::store::embedded_client(&access, consentry::store::Role::Admin);
    let mut text = String::new();
    for (index, event) in events.iter().enumerate() {
        let Event { kind, ts, visitor, visit, path, channel, device, country, label, engaged_ms, lcp_ms } =
            event;
        let of = |wanted: &str| if *kind == wanted { *label } else { "" };
        let crash = if *kind == "crash" { label } else { "0" };
        let lcp = lcp_ms.map_or("\\N".to_owned(), |lcp| lcp.to_string());
        text += &format!(
            "shop\t{kind}\t{}.{:03}\t{}\t{visitor}\t{visit}\tshop.example\t{path}\t{channel}\t{device}\t{country}\t{}\t{}\t{crash}\t{engaged_ms}\t{lcp}\t395\n",
            ts / 1000,
            ts % 1000,
            index + 1,
            of("custom"),
            of("click"),
        );
    }
    let columns = "site, type, ts, event_id, visitor, visit, host, path, channel, device, country, name, point, crash_fingerprint, \
                   engaged_ms, lcp_ms, retention_days";
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut insert = admin
            .insert_formatted_with(format!("INSERT INTO consentry.events ({columns}) FORMAT TabSeparated"));
        insert.send(text.into()).await.unwrap();
        insert.end().await.unwrap();
        // As the collector does it each hour.
        consentry::store::settle_visits(&admin, now_ms()).await.unwrap();
    });
    assert!(
        collector.count("consentry.page_days WHERE kind = 'done'") > 50,
        "pages of days gone by are added up"
    );
}

fn ask(collector: &Collector, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    request(collector.admin, "POST", &format!("/v1/stats/{path}"), &headers, body.to_string().as_bytes())
}

fn query(collector: &Collector, more: Value) -> Value {
    let mut body = json!({ "site": "shop", "date_range": "30d" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    loop {
        let answer = ask(collector, "query", &body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        // What was inserted a moment ago may still be made into visits.
        if answer.json()["meta"].get("warnings").is_none() {
            return answer.json();
        }
    }
}

/// Rows of an answer: dimensions, then metrics.
fn rows(answer: &Value) -> BTreeMap<Vec<String>, Vec<Value>> {
    let texts =
        |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect();
    let results = answer["results"].as_array().unwrap();
    results
        .iter()
        .map(|row| (texts(&row["dimensions"]), row["metrics"].as_array().unwrap().clone()))
        .collect()
}

fn now_ms() -> i64 {
    consentry::clock::Clock::system().now_ms()
}

/// Madrid's days, told by the time zone's own tables.
fn local_day(ts: i64) -> String {
    let zone = jiff::tz::TimeZone::get("Europe/Madrid").unwrap();
    jiff::Timestamp::from_millisecond(ts).unwrap().to_zoned(zone).date().to_string()
}

#[test]
fn figures_are_those_of_a_plain_recomputation() {
    let collector = Collector::start_configured(CONFIG);
    let today_ms = now_ms() / DAY_MS * DAY_MS;
    let (events, visits) = generate(today_ms);
    insert(&collector, &events);

    let totals = json!({"metrics": ["visitors", "visits", "pageviews", "views_per_visit", "bounce_rate", "visit_duration", "events", "clicks", "crashes"]});
    let answer = query(&collector, totals);
    let [first, last] =
        [0, 1].map(|end| answer["query"]["date_range"][end].as_str().unwrap()[..10].to_owned());
    let inside = |ts: i64| (first.as_str()..=last.as_str()).contains(&local_day(ts).as_str());
    let kept: Vec<&Event> = events.iter().filter(|event| inside(event.ts)).collect();
    let active: Vec<&Visit> =
        visits.iter().filter(|visit| inside(visit.start) || inside(visit.end)).collect();
    let of = |kind: &str| kept.iter().filter(|event| event.kind == kind).count();
    let people = |events: &mut dyn Iterator<Item = &&Event>| {
        events.map(|event| event.visitor).collect::<BTreeSet<_>>().len()
    };
    let round = |value: f64| (value * 100.0).round() / 100.0;
    let bounces = active
        .iter()
        .filter(|visit| visit.views <= 1 && visit.actions == 0 && visit.engaged_ms < 10_000)
        .count();
    let count = active.len() as f64;
    let found = &rows(&answer)[&Vec::new()];
    assert!(found.iter().all(Value::is_number), "{answer}");
    let close = |found: &Value, wanted: f64| {
        assert!((found.as_f64().unwrap() - wanted).abs() < 0.011, "{found} is not {wanted}");
    };
    close(&found[0], people(&mut kept.iter()) as f64);
    close(&found[1], count);
    close(&found[2], of("pageview") as f64);
    close(&found[3], round(active.iter().map(|visit| visit.views).sum::<u64>() as f64 / count));
    close(&found[4], round(100.0 * bounces as f64 / count));
    close(&found[5], round(active.iter().map(|visit| visit.engaged_ms).sum::<u64>() as f64 / 1000.0 / count));
    close(&found[6], of("custom") as f64);
    close(&found[7], of("click") as f64);
    close(&found[8], of("crash") as f64);

    // Pages.
    let answer = query(
        &collector,
        json!({"metrics": ["visitors", "visits", "pageviews", "events", "time_on_page"], "dimensions": ["event:page"]}),
    );
    let paths: BTreeSet<&str> = kept.iter().map(|event| event.path.as_str()).collect();
    let mut withheld = 0;
    let seen_on = |path: &str| {
        let on = kept.iter().filter(|event| event.path == path);
        people(&mut on.filter(|event| matches!(event.kind, "pageview" | "engagement")))
    };
    // Where the pages of few have few together, the smallest page goes with them: see tests/withheld.rs.
    let of_few = |event: &&Event| {
        matches!(event.kind, "pageview" | "engagement") && (1..10).contains(&seen_on(&event.path))
    };
    let together = people(&mut kept.iter().filter(|event| of_few(event)));
    let with_them = paths.iter().copied().filter(|path| seen_on(path) >= 10).min_by_key(|path| seen_on(path));
    let with_them = with_them.filter(|_| (1..10).contains(&together));
    let shown = |path: &str| seen_on(path) >= 10 && with_them != Some(path);
    let doing = |path: &str| -> BTreeSet<u64> {
        let did = kept.iter().filter(|event| event.path == path && event.kind == "custom");
        did.map(|event| event.visitor).collect()
    };
    // The same of a figure of its own: events of few.
    let told = |path: &str| shown(path) && doing(path).len() >= 10;
    let untold: BTreeSet<u64> =
        paths.iter().filter(|path| !told(path)).flat_map(|path| doing(path)).collect();
    let untold_too = paths.iter().copied().filter(|path| told(path)).min_by_key(|path| doing(path).len());
    let untold_too = untold_too.filter(|_| (1..10).contains(&untold.len()));
    for path in paths.iter().copied() {
        let on: Vec<&&Event> = kept.iter().filter(|event| event.path == path).collect();
        let seen =
            people(&mut on.iter().copied().filter(|event| matches!(event.kind, "pageview" | "engagement")));
        let row = rows(&answer).get(&vec![path.to_owned()]).cloned();
        if seen < 10 || with_them == Some(path) {
            assert!(row.is_none(), "{path} has {seen} visitors");
            withheld += 1;
            continue;
        }
        let row = row.unwrap_or_else(|| panic!("{path} is missing: {answer}"));
        close(&row[0], seen as f64);
        close(
            &row[1],
            on.iter()
                .filter(|e| matches!(e.kind, "pageview" | "engagement"))
                .map(|e| e.visit)
                .collect::<BTreeSet<_>>()
                .len() as f64,
        );
        close(&row[2], on.iter().filter(|event| event.kind == "pageview").count() as f64);
        let visible: u64 = on.iter().map(|event| event.engaged_ms).sum();
        close(&row[4], round(visible as f64 / 1000.0 / row[1].as_f64().unwrap()));
        let did = people(&mut on.iter().copied().filter(|event| event.kind == "custom"));
        match did {
            _ if untold_too == Some(path) => {
                assert_eq!(row[3], Value::Null, "{path}: the others have few events")
            }
            1..10 => assert_eq!(row[3], Value::Null, "{path}: {did} visitors have events"),
            _ => close(&row[3], on.iter().filter(|event| event.kind == "custom").count() as f64),
        }
    }
    assert_eq!(answer["meta"]["withheld"]["groups"], withheld);

    // Days of the site's time zone; a visitor counts on each day on which it is there.
    let answer = query(
        &collector,
        json!({"metrics": ["visitors", "pageviews"], "dimensions": ["time:day"], "include": {"time_labels": true}}),
    );
    assert_eq!(answer["meta"]["time_labels"].as_array().unwrap().len(), 30);
    let mut days: BTreeMap<String, (BTreeSet<u64>, u64)> = BTreeMap::new();
    for visit in &active {
        for ts in [visit.start, visit.end].into_iter().filter(|&ts| inside(ts)) {
            days.entry(local_day(ts)).or_default().0.insert(visit.visitor);
        }
    }
    for event in kept.iter().filter(|event| event.kind == "pageview") {
        days.entry(local_day(event.ts)).or_default().1 += 1;
    }
    let found = rows(&answer);
    for (day, (visitors, views)) in &days {
        if visitors.len() < 10 {
            assert!(!found.contains_key(&vec![day.clone()]), "{day}");
            continue;
        }
        let row = &found[&vec![day.clone()]];
        close(&row[0], visitors.len() as f64);
        close(&row[1], *views as f64);
    }

    // A filter on the visit, figures of its pages: the channel is the visit's, whatever later rows say.
    let filters = json!([
        ["is", "visit:channel", ["Organic Search", "Referral"]],
        ["is_not", "visit:device", ["tablet"]]
    ]);
    let answer = query(
        &collector,
        json!({"metrics": ["visitors", "pageviews"], "dimensions": ["event:page"], "filters": filters}),
    );
    let wanted: BTreeSet<u64> = active
        .iter()
        .filter(|visit| matches!(visit.channel, "Organic Search" | "Referral") && visit.device != "tablet")
        .map(|visit| visit.id)
        .collect();
    for (key, row) in rows(&answer) {
        let on = kept.iter().filter(|event| event.path == key[0] && wanted.contains(&event.visit));
        let on: Vec<&&Event> = on.filter(|event| matches!(event.kind, "pageview" | "engagement")).collect();
        close(&row[0], people(&mut on.iter().copied()) as f64);
        close(&row[1], on.iter().filter(|event| event.kind == "pageview").count() as f64);
    }
    assert!(rows(&answer).len() >= 3);

    // A filter on events, figures of visits; entry pages; quantiles.
    let filters = json!([["is", "event:name", ["signup"]]]);
    let answer = query(&collector, json!({"metrics": ["visits", "pageviews", "events"], "filters": filters}));
    let signed: BTreeSet<u64> =
        kept.iter().filter(|event| event.label == "signup").map(|event| event.visit).collect();
    let row = &rows(&answer)[&Vec::new()];
    close(&row[0], signed.len() as f64);
    close(
        &row[1],
        kept.iter().filter(|event| event.kind == "pageview" && signed.contains(&event.visit)).count() as f64,
    );
    close(&row[2], kept.iter().filter(|event| event.label == "signup").count() as f64);

    let answer =
        query(&collector, json!({"metrics": ["visits"], "dimensions": ["visit:entry_page", "visit:device"]}));
    for (key, row) in rows(&answer) {
        let began = active.iter().filter(|visit| visit.entry == key[0] && visit.device == key[1]);
        close(&row[0], began.count() as f64);
    }

    let answer = query(
        &collector,
        json!({"metrics": ["samples", "lcp_p50", "lcp_p95"], "dimensions": ["visit:device"]}),
    );
    for (key, row) in rows(&answer) {
        let mut lcp: Vec<u64> =
            kept.iter().filter(|event| event.device == key[0]).filter_map(|event| event.lcp_ms).collect();
        lcp.sort_unstable();
        close(&row[0], lcp.len() as f64);
        close(&row[1], lcp[(lcp.len() as f64 * 0.5) as usize] as f64);
        close(&row[2], lcp[(lcp.len() as f64 * 0.95) as usize] as f64);
    }

    // The period before.
    let compare = json!({"metrics": ["visits"], "include": {"comparisons": {"mode": "previous_period"}}});
    let answer = query(&collector, compare);
    let beside = &answer["results"][0]["comparison"];
    let [first, last] =
        [0, 1].map(|end| answer["meta"]["comparison_date_range"][end].as_str().unwrap()[..10].to_owned());
    let before = |ts: i64| (first.as_str()..=last.as_str()).contains(&local_day(ts).as_str());
    let earlier = visits.iter().filter(|visit| before(visit.start) || before(visit.end)).count() as f64;
    close(&beside["metrics"][0], earlier);
    close(&beside["change"][0], ((count - earlier) / earlier * 100.0).round());
}

/// The statement of a random question.
fn random_question(random: &mut Random) -> Value {
    let dimensions = [
        "event:page",
        "event:name",
        "event:point",
        "event:crash",
        "visit:channel",
        "visit:device",
        "visit:country",
        "visit:entry_page",
        "visit:exit_page",
        "time:hour",
        "time:day",
        "time:week",
        "time:month",
    ];
    let values = |dimension: &str| match dimension {
        "event:page" | "visit:entry_page" | "visit:exit_page" => ["/", "/rare", "/legal", "/shop/b"],
        "event:name" => ["signup", "purchase", "search", "x"],
        "event:point" => ["nav.buy", "hero", "footer", "x"],
        "visit:channel" => ["Direct", "Email", "Paid Search", "Referral"],
        "visit:device" => ["desktop", "mobile", "tablet", "tv"],
        _ => ["ES", "DE", "PT", "FR"],
    };
    let filter = |random: &mut Random| {
        let dimension = [
            "event:page",
            "event:name",
            "event:point",
            "visit:channel",
            "visit:device",
            "visit:country",
            "visit:exit_page",
        ][random.below(7) as usize];
        let of = values(dimension);
        let operator = ["is", "is_not", "contains", "matches"][random.below(4) as usize];
        let picked: Vec<&str> = (0..1 + random.below(2)).map(|_| of[random.below(4) as usize]).collect();
        let one = json!([operator, dimension, picked]);
        match random.below(5) {
            0 => json!(["not", one]),
            1 => json!(["or", [one, ["is", "visit:country", ["PT"]]]]),
            _ => one,
        }
    };
    let mut by: Vec<&str> = (0..random.below(3)).map(|_| dimensions[random.below(13) as usize]).collect();
    by.dedup();
    let filters: Vec<Value> = (0..random.below(3)).map(|_| filter(random)).collect();
    let range = ["7d", "30d", "91d", "day", "month"][random.below(5) as usize];
    json!({ "site": "shop", "date_range": range, "dimensions": by, "filters": filters, "metrics": ["visitors"] })
}

#[test]
fn no_group_of_fewer_than_k_visitors_is_ever_shown() {
    let collector = Collector::start_configured(CONFIG);
    let (events, _) = generate(now_ms() / DAY_MS * DAY_MS);
    insert(&collector, &events);
    let mut random = Random(5);
    let (mut answered, mut refused, mut mismatched, mut groups, mut withheld) = (0, 0, 0, 0, 0);
    for number in 0..360 {
        let mut body = random_question(&mut random);
        // Beside visitors whatever else goes with it.
        let more =
            ["visits", "pageviews", "events", "clicks", "crashes", "samples", "bounce_rate"][number % 7];
        body["metrics"] = json!(["visitors", more]);
        let answer = ask(&collector, "query", &body);
        match (answer.status, answer.code().as_str()) {
            (200, _) => {}
            (422, "difference_too_small") => {
                refused += 1;
                continue;
            }
            (400, "metric_dimension_mismatch" | "dimension_twice") => {
                mismatched += 1;
                continue;
            }
            _ => panic!("{body}: {}", answer.text()),
        }
        answered += 1;
        let answer = answer.json();
        for (key, row) in rows(&answer) {
            groups += 1;
            assert!(row[0].as_f64().is_some_and(|visitors| visitors >= 10.0), "{body}: {key:?} {row:?}");
        }
        withheld += answer["meta"]["withheld"]["groups"].as_u64().unwrap();
        if let Some(together) = answer["meta"]["withheld"]["metrics"][0].as_f64() {
            assert!(together >= 10.0, "{body}");
        }
    }
    println!(
        "{answered} answered with {groups} groups, {withheld} withheld; {refused} refused as differences, {mismatched} mismatches"
    );
    assert!(answered > 100 && groups > 500 && withheld > 100);
}

#[test]
fn differences_of_few_are_refused() {
    let collector = Collector::start_configured(CONFIG);
    collector.sql(
        "INSERT INTO consentry.events (site, type, ts, visitor, visit, host, path, device, country, retention_days) \
         SELECT 'shop', 'pageview', now64(3) - 60, number + 1, number + 1, 'h', if(number < 3, '/secret', '/'), 'desktop', \
         if(number < 40, 'ES', 'DE'), 30 FROM numbers(80)",
    );
    let metrics = json!(["visitors"]);
    let asked = |range: Value, filters: Value| {
        let body = json!({"site": "shop", "metrics": metrics, "date_range": range, "filters": filters});
        let answer = ask(&collector, "query", &body);
        (answer.status, answer.code())
    };
    let fine = (200, String::new());
    let refused = (422, "difference_too_small".to_owned());
    assert_eq!(asked(json!("7d"), json!([])), fine);
    assert_eq!(asked(json!("7d"), json!([])), fine, "the same again");
    // 77 of 80 would be left.
    assert_eq!(asked(json!("7d"), json!([["is_not", "event:page", ["/secret"]]])), refused);
    assert_eq!(asked(json!("7d"), json!([["is", "event:page", ["/"]]])), refused);
    assert_eq!(asked(json!("7d"), json!([["not", ["contains", "event:page", ["secr"]]]])), refused);
    // Half of them are many.
    assert_eq!(asked(json!("7d"), json!([["is", "visit:country", ["ES"]]])), fine);
    // One more condition on the half.
    let half = json!([["is", "visit:country", ["ES"]], ["is_not", "event:page", ["/secret"]]]);
    assert_eq!(asked(json!("7d"), half), refused);
    // Another period with the same visitors is no difference.
    assert_eq!(asked(json!("28d"), json!([])), fine);
    // Fewer than k in the first place: withheld.
    let body = json!({"site": "shop", "metrics": ["visitors"], "date_range": "7d", "filters": [["is", "event:page", ["/secret"]]]});
    let few = ask(&collector, "query", &body);
    assert!(few.status == 422 || few.json()["results"] == json!([]), "{}", few.text());
    // A funnel is a question as well.
    let body = json!({"site": "shop", "date_range": "7d", "steps": [{"page": "/"}], "filters": [["is_not", "event:page", ["/secret"]]]});
    assert_eq!(ask(&collector, "funnel", &body).code(), "difference_too_small");
}
