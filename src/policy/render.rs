//! The document as Markdown, HTML or JSON.

use std::fmt::Write;

use super::Policy;
use super::document::{Block, Grid, Section, TITLE, sections};

/// How to print the disclosure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Markdown.
    #[default]
    Md,
    /// A page of HTML that stands alone.
    Html,
    /// JSON.
    Json,
}

/// Prints the disclosure.
pub fn render(policy: &Policy, format: Format) -> String {
    match format {
        Format::Md => markdown(&sections(policy)),
        Format::Html => html(&sections(policy)),
        // A tree of texts and numbers always serializes.
        Format::Json => serde_json::to_string_pretty(policy).unwrap_or_default() + "\n",
    }
}

fn markdown(sections: &[Section]) -> String {
    let mut out = format!("# {TITLE}\n");
    for Section { heading, blocks, .. } in sections {
        let _ = writeln!(out, "\n## {heading}");
        for block in blocks {
            out.push('\n');
            match block {
                Block::Paragraph(text) => out.push_str(&escaped_markdown(text)),
                Block::Grid(grid) => markdown_grid(&mut out, grid),
            }
            out.push('\n');
        }
    }
    out
}

fn markdown_grid(out: &mut String, grid: &Grid) {
    let _ = writeln!(out, "**{}**\n", escaped_markdown(&grid.caption));
    let _ = writeln!(out, "| {} |", grid.heads.join(" | "));
    let _ = write!(out, "|{}", " --- |".repeat(grid.heads.len()));
    for row in &grid.rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped_markdown(cell)).collect();
        let _ = write!(out, "\n| {} |", cells.join(" | "));
    }
}

/// What Markdown would read as its own; a site's names and rules come from its configuration.
fn escaped_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#') {
            out.push('\\');
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}

/// No script, nothing loaded: the page can be printed, filed and sent as it is.
const STYLE: &str = "\
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { margin: 0 auto; max-width: 70rem; padding: 1rem }
h1, h2 { line-height: 1.2 }
.scroll { overflow-x: auto; margin: 1rem 0 }
.scroll:focus-visible { outline: 2px solid Highlight }
table { border-collapse: collapse; min-width: 100% }
caption { text-align: start; font-weight: 600; padding-block: .25rem }
th, td { text-align: start; vertical-align: top; padding: .3rem .6rem; border: 1px solid GrayText }
th[scope=row] { font-weight: 500; font-family: ui-monospace, monospace }
@media print { .scroll { overflow: visible } tr { break-inside: avoid } body { max-width: none } }";

fn html(sections: &[Section]) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{TITLE}</title>\n\
         <style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>\n<h1>{TITLE}</h1>\n<nav aria-label=\"Contents\">\n<ul>\n"
    );
    for Section { id, heading, .. } in sections {
        let _ = writeln!(out, "<li><a href=\"#{id}\">{}</a></li>", escaped_html(heading));
    }
    out.push_str("</ul>\n</nav>\n");
    for Section { id, heading, blocks } in sections {
        let _ = writeln!(out, "<section id=\"{id}\">\n<h2>{}</h2>", escaped_html(heading));
        for block in blocks {
            match block {
                Block::Paragraph(text) => {
                    let _ = writeln!(out, "<p>{}</p>", escaped_html(text));
                }
                Block::Grid(grid) => html_grid(&mut out, grid),
            }
        }
        out.push_str("</section>\n");
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn html_grid(out: &mut String, grid: &Grid) {
    let caption = escaped_html(&grid.caption);
    // A wide table scrolls by itself, also from the keyboard.
    let _ = write!(
        out,
        "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\">\n<table>\n\
         <caption>{caption}</caption>\n<thead>\n<tr>"
    );
    for head in &grid.heads {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escaped_html(head));
    }
    out.push_str("</tr>\n</thead>\n<tbody>\n");
    for row in &grid.rows {
        out.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let _ = match index {
                0 => write!(out, "<th scope=\"row\">{}</th>", escaped_html(cell)),
                _ => write!(out, "<td>{}</td>", escaped_html(cell)),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

fn escaped_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
