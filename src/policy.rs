//! The disclosure: what is collected, why, from what, in which form and for how long. Made from the code and the
//! configuration that do it, so it cannot promise what the program does not do.
//!
//! [`Policy::of`] gathers it, [`render`] prints it: Markdown and HTML for people, JSON for programs. A column, a table or
//! a key in the browser that is not described fails `tests/policy.rs`.

mod columns;
mod document;
mod render;

use serde::{Deserialize, Serialize};

pub use columns::{COLUMNS, Column, NEVER_KEPT, TABLES, Table};
pub use render::{Format, render};

use crate::config::Config;
use crate::consent::Basis;

/// What the tracker may keep in a browser; written by the web build from the one list that the tracker can write to.
const STORAGE_KEYS: &str = include_str!(concat!(env!("OUT_DIR"), "/storage_keys.json"));

/// A key in the visitor's browser.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StorageKey {
    /// Its name in localStorage.
    pub key: String,
    /// `necessary` or `analytics`.
    pub category: String,
    /// Why.
    pub purpose: String,
    /// How long.
    pub duration: String,
}

/// What is different for each site.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)] // the keys of the configuration
pub struct SitePolicy {
    pub id: String,
    /// The rule of consent in plain words.
    pub consent: String,
    /// The signals that are consulted, beside the two headers.
    pub signals: Vec<&'static str>,
    pub policy_version: String,
    pub retention_days: u16,
    /// Days that a roll-up, which holds no visitor, is kept.
    pub rollup_retention_days: u16,
    pub timezone: String,
    pub k_anonymity: u16,
    pub subjects: bool,
    /// Patterns of the query parameters that are kept.
    pub query_params: Vec<String>,
    /// Names of the properties that are kept; absent: all, scrubbed.
    pub props: Option<Vec<String>>,
}

/// The whole disclosure.
#[derive(Debug, Clone, Serialize)]
pub struct Policy {
    /// Version of the program that keeps to it.
    pub version: &'static str,
    /// Site by site.
    pub sites: Vec<SitePolicy>,
    /// What a stored event has.
    pub columns: &'static [Column],
    /// What is stored beside events.
    pub tables: &'static [Table],
    /// What the tracker keeps in a browser.
    pub storage: Vec<StorageKey>,
    /// Every signal that the program can honour.
    pub signals: Vec<Signal>,
    /// What is never kept, and what becomes of it.
    pub never_kept: Vec<NeverKept>,
}

/// A signal of consent.
#[derive(Debug, Clone, Serialize)]
pub struct Signal {
    /// Its name in the configuration; of the two headers, theirs.
    pub name: &'static str,
    /// What it is and what it can say.
    pub meaning: &'static str,
    /// The sites that consult it.
    pub sites: Vec<String>,
}

/// Something that ends in the collector.
#[derive(Debug, Clone, Serialize)]
pub struct NeverKept {
    /// What.
    pub what: &'static str,
    /// What becomes of it.
    pub becomes: &'static str,
}

impl Policy {
    /// The disclosure of a collector with this configuration.
    pub fn of(config: &Config) -> Self {
        let mut sites: Vec<SitePolicy> = config.sites.iter().map(|site| SitePolicy::of(site)).collect();
        sites.sort_by(|a, b| a.id.cmp(&b.id));
        let all = || sites.iter().map(|site| site.id.clone()).collect();
        let mut signals: Vec<Signal> = Basis::ALL
            .into_iter()
            .map(|basis| {
                let consult = |site: &&SitePolicy| site.signals.contains(&basis.as_str());
                let sites = sites.iter().filter(consult).map(|site| site.id.clone()).collect();
                Signal { name: basis.as_str(), meaning: meaning(basis), sites }
            })
            .collect();
        signals.push(Signal {
            name: "Sec-GPC",
            meaning: "Global Privacy Control, a header of the browser: an objection, never a yes",
            sites: all(),
        });
        signals.push(Signal {
            name: "DNT",
            meaning: "Do Not Track, a header of the browser: an objection, never a yes",
            sites: all(),
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            columns: COLUMNS,
            tables: TABLES,
            storage: storage_keys(),
            signals,
            never_kept: NEVER_KEPT.iter().map(|&(what, becomes)| NeverKept { what, becomes }).collect(),
            sites,
        }
    }
}

impl SitePolicy {
    fn of(site: &crate::site::Site) -> Self {
        let mut props = site.props.as_ref().map(|names| names.iter().cloned().collect::<Vec<_>>());
        props.iter_mut().for_each(|names| names.sort());
        Self {
            id: site.id.clone(),
            consent: site.consent.to_string(),
            signals: site.consent.consulted().map(Basis::as_str).collect(),
            policy_version: site.consent.policy_version().to_owned(),
            retention_days: site.retention_days,
            rollup_retention_days: site.rollup_retention_days,
            timezone: site.timezone.clone(),
            k_anonymity: site.k_anonymity,
            subjects: site.subjects,
            query_params: site.query_params.patterns(),
            props,
        }
    }
}

/// The keys that the tracker can write, as its build listed them.
pub fn storage_keys() -> Vec<StorageKey> {
    serde_json::from_str(STORAGE_KEYS).expect("the web build writes this file; a test reads it")
}

/// Exhaustive on purpose: a new signal does not compile until it is described.
fn meaning(basis: Basis) -> &'static str {
    match basis {
        Basis::Payload => "a yes or no that the page itself sends with its events",
        Basis::Tcf => "IAB TCF 2.2 and 2.3: a TC string from payload, query or the cookie euconsent-v2",
        Basis::Gpp => "IAB GPP: its European section as a TC string, its US sections as objections",
        Basis::Usp => "IAB US Privacy: an objection, never a yes",
        Basis::Gcm => "Google's Consent Mode: analytics_storage",
        Basis::Onetrust => "OneTrust: its cookie OptanonConsent, or what the tracker reads in the page",
        Basis::Trustarc => "TrustArc: its cookies, or what the tracker reads in the page",
        Basis::Cookiebot => "Cookiebot: its cookie CookieConsent, or what the tracker reads in the page",
        Basis::Cookieyes => "CookieYes: its cookie cookieyes-consent",
        Basis::Didomi => "Didomi: its cookie didomi_token, or what the tracker reads in the page",
        Basis::Klaro => "Klaro: its cookie, or what the tracker reads in the page",
        Basis::WpConsent => "WP Consent API: its cookie, or what the tracker reads in the page",
        Basis::Complianz => "Complianz: its cookie",
        Basis::Cookieconsent => {
            "CookieConsent 3: its cookie cc_cookie, or what the tracker reads in the page"
        }
    }
}
