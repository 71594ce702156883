//! What a User-Agent says of browser, operating system and device: families and major versions, never the string.
//!
//! [`Agents`] holds the rules of uap-core (see `rules`) and a bounded cache. The cache is keyed by a 128-bit
//! hash of the string under keys drawn at start, so neither the strings nor anything that could be tried
//! against them outside this process is kept.
//!
//! Invariant: what comes out is short, printable and carries no number of seven or more digits, whatever a
//! client wrote into its header; a few rules of uap-core copy parts of the text.
//!
//! Names are uap-core's own, with these differences: the browser's name says which browser it is and leaves to
//! `device` what it runs on ("Chrome Mobile" and "Chrome Mobile iOS" are "Chrome", "Mobile Safari" is
//! "Safari"); a page shown inside an application is "Chrome WebView" or "Safari WebView"; "Mac OS X" is
//! "macOS"; brands and models that only stand for "unknown" are empty.

mod device;
mod hints;
mod rules;
mod system;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::bot::{Bots, Claims};
use crate::accept::ClientHints;
use crate::beacon::Size;
use crate::lookups::Cached;

pub use rules::{Parsed, Rules, RulesError, TEXT_BYTES_MAX};

/// Longest name that is passed on, in bytes.
const NAME_BYTES_MAX: usize = 40;
/// Most digits that follow each other in a name, and most in all: more may be somebody's number.
const NAME_DIGITS_RUN_MAX: usize = 6;
const NAME_DIGITS_MAX: usize = 8;
/// What uap-core calls what it does not know.
const UNKNOWN: &str = "Other";

/// The class of device on which a page was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// Desktop and portable computers.
    Desktop,
    /// Telephones and pocket players.
    Mobile,
    /// Tablets and readers.
    Tablet,
    /// Television sets, boxes and sticks.
    Tv,
    /// Game consoles, portable ones too.
    Console,
    /// Everything else: watches, cars, speakers, programs, and what cannot be told.
    #[default]
    Other,
}

impl Device {
    /// The name stored in the column `device`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Tv => "tv",
            Self::Console => "console",
            Self::Other => "other",
        }
    }
}

/// A name that rows share instead of copying it.
pub type Name = Cow<'static, str>;

/// Names that are kept for as long as the process lives; rules know fewer, and what a flood of made-up ones brings beyond
/// this is copied. At most 40 bytes each: 160 KB.
const NAMES_MAX: usize = 4_096;

/// The one copy of a name. Not for the hot path: what comes out is kept in the cache.
fn shared(name: &str) -> Name {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(&known) = names.get(name) {
        return Cow::Borrowed(known);
    }
    if names.len() >= NAMES_MAX {
        return Cow::Owned(name.to_owned());
    }
    let kept: &'static str = Box::leak(name.into());
    names.insert(kept);
    Cow::Borrowed(kept)
}

/// What is stored of a User-Agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// Browser family, "Other" where it is not known.
    pub browser: Name,
    /// Major version of the browser, 0 where it is not known.
    pub browser_major: u16,
    /// Operating system family, "Other" where it is not known.
    pub os: Name,
    /// Major version of the operating system, 0 where it is not known or not a number ("XP").
    pub os_major: u16,
    /// Class of device.
    pub device: Device,
    /// Who makes the device; empty where it is not known.
    pub vendor: Name,
    /// The device's model as its maker calls it; empty where it is not known.
    pub model: Name,
    /// Whether the string names a program rather than a browser.
    pub bot: bool,
    /// What the request's headers have to agree with.
    pub claims: Claims,
}

/// Widest screen of an iPad in CSS pixels, held upright as it is always given (Apple's table of devices: 1032).
const IPAD_WIDTH_MAX: u32 = 1100;

impl Agent {
    /// The same, once the screen is known: an iPad says that it is a Mac, and no Mac's screen is higher than wide.
    pub fn on(self: Arc<Self>, screen: Size) -> Arc<Self> {
        let upright = screen.w > 0 && screen.w < screen.h && screen.w <= IPAD_WIDTH_MAX;
        if !(upright
            && *self.os == *"macOS"
            && *self.vendor == *"Apple"
            && self.browser.starts_with("Safari"))
        {
            return self;
        }
        let (os, model) = ("iPadOS".into(), "iPad".into());
        Arc::new(Self { os, os_major: 0, device: Device::Tablet, model, ..Self::clone(&self) })
    }
}

