//! Every column that a row of `consentry.events` has, in words for a visitor's data protection officer.

use serde::Serialize;

/// One column: why it is kept, what it is made from, and what is left of that.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Column {
    /// Its name in `consentry.events`.
    pub name: &'static str,
    /// What it is for; the purposes are those of an analytics cookie policy.
    pub purpose: &'static str,
    /// What it is made from.
    pub source: &'static str,
    /// What is left of that.
    pub form: &'static str,
}

const CHANNEL: &str = "the channel through which visitors come";
const PAGES: &str = "visits to each page";
const LENGTH: &str = "the length of each visit";
const POINTS: &str = "use of and clicks on each function point";
const EVENTS: &str = "the events that occur, aggregated usage";
const PERFORMANCE: &str = "performance";
const CRASHES: &str = "crashes and errors, and where they occur";
const DEVICES: &str = "the devices that visit";
const COUNTING: &str = "counting visitors of a day and their visits";
const KEEPING: &str = "keeping the books, the consent and the retention";
const RIGHTS: &str = "the visitor's own rights";

const PAYLOAD: &str = "what the page sends";
const ADDRESS: &str = "the page's address";
const AGENT: &str = "the User-Agent header";
const WIDTHS: &str = "a bucket of widths, never the exact size";
const TEXT: &str = "text, with identifiers replaced by [kind]";
const MILLIS: &str = "milliseconds";
const NUMBER: &str = "a number";
const NAME: &str = "a name from a list";

const fn column(
    name: &'static str,
    purpose: &'static str,
    source: &'static str,
    form: &'static str,
) -> Column {
    Column { name, purpose, source, form }
}

