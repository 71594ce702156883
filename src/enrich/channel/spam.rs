//! Referrer spam: hosts that are written into the header so that whoever reads the reports visits them. Such a referrer
//! is none.
//!
//! Built in are the families that have come back under new names since 2014 ("semalt.com", "buttons-for-website.com",
//! "cookie-law-enforcement-aa.xyz", "bottraffic329.xyz"), known by what their names have in common. Single domains come
//! and go too fast for a program that is built once: `referrer_spam_file` names a list of them, one a line, such as the
//! public-domain one of Matomo.

use std::collections::HashSet;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Largest list, in bytes: about a million domains.
pub const LIST_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the name in front of the public suffix has in it, in the families' many domains; long enough that no honest
/// site has it too.
#[rustfmt::skip]
const FAMILIES: &[&str] = &[
    "semalt", "buttons-for-website", "buttons-for-your-website", "simple-share-button", "free-share-button",
    "free-social-button", "floating-share-button", "law-enforcement-bot", "law-enforcement-check", "cookie-law-enforcement",
    "bottraffic", "trafficbot", "traffic-bot", "trafficmonetiz", "get-free-traffic", "traffic2cash", "traffic2money",
    "xtrafficplus", "webmonetizer", "monetizationking", "darodar", "ilovevitaly", "iloveitaly", "blackhatworth",
    "hulfingtonpost", "ranksonic", "best-seo-offer", "best-seo-solution", "best-seo-report", "best-seo-software",
    "100dollars-seo", "autoseo-", "success-seo", "stopreferralspam", "hydraruzx", "4webmasters", "kambasoft",
];

static FAMILY: LazyLock<AhoCorasick> =
    LazyLock::new(|| AhoCorasick::new(FAMILIES).expect("a few short words make an automaton"));

/// Whether `host`, which is in lower case, has the name of one of the families.
pub(super) fn is_of_family(host: &str) -> bool {
    let Some(domain) = psl::domain(host.as_bytes()) else { return false };
    let at_domain = host.len() - domain.as_bytes().len();
    let name_bytes = domain.as_bytes().len() - domain.suffix().as_bytes().len();
    host.get(at_domain..at_domain + name_bytes).is_some_and(|name| FAMILY.is_match(name))
}

/// The domains of a list, and the families.
#[derive(Debug, Default)]
pub struct SpamDomains {
    listed: HashSet<Box<str>>,
}

impl SpamDomains {
    /// Reads a list: a host a line, in any case; lines that begin with '#' are notes. What is no host below a public
    /// suffix is passed over: it would stand for everybody's.
    pub fn from_list(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let hosts = lines.filter_map(|line| match url::Host::parse(line) {
            Ok(url::Host::Domain(host)) => Some(host),
            _ => None,
        });
        let bare = |host: String| host.strip_prefix("www.").unwrap_or(&host).to_owned();
        let listed = hosts
            .map(bare)
            .filter(|host| psl::domain(host.as_bytes()).is_some())
            .map(String::into_boxed_str)
            .collect();
        Self { listed }
    }

    /// How many domains are listed.
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Whether `host`, which is in lower case, or a domain above it is spam.
    pub fn contains(&self, host: &str) -> bool {
        is_of_family(host) || self.lists(host)
    }

    /// Whether `host` or a domain above it is on the list.
    pub(in crate::enrich) fn lists(&self, host: &str) -> bool {
        if self.listed.is_empty() {
            return false;
        }
        let Some(domain) = psl::domain(host.as_bytes()) else { return false };
        let at_domain = host.len() - domain.as_bytes().len();
        let mut rest = host;
        loop {
            if self.listed.contains(rest) {
                return true;
            }
            match rest.split_once('.') {
                Some((_, above)) if above.len() >= host.len() - at_domain => rest = above,
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_known_by_their_names() {
        let none = SpamDomains::default();
        for host in [
            "semalt.com",
            "78.semalt.com",
            "cookie-law-enforcement-aa.xyz",
            "bottraffic329.xyz",
            "buttons-for-website.com",
        ] {
            assert!(none.contains(host), "{host}");
        }
        for host in [
            "example.com",
            "semalt",
            "share.example",
            "seo.example.com",
            "buttons-for-website.example.com",
            "com",
            "",
        ] {
            assert!(!none.contains(host), "{host}");
        }
    }

    #[test]
    fn a_listed_domain_stands_for_its_subdomains_and_no_other() {
        let list = SpamDomains::from_list(
            "# note\nSpam.Example.com\n\nwww.bad.co.uk\ncom\nco.uk\n/x\n192.0.2.1\nm\u{fc}ll.de\n",
        );
        assert_eq!(list.len(), 3);
        for host in ["spam.example.com", "a.spam.example.com", "bad.co.uk", "www.bad.co.uk", "xn--mll-hoa.de"]
        {
            assert!(list.contains(host), "{host}");
        }
        for host in
            ["example.com", "notspam.example.com", "good.co.uk", "bad.co.uk.example.com", "xbad.co.uk"]
        {
            assert!(!list.contains(host), "{host}");
        }
    }
}
