//! `[site.consent]`: which signals count for a site, and what they mean there. The two headers always count.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tcf::Terms;
use super::{Basis, cookies};
use crate::config::{Fault, nearest};

/// What `Sec-GPC: 1` does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gpc {
    /// The event is dropped.
    #[default]
    Veto,
    /// The event is kept, marked, and left out of every shared report and export.
    NoShare,
}

/// What `DNT: 1` does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dnt {
    /// The event is dropped.
    #[default]
    Veto,
    /// Nothing.
    Ignore,
}

/// `[site.consent]` as written.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RulesFile {
    /// The signals that are consulted: `payload`, `tcf`, `gpp`, `usp`, `gcm`, `onetrust`, `trustarc`, `cookiebot`,
    /// `cookieyes`, `didomi`, `klaro`, `wp_consent`, `complianz`, `cookieconsent`.
    pub adapters: Vec<String>,
    /// `veto` or `no_share`.
    pub gpc: Gpc,
    /// `veto` or `ignore`.
    pub dnt: Dnt,
    /// Whether consent that a manager calls implied is a grant.
    pub implied_is_grant: bool,
    /// OneTrust's group of analytics.
    pub onetrust_group: String,
    /// TrustArc's bucket of analytics, counted from 0 (required) as in `notice_gdpr_prefs`.
    pub trustarc_bucket: u16,
    /// Didomi's purpose of analytics; needed for `didomi`.
    #[schemars(example = &"audience")]
    pub didomi_purpose: Option<String>,
    /// The service of Klaro that is analytics; needed for `klaro`.
    #[schemars(example = &"consentry")]
    pub klaro_service: Option<String>,
    /// The category of CookieConsent that is analytics.
    pub cookieconsent_category: String,
    /// The version of the policy that visitors agree to, at most 64 bytes; kept with each event.
    #[schemars(example = &"2026-11")]
    pub policy_version: String,
    /// Whether `/.well-known/gpc.json` says that the site honours Global Privacy Control.
    pub gpc_json: bool,
    /// What is asked of a TC string.
    pub tcf: TcfFile,
}

/// `[site.consent.tcf]` as written.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TcfFile {
    /// The number of the site's operator in the Global Vendor List; absent: the publisher's own purposes count.
    #[schemars(example = 755)]
    pub vendor_id: Option<u16>,
    /// The purposes that all need consent, 1 to 24.
    pub purposes: Vec<u32>,
    /// Without a vendor: whether the purposes of the core string are enough.
    pub accept_core: bool,
}

impl Default for RulesFile {
    fn default() -> Self {
        Self {
            adapters: vec!["payload".into()],
            gpc: Gpc::default(),
            dnt: Dnt::default(),
            implied_is_grant: false,
            onetrust_group: "C0002".into(),
            trustarc_bucket: 1,
            didomi_purpose: None,
            klaro_service: None,
            cookieconsent_category: "analytics".into(),
            policy_version: String::new(),
            gpc_json: false,
            tcf: TcfFile::default(),
        }
    }
}

impl Default for TcfFile {
    fn default() -> Self {
        Self { vendor_id: None, purposes: vec![1, 8, 9, 10], accept_core: false }
    }
}

/// The longest name of a group, purpose, service, category or policy version, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The highest bucket that a site may name; TrustArc shows three or four.
const BUCKET_MAX: u16 = 99;
/// The purposes that a TC string has room for.
pub(super) const PURPOSE_MAX: u32 = 24;

/// `[site.consent]` as meant.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Bit n is the signal `Basis::ALL[n]`.
    consulted: u16,
    pub(super) reads_cookies: bool,
    pub(super) gpc: Gpc,
    pub(super) dnt: Dnt,
    pub(super) implied_is_grant: bool,
    pub(super) onetrust_group: String,
    pub(super) trustarc_bucket: u16,
    pub(super) didomi_purpose: String,
    pub(super) klaro_service: String,
    pub(super) cookieconsent_category: String,
    pub(super) tcf: Terms,
    policy_version: String,
    gpc_json: bool,
}

impl Rules {
    /// Checks what was written. A signal that cannot be read here is an error: ignoring it could ignore a no.
    ///
    /// # Errors
    /// The first fault; its key is one of `[site.consent]`.
    pub fn resolve(written: &RulesFile) -> Result<Self, Fault> {
        let mut consulted = 0;
        for adapter in &written.adapters {
            let Some(basis) = Basis::ALL.into_iter().find(|basis| basis.as_str() == adapter) else {
                let known = Basis::ALL.map(Basis::as_str);
                let remedy = match nearest(adapter, known) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => "take it out, or ask for another signal of the same manager".into(),
                };
                let what = format!("\"{adapter}\" is none of {}", known.join(", "));
                return Err(Fault::new("adapters", what, remedy));
            };
            consulted |= 1 << basis as u16;
        }
        if written.policy_version.len() > NAME_BYTES_MAX {
            let what = format!("has more than {NAME_BYTES_MAX} bytes");
            return Err(Fault::new("policy_version", what, "write a short name or a date"));
        }
        if !(1..=BUCKET_MAX).contains(&written.trustarc_bucket) {
            let what = format!("is {}", written.trustarc_bucket);
            let remedy = format!("write a number from 1 to {BUCKET_MAX}; 0 is what a site cannot do without");
            return Err(Fault::new("trustarc_bucket", what, remedy));
        }
        let rules = Self {
            consulted,
            reads_cookies: false,
            gpc: written.gpc,
            dnt: written.dnt,
            implied_is_grant: written.implied_is_grant,
            onetrust_group: name("onetrust_group", &written.onetrust_group)?,
            trustarc_bucket: written.trustarc_bucket,
            didomi_purpose: given("didomi_purpose", written.didomi_purpose.as_deref())?,
            klaro_service: given("klaro_service", written.klaro_service.as_deref())?,
            cookieconsent_category: name("cookieconsent_category", &written.cookieconsent_category)?,
            tcf: terms(&written.tcf)?,
            policy_version: written.policy_version.clone(),
            gpc_json: written.gpc_json,
        };
        if rules.onetrust_group.contains([',', ':']) {
            return Err(Fault::new(
                "onetrust_group",
                "is more than one group",
                "write one, such as \"C0002\"",
            ));
        }
        let reads_cookies = rules.consulted().any(cookies::carry);
        Ok(Self { reads_cookies, ..rules })
    }

    /// Whether a cookie can have a say in what becomes of the site's events.
    pub fn reads_cookies(&self) -> bool {
        self.reads_cookies
    }

    /// Whether the site consults this signal.
    pub(super) fn reads(&self, basis: Basis) -> bool {
        self.consulted >> basis as u16 & 1 == 1
    }

    /// The signals that the site consults, in their order.
    pub fn consulted(&self) -> impl Iterator<Item = Basis> {
        Basis::ALL.into_iter().filter(|&basis| self.reads(basis))
    }

    /// The version of the policy that the site's visitors agree to; may be empty.
    pub fn policy_version(&self) -> &str {
        &self.policy_version
    }

    /// Whether `/.well-known/gpc.json` is served for the site.
    pub fn gpc_json(&self) -> bool {
        self.gpc_json
    }
}

