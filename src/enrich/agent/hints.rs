//! What client hints say, and how it is put together with the User-Agent's answer: hints first where both speak.
//!
//! Chromium's User-Agent is frozen: it says "Android 10; K", "Windows NT 10.0" and "Mac OS X 10_15_7" whatever is there. A
//! hint that says more takes their place; without one the frozen number is not passed on as a fact (see `super`).
//!
//! A hint is a structured field (RFC 9651): strings in quotation marks with backslashes before `"` and `\`, lists of such
//! with parameters, `?1` and `?0`. What is not one says nothing.

use std::borrow::Cow;

use super::{Agent, Device, major};
use crate::accept::ClientHints;

/// Brands by the names that they are stored under, as the vendors write them in `Sec-CH-UA`.
const BRANDS: [(&str, &str); 20] = [
    ("Google Chrome", "Chrome"),
    ("Microsoft Edge", "Edge"),
    ("Microsoft Edge WebView2", "Edge WebView"),
    ("Opera", "Opera"),
    ("Opera GX", "Opera GX"),
    ("OperaMobile", "Opera"),
    ("Brave", "Brave"),
    ("Samsung Internet", "Samsung Internet"),
    ("Vivaldi", "Vivaldi"),
    ("YaBrowser", "Yandex Browser"),
    ("Yandex", "Yandex Browser"),
    ("DuckDuckGo", "DuckDuckGo"),
    ("Android WebView", "Chrome WebView"),
    ("HeadlessChrome", "HeadlessChrome"),
    ("Whale", "Whale"),
    ("Naver Whale", "Whale"),
    ("HuaweiBrowser", "Huawei Browser"),
    ("Oculus Browser", "Oculus Browser"),
    ("Ecosia", "Ecosia"),
    ("Avast Secure Browser", "Avast Secure Browser"),
];

/// The next string of a structured field, without its marks, and what follows it.
fn string(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let rest = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let inner = &rest[..at];
                let plain =
                    if inner.contains('\\') { Cow::Owned(unescape(inner)) } else { Cow::Borrowed(inner) };
                return Some((plain, &rest[at + 1..]));
            }
            ' '..='~' => {}
            _ => return None,
        }
    }
    None
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// A whole field that is one string.
fn whole(text: &str) -> Option<Cow<'_, str>> {
    string(text.trim()).filter(|(_, rest)| rest.trim().is_empty()).map(|(value, _)| value)
}

/// Members of a list of strings, each with its parameter `v`; ends where the list is none.
fn members(mut text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    std::iter::from_fn(move || {
        text = text.trim_start();
        let (name, mut rest) = string(text)?;
        let mut version = Cow::Borrowed("");
        while let Some(parameter) = rest.trim_start().strip_prefix(';') {
            let (key, value) = parameter.trim_start().split_once('=')?;
            let (value, behind) = match string(value) {
                Some(found) => found,
                None => {
                    let end = value.find([';', ',']).unwrap_or(value.len());
                    (Cow::Borrowed(&value[..end]), &value[end..])
                }
            };
            if key == "v" {
                version = value;
            }
            rest = behind;
        }
        text = rest.trim_start().strip_prefix(',').unwrap_or("");
        Some((name, version))
    })
}

/// A brand that is there to keep servers from counting on the list ("Not;A=Brand").
fn is_grease(brand: &str) -> bool {
    let letters = brand.bytes().filter(u8::is_ascii_alphabetic).map(|byte| byte.to_ascii_lowercase());
    letters.eq(*b"notabrand") || brand.is_empty()
}

/// The User-Agent with what the hints know of system and device in the places where it is frozen.
pub(super) fn thaw<'a>(ua: &'a str, hints: &ClientHints<'_>) -> Cow<'a, str> {
    // Whoever writes a header writes what they like: what could be somebody's is no model.
    let is_model = |model: &Cow<'_, str>| {
        !model.is_empty()
            && !model.contains([';', ')'])
            && crate::deidentify::detect::redact(model).count == 0
    };
    let Some(model) = whole(hints.model).filter(is_model) else { return Cow::Borrowed(ua) };
    let version = whole(hints.platform_version).unwrap_or_default();
    let version = if version.is_empty() { "10" } else { version.as_ref() };
    Cow::Owned(ua.replacen("Android 10; K", &format!("Android {}; {model}", major(version)), 1))
}

