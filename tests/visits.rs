//! Visits are what a plain reading of the rows gives: 200,000 events with late, duplicate and midnight cases against a
//! computation that shares nothing with the SQL.

mod common;

use std::collections::BTreeMap;

use clickhouse::Client;
use common::{Collector, eventually};
use consentry::clock::{Clock, DAY_MS};
use consentry::store::engine::read_access;
use consentry::store::{Role, embedded_client, settle_visits};

const CONFIG: &str =
    "[[site]]\nid = \"shop\"\nk_anonymity = 10\nsubjects = true\n[[site]]\nid = \"blog\"\nk_anonymity = 10\n";
const EVENTS: usize = 200_000;
const MINUTE_MS: i64 = 60_000;
const GAP_MS: i64 = 30 * MINUTE_MS;
const COLUMNS: &str = "site, type, ts, event_id, visitor, visit, host, path, channel, engaged_ms, no_share, bot, retention_days";

/// A row of `events`, as far as visits look at it.
#[derive(Debug, Clone)]
struct Event {
    site: &'static str,
    kind: &'static str,
    ts: i64,
    id: u128,
    visitor: u64,
    visit: u64,
    path: String,
    channel: &'static str,
    engaged_ms: u64,
    no_share: u8,
    bot: u8,
}

/// A visit, as the test and the store say it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Visit {
    site: String,
    start: i64,
    end: i64,
    length_ms: u64,
    pages: u64,
    events: u64,
    bounce: u8,
    entry: String,
    exit: String,
    channel: String,
    visitor: u64,
}

/// A small generator of its own, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Sessions of visitors over four days: with and without a visit id, over midnight, with gaps around 30 minutes.
fn events(now_ms: i64) -> Vec<Event> {
    let mut random = Random(7);
    let mut events = Vec::with_capacity(EVENTS);
    let begin = now_ms - now_ms.rem_euclid(DAY_MS) - 3 * DAY_MS;
    let mut id = 1_u128;
    while events.len() < EVENTS {
        let site = if random.below(3) == 0 { "blog" } else { "shop" };
        let visitor = 1 + random.below(20_000);
        // A quarter begins just before midnight.
        let day = begin + random.below(3) as i64 * DAY_MS;
        let mut ts = day
            + if random.below(4) == 0 {
                DAY_MS - 600_000 + random.below(599_000) as i64
            } else {
                random.below(86_000_000) as i64
            };
        let with_id = random.below(2) == 0;
        let visit = if with_id { 1 + (visitor << 20 ^ ts as u64) } else { 0 };
        let channel = ["Direct", "Email", "Organic Search"][random.below(3) as usize];
        let restricted = random.below(40) == 0;
        let bot = random.below(40) == 0;
        for _ in 0..1 + random.below(12) {
            let kind = ["pageview", "pageview", "engagement", "click", "custom", "performance"]
                [random.below(6) as usize];
            id += 1;
            let event = Event {
                site,
                kind,
                ts,
                id: if random.below(20) == 0 { 0 } else { id },
                visitor,
                visit,
                path: format!("/{}", random.below(50)),
                channel,
                engaged_ms: if kind == "engagement" { random.below(20_000) } else { 0 },
                no_share: u8::from(restricted),
                bot: u8::from(bot),
            };
            // Some come twice.
            if event.id != 0 && random.below(50) == 0 {
                events.push(event.clone());
            }
            events.push(event);
            ts += match random.below(12) {
                0 => GAP_MS,
                1 => GAP_MS + 1,
                2 => 0,
                _ => random.below(300_000) as i64,
            };
            if ts >= now_ms {
                break;
            }
        }
    }
    events.truncate(EVENTS);
    // They come in no order at all.
    for index in (1..events.len()).rev() {
        events.swap(index, random.below(index as u64 + 1) as usize);
    }
    events
}

