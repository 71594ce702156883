//! Devices against answers that nobody here wrote: browser family, operating system and class of device, accuracy by field,
//! averaged over the corpus's buckets, beside what the rules of uap-core say alone.
//!
//! Rules are made by looking at one half of the corpus, which a hash of the text picks: `UA_MISSED=1` lists what is wrong
//! there and nowhere else, so that the other half says what the rules are worth on what nobody looked at.
//! `CORPORA` names the folder of the corpora where it does not lie beside the repository.

use std::collections::BTreeMap;
use std::path::PathBuf;

use consentry::accept::ClientHints;
use consentry::enrich::agent::{Agents, Rules};
use serde_json::Value;

const CORPUS: &str = "ua/matomo_stratified_2500.jsonl";

fn corpora() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    std::env::var_os("CORPORA").map_or_else(beside, PathBuf::from)
}

/// Whether a text is of the half that rules are made from (FNV-1a, its highest bit).
fn is_seen(ua: &str) -> bool {
    let hash = ua.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash >> 63 == 0
}

/// The corpus names families of systems; ours are finer. Facts of the corpus's own documentation.
fn os_family(os: &str) -> &str {
    match os {
        "Android" | "Fire OS" | "HarmonyOS" | "Wear OS" | "Android TV" | "YunOS" => "Android",
        "iOS" | "iPadOS" | "tvOS" | "watchOS" | "WatchOS" | "ATV OS X" => "iOS",
        "macOS" => "Mac",
        "Windows Phone" | "Windows Mobile" | "Windows CE" => "Windows Mobile",
        "BeOS" | "Haiku OS" => "BeOS",
        "PlayStation" => "Gaming Console",
        "PlayStation Portable" | "Nintendo Portable" => "Mobile Gaming Console",
        "Nintendo" => "Gaming Console",
        "OS/2" => "IBM",
        "Roku" | "ViziOS" => "GNU/Linux",
        "Whale OS" | "Orsay" => "Other Smart TV",
        "Windows" => "Windows",
        "Chrome OS" | "ChromeOS" => "Chrome OS",
        "BlackBerry OS" | "BlackBerry Tablet OS" | "BlackBerry" => "BlackBerry",
        "Symbian OS" | "Symbian" | "Series 40" | "Symbian^3" | "Nokia Series 40" => "Symbian",
        "KaiOS" | "Firefox OS" => "Firefox OS",
        "Java ME" | "MTK" | "REX OS" => "Real-time OS",
        "BREW" | "Brew" => "Brew",
        "FreeBSD" | "OpenBSD" | "NetBSD" | "Solaris" | "AIX" => "Unix",
        "Bada" | "MeeGo" | "Maemo" | "webOS mobile" | "webOS" | "Tizen" | "Sailfish OS" => "Other Mobile",
        other if is_linux(other) => "GNU/Linux",
        other => other,
    }
}

fn is_linux(os: &str) -> bool {
    const LINUX: [&str; 22] = [
        "Linux",
        "Ubuntu",
        "Debian",
        "Fedora",
        "CentOS",
        "Red Hat",
        "SUSE",
        "Arch Linux",
        "Linux Mint",
        "Gentoo",
        "Mandriva",
        "Kubuntu",
        "Slackware",
        "Mageia",
        "Tizen",
        "webOS",
        "WebOS",
        "VRE",
        "PCLinuxOS",
        "Chromecast",
        "Roku",
        "Lubuntu",
    ];
    LINUX.contains(&os)
}

