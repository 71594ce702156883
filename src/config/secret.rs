//! Secrets: never printed, and better kept in files of their own.

use std::borrow::Cow;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use super::problem::Fault;
use crate::deidentify::network::read_bounded;

/// What is printed in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// The largest file that a secret is read from, in bytes.
const SECRET_BYTES_MAX: u64 = 4096;

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The secret itself. Compare or send it; never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads a secret from the file that `key` names: one line of text, at most 4096 bytes.
    ///
    /// # Errors
    /// Where the file cannot be read or holds anything else; the fault says what to write.
    pub fn from_file(key: &'static str, path: &Path) -> Result<Self, Fault> {
        let bytes = read_bounded(key, path, SECRET_BYTES_MAX).map_err(|error| {
            let what = error.to_string();
            let what = what.strip_prefix(&format!("{key}: ")).unwrap_or(&what);
            Fault::new(key, what, "name a file that the collector's user may read")
        })?;
        let text = String::from_utf8(bytes).unwrap_or_default();
        let text = text.trim();
        if text.is_empty() || text.chars().any(char::is_control) {
            let what = format!("{} does not hold one line of text", path.display());
            return Err(Fault::new(key, what, "put the secret there and nothing else"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}
