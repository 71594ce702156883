//! The channels against tables and tests that nobody here wrote: Snowplow's, Matomo's, Pirsch's. Prints the share that is
//! right, per corpus, with the rows that are disputed and why; `REFERRER_MISSED=1` prints what is wrong. The corpora lie
//! beside the repository, or where `CORPORA` says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use consentry::deidentify::url::{Referrer, referrer};
use consentry::enrich::channel::spam::SpamDomains;
use consentry::enrich::channel::{Attribution, ChannelInput, attribute};

/// Least share of undisputed rows that come out right, in percent.
const SHARE_MIN: f64 = 97.0;

fn corpus(name: &str) -> Option<Vec<serde_json::Value>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    let corpora = std::env::var_os("CORPORA").map_or_else(beside, PathBuf::from);
    let path = corpora.join("referrer").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not here", path.display());
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn text<'a>(row: &'a serde_json::Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

fn from_host(host: &str) -> Attribution<'_> {
    attribute(&ChannelInput { referrer_host: Some(host), ..ChannelInput::default() })
}

#[derive(Default)]
struct Line {
    rows: usize,
    right: usize,
    disputed: usize,
    missed: Vec<String>,
}

/// What a row comes to: right, wrong, or wrong with a reason.
struct Table(BTreeMap<String, Line>, &'static str);

impl Table {
    fn add(&mut self, kind: &str, right: bool, dispute: Option<&'static str>, row: impl FnOnce() -> String) {
        let line = self.0.entry(kind.to_owned()).or_default();
        line.rows += 1;
        match (right, dispute) {
            (true, _) => line.right += 1,
            (false, Some(why)) => {
                line.disputed += 1;
                println!("  disputed: {}: {why}", row());
            }
            (false, None) => line.missed.push(row()),
        }
    }

    fn print(&self) -> f64 {
        println!("\n{:<44} {:>5} {:>7} {:>9} {:>8}", self.1, "rows", "right", "disputed", "share");
        let (mut rows, mut right) = (0, 0);
        for (kind, line) in &self.0 {
            let judged = line.rows - line.disputed;
            println!(
                "{kind:<44} {:>5} {:>7} {:>9} {:>7.1}%",
                line.rows,
                line.right,
                line.disputed,
                100.0 * line.right as f64 / judged.max(1) as f64
            );
            if std::env::var_os("REFERRER_MISSED").is_some() {
                line.missed.iter().for_each(|missed| println!("    {missed}"));
            }
            rows += judged;
            right += line.right;
        }
        let share = 100.0 * right as f64 / rows.max(1) as f64;
        println!("{:<44} {rows:>5} {right:>7} {:>9} {share:>7.1}%", "all", "");
        share
    }
}

/// The channels that a medium of Snowplow's may come to.
fn channels_of_medium(medium: &str) -> &'static [&'static str] {
    match medium {
        "search" => &["Organic Search"],
        // They know no medium for video.
        "social" => &["Organic Social", "Organic Video"],
        "email" => &["Email"],
        "paid" => &["Display", "Paid Search", "Paid Social", "Paid Other", "Affiliates"],
        "chatbot" | "ai_assistant" => &["AI Assistants"],
        _ => &["Referral"],
    }
}

/// Whether two lists mean the same site: "Yahoo! Mail" and "yahoo mail", "Bing Images" and "bing".
fn same_source(ours: &str, theirs: &str) -> bool {
    let plain = |name: &str| -> String {
        name.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect()
    };
    let (ours, theirs) = (plain(ours), plain(theirs));
    ours.contains(&theirs) || theirs.contains(&ours)
}

