//! The shape of uap-core's file, and how each of its lists says where a rule's values come from.

use std::sync::OnceLock;

use serde::Deserialize;

use super::rule::{Rule, Value};

/// The file as uap-core lays it out (`regexes.yaml`, as JSON).
#[derive(Deserialize)]
pub(super) struct File {
    pub(super) user_agent_parsers: Vec<BrowserRule>,
    pub(super) os_parsers: Vec<OsRule>,
    pub(super) device_parsers: Vec<DeviceRule>,
}

impl File {
    /// All rules in the order of the lists: browsers, operating systems, devices.
    pub(super) fn into_rules(self) -> Vec<Rule> {
        let mut rules = Vec::with_capacity(
            self.user_agent_parsers.len() + self.os_parsers.len() + self.device_parsers.len(),
        );
        rules.extend(self.user_agent_parsers.into_iter().map(|rule| Rule {
            pattern: rule.regex,
            case_insensitive: false,
            values: [
                Value::new(rule.family_replacement, 1),
                Value::new(rule.v1_replacement, 2),
                Value::Absent,
            ],
            matcher: OnceLock::new(),
        }));
        rules.extend(self.os_parsers.into_iter().map(|rule| Rule {
            pattern: rule.regex,
            case_insensitive: false,
            values: [
                Value::new(rule.os_replacement, 1),
                Value::new(rule.os_v1_replacement, 2),
                Value::Absent,
            ],
            matcher: OnceLock::new(),
        }));
        rules.extend(self.device_parsers.into_iter().map(|rule| Rule {
            pattern: rule.regex,
            case_insensitive: rule.regex_flag.as_deref() == Some("i"),
            values: [
                Value::new(rule.device_replacement, 1),
                rule.brand_replacement.map_or(Value::Absent, Value::Template),
                Value::new(rule.model_replacement, 1),
            ],
            matcher: OnceLock::new(),
        }));
        rules
    }
}

#[derive(Deserialize)]
pub(super) struct BrowserRule {
    regex: Box<str>,
    family_replacement: Option<Box<str>>,
    v1_replacement: Option<Box<str>>,
}

#[derive(Deserialize)]
pub(super) struct OsRule {
    regex: Box<str>,
    os_replacement: Option<Box<str>>,
    os_v1_replacement: Option<Box<str>>,
}

#[derive(Deserialize)]
pub(super) struct DeviceRule {
    regex: Box<str>,
    regex_flag: Option<Box<str>>,
    device_replacement: Option<Box<str>>,
    brand_replacement: Option<Box<str>>,
    model_replacement: Option<Box<str>>,
}