/// In the order of the table. `tests/policy.rs` holds it against the table itself.
pub const COLUMNS: &[Column] = &[
    column("site", KEEPING, "the configuration", "the site's name"),
    column("day", KEEPING, "ts", "the UTC day"),
    column("type", EVENTS, PAYLOAD, "one of six words"),
    column(
        "ts",
        LENGTH,
        "the page's clock, corrected by the collector's",
        "the time in milliseconds, or cut to the site's ts_precision",
    ),
    column(
        "event_id",
        KEEPING,
        "the sender's number of the event",
        "a hash under a key that is destroyed within 48 hours",
    ),
    column(
        "visitor",
        COUNTING,
        "the client's address (IPv6: its /64) and the User-Agent header",
        "a hash under a random key of this site and one day, destroyed within 48 hours: another number on each day and site",
    ),
    column(
        "visit",
        COUNTING,
        "a random number that the tracker keeps for at most 24 hours",
        "a hash under the same key",
    ),
    column(
        "subject",
        RIGHTS,
        "a random token that the tracker keeps, only where the site turns subjects on",
        "a hash under a key of the site; whoever holds the token can export and erase",
    ),
    column(
        "consent_basis",
        KEEPING,
        "the visitor's choice",
        "the name of the signal that granted, nothing else of it",
    ),
    column("policy_version", KEEPING, "the configuration", "the version of the policy that was agreed to"),
    column(
        "no_share",
        RIGHTS,
        "Sec-GPC, or a subject's wish",
        "0, or why the row is left out of every report",
    ),
    column(
        "bot",
        DEVICES,
        "the User-Agent header, which headers a request has, and, only where the operator lists networks of data centres, \
         the client's address",
        "0, or 1 for a program; then the row is in no report",
    ),
    column("host", PAGES, ADDRESS, "the host's name; an address of the network becomes [ip]"),
    column(
        "path",
        PAGES,
        ADDRESS,
        "the path, with identifiers replaced by [kind]; no fragment, user or port",
    ),
    column("prev_path", PAGES, "the address of the page before", "the same"),
    column("page_id", PAGES, PAYLOAD, TEXT),
    column("title", PAGES, PAYLOAD, TEXT),
    column(
        "query",
        PAGES,
        ADDRESS,
        "the parameters that the site lists, with identifiers replaced by [kind]",
    ),
    column("entry_source", CHANNEL, "referrer and campaign", "the name of a source"),
    column(
        "referrer_host",
        CHANNEL,
        "the referrer",
        "its host alone; nothing where that is the site's own or known spam",
    ),
    column("channel", CHANNEL, "referrer and campaign", NAME),
    column("source", CHANNEL, "referrer and campaign", TEXT),
    column("medium", CHANNEL, "referrer and campaign", TEXT),
    column("campaign", CHANNEL, "utm_campaign", TEXT),
    column("content", CHANNEL, "utm_content", TEXT),
    column("term", CHANNEL, "utm_term", TEXT),
    column("utm_channel", CHANNEL, "utm_channel", TEXT),
    column("utm_type", CHANNEL, "utm_type", TEXT),
    column("browser", DEVICES, AGENT, "the family"),
    column("browser_major", DEVICES, AGENT, "the major version"),
    column("os", DEVICES, AGENT, "the family"),
    column("os_major", DEVICES, AGENT, "the major version"),
    column("device", DEVICES, AGENT, "desktop, mobile, tablet, tv, console or other"),
    column("device_vendor", DEVICES, AGENT, "the maker's name"),
    column("device_model", DEVICES, AGENT, "the model's name"),
    column("screen", DEVICES, PAYLOAD, WIDTHS),
    column("viewport", DEVICES, PAYLOAD, WIDTHS),
    column("language", DEVICES, PAYLOAD, "language and region, such as en-GB"),
    column("timezone_offset", DEVICES, PAYLOAD, "minutes east of UTC, not the zone's name"),
    column(
        "country",
        DEVICES,
        "the client's address, only where the operator sets up a database",
        "two letters",
    ),
    column("connection", DEVICES, PAYLOAD, "slow-2g, 2g, 3g, 4g or nothing"),
    column("name", EVENTS, PAYLOAD, TEXT),
    column("point", POINTS, PAYLOAD, TEXT),
    column(
        "props",
        EVENTS,
        PAYLOAD,
        "the properties that the site lists (all, where it has no list), with identifiers replaced by [kind]",
    ),
    column("engaged_ms", LENGTH, "the time for which the page was visible and focused", MILLIS),
    column("scroll_pct", PAGES, "how far down the page was seen", "0 to 100"),
    column("ttfb_ms", PERFORMANCE, PAYLOAD, MILLIS),
    column("fcp_ms", PERFORMANCE, PAYLOAD, MILLIS),
    column("lcp_ms", PERFORMANCE, PAYLOAD, MILLIS),
    column("inp_ms", PERFORMANCE, PAYLOAD, MILLIS),
    column("cls", PERFORMANCE, PAYLOAD, NUMBER),
    column("dom_ms", PERFORMANCE, PAYLOAD, MILLIS),
    column("load_ms", PERFORMANCE, PAYLOAD, MILLIS),
    column("crash_kind", CRASHES, PAYLOAD, TEXT),
    column("crash_message", CRASHES, PAYLOAD, TEXT),
    column("crash_stack", CRASHES, PAYLOAD, TEXT),
    column("crash_source", CRASHES, PAYLOAD, "the script's path with line and column"),
    column(
        "crash_fingerprint",
        CRASHES,
        "kind and first frames",
        "a hash, the same for the same crash of anybody",
    ),
    column("app_version", CRASHES, PAYLOAD, TEXT),
    column("sdk", CRASHES, PAYLOAD, TEXT),
    column("redactions", KEEPING, "the detectors", "how many identifiers were replaced in this row"),
    column("retention_days", KEEPING, "the configuration", "after how many days the row is deleted"),
    column("segment", KEEPING, "the collector", "the batch that brought the row"),
];

/// A table beside `events`: what it holds, and for how long.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Table {
    /// Its name with its database.
    pub name: &'static str,
    /// What it holds.
    pub holds: &'static str,
    /// For how long.
    pub kept: &'static str,
}

/// A roll-up by hour.
const fn rollup(name: &'static str, holds: &'static str) -> Table {
    let kept = "by hour, with a count of visitors of which what it is made from is emptied five days after the day began; for \
                rollup_retention_days";
    Table { name, holds, kept }
}

