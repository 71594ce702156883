//! From a question to one statement: a sub-select for each kind of rows that its metrics are counted from, laid side by side by
//! the dimensions, with groups of fewer than k visitors taken together in one row that bears no name.

use std::fmt::Write;

use super::filter::Filter;
use super::period::Period;
use super::problem::Answer;
use super::query::SiteFacts;
use super::sql::{KEY, Scope, Sql};
use super::withhold::{Figure, withhold};
use super::words::{Dimension, Fact, Grain, Metric, fact_of};

/// By what the answer is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The metric at this place of the list.
    Metric(usize),
    /// The dimension at this place of the list.
    Dimension(usize),
}

/// What is asked, understood.
#[derive(Debug, Clone)]
pub struct Question {
    /// A site's id.
    pub site: String,
    /// Its time zone.
    pub zone: String,
    /// The least visitors of a group that is shown; 0: none is.
    pub k: u64,
    /// When.
    pub period: Period,
    /// What is counted.
    pub metrics: Vec<Metric>,
    /// By what.
    pub dimensions: Vec<Dimension>,
    /// Of which events and visits.
    pub filter: Filter,
    /// In which order; true: falling.
    pub order: Vec<(By, bool)>,
    /// Rows at most.
    pub limit: u64,
    /// Rows that are left out first.
    pub offset: u64,
    /// Whether rows that are marked as their visitor's only one can be believed (see [`super::lone`]).
    pub lone: bool,
    /// The last UTC day (since 1970) until which days of pages can be added up (see [`super::rolled`]).
    pub rolled: Option<i64>,
}

/// A metric of one fact: what is added up, and what is made of it.
struct Measure {
    parts: Vec<String>,
    /// `{0}` and so on stand for the parts.
    shown: String,
    /// Whether the parts of several groups may be added.
    additive: bool,
    /// Whether there is a zero where there is no row.
    counts: bool,
}

fn measure(metric: Metric, fact: Fact, k: &str) -> Measure {
    let count = |part: &str, additive: bool| Measure {
        parts: vec![part.to_owned()],
        shown: "toFloat64({0})".into(),
        additive,
        counts: true,
    };
    let ratio = |parts: [&str; 2], factor: &str, additive: bool| Measure {
        parts: parts.map(str::to_owned).to_vec(),
        shown: format!("if({{1}} = 0, NULL, round({factor} * {{0}} / {{1}}, 2))"),
        additive,
        counts: false,
    };
    let visits = format!("uniqExact({KEY})");
    match (metric, fact) {
        (Metric::Visitors, _) => count("", false),
        (Metric::Visits, Fact::Visits) => count("count()", true),
        (Metric::Visits, _) => count(&visits, false),
        (Metric::Pageviews, _) => count("sum(views)", true),
        (Metric::ViewsPerVisit, _) => ratio(["sum(pages)", "count()"], "1", true),
        (Metric::BounceRate, _) => ratio(["sum(bounce)", "count()"], "100", true),
        (Metric::VisitDuration, _) => ratio(["sum(length_ms)", "count()"], "0.001", true),
        (Metric::TimeOnPage, _) => ratio(["sum(engaged_ms)", &visits], "0.001", false),
        (Metric::ScrollDepth, _) => {
            let some = "engaged_ms > 0 OR scroll_pct > 0";
            ratio([&format!("sumIf(scroll_pct, {some})"), &format!("countIf({some})")], "1", true)
        }
        (Metric::Events | Metric::Clicks | Metric::Crashes | Metric::Samples, _) => count("count()", true),
        (Metric::Quantile(vital, quantile), _) => {
            let column = Metric::vital_column(vital);
            let quantiles = format!(
                "quantilesExactIf(0.5, 0.75, 0.95)(toFloat64(assumeNotNull({column})), {column} IS NOT NULL)"
            );
            let place = match quantile {
                50 => 1,
                75 => 2,
                _ => 3,
            };
            Measure {
                parts: vec![quantiles, format!("uniqExactIf(visitor, {column} IS NOT NULL)")],
                shown: format!("if({{1}} >= {k} AND {{1}} > 0, round({{0}}[{place}], 4), NULL)"),
                additive: false,
                counts: false,
            }
        }
    }
}

fn of_moment(grain: Grain, moment: &str, zone: &str) -> String {
    match grain {
        Grain::Hour => format!("toStartOfHour(toTimeZone({moment}, {zone}))"),
        Grain::Day => format!("toDate({moment}, {zone})"),
        Grain::Week => format!("toMonday({moment}, {zone})"),
        Grain::Month => format!("toStartOfMonth({moment}, {zone})"),
    }
}

