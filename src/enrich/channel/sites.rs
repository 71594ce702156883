//! Which site a host or a campaign's source is, and what it is for.
//!
//! The table of well-known sites is `sites.txt`, whose head says where it comes from. It is read once, into maps by
//! host and by name. A host that is in no table may still say what it is by its own words: "search.example.com",
//! "webmail.example.net".

use std::borrow::Cow;
use std::sync::LazyLock;

use hashbrown::{HashMap, HashSet};

use Category::{
    Advertising, Affiliate, Ai, Email, Plain, Search, SearchAdvertising, Shopping, Social, Video,
};

/// What a site is for, as far as channels tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Search engines.
    Search,
    /// Advertisements beside search results on other sites.
    SearchAdvertising,
    /// Social networks, forums and messengers.
    Social,
    /// Video platforms.
    Video,
    /// Market places.
    Shopping,
    /// Assistants that answer with links.
    Ai,
    /// Mailboxes in a browser or an application.
    Email,
    /// Networks that place advertisements on other sites.
    Advertising,
    /// Networks that pay for each customer.
    Affiliate,
    /// Known so as not to be taken for the rest of its domain: "docs.google.com" is no search.
    Plain,
}

impl Category {
    /// The medium of a visit that such a site refers without a campaign.
    pub(super) fn medium(self) -> &'static str {
        match self {
            Search => "organic",
            SearchAdvertising => "cpc",
            Social => "social",
            Video => "video",
            Shopping => "shopping",
            Ai => "ai",
            Email => "email",
            Advertising => "display",
            Affiliate => "affiliate",
            Plain => "referral",
        }
    }
}

/// A site that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The name under which it is counted; empty: its host.
    pub name: &'static str,
    /// What it is for.
    pub category: Category,
}

/// Names of domains that may mean anything in a campaign's source, so that only the domain itself is the site.
const WORDS: [&str; 34] = [
    "all", "alot", "ask", "blog", "bolt", "break", "buffer", "care", "cj", "dir", "find", "free", "gather",
    "go", "hey", "home", "info", "kick", "local", "mail", "max", "media", "note", "online", "other", "quick",
    "signal", "sol", "target", "turn", "vero", "web", "wish", "wow",
];

/// Domains of countries are known to belong to a brand; of the others these are.
const BRAND_SUFFIXES: [&str; 4] = ["com", "net", "org", "cat"];

#[derive(Default)]
struct Sites {
    /// "facebook.com", "com.facebook.katana"
    by_host: HashMap<&'static str, Site>,
    /// "google" of "google.*", "mail.google" of "mail.google.*"
    by_stem: HashMap<&'static str, Site>,
    /// "facebook", "fb"
    by_name: HashMap<&'static str, Site>,
    /// "google", "facebook", "katana": the label in front of the public suffix of each entry. What is not here is not known,
    /// whatever stands in front of it.
    labels: HashSet<&'static str>,
    /// Words by which hosts say what they are; brands among them as [`Plain`].
    by_word: HashMap<&'static str, Category>,
}

static SITES: LazyLock<Sites> = LazyLock::new(|| Sites::read(include_str!("sites.txt")));

