//! The disclosure as a document: sections of paragraphs and tables, before anybody asks for Markdown or HTML.

use super::{Policy, SitePolicy};

/// A table with a heading for each column.
pub(super) struct Grid {
    pub(super) caption: String,
    pub(super) heads: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

pub(super) enum Block {
    Paragraph(String),
    Grid(Grid),
}

pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) heading: String,
    pub(super) blocks: Vec<Block>,
}

fn text(words: impl Into<String>) -> Block {
    Block::Paragraph(words.into())
}

fn grid(caption: &str, heads: &[&'static str], rows: impl Iterator<Item = Vec<String>>) -> Block {
    Block::Grid(Grid { caption: caption.into(), heads: heads.to_vec(), rows: rows.collect() })
}

/// The title of the whole.
pub(super) const TITLE: &str = "What this website's analytics collects";

pub(super) fn sections(policy: &Policy) -> Vec<Section> {
    vec![
        in_short(policy),
        by_site(policy),
        in_the_browser(policy),
        signals(policy),
        rows(policy),
        tables(policy),
        never(policy),
        pseudonyms(),
        rights(policy),
    ]
}

fn in_short(policy: &Policy) -> Section {
    Section {
        id: "summary",
        heading: "In short".into(),
        blocks: vec![
            text(
                "An event is kept only where the visitor has agreed to analytics, and nothing in it can say who the \
                 visitor is. A refusal, an objection of the browser or a signal that cannot be read means that the \
                 event is dropped. A choice that is changed counts from the next event on.",
            ),
            text(format!(
                "Made from the code and the configuration of Consentry {}; it describes what that program does.",
                policy.version
            )),
        ],
    }
}

fn by_site(policy: &Policy) -> Section {
    let mut blocks = vec![grid(
        "Sites and how long their rows are kept",
        &[
            "Site",
            "Rows are deleted after",
            "Least visitors of a reported group",
            "Time zone",
            "Policy version",
        ],
        policy.sites.iter().map(|site| {
            let version = if site.policy_version.is_empty() { "-" } else { site.policy_version.as_str() };
            vec![
                site.id.clone(),
                format!("{} days", site.retention_days),
                site.k_anonymity.to_string(),
                site.timezone.clone(),
                version.to_owned(),
            ]
        }),
    )];
    blocks.extend(policy.sites.iter().flat_map(of_site));
    Section { id: "sites", heading: "Site by site".into(), blocks }
}

fn of_site(site: &SitePolicy) -> [Block; 2] {
    let listed = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    let props = site.props.as_ref().map_or("all, scrubbed".to_owned(), |names| listed(names));
    [
        text(format!("{}: {}.", site.id, site.consent)),
        text(format!(
            "{}: query parameters that are kept: {}; properties that are kept: {props}.",
            site.id,
            listed(&site.query_params)
        )),
    ]
}

fn in_the_browser(policy: &Policy) -> Section {
    let category = |wanted: &str, caption: &str| {
        let of = policy.storage.iter().filter(|key| key.category == wanted);
        let row = |key: &super::StorageKey| {
            vec![key.key.clone(), key.duration.clone(), "first party".into(), key.purpose.clone()]
        };
        grid(caption, &["Key", "Duration", "Source", "Purpose"], of.map(row))
    };
    Section {
        id: "storage",
        heading: "What is kept in the browser".into(),
        blocks: vec![
            text(
                "The tracker sets no cookie. After consent it keeps these keys in the browser's local storage; before \
                 consent it keeps nothing, and a withdrawal removes them.",
            ),
            category("necessary", "Necessary"),
            category("analytics", "Analytics"),
        ],
    }
}

fn signals(policy: &Policy) -> Section {
    let row = |signal: &super::Signal| {
        let sites = if signal.sites.is_empty() { "-".to_owned() } else { signal.sites.join(", ") };
        vec![signal.name.to_owned(), signal.meaning.to_owned(), sites]
    };
    Section {
        id: "signals",
        heading: "Signals of consent that are honoured".into(),
        blocks: vec![
            text(
                "Each signal is reduced at once to yes, no or objection. Of the one that granted, its name is kept; of \
                 the others nothing.",
            ),
            grid(
                "Signals",
                &["Signal", "What it is", "Sites that consult it"],
                policy.signals.iter().map(row),
            ),
        ],
    }
}

/// How long a row of any site is kept.
fn retention(policy: &Policy) -> String {
    let days = policy.sites.iter().map(|site| site.retention_days);
    match (days.clone().min(), days.max()) {
        (Some(least), Some(most)) if least == most => format!("{most} days"),
        (Some(least), Some(most)) => format!("{least} to {most} days, by site"),
        _ => "as configured".into(),
    }
}

fn rows(policy: &Policy) -> Section {
    let kept = retention(policy);
    let row = |column: &super::Column| {
        let [name, purpose, source, form] = [column.name, column.purpose, column.source, column.form];
        vec![name.into(), purpose.into(), source.into(), form.into(), kept.clone()]
    };
    Section {
        id: "columns",
        heading: "What a stored event holds".into(),
        blocks: vec![
            text("One row for each event, in the table consentry.events. There is no other field."),
            grid(
                "Columns of consentry.events",
                &["Column", "Purpose", "Made from", "Form", "Kept for"],
                policy.columns.iter().map(row),
            ),
        ],
    }
}

fn tables(policy: &Policy) -> Section {
    let row = |table: &super::Table| vec![table.name.into(), table.holds.into(), table.kept.into()];
    Section {
        id: "tables",
        heading: "What is stored beside events".into(),
        blocks: vec![grid("Other tables", &["Table", "Holds", "Kept"], policy.tables.iter().map(row))],
    }
}

fn never(policy: &Policy) -> Section {
    let row = |never: &super::NeverKept| vec![never.what.into(), never.becomes.into()];
    Section {
        id: "never",
        heading: "What is never kept".into(),
        blocks: vec![grid("Never kept", &["What", "What becomes of it"], policy.never_kept.iter().map(row))],
    }
}

fn pseudonyms() -> Section {
    Section {
        id: "pseudonyms",
        heading: "How a visitor's number dies".into(),
        blocks: vec![text(
            "The numbers of visitors and visits are hashes under a random key that is made for one site and one UTC day. \
             When the key is made, a commitment to it is written down; when it is destroyed, within 48 hours, a receipt. \
             From then on nobody, the operator included, can tell whose number it was, or compute it again. No visitor has \
             the same number on two sites or two days; a visit over midnight keeps the number of the day on which it began.",
        )],
    }
}

fn rights(policy: &Policy) -> Section {
    let with: Vec<&str> =
        policy.sites.iter().filter(|site| site.subjects).map(|site| site.id.as_str()).collect();
    let subjects = if with.is_empty() {
        "No site keeps a subject's token, so no row can be told to be anybody's: there is nothing that could be looked up, \
         exported or erased for one person, and no means to make any."
            .to_owned()
    } else {
        format!(
            "On {} the tracker keeps a random token after consent. Whoever holds it can have every row exported, erased or \
             left out of reports, and withdraw for the future, with POST /v1/subjects/export, erase, restrict and withdraw. \
             Without the token nobody can find a person's rows, the operator included.",
            with.join(", ")
        )
    };
    Section {
        id: "rights",
        heading: "Rights, and who sees what".into(),
        blocks: vec![
            text(subjects),
            text(
                "Consent can be withdrawn at any time in the website's own dialog: the tracker stops at once and removes what \
                 it kept in the browser.",
            ),
            text(
                "Analysts read reports alone: groups of at least as many visitors as the table above says. Rows marked \
                 no_share are in no report. Rows are read by the operator's administrators only.",
            ),
        ],
    }
}
