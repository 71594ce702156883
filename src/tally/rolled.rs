//! Pages and hosts of weeks, from days that are added up already (`schema/0014_page_days.sql`).
//!
//! A visitor is there on one day, or on two beside each other. So the visitors of several days are the sum of each day's, less
//! those who were there the day before. Days that are not settled yet, and parts of days where the site's time zone is not UTC,
//! are counted from rows together with the day beside them, whose visitors are taken off again:
//! visitors of (the days until b, and the rest) = of the days + of (b and the rest) - of b.

use super::plan::Question;
use super::sql::{KEY, Scope, Sql};
use super::words::{Dimension, Fact};

const DAY_S: i64 = 86_400;
/// With fewer days nothing is gained.
const DAYS_MIN: i64 = 7;

/// A figure: of a day, of rows, and of the day that is taken off. `{own}` stands for rows that are not of that day.
struct Part {
    day: String,
    rows: String,
    off: &'static str,
}

fn part(text: &str, first: &str) -> Option<Part> {
    let told = "engaged_ms > 0 OR scroll_pct > 0";
    let sum = |column: &str, rows: String| Part { day: format!("toInt64({column})"), rows, off: "0" };
    Some(match text {
        "sum(views)" => sum("views", "toInt64(sumIf(views, {own}))".into()),
        "sum(engaged_ms)" => sum("engaged_ms", "toInt64(sumIf(engaged_ms, {own}))".into()),
        _ if text == format!("sumIf(scroll_pct, {told})") => {
            sum("depth", format!("toInt64(sumIf(scroll_pct, ({told}) AND {{own}}))"))
        }
        _ if text == format!("countIf({told})") => {
            sum("depth_rows", format!("toInt64(countIf(({told}) AND {{own}}))"))
        }
        _ if text == format!("uniqExact({KEY})") => Part {
            day: format!("toInt64(visits) - if(day = {first}, 0, toInt64(visits_again))"),
            rows: format!("toInt64({text})"),
            off: "-toInt64(visits)",
        },
        _ => return None,
    })
}

impl Question {
    /// The groups of one fact as [`super::plan`] wants them, where they can be made from days; else none.
    pub fn rolled(
        &self,
        place: usize,
        fact: Fact,
        parts: &[(String, String)],
        scope: &Scope,
        sql: &mut Sql,
    ) -> Option<String> {
        let kind = match self.dimensions.as_slice() {
            [Dimension::Page] => "path",
            [Dimension::Hostname] => "host",
            _ => return None,
        };
        let (from_s, to_s) = (self.period.from_s, self.period.to_s);
        let first_day = from_s.div_euclid(DAY_S) + i64::from(from_s.rem_euclid(DAY_S) != 0);
        let last_day = self.rolled?.min(to_s.div_euclid(DAY_S) - 1);
        if fact != Fact::Pages || !self.filter.is_empty() || last_day - first_day < DAYS_MIN {
            return None;
        }
        let mut day = |day: i64| format!("toDate({})", sql.number(day));
        let (first, last) = (day(first_day), day(last_day));
        let known: Vec<Part> = parts.iter().map(|(_, text)| part(text, &first)).collect::<Option<_>>()?;
        let few = self.k.max(1);
        let columns = |column: &dyn Fn(&Part) -> String| {
            known
                .iter()
                .enumerate()
                .map(|(at, part)| format!(", {} AS q{at}", column(part)))
                .collect::<String>()
        };
        let of_days =
            format!("FROM consentry.page_days FINAL WHERE site = {} AND kind = '{kind}'", scope.site);
        let mut from = vec![format!(
            "SELECT name AS d0, toInt64(visitors) - if(day = {first}, 0, toInt64(visitors_again)) AS people, toInt64(rows) AS size, \
             few AS those{} {of_days} AND day >= {first} AND day <= {last}",
            columns(&|part| part.day.clone())
        )];
        let edges = [(from_s < first_day * DAY_S, &first, "<"), (to_s > (last_day + 1) * DAY_S, &last, ">")];
        for (_, seam, beyond) in edges.into_iter().filter(|edge| edge.0) {
            let own = format!("day {beyond} {seam}");
            from.push(format!(
                "SELECT toString({kind}) AS d0, toInt64(uniqExact(visitor)) AS people, toInt64(countIf({own})) AS size, \
                 groupUniqArray({few})(visitor) AS those{} FROM {} AND day {beyond}= {seam} GROUP BY d0",
                columns(&|part| part.rows.replace("{own}", &own)),
                scope.rows(Fact::Pages)
            ));
            from.push(format!(
                "SELECT name AS d0, -toInt64(visitors) AS people, toInt64(0) AS size, emptyArrayUInt64() AS those{} \
                 {of_days} AND day = {seam}",
                columns(&|part| format!("toInt64({})", part.off))
            ));
        }
        let sums: String =
            parts.iter().enumerate().map(|(at, (name, _))| format!(", sum(q{at}) AS {name}")).collect();
        Some(format!(
            "(SELECT d0, toUInt64(greatest(sum(people), 0)) AS v{place}, toUInt64(sum(size)) AS n{place}, \
             groupUniqArrayArray({few})(those) AS few{place}{sums} FROM ({}) GROUP BY d0 HAVING n{place} > 0)",
            from.join(" UNION ALL ")
        ))
    }
}
