//! SQL of this room: text that is ours alone, and values that are always parameters of the server's.
//!
//! Invariant: no value of a question is ever part of the text. [`Sql`] gives a placeholder for each.

use clickhouse::query::Query;

use super::period::Period;
use super::words::Fact;

/// A value beside the text.
#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Texts(Vec<String>),
    Number(i64),
}

/// The values of one statement, by the order in which they were met.
#[derive(Debug, Clone, Default)]
pub struct Sql {
    values: Vec<Value>,
}

impl Sql {
    fn push(&mut self, value: Value, kind: &str) -> String {
        self.values.push(value);
        format!("{{p{}:{kind}}}", self.values.len() - 1)
    }

    /// A placeholder for a text.
    pub fn text(&mut self, text: &str) -> String {
        self.push(Value::Text(text.to_owned()), "String")
    }

    /// A placeholder for a list of texts.
    pub fn texts(&mut self, texts: &[String]) -> String {
        self.push(Value::Texts(texts.to_vec()), "Array(String)")
    }

    /// A placeholder for a whole number.
    pub fn number(&mut self, number: i64) -> String {
        self.push(Value::Number(number), "Int64")
    }

    /// Lays the values beside a statement.
    pub fn bind(&self, mut query: Query) -> Query {
        for (index, value) in self.values.iter().enumerate() {
            let name = format!("p{index}");
            query = match value {
                Value::Text(text) => query.param(&name, text),
                Value::Texts(texts) => query.param(&name, texts),
                Value::Number(number) => query.param(&name, number),
            };
        }
        query
    }
}

/// A site and a period, as placeholders of one statement.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The site's id.
    pub site: String,
    /// Moments.
    pub from: String,
    /// Moments.
    pub to: String,
    first_day: String,
    last_day: String,
    /// The name of the site's time zone.
    pub zone: String,
}

/// Of a row of `events` or of page views: by what its visit is found.
pub const KEY: &str = "if(visit = 0, visitor, visit)";

/// The tables of visits overlap, so that no day is missing while one of them is made anew (see `schema/0009_visits.sql`).
const VISIT_TABLES: [(&str, &str); 3] = [
    ("consentry.visits_settled", ""),
    (
        "consentry.visits_late",
        " AND day < (SELECT if(count() = 0, toDate('2149-06-06'), min(day)) FROM consentry.visits_now) \
         AND day > (SELECT max(day) FROM consentry.visits_settled)",
    ),
    ("consentry.visits_now", " AND day > (SELECT max(day) FROM consentry.visits_settled)"),
];

impl Scope {
    /// Takes a site's id, its time zone and a period.
    pub fn new(site: &str, zone: &str, period: Period, sql: &mut Sql) -> Self {
        let (first, last) = period.utc_days();
        let mut moment = |second: i64| format!("toDateTime({}, 'UTC')", sql.number(second));
        let (from, to) = (moment(period.from_s), moment(period.to_s));
        let mut day = |day: i64| format!("toDate({})", sql.number(day));
        let (first_day, last_day) = (day(first), day(last));
        Self { site: sql.text(site), from, to, first_day, last_day, zone: sql.text(zone) }
    }

    /// The rows of a fact, as what stands behind `FROM`, with a condition that is not complete: more may follow with `AND`.
    /// Not for visits.
    pub fn rows(&self, fact: Fact) -> String {
        let Self { site, from, to, first_day, last_day, .. } = self;
        let of_site = format!("WHERE site = {site} AND day >= {first_day} AND day <= {last_day}");
        let kept = match fact {
            Fact::Visits | Fact::Pages => {
                return format!("consentry.page_visitors {of_site} AND slot >= {from} AND slot < {to}");
            }
            Fact::Events => " AND name != ''",
            Fact::Clicks => " AND point != ''",
            Fact::Crashes => " AND crash_fingerprint != 0",
            Fact::Vitals => "",
        };
        format!(
            "consentry.events {of_site} AND type = '{}' AND no_share = 0 AND bot = 0 AND ts >= {from} AND ts < {to}{kept}",
            fact.event_type()
        )
    }

    /// Rows of visits of which some part lies in the period. A visit that began up to two days before may be one.
    pub fn visits(&self, columns: &str, condition: &str) -> String {
        let Self { site, from, to, first_day, last_day, .. } = self;
        let parts = VISIT_TABLES.map(|(table, more)| {
            format!(
                "SELECT {columns} FROM {table} WHERE site = {site} AND day >= {first_day} - 2 AND day <= {last_day} \
                 AND start < {to} AND end >= {from}{more} AND {condition}"
            )
        });
        format!("({})", parts.join(" UNION ALL "))
    }

    /// A condition on rows of `fact`: that their visit is one of which `home` has rows with an inner condition.
    pub fn within(&self, fact: Fact, home: Fact, inner: &str) -> String {
        let own = if fact == Fact::Visits { "events_of" } else { KEY };
        match home {
            Fact::Visits => format!("{own} IN {}", self.visits("events_of", inner)),
            _ => format!("{own} IN (SELECT {KEY} FROM {} AND {inner})", self.rows(home)),
        }
    }

    /// Page views in the period of visits that reach beyond it: what stands behind `ANY LEFT JOIN` with `edge_visit` and
    /// `edge_views`.
    pub fn edges(&self) -> String {
        let Self { site, from, to, first_day, last_day, .. } = self;
        let crossing = format!("(start < {from} OR end >= {to})");
        let crossing = self.visits("visit AS edge_visit, events_of, start, end", &crossing);
        format!(
            "(SELECT edge_visit, sum(views) AS edge_views FROM (SELECT {KEY} AS events_of, slot, views FROM consentry.page_visitors \
             WHERE site = {site} AND day >= {first_day} AND day <= {last_day} AND (day <= {first_day} + 2 OR day >= {last_day} - 2) \
             AND slot >= {from} AND slot < {to} AND views > 0) AS p \
             INNER JOIN {crossing} AS w ON w.events_of = p.events_of \
             WHERE p.slot >= toStartOfFifteenMinutes(w.start) AND p.slot <= w.end GROUP BY edge_visit)"
        )
    }
}