/// Puts what the hints say over what the User-Agent said.
pub(super) fn apply(agent: &mut Agent, hints: &ClientHints<'_>) {
    let mut chromium = None;
    let mut known = None;
    for (brand, version) in members(hints.brands).filter(|(brand, _)| !is_grease(brand)) {
        match BRANDS.iter().find(|(name, _)| *name == brand) {
            // An own brand says more than the engine's maker.
            Some((_, name)) if known.is_none() || *name != "Chrome" => known = Some((*name, major(&version))),
            Some(_) => {}
            None if brand == "Chromium" => chromium = Some(major(&version)),
            None => {}
        }
    }
    // An application that shows a page says so in the User-Agent, and its brands are the engine's.
    let embedded = agent.browser.ends_with("WebView") || !is_chromium(&agent.browser);
    match known {
        Some((name, version)) if !(name == "Chrome" && embedded) => {
            agent.browser = name.into();
            agent.browser_major = version;
        }
        None if &*agent.browser == super::UNKNOWN && chromium.is_some() => {
            agent.browser = "Chromium".into();
            agent.browser_major = chromium.unwrap_or(0);
        }
        _ => {}
    }
    system(agent, hints);
    device(agent, hints);
}

fn is_chromium(browser: &str) -> bool {
    matches!(
        browser,
        "Chrome" | "Chromium" | "Edge" | "Opera" | "Brave" | "Vivaldi" | "HeadlessChrome" | super::UNKNOWN
    )
}

fn system(agent: &mut Agent, hints: &ClientHints<'_>) {
    let Some(platform) = whole(hints.platform) else { return };
    let os = match platform.as_ref() {
        "Windows" => "Windows",
        "macOS" => "macOS",
        "Android" => "Android",
        "Chrome OS" | "Chromium OS" => "Chrome OS",
        "Linux" => "Linux",
        "iOS" => "iOS",
        _ => return,
    };
    // The User-Agent knows more of what runs on Android and Linux ("Fire OS", "Ubuntu", a television).
    let finer = matches!(os, "Android" | "Linux")
        && !matches!(&*agent.os, super::UNKNOWN | "Windows" | "macOS" | "iOS");
    if !finer {
        if *agent.os != *os {
            agent.os_major = 0;
        }
        agent.os = os.into();
    }
    let version = whole(hints.platform_version).unwrap_or_default();
    if version.is_empty() || finer && &*agent.os != os {
        return;
    }
    agent.os_major = match (os, major(&version)) {
        // "13.0.0" and above are Windows 11, 1 to 10 are Windows 10, "0.1" to "0.3" are 7 to 8.1 (Microsoft's table).
        ("Windows", 13..) => 11,
        ("Windows", 1..) => 10,
        ("Windows", 0) => match version.as_ref() {
            "0.1" | "0.1.0" => 7,
            "0.2" | "0.2.0" | "0.3" | "0.3.0" => 8,
            _ => 0,
        },
        ("Linux", _) => 0,
        (_, major) => major,
    };
}