/// Turns User-Agent strings into [`Agent`]s.
pub struct Agents {
    rules: Rules,
    signs: device::Signs,
    bots: Option<Bots>,
    /// 128-bit hash of a User-Agent -> what it says.
    cache: Cache<u128, Arc<Agent>>,
    /// Under keys drawn at start.
    hasher: SipHasher13,
}

impl Agents {
    /// Builds from uap-core's `regexes.yaml` as JSON; `cache_entries_max` bounds the answers kept.
    ///
    /// # Errors
    /// Where the rules cannot be read.
    pub fn from_json(json: &str, cache_entries_max: usize) -> Result<Self, RulesError> {
        let keys = [RandomState::new(), RandomState::new()];
        let mut hash_key = [0; 16];
        for (half, key) in hash_key.chunks_mut(8).zip(keys) {
            half.copy_from_slice(&key.hash_one(0_u8).to_le_bytes());
        }
        Ok(Self {
            rules: Rules::from_json(json)?,
            signs: device::Signs::new().map_err(RulesError::Atoms)?,
            bots: None,
            cache: Cache::new(cache_entries_max),
            hasher: SipHasher13::new_with_key(&hash_key),
        })
    }

    /// Also tells programs from browsers.
    pub fn with_bots(self, bots: Bots) -> Self {
        Self { bots: Some(bots), ..self }
    }

    /// What `ua` and the hints beside it say; only the first [`TEXT_BYTES_MAX`] bytes of `ua` count.
    pub fn classify(&self, ua: &str, hints: &ClientHints<'_>) -> Arc<Agent> {
        let ua = &ua[..ua.floor_char_boundary(TEXT_BYTES_MAX)];
        let hinted = !hints.is_empty();
        let key = self.key(ua, hinted.then_some(hints));
        if let Some(agent) = self.cache.get(&key) {
            Cached::Agents.found();
            return agent;
        }
        Cached::Agents.made();
        let mut agent = self.classify_uncached(&hints::thaw(ua, hints));
        agent.claims = Claims::of(ua);
        agent.bot = self.bots.as_ref().is_some_and(|bots| bots.says(ua));
        if hinted {
            hints::apply(&mut agent, hints);
        }
        let agent = Arc::new(agent);
        self.cache.insert(key, Arc::clone(&agent));
        agent
    }

    fn key(&self, ua: &str, hints: Option<&ClientHints<'_>>) -> u128 {
        let Some(hints) = hints else { return self.hasher.hash(ua.as_bytes()).as_u128() };
        let mut hasher = self.hasher;
        hasher.write(ua.as_bytes());
        // The lengths tell where one text ends and the next begins.
        let mut lengths = ua.len() as u64;
        for value in hints.all().into_iter().filter(|value| !value.is_empty()) {
            hasher.write(value.as_bytes());
        }
        for value in hints.all() {
            lengths = lengths.rotate_left(9) ^ value.len() as u64;
        }
        hasher.write(&lengths.to_le_bytes());
        hasher.finish128().as_u128()
    }

    fn classify_uncached(&self, ua: &str) -> Agent {
        let parsed = self.rules.parse(ua);
        let [browser, browser_major] = parsed.browser.unwrap_or_default();
        let [os, os_major] = parsed.os.unwrap_or_default();
        let [family, vendor, model] = parsed.device.unwrap_or_default();
        let (os, os_major) = system::of(ua, &os, &os_major);
        let device = self.signs.classify(ua, &os, &family);
        let (browser, browser_major) = behind_standard(ua, &browser, &browser_major);
        let (vendor, model) = (vendor_name(&vendor), model_name(&vendor, &model));
        Agent {
            browser: name_or(browser_name(browser), UNKNOWN),
            browser_major: major(browser_major),
            os: name_or(os_name(&os), UNKNOWN),
            os_major: major(os_major),
            device,
            vendor: name_or(vendor, ""),
            model: name_or(model, ""),
            bot: false,
            claims: Claims::default(),
        }
    }
}