/// Every hour, day, week or month in which a visit is, within the period: it is there from its first event to its last.
fn of_visit(grain: Grain, scope: &Scope) -> String {
    let Scope { from, to, zone, .. } = scope;
    let first = format!("toDateTime(greatest(start, toDateTime64({from}, 3, 'UTC')), 'UTC')");
    let last = format!("toDateTime(least(end, toDateTime64({to}, 3, 'UTC') - toIntervalSecond(1)), 'UTC')");
    match grain {
        Grain::Hour => {
            let unix = |moment: &str| format!("toUnixTimestamp({})", of_moment(grain, moment, zone));
            format!(
                "arrayMap(second -> toDateTime(second, {zone}), range({}, {} + 1, 3600))",
                unix(&first),
                unix(&last)
            )
        }
        Grain::Day => {
            let (first, last) = (of_moment(grain, &first, zone), of_moment(grain, &last, zone));
            format!("arrayMap(n -> {first} + n, range(toUInt32({last} - {first}) + 1))")
        }
        Grain::Week | Grain::Month => {
            format!("arrayDistinct([{}, {}])", of_moment(grain, &first, zone), of_moment(grain, &last, zone))
        }
    }
}

impl Question {
    /// The question of how many visits there are: what the guard has to know of one that is asked in other words.
    pub fn of_all(site: &SiteFacts, period: Period, filter: Filter) -> Self {
        Self {
            site: site.id.clone(),
            zone: site.zone_name.clone(),
            k: site.k,
            period,
            metrics: vec![Metric::Visits],
            dimensions: Vec::new(),
            filter,
            order: Vec::new(),
            limit: 1,
            offset: 0,
            lone: false,
            rolled: None,
        }
    }

    fn dimension_text(&self, place: usize) -> String {
        match self.dimensions[place] {
            Dimension::Crash => format!("hex(d{place})"),
            _ => format!("toString(d{place})"),
        }
    }

    /// The kinds of rows that are counted, the first of which says which groups there are, and for each metric which it is.
    pub fn facts(&self) -> Answer<(Vec<Fact>, Vec<usize>)> {
        let filtered = self.filter.dimensions();
        let mut facts: Vec<Fact> = Vec::new();
        let people = fact_of(Metric::Visitors, "dimensions", &self.dimensions, &filtered)?;
        let mut of = Vec::with_capacity(self.metrics.len());
        for (index, &metric) in self.metrics.iter().enumerate() {
            of.push(fact_of(metric, &format!("metrics[{index}]"), &self.dimensions, &filtered)?);
        }
        // Whoever is counted as a visitor says which groups there are; else the first metric.
        let head = if of.contains(&people) { people } else { of[0] };
        facts.push(head);
        for &fact in &of {
            if !facts.contains(&fact) {
                facts.push(fact);
            }
        }
        let places =
            of.iter().map(|fact| facts.iter().position(|other| other == fact).unwrap_or(0)).collect();
        Ok((facts, places))
    }

