//! What one event costs in each room, in nanoseconds of one core: `cargo bench --bench hot_path`.
//!
//! Medians of several rounds; compare rounds of one run, not runs.

use std::hint::black_box;
use std::time::Instant;

use consentry::accept::{self, ClientAddress, Limits, Submission};
use consentry::beacon;
use consentry::config::File;
use consentry::consent::gate;
use consentry::deidentify::{Pseudonymiser, SaltStore, Salts, SubjectKeys, scrub};
use consentry::enrich::bot::{Bots, Claims, HeaderTraits};
use consentry::enrich::channel::{ChannelInput, attribute, spam::SpamDomains};
use consentry::enrich::{Enricher, agent::Agents, enrich};
use consentry::site::Sites;
use consentry::spool::encode;

const NOW: i64 = 1_763_848_800_000;
const ROUNDS: usize = 15;
const EVENTS_A_ROUND: usize = 2_000;
const AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";

fn submission(body: &str, headers: &[(&str, &str)]) -> Submission {
    let mut request = http::Request::post("/v1/events")
        .header("content-type", "application/json")
        .header("user-agent", AGENT);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(http_body_util::Full::new(bytes::Bytes::from(body.to_owned()))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let limits = Limits::new(&File::default());
    runtime.block_on(accept::receive(request, "203.0.113.7".parse().unwrap(), NOW, &limits)).unwrap()
}

/// A body of `EVENTS_A_ROUND` / 2 events as the tracker sends them, of the pages from number `first` on.
fn body(first: usize) -> String {
    let event = |number: usize| {
        format!(
            r#"{{"type":"pageview","id":"018f3c5e7b1a7c3e8d2f{number:012}","ts":{NOW},"page_id":"pfjcluhrbqhcjuoipfjcluhrbqhcjuoi",
            "url":"https://shop.example/p/{number}?utm_source=news&utm_medium=email","referrer":"https://www.google.com/","title":"Blue shoes no. {number}"}}"#
        )
    };
    let events: Vec<String> = (first..first + EVENTS_A_ROUND / 2).map(event).collect();
    format!(
        r#"{{"site":"demo","sent_at":{NOW},"consent":{{"analytics":true}},"context":{{"screen":{{"w":1440,"h":900}},"viewport":{{"w":1200,"h":800}},
        "language":"en-GB","timezone":"Europe/Madrid","visit":{{"id":"0a1b2c3d4e5f","started_at":{NOW}}}}},"events":[{}]}}"#,
        events.join(",")
    )
}

/// A stack of about 4 KB as a browser gives it: bundles with hashes in their names, lines and columns, modules.
fn stack(first_column: usize) -> String {
    let frames = [
        "    at Object.renderWithHooks (https://shop.example/assets/vendor-7d2b4a9c.js:2:{})",
        "    at commitLayoutEffects (https://shop.example/assets/vendor-7d2b4a9c.js:14:{})",
        "    at async CheckoutForm.submit (https://shop.example/assets/checkout-3f2a1b9c.js:108:{})",
        "    at Array.forEach (<anonymous>)",
        "    at o.<computed> [as onClick] (webpack-internal:///./node_modules/@scope/ui-kit/dist/button.esm.js:88:{})",
        "    at handler (https://cdn.shop.example/static/js/main.8d3f1c2a.chunk.js?v=2.14.0:1:{})",
        "    at new Promise (<anonymous>)",
        "    at dispatchEvent (https://shop.example/_next/static/chunks/pages/product-5e1f.js:1:{})",
    ];
    let mut stack = String::from("TypeError: Cannot read properties of undefined (reading 'price')");
    let mut column = first_column;
    while stack.len() < 4_000 {
        stack.push('\n');
        stack.push_str(&frames[column % frames.len()].replace("{}", &column.to_string()));
        column += 1_013;
    }
    stack.truncate(4_000);
    stack
}

