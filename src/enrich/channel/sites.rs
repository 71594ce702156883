//! Which site a host or a campaign's source is, and what it is for.
//!
//! The table of well-known sites is `sites.txt`, whose head says where it comes from. It is read once, into maps by
//! host and by name. A host that is in no table may still say what it is by its own words: "search.example.com",
//! "webmail.example.net".

use std::borrow::Cow;
use std::sync::LazyLock;

use hashbrown::HashMap;

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
                match domain.strip_suffix(".*") {
                    Some(stem) => sites.by_stem.insert(stem, site),
                    None => sites.by_host.insert(domain, site),
                };
                if given.is_none() && names_sources && !WORDS.contains(&site.name) {
                    sites.by_name.entry(site.name).or_insert(site);
                }
            }
            for name in names.split(", ").filter(|name| names_sources && !name.is_empty()) {
                sites.by_name.entry(name).or_insert(Site { name: given.unwrap_or_default(), category });
            }
        }
        sites
    }

    fn of_domain(&self, host: &str) -> Option<Site> {
        let Some(domain) = psl::domain(host.as_bytes()) else {
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
        let mut at = 0;
        loop {
            let by_stem = || self.by_stem.get(&host[at..before_suffix]).filter(|_| is_brands);
            if let Some(site) = self.by_host.get(&host[at..]).or_else(by_stem) {
                return Some(in_front_of(&host[..at], *site));
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
        // "mail.google.com.evil.example" says nothing of itself but whose it would like to be.
        let labels = host.get(..at_domain)?;
        let mut in_front = labels.split('.').filter(|label| !label.is_empty());
        if in_front.clone().count() > OWN_LABELS_MAX || in_front.any(|label| self.by_stem.contains_key(label))
        {
            return None;
        }
        in_its_own_words(labels, host.get(at_domain..before_suffix)?, ending)
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

/// Most labels in front of a domain that are read as words.
const OWN_LABELS_MAX: usize = 3;

/// The word for a search in the languages whose portals put it in front of their domain.
const SEARCH_WORDS: [&str; 26] = [
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
];

/// Where people read their mail, in the words of its own host name.
const MAIL_WORDS: [&str; 8] =
    ["posta", "poczta", "posteingang", "messagerie", "correo", "correio", "owa", "roundcube"];

/// A portal's mail is no search, and the search of a mailbox's portal is no mail: "mail01.orange.fr", "suche.gmx.net".
fn in_front_of(labels: &str, site: Site) -> Site {
    let category = match site.category {
        Search if says_mail(labels) => Email,
        Email if says_search(labels) => Search,
        category => category,
    };
    Site { category, ..site }
}

fn says_mail(labels: &str) -> bool {
    let first = labels.split('.').next().unwrap_or_default();
    super::has(first, "mail") || labels.split('.').any(|label| MAIL_WORDS.contains(&label))
}

fn says_search(labels: &str) -> bool {
    labels.split('.').any(|label| SEARCH_WORDS.contains(&label) || names_a_search(label))
}

/// Whether a host is a forum or a server of a federated network.
fn says_social(labels: &str, name: &str, ending: &str) -> bool {
    const NETWORKS: [&str; 9] =
        ["mastodon", "masto", "mstdn", "toot", "lemmy", "misskey", "pixelfed", "fedi", "social"];
    const FORUMS: [&str; 5] = ["forum", "forums", "board", "boards", "bbs"];
    ending == "social"
        || NETWORKS.iter().any(|network| name.strip_prefix(network).is_some_and(|rest| rest.len() < 5))
        || labels.split('.').any(|label| NETWORKS.contains(&label) || FORUMS.contains(&label))
}

/// What a host is by a custom of long standing: `labels` are those in front of the registrable domain, each with its
/// dot, and `name` the domain's own label.
fn in_its_own_words(labels: &str, name: &str, ending: &str) -> Option<Site> {
    // "deref-gmx.net": the page through which a mailbox sends whoever follows a link in a letter.
    let category = if says_mail(labels) || name.starts_with("deref-") {
        Email
    } else if says_search(labels) || names_a_search(name) {
        Search
    } else if says_social(labels, name, ending) {
        Social
    } else if labels.split('.').any(|label| matches!(label, "ads" | "adserver" | "adserv" | "adv")) {
        Advertising
    } else {
        return None;
    };
    Some(Site { name: "", category })
}

/// "dalesearch", "search-results", "websearch2"; not "research", "searchenginejournal" or "jobsearch".
fn names_a_search(label: &str) -> bool {
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
    SITES.of_domain(host.strip_suffix('.').unwrap_or(host))
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
