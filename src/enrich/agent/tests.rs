use super::*;
use proptest::prelude::*;

/// A few rules in uap-core's form: enough to walk every path without the whole file.
const RULES: &str = r#"{
  "user_agent_parsers": [
    { "regex": "^(.{0,200})/(\\d+)(?:\\.(\\d+)|) CFNetwork" },
    { "regex": "(?:Mobile Safari).{1,300}(OPR)/(\\d+)\\.(\\d+)", "family_replacement": "Opera Mobile" },
    { "regex": "(Edg(?:e|))/(\\d+)", "family_replacement": "Edge" },
    { "regex": "(CrMo|CriOS)/(\\d+)", "family_replacement": "Chrome Mobile iOS" },
    { "regex": "; wv\\).{1,200}(Chrome)/(\\d+)", "family_replacement": "Chrome Mobile WebView" },
    { "regex": "(Chrome)/(\\d+)\\.(\\d+).{0,100} Mobile", "family_replacement": "Chrome Mobile" },
    { "regex": "(Chrome|Firefox)/(\\d+)\\.(\\d+)" },
    { "regex": "(iPod|iPhone|iPad).{1,200}Version/(\\d+)\\.(\\d+).{1,200} Safari", "family_replacement": "Mobile Safari" },
    { "regex": "(Version)/(\\d+).{0,100} Safari", "family_replacement": "Safari" },
    { "regex": "(Foo|Bar)-?(Plus)", "family_replacement": "$1 $2 Browser", "v1_replacement": "7" }
  ],
  "os_parsers": [
    { "regex": "(Windows NT 10\\.0)", "os_replacement": "Windows", "os_v1_replacement": "10" },
    { "regex": "(?:CPU OS|iPhone OS) (\\d+)_(\\d+)", "os_replacement": "iOS", "os_v1_replacement": "$1" },
    { "regex": "(Android) (\\d+)" },
    { "regex": "(Mac OS X) (\\d+)_(\\d+)" },
    { "regex": "(Linux)" }
  ],
  "device_parsers": [
    { "regex": "(iPad|iPhone)", "device_replacement": "$1", "brand_replacement": "Apple", "model_replacement": "$1" },
    { "regex": "; *(PIXEL [^;/)]{1,30})", "regex_flag": "i", "device_replacement": "$1",
      "brand_replacement": "Google", "model_replacement": "$1" },
    { "regex": "Android.{0,200}; ([^;/)]{1,100})\\)", "device_replacement": "$1",
      "brand_replacement": "Generic_Android", "model_replacement": "$1" },
    { "regex": "Macintosh", "device_replacement": "Mac", "brand_replacement": "Apple", "model_replacement": "Mac" }
  ]
}"#;

impl Agents {
    /// Without hints.
    fn plain(&self, ua: &str) -> Arc<Agent> {
        self.classify(ua, &ClientHints::default())
    }
}

fn agents() -> Agents {
    Agents::from_json(RULES, 100).expect("the rules are valid")
}

type Summary = (String, u16, String, u16, &'static str, String, String);

fn summary(ua: &str) -> Summary {
    let agent = agents().plain(ua);
    (
        agent.browser.to_string(),
        agent.browser_major,
        agent.os.to_string(),
        agent.os_major,
        agent.device.as_str(),
        agent.vendor.to_string(),
        agent.model.to_string(),
    )
}

fn expect(ua: &str, browser: (&str, u16), os: (&str, u16), device: &str, maker: (&str, &str)) {
    let (vendor, model) = maker;
    let want = (browser.0.into(), browser.1, os.0.into(), os.1, device, vendor.into(), model.into());
    let (browser, browser_major, os, os_major, device, vendor, model) = summary(ua);
    assert_eq!((browser, browser_major, os, os_major, device, vendor, model), want, "{ua}");
}

#[test]
fn everyday_agents() {
    expect(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
        ("Chrome", 120),
        ("Windows", 10),
        "desktop",
        ("", ""),
    );
    expect(
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
        ("Chrome", 120),
        ("Android", 0),
        "mobile",
        ("", ""),
    );
    expect(
        "Mozilla/5.0 (Linux; Android 14; Pixel Tablet) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
        ("Chrome", 120),
        ("Android", 14),
        "tablet",
        ("Google", "Pixel Tablet"),
    );
    expect(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 \
         Mobile/15E148 Safari/604.1",
        ("Safari", 17),
        ("iOS", 17),
        "mobile",
        ("Apple", "iPhone"),
    );
    expect(
        "Mozilla/5.0 (iPad; CPU OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/119.0 Mobile/15E148",
        ("Chrome", 119),
        ("iPadOS", 16),
        "tablet",
        ("Apple", "iPad"),
    );
    expect(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15",
        ("Safari", 17),
        ("macOS", 0),
        "desktop",
        ("Apple", "Mac"),
    );
    expect(
        "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
        ("Firefox", 120),
        ("Linux", 0),
        "desktop",
        ("", ""),
    );
}

#[test]
fn page_inside_an_application_is_a_webview() {
    let agent = agents().plain(
        "Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) Version/4.0 Chrome/120.0.0.0 Mobile Safari/537.36",
    );
    assert_eq!((&*agent.browser, &*agent.model), ("Chrome WebView", "Pixel 8"));
}

#[test]
fn devices_by_their_signs() {
    for (ua, device) in [
        (
            "Mozilla/5.0 (Linux; Android 9; AFTMM) AppleWebKit/537.36 Silk/100.2 like Chrome/100.0 Safari/537.36",
            "tv",
        ),
        ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/94.0 Safari/537.36", "tv"),
        ("Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 Version/6.0 TV Safari/537.36", "tv"),
        (
            "Mozilla/5.0 (Linux; Android 12; BRAVIA 4K UR2) AppleWebKit/537.36 Chrome/120.0 Safari/537.36",
            "tv",
        ),
        ("Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 Chrome/120.0 Safari/537.36 CrKey/1.56", "tv"),
        (
            "Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 Version/15.4 Safari/605.1.15",
            "console",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) AppleWebKit/537.36 Edge/44.18363",
            "console",
        ),
        (
            "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/609.4 NF/6.0 NintendoBrowser/5.1",
            "console",
        ),
        ("Mozilla/5.0 (Android 13; Tablet; rv:120.0) Gecko/120.0 Firefox/120.0", "tablet"),
        ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Tablet PC 2.0)", "desktop"),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36",
            "desktop",
        ),
        ("Dalvik/2.1.0 (Linux; U; Android 13; moto g Build/T1)", "mobile"),
        ("Mozilla/5.0 (Mobile; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5", "mobile"),
        ("Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 CrKey/1.54 DeviceType/SmartSpeaker", "other"),
        ("curl/8.4.0", "other"),
        ("", "other"),
    ] {
        assert_eq!(agents().plain(ua).device.as_str(), device, "{ua}");
    }
}