impl Sites {
    fn read(text: &'static str) -> Self {
        let mut sites = Self::default();
        let mut category = Plain;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(section) = line.strip_prefix('[') {
                category = section_category(section.trim_end_matches(']'));
                continue;
            }
            let (names, domains) = line.split_once(": ").unwrap_or(("", line));
            // What a company's advertisements or maps are called is what the company is called.
            let names_sources = !matches!(category, Advertising | SearchAdvertising | Plain);
            let given = names.split(", ").next().filter(|name| !name.is_empty());
            for domain in domains.split(' ') {
                let site = Site { name: given.unwrap_or_else(|| first_label(domain)), category };
                let label = match domain.strip_suffix(".*") {
                    Some(stem) => {
                        sites.by_stem.insert(stem, site);
                        stem.rsplit('.').next()
                    }
                    None => {
                        sites.by_host.insert(domain, site);
                        let suffix =
                            psl::suffix(domain.as_bytes()).map_or(0, |suffix| suffix.as_bytes().len());
                        // A suffix itself ("blogspot.com") is looked up by itself.
                        domain.len().checked_sub(suffix + 1).and_then(|end| domain[..end].rsplit('.').next())
                    }
                };
                sites.labels.extend(label);
                if given.is_none() && names_sources && !WORDS.contains(&site.name) {
                    sites.by_name.entry(site.name).or_insert(site);
                }
            }
            for name in names.split(", ").filter(|name| names_sources && !name.is_empty()) {
                sites.by_name.entry(name).or_insert(Site { name: given.unwrap_or_default(), category });
            }
        }
        // A brand in front of a domain says nothing; "search" and "mail" are no brands.
        sites
            .by_word
            .extend(sites.by_stem.keys().filter(|stem| !stem.contains('.')).map(|&stem| (stem, Plain)));
        for (words, category) in WORDS_OF_HOSTS {
            sites.by_word.extend(words.iter().map(|&word| (word, *category)));
        }
        sites
    }

    /// `domain`: the registrable domain of `host`, where it has one.
    fn of_domain(&self, host: &str, domain: Option<psl::Domain<'_>>) -> Option<Site> {
        let Some(domain) = domain else {
            return self.by_host.get(host).copied();
        };
        let suffix = domain.suffix();
        let at_domain = host.len().checked_sub(domain.as_bytes().len())?;
        let before_suffix = host.len().checked_sub(suffix.as_bytes().len() + 1)?;
        let ending = host.get(before_suffix + 1..)?;
        // A brand's name counts below a suffix that a registry runs, not below one that anybody can rent.
        let is_registry = suffix.typ() == Some(psl::Type::Icann);
        let is_brands = is_registry
            && (ending.len() - ending.rfind('.').map_or(0, |dot| dot + 1) == 2
                || BRAND_SUFFIXES.contains(&ending));
        let name = host.get(at_domain..before_suffix)?;
        // A leading "www." is in no entry.
        let mut at = if host.starts_with("www.") && at_domain >= 4 { 4 } else { 0 };
        while self.labels.contains(name) {
            let by_stem = || self.by_stem.get(&host[at..before_suffix]).filter(|_| is_brands);
            if let Some(site) = self.by_host.get(&host[at..]).or_else(by_stem) {
                return Some(self.in_front_of(&host[..at], *site));
            }
            if at >= at_domain {
                break;
            }
            at += host[at..].find('.')? + 1;
        }
        // Blogs and shops that people rent below somebody's domain, where that is in the table.
        if !is_registry && let Some(site) = self.by_host.get(ending) {
            return Some(*site);
        }
        let category = self.in_its_own_words(host.get(..at_domain)?, name, ending)?;
        Some(Site { name: "", category })
    }

    /// A portal's mail is no search, and the search of a mailbox's portal is no mail: "mail01.orange.fr", "suche.gmx.net".
    fn in_front_of(&self, labels: &str, site: Site) -> Site {
        let other = match site.category {
            Search => Email,
            Email => Search,
            _ => return site,
        };
        if self.says(labels) == Some(other) { Site { category: other, ..site } } else { site }
    }

    /// What the labels in front of a domain, each with its dot, say of themselves; mail counts most, then a search. A
    /// brand's name there says nothing but whose it would like to be: "mail.google.com.evil.example".
    fn says(&self, labels: &str) -> Option<Category> {
        let mut said = None;
        let (mut rest, mut is_first) = (labels, true);
        while let Some(dot) = memchr::memchr(b'.', rest.as_bytes()) {
            let (label, after) = (&rest[..dot], &rest[dot + 1..]);
            rest = after;
            if label == "www" {
                continue;
            }
            let word = match self.by_word.get(label) {
                Some(Plain) => return Some(Plain),
                Some(word) => Some(*word),
                None if is_first && super::has(label, "mail") => Some(Email),
                None => names_a_search(label).then_some(Search),
            };
            is_first = false;
            said = match (said, word) {
                (Some(Email), _) | (_, None) => said,
                (Some(Search), Some(word)) if word != Email => said,
                (_, word) => word,
            };
        }
        said
    }

    /// What a host is by a custom of long standing: `name` is the domain's own label, `ending` its public suffix.
    fn in_its_own_words(&self, labels: &str, name: &str, ending: &str) -> Option<Category> {
        let names_a_network =
            || NETWORKS.iter().any(|network| name.strip_prefix(network).is_some_and(|rest| rest.len() < 5));
        match self.says(labels) {
            Some(Plain) => None,
            Some(said) => Some(said),
            // "deref-gmx.net": the page through which a mailbox sends whoever follows a link in a letter.
            None if name.starts_with("deref-") => Some(Email),
            None if names_a_search(name) => Some(Search),
            None => (ending == "social" || names_a_network()).then_some(Social),
        }
    }
}

