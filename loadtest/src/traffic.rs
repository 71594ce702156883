//! Visitors on a site, and what their browsers send.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::scenario::Traffic;

/// Browsers by how often they are met, in parts of a hundred: forms of the vendors' documentation, current versions.
const AGENTS: [(u32, &str); 9] = [
    (
        34,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    (
        22,
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    ),
    (
        15,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    ),
    (
        8,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    (
        6,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    ),
    (
        6,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
    ),
    (4, "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    (
        3,
        "Mozilla/5.0 (Linux; Android 15; SAMSUNG SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
    ),
    (2, "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
];

const REFERRERS: [(u32, &str); 6] = [
    (45, ""),
    (30, "https://www.google.com/"),
    (8, "https://www.bing.com/search?q=shoes"),
    (7, "https://l.instagram.com/"),
    (5, "https://news.example/today"),
    (5, "https://t.co/abc"),
];

const LANGUAGES: [&str; 4] = ["en-GB", "en-US", "es-ES", "de-DE"];
const SCREENS: [(u32, u32); 4] = [(1920, 1080), (1440, 900), (390, 844), (412, 915)];
const EVENTS: [&str; 4] = ["add_to_cart", "search", "sign_up", "share"];
const POINTS: [&str; 3] = ["nav.buy", "footer.help", "hero.more"];
/// Pages of the site; the first are looked at most.
const PAGES: usize = 400;

/// What has to become of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// Events in it, whether good or bad; 0 where the body cannot be read.
    pub events: u64,
    /// Events that are to be kept.
    pub accepted: u64,
    /// Events without consent.
    pub dropped: u64,
    /// Events that are none.
    pub rejected: u64,
    /// The body cannot be read: 400.
    pub unreadable: bool,
}

/// A request, ready to be sent again and again.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Its whole body.
    pub body: Vec<u8>,
    /// The browser's User-Agent.
    pub agent: &'static str,
    /// The body is compressed.
    pub gzip: bool,
    /// Whom a trusted proxy says that it is from.
    pub client: Option<std::net::Ipv4Addr>,
    /// What is to become of it.
    pub expected: Expected,
}

#[derive(Debug, Clone, Copy)]
struct Visitor {
    agent: &'static str,
    referrer: &'static str,
    language: &'static str,
    screen: (u32, u32),
    visit: u64,
    page: usize,
    views_left: u32,
    /// 0 yes, 1 no, 2 nothing said.
    consent: u8,
}

/// Makes requests; the same seed makes the same ones, but for the time in them.
#[derive(Debug)]
pub struct Generator {
    traffic: Traffic,
    random: fastrand::Rng,
    visitors: Vec<Visitor>,
    weights: u32,
    /// Tells this run's events from another's.
    run: u64,
    next_id: u64,
    plain: Vec<u8>,
}

fn pick<T: Copy>(random: &mut fastrand::Rng, table: &[(u32, T)]) -> T {
    let mut at = random.u32(0..table.iter().map(|entry| entry.0).sum());
    for &(weight, value) in table {
        if at < weight {
            return value;
        }
        at -= weight;
    }
    table[0].1
}

impl Generator {
    /// `run` is in every event's id.
    pub fn new(traffic: &Traffic, seed: u64, run: u64) -> Self {
        let mut generator = Self {
            traffic: traffic.clone(),
            random: fastrand::Rng::with_seed(seed),
            visitors: Vec::new(),
            weights: traffic.batch.iter().map(|entry| entry.1).sum(),
            run,
            next_id: 0,
            plain: Vec::new(),
        };
        generator.visitors = (0..traffic.visitors.max(1)).map(|_| generator.visitor()).collect();
        generator
    }

    fn visitor(&mut self) -> Visitor {
        let said = self.random.u32(0..100);
        let (yes, no) = (self.traffic.consent_yes_pct, self.traffic.consent_no_pct);
        let random = &mut self.random;
        Visitor {
            agent: pick(random, &AGENTS),
            referrer: pick(random, &REFERRERS),
            language: LANGUAGES[random.usize(..LANGUAGES.len())],
            screen: SCREENS[random.usize(..SCREENS.len())],
            visit: random.u64(..),
            page: random.usize(..PAGES),
            views_left: 1 + random.u32(..8),
            consent: if said < yes { 0 } else { 1 + u8::from(said >= yes + no) },
        }
    }

    /// The next request, in place of the one in `request`.
    pub fn fill(&mut self, request: &mut Request, now_ms: u64) {
        let index = self.random.usize(..self.visitors.len());
        let mut visitor = self.visitors[index];
        let mut at = self.random.u32(..self.weights.max(1));
        let mut events = 1;
        for &(count, weight) in &self.traffic.batch {
            if at < weight {
                events = count.max(1);
                break;
            }
            at -= weight;
        }
        let mut expected = Expected { events: events as u64, ..Expected::default() };
        let mut body = std::mem::take(&mut self.plain);
        body.clear();
        let consent = match visitor.consent {
            0 => r#","consent":{"analytics":true}"#,
            1 => r#","consent":{"analytics":false}"#,
            _ => "",
        };
        let (w, h) = visitor.screen;
        write!(
            body,
            r#"{{"site":"{}","sent_at":{now_ms}{consent},"context":{{"screen":{{"w":{w},"h":{h}}},"viewport":{{"w":{w},"h":{}}},"language":"{}","timezone":"Europe/Madrid","app":{{"version":"3.14.1"}},"visit":{{"id":"{:016x}"}}}},"events":["#,
            self.traffic.site,
            h - 80,
            visitor.language,
            visitor.visit
        )
        .expect("memory");
        for number in 0..events {
            if number > 0 {
                body.push(b',');
            }
            self.event(&mut body, &mut visitor, now_ms, &mut expected);
        }
        body.extend_from_slice(b"]}");
        self.visitors[index] = if visitor.views_left == 0 { self.visitor() } else { visitor };

        if self.random.u32(..100) < self.traffic.bad_bodies_pct {
            // Cut in the middle: what a broken connection or script sends.
            body.truncate(body.len() / 2);
            expected = Expected { unreadable: true, ..Expected::default() };
        }
        request.expected = expected;
        request.agent = visitor.agent;
        request.client = (self.traffic.networks > 0).then(|| {
            let network = index as u32 % self.traffic.networks;
            std::net::Ipv4Addr::from(
                0x6440_0000 + (network << 8) + (index as u32 / self.traffic.networks) % 254 + 1,
            )
        });
        request.gzip = self.random.u32(..100) < self.traffic.gzip_pct;
        request.body.clear();
        if request.gzip {
            let mut encoder = GzEncoder::new(std::mem::take(&mut request.body), Compression::fast());
            encoder.write_all(&body).expect("memory");
            request.body = encoder.finish().expect("memory");
        } else {
            request.body.extend_from_slice(&body);
        }
        self.plain = body;
    }

    fn event(&mut self, body: &mut Vec<u8>, visitor: &mut Visitor, now_ms: u64, expected: &mut Expected) {
        self.next_id += 1;
        let bad = self.random.u32(..100) < self.traffic.bad_events_pct;
        match (bad, visitor.consent) {
            (true, _) => expected.rejected += 1,
            (false, 0) => expected.accepted += 1,
            _ => expected.dropped += 1,
        }
        let kind = if bad { 9 } else { self.random.u32(..9) };
        let page = visitor.page;
        let name = match kind {
            0..=3 => "pageview",
            4..=5 => "engagement",
            6 => "click",
            7 => "custom",
            8 => "performance",
            _ => "poke",
        };
        write!(
            body,
            r#"{{"type":"{name}","id":"{:016x}{:016x}","ts":{now_ms},"url":"https://shop.example/p/{page}?utm_source=news&utm_medium=email""#,
            self.run, self.next_id
        )
        .expect("memory");
        match kind {
            0..=3 => {
                visitor.views_left = visitor.views_left.saturating_sub(1);
                // Some pages are looked at far more than others.
                let reach = 1 + self.random.usize(..PAGES);
                visitor.page = self.random.usize(..reach);
                write!(body, r#","referrer":"{}","title":"Product {page} in our shop""#, visitor.referrer)
            }
            4..=5 => write!(
                body,
                r#","engaged_ms":{},"scroll_pct":{}"#,
                self.random.u32(500..15_000),
                self.random.u32(..101)
            ),
            6 => write!(body, r#","point":"{}""#, POINTS[self.random.usize(..POINTS.len())]),
            7 => write!(
                body,
                r#","name":"{}","props":{{"plan":"pro","step":"2"}}"#,
                EVENTS[self.random.usize(..EVENTS.len())]
            ),
            8 => write!(
                body,
                r#","vitals":{{"ttfb":{},"lcp":{},"cls":0.02}}"#,
                self.random.u32(20..900),
                self.random.u32(300..4_000)
            ),
            _ => Ok(()),
        }
        .expect("memory");
        body.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_sends_the_same() {
        let traffic = Traffic { bad_bodies_pct: 10, ..Traffic::default() };
        let mut generators = [(); 2].map(|()| Generator::new(&traffic, 7, 1));
        let mut requests = [Request::default(), Request::default()];
        let mut sum = Expected::default();
        for _ in 0..500 {
            for (generator, request) in generators.iter_mut().zip(&mut requests) {
                generator.fill(request, 1_763_848_800_000);
            }
            assert_eq!(requests[0].body, requests[1].body);
            let expected = requests[0].expected;
            assert_eq!(expected.events, expected.accepted + expected.dropped + expected.rejected);
            sum.accepted += expected.accepted;
            sum.dropped += expected.dropped;
            sum.rejected += expected.rejected;
            let readable =
                requests[0].gzip || serde_json::from_slice::<serde_json::Value>(&requests[0].body).is_ok();
            assert!(readable != expected.unreadable || requests[0].gzip);
        }
        assert!(sum.accepted > sum.dropped && sum.dropped > sum.rejected && sum.rejected > 0);
    }
}
