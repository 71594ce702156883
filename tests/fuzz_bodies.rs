//! Bodies for fuzzing, which run on stable: every decoder that meets bytes of strangers, or of a broken disk, is fed with
//! mutations of good input. `cargo test --test fuzz_bodies` gives each a few thousand; `FUZZ_SECONDS=600` gives each ten
//! minutes; `FUZZ_SEED=7` begins elsewhere. What made one fail is printed and kept under `target/fuzz`; put it into
//! `tests/data/fuzz/<body>/`, and it is tried first from then on.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use consentry::accept::{self, ClientHints, Limits, Peer, Proxies, Submission, proxy};
use consentry::beacon::{self, EVENTS_PER_BODY_MAX};
use consentry::config::File;
use consentry::consent::gate;
use consentry::deidentify::scrub;
use consentry::enrich::agent::Agents;
use consentry::site::Sites;
use consentry::spool::{self, Batch, StoredRow};

const NOW: i64 = 1_763_848_800_000;
/// Mutations of one body where no time is given.
const MUTATIONS: u64 = 4_000;
const INPUT_BYTES_MAX: usize = 8 << 10;

/// A small generator (xorshift), so that a seed tells the whole run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Changes a good input here and there, in the ways in which input goes wrong.
fn mutate(random: &mut Random, seeds: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(6) {
        let at = random.below(input.len() + 1);
        let end = at + random.below((input.len() - at).min(64) + 1);
        match random.below(9) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => {
                input[at] = [0, 0x7f, 0x80, 0xff, b'"', b'\\', b'{', b'0'][random.below(8)]
            }
            2 => drop(input.drain(at..end)),
            3 => {
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
            4 => input.truncate(at),
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            6 if !words.is_empty() => {
                let word = words[random.below(words.len())];
                input.splice(at..at, word.iter().copied());
            }
            7 => {
                let bytes = random.next().to_le_bytes();
                input.splice(at..at, bytes);
            }
            _ => {
                let many = vec![input.get(at).copied().unwrap_or(b'['); 1 + random.below(300)];
                input.splice(at..at, many);
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

/// Runs a body over what failed once, over the seeds, and over their mutations. A body says what went wrong by a panic.
fn fuzz(name: &str, seeds: &[Vec<u8>], words: &[&[u8]], body: impl Fn(&[u8])) {
    let tried = |input: &[u8]| {
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(input)));
        if let Err(fault) = ran {
            let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../fuzz");
            let path = dir.join(format!("{name}-{}", &blake3::hash(input).to_hex()[..16]));
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&path, input).unwrap();
            println!("{name} failed on {:?}; kept as {}", String::from_utf8_lossy(input), path.display());
            std::panic::resume_unwind(fault);
        }
    };
    let kept = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/fuzz").join(name);
    for entry in std::fs::read_dir(kept).into_iter().flatten() {
        tried(&std::fs::read(entry.unwrap().path()).unwrap());
    }
    seeds.iter().for_each(|seed| tried(seed));
    let seed = std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64);
    let seconds: Option<u64> = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let (mut random, begun) = (Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), Instant::now());
    let mut count = 0;
    while match seconds {
        Some(seconds) => begun.elapsed() < Duration::from_secs(seconds),
        None => count < MUTATIONS,
    } {
        tried(&mutate(&mut random, seeds, words));
        count += 1;
    }
    println!("{name}: {count} mutations of {} inputs, {:.1} s", seeds.len(), begun.elapsed().as_secs_f64());
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn sites(consent: &str) -> Sites {
    let file: File = toml::from_str(&format!("[[site]]\nid = \"demo\"\n{consent}")).unwrap();
    std::sync::Arc::into_inner(file.resolve().unwrap().sites).unwrap()
}

/// A request with this body as a stranger would send it; `None` where it is refused before it is read.
fn submitted(request: http::request::Builder, body: &[u8]) -> Option<Submission> {
    let request = request.body(http_body_util::Full::new(bytes::Bytes::copy_from_slice(body))).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let limits = Limits::new(&File::default());
    runtime.block_on(accept::receive(request, "203.0.113.7".parse().unwrap(), NOW, &limits)).ok()
}

