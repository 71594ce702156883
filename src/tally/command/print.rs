//! Answers as text: tables, bars, a line of minutes.

use std::fmt::Write;

use serde_json::Value;

/// A visitor may have chosen the text: no control character reaches a terminal.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let clean: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    match clean.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

const BAR_CELLS: usize = 20;

/// A bar of up to 20 cells.
fn bar(value: f64, most: f64) -> String {
    let eighths = if most > 0.0 { (value / most * (BAR_CELLS * 8) as f64).round() as usize } else { 0 };
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    format!("{}{part}", "█".repeat(eighths / 8))
}

/// Lines of cells, each column as wide as it needs; numbers to the right.
fn columns(lines: &[Vec<String>], left: usize) -> String {
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (index, cell) in line.iter().enumerate() {
            let width = width(index);
            let _ = match index < left || index + 1 == line.len() && cell.contains(['█', '▏', '▌']) {
                true => write!(text, "{cell:<width$}  "),
                false => write!(text, "{cell:>width$}  "),
            };
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    out
}

/// An answer as a table with a bar of its first metric.
pub(super) fn table(answer: &Value, dimensions: &[&str], metrics: &[&str]) -> String {
    let results: Vec<&Value> = answer["results"].as_array().into_iter().flatten().collect();
    let mut out = String::new();
    if results.is_empty() {
        let _ = writeln!(out, "No group has enough visitors to be shown.");
    } else if dimensions.is_empty() {
        let lines: Vec<Vec<String>> = metrics
            .iter()
            .enumerate()
            .map(|(index, name)| vec![(*name).to_owned(), cell(&results[0]["metrics"][index])])
            .collect();
        out = columns(&lines, 1);
    } else {
        let first = |row: &&Value| row["metrics"][0].as_f64().unwrap_or(0.0);
        let most = results.iter().map(|row| row["metrics"][0].as_f64().unwrap_or(0.0)).fold(0.0, f64::max);
        let mut lines =
            vec![dimensions.iter().chain(metrics).map(|name| (*name).to_owned()).collect::<Vec<_>>()];
        for row in &results {
            let cells = ["dimensions", "metrics"]
                .into_iter()
                .flat_map(|part| row[part].as_array().into_iter().flatten());
            let mut line: Vec<String> = cells.map(cell).collect();
            line.push(bar(first(row), most));
            lines.push(line);
        }
        out = columns(&lines, dimensions.len());
        let total = answer["meta"]["total_rows"].as_u64().unwrap_or(0);
        if total > results.len() as u64 {
            let _ = writeln!(out, "{} of {total} rows; --limit shows more.", results.len());
        }
    }
    let withheld = answer["meta"]["withheld"]["groups"].as_u64().unwrap_or(0);
    if withheld > 0 {
        let k = &answer["meta"]["k_anonymity"];
        let _ = writeln!(
            out,
            "{withheld} groups are withheld, so that none of fewer than {k} visitors can be made out."
        );
    }
    out + &completeness(answer)
}

/// How complete the figures are, in a line.
pub(super) fn completeness(answer: &Value) -> String {
    let books = &answer["completeness"];
    let percent = |value: &Value| value.as_f64().map(|share| format!("{:.1} %", share * 100.0));
    match (percent(&books["share_consented"]), books["received"].as_u64()) {
        (Some(consented), Some(received)) => format!(
            "Of {received} events received in this time {} are stored, {} in flight; consent for {consented}.\n",
            books["stored"], books["in_flight"]
        ),
        _ => String::new(),
    }
}

pub(super) fn list(rows: &Value, names: &[&str]) -> String {
    let mut lines = vec![names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    for row in rows.as_array().into_iter().flatten() {
        lines.push(names.iter().map(|name| cell(&row[*name])).collect());
    }
    columns(&lines, names.len())
}

pub(super) fn bars(rows: &Value, name: &str, metric: &str, more: &[&str]) -> String {
    let rows: Vec<&Value> = rows.as_array().into_iter().flatten().collect();
    let most = rows.iter().filter_map(|row| row[metric].as_f64()).fold(0.0, f64::max);
    let mut lines =
        vec![[name, metric].iter().chain(more).map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    for row in rows {
        let mut line = vec![cell(&row[name]), cell(&row[metric])];
        line.extend(more.iter().map(|name| cell(&row[*name])));
        line.push(bar(row[metric].as_f64().unwrap_or(0.0), most));
        lines.push(line);
    }
    columns(&lines, 1)
}

pub(super) fn realtime(answer: &Value) -> String {
    let minutes: Vec<f64> = answer["minutes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|count| count.as_f64().unwrap_or(0.0))
        .collect();
    let most = minutes.iter().copied().fold(1.0, f64::max);
    let level = |count: &f64| "▁▂▃▄▅▆▇█".chars().nth((count / most * 7.0).round() as usize).unwrap_or('▁');
    let line: String = minutes.iter().map(level).collect();
    let visitors = match answer["visitors"].as_u64() {
        Some(visitors) => format!("{visitors} visitors in the last half hour"),
        None => format!("Fewer than {} visitors in the last half hour", answer["k_anonymity"]),
    };
    format!("{visitors}  {line}\n{}", bars(&answer["pages"], "page", "visitors", &[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_has_bars_and_says_what_is_missing() {
        let answer = json!({
            "results": [{"dimensions": ["/"], "metrics": [200, 300]}, {"dimensions": ["/a\u{1b}[2J"], "metrics": [50, null]}],
            "meta": {"withheld": {"groups": 3}, "k_anonymity": 10, "total_rows": 7},
            "completeness": {"received": 10, "stored": 7, "in_flight": 0, "share_consented": 0.7},
        });
        let text = table(&answer, &["event:page"], &["visitors", "pageviews"]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].ends_with(&"█".repeat(20)) && lines[2].ends_with("-  █████"), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert_eq!(lines[3], "2 of 7 rows; --limit shows more.");
        assert_eq!(
            lines[4],
            "3 groups are withheld, so that none of fewer than 10 visitors can be made out."
        );
        assert!(lines[5].contains("consent for 70.0 %"));
    }
}
