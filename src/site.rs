//! A site: whose events are taken, from which origins, under which rules.

mod rules;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

pub use rules::{BotRule, HostnameRule, TsPrecision};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::accept::ServerKeys;
use crate::config::{Fault, nearest_zone};
use crate::consent::{Rules, RulesFile};
use crate::deidentify::url::{InternalHosts, QueryAllowList};

/// A `[[site]]` as written.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteFile {
    /// Name of the site on the wire and in every table: letters, digits, `-`, `_`, `.`; at most 64.
    #[schemars(example = &"shop")]
    pub id: String,
    /// Origins that may send, e.g. `https://shop.example`; `*` for any, `loopback` for any on this machine.
    #[serde(default)]
    #[schemars(example = ["https://shop.example"])]
    pub origins: Vec<String>,
    /// What survives of a query string, by name; `utm_*` style patterns.
    #[serde(default = "default_query_params")]
    pub query_params: Vec<String>,
    /// Hosts of the site and its siblings, each with its subdomains: a link from there is no referrer. The host of the page
    /// itself, and those in `origins`, always are.
    #[serde(default)]
    #[schemars(example = ["shop-help.example"])]
    pub internal_hosts: Vec<String>,
    /// Events of crawlers, monitors and other programs: `mark` (kept, in no report) or `drop`.
    #[serde(default)]
    pub bots: BotRule,
    /// How exactly a row says when it happened: `millisecond`, `second`, `minute` or `hour`.
    #[serde(default)]
    pub ts_precision: TsPrecision,
    /// Custom properties that are kept; absent: all, scrubbed.
    #[schemars(example = ["plan", "color"])]
    pub props: Option<Vec<String>>,
    /// Rows are deleted after this many days.
    #[serde(default = "default_retention_days")]
    pub retention_days: u16,
    /// Roll-ups, which hold numbers and no visitor, are deleted after this many days; at most 3650.
    #[serde(default = "default_rollup_retention_days")]
    pub rollup_retention_days: u16,
    /// The time zone of the day that an analyst means.
    #[serde(default = "default_timezone")]
    pub timezone: String,
    /// Groups with fewer visitors than this are left out of `report`.
    #[serde(default = "default_k_anonymity")]
    pub k_anonymity: u16,
    /// Whether a random token of the browser may link a subject's events, so that they can be exported and erased.
    #[serde(default)]
    pub subjects: bool,
    /// Keys, one a line, that the site's back ends sign with. Where there are some, a request without an `Origin` (no browser's)
    /// is taken only with a signature of one of them.
    #[schemars(example = "/run/secrets/shop_server_keys")]
    pub server_key_file: Option<PathBuf>,
    /// Hosts that the site's pages are on, each with its subdomains; none: any.
    #[serde(default)]
    #[schemars(example = ["shop.example"])]
    pub hostnames: Vec<String>,
    /// Events of pages elsewhere: `drop` (counted, and left out) or `reject` (and the sender is told).
    #[serde(default)]
    pub unknown_hostnames: HostnameRule,
    /// Requests in a second that the site may go on getting; absent: as `[limits]` says for each site.
    #[schemars(example = 500)]
    pub requests_per_s_max: Option<u32>,
    /// How consent is learnt.
    #[serde(default)]
    pub consent: RulesFile,
}

fn default_query_params() -> Vec<String> {
    vec!["utm_*".into()]
}

fn default_retention_days() -> u16 {
    395
}

/// Five years: so many that one year can be laid over another, and no more.
fn default_rollup_retention_days() -> u16 {
    1825
}

/// The roll-ups' own TTL (`schema/0007_rollup_retention.sql`).
const ROLLUP_RETENTION_DAYS_MAX: u16 = 3650;

fn default_timezone() -> String {
    "UTC".into()
}

fn default_k_anonymity() -> u16 {
    10
}

impl SiteFile {
    /// The site that a collector without any configuration has.
    pub fn demo() -> Self {
        Self {
            id: "demo".into(),
            origins: vec!["loopback".into()],
            query_params: default_query_params(),
            internal_hosts: Vec::new(),
            bots: BotRule::default(),
            ts_precision: TsPrecision::default(),
            props: None,
            retention_days: default_retention_days(),
            rollup_retention_days: default_rollup_retention_days(),
            timezone: default_timezone(),
            k_anonymity: default_k_anonymity(),
            subjects: false,
            server_key_file: None,
            hostnames: Vec::new(),
            unknown_hostnames: HostnameRule::default(),
            requests_per_s_max: None,
            consent: RulesFile::default(),
        }
    }
}