const EVENTS: &[&str] = &[
    r#"{"site":"demo","type":"pageview","ts":1763848799000,"url":"https://shop.example/p/1?utm_source=a","consent":{"analytics":true}}"#,
    r#"{"site":"demo","sent_at":1763848800000,"consent":{"analytics":true},"context":{"screen":{"w":1440,"h":900},"language":"en-GB","visit":{"id":"a","started_at":1763848000000}},"events":[{"type":"click","point":"nav.buy","props":{"plan":"pro","n":1.5,"b":true}},{"type":"engagement","engaged_ms":1200,"scroll_pct":80}]}"#,
    r#"[{"site":"demo","type":"custom","name":"add","utm":{"source":"x","type":"y"},"app":{"version":"1.2","sdk":"s"}},{"type":"performance","vitals":{"ttfb":1,"cls":0.01,"lcp":2.5}}]"#,
    r#"{"site":"demo","type":"crash","crash":{"kind":"TypeError","message":"m \u0041","stack":"at f (https://a/b.js:1:2)","source":"https://a/b.js","line":1,"column":2,"handled":false}}"#,
    "{\"site\":\"demo\",\"type\":\"pageview\",\"url\":\"https://a/\"}\n{\"site\":\"demo\",\"type\":\"pageview\",\"url\":\"https://b/\"}\n",
];

const WORDS: &[&[u8]] = &[
    b"null",
    b"true",
    b"1e308",
    b"-1",
    b"18446744073709551616",
    b"\\u0000",
    b"\\ud800",
    b"[[[[",
    b"\"events\":",
    b"\"ts\":\"2025-11-22T22:00:00Z\"",
    b"\xff\xfe",
    b"\xe2\x80\x8b",
    b"http://[::1]:0/%zz?#",
    b"data:,",
    b"\"consent\":null,",
];

#[test]
fn beacons() {
    let sites = sites("");
    fuzz("beacons", &texts(EVENTS), WORDS, |input| {
        for kind in ["application/json", "application/x-ndjson"] {
            let request = http::Request::post("/v1/events").header("content-type", kind);
            let Some(submission) = submitted(request, input) else { continue };
            let Ok(events) = beacon::read(&submission, &sites) else { continue };
            let mut count = 0;
            for beacon in events {
                count += 1;
                if let Ok(consented) = beacon.map_err(drop).and_then(|beacon| gate(beacon).map_err(drop)) {
                    let _ = scrub(consented);
                }
            }
            assert!((1..=EVENTS_PER_BODY_MAX).contains(&count));
        }
    });
}

#[test]
fn compressed_bodies() {
    // Each coding meets its own seeds and those of the others.
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for event in EVENTS.iter().map(|event| event.as_bytes()) {
        let best = flate2::Compression::best();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), best);
        gzip.write_all(event).unwrap();
        let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), best);
        deflate.write_all(event).unwrap();
        let mut brotli = Vec::new();
        brotli::CompressorWriter::new(&mut brotli, 4096, 5, 20).write_all(event).unwrap();
        let zstd = zstd::encode_all(event, 1).unwrap();
        seeds.extend([zstd, gzip.finish().unwrap(), deflate.finish().unwrap(), brotli]);
    }
    fuzz("compressed_bodies", &seeds, &[b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08\x00", b"\x78\x9c"], |input| {
        for coding in ["zstd", "gzip", "deflate", "br"] {
            let request = http::Request::post("/v1/events").header("content-encoding", coding);
            if let Some(submission) = submitted(request, input) {
                assert!(submission.body().len() <= File::default().body_decoded_bytes_max);
            }
        }
    });
}