fn name(key: &str, name: &str) -> Result<String, Fault> {
    match name.len() {
        1..=NAME_BYTES_MAX if !name.chars().any(char::is_control) => Ok(name.to_owned()),
        _ => {
            let remedy = format!("write 1 to {NAME_BYTES_MAX} bytes of text, or take it out");
            Err(Fault::new(key, "is not a name", remedy))
        }
    }
}

fn given(key: &str, written: Option<&str>) -> Result<String, Fault> {
    written.map_or(Ok(String::new()), |written| name(key, written))
}

fn terms(written: &TcfFile) -> Result<Terms, Fault> {
    if written.vendor_id == Some(0) {
        let remedy = "write a vendor's number in the Global Vendor List, 1 or above, or take it out";
        return Err(Fault::new("tcf.vendor_id", "is 0", remedy));
    }
    let remedy = format!("write numbers from 1 to {PURPOSE_MAX}, at least one");
    let mut purposes = 0;
    for &purpose in &written.purposes {
        if !(1..=PURPOSE_MAX).contains(&purpose) {
            return Err(Fault::new("tcf.purposes", format!("has {purpose}"), remedy));
        }
        purposes |= 1 << (purpose - 1);
    }
    if purposes == 0 {
        return Err(Fault::new("tcf.purposes", "is empty", remedy));
    }
    Ok(Terms { vendor_id: written.vendor_id, purposes, accept_core: written.accept_core })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::consent) fn rules(toml: &str) -> Result<Rules, String> {
        let written = toml::from_str(toml).map_err(|error| error.to_string())?;
        Rules::resolve(&written).map_err(|fault| fault.to_string())
    }

    #[test]
    fn nothing_written_is_the_payload_alone() {
        let rules = rules("").unwrap();
        assert_eq!(rules.consulted().collect::<Vec<_>>(), [Basis::Payload]);
        assert!(!rules.reads_cookies && !rules.implied_is_grant && !rules.gpc_json());
        assert_eq!((rules.onetrust_group.as_str(), rules.trustarc_bucket), ("C0002", 1));
        assert_eq!(rules.tcf, Terms { vendor_id: None, purposes: 0b11_1000_0001, accept_core: false });
        assert_eq!(rules.policy_version(), "");
    }

    #[test]
    fn every_adapter_has_its_name() {
        let names = Basis::ALL.map(Basis::as_str);
        let toml = format!("adapters = {names:?}\ndidomi_purpose = \"a\"\nklaro_service = \"b\"");
        assert_eq!(rules(&toml).unwrap().consulted().collect::<Vec<_>>(), Basis::ALL);
    }

    #[test]
    fn what_cannot_be_meant_is_an_error_that_says_why() {
        let long = format!("policy_version = \"{}\"", "x".repeat(65));
        for (toml, part) in [
            (
                "adapters = [\"payload\", \"osano\"]",
                "\"osano\" is none of payload, tcf, gpp, usp, gcm, onetrust",
            ),
            ("adapters = [\"klaro\"]\nklaro_service = \"\"", "klaro_service"),
            ("onetrust_group = \"\"", "onetrust_group"),
            ("onetrust_group = \"C0001,C0002\"", "onetrust_group"),
            ("cookieconsent_category = \"\"", "cookieconsent_category"),
            ("trustarc_bucket = 0", "trustarc_bucket"),
            ("trustarc_bucket = 100", "trustarc_bucket"),
            ("tcf = { purposes = [0] }", "1 to 24"),
            ("tcf = { purposes = [1, 25] }", "1 to 24"),
            ("tcf = { purposes = [] }", "at least one"),
            ("tcf = { vendor_id = 0 }", "vendor_id"),
            ("gpc = \"ignore\"", "gpc"),
            ("former = true", "former"),
            (long.as_str(), "64 bytes"),
        ] {
            let error = rules(toml).unwrap_err();
            assert!(error.contains(part), "{toml}: {error}");
        }
        assert!(rules(&format!("policy_version = \"{}\"", "x".repeat(64))).is_ok());
        assert!(rules("tcf = { vendor_id = 65535, purposes = [1, 24] }").is_ok());
    }
}
