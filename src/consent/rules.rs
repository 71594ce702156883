//! `[site.consent]`: which signals count for a site. The two headers always do.

use serde::Deserialize;

/// What `Sec-GPC: 1` does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gpc {
    /// The event is dropped.
    #[default]
    Veto,
    /// The event is kept, marked, and left out of every shared report and export.
    NoShare,
}

/// What `DNT: 1` does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dnt {
    /// The event is dropped.
    #[default]
    Veto,
    /// Nothing.
    Ignore,
}

/// `[site.consent]` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesFile {
    /// The signals that are consulted.
    pub adapters: Vec<String>,
    /// `veto` or `no_share`.
    pub gpc: Gpc,
    /// `veto` or `ignore`.
    pub dnt: Dnt,
}

impl Default for RulesFile {
    fn default() -> Self {
        Self { adapters: vec!["payload".into()], gpc: Gpc::default(), dnt: Dnt::default() }
    }
}

/// `[site.consent]` as meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    pub(super) payload: bool,
    pub(super) gpc: Gpc,
    pub(super) dnt: Dnt,
}

impl Rules {
    /// Checks what was written. A signal that this version cannot read is an error: ignoring it could ignore a no.
    pub fn resolve(written: &RulesFile) -> Result<Self, String> {
        let mut rules = Self { payload: false, gpc: written.gpc, dnt: written.dnt };
        for adapter in &written.adapters {
            match adapter.as_str() {
                "payload" => rules.payload = true,
                other => {
                    return Err(format!("consent adapter \"{other}\" is not one that this version reads"));
                }
            }
        }
        Ok(rules)
    }
}

impl std::fmt::Display for Rules {
    /// The rules in plain words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.payload {
            true => "an event is kept where its payload says consent.analytics",
            false => "no signal is consulted, so no event is kept",
        })?;
        f.write_str(match self.gpc {
            Gpc::Veto => ", Sec-GPC drops it",
            Gpc::NoShare => ", Sec-GPC keeps it out of every report",
        })?;
        f.write_str(match self.dnt {
            Dnt::Veto => ", DNT drops it",
            Dnt::Ignore => ", DNT is ignored",
        })
    }
}
