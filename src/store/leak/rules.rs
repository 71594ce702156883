//! What a leak looks like in stored text. Each rule is a pattern, and where a pattern alone would cry wolf, a check.
//!
//! A row that is quarantined without need is a row that analysts miss, so a rule here asks for more certainty than a
//! detector does: a top-level domain that exists, a checksum that holds, an address that parses.

use std::net::{Ipv4Addr, Ipv6Addr};

use regex::bytes::{Regex, RegexSet};

/// A pattern's first group is what the check is given.
struct Rule {
    kind: &'static str,
    pattern: &'static str,
    check: fn(&str) -> bool,
}

fn always(_: &str) -> bool {
    true
}

const RULES: [Rule; 13] = [
    Rule { kind: "email", pattern: r"(?i)([a-z0-9._+\-]+@(?:[a-z0-9\-]+\.)+[a-z]{2,24})", check: is_mailbox },
    Rule {
        kind: "ipv4",
        pattern: r"(?:^|[^0-9A-Za-z.])((?:[0-9]{1,3}\.){3}[0-9]{1,3})(?:$|[^0-9A-Za-z.])",
        check: is_ipv4,
    },
    Rule {
        kind: "ipv6",
        pattern: r"(?:^|[^0-9A-Za-z:])([0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?:$|[^0-9A-Za-z:])",
        check: is_ipv6,
    },
    Rule { kind: "card", pattern: r"(?:^|[^0-9])([1-9](?:[ -]?[0-9]){12,18})(?:$|[^0-9])", check: is_card },
    Rule {
        kind: "iban",
        pattern: r"(?i)(?:^|[^A-Z0-9])([A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30})(?:$|[^A-Z0-9])",
        check: is_iban,
    },
    Rule {
        kind: "phone",
        pattern: r"(?:^|[^0-9A-Za-z+])(\+[1-9](?:[ ().-]{0,2}[0-9]){7,14})(?:$|[^0-9])",
        check: always,
    },
    Rule { kind: "number", pattern: r"(?:^|[^0-9.,])([0-9]{11,})(?:$|[^0-9])", check: always },
    Rule {
        kind: "uuid",
        pattern: r"(?i)(?:^|[^0-9a-f])([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?:$|[^0-9a-f])",
        check: always,
    },
    Rule {
        kind: "mac",
        pattern: r"(?i)(?:^|[^0-9a-f:-])([0-9a-f]{2}(?:(?::[0-9a-f]{2}){5}|(?:-[0-9a-f]{2}){5}))(?:$|[^0-9a-f:-])",
        check: always,
    },
    Rule {
        kind: "token",
        pattern: r"(eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)",
        check: always,
    },
    Rule { kind: "key", pattern: r"(-----BEGIN [A-Z ]*PRIVATE KEY)", check: always },
    Rule { kind: "credentials", pattern: r"(?i)([a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@)", check: always },
    // Of a page's own addresses "/home/..." is an ordinary one: asked of crashes alone, and not behind a host's name.
    Rule {
        kind: "user_path",
        pattern: r"(?i)(?:^|file://|[^a-z0-9.:/_-])((?:/home/|/Users/|C:\\Users\\)[a-z0-9._-]+)",
        check: is_home,
    },
];

/// All rules: one pass says which of them may have something, a second one asks only those.
#[derive(Debug)]
pub(super) struct Rules {
    any: RegexSet,
    each: Vec<Regex>,
}

impl Rules {
    pub(super) fn new() -> Self {
        // The patterns are this file's own, and a test compiles them: bytes, so that no table of Unicode is needed.
        let pattern = |rule: &Rule| format!("(?-u){}", rule.pattern);
        let patterns: Vec<String> = RULES.iter().map(pattern).collect();
        let compiled = |pattern: &String| Regex::new(pattern).expect("a pattern of this file");
        Self {
            any: RegexSet::new(&patterns).expect("the patterns of this file"),
            each: patterns.iter().map(compiled).collect(),
        }
    }

    /// Gives the kind of each find.
    pub(super) fn find(&self, column: &str, text: &[u8], add: &mut impl FnMut(&'static str)) {
        for index in self.any.matches(text) {
            let Rule { kind, check, .. } = &RULES[index];
            if *kind == "user_path" && !matches!(column, "crash_message" | "crash_stack") {
                continue;
            }
            let mut at = 0;
            while let Some(groups) = self.each[index].captures_at(text, at)
                && let Some(found) = groups.get(1)
            {
                if std::str::from_utf8(found.as_bytes()).is_ok_and(check) {
                    add(kind);
                    break;
                }
                // What delimits one find may delimit the next one too.
                at = found.end().max(at + 1);
            }
        }
    }
}

/// The domain's last labels are a suffix that somebody registers names under.
fn is_mailbox(text: &str) -> bool {
    let domain = text.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    psl::suffix(domain.as_bytes())
        .is_some_and(|suffix| suffix.is_known() && suffix.as_bytes().len() < domain.len())
}

/// This machine's own address says nothing of a visitor.
fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok_and(|address| !address.is_loopback() && !address.is_unspecified())
}

fn is_ipv6(text: &str) -> bool {
    let address = text.parse::<Ipv6Addr>();
    text.len() > 6 && address.is_ok_and(|address| !address.is_loopback() && !address.is_unspecified())
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> {
    text.chars().filter_map(|c| c.to_digit(10))
}

/// Luhn's sum (ISO/IEC 7812-1, annex B).
fn is_card(text: &str) -> bool {
    let doubled = |(place, digit): (usize, u32)| match place % 2 {
        0 => digit,
        _ => digit * 2 / 10 + digit * 2 % 10,
    };
    let sum: u32 = digits(text).rev().enumerate().map(doubled).sum();
    sum.is_multiple_of(10) && digits(text).collect::<std::collections::HashSet<_>>().len() > 1
}

/// ISO 13616: the first four characters moved to the end, letters as 10 to 35, the whole modulo 97 is 1. A pattern
/// takes in what follows after a space, so each shorter text is tried too.
fn is_iban(text: &str) -> bool {
    let compact: Vec<u32> = text.chars().filter_map(|c| c.to_digit(36)).collect();
    let holds = |length: usize| {
        let moved = compact[4..length].iter().chain(&compact[..4]);
        let step = |rest: u32, &digit: &u32| match digit {
            0..=9 => (rest * 10 + digit) % 97,
            _ => (rest * 100 + digit) % 97,
        };
        moved.fold(0, step) == 1
    };
    // One length in 97 fits by chance: only whole words are tried.
    let ends = text.match_indices(' ').map(|(at, _)| at).chain([text.len()]);
    ends.map(|end| text[..end].chars().filter(|c| *c != ' ').count())
        .any(|length| (15..=34).contains(&length) && holds(length))
}

/// Not the folders that every machine has, and not what a detector left in place of a name.
fn is_home(text: &str) -> bool {
    let name = text.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    !matches!(name.as_str(), "" | "public" | "shared" | "default")
}
