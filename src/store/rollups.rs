//! The roll-ups and the views over them, for whoever has to treat all of them alike: emptying their states after some days
//! ([`super::retention`]) and building their days anew after an erasure ([`super::subject`]).
//!
//! Adding one: a table with `site`, `hour` and a state `visitors`, a materialized view `<table>_mv` that fills it, and a view
//! of the schema `report`, all in `schema/`; then a line here. `tests/rollups.rs` holds this list against the store.

/// A view of the schema `report` over a roll-up.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Its name.
    pub name: &'static str,
    /// The roll-up, a table of the schema `consentry`; `<rollup>_mv` fills it.
    pub rollup: &'static str,
    /// What it groups by besides site and day, as text, in the order of `rollup_visitors.dims`.
    pub dims: &'static str,
}

/// The roll-ups.
pub const ROLLUPS: [&str; 8] =
    ["pages", "sources", "devices", "places", "event_names", "points", "vitals", "crashes"];

/// What is made from rows by a materialized view and is kept as long as they, hashes included: the table and its column of
/// time. An erasure builds its days anew as those of the roll-ups.
pub const EXCERPTS: [(&str, &str); 1] = [("page_visitors", "slot")];

const fn view(name: &'static str, rollup: &'static str, dims: &'static str) -> View {
    View { name, rollup, dims }
}

/// Every view that counts visitors.
pub const VIEWS: [View; 13] = [
    view("pages", "pages", "toString(host), path"),
    view("channels", "sources", "toString(channel)"),
    view("sources", "sources", "toString(channel), toString(source), toString(medium), toString(campaign)"),
    view("devices", "devices", "toString(device)"),
    view("browsers", "devices", "toString(browser), toString(browser_major)"),
    view("systems", "devices", "toString(os), toString(os_major)"),
    view("screens", "devices", "toString(device), toString(screen)"),
    view("countries", "places", "toString(country)"),
    view("languages", "places", "toString(language)"),
    view("events", "event_names", "toString(name)"),
    view("points", "points", "toString(point), toString(host), path"),
    view("vitals", "vitals", "toString(host), path, toString(device)"),
    view("crashes", "crashes", "hex(fingerprint)"),
];

impl View {
    /// The statements that write down each day's numbers of visitors, of the rows of the roll-up that `condition` names:
    /// of each group, and of all groups together that are too small to be shown.
    pub(super) fn write_down(&self, condition: &str) -> [String; 2] {
        let Self { name, rollup, dims } = self;
        let groups = format!(
            "SELECT site, toDate(hour, 'UTC') AS day, [{dims}] AS dims, uniqMergeState(visitors) AS state, \
             uniqMerge(visitors) AS number FROM consentry.{rollup} WHERE {condition} GROUP BY site, day, dims"
        );
        let into = "INSERT INTO consentry.rollup_visitors (site, view, day, dims, visitors)";
        [
            format!("{into} SELECT site, '{name}', day, dims, number FROM ({groups})"),
            format!(
                "{into} SELECT g.site, '{name}', g.day, ['(withheld)'], uniqMerge(g.state) FROM ({groups}) AS g \
                 INNER JOIN consentry.group_sizes AS s ON s.site = g.site WHERE g.number < s.k GROUP BY g.site, g.day"
            ),
        ]
    }
}
