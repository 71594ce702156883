//! A site's consent rules in plain words, for `check-config`.

use super::rules::PURPOSE_MAX;
use super::tcf::Terms;
use super::{Basis, Dnt, Gpc, Rules};

impl std::fmt::Display for Rules {
    /// The rules in plain words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let grants = self.consulted().filter(|&basis| basis != Basis::Usp);
        let mut before =
            "an event is kept where at least one of these says yes to analytics and none says no: ";
        for basis in grants {
            write!(f, "{before}{}", Words { basis, rules: self })?;
            before = "; or ";
        }
        if before != "; or " {
            f.write_str("no signal that can say yes is consulted, so no event is kept")?;
        }
        if self.consulted().next().is_some() {
            f.write_str("; a signal that cannot be read drops it")?;
        }
        if self.reads(Basis::Usp) {
            f.write_str("; an opt-out in the US Privacy string drops it")?;
        }
        f.write_str(match self.gpc {
            Gpc::Veto => "; Sec-GPC drops it",
            Gpc::NoShare => "; Sec-GPC keeps it out of every shared report and export",
        })?;
        f.write_str(match self.dnt {
            Dnt::Veto => ", DNT drops it",
            Dnt::Ignore => ", DNT is ignored",
        })?;
        match self.policy_version() {
            "" => Ok(()),
            version => write!(f, "; policy version {version}"),
        }
    }
}

/// What it takes for one signal to say yes.
struct Words<'a> {
    basis: Basis,
    rules: &'a Rules,
}

impl std::fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { basis, rules } = self;
        let implied = if rules.implied_is_grant { ", also where it is implied" } else { "" };
        match basis {
            Basis::Payload => f.write_str("consent.analytics of the payload"),
            Basis::Tcf => write!(f, "an IAB TC string with consent to {}", Asked(&rules.tcf)),
            Basis::Gpp => {
                write!(f, "an IAB GPP string with consent to {} in its European section", Asked(&rules.tcf))?;
                f.write_str(" and no opt-out in a US section")
            }
            Basis::Usp => f.write_str("nothing, as US Privacy only objects"),
            Basis::Gcm => f.write_str("analytics_storage of Consent Mode, by the visitor's own choice"),
            Basis::Onetrust => {
                write!(f, "OneTrust's group {}, answered by the visitor", rules.onetrust_group)
            }
            Basis::Trustarc => write!(f, "TrustArc's bucket {}{implied}", rules.trustarc_bucket),
            Basis::Cookiebot => write!(f, "Cookiebot's statistics{implied}"),
            Basis::Cookieyes => f.write_str("CookieYes' analytics, chosen by the visitor"),
            Basis::Didomi if rules.didomi_purpose.is_empty() => {
                f.write_str("Didomi (no didomi_purpose is set: never a yes)")
            }
            Basis::Didomi => write!(f, "Didomi's purpose {}", rules.didomi_purpose),
            Basis::Klaro if rules.klaro_service.is_empty() => {
                f.write_str("Klaro (no klaro_service is set: never a yes)")
            }
            Basis::Klaro => write!(f, "Klaro's service {}", rules.klaro_service),
            Basis::WpConsent => f.write_str("statistics of the WP Consent API"),
            Basis::Complianz => f.write_str("statistics of Complianz"),
            Basis::Cookieconsent => write!(f, "CookieConsent's category {}", rules.cookieconsent_category),
        }
    }
}

/// What is asked of a TC string.
struct Asked<'a>(&'a Terms);

impl std::fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("purposes")?;
        let asked = (1..=PURPOSE_MAX).filter(|purpose| self.0.purposes >> (purpose - 1) & 1 == 1);
        for (index, purpose) in asked.enumerate() {
            write!(f, "{} {purpose}", if index == 0 { "" } else { "," })?;
        }
        match (self.0.vendor_id, self.0.accept_core) {
            (Some(vendor), _) => write!(f, " and vendor {vendor}"),
            (None, true) => f.write_str(" of the core string"),
            (None, false) => f.write_str(" of the publisher"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::tests::rules;

    #[test]
    fn rules_read_as_sentences() {
        let say = |toml: &str| rules(toml).unwrap().to_string();
        assert_eq!(
            say(""),
            "an event is kept where at least one of these says yes to analytics and none says no: consent.analytics of \
             the payload; a signal that cannot be read drops it; Sec-GPC drops it, DNT drops it"
        );
        assert_eq!(
            say("adapters = [\"usp\"]\ngpc = \"no_share\"\ndnt = \"ignore\""),
            "no signal that can say yes is consulted, so no event is kept; a signal that cannot be read drops it; an \
             opt-out in the US Privacy string drops it; Sec-GPC keeps it out of every shared report and export, DNT is \
             ignored"
        );
        assert_eq!(
            say(
                "adapters = [\"trustarc\", \"tcf\"]\nimplied_is_grant = true\npolicy_version = \"7\"\ntcf = { vendor_id = 755 }"
            ),
            "an event is kept where at least one of these says yes to analytics and none says no: an IAB TC string with \
             consent to purposes 1, 8, 9, 10 and vendor 755; or TrustArc's bucket 1, also where it is implied; a signal \
             that cannot be read drops it; Sec-GPC drops it, DNT drops it; policy version 7"
        );
    }
}