fn device(agent: &mut Agent, hints: &ClientHints<'_>) {
    for (factor, _) in members(hints.form_factors) {
        agent.device = match factor.as_ref() {
            "Automotive" | "XR" | "Watch" => Device::Other,
            "Tablet" | "EInk" => Device::Tablet,
            "Mobile" => Device::Mobile,
            "Desktop" => Device::Desktop,
            _ => continue,
        };
        return;
    }
    match hints.mobile.trim() {
        "?1" if agent.device == Device::Desktop => agent.device = Device::Mobile,
        // Chromium on a tablet says that it is no telephone.
        "?0" if agent.device == Device::Mobile && &*agent.os == "Android" => agent.device = Device::Tablet,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(hints: ClientHints<'_>) -> Agent {
        let mut agent = Agent {
            browser: "Chrome".into(),
            browser_major: 142,
            os: "Windows".into(),
            os_major: 10,
            device: Device::Desktop,
            ..Agent::default()
        };
        apply(&mut agent, &hints);
        agent
    }

    #[test]
    fn the_brand_that_says_most_counts() {
        for (brands, want) in [
            (r#""Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99""#, ("Chrome", 142)),
            (r#""Not;A=Brand";v="8", "Chromium";v="142", "Microsoft Edge";v="141.0.3485.54""#, ("Edge", 141)),
            (r#""Brave";v="142", "Chromium";v="142", "Not?A_Brand";v="24""#, ("Brave", 142)),
            (r#""Google Chrome";v="140", "Opera";v="121""#, ("Opera", 121)),
            (r#""Chromium";v="142", "Somebody's own";v="1""#, ("Chrome", 142)),
            (r#"Chromium;v=142"#, ("Chrome", 142)),
            ("", ("Chrome", 142)),
        ] {
            let agent = with(ClientHints { brands, ..ClientHints::default() });
            assert_eq!((&*agent.browser, agent.browser_major), want, "{brands}");
        }
    }

    #[test]
    fn the_system_is_the_one_of_the_hint() {
        for (platform, platform_version, want) in [
            (r#""Windows""#, r#""15.0.0""#, ("Windows", 11)),
            (r#""Windows""#, r#""10.0.0""#, ("Windows", 10)),
            (r#""Windows""#, r#""0.1.0""#, ("Windows", 7)),
            (r#""macOS""#, r#""14.5.0""#, ("macOS", 14)),
            (r#""macOS""#, "", ("macOS", 0)),
            (r#""Android""#, r#""15.0.0""#, ("Android", 15)),
            (r#""Linux""#, r#""6.8.0""#, ("Linux", 0)),
            (r#""Unknown""#, r#""1""#, ("Windows", 10)),
            ("Windows", "15", ("Windows", 10)),
        ] {
            let agent = with(ClientHints { platform, platform_version, ..ClientHints::default() });
            assert_eq!((&*agent.os, agent.os_major), want, "{platform} {platform_version}");
        }
    }

    #[test]
    fn what_it_is_held_in_the_hand_is_told() {
        let device = |form_factors, mobile| {
            with(ClientHints { form_factors, mobile, ..ClientHints::default() }).device
        };
        assert_eq!(device(r#""Tablet""#, "?0"), Device::Tablet);
        assert_eq!(device(r#""XR", "Mobile""#, "?1"), Device::Other);
        assert_eq!(device("", "?1"), Device::Mobile);
        assert_eq!(device("", "?0"), Device::Desktop);
        let hints =
            ClientHints { model: r#""Pixel 9""#, platform_version: r#""16.0.0""#, ..ClientHints::default() };
        assert_eq!(
            thaw("Mozilla/5.0 (Linux; Android 10; K) Chrome/142", &hints),
            "Mozilla/5.0 (Linux; Android 16; Pixel 9) Chrome/142"
        );
        assert_eq!(thaw("Mozilla/5.0 (X11)", &hints), "Mozilla/5.0 (X11)");
    }

    #[test]
    fn a_model_that_could_be_somebodys_is_none() {
        let ua = "Mozilla/5.0 (Linux; Android 10; K) Chrome/142";
        let thawed = |model: &str| {
            let model = format!("\"{model}\"");
            thaw(ua, &ClientHints { model: &model, ..ClientHints::default() }).into_owned()
        };
        for identifier in [
            "jane@mail.example",
            "00-1A-2B-3C-4D-5E",
            "00:1A:2B:3C:4D:5E",
            "+34612345678",
            "203.0.113.9",
            "4111 1111 1111 1111",
        ] {
            assert_eq!(thawed(identifier), ua, "{identifier}");
        }
        for model in ["SM-S921B", "Pixel 9 Pro", "CPH2581", "moto g(60"] {
            assert!(thawed(model).contains(model), "{model}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(brands in ".{0,60}", platform in "[\"?\\\\;=, a-z0-9]{0,30}") {
            with(ClientHints { brands: &brands, platform: &platform, model: &platform, form_factors: &brands, mobile: &platform, platform_version: &brands });
            prop_assert!(members(&platform).count() <= platform.len());
        }

        #[test]
        fn what_was_escaped_is_read_back(text in "[ -~]{0,20}") {
            let escaped = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            let read = whole(&escaped);
            prop_assert_eq!(read.as_deref(), Some(text.as_str()));
        }
    }
}