/// A site as meant.
#[derive(Debug)]
pub struct Site {
    /// Its name.
    pub id: String,
    /// What survives of a query string.
    pub query_params: QueryAllowList,
    /// Hosts from which a link is no referrer.
    pub internal_hosts: InternalHosts,
    /// What becomes of programs' events.
    pub bots: BotRule,
    /// How exactly rows say when.
    pub ts_precision: TsPrecision,
    /// Names of the properties that are kept; `None`: all.
    pub props: Option<HashSet<String>>,
    /// Days that a row is kept.
    pub retention_days: u16,
    /// Days that a roll-up is kept.
    pub rollup_retention_days: u16,
    /// IANA name.
    pub timezone: String,
    /// Least visitors in a reported group.
    pub k_anonymity: u16,
    /// Whether subject tokens are taken.
    pub subjects: bool,
    /// How consent is learnt.
    pub consent: Rules,
    /// What its back ends sign with; `None`: they need not.
    pub server_keys: Option<ServerKeys>,
    /// What becomes of events of pages elsewhere.
    pub unknown_hostnames: HostnameRule,
    hostnames: Option<InternalHosts>,
    origins: Origins,
}

#[derive(Debug)]
enum Origins {
    Any,
    Listed { exact: HashSet<String>, loopback: bool },
}

impl Site {
    /// Checks one `[[site]]`.
    ///
    /// # Errors
    /// Every fault that was found; their keys are those of the site's table.
    pub fn resolve(written: SiteFile) -> Result<Arc<Self>, Vec<Fault>> {
        let id = written.id;
        let mut faults = Vec::new();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if id.is_empty() || id.len() > 64 || !id.chars().all(plain) {
            let remedy = "use 1 to 64 letters, digits, '-', '_' and '.'";
            faults.push(Fault::new("id", "is not a name that events can carry", remedy));
        }
        if written.retention_days == 0 {
            let remedy = "write the number of days after which rows are deleted, 1 or more";
            faults.push(Fault::new("retention_days", "is 0", remedy));
        }
        if !(1..=ROLLUP_RETENTION_DAYS_MAX).contains(&written.rollup_retention_days) {
            let what = format!("is {}", written.rollup_retention_days);
            let remedy = format!("write a number from 1 to {ROLLUP_RETENTION_DAYS_MAX}");
            faults.push(Fault::new("rollup_retention_days", what, remedy));
        }
        if jiff::tz::TimeZone::get(&written.timezone).is_err() {
            let remedy = match nearest_zone(&written.timezone) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "write \"UTC\", or continent and city as in \"Europe/Madrid\"".into(),
            };
            let what = format!("\"{}\" is not an IANA name", written.timezone);
            faults.push(Fault::new("timezone", what, remedy));
        }
        let origins = match Origins::resolve(&written.origins) {
            Ok(origins) => origins,
            Err(fault) => {
                faults.push(fault);
                Origins::Any
            }
        };
        let internal_hosts = origins.hosts();
        let internal_hosts = internal_hosts.iter().chain(&written.internal_hosts).map(String::as_str);
        let internal_hosts = InternalHosts::new(internal_hosts);
        if let Err(host) = &internal_hosts {
            let what = format!("\"{host}\" is not a host name of one's own");
            faults.push(Fault::new("internal_hosts", what, "write names such as shop.example"));
        }
        let hostnames = match written.hostnames.as_slice() {
            [] => Ok(None),
            names => InternalHosts::new(names.iter().map(String::as_str)).map(Some),
        };
        if let Err(host) = &hostnames {
            let what = format!("\"{host}\" is not a host name of one's own");
            faults.push(Fault::new("hostnames", what, "write names such as shop.example"));
        }
        let server_keys = written.server_key_file.as_deref().map(ServerKeys::read).transpose();
        if let Err(fault) = &server_keys {
            faults.push(fault.clone());
        }
        let consent = Rules::resolve(&written.consent);
        if let Err(fault) = &consent {
            faults.push(fault.clone().under("consent"));
        }
        let (Ok(internal_hosts), Ok(hostnames), Ok(server_keys), Ok(consent)) =
            (internal_hosts, hostnames, server_keys, consent)
        else {
            return Err(faults);
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Arc::new(Self {
            server_keys,
            hostnames,
            unknown_hostnames: written.unknown_hostnames,
            query_params: QueryAllowList::new(&written.query_params),
            internal_hosts,
            bots: written.bots,
            ts_precision: written.ts_precision,
            props: written.props.map(|names| names.into_iter().collect()),
            retention_days: written.retention_days,
            rollup_retention_days: written.rollup_retention_days,
            timezone: written.timezone,
            k_anonymity: written.k_anonymity,
            subjects: written.subjects,
            consent,
            origins,
            id,
        }))
    }

    /// What the site's configuration means, in one line.
    pub fn summary(&self) -> String {
        format!(
            "Site {}: {}; rows are kept {} days, roll-ups {}, times to the {}; events of programs are {}.",
            self.id,
            self.consent,
            self.retention_days,
            self.rollup_retention_days,
            self.ts_precision.word(),
            self.bots.words()
        )
    }

    /// Whether a page of this origin (the `Origin` header as sent) may send events to the site.
    pub fn allows_origin(&self, origin: &str) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::Listed { exact, loopback } => {
                exact.contains(origin) || (*loopback && is_loopback_origin(origin))
            }
        }
    }

    /// Whether the site takes any origin; answers then must not allow credentials.
    pub fn allows_any_origin(&self) -> bool {
        matches!(self.origins, Origins::Any)
    }

    /// Whether a page at this URL is one of the site's. Where hosts are listed, one that cannot be read is none of them.
    pub fn knows_page(&self, page: &str) -> bool {
        self.hostnames.as_ref().is_none_or(|hostnames| {
            url::Url::parse(page)
                .is_ok_and(|page| page.host_str().is_some_and(|host| hostnames.contains(host)))
        })
    }

    /// Whether a custom property of this name is kept.
    pub fn keeps_prop(&self, name: &str) -> bool {
        self.props.as_ref().is_none_or(|names| names.contains(name))
    }
}