#[test]
fn consent_strings() {
    const ADAPTERS: [&str; 13] = [
        "tcf",
        "gpp",
        "usp",
        "gcm",
        "onetrust",
        "trustarc",
        "cookiebot",
        "cookieyes",
        "didomi",
        "klaro",
        "wp_consent",
        "complianz",
        "cookieconsent",
    ];
    let sites = ADAPTERS.map(|adapter| {
        let more = match adapter {
            "didomi" => "didomi_purpose = \"a\"\n",
            "klaro" => "klaro_service = \"a\"\n",
            _ => "",
        };
        sites(&format!("[site.consent]\nadapters = [\"{adapter}\"]\n{more}"))
    });
    let seeds = texts(&[
        "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA",
        "DBABMA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA",
        "1YNN",
        "isGpcEnabled=0&datestamp=Sat+Nov+22+2025&version=202501.1.0&groups=C0001%3A1%2CC0002%3A1&hosts=",
        "notice_gdpr_prefs=0,1,2:; cmapi_cookie_privacy=permit 1,2,3",
        "{stamp:'a',necessary:true,preferences:false,statistics:true,marketing:false,method:'explicit',ver:1}",
        "consentid:a,consent:yes,action:yes,necessary:yes,functional:no,analytics:yes",
        "eyJ1c2VyX2lkIjoiYSIsInB1cnBvc2VzIjp7ImVuYWJsZWQiOlsiYSJdfX0=",
        "{\"a\":true}",
        "allow",
        "{\"categories\":[\"necessary\",\"analytics\"],\"revision\":0}",
    ]);
    fuzz("consent_strings", &seeds, &[b"%25", b"~", b",", b":1", b"\xc3\x28", b"....", b"={}"], |input| {
        let text = String::from_utf8_lossy(input);
        for (adapter, sites) in ADAPTERS.iter().zip(&sites) {
            let said = match *adapter {
                "gcm" => serde_json::json!({ "analytics_storage": text }),
                _ => serde_json::json!(text),
            };
            let body = serde_json::json!({ "site": "demo", "type": "pageview", "url": "https://a/", "consent": { *adapter: said } });
            // Also as a cookie and in the query, as far as a header can hold it.
            let cookie = text.replace(|letter: char| !(' '..='~').contains(&letter), "");
            let request = http::Request::post("/v1/events").header(
                "cookie",
                format!("euconsent-v2={cookie}; OptanonConsent={cookie}; CookieConsent={cookie}"),
            );
            let Some(submission) = submitted(request, body.to_string().as_bytes()) else { continue };
            for beacon in beacon::read(&submission, sites).into_iter().flatten() {
                let _ = beacon.map_err(drop).and_then(|beacon| gate(beacon).map_err(drop));
            }
        }
    });
}

#[test]
fn agents_and_client_hints() {
    let agents = Agents::from_json(include_str!(concat!(env!("OUT_DIR"), "/uap_regexes.json")), 16).unwrap();
    let seeds = texts(&[
        "\"Chromium\";v=\"126\", \"Not.A/Brand\";v=\"24.0.0.0\", \"Google Chrome\";v=\"126.0.1\"",
        "\"Windows\"",
        "?1",
        "\"SM-A536B\"",
        "Mozilla/5.0 (Linux; Android 13; SM-A536B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 [FBAN/FBIOS;FBDV/iPhone12,1]",
        "(\"Tablet\" \"Mobile\");a=1",
    ]);
    fuzz(
        "agents_and_client_hints",
        &seeds,
        &[b"\";v=\"", b"\\\"", b";", b"999999999", b"a@b.example", b"?0"],
        |input| {
            let text = String::from_utf8_lossy(input);
            let (front, back) = text.split_at(text.floor_char_boundary(text.len() / 2));
            let hints = ClientHints {
                brands: &text,
                mobile: back,
                platform: front,
                platform_version: back,
                model: &text,
                form_factors: front,
            };
            for agent in [agents.classify(&text, &ClientHints::default()), agents.classify(back, &hints)] {
                for name in [&agent.browser, &agent.os, &agent.vendor, &agent.model] {
                    assert!(name.len() <= 40 && !name.contains(['@', '<', '%']), "a name that is none");
                    let digits = name.split(|letter: char| !letter.is_ascii_digit()).map(str::len).max();
                    assert!(digits.unwrap_or(0) <= 6, "a number in a name");
                }
            }
        },
    );
}