    /// The rows of one fact, grouped: columns `d0`.., `v`, `few` and the parts of its metrics.
    fn grouped(
        &self,
        place: usize,
        fact: Fact,
        parts: &[(String, String)],
        scope: &Scope,
        sql: &mut Sql,
    ) -> String {
        if let Some(days) = self.rolled(place, fact, parts, scope, sql) {
            return days;
        }
        let mut dimensions = Vec::new();
        let mut unfolded = String::new();
        let mut joined: Vec<&str> = Vec::new();
        for (index, dimension) in self.dimensions.iter().enumerate() {
            let value = match dimension {
                Dimension::Time(grain) if fact == Fact::Visits => {
                    unfolded = format!(" ARRAY JOIN {} AS moment", of_visit(*grain, scope));
                    "moment".to_owned()
                }
                Dimension::Time(grain) => {
                    let moment = if fact == Fact::Pages { "slot" } else { "ts" };
                    of_moment(*grain, moment, &scope.zone)
                }
                other if other.in_rows_of(fact) => other.column().to_owned(),
                other => {
                    joined.push(other.column());
                    format!("w.{}", other.column())
                }
            };
            dimensions.push(format!("{value} AS d{index}"));
        }
        let mut by: Vec<String> = (0..self.dimensions.len()).map(|index| format!("d{index}")).collect();
        if by.is_empty() {
            dimensions.push("'' AS d0".to_owned());
            by.push("d0".to_owned());
        }
        let condition = self.filter.write(fact, scope, sql);
        let from = match fact {
            Fact::Visits => {
                let columns = "visitor, visit, events_of, lone, start, end, pages, length_ms, bounce, channel, source, medium, campaign, \
                               content, term, referrer_host, entry_path, entry_host, exit_path, exit_host, device, browser, \
                               browser_major, os, os_major, screen, country, language";
                if parts.iter().any(|(_, part)| part == "sum(views)") {
                    // Of visits that reach beyond the period not all page views are in it. They are few: the others need no join.
                    let Scope { from, to, .. } = scope;
                    let inside = format!("start >= {from} AND end < {to}");
                    format!(
                        "(SELECT {columns}, toUInt64(pages) AS views FROM {} UNION ALL \
                         SELECT {columns}, edge_views AS views FROM {} AS s ANY LEFT JOIN {} AS e ON e.edge_visit = s.visit){unfolded}",
                        scope.visits(columns, &format!("{inside} AND {condition}")),
                        scope.visits(columns, &format!("NOT ({inside}) AND {condition}")),
                        scope.edges()
                    )
                } else {
                    format!("{}{unfolded}", scope.visits(columns, &condition))
                }
            }
            _ if joined.is_empty() => format!("{} AND {condition}", scope.rows(fact)),
            _ => {
                joined.sort_unstable();
                joined.dedup();
                let visits = scope.visits(&format!("events_of, {}", joined.join(", ")), "1");
                format!(
                    "(SELECT *, {KEY} AS events_of FROM {} AND {condition}) AS f ANY LEFT JOIN {visits} AS w \
                     ON w.events_of = f.events_of WHERE w.events_of != 0",
                    scope.rows(fact)
                )
            }
        };
        let mut select = dimensions.join(", ");
        let page = self.dimensions.contains(&Dimension::Page);
        let counted = self.metrics.contains(&Metric::Visitors) && place == 0;
        let people = match (fact, counted) {
            // No more has to be known than whether they are few.
            (_, false) if (1..100).contains(&self.k) => format!("uniqUpTo({})(visitor)", self.k),
            (Fact::Visits, _) if self.lone => "countIf(lone = 1) + uniqExactIf(visitor, lone = 0)".to_owned(),
            (Fact::Pages, _) if self.lone && page => {
                "countIf(lone = 1) + uniqExactIf(visitor, lone = 0)".to_owned()
            }
            _ => "uniqExact(visitor)".to_owned(),
        };
        let _ = write!(
            select,
            ", toUInt64({people}) AS v{place}, count() AS n{place}, groupUniqArray({})(visitor) AS few{place}",
            self.k.max(1)
        );
        for (name, part) in parts {
            let _ = write!(select, ", {part} AS {name}");
        }
        format!("(SELECT {select} FROM {from} GROUP BY {})", by.join(", "))
    }

    /// The statement. Its rows: withheld (0 or 1), rows in all of that kind, groups, then dimensions as text and metrics. The
    /// row of what is withheld comes first.
    pub fn statement(&self, sql: &mut Sql) -> Answer<String> {
        let Numbered { rows, dimensions, metrics, limit, offset } = self.numbered(sql)?;
        Ok(format!(
            "SELECT toUInt8(withheld), total, groups{}{} FROM ({rows}) \
             WHERE withheld OR (place > {offset} AND place <= {offset} + {limit}) ORDER BY withheld DESC, place",
            list(&dimensions),
            list(&metrics)
        ))
    }

    /// The same for a file: the groups that are shown, under the names of dimensions and metrics. `plain`: no cell may be taken
    /// for a formula by a spreadsheet, for a visitor may have chosen the text.
    pub fn named_statement(&self, sql: &mut Sql, plain: bool) -> Answer<String> {
        let Numbered { rows, dimensions, metrics, limit, offset } = self.numbered(sql)?;
        let text = |name: &String| match plain {
            true => format!("if(match({name}, '^[=+@\\t\\r-]'), concat(char(39), {name}), {name})"),
            false => name.clone(),
        };
        let named = self
            .dimensions
            .iter()
            .map(|dimension| dimension.name().to_owned())
            .zip(dimensions.iter().map(text));
        let named = named.chain(self.metrics.iter().map(|metric| metric.name()).zip(metrics));
        // Ours: names of the two lists of words.
        let columns: Vec<String> = named.map(|(name, column)| format!("{column} AS `{name}`")).collect();
        Ok(format!(
            "SELECT {} FROM ({rows}) WHERE NOT withheld AND place > {offset} AND place <= {offset} + {limit} ORDER BY place",
            columns.join(", ")
        ))
    }