#[test]
fn unknown_agents_have_names_too() {
    expect("something else", ("Other", 0), ("Other", 0), "other", ("", ""));
}

#[test]
fn templates_take_groups() {
    expect("x Foo-Plus", ("Foo Plus Browser", 7), ("Other", 0), "other", ("", ""));
}

#[test]
fn what_a_client_makes_up_is_no_name() {
    let long = format!("{}/12 CFNetwork/1410.0.3 Darwin/22.6.0", "n".repeat(NAME_BYTES_MAX + 1));
    assert_eq!(&*agents().plain(&long).browser, "Other");
    for name in ["john@example.com", "4111111111111111", "612 345 678", "a<script>", "x%40y", "naïve"] {
        let agent = agents().plain(&format!("{name}/12 CFNetwork/1410.0.3 Darwin/22.6.0"));
        assert_eq!(&*agent.browser, "Other", "{name}");
        let agent = agents().plain(&format!("Mozilla/5.0 (Linux; Android 13; Pixel {name})"));
        assert_eq!(&*agent.model, "", "{name}");
    }
    let agent = agents().plain("Overcast/12 CFNetwork/1410.0.3 Darwin/22.6.0");
    assert_eq!((&*agent.browser, agent.browser_major), ("Overcast", 12));
}

#[test]
fn only_the_first_bytes_count() {
    let start = format!("Mozilla/5.0 {}", "x".repeat(TEXT_BYTES_MAX));
    let agents = agents();
    assert!(Arc::ptr_eq(
        &agents.plain(&format!("{start} Chrome/1.0")),
        &agents.plain(&format!("{start} Firefox/9.0"))
    ));
}

#[test]
fn versions_that_are_no_numbers_are_zero() {
    for (version, want) in [("", 0), ("XP", 0), ("8.1", 8), ("65535", 65535), ("65536", 0), ("120", 120)] {
        assert_eq!(major(version), want, "{version}");
    }
}

#[test]
fn broken_rules_are_refused() {
    for json in ["", "{}", r#"{"user_agent_parsers":[{"regex":"("}],"os_parsers":[],"device_parsers":[]}"#] {
        assert!(Agents::from_json(json, 10).is_err(), "{json}");
    }
}

#[test]
fn cache_stays_within_its_bound() {
    let agents = Agents::from_json(RULES, 50).unwrap();
    for number in 0..1000 {
        agents.plain(&format!("agent {number}"));
    }
    assert!(agents.cache.len() <= 50);
}

proptest! {
    #[test]
    fn any_text_gives_short_printable_names(ua in "(Mozilla/5.0 \\(Linux; Android 1[0-9]; )?.{0,80}( Build|\\)|/1 CFNetwork| Chrome/[0-9]{1,9}\\.0)?.{0,20}") {
        let agent = agents().classify_uncached(&ua);
        for name in [&agent.browser, &agent.os, &agent.vendor, &agent.model] {
            prop_assert!(name.len() <= NAME_BYTES_MAX);
            prop_assert!(name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        }
    }
}