fn section_category(section: &str) -> Category {
    match section {
        "search" => Search,
        "searchads" => SearchAdvertising,
        "ads" => Advertising,
        "affiliate" => Affiliate,
        "social" => Social,
        "video" => Video,
        "shopping" => Shopping,
        "ai" => Ai,
        "email" => Email,
        _ => Plain,
    }
}

fn first_label(domain: &'static str) -> &'static str {
    domain.split_once('.').map_or(domain, |(label, _)| label)
}

/// What a host says of itself by one of its labels: the word for a search, a mailbox, a forum in the languages whose
/// portals put it in front of their domain; software of federated networks; servers of advertisements.
const WORDS_OF_HOSTS: &[(&[&str], Category)] = &[
    (
        &[
            "search",
            "searches",
            "suche",
            "suchen",
            "websuche",
            "recherche",
            "rechercher",
            "recherches",
            "chercher",
            "busca",
            "buscador",
            "buscar",
            "busqueda",
            "pesquisa",
            "ricerca",
            "cerca",
            "sok",
            "sog",
            "soeg",
            "haku",
            "zoek",
            "zoeken",
            "szukaj",
            "hledani",
            "hledat",
            "arama",
        ],
        Search,
    ),
    (&["posta", "poczta", "posteingang", "messagerie", "correo", "correio", "owa", "roundcube"], Email),
    (&["forum", "forums", "board", "boards", "bbs"], Social),
    (&NETWORKS, Social),
    (&["ads", "adserver", "adserv", "adv"], Advertising),
];

/// Networks of many servers, which carry the software's name in theirs.
const NETWORKS: [&str; 9] =
    ["mastodon", "masto", "mstdn", "toot", "lemmy", "misskey", "pixelfed", "fedi", "social"];

/// "dalesearch", "search-results", "websearch2"; not "research", "searchenginejournal" or "jobsearch".
fn names_a_search(label: &str) -> bool {
    if !super::has(label, "search") {
        return false;
    }
    let label = label.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let others = ["research", "jobsearch", "homesearch", "peoplesearch"];
    let ends = label.ends_with("search") && !others.iter().any(|other| label.ends_with(other));
    ends || super::has(label, "search-result") || super::has(label, "searchresult")
}

/// The site that answers on `host`, which is in lower case.
///
/// The most specific entry wins. No more labels are given up than down to the registrable domain, so a known name in
/// front of somebody else's domain is nothing.
pub fn site_of_host(host: &str) -> Option<Site> {
    let host = host.strip_suffix('.').unwrap_or(host);
    SITES.of_domain(host, psl::domain(host.as_bytes()))
}

/// The site that a campaign means by `source`, in any case: a name, or a domain.
pub(super) fn site_of_source(source: &str) -> Option<Site> {
    let source = super::lower(source);
    let spaced: Cow<'_, str> =
        if source.contains(['_', '-']) { source.replace(['_', '-'], " ").into() } else { source.clone() };
    let named = SITES.by_name.get(&*spaced).or_else(|| SITES.by_name.get(&*source)).copied();
    named.or_else(|| {
        let host = source.strip_prefix("www.").unwrap_or(&source);
        host.contains('.').then(|| site_of_host(host)).flatten()
    })
}

#[cfg(test)]
pub(super) mod tests {

    /// Every domain of the table, as it stands there.
    pub(in super::super) fn domains() -> impl Iterator<Item = &'static str> {
        let lines = include_str!("sites.txt").lines();
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '[']));
        lines.flat_map(|line| line.split_once(": ").map_or(line, |(_, domains)| domains).split(' '))
    }

    #[test]
    fn the_table_names_each_domain_once() {
        let mut seen = std::collections::HashSet::new();
        for domain in domains() {
            assert!(seen.insert(domain), "{domain} stands twice");
            assert!(!domain.is_empty() && domain == domain.to_ascii_lowercase(), "\"{domain}\"");
            let inside = domain.strip_suffix(".*").unwrap_or(domain);
            assert!(
                inside.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)),
                "{domain}"
            );
            assert!(domain.contains('.'), "{domain}");
        }
        let known = [
            "search",
            "searchads",
            "ads",
            "affiliate",
            "social",
            "video",
            "shopping",
            "ai",
            "email",
            "plain",
        ];
        for section in include_str!("sites.txt").lines().filter_map(|line| line.strip_prefix('[')) {
            assert!(known.contains(&section.trim_end_matches(']')), "[{section}");
        }
    }
}