    fn numbered(&self, sql: &mut Sql) -> Answer<Numbered> {
        let (facts, places) = self.facts()?;
        let scope = Scope::new(&self.site, &self.zone, self.period, sql);
        let k = sql.number(i64::try_from(self.k).unwrap_or(i64::MAX));
        let mut parts: Vec<Vec<(String, String)>> = vec![Vec::new(); facts.len()];
        let measures: Vec<Measure> = self
            .metrics
            .iter()
            .zip(&places)
            .map(|(&metric, &place)| measure(metric, facts[place], &k))
            .collect();
        for (index, (measure, &place)) in measures.iter().zip(&places).enumerate() {
            let named = measure.parts.iter().enumerate().filter(|(_, part)| !part.is_empty());
            parts[place].extend(named.map(|(number, part)| (format!("c{index}_{number}"), part.clone())));
        }
        let names: Vec<String> = (0..self.dimensions.len()).map(|index| format!("g{index}")).collect();
        let by: Vec<String> = (0..names.len().max(1)).map(|index| format!("d{index}")).collect();
        let mut from = format!("{} AS f0", self.grouped(0, facts[0], &parts[0], &scope, sql));
        for (place, &fact) in facts.iter().enumerate().skip(1) {
            // From both sides: what belongs to no group that is shown is part of what is withheld.
            let rows = self.grouped(place, fact, &parts[place], &scope, sql);
            let _ = write!(from, " FULL JOIN {rows} AS f{place} USING ({})", by.join(", "));
        }
        let mut columns: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(index, name)| format!("{} AS {name}", self.dimension_text(index)))
            .collect();
        let figures: Vec<Figure> = (0..facts.len())
            .map(|place| Figure {
                hidden: format!("own{place}"),
                visitors: format!("v{place}"),
                size: format!("n{place}"),
                few: format!("few{place}"),
            })
            .collect();
        columns.push(format!("v0 < {k} OR {k} = 0 AS own0"));
        // A group may have enough visitors, and fewer than k of them crashed.
        columns.extend(
            (1..facts.len()).map(|place| format!("own0 OR v{place} BETWEEN 1 AND {k} - 1 AS own{place}")),
        );
        let groups = format!("SELECT *, {} FROM {from}", columns.join(", "));
        let (groups, hidden) = withhold(groups, &names, &figures, &k);

        let mut metrics = Vec::new();
        for (index, ((&metric, &place), measure)) in
            self.metrics.iter().zip(&places).zip(&measures).enumerate()
        {
            let additive = measure.additive && place == 0;
            let mut group = measure.shown.clone();
            for (number, part) in measure.parts.iter().enumerate() {
                let name = if part.is_empty() { format!("v{place}") } else { format!("c{index}_{number}") };
                let merged = if additive { format!("sum({name})") } else { format!("any({name})") };
                group = group.replace(&format!("{{{number}}}"), &merged);
            }
            let withheld = match (metric, additive) {
                // Of a group that is withheld for the others' sake not all visitors are known.
                (Metric::Visitors, _) if place == 0 => {
                    "if(countIf(NOT own0) = 0, toFloat64(together), NULL)".to_owned()
                }
                (_, true) => group.clone(),
                (_, false) => "NULL".to_owned(),
            };
            if place > 0 {
                let none = if measure.counts { "0" } else { "NULL" };
                group = format!("multiIf(any({}), NULL, any(v{place}) = 0, {none}, {group})", hidden[place]);
            }
            metrics.push(format!(
                "if(withheld, if(together >= {k} AND {k} > 0, {withheld}, NULL), {group}) AS m{index}"
            ));
        }
        let mut order: Vec<String> = self
            .order
            .iter()
            .map(|&(by, falling)| {
                let name = match by {
                    By::Metric(index) => format!("m{index}"),
                    By::Dimension(index) => format!("g{index}"),
                };
                format!("{name} {} NULLS LAST", if falling { "DESC" } else { "ASC" })
            })
            .collect();
        order.extend(names.iter().cloned());
        order.push("withheld".to_owned());
        let asked: Vec<String> = (0..self.metrics.len()).map(|index| format!("m{index}")).collect();
        let places = 0..names.len();
        let blank: Vec<String> =
            places.clone().map(|index| format!("if(withheld, '', g{index}) AS b{index}")).collect();
        let shown: Vec<String> = places.clone().map(|index| format!("b{index} AS g{index}")).collect();
        let by: Vec<String> = places.map(|index| format!("b{index}")).collect();
        let grouped = format!(
            "SELECT withheld, uniqExactArrayIf(few0, own0) AS together, countIf(v0 > 0) AS groups{}, {} \
             FROM (SELECT *, {} AS withheld{} FROM ({groups})) GROUP BY withheld{}",
            list(&shown),
            metrics.join(", "),
            hidden[0],
            list(&blank),
            list(&by)
        );
        let (limit, offset) = (sql.number(self.limit as i64), sql.number(self.offset as i64));
        let order = order.join(", ");
        let numbered = format!(
            "SELECT *, row_number() OVER (PARTITION BY withheld ORDER BY {order}) AS place, count() OVER (PARTITION BY withheld) AS total \
             FROM ({grouped})"
        );
        Ok(Numbered { rows: numbered, dimensions: names, metrics: asked, limit, offset })
    }
}

/// `, a, b` for each name.
fn list(names: &[String]) -> String {
    names.iter().fold(String::new(), |text, name| text + ", " + name)
}

/// All groups in their order, with the place of each.
struct Numbered {
    rows: String,
    dimensions: Vec<String>,
    metrics: Vec<String>,
    limit: String,
    offset: String,
}