/// The User-Agents of browsers, phones, tablets, sets and pages in applications, each with a version that no other has.
fn new_agent(number: usize) -> String {
    let forms = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.# Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5.# Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 13; SM-A536B Build/TP1A.#; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.#) Gecko/20100101 Firefox/127.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/20G75 [FBAN/FBIOS;FBAV/468.#;FBDV/iPhone12,1]",
        "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.5) AppleWebKit/537.36 (KHTML, like Gecko) 85.0.# Samsung TV Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36 Edg/125.0.#",
        "Mozilla/5.0 (Linux; Android 12; Lenovo TB-X606F) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.# Safari/537.36",
    ];
    forms[number % forms.len()].replace('#', &format!("{}.{}", number / 1_000, number % 1_000))
}

/// Crashes, each with a stack of 4 KB of its own.
fn crashes(first: usize, count: usize) -> String {
    let event = |number: usize| {
        let stack = serde_json::to_string(&stack(1_337 + 8 * number)).unwrap();
        format!(
            r#"{{"type":"crash","ts":{NOW},"url":"https://shop.example/p/1","crash":{{"kind":"TypeError","message":"Cannot read properties of undefined",
        "stack":{stack},"source":"https://shop.example/assets/checkout-3f2a1b9c.js","line":108,"column":1337}}}}"#
        )
    };
    let events = (first..first + count).map(event).collect::<Vec<_>>().join(",");
    format!(r#"{{"site":"demo","sent_at":{NOW},"consent":{{"analytics":true}},"events":[{events}]}}"#)
}