/// The corpus names the family of a browser by its engine. A name that is a family's own counts as that; any other counts
/// as the family of the engine that the text names.
fn browser_family<'a>(browser: &'a str, ua: &str) -> &'a str {
    match browser {
        // Edge among them, on whatever engine.
        "IE" | "Internet Explorer" | "Edge" => "Internet Explorer",
        "Opera Mini" | "Opera" | "Opera GX" | "Opera Neon" | "Opera Touch" => "Opera",
        "Firefox" => "Firefox",
        "Safari" | "Safari WebView" => "Safari",
        "Chrome" | "Chromium" | "Chrome WebView" => "Chrome",
        "Android Browser" | "Konqueror" | "Nokia Browser" => browser,
        "NetFront" | "NetFront NX" | "NetFrontLifeBrowser" => "NetFront",
        "Baidu Browser" | "Baidu" | "Baidu Explorer" | "Baidu Box App" => "Baidu",
        "Nokia OSS Browser" | "Nokia" | "Nokia Services (WAP) Browser" | "Ovi Browser" => "Nokia Browser",
        "BlackBerry WebKit" | "BlackBerry" => "BlackBerry Browser",
        "" | "Other" => "",
        _ if ua.contains("Trident/") || ua.contains("MSIE ") => "Internet Explorer",
        _ if ua.contains("OPR/") || ua.contains("Presto/") => "Opera",
        _ if ua.contains("Chrome/") || ua.contains("Chr0me/") || ua.contains("CriOS/") => "Chrome",
        _ if ua.contains("Gecko/") => "Firefox",
        _ if ua.contains("Android") && ua.contains("Version/") => "Android Browser",
        _ if ua.contains("Safari/") => "Safari",
        other => other,
    }
}

fn device_class(kind: &str) -> &'static str {
    match kind {
        "smartphone" | "phablet" | "feature phone" | "portable media player" => "mobile",
        "tablet" => "tablet",
        "desktop" => "desktop",
        "tv" => "tv",
        "console" => "console",
        _ => "other",
    }
}

/// Right and all, by bucket.
#[derive(Default)]
struct Score(BTreeMap<String, (u32, u32)>);

impl Score {
    fn count(&mut self, bucket: &str, right: bool) {
        let counts = self.0.entry(bucket.to_owned()).or_default();
        counts.0 += u32::from(right);
        counts.1 += 1;
    }

    fn macro_pct(&self) -> f64 {
        100.0 * self.0.values().map(|&(right, all)| f64::from(right) / f64::from(all)).sum::<f64>()
            / self.0.len().max(1) as f64
    }

    fn micro_pct(&self) -> f64 {
        let (right, all) = self.0.values().fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1));
        100.0 * f64::from(right) / f64::from(all.max(1))
    }
}

