//! The leak alarm: what the detectors let through, found once more in the stored form, by other means.
//!
//! Of each segment that is shipped an evenly spaced sample of rows is looked at, up to `leak_scan_rows_max`; a small
//! site's rows are all looked at. A row with a find is not inserted: it goes to the quarantine, where the text at
//! fault is shown by its shape alone ("aaaa.aaa@aaaa.aaa"), and `consentry_leaks` counts it.
//!
//! Invariant: nothing here is shared with `deidentify`. A mistake there is not repeated here: these are plain
//! regular expressions with checks from other libraries, over the bytes that ClickHouse would get.
//! Invariant: the same segment gives the same sample and the same finds, so an insert that is sent again is the same.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::event_columns;
use crate::spool::StoredRow;
use rules::Rules;

/// A column with something in it that identifies somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    /// The column of `consentry.events`.
    pub column: &'static str,
    /// What it looks like.
    pub kind: &'static str,
}

/// Columns whose words come from the configuration or from this program, never from what was sent.
const OUR_OWN: [&str; 8] =
    ["site", "type", "consent_basis", "policy_version", "channel", "device", "screen", "viewport"];

/// Scans rows. One for a shipper.
#[derive(Debug)]
pub(super) struct LeakAlarm {
    rules: Rules,
    rows_max: usize,
}

macro_rules! scan {
    ($alarm:ident, $found:ident, $column:literal, text, $value:expr) => {
        $alarm.text($column, $value, $found)
    };
    ($alarm:ident, $found:ident, $column:literal, pairs, $value:expr) => {
        for &(name, value) in $value {
            $alarm.text($column, name, $found);
            $alarm.text($column, value, $found);
        }
    };
    // Numbers: hashes, buckets and measures of bounded size.
    ($alarm:ident, $found:ident, $column:literal, $number:ident, $value:expr) => {};
}

macro_rules! define_scan {
    ($(($field:ident, $column:literal, $kind:tt))*) => {
        impl LeakAlarm {
            fn row(&self, row: &StoredRow<'_>, found: &mut Vec<Leak>) {
                $(scan!(self, found, $column, $kind, &row.$field);)*
            }
        }
    };
}

event_columns!(define_scan);

impl LeakAlarm {
    /// `rows_max`: rows of a segment that are looked at; 0: none.
    pub(super) fn new(rows_max: usize) -> Self {
        Self { rules: Rules::new(), rows_max }
    }

    /// The rows with finds, by their place among `rows` rows, of which `row` gives one. The sample depends on the segment's id and size alone.
    pub(super) fn sample<'a>(
        &self,
        segment: &str,
        rows: usize,
        row: impl Fn(usize) -> Option<StoredRow<'a>>,
    ) -> BTreeMap<usize, Vec<Leak>> {
        let mut leaks = BTreeMap::new();
        if self.rows_max == 0 || rows == 0 {
            return leaks;
        }
        let step = rows.div_ceil(self.rows_max);
        // Where the steps begin differs from segment to segment, so that no place in a batch is never looked at.
        let first = segment.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let mut found = Vec::new();
        for index in (first % step..rows).step_by(step) {
            let Some(row) = row(index) else { continue };
            self.row(&row, &mut found);
            if !found.is_empty() {
                leaks.insert(index, std::mem::take(&mut found));
            }
        }
        leaks
    }

    fn text(&self, column: &'static str, text: &str, found: &mut Vec<Leak>) {
        if text.is_empty() || OUR_OWN.contains(&column) {
            return;
        }
        let mut add = |kind| {
            let leak = Leak { column, kind };
            if !found.contains(&leak) {
                found.push(leak);
            }
        };
        self.rules.find(column, text.as_bytes(), &mut add);
        if text.contains('%') {
            let decoded: Vec<u8> = percent_encoding::percent_decode_str(text).collect();
            self.rules.find(column, &decoded, &mut add);
        }
    }
}

/// A text by its shape: each letter an "a", each digit a "9", the rest as it is. For a human who mends a detector.
pub(super) fn shape(text: &str) -> String {
    let of = |c: char| match c {
        _ if c.is_numeric() => '9',
        _ if c.is_alphabetic() => 'a',
        _ => c,
    };
    text.chars().map(of).collect()
}
