//! The choices that a site has, each with its words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How exactly a row says when it happened. A coarser time tells less of what one visitor did; lengths of visits are kept as
/// they are, for they come from `engaged_ms`, and events of one moment are told apart by their ids alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TsPrecision {
    /// As it was sent.
    #[default]
    Millisecond,
    /// Cut to the second.
    Second,
    /// Cut to the minute.
    Minute,
    /// Cut to the hour; visits without an id of the tracker's are then stitched by the hour.
    Hour,
}

impl TsPrecision {
    /// Cuts a time in milliseconds since 1970.
    pub fn cut(self, ts_ms: i64) -> i64 {
        let unit_ms = match self {
            Self::Millisecond => return ts_ms,
            Self::Second => 1_000,
            Self::Minute => crate::clock::MINUTE_MS,
            Self::Hour => crate::clock::HOUR_MS,
        };
        ts_ms - ts_ms.rem_euclid(unit_ms)
    }

    /// As the end of "the time to the ...".
    pub fn word(self) -> &'static str {
        match self {
            Self::Millisecond => "millisecond",
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }
}

/// What becomes of events of pages that are not the site's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostnameRule {
    /// Dropped, and counted.
    #[default]
    Drop,
    /// Rejected: the sender is told.
    Reject,
}

/// What becomes of events that a program sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BotRule {
    /// Kept with `bot` = 1, and in no report.
    #[default]
    Mark,
    /// Dropped, and counted.
    Drop,
}

impl BotRule {
    /// In words, as the end of "events of programs are ...".
    pub fn words(self) -> &'static str {
        match self {
            Self::Mark => "kept, and in no report",
            Self::Drop => "dropped",
        }
    }
}