#[test]
fn browsers_systems_and_devices_are_told() {
    let Ok(text) = std::fs::read_to_string(corpora().join(CORPUS)) else {
        println!("skipped: {CORPUS} is not there");
        return;
    };
    let rules = include_str!(concat!(env!("OUT_DIR"), "/uap_regexes.json"));
    let agents = Agents::from_json(rules, 100).expect("the rules of this build");
    let bare = Rules::from_json(rules).expect("the rules of this build");
    let missed = std::env::var_os("UA_MISSED").is_some();
    // uap-core alone, ours, ours on the half that was seen, ours on the other.
    // Classes of devices that were taken for others on the unseen half: counts alone.
    let mut confused: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut scores: [[Score; 4]; 3] = Default::default();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).expect("a line of JSON");
        let field = |name: &str| row[name].as_str().unwrap_or_default();
        let (ua, bucket) = (field("ua"), field("file"));
        let seen = is_seen(ua);
        let header = |name: &str| {
            let headers = row["headers"].as_object()?;
            headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1.as_str()
        };
        let ours = classify(&agents, ua, &ClientHints::from_headers(header));
        let parsed = bare.parse(ua);
        let alone = |found: Option<[std::borrow::Cow<'_, str>; 2]>| {
            found.map(|[name, _]| name.into_owned()).unwrap_or_default()
        };
        let (browser_alone, os_alone) = (alone(parsed.browser), alone(parsed.os));
        let mut judge = |index: usize, want: &str, ours: &str, alone: &str| {
            scores[index][0].count(bucket, alone == want);
            scores[index][1].count(bucket, ours == want);
            scores[index][if seen { 2 } else { 3 }].count(bucket, ours == want);
            if index == 2 && !seen && ours != want {
                *confused.entry((want.to_owned(), ours.to_owned())).or_default() += 1;
            }
            if missed && seen && ours != want {
                println!("{} want {want:?} got {ours:?}: {ua}", ["browser", "os", "device"][index]);
            }
        };
        if !matches!(field("browser_family"), "" | "Unknown") {
            let bare_name =
                browser_family(browser_alone.trim_end_matches(" Mobile").trim_end_matches(" iOS"), ua);
            judge(0, field("browser_family"), browser_family(&ours.0, ua), bare_name);
        }
        if !matches!(field("os_family"), "" | "Unknown") {
            let bare_name = if os_alone == "Mac OS X" { "macOS" } else { &os_alone };
            judge(1, field("os_family"), os_family(&ours.1), os_family(bare_name));
        }
        if !field("device_type").is_empty() {
            // uap-core has no classes of devices.
            judge(2, device_class(field("device_type")), ours.2, "");
        }
    }
    println!(
        "{:<10} {:>14} {:>10} {:>10} {:>10} {:>10}",
        "accuracy %", "uap-core alone", "ours", "by row", "seen", "unseen"
    );
    for (name, [alone, ours, half_seen, half_unseen]) in ["browser", "os", "device"].iter().zip(&scores) {
        println!(
            "{name:<10} {:>14.1} {:>10.1} {:>10.1} {:>10.1} {:>10.1}",
            alone.macro_pct(),
            ours.macro_pct(),
            ours.micro_pct(),
            half_seen.macro_pct(),
            half_unseen.macro_pct()
        );
    }
    println!(
        "{:<10} {:>14} {:>10} {:>10} {:>10.1} {:>10.1}",
        "device, by row",
        "",
        "",
        "",
        scores[2][2].micro_pct(),
        scores[2][3].micro_pct()
    );
    println!("unseen, class taken for class: {confused:?}");
    let reached = scores.each_ref().map(|[_, ours, ..]| ours.macro_pct());
    for (reached, least) in reached.into_iter().zip(LEAST_PCT) {
        assert!(reached >= least, "{reached} < {least}");
    }
}

/// What was reached when this was written, less a margin for new versions of the rules.
const LEAST_PCT: [f64; 3] = [94.5, 95.5, 91.0];

fn classify(agents: &Agents, ua: &str, hints: &ClientHints<'_>) -> (String, String, &'static str) {
    let agent = agents.classify(ua, hints);
    (agent.browser.to_string(), agent.os.to_string(), agent.device.as_str())
}

/// A second corpus that says what class a device is of; by row, since it has no buckets.
#[test]
fn devices_of_a_second_corpus() {
    let Ok(text) = std::fs::read_to_string(corpora().join("ua/ua_parser_js.jsonl")) else {
        println!("skipped: no second corpus");
        return;
    };
    let rules = include_str!(concat!(env!("OUT_DIR"), "/uap_regexes.json"));
    let agents = Agents::from_json(rules, 100).expect("the rules of this build");
    let missed = std::env::var_os("UA_MISSED").is_some();
    let mut score = Score::default();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).expect("a line of JSON");
        let ua = row["ua"].as_str().unwrap_or_default();
        let kind = row["expect"]["type"].as_str().filter(|_| row["kind"] == "device");
        let want = match kind {
            Some(kind @ ("mobile" | "tablet" | "console")) => kind,
            Some("smarttv") => "tv",
            Some("wearable" | "xr" | "embedded") => "other",
            _ => continue,
        };
        let (_, _, ours) = classify(&agents, ua, &ClientHints::default());
        score.count(want, ours == want);
        if missed && ours != want {
            println!("second want {want:?} got {ours:?}: {ua}");
        }
    }
    println!("second corpus, device: by class {:.1} %, by row {:.1} %", score.macro_pct(), score.micro_pct());
    assert!(score.micro_pct() >= 90.0);
}