/// The plain computation: sort, walk, cut.
fn plain(events: &[Event]) -> Vec<Visit> {
    let mut seen = std::collections::HashSet::new();
    let mut people: BTreeMap<(&str, u64, u64), Vec<&Event>> = BTreeMap::new();
    for event in events {
        if event.no_share != 0 || event.bot != 0 || (event.id != 0 && !seen.insert((event.site, event.id))) {
            continue;
        }
        let person = if event.visit == 0 { event.visitor } else { 0 };
        people.entry((event.site, event.visit, person)).or_default().push(event);
    }
    let mut visits = Vec::new();
    for ((_, visit, _), mut events) in people {
        events.sort_by_key(|event| (event.ts, event.id, event.path.clone()));
        let mut from = 0;
        for at in 1..=events.len() {
            let ends = at == events.len() || visit == 0 && events[at].ts - events[at - 1].ts > GAP_MS;
            if ends {
                visits.push(one(&events[from..at]));
                from = at;
            }
        }
    }
    visits.sort();
    visits
}

fn one(events: &[&Event]) -> Visit {
    let views: Vec<&&Event> = events.iter().filter(|event| event.kind == "pageview").collect();
    let first = views.first().copied().unwrap_or(&events[0]);
    let last = views.last().copied().unwrap_or(&events[events.len() - 1]);
    let length_ms = events.iter().map(|event| event.engaged_ms).sum();
    let actions = events.iter().filter(|event| matches!(event.kind, "click" | "custom")).count() as u64;
    Visit {
        site: first.site.into(),
        start: events[0].ts,
        end: events[events.len() - 1].ts,
        length_ms,
        pages: views.len() as u64,
        events: actions,
        bounce: u8::from(views.len() <= 1 && actions == 0 && length_ms < 10_000),
        entry: first.path.clone(),
        exit: last.path.clone(),
        channel: first.channel.into(),
        visitor: first.visitor,
    }
}

fn admin(collector: &Collector) -> Client {
    embedded_client(&read_access(&collector.data_dir().join("engine")).unwrap(), Role::Admin)
}

async fn insert(admin: &Client, events: &[Event]) {
    for part in events.chunks(50_000) {
        let mut text = String::new();
        for event in part {
            let Event { site, kind, ts, id, visitor, visit, path, channel, engaged_ms, no_share, bot } =
                event;
            text += &format!(
                "{site}\t{kind}\t{}.{:03}\t{id}\t{visitor}\t{visit}\th\t{path}\t{channel}\t{engaged_ms}\t{no_share}\t{bot}\t395\n",
                ts / 1000,
                ts % 1000
            );
        }
        let sql = format!("INSERT INTO consentry.events ({COLUMNS}) FORMAT TabSeparated");
        let mut insert = admin.insert_formatted_with(sql);
        insert.send(text.into()).await.unwrap();
        insert.end().await.unwrap();
    }
}

/// What the store says.
fn stored(collector: &Collector, from: &str) -> Vec<Visit> {
    let text = collector.sql(&format!(
        "SELECT site, toUnixTimestamp64Milli(start), toUnixTimestamp64Milli(end), length_ms, pages, events, bounce, entry_path, \
         exit_path, channel, visitor FROM {from}"
    ));
    let mut visits: Vec<Visit> = text
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let number = |index: usize| fields[index].parse::<u64>().unwrap();
            Visit {
                site: fields[0].into(),
                start: number(1) as i64,
                end: number(2) as i64,
                length_ms: number(3),
                pages: number(4),
                events: number(5),
                bounce: number(6) as u8,
                entry: fields[7].into(),
                exit: fields[8].into(),
                channel: fields[9].into(),
                visitor: number(10),
            }
        })
        .collect();
    visits.sort();
    visits
}

fn refresh(collector: &Collector) {
    for view in ["visits_now_mv", "visits_late_mv"] {
        collector.sql(&format!("SYSTEM REFRESH VIEW consentry.{view}"));
        collector.sql(&format!("SYSTEM WAIT VIEW consentry.{view}"));
    }
}