/// Why a row need not come to what its list says: rules, not rows, so that they hold for lists that grow.
fn dispute(host: &str, want: &str, found: &Attribution<'_>) -> Option<&'static str> {
    let mistyped = ["wwwgoogle.", "gogole.", "gppgle.", "googel.", "goolge.", "darkoogle.", "googleearth."];
    match (want, found.channel) {
        _ if host.contains('@') => Some("somebody's mail address is no source"),
        _ if mistyped.iter().any(|name| host.contains(name)) => {
            Some("a name that only looks like Google's is anybody's, as `notgoogle.com` is")
        }
        ("search" | "SEARCH", "Email") => {
            Some("a portal's mailbox is Email here, as with Snowplow's own mailboxes")
        }
        ("SEARCH", "Referral" | "Unassigned") if host.contains("yahoo") => {
            Some("a portal's news or finance pages are no search; Snowplow says the same")
        }
        ("search", "AI Assistants") => Some("an assistant, as with Matomo's own assistants"),
        ("search", "Organic Social") => Some("a social site, as GA4 counts its kind"),
        ("search" | "paid" | "unknown", "Organic Shopping") => Some("a shop, as GA4 counts its kind"),
        ("unknown", "Organic Social") if host.starts_with("groups.google.") => Some("social with GA4"),
        ("SOCIAL", "Organic Video") => Some("a video platform; GA4 has its kind under video"),
        ("AI", _) if host == "meta" => Some("campaigns mean Facebook's advertisements by it"),
        _ => None,
    }
}

#[test]
fn snowplow_url_tests() {
    let Some(rows) = corpus("snowplow_referer_tests.jsonl") else { return };
    let mut table = Table(BTreeMap::new(), "Snowplow's URL tests");
    for row in &rows {
        let url = text(row, "referrer");
        let Referrer::External { host } = referrer(url, text(row, "page_host")) else {
            table.add("medium", text(row, "medium") == "internal", None, || url.to_owned());
            continue;
        };
        let found = from_host(&host);
        let medium = channels_of_medium(text(row, "medium")).contains(&found.channel);
        let say = || {
            format!(
                "{url:.80}: {}, {}; theirs {}, {}",
                found.channel,
                found.source,
                text(row, "medium"),
                text(row, "source")
            )
        };
        table.add("medium", medium, None, say);
        table.add("source", same_source(&found.source, text(row, "source")), None, say);
    }
    let share = table.print();
    assert!(share >= SHARE_MIN, "{share}");
}

#[test]
fn snowplow_domains() {
    let Some(rows) = corpus("snowplow_referers.jsonl") else { return };
    let mut table = Table(BTreeMap::new(), "Snowplow's domains: medium");
    for row in &rows {
        let domain = text(row, "domain");
        let host = domain.split('/').next().unwrap_or_default();
        let found = from_host(host);
        let medium = text(row, "medium");
        let right = channels_of_medium(medium).contains(&found.channel);
        table.add(medium, right, dispute(domain, medium, &found), || {
            format!("{domain}: {}, {}; {}", found.channel, found.source, text(row, "source"))
        });
    }
    let share = table.print();
    assert!(share >= SHARE_MIN, "{share}");
}

#[test]
fn matomo_domains() {
    let Some(rows) = corpus("matomo_sources.jsonl") else { return };
    let mut table = Table(BTreeMap::new(), "Matomo's domains: medium");
    for row in &rows {
        let domain = text(row, "domain");
        let app = domain.strip_prefix("android-app//").unwrap_or(domain);
        let host = app.split('/').next().unwrap_or_default();
        // `{}` is the country in front or the country's domain behind.
        let host = host.replace(".{}", ".de").replace("{}.", "de.");
        let found = from_host(&host);
        let medium = text(row, "medium");
        let right = channels_of_medium(medium).contains(&found.channel);
        table.add(medium, right, dispute(domain, medium, &found), || {
            format!("{domain}: {}, {}; {}", found.channel, found.source, text(row, "source"))
        });
    }
    let share = table.print();
    assert!(share >= SHARE_MIN, "{share}");
}

#[test]
fn ga4_source_categories() {
    let Some(rows) = corpus("ga4_source_categories_via_pirsch.jsonl") else { return };
    let mut table = Table(BTreeMap::new(), "GA4's source categories");
    for row in &rows {
        let source = text(row, "source");
        let found = attribute(&ChannelInput { utm_source: Some(source), ..ChannelInput::default() });
        let want = match text(row, "category") {
            "SEARCH" => "Organic Search",
            "SOCIAL" => "Organic Social",
            "VIDEO" => "Organic Video",
            "SHOPPING" => "Organic Shopping",
            _ => "AI Assistants",
        };
        table.add(
            text(row, "category"),
            found.channel == want,
            dispute(source, text(row, "category"), &found),
            || format!("{source}: {}", found.channel),
        );
    }
    let share = table.print();
    assert!(share >= SHARE_MIN, "{share}");
}

#[test]
fn pirsch_channels() {
    let Some(rows) = corpus("channel_group_tests_pirsch.jsonl") else { return };
    let mut table = Table(BTreeMap::new(), "Pirsch's channel tests");
    for row in &rows {
        let option = |key: &str| row[key].as_str();
        // Their referrer may be a name from a `ref` parameter, which with us is a campaign's source.
        let referrer_text = option("referrer").unwrap_or_default();
        let host = referrer_text.trim_start_matches("https://").trim_end_matches('/');
        let is_host = host.contains('.');
        let found = attribute(&ChannelInput {
            referrer_host: is_host.then_some(host),
            utm_source: option("utmSource").or(Some(host).filter(|_| !is_host)),
            utm_medium: option("utmMedium"),
            utm_campaign: option("utmCampaign"),
            click_id: None,
        });
        let want = match text(row, "channel") {
            "AI" => "AI Assistants",
            other => other,
        };
        let dispute = (want == "Direct" && option("utmMedium").is_some())
            .then_some("a medium that no rule knows is Unassigned with GA4, and somebody set it");
        table.add(want, found.channel == want, dispute, || format!("{row}: {}", found.channel));
    }
    let share = table.print();
    assert!(share >= SHARE_MIN, "{share}");
}

/// The built-in families alone; a list of single domains is the operator's to name. Held against what must not be spam.
#[test]
fn referrer_spam() {
    let Some(rows) = corpus("referrer_spam.jsonl") else { return };
    let none = SpamDomains::default();
    let found = rows.iter().filter(|row| none.contains(&text(row, "domain").to_lowercase())).count();
    let share = 100.0 * found as f64 / rows.len() as f64;
    println!("referrer spam: {} domains, built-in families know {found}: {share:.1} %", rows.len());
    let listed: String = rows.iter().map(|row| format!("{}\n", text(row, "domain"))).collect();
    let listed = SpamDomains::from_list(&listed);
    let missed: Vec<_> =
        rows.iter().map(|row| text(row, "domain")).filter(|domain| !contains(&listed, domain)).collect();
    println!("the same as a list: {} read, not found: {missed:?}", listed.len());
    // A public suffix is passed over: everybody below it would be spam.
    assert!(missed.iter().all(|domain| psl::domain(domain.as_bytes()).is_none()));
    for name in ["snowplow_referers.jsonl", "matomo_sources.jsonl"] {
        for row in corpus(name).unwrap_or_default() {
            let host = text(&row, "domain").split('/').next().unwrap_or_default().to_owned();
            assert!(!none.contains(&host), "{host} is no spam");
        }
    }
}

fn contains(list: &SpamDomains, written: &str) -> bool {
    match referrer(&format!("https://{written}/"), "shop.example") {
        Referrer::External { host } => list.contains(&host),
        _ => false,
    }
}