impl Origins {
    fn resolve(written: &[String]) -> Result<Self, Fault> {
        let fault = |what: String| {
            Err(Fault::new("origins", what, "write scheme, host and port alone, as in https://shop.example"))
        };
        if written.iter().any(|origin| origin == "*") {
            return Ok(Self::Any);
        }
        let mut exact = HashSet::new();
        let mut loopback = false;
        for origin in written {
            if origin == "loopback" {
                loopback = true;
                continue;
            }
            let url = url::Url::parse(origin).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            let Some(url) = url else {
                return fault(format!("\"{origin}\" is not an origin"));
            };
            if url.path() != "/" || url.query().is_some() {
                return fault(format!("\"{origin}\" has a path"));
            }
            exact.insert(url.origin().ascii_serialization());
        }
        Ok(Self::Listed { exact, loopback })
    }
}

impl Origins {
    /// The names of the hosts that are listed; addresses have none.
    fn hosts(&self) -> Vec<String> {
        let Self::Listed { exact, .. } = self else { return Vec::new() };
        let hosts = exact.iter().filter_map(|origin| match url::Url::parse(origin).ok()?.host()? {
            url::Host::Domain(host) if host.contains('.') => Some(host.to_owned()),
            _ => None,
        });
        hosts.collect()
    }
}

/// `http(s)://localhost`, `*.localhost`, `127.0.0.0/8` or `[::1]`, with any port.
fn is_loopback_origin(origin: &str) -> bool {
    let Ok(url) = url::Url::parse(origin) else { return false };
    if !matches!(url.scheme(), "http" | "https") {
        return false;
    }
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// All sites of a collector.
#[derive(Debug)]
pub struct Sites {
    by_id: HashMap<String, Arc<Site>>,
}

impl Sites {
    /// Takes the resolved sites; an id given twice is an error.
    ///
    /// # Errors
    /// The fault names the second one, as `site[1].id`.
    pub fn new(sites: Vec<Arc<Site>>) -> Result<Self, Fault> {
        let mut by_id = HashMap::with_capacity(sites.len());
        for (index, site) in sites.into_iter().enumerate() {
            if let Some(twice) = by_id.insert(site.id.clone(), site) {
                let what = format!("\"{}\" is configured twice", twice.id);
                let remedy = "give each site a name of its own, or put the two together";
                return Err(Fault::new(format!("site[{index}].id"), what, remedy));
            }
        }
        Ok(Self { by_id })
    }

    /// The site of this name.
    pub fn by_id(&self, id: &str) -> Option<&Arc<Site>> {
        self.by_id.get(id)
    }

    /// All sites, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.by_id.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(origins: &[&str]) -> Arc<Site> {
        let mut written = SiteFile::demo();
        written.origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        Site::resolve(written).unwrap()
    }

    #[test]
    fn times_are_cut_and_never_moved_on() {
        let ts_ms = 1_763_848_799_123;
        let cut = [TsPrecision::Millisecond, TsPrecision::Second, TsPrecision::Minute, TsPrecision::Hour];
        let cut = cut.map(|precision| ts_ms - precision.cut(ts_ms));
        assert_eq!(cut, [0, 123, 59_123, 3_599_123]);
        assert_eq!(TsPrecision::Hour.cut(-1), -3_600_000);
    }

    #[test]
    fn only_listed_origins_may_send() {
        let shop = site(&["https://shop.example", "https://www.shop.example:8443/"]);
        assert!(shop.allows_origin("https://shop.example"));
        assert!(shop.allows_origin("https://www.shop.example:8443"));
        for other in
            ["http://shop.example", "https://shop.example.evil.example", "https://evil.example", "null", ""]
        {
            assert!(!shop.allows_origin(other), "{other}");
        }
    }

    #[test]
    fn loopback_means_this_machine_and_nothing_that_looks_like_it() {
        let demo = site(&["loopback"]);
        for own in ["http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:1", "https://a.localhost"]
        {
            assert!(demo.allows_origin(own), "{own}");
        }
        for other in
            ["http://localhost.evil.example", "http://127.0.0.1.evil.example", "http://10.0.0.1", "null"]
        {
            assert!(!demo.allows_origin(other), "{other}");
        }
    }

    #[test]
    fn any_only_for_a_site_that_says_so() {
        assert!(site(&["*"]).allows_origin("https://anywhere.example"));
        assert!(!site(&[]).allows_origin("https://anywhere.example"));
    }
}
