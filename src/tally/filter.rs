//! Filters: a tree of conditions, read from JSON with every limit checked, and written as SQL with parameters alone.

use serde_json::Value;

use super::problem::{Answer, Problem};
use super::sql::{Scope, Sql};
use super::words::{Dimension, Fact};

const DEPTH_MAX: usize = 5;
const CONDITIONS_MAX: usize = 30;
const VALUES_MAX: usize = 100;
const VALUE_BYTES_MAX: usize = 2000;
const PATTERN_BYTES_MAX: usize = 300;
/// What a pattern may grow to when it is compiled.
const PATTERN_COMPILED_BYTES_MAX: usize = 1 << 20;

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Comparison {
    Is,
    Contains,
    Matches,
}

/// A condition on one dimension.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    comparison: Comparison,
    negated: bool,
    /// What is compared.
    pub dimension: Dimension,
    /// Sorted, so that the same condition written in another order is the same.
    values: Vec<String>,
    case_sensitive: bool,
}

/// A tree of conditions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter {
    /// All of them.
    And(Vec<Filter>),
    /// Any of them.
    Or(Vec<Filter>),
    /// The opposite.
    Not(Box<Filter>),
    /// One condition.
    One(Condition),
}

impl Default for Filter {
    /// Everything.
    fn default() -> Self {
        Self::And(Vec::new())
    }
}

fn wrong(field: &str, message: impl Into<String>) -> Problem {
    Problem::field("filter_invalid", field, message)
}

impl Filter {
    /// Reads the list of filters, all of which have to hold.
    pub fn parse(value: Option<&Value>) -> Answer<Self> {
        let mut count = 0;
        match value {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::Array(list)) => Ok(Self::And(Self::parse_list(list, "filters", 1, &mut count)?)),
            Some(_) => Err(wrong("filters", "takes a list of filters")),
        }
    }

    fn parse_list(list: &[Value], field: &str, depth: usize, count: &mut usize) -> Answer<Vec<Self>> {
        let parse = |(index, value)| Self::parse_one(value, &format!("{field}[{index}]"), depth, count);
        list.iter().enumerate().map(parse).collect()
    }

    fn parse_one(value: &Value, field: &str, depth: usize, count: &mut usize) -> Answer<Self> {
        if depth > DEPTH_MAX {
            return Err(wrong(field, format!("filters are at most {DEPTH_MAX} deep")));
        }
        let parts = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(operator) = parts.first().and_then(Value::as_str) else {
            return Err(wrong(field, "a filter is [operator, dimension, [values]]"));
        };
        match (operator, parts) {
            ("and" | "or", [_, Value::Array(list)]) if !list.is_empty() => {
                let list = Self::parse_list(list, &format!("{field}[1]"), depth + 1, count)?;
                Ok(if operator == "and" { Self::And(list) } else { Self::Or(list) })
            }
            ("not", [_, inner]) => {
                Ok(Self::Not(Box::new(Self::parse_one(inner, &format!("{field}[1]"), depth + 1, count)?)))
            }
            ("and" | "or", _) => Err(wrong(field, "takes a list of filters behind \"and\" or \"or\"")),
            ("not", _) => Err(wrong(field, "takes one filter behind \"not\"")),
            _ => {
                *count += 1;
                if *count > CONDITIONS_MAX {
                    return Err(wrong("filters", format!("at most {CONDITIONS_MAX} conditions")));
                }
                Condition::parse(parts, field).map(Self::One)
            }
        }
    }

    /// Every dimension that is filtered.
    pub fn dimensions(&self) -> Vec<Dimension> {
        match self {
            Self::And(list) | Self::Or(list) => list.iter().flat_map(Self::dimensions).collect(),
            Self::Not(inner) => inner.dimensions(),
            Self::One(condition) => vec![condition.dimension],
        }
    }

    /// Whether nothing is filtered.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::And(list) if list.is_empty())
    }

    /// As a condition on rows of `fact`.
    pub fn write(&self, fact: Fact, scope: &Scope, sql: &mut Sql) -> String {
        match self {
            Self::And(list) if fact != Fact::Visits => {
                // What is asked of visits is asked of one visit, not of any of them for each condition.
                let (visits, rows): (Vec<_>, Vec<_>) = list
                    .iter()
                    .partition(|part| part.dimensions().iter().all(|d| !d.of_event() && !d.in_rows_of(fact)));
                let mut parts: Vec<String> = rows.iter().map(|part| part.write(fact, scope, sql)).collect();
                if !visits.is_empty() {
                    let inner: Vec<String> =
                        visits.iter().map(|part| part.write(Fact::Visits, scope, sql)).collect();
                    parts.push(scope.within(fact, Fact::Visits, &inner.join(" AND ")));
                }
                all(&parts)
            }
            Self::And(list) => all(&list.iter().map(|part| part.write(fact, scope, sql)).collect::<Vec<_>>()),
            Self::Or(list) => {
                let parts: Vec<String> = list.iter().map(|part| part.write(fact, scope, sql)).collect();
                format!("({})", parts.join(" OR "))
            }
            Self::Not(inner) => format!("NOT {}", inner.write(fact, scope, sql)),
            Self::One(condition) => condition.write(fact, scope, sql),
        }
    }
}

