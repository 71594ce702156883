//! Whether a beacon was sent by a program: what the User-Agent says, what the request's headers say of it, and, where the
//! operator has named them, the networks of data centres.
//!
//! The User-Agent is held against the patterns of the npm package `crawler-user-agents` (MIT, pinned and checked when
//! the program is built) and rules of our own (`words`). They are indexed by their literals as the agent's own rules are
//! (`agent`): one `RegexSet` of all 1,500 costs a millisecond for a text that it has not met the like of, because its
//! automaton has to be built anew, and a flood of such texts would stop the collector. The verdict is kept with the agent,
//! so a known User-Agent costs nothing.
//!
//! The headers are coherent or not: a browser that says what the request is for (`Sec-Fetch-*`) was reached over a
//! secure connection, over which a Chromium also sends its brand (`Sec-CH-UA`), and every browser its languages. No
//! User-Agent at all says nothing: that is a sender of the operator's own, and its events are as good as any.

mod words;

pub use crate::accept::HeaderTraits;

use super::agent::{Rules, RulesError, TEXT_BYTES_MAX};

/// From this version on Chromium sends `Sec-CH-UA` over every secure connection (Chrome 89, with a margin).
const HINTS_SINCE_CHROME: u16 = 90;

/// Why the patterns cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BotsError {
    /// Not a list of texts.
    #[error("the list of crawlers is not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A pattern is none.
    #[error("the list of crawlers: {0}")]
    Pattern(#[from] RulesError),
}

/// Tells programs by their User-Agent.
pub struct Bots {
    programs: Rules,
    people: Rules,
    devices: Rules,
}

impl std::fmt::Debug for Bots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bots").finish_non_exhaustive()
    }
}

impl Bots {
    /// From a JSON array of regular expressions, those of `crawler-user-agents`.
    ///
    /// # Errors
    /// Where it is no such array, or an expression cannot be read.
    pub fn from_json(json: &str) -> Result<Self, BotsError> {
        let listed: Vec<String> = serde_json::from_str(json)?;
        let listed = listed.into_iter().filter(|name| !words::NAMES_OF_APPLICATIONS.contains(&name.as_str()));
        // A name begins where a word does: "Fetch/" is not in "MozacFetch/".
        let listed = listed.map(|pattern| match pattern.as_bytes().first() {
            Some(byte) if byte.is_ascii_alphanumeric() => format!(r"\b(?:{pattern})"),
            _ => pattern,
        });
        let own = |patterns: &[&str]| patterns.iter().map(|pattern| format!("(?i:{pattern})")).collect();
        let programs: Vec<String> = own(words::PROGRAMS);
        Ok(Self {
            programs: rules(listed.chain(programs))?,
            people: rules(own(words::PEOPLE))?,
            devices: rules(own(&[words::BARE_DEVICES]))?,
        })
    }

    /// Whether `ua` names or describes a program. Only its first [`TEXT_BYTES_MAX`] bytes count.
    pub fn says(&self, ua: &str) -> bool {
        let ua = ua[..ua.floor_char_boundary(TEXT_BYTES_MAX)].trim();
        if ua.is_empty() {
            return false;
        }
        let is_program =
            is_odd(ua) || is_bare(ua) && !matches(&self.devices, ua) || matches(&self.programs, ua);
        is_program && !matches(&self.people, ua)
    }
}

/// Patterns, any one of which is an answer.
fn rules(patterns: impl IntoIterator<Item = String>) -> Result<Rules, RulesError> {
    let rule = |regex: String| serde_json::json!({ "regex": regex, "family_replacement": "yes" });
    let browsers: Vec<_> = patterns.into_iter().map(rule).collect();
    let file = serde_json::json!({ "user_agent_parsers": browsers, "os_parsers": [], "device_parsers": [] });
    Rules::from_json(&file.to_string())
}

fn matches(rules: &Rules, ua: &str) -> bool {
    rules.parse(ua).browser.is_some()
}

/// Whether a text has what no browser writes: it begins like code or a quotation, or has a mail address in it.
fn is_odd(ua: &str) -> bool {
    let address = |at: usize| {
        let (name, domain) = (&ua[..at], &ua[at + 1..]);
        let named = name.ends_with(|c: char| c.is_ascii_alphanumeric());
        let label = domain.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'-').count();
        let below = &domain.as_bytes()[label..];
        named && label > 0 && matches!(below, [b'.', letter, ..] if letter.is_ascii_alphabetic())
    };
    ua.starts_with(['"', '\'', '<', '(', ';', '|', '+', '{'])
        || ua.contains('|')
        || ua.contains("()")
        || memchr::memchr_iter(b'@', ua.as_bytes()).any(address)
}

/// Whether a text has the form of a program's name: one product, or "Mozilla/5.0" with nothing of a browser behind it.
fn is_bare(ua: &str) -> bool {
    let (product, rest) = ua.split_once(' ').unwrap_or((ua, ""));
    let is_mozilla = product.len() == "Mozilla/5.0".len() && product[..8].eq_ignore_ascii_case("Mozilla/");
    if is_mozilla {
        // "(compatible; Something/1.0)", "something/1.0", nothing. Old browsers name a system beside themselves.
        let inside = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        return match inside {
            Some(inside) => {
                let inside = inside.strip_prefix("compatible;").unwrap_or(inside);
                !inside.contains([';', '(', ')']) && !inside.contains("MSIE")
            }
            None => !rest.contains('('),
        };
    }
    match ua.split_once('(') {
        None => ua.matches('/').count() <= 1,
        // "Something/1.0 (one remark)"
        Some((name, remark)) => {
            name.trim().matches([' ', '/']).count() <= 1
                && remark.strip_suffix(')').is_some_and(|remark| !remark.contains([';', '(', ',', ')']))
                && name.contains('/')
        }
    }
}