/// What is written behind the engine's own name and says which browser it is, where uap-core stops at the engine.
const BEHIND_ENGINE: [(&str, &str); 13] = [
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("OPX/", "Opera"),
    ("bdbrowser", "Baidu Browser"),
    ("baidubrowser", "Baidu Browser"),
    ("baiduboxapp", "Baidu Browser"),
    (" T7/", "Baidu Browser"),
    ("PicoBrowser/", "Pico Browser"),
    ("SailfishBrowser/", "Sailfish Browser"),
    ("NokiaBrowser/", "Nokia Browser"),
    ("Browser/NF", "NetFront"),
    ("opera/", "Opera"),
    ("Version/4.0 Firefox/", "Firefox"),
];

/// The browser behind what stands for it: a television names the standard that it speaks (HbbTV) beside the browser that it
/// has, and some makers write their name where uap-core does not look.
fn behind_standard<'a>(ua: &'a str, browser: &'a str, version: &'a str) -> (&'a str, &'a str) {
    let after = |(sign, name): (&str, &'a str)| {
        let version = ua[ua.find(sign)? + sign.len()..].trim_start_matches('/');
        Some((name, version))
    };
    let engine = matches!(browser, "HbbTV" | "Android" | "Other" | "") || browser.starts_with("Chrome");
    if !engine {
        return (browser, version);
    }
    let own = BEHIND_ENGINE.into_iter().find_map(after);
    let of_tv = || {
        const TV: [(&str, &str); 6] = [
            ("Opera/", "Opera"),
            ("Firefox/", "Firefox"),
            ("Chrome/", "Chrome"),
            ("Chr0me/", "Chrome"),
            ("Chromium/", "Chrome"),
            ("Chromium_", "Chrome"),
        ];
        if matches!(browser, "HbbTV" | "Other" | "") { TV.into_iter().find_map(after) } else { None }
    };
    own.or_else(of_tv).unwrap_or((browser, version))
}

/// The leading number of a version; 0 where there is none or it does not fit.
fn major(version: &str) -> u16 {
    let digits = version.bytes().take_while(u8::is_ascii_digit).count();
    version[..digits].parse().unwrap_or(0)
}

/// `name` where it can be a name, else `otherwise`.
fn name_or(name: &str, otherwise: &'static str) -> Name {
    let (mut run, mut digits) = (0, 0);
    let plausible = name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| {
            let is_digit = byte.is_ascii_digit();
            run = if is_digit { run + 1 } else { 0 };
            digits += usize::from(is_digit);
            let number = run > NAME_DIGITS_RUN_MAX || digits > NAME_DIGITS_MAX;
            !number && (byte == b' ' || byte.is_ascii_graphic()) && !matches!(byte, b'@' | b'%' | b'<' | b':')
        });
    if plausible && !name.is_empty() { shared(name) } else { Cow::Borrowed(otherwise) }
}

fn browser_name(family: &str) -> &str {
    let name = match family {
        "Mobile Safari" => "Safari",
        "Mobile Safari UI/WKWebView" => "Safari WebView",
        "Chrome Mobile WebView" => "Chrome WebView",
        "Android" => "Android Browser",
        "Opera Tablet" => "Opera",
        "IE Large Screen" => "IE",
        "Seznam prohl\u{ed}\u{17e}e\u{10d}" => "Seznam Browser",
        _ => family.strip_suffix(" iOS").unwrap_or(family),
    };
    name.strip_suffix(" Mobile").unwrap_or(name)
}

fn os_name(family: &str) -> &str {
    match family {
        "Mac OS X" | "Mac OS" => "macOS",
        "Web0S" | "WebOS" => "webOS",
        "WatchOS" => "watchOS",
        "Brew MP" => "BREW",
        "Kindle" => "Linux",
        _ => family,
    }
}

/// uap-core's stand-ins for makers and models that it cannot tell.
fn is_placeholder(name: &str) -> bool {
    name.starts_with("Generic") || matches!(name, "Spider" | "Other" | "Unknown")
}

fn vendor_name(vendor: &str) -> &str {
    if is_placeholder(vendor) { "" } else { vendor }
}

fn model_name<'a>(vendor: &str, model: &'a str) -> &'a str {
    // "K" is what every Chrome on Android says since its User-Agent was reduced.
    let nameless = is_placeholder(model) || matches!(model, "K" | "Smartphone" | "Tablet" | "Feature Phone");
    if nameless || vendor == "Spider" { "" } else { model }
}