/// Every other table of the schema. `tests/policy.rs` holds it against the store.
pub const TABLES: &[Table] = &[
    Table {
        name: "consentry.pages",
        holds: "page views, engaged time and the count of visitors of each page by hour; what the count is made from is \
                emptied five days after the day began",
        kept: "for rollup_retention_days (1825 unless set), longer than the rows that it was made from",
    },
    rollup("consentry.sources", "page views that began a visit, by channel, source, medium and campaign"),
    rollup("consentry.devices", "events by class of device, system, browser and bucket of screens"),
    rollup("consentry.places", "events by country and language"),
    rollup("consentry.event_names", "custom events by name"),
    rollup("consentry.points", "clicks by function point and page"),
    rollup("consentry.vitals", "quantiles of loading times by page and class of device"),
    rollup(
        "consentry.crashes",
        "crashes by kind and place, with one text of each, identifiers replaced by [kind]",
    ),
    Table {
        name: "consentry.visits_now",
        holds: "the visits of the last three days, made from the rows each minute: first and last page, how many pages, how \
                long, through which channel, on which device; the same hashes as in visitor and visit",
        kept: "three days, and no longer than the rows",
    },
    Table {
        name: "consentry.visits_late",
        holds: "the visits of the days before, made from the rows each hour",
        kept: "a week, and no longer than the rows",
    },
    Table {
        name: "consentry.visits_settled",
        holds: "the visits of all days before that",
        kept: "for retention_days, as the rows",
    },
    Table {
        name: "consentry.page_visitors",
        holds: "who viewed which page in which quarter of an hour, made from the rows: page views, visible time and how far down; \
                the same hashes as in visitor and visit",
        kept: "for retention_days, as the rows",
    },
    Table {
        name: "consentry.page_days",
        holds: "page views, visible time, visits and the number of visitors of each page and host by day, added up from \
                page_visitors, with up to 64 of the same hashes",
        kept: "for retention_days, as the rows",
    },
    Table {
        name: "consentry.rollup_visitors",
        holds: "how many visitors each group of each report had on each day, as a plain number",
        kept: "as long as the roll-ups",
    },
    Table {
        name: "consentry.salt_receipts",
        holds: "when the key of each day was made and destroyed, and a hash of it; no key, and nothing of a visitor",
        kept: "until the operator deletes it, so that an auditor can read it",
    },
    Table {
        name: "consentry.ledger",
        holds: "how many events were received, dropped, rejected, quarantined and stored, by site and minute",
        kept: "until the operator deletes it; it says nothing of a visitor",
    },
    Table {
        name: "consentry.sites",
        holds: "the sites' time zones, least group sizes and retentions",
        kept: "until the operator deletes it; it says nothing of a visitor",
    },
    Table {
        name: "consentry.subject_choices",
        holds: "who has withdrawn or restricted, by the same hash as in subject; empty where no site keeps subjects",
        kept: "until the operator deletes it: an event with a withdrawn token is refused for as long",
    },
    Table {
        name: "consentry.subject_receipts",
        holds: "that a subject's request was carried out, with counts; neither token nor hash",
        kept: "until the operator deletes it; it says nothing of a visitor",
    },
    Table {
        name: "consentry.schema_migrations",
        holds: "which version of the schema the store has",
        kept: "for ever; it says nothing of a visitor",
    },
];

/// What never gets as far as a disk: what it is, and what becomes of it.
pub const NEVER_KEPT: &[(&str, &str)] = &[
    (
        "the client's address",
        "hashed with the day's key for the visitor's number and, where the operator set these up, looked up in a database of \
         countries and a list of data centres' networks, all within this program; then gone; no log line has it",
    ),
    ("the User-Agent header", "becomes family and major version, then gone"),
    (
        "cookies and consent strings",
        "read for the choice alone; consent ids and user ids in them are not kept",
    ),
    (
        "events without consent",
        "dropped; a count by site, minute and reason remains, and no byte of the event anywhere",
    ),
    (
        "names, e-mail addresses, telephone numbers, postal addresses, documents, accounts, cards, device ids, coordinates",
        "no field takes them; where a page puts them into an address or a text, detectors replace what can be told by \
         its form or its label. A name in running text cannot be told from other words: the answer to that is to list \
         the properties and parameters that are kept, and to drop all others",
    ),
    ("advertisers' click ids", "counted as a paid visit, then gone"),
    (
        "URL fragments, ports, users and passwords, and query parameters that the site does not list",
        "cut off",
    ),
];