fn assert_same(left: &[Visit], right: &[Visit], what: &str) {
    let different = left.iter().zip(right).find(|(left, right)| left != right);
    assert!(
        left.len() == right.len() && different.is_none(),
        "{what}: {} and {}, {different:?}",
        left.len(),
        right.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_thousand_events_make_the_visits_that_a_plain_computation_makes() {
    let collector = Collector::start_configured(CONFIG);
    let (admin, now_ms) = (admin(&collector), Clock::system().now_ms());
    let events = events(now_ms);
    // The first half, a look, and then what is late.
    insert(&admin, &events[..EVENTS / 2]).await;
    refresh(&collector);
    assert_same(&stored(&collector, "consentry.visits"), &plain(&events[..EVENTS / 2]), "the first half");
    insert(&admin, &events[EVENTS / 2..]).await;
    let begun = std::time::Instant::now();
    refresh(&collector);
    let expected = plain(&events);
    let found = stored(&collector, "consentry.visits");
    assert_same(&found, &expected, "with what came late");
    let midnight = |visit: &&Visit| visit.start / DAY_MS != visit.end / DAY_MS;
    println!(
        "{EVENTS} events: {} visits, {} of them over midnight, {} bounces; equal in every field; refreshed in {} ms",
        found.len(),
        found.iter().filter(midnight).count(),
        found.iter().filter(|visit| visit.bounce == 1).count(),
        begun.elapsed().as_millis()
    );

    // A week later they are settled, once, and the same.
    let later_ms = now_ms + 8 * DAY_MS;
    assert!(settle_visits(&admin, later_ms).await.unwrap() >= 4);
    assert_same(&stored(&collector, "consentry.visits_settled"), &expected, "settled");
    assert_eq!(settle_visits(&admin, later_ms).await.unwrap(), 0, "once is enough");
    assert_same(&stored(&collector, "consentry.visits"), &expected, "whichever table they are in");

    // Of whole days: one that has just begun has too few visitors to be told of.
    let today = now_ms / DAY_MS;
    let report = collector.sql(&format!(
        "SELECT sum(visits), sum(bounces), sum(groups) FROM report.visits \
         WHERE site = 'shop' AND channel != '(withheld)' AND toUInt32(day) < {today}"
    ));
    let whole_days = |visit: &&Visit| visit.site == "shop" && visit.start / DAY_MS < today;
    let of_shop: Vec<&Visit> = expected.iter().filter(whole_days).collect();
    assert!(report.starts_with(&format!(
        "{}\t{}\t",
        of_shop.len(),
        of_shop.iter().filter(|visit| visit.bounce == 1).count()
    )));
}

#[test]
fn what_a_page_sends_is_a_visit_within_a_minute_and_gone_with_its_subject() {
    let collector = Collector::start_configured(CONFIG);
    let token = "0123456789abcdef0123456789abcdef";
    let send = |subject: &str, path: &str, more: &str| {
        let body = format!(
            r#"{{"site":"shop","type":"pageview","url":"https://shop.example{path}","visit":{{"id":"visit-{subject}"}},"subject":"{subject}",
            "consent":{{"analytics":true}}{more}}}"#
        );
        assert_eq!(collector.post(&body).status, 202);
    };
    send(token, "/in", "");
    send("fedcba9876543210fedcba9876543210", "/other", "");
    let engaged = format!(
        r#"{{"site":"shop","type":"engagement","engaged_ms":12000,"url":"https://shop.example/in","visit":{{"id":"visit-{token}"}},
        "subject":"{token}","consent":{{"analytics":true}}}}"#
    );
    assert_eq!(collector.post(&engaged).status, 202);
    let visits = || {
        collector
            .sql("SELECT entry_path, exit_path, pages, length_ms, bounce FROM consentry.visits ORDER BY ALL")
    };
    // Nobody asks for it: the view looks each minute.
    let begun = std::time::Instant::now();
    while visits() != "/in\t/in\t1\t12000\t0\n/other\t/other\t1\t0\t1" {
        assert!(begun.elapsed().as_secs() < 75, "{}", visits());
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    // Settled or not, its visits go with it and the others' stay.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let later_ms = Clock::system().now_ms() + 8 * DAY_MS;
    assert!(runtime.block_on(settle_visits(&admin(&collector), later_ms)).unwrap() > 0);
    assert_eq!(collector.count("consentry.visits_settled"), 2);
    assert_eq!(visits(), "/in\t/in\t1\t12000\t0\n/other\t/other\t1\t0\t1");
    let erase = format!(r#"{{"token":"{token}"}}"#);
    let headers = [("content-type", "application/json")];
    let answer = collector.request("POST", "/v1/subjects/erase", &headers, erase.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(visits(), "/other\t/other\t1\t0\t1", "at once, with the rows");
    assert_eq!(collector.count("consentry.visits_settled"), 1);
    eventually("it stays so", || (visits() == "/other\t/other\t1\t0\t1").then_some(()));
}
