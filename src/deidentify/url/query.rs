//! Which parameters of a query are kept: those that the site's allow-list names, and the campaign's.

use super::super::detect::redact_field;
use super::campaign::ClickId;
use super::scrub::{decode, scrub};
use super::{QUERY_NAME_BYTES_MAX, QUERY_PAIRS_MAX, QUERY_VALUE_BYTES_MAX, ReducedUrl};

/// The names of query parameters that a site keeps.
#[derive(Clone, Debug, Default)]
pub struct QueryAllowList {
    names: Vec<Box<str>>,
    prefixes: Vec<Box<str>>,
}

impl QueryAllowList {
    /// From names as the site's `query_params` lists them; a `*` at the end stands for any rest, elsewhere for itself.
    pub fn new(patterns: &[String]) -> Self {
        let mut list = Self::default();
        for pattern in patterns {
            match pattern.strip_suffix('*') {
                Some(prefix) => list.prefixes.push(prefix.into()),
                None => list.names.push(pattern.as_str().into()),
            }
        }
        list
    }

    /// The patterns as they were written, for the disclosure.
    pub fn patterns(&self) -> Vec<String> {
        let prefixes = self.prefixes.iter().map(|prefix| format!("{prefix}*"));
        self.names.iter().map(|name| name.to_string()).chain(prefixes).collect()
    }

    /// Whether `name`, in its decoded form and compared case-sensitively, is on the list.
    pub fn allows(&self, name: &str) -> bool {
        self.names.iter().any(|known| **known == *name)
            || self.prefixes.iter().any(|prefix| name.starts_with(&**prefix))
    }
}

impl<'a> ReducedUrl<'a> {
    /// Sorts the parameters of `query` into the campaign's, a click id, those that are kept and those that vanish.
    pub(super) fn take_query(&mut self, query: &'a str, allow: &QueryAllowList) {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true);
            if let Some(click_id) = ClickId::from_parameter(&name) {
                if !value.is_empty() {
                    self.click_id.get_or_insert(click_id);
                }
                continue;
            }
            let kept = self.query.len() < QUERY_PAIRS_MAX && allow.allows(&name);
            let campaign = self.utm.field(&name).filter(|field| field.is_none());
            if !kept && campaign.is_none() {
                continue;
            }
            let value = decode(value, true);
            // The campaign's names say nothing of a visitor.
            let identifying = if campaign.is_some() { None } else { redact_field(&name, &value) };
            let (value, count) = match identifying {
                Some(kind) => (kind.into(), 1),
                None => scrub(value, QUERY_VALUE_BYTES_MAX),
            };
            self.redactions = self.redactions.saturating_add(count);
            if let Some(field) = campaign
                && !value.is_empty()
            {
                *field = Some(value.clone());
            }
            if kept {
                let (name, count) = scrub(name, QUERY_NAME_BYTES_MAX);
                self.redactions = self.redactions.saturating_add(count);
                self.query.push((name, value));
            }
        }
    }
}