/// What a User-Agent says of its browser that a request's headers have to agree with. Kept with the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// A browser of today's form.
    browser: bool,
    /// A Chromium that sends hints over every secure connection.
    hints: bool,
    /// A browser that never sends hints.
    no_hints: bool,
}

impl Claims {
    /// Of a User-Agent.
    pub fn of(ua: &str) -> Self {
        if !ua.starts_with("Mozilla/5.0 (") {
            return Self::default();
        }
        let other = ua.contains("Firefox/") || ua.contains("iPhone OS") || ua.contains("Version/");
        Self {
            browser: true,
            hints: plain_chrome(ua).is_some_and(|major| major >= HINTS_SINCE_CHROME),
            no_hints: other && !ua.contains("Chrome/"),
        }
    }

    /// Whether the headers of a request are not those of this browser.
    pub fn contradict(self, traits: &HeaderTraits) -> bool {
        if !self.browser {
            return false;
        }
        // Every browser says its languages; scripts and headless browsers that borrow its name do not. What says nothing
        // of itself at all may be a server that passes a visitor's User-Agent on, but for a Chromium, which is what scripts
        // borrow.
        if !traits.accept_language {
            return traits.fetch_metadata || traits.client_hints || self.hints;
        }
        // Hints and metadata come over secure connections alone, so metadata without hints is another browser; and so are
        // hints from what says that it sends none.
        match traits.client_hints {
            true => self.no_hints,
            false => traits.fetch_metadata && self.hints,
        }
    }
}

/// The major version of a Chrome or Edge that is nothing else besides: views inside applications and other makers'
/// browsers differ in what they send.
fn plain_chrome(ua: &str) -> Option<u16> {
    let (before, version) = ua.split_once(" Chrome/")?;
    let (major, rest) = version.split_once('.')?;
    let tail = rest.split_once(' ')?.1.trim_start_matches("Mobile ");
    let tail = tail.strip_prefix("Safari/537.36")?.trim_start();
    let is_plain = tail.is_empty() || tail.starts_with("Edg/") || tail.starts_with("EdgA/");
    let is_view = before.contains("; wv)") || before.contains("Version/4.0");
    (is_plain && !is_view).then(|| major.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

    fn bots() -> Bots {
        Bots::from_json(include_str!(concat!(env!("OUT_DIR"), "/crawlers.json"))).unwrap()
    }

    #[test]
    fn programs_and_people() {
        let bots = bots();
        for ua in [
            "curl/8.9.1",
            "python-requests/2.32",
            "Go-http-client/2.0",
            "okhttp/4.12.0",
            "Java/17.0.2",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
            "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36 Chrome-Lighthouse",
            "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
            "GPTBot/1.2",
            "Mozilla/5.0",
            "Mozilla/5.0 (compatible)",
            "zgrab",
        ] {
            assert!(bots.says(ua), "{ua}");
        }
        for ua in [
            CHROME,
            FIREFOX,
            "",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Linux; Android 4.2.2; CUBOT C11 Build/JDQ39) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/31.0.1650.57 Mobile Safari/537.36",
            "Mozilla/4.0 (compatible; MSIE 5.0; Mac_PowerPC)",
            "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18",
        ] {
            assert!(!bots.says(ua), "{ua}");
        }
    }

    fn is_incoherent(ua: &str, traits: &HeaderTraits) -> bool {
        Claims::of(ua).contradict(traits)
    }

    #[test]
    fn headers_that_are_not_the_browsers_own() {
        let traits = |accept_language, client_hints, fetch_metadata| HeaderTraits {
            accept_language,
            client_hints,
            fetch_metadata,
        };
        let webview = "Mozilla/5.0 (Linux; Android 13; Pixel 7; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36";
        let old = CHROME.replace("126", "80");
        assert!(is_incoherent(CHROME, &traits(false, true, true)), "no language");
        assert!(is_incoherent(CHROME, &traits(false, false, false)), "nothing at all");
        assert!(is_incoherent(FIREFOX, &traits(false, false, true)), "no language");
        assert!(!is_incoherent(FIREFOX, &traits(false, false, false)), "a server that passes it on");
        assert!(is_incoherent(CHROME, &traits(true, false, true)), "secure, and no hints");
        assert!(is_incoherent(FIREFOX, &traits(true, true, true)), "hints of another browser");
        assert!(!is_incoherent(CHROME, &traits(true, true, true)));
        assert!(!is_incoherent(CHROME, &traits(true, false, false)), "hints are not sent in the clear");
        assert!(!is_incoherent(FIREFOX, &traits(true, false, true)));
        for other in [webview, &*old, &format!("{CHROME} OPR/112.0.0.0"), "curl/8", "MyShop/1.0 (server)", ""]
        {
            assert!(!is_incoherent(other, &traits(true, false, true)), "{other}");
        }
        assert!(
            !is_incoherent("MyShop/1.0 (server)", &traits(false, false, false)),
            "a server has no languages"
        );
    }

    #[test]
    fn what_is_not_a_list_is_said_so() {
        assert!(Bots::from_json("{}").is_err());
        assert!(Bots::from_json(r#"["("]"#).is_err());
    }
}
