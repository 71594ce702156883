//! The one storable type, and the one list of what is stored.
//!
//! [`event_columns!`] names every column of `consentry.events` once. The row, the spool's codec and the columns that
//! are sent to ClickHouse are all made from it, so none of them can hold what the list does not name.

use std::borrow::Cow;

/// Calls a macro with every column: `(field, "column", kind)`. The order is the order in the spool's records.
///
/// Kinds: `text`, `pairs` (names with values), `u8`, `u16`, `u32`, `u64`, `u128`, `i16`, `ms` (milliseconds since
/// 1970), `maybe_u32`, `maybe_f32`.
#[macro_export]
#[doc(hidden)]
macro_rules! event_columns {
    ($with:ident) => {
        $with! {
            (event_id, "event_id", u128)
            (site, "site", text)
            (kind, "type", text)
            (ts, "ts", ms)
            (visitor, "visitor", u64)
            (visit, "visit", u64)
            (subject, "subject", u128)
            (consent_basis, "consent_basis", text)
            (policy_version, "policy_version", text)
            (no_share, "no_share", u8)
            (bot, "bot", u8)
            (retention_days, "retention_days", u16)
            (host, "host", text)
            (path, "path", text)
            (prev_path, "prev_path", text)
            (page_id, "page_id", text)
            (title, "title", text)
            (query, "query", pairs)
            (entry_source, "entry_source", text)
            (referrer_host, "referrer_host", text)
            (channel, "channel", text)
            (source, "source", text)
            (medium, "medium", text)
            (campaign, "campaign", text)
            (content, "content", text)
            (term, "term", text)
            (utm_channel, "utm_channel", text)
            (utm_type, "utm_type", text)
            (browser, "browser", text)
            (browser_major, "browser_major", u16)
            (os, "os", text)
            (os_major, "os_major", u16)
            (device, "device", text)
            (device_vendor, "device_vendor", text)
            (device_model, "device_model", text)
            (screen, "screen", text)
            (viewport, "viewport", text)
            (language, "language", text)
            (timezone_offset, "timezone_offset", i16)
            (country, "country", text)
            (connection, "connection", text)
            (name, "name", text)
            (point, "point", text)
            (props, "props", pairs)
            (engaged_ms, "engaged_ms", u32)
            (scroll_pct, "scroll_pct", u8)
            (ttfb_ms, "ttfb_ms", maybe_u32)
            (fcp_ms, "fcp_ms", maybe_u32)
            (lcp_ms, "lcp_ms", maybe_u32)
            (inp_ms, "inp_ms", maybe_u32)
            (cls, "cls", maybe_f32)
            (dom_ms, "dom_ms", maybe_u32)
            (load_ms, "load_ms", maybe_u32)
            (crash_kind, "crash_kind", text)
            (crash_message, "crash_message", text)
            (crash_stack, "crash_stack", text)
            (crash_source, "crash_source", text)
            (crash_fingerprint, "crash_fingerprint", u64)
            (app_version, "app_version", text)
            (sdk, "sdk", text)
            (redactions, "redactions", u16)
        }
    };
}

/// Names with values, in the order sent.
pub type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The Rust type behind a column's kind.
macro_rules! kind_type {
    (text) => { Cow<'a, str> };
    (pairs) => { Pairs<'a> };
    (ms) => { i64 };
    (maybe_u32) => { Option<u32> };
    (maybe_f32) => { Option<f32> };
    ($number:ident) => { $number };
}

macro_rules! define_row {
    ($(($field:ident, $column:literal, $kind:tt))*) => {
        /// One event as it is stored. Made by [`super::enrich`] alone.
        #[derive(Debug, Clone)]
        #[cfg_attr(test, derive(Default))]
        #[allow(missing_docs)] // the columns are described where they are declared, in schema/
        pub struct EventRow<'a> {
            $(pub(super) $field: kind_type!($kind),)*
        }

        impl<'a> EventRow<'a> {
            /// Names of all columns, in the order of the spool's records.
            pub const COLUMNS: &'static [&'static str] = &[$($column),*];
        }

        /// A row's columns, for reading.
        impl<'a> EventRow<'a> {
            $(
                #[allow(missing_docs)]
                pub fn $field(&self) -> &kind_type!($kind) {
                    &self.$field
                }
            )*
        }
    };
}

event_columns!(define_row);

#[cfg(test)]
impl EventRow<'_> {
    /// A row of nothing but an id, for tests of what carries rows.
    pub(crate) fn with_event_id(event_id: u128) -> Self {
        Self { event_id, ..Self::default() }
    }

    /// A row of nothing but an id and a subject.
    pub(crate) fn with_ids(event_id: u128, subject: u128) -> Self {
        Self { event_id, subject, ..Self::default() }
    }

    /// A row of nothing but a subject.
    pub(crate) fn with_subject(subject: u128) -> Self {
        Self { subject, ..Self::default() }
    }
}
