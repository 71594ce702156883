//! A recorded run as one page that needs nothing else, and its plots as files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use plotters::prelude::*;

use crate::run::Record;

const SIZE: (u32, u32) = (900, 300);
const LINE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const SECOND: RGBColor = RGBColor(0xc4, 0x5a, 0x12);
const FAULT: RGBColor = RGBColor(0xd6, 0x33, 0x33);

type Plotted<T> = Result<T, Box<dyn std::error::Error>>;

/// One line of a plot over time.
struct Line<'a> {
    name: &'a str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

fn over_time(record: &Record, title: &str, unit: &str, lines: &[Line<'_>]) -> Plotted<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let top = lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(1.0, f64::max) * 1.05;
        let end = record.seconds.max(1.0);
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..end, 0.0..top)?;
        chart.configure_mesh().light_line_style(WHITE).x_desc("s").y_desc(unit).draw()?;
        for (from, to, _) in &record.faults {
            let area =
                Rectangle::new([(*from, 0.0), (to.max(from + end / 300.0), top)], FAULT.mix(0.18).filled());
            chart.draw_series(std::iter::once(area))?;
        }
        for line in lines {
            let colour = line.colour;
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?
                .label(line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        }
        if lines.len() > 1 {
            chart
                .configure_series_labels()
                .background_style(WHITE.mix(0.8))
                .border_style(BLACK.mix(0.3))
                .draw()?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// Shares of answers by latency, on a logarithmic scale.
fn histogram(record: &Record) -> Plotted<String> {
    // Eight bars for each doubling.
    let bar = |us: u64| ((us.max(1) as f64).log2() * 8.0).floor() as i32;
    let mut bars = std::collections::BTreeMap::<i32, u64>::new();
    for &(us, count) in &record.histogram {
        *bars.entry(bar(us)).or_default() += count;
    }
    let ms = |bar: i32| (f64::from(bar) / 8.0).exp2() / 1000.0;
    let (first, last) =
        (bars.keys().next().copied().unwrap_or(0), bars.keys().last().copied().unwrap_or(1) + 1);
    let top = bars.values().copied().max().unwrap_or(1) as f64 * 1.05;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption("Latency from when a request was due", ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(70)
            .build_cartesian_2d((ms(first)..ms(last)).log_scale(), 0.0..top)?;
        chart.configure_mesh().light_line_style(WHITE).x_desc("ms").y_desc("requests").draw()?;
        chart.draw_series(bars.iter().map(|(&bar, &count)| {
            Rectangle::new([(ms(bar), 0.0), (ms(bar + 1), count as f64)], LINE.filled())
        }))?;
        for (name, at) in [("p50", record.latency_ms.p50), ("p99", record.latency_ms.p99)] {
            let at = at.clamp(ms(first), ms(last));
            chart.draw_series(LineSeries::new([(at, 0.0), (at, top)], SECOND))?;
            chart.draw_series(std::iter::once(Text::new(name, (at, top * 0.95), ("sans-serif", 13))))?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// All plots with the names of their files.
fn plots(record: &Record) -> Plotted<Vec<(&'static str, String)>> {
    let samples = &record.samples;
    let rate = |of: fn(&crate::drive::Sample) -> u64| {
        let step = |pair: &[crate::drive::Sample]| {
            let seconds = (pair[1].at_s - pair[0].at_s).max(0.001);
            (pair[1].at_s, of(&pair[1]).saturating_sub(of(&pair[0])) as f64 / seconds)
        };
        samples.windows(2).map(step).collect::<Vec<_>>()
    };
    let level = |of: fn(&crate::drive::Sample) -> f64| {
        samples.iter().map(|sample| (sample.at_s, of(sample))).collect::<Vec<_>>()
    };
    let line = |name, colour, points| Line { name, colour, points };
    Ok(vec![
        ("latency", histogram(record)?),
        (
            "rate",
            over_time(
                record,
                "Answers, events kept and events refused",
                "1/s",
                &[
                    line("answers", LINE, rate(|sample| sample.requests)),
                    line("kept", BLACK, rate(|sample| sample.accepted)),
                    line("refused", SECOND, rate(|sample| sample.refused)),
                ],
            )?,
        ),
        (
            "slowest",
            over_time(
                record,
                "Slowest answer of each second",
                "ms",
                &[line("slowest", LINE, level(|sample| sample.slowest_us as f64 / 1000.0))],
            )?,
        ),
        (
            "spool",
            over_time(
                record,
                "Events in the spool",
                "events",
                &[line("spooled", LINE, level(|sample| sample.spooled as f64))],
            )?,
        ),
        (
            "memory",
            over_time(
                record,
                "Memory of the collector",
                "MB",
                &[line("resident", LINE, level(|sample| sample.memory_bytes as f64 / 1e6))],
            )?,
        ),
    ])
}

/// Writes `index.html` and the plots into `out`; gives the page's path.
pub fn report(record: &Record, out: &Path) -> Result<PathBuf, String> {
    let plots = plots(record).map_err(|error| error.to_string())?;
    let failed = |error: std::io::Error| format!("{}: {error}", out.display());
    std::fs::create_dir_all(out).map_err(failed)?;
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <style>body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
         svg{max-width:100%;height:auto}table{border-collapse:collapse}td,th{padding:.15rem .8rem .15rem 0;text-align:left}\
         td.n{text-align:right;font-variant-numeric:tabular-nums}.not{color:#b00020;font-weight:600}</style>",
    );
    let holds = record.findings.iter().all(|finding| finding.holds);
    let text = escape(&record.scenario.name);
    let _ = write!(
        page,
        "<title>Load: {text}</title><h1>Load: {text}</h1><p>{}</p>",
        escape(&record.scenario.about)
    );
    let verdict = if holds { "The books balance." } else { "The books do not balance." };
    let _ = write!(page, "<h2>Verdict</h2><p class=\"{}\">{verdict}</p><ul>", if holds { "" } else { "not" });
    for finding in &record.findings {
        let (class, mark) = if finding.holds { ("", "") } else { ("not", "NOT: ") };
        let _ = write!(page, "<li class=\"{class}\">{mark}{}</li>", escape(&finding.what));
    }
    page.push_str("</ul><h2>Figures</h2><table>");
    let latency = &record.latency_ms;
    let mut row = |name: &str, value: String| {
        let _ = write!(page, "<tr><th scope=\"row\">{name}</th><td class=\"n\">{value}</td></tr>");
    };
    row("requests answered", record.requests.to_string());
    row("events sent", record.totals.sent.to_string());
    row("seconds", format!("{:.1}", record.seconds));
    row("requests a second", format!("{:.0}", record.requests as f64 / record.seconds));
    row(
        "p50, p90, p99, p99.9, max, ms",
        format!(
            "{:.2}, {:.2}, {:.2}, {:.2}, {:.1}",
            latency.p50, latency.p90, latency.p99, latency.p999, latency.max
        ),
    );
    if let Some(cpu) = record.cpu_us_per_event {
        row("CPU of the collector, us an event", format!("{cpu:.2}"));
    }
    row("most memory, MB", format!("{:.0}", record.memory_bytes_peak as f64 / 1e6));
    for (from, to, kind) in &record.faults {
        row(&format!("fault: {}", escape(kind)), format!("{from:.1} s to {to:.1} s"));
    }
    page.push_str("</table>");
    for (name, svg) in &plots {
        std::fs::write(out.join(name).with_extension("svg"), svg).map_err(failed)?;
        let _ = write!(page, "<figure role=\"img\" aria-label=\"{name}\">{svg}</figure>");
    }
    page.push_str("</html>");
    let path = out.join("index.html");
    std::fs::write(&path, page).map_err(failed)?;
    Ok(path)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::{Sample, Totals};
    use crate::run::Latency;

    #[test]
    fn a_run_becomes_a_page_and_five_plots() {
        let dir = tempfile::tempdir().unwrap();
        let sample =
            |second: u64| Sample { at_s: second as f64, requests: second * 100, ..Sample::default() };
        let record = Record {
            scenario: toml::from_str("name = 'a<b'\nconnections = 1\n[[step]]\nseconds = 1").unwrap(),
            began_s: 1,
            seconds: 5.0,
            totals: Totals::default(),
            requests: 500,
            latency_ms: Latency { p50: 1.0, p99: 9.0, ..Latency::default() },
            histogram: vec![(1_000, 400), (9_000, 100)],
            samples: (0..6).map(sample).collect(),
            faults: vec![(1.0, 2.0, "stop_engine".into())],
            cpu_us_per_event: Some(3.0),
            memory_bytes_peak: 20_000_000,
            stored: None,
            cores: None,
            own_p99_ms: None,
            attacked: None,
            findings: crate::verdict::judge(&Totals::default(), None),
        };
        let page = std::fs::read_to_string(report(&record, dir.path()).unwrap()).unwrap();
        assert!(
            page.contains("a&lt;b") && page.contains("stop_engine") && page.contains("The books balance.")
        );
        assert_eq!(page.matches("<svg").count(), 5);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 6);
    }
}
