//! The report that a data protection officer files.

use std::fmt::{self, Display};

use serde::Serialize;

use super::places::{Finding, NotSearched, Searched};
use super::send::Sent;

/// How to print it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// All that the audit has to say.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Report {
    /// `clean`: no canary in what was searched. `finding`: there is one.
    pub verdict: &'static str,
    pub consentry: &'static str,
    pub at: String,
    pub seconds: f64,
    /// `--seed` with this number gives the same canaries.
    pub seed: u64,
    pub collector: String,
    pub site: String,
    pub canaries: usize,
    pub kinds: Vec<&'static str>,
    pub fields: Vec<&'static str>,
    pub variants: Vec<String>,
    pub sent: Sent,
    /// Events of the audit that are in the store.
    pub stored: u64,
    pub forms: Vec<&'static str>,
    /// Values in all their forms and digests.
    pub patterns: usize,
    pub searched: Vec<Searched>,
    pub not_searched: Vec<NotSearched>,
    pub findings: Vec<Finding>,
    /// How to remove the audit's own rows.
    pub remains: String,
}

fn counts<K: Display, V: Display>(map: impl IntoIterator<Item = (K, V)>) -> String {
    map.into_iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
}

impl Report {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Bytes that were looked at.
    pub fn bytes(&self) -> u64 {
        self.searched.iter().map(|searched| searched.bytes).sum()
    }

    /// Prints it.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Text => self.to_string(),
            // Of numbers and words of our own.
            Format::Json => serde_json::to_string_pretty(self).unwrap_or_default() + "\n",
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Consentry {}: audit of the collector at {}", self.consentry, self.collector)?;
        writeln!(f, "{}, {:.0} s, seed {}, site {}\n", self.at, self.seconds, self.seed, self.site)?;
        match self.findings.len() {
            0 => writeln!(f, "VERDICT: clean. No canary was found in what was searched.\n")?,
            found => writeln!(f, "VERDICT: {found} findings. Something that identifies survives.\n")?,
        }
        writeln!(f, "Sent")?;
        writeln!(f, "  {} canaries: {}", self.canaries, self.kinds.join(", "))?;
        writeln!(f, "  written: {}", self.variants.join(", "))?;
        writeln!(
            f,
            "  {} requests, {} events, of which {} were kept and {} are in the store",
            self.sent.requests, self.sent.events, self.sent.accepted, self.stored
        )?;
        writeln!(f, "  consent: {}", counts(&self.sent.consents))?;
        writeln!(f, "  carriers: {}", counts(&self.sent.carriers))?;
        writeln!(f, "  encodings: {}", counts(&self.sent.encodings))?;
        writeln!(f, "  protocols: {}", counts(&self.sent.protocols))?;
        writeln!(f, "  answers by status: {}", counts(&self.sent.statuses))?;
        writeln!(f, "  fields: {}\n", self.fields.join(", "))?;
        writeln!(f, "Searched, {} bytes, for {} patterns", self.bytes(), self.patterns)?;
        writeln!(f, "  forms: {}", self.forms.join(", "))?;
        for searched in &self.searched {
            let rows = searched.rows.map_or_else(String::new, |rows| format!(", {rows} rows"));
            writeln!(
                f,
                "  {}: {} {}{rows}, {} bytes",
                searched.place, searched.items, searched.unit, searched.bytes
            )?;
        }
        writeln!(f, "\nNot searched")?;
        if self.not_searched.is_empty() {
            writeln!(f, "  nothing was left out")?;
        }
        for not in &self.not_searched {
            writeln!(f, "  {}: {}", not.place, not.why)?;
        }
        writeln!(f, "\nFindings")?;
        if self.findings.is_empty() {
            writeln!(f, "  none")?;
        }
        for found in &self.findings {
            writeln!(
                f,
                "  {} ({}) in {}, at byte {}, {} times",
                found.kind, found.form, found.place, found.offset, found.count
            )?;
        }
        writeln!(f, "\nWhat remains\n  {}", self.remains)
    }
}