/// What stands before a request and says whom it is from.
#[test]
fn proxy_headers() {
    let written = |command: u8, family: u8, rest: &[u8]| {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        [bytes, rest.to_vec(), b"POST /v1/events HTTP/1.1\r\n".to_vec()].concat()
    };
    let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0xc0, 0, 1, 0xbb];
    let mapped = [[0; 10].as_slice(), &[0xff; 2], &[203, 0, 113, 9], &[1; 20]].concat();
    let more = [v4.as_slice(), &[0x03, 0, 4, 1, 2, 3, 4, 0x02, 0, 1, b'x']].concat();
    let mut seeds = vec![
        written(1, 0x11, &v4),
        written(1, 0x21, &[0x20; 36]),
        written(1, 0x21, &mapped),
        written(1, 0x11, &more),
        written(0, 0, &[]),
    ];
    seeds.extend(texts(&[
        "198.51.100.7, 10.9.9.9",
        "[2001:db8::5]:443, 10.0.0.1:80",
        "\"_x\", ::ffff:10.0.0.1",
    ]));
    let ours = Proxies::new(&["10.0.0.0/8".parse().unwrap()], Some("x-forwarded-for"));
    let words: &[&[u8]] = &[
        b"\r\n\r\n\0\r\nQUIT\n",
        b"\x21\x11\x00\x0c",
        b"\xff\xff",
        b"10.0.0.1,",
        b"[",
        b"::",
        b"fe80::1%eth0",
    ];
    fuzz("proxy_headers", &seeds, words, |input| {
        if let Ok((client, end)) = proxy::whole(input) {
            assert!((proxy::FIXED_BYTES..=proxy::FIXED_BYTES + proxy::REST_BYTES_MAX).contains(&end));
            assert!(end <= input.len());
            let mapped = |client: IpAddr| client != client.to_canonical();
            assert!(!client.is_some_and(mapped), "one client under two addresses");
            // What stands behind the header is not looked at.
            assert_eq!(proxy::whole(&input[..end]), Ok((client, end)));
        }
        let Ok(value) = http::HeaderValue::from_bytes(input) else { return };
        let mut headers = http::HeaderMap::new();
        headers.append("x-forwarded-for", value.clone());
        headers.append("x-forwarded-for", value);
        let peer = |text: &str| Peer::Net(text.parse().unwrap());
        let mut hops = 0;
        ours.walk(peer("10.0.0.1"), &headers, |_| {
            hops += 1;
            true
        });
        assert!(hops <= 2 * (input.len() + 1));
        let _ = ours.client_of(peer("10.0.0.1"), &headers);
        let stranger = ours.client_of(peer("203.0.113.9"), &headers);
        assert_eq!(stranger, "203.0.113.9".parse().unwrap(), "a stranger chose an address");
    });
}

/// Segments as the spool writes them.
fn segments() -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let written = runtime.block_on(async {
        let (spool, _) = spool::Spool::open(
            dir.path(),
            &File::default(),
            consentry::clock::Clock::system(),
            consentry::telemetry::Telemetry::new(),
        )
        .unwrap();
        for events in 0..4_u32 {
            let mut batch = Batch::new(29_000_000 + events);
            let site = batch.tally().site(None);
            (0..=events).for_each(|_| batch.tally().count(site, consentry::ledger::Outcome::Received));
            spool.append(batch).await.unwrap();
        }
        assert!(spool.seal().await);
        let sealed = spool.oldest().unwrap().load().unwrap();
        spool.close().await;
        sealed
    });
    vec![written]
}

#[test]
fn segments_of_a_broken_disk() {
    let seeds = segments();
    let whole = spool::read(&seeds[0]).unwrap().records.len();
    assert_eq!(whole, 4);
    fuzz(
        "segments",
        &seeds,
        &[b"CREC", b"CNSTRY\x01\x00", b"CREC\x00\x00\x00\x00", b"\xff\xff\xff\xff"],
        |input| {
            let Ok(contents) = spool::read(input) else { return };
            assert!(contents.whole_bytes <= input.len());
            for row in contents.records.iter().flat_map(|record| &record.rows) {
                let _ = StoredRow::decode(row);
            }
            // What recovery keeps is a segment with the same records: cutting the tail loses none and invents none.
            let kept = spool::read(&input[..contents.whole_bytes]).expect("the head is there");
            assert_eq!(
                (kept.records.len(), kept.whole_bytes),
                (contents.records.len(), contents.whole_bytes)
            );
        },
    );
    // One byte that changes costs the record it is in, and no other.
    for at in 8..seeds[0].len() {
        let mut bytes = seeds[0].clone();
        bytes[at] ^= 0x10;
        let contents = spool::read(&bytes).unwrap();
        assert_eq!(contents.records.len(), whole - 1, "byte {at}");
    }
}