fn all(parts: &[String]) -> String {
    match parts.is_empty() {
        true => "1".to_owned(),
        false => format!("({})", parts.join(" AND ")),
    }
}

impl Condition {
    fn parse(parts: &[Value], field: &str) -> Answer<Self> {
        let (comparison, negated) = match parts[0].as_str().unwrap_or_default() {
            "is" => (Comparison::Is, false),
            "is_not" => (Comparison::Is, true),
            "contains" => (Comparison::Contains, false),
            "contains_not" => (Comparison::Contains, true),
            "matches" => (Comparison::Matches, false),
            "matches_not" => (Comparison::Matches, true),
            _ => {
                let known = "is, is_not, contains, contains_not, matches, matches_not, and, or, not";
                return Err(wrong(&format!("{field}[0]"), format!("takes one of {known}")));
            }
        };
        if !(3..=4).contains(&parts.len()) {
            return Err(wrong(field, "a filter is [operator, dimension, [values]]"));
        }
        let dimension = parts[1].as_str().and_then(Dimension::of_name);
        let dimension =
            dimension.filter(|dimension| !matches!(dimension, Dimension::Time(_))).ok_or_else(|| {
                let known: Vec<&str> =
                    Dimension::names().into_iter().filter(|name| !name.starts_with("time")).collect();
                wrong(&format!("{field}[1]"), format!("takes one of {}", known.join(", ")))
            })?;
        let at = format!("{field}[2]");
        let list = parts[2].as_array().ok_or_else(|| wrong(&at, "takes a list of texts"))?;
        if list.is_empty() || list.len() > VALUES_MAX {
            return Err(wrong(&at, format!("takes 1 to {VALUES_MAX} texts")));
        }
        let mut values = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            let at = format!("{at}[{index}]");
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return Err(wrong(&at, "takes a text")),
            };
            if value.len() > VALUE_BYTES_MAX || value.contains('\0') {
                return Err(wrong(
                    &at,
                    format!("takes a text of at most {VALUE_BYTES_MAX} bytes without NUL"),
                ));
            }
            if comparison == Comparison::Matches {
                if value.len() > PATTERN_BYTES_MAX {
                    return Err(wrong(&at, format!("a pattern has at most {PATTERN_BYTES_MAX} bytes")));
                }
                let built = regex::RegexBuilder::new(&value).size_limit(PATTERN_COMPILED_BYTES_MAX).build();
                built.map_err(|_| wrong(&at, "is not a regular expression of RE2, or too large a one"))?;
            }
            values.push(value);
        }
        let case_sensitive = match parts.get(3) {
            None => true,
            Some(Value::Object(options))
                if options.len() == 1 && options.get("case_sensitive").is_some_and(Value::is_boolean) =>
            {
                options["case_sensitive"] == true
            }
            Some(_) => return Err(wrong(&format!("{field}[3]"), "takes {\"case_sensitive\": false}")),
        };
        values.sort_unstable();
        values.dedup();
        Ok(Self { comparison, negated, dimension, values, case_sensitive })
    }

    fn write(&self, fact: Fact, scope: &Scope, sql: &mut Sql) -> String {
        if !self.dimension.in_rows_of(fact) {
            // Of other rows: the visits in which it is so, or for its opposite, those in which it never is.
            let home = self.dimension.home();
            let positive = Self { negated: false, ..self.clone() };
            let inner = positive.write(home, scope, sql);
            let within = scope.within(fact, home, &inner);
            return if self.negated { format!("NOT {within}") } else { within };
        }
        let column = self.dimension.text();
        let positive = match (self.comparison, self.case_sensitive) {
            (Comparison::Is, true) => format!("{column} IN {}", sql.texts(&self.values)),
            (Comparison::Is, false) => {
                let lower: Vec<String> = self.values.iter().map(|value| value.to_lowercase()).collect();
                format!("lowerUTF8({column}) IN {}", sql.texts(&lower))
            }
            (Comparison::Contains, true) => {
                format!("multiSearchAny({column}, {}) != 0", sql.texts(&self.values))
            }
            (Comparison::Contains, false) => {
                format!("multiSearchAnyCaseInsensitiveUTF8({column}, {}) != 0", sql.texts(&self.values))
            }
            (Comparison::Matches, sensitive) => {
                let flag = if sensitive { "" } else { "(?i)" };
                let patterns = self.values.iter();
                let parts: Vec<String> = patterns
                    .map(|pattern| format!("match({column}, {})", sql.text(&format!("{flag}{pattern}"))))
                    .collect();
                format!("({})", parts.join(" OR "))
            }
        };
        if self.negated { format!("NOT ({positive})") } else { format!("({positive})") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(value: Value) -> String {
        Filter::parse(Some(&value)).unwrap_err().field.unwrap()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert_eq!(field(json!("x")), "filters");
        assert_eq!(
            field(json!([["is", "visit:channel", ["Direct"]], ["like", "visit:os", ["x"]]])),
            "filters[1][0]"
        );
        assert_eq!(field(json!([["is", "visit:channel; DROP TABLE x", ["a"]]])), "filters[0][1]");
        assert_eq!(field(json!([["is", "time:day", ["a"]]])), "filters[0][1]");
        assert_eq!(field(json!([["is", "visit:os", "a"]])), "filters[0][2]");
        assert_eq!(field(json!([["is", "visit:os", ["a", {}]]])), "filters[0][2][1]");
        assert_eq!(field(json!([["matches", "visit:os", ["("]]])), "filters[0][2][0]");
        assert_eq!(field(json!([["matches", "visit:os", ["(a{1000}){1000}"]]])), "filters[0][2][0]");
        assert_eq!(field(json!([["is", "visit:os", ["a"], {"case": 1}]])), "filters[0][3]");
        assert_eq!(field(json!([["and", []]])), "filters[0]");
        let deep = (0..6).fold(json!(["is", "visit:os", ["a"]]), |inner, _| json!(["not", inner]));
        assert!(field(json!([deep])).starts_with("filters[0][1]"));
        let many: Vec<Value> = (0..31).map(|_| json!(["is", "visit:os", ["a"]])).collect();
        assert_eq!(field(json!(many)), "filters");
    }

    #[test]
    fn the_order_of_values_makes_no_difference() {
        let parse = |value: Value| Filter::parse(Some(&value)).unwrap();
        assert_eq!(
            parse(json!([["is", "visit:os", ["a", "b"]]])),
            parse(json!([["is", "visit:os", ["b", "a", "a"]]]))
        );
    }
}