/// Prints the median of `round`, which does `count` events and gives the nanoseconds it took.
///
/// A word on the command line picks the lines that have it: `cargo bench --bench hot_path -- crash`. `HOT_PATH_ROUNDS` is how
/// often each is measured, for who counts instructions (`.ci/instructions`).
fn measure(what: &str, count: usize, mut round: impl FnMut() -> u128) {
    let picked = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    if picked.is_some_and(|word| !what.contains(&word)) {
        return;
    }
    let rounds =
        std::env::var("HOT_PATH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    round();
    let mut rounds: Vec<u128> = (0..rounds).map(|_| round() / count as u128).collect();
    rounds.sort_unstable();
    println!(
        "{what:<48} {:>6} ns an event (min {}, max {})",
        rounds[rounds.len() / 2],
        rounds[0],
        rounds[rounds.len() - 1]
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, u128) {
    let begun = Instant::now();
    let made = work();
    (made, begun.elapsed().as_nanos())
}

fn site_with(consent: &str) -> Sites {
    let text = format!("[[site]]\nid = \"demo\"\n{consent}");
    let file: File = toml::from_str(&text).unwrap();
    std::sync::Arc::into_inner(file.resolve().unwrap().sites).unwrap()
}

/// A TC string with 1,550 vendors as a bit field, all purposes, vendor 755 among them.
fn tc_string() -> String {
    use base64::Engine as _;
    let now_ds = u64::try_from(NOW / 100).unwrap() - 36_000;
    let mut bits: Vec<bool> = Vec::new();
    let mut put = |width: u32, value: u64| bits.extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
    for (width, value) in
        [(6, 2), (36, now_ds), (36, now_ds), (12, 300), (12, 1), (6, 1), (12, 134), (12, 200), (6, 4)]
    {
        put(width, value);
    }
    put(2, 0b10); // service specific, standard texts
    put(12, 0);
    put(24, 0xffff_ff00_0000 >> 24);
    put(24, 0);
    put(13, 0b0_000011_000100);
    put(17, 1550 << 1);
    for vendor in 1..=1550_u64 {
        put(1, u64::from(vendor == 755 || vendor % 3 == 0));
    }
    put(17, 0);
    put(12, 0);
    let bytes: Vec<u8> = bits
        .chunks(8)
        .map(|eight| eight.iter().enumerate().fold(0, |byte, (at, &bit)| byte | u8::from(bit) << (7 - at)))
        .collect();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn gate_alone(what: &str, sites: &Sites, body: &str, headers: &[(&str, &str)]) {
    let submission = submission(body, headers);
    let count = beacon::read(&submission, sites).unwrap().count();
    measure(what, count, || {
        let beacons: Vec<_> = beacon::read(&submission, sites).unwrap().map(Result::unwrap).collect();
        timed(|| beacons.into_iter().for_each(|beacon| drop(black_box(gate(beacon))))).1
    });
}

/// Where events come from and who sent them, each alone.
fn sources(bots: &Bots) {
    let hosts = [
        "www.google.co.uk",
        "l.facebook.com",
        "com.google.android.gm",
        "blog.example.org",
        "search.portal.example.net",
        "www.google.com.evil.example",
    ];
    let inputs: Vec<ChannelInput<'_>> = (0..EVENTS_A_ROUND)
        .map(|number| ChannelInput {
            referrer_host: Some(hosts[number % hosts.len()]),
            utm_source: (number % 4 == 0).then_some("newsletter"),
            utm_medium: (number % 4 == 0).then_some("email"),
            ..ChannelInput::default()
        })
        .collect();
    measure("enrich: channel", EVENTS_A_ROUND, || {
        timed(|| inputs.iter().for_each(|input| _ = black_box(attribute(input)))).1
    });
    let traits = HeaderTraits { accept_language: true, client_hints: true, fetch_metadata: true };
    let claims = Claims::of(AGENT);
    measure("enrich: bot, headers of a known agent", EVENTS_A_ROUND, || {
        timed(|| (0..EVENTS_A_ROUND).for_each(|_| _ = black_box(claims.contradict(black_box(&traits))))).1
    });
    let mut flood = 0_usize;
    measure("enrich: bot, agents never seen before", EVENTS_A_ROUND, || {
        let agents: Vec<String> = (0..EVENTS_A_ROUND)
            .map(|number| AGENT.replace("126.0.0.0", &format!("{}.0.{}.{number}", 90 + number % 40, flood)))
            .collect();
        flood += 1;
        timed(|| agents.iter().for_each(|agent| _ = black_box(bots.says(agent)))).1
    });
    let mut state = 1_u64;
    measure("enrich: bot, random texts", EVENTS_A_ROUND, || {
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b' ' + u8::try_from((state >> 33) % 95).unwrap())
        };
        let texts: Vec<String> = (0..EVENTS_A_ROUND).map(|_| (0..120).map(|_| letter()).collect()).collect();
        timed(|| texts.iter().for_each(|text| _ = black_box(bots.says(text)))).1
    });
}

fn main() {
    // `cargo test --benches` only wants to see it start.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let sites = File::default().resolve().unwrap().sites;
    let dir = tempfile::tempdir().unwrap();
    let salts = Salts::open(dir.path(), SaltStore::File, vec!["demo".into()], NOW).unwrap();
    let rules = include_str!(concat!(env!("OUT_DIR"), "/uap_regexes.json"));
    let bots = || Bots::from_json(include_str!(concat!(env!("OUT_DIR"), "/crawlers.json"))).unwrap();
    let agents = Agents::from_json(rules, 1024).unwrap().with_bots(bots());
    let spam = SpamDomains::default();
    let body = body(0);
    let submission = submission(&body, &[]);
    let count = EVENTS_A_ROUND / 2;
    let keys = salts.keys(NOW).unwrap();
    let subjects = SubjectKeys::default();
    println!("{} bytes of JSON an event", body.len() / count);

    let limits = Limits::new(&File::default());
    let clients: Vec<ClientAddress> =
        (0..EVENTS_A_ROUND).map(|n| format!("203.{}.{}.7", n % 50, n % 5).parse().unwrap()).collect();
    measure("accept: admission of a request, 250 networks", clients.len(), || {
        timed(|| {
            clients.iter().for_each(|&client| _ = black_box((limits.admit(client), limits.admit_to("demo"))))
        })
        .1
    });
    let read = || beacon::read(&submission, &sites).unwrap();
    measure("beacon: parse and check", count, || {
        timed(|| read().for_each(|beacon| drop(black_box(beacon)))).1
    });
    gate_alone("consent: gate, payload only", &sites, &body, &[]);
    let tcf = site_with("[site.consent]\nadapters = [\"tcf\"]\n[site.consent.tcf]\nvendor_id = 755\n");
    let tc = tc_string();
    let with_tc = body.replace("\"analytics\":true", &format!("\"tcf\":\"{tc}\""));
    gate_alone(&format!("consent: gate, a TC string of {} bytes", tc.len()), &tcf, &with_tc, &[]);
    let consented = || read().map(|beacon| gate(beacon.unwrap()).unwrap()).collect::<Vec<_>>();
    measure("deidentify: scrub", count, || {
        let events = consented();
        timed(|| events.into_iter().for_each(|event| drop(black_box(scrub(event))))).1
    });
    measure("deidentify: pseudonyms", count, || {
        let events: Vec<_> = consented().into_iter().map(|event| scrub(event).unwrap()).collect();
        let mut pseudonymiser = Pseudonymiser::new(&keys, &subjects);
        timed(|| events.into_iter().for_each(|event| drop(black_box(pseudonymiser.pseudonymise(event))))).1
    });
    // Most pages and crashes come again and again; the first time costs more.
    let both = |submission: &Submission| {
        let read = beacon::read(submission, &sites).unwrap();
        let events: Vec<_> = read.map(|beacon| gate(beacon.unwrap()).unwrap()).collect();
        let mut pseudonymiser = Pseudonymiser::new(&keys, &subjects);
        timed(|| {
            for event in events {
                drop(black_box(pseudonymiser.pseudonymise(scrub(event).unwrap())));
            }
        })
        .1
    };
    measure("deidentify: both, a page view", count, || both(&submission));
    let mut page = 0;
    measure("deidentify: both, a view of a new page", count, || {
        page += count;
        both(&self::submission(&self::body(page), &[]))
    });
    let crash_submission = self::submission(&crashes(0, 20), &[]);
    measure("deidentify: both, a crash with a 4 KB stack", 20, || both(&crash_submission));
    let mut crash = 0;
    measure("deidentify: both, a new crash with a 4 KB stack", 20, || {
        crash += 20;
        both(&self::submission(&crashes(crash, 20), &[]))
    });
    let pseudonymous = || {
        let mut pseudonymiser = Pseudonymiser::new(&keys, &subjects);
        consented()
            .into_iter()
            .map(|event| pseudonymiser.pseudonymise(scrub(event).unwrap()).unwrap())
            .collect::<Vec<_>>()
    };
    measure("enrich: one event", count, || {
        let events = pseudonymous();
        timed(|| events.into_iter().for_each(|event| drop(black_box(enrich(event, &agents, &spam))))).1
    });
    sources(&bots());
    let mut number = 0_usize;
    measure("enrich: agents never seen before", EVENTS_A_ROUND, || {
        let strings: Vec<String> = (number..number + EVENTS_A_ROUND).map(new_agent).collect();
        number += EVENTS_A_ROUND;
        let hints = accept::ClientHints::default();
        timed(|| strings.iter().for_each(|agent| drop(black_box(agents.classify(agent, &hints))))).1
    });
    measure("spool: encode", count, || {
        let rows: Vec<_> = pseudonymous().into_iter().map(|event| enrich(event, &agents, &spam)).collect();
        let mut out = Vec::with_capacity(1 << 20);
        timed(|| rows.iter().for_each(|row| encode(row, black_box(&mut out)))).1
    });
    measure("all of it", count, || {
        let mut out = Vec::with_capacity(1 << 20);
        let mut pseudonymiser = Pseudonymiser::new(&keys, &subjects);
        timed(|| {
            let mut enricher = Enricher::new(&agents, &spam);
            for beacon in read() {
                let event =
                    pseudonymiser.pseudonymise(scrub(gate(beacon.unwrap()).unwrap()).unwrap()).unwrap();
                encode(&enricher.enrich(event), &mut out);
            }
            black_box(out.len())
        })
        .1
    });
}
