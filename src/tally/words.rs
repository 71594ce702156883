//! The words of a question: metrics and dimensions, and which of them go together.
//!
//! Names and meanings are those of the Plausible Stats API v2 where it has them.

use super::problem::{Answer, Problem};

/// Where the rows are that a metric is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fact {
    /// One row a visit.
    Visits,
    /// Page views and engaged time.
    Pages,
    /// Custom events.
    Events,
    /// Clicks on function points.
    Clicks,
    /// Crashes.
    Crashes,
    /// Measurements of loading times.
    Vitals,
}

impl Fact {
    /// The word of the column `type` of `events`, for those that are counted there.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Visits | Self::Pages => "pageview",
            Self::Events => "custom",
            Self::Clicks => "click",
            Self::Crashes => "crash",
            Self::Vitals => "performance",
        }
    }
}

/// A web vital, by its column and its name in a metric.
const VITALS: [(&str, &str); 7] = [
    ("ttfb_ms", "ttfb"),
    ("fcp_ms", "fcp"),
    ("lcp_ms", "lcp"),
    ("inp_ms", "inp"),
    ("cls", "cls"),
    ("dom_ms", "dom"),
    ("load_ms", "load"),
];

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the metric of the same name")]
pub enum Metric {
    Visitors,
    Visits,
    Pageviews,
    ViewsPerVisit,
    BounceRate,
    VisitDuration,
    Events,
    ScrollDepth,
    TimeOnPage,
    Crashes,
    Clicks,
    Samples,
    /// A quantile of a vital: its place in the list of vitals, and the percentage.
    Quantile(usize, u8),
}

/// Every metric that has a name of its own.
const PLAIN: [(&str, Metric); 12] = [
    ("visitors", Metric::Visitors),
    ("visits", Metric::Visits),
    ("pageviews", Metric::Pageviews),
    ("views_per_visit", Metric::ViewsPerVisit),
    ("bounce_rate", Metric::BounceRate),
    ("visit_duration", Metric::VisitDuration),
    ("events", Metric::Events),
    ("scroll_depth", Metric::ScrollDepth),
    ("time_on_page", Metric::TimeOnPage),
    ("crashes", Metric::Crashes),
    ("clicks", Metric::Clicks),
    ("samples", Metric::Samples),
];

impl Metric {
    /// Every metric.
    pub fn all() -> Vec<Self> {
        let quantiles = (0..VITALS.len()).flat_map(|vital| [50, 75, 95].map(|q| Self::Quantile(vital, q)));
        PLAIN.iter().map(|plain| plain.1).chain(quantiles).collect()
    }

    /// The metric of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|metric| metric.name() == name)
    }

    /// Its name.
    pub fn name(self) -> String {
        match self {
            Self::Quantile(vital, q) => format!("{}_p{q}", VITALS[vital].1),
            _ => PLAIN.iter().find(|plain| plain.1 == self).map_or("", |plain| plain.0).to_owned(),
        }
    }

    /// The column of a vital.
    pub fn vital_column(vital: usize) -> &'static str {
        VITALS[vital].0
    }
}

/// A length of time by which to group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Grain {
    Hour,
    Day,
    Week,
    Month,
}

/// By what to group, and what to filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the dimension of the same name")]
pub enum Dimension {
    Page,
    Hostname,
    Name,
    Point,
    Crash,
    /// Of a visit: its place in the list of such dimensions.
    Visit(usize),
    Time(Grain),
}

/// A dimension of a visit: name, its value in a row of visits, and in a row of `events` where each row has it.
struct OfVisit(&'static str, &'static str, bool);

const OF_VISIT: [OfVisit; 20] = [
    OfVisit("visit:channel", "channel", false),
    OfVisit("visit:source", "source", false),
    OfVisit("visit:referrer", "referrer_host", false),
    OfVisit("visit:utm_source", "source", false),
    OfVisit("visit:utm_medium", "medium", false),
    OfVisit("visit:utm_campaign", "campaign", false),
    OfVisit("visit:utm_content", "content", false),
    OfVisit("visit:utm_term", "term", false),
    OfVisit("visit:entry_page", "entry_path", false),
    OfVisit("visit:exit_page", "exit_path", false),
    OfVisit("visit:entry_hostname", "entry_host", false),
    OfVisit("visit:exit_hostname", "exit_host", false),
    OfVisit("visit:device", "device", true),
    OfVisit("visit:browser", "browser", true),
    OfVisit("visit:browser_version", "browser_major", true),
    OfVisit("visit:os", "os", true),
    OfVisit("visit:os_version", "os_major", true),
    OfVisit("visit:screen", "screen", true),
    OfVisit("visit:country", "country", true),
    OfVisit("visit:language", "language", true),
];

const OF_EVENT: [(&str, Dimension); 5] = [
    ("event:page", Dimension::Page),
    ("event:hostname", Dimension::Hostname),
    ("event:name", Dimension::Name),
    ("event:point", Dimension::Point),
    ("event:crash", Dimension::Crash),
];

const OF_TIME: [(&str, Grain); 4] = [
    ("time:hour", Grain::Hour),
    ("time:day", Grain::Day),
    ("time:week", Grain::Week),
    ("time:month", Grain::Month),
];

impl Dimension {
    /// The name of every dimension but `time`, which stands for one of the others.
    pub fn names() -> Vec<&'static str> {
        let events = OF_EVENT.iter().map(|of| of.0);
        events.chain(OF_VISIT.iter().map(|of| of.0)).chain(OF_TIME.iter().map(|of| of.0)).collect()
    }

    /// The dimension of a name; `time` is not one of them.
    pub fn of_name(name: &str) -> Option<Self> {
        let event = OF_EVENT.iter().find(|of| of.0 == name).map(|of| of.1);
        let visit = || OF_VISIT.iter().position(|of| of.0 == name).map(Self::Visit);
        let time = || OF_TIME.iter().find(|of| of.0 == name).map(|of| Self::Time(of.1));
        event.or_else(visit).or_else(time)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Visit(index) => OF_VISIT[index].0,
            Self::Time(grain) => OF_TIME.iter().find(|of| of.1 == grain).map_or("", |of| of.0),
            event => OF_EVENT.iter().find(|of| of.1 == event).map_or("", |of| of.0),
        }
    }

    /// Whether it is of an event rather than of its visit.
    pub fn of_event(self) -> bool {
        matches!(self, Self::Page | Self::Hostname | Self::Name | Self::Point | Self::Crash)
    }

    /// The facts whose rows have it themselves, besides those that every dimension of a visit is joined to.
    pub fn in_rows_of(self, fact: Fact) -> bool {
        match self {
            Self::Page | Self::Hostname => fact != Fact::Visits,
            Self::Name => fact == Fact::Events,
            Self::Point => fact == Fact::Clicks,
            Self::Crash => fact == Fact::Crashes,
            Self::Visit(index) => {
                fact == Fact::Visits || (OF_VISIT[index].2 && !matches!(fact, Fact::Visits | Fact::Pages))
            }
            Self::Time(_) => true,
        }
    }

    /// The rows in which it is looked for when the rows at hand do not have it.
    pub fn home(self) -> Fact {
        match self {
            Self::Page | Self::Hostname => Fact::Pages,
            Self::Name => Fact::Events,
            Self::Point => Fact::Clicks,
            Self::Crash => Fact::Crashes,
            Self::Visit(_) | Self::Time(_) => Fact::Visits,
        }
    }

    /// The column that has it, in rows of its own or in rows of visits.
    pub fn column(self) -> &'static str {
        match self {
            Self::Page => "path",
            Self::Hostname => "host",
            Self::Name => "name",
            Self::Point => "point",
            Self::Crash => "crash_fingerprint",
            Self::Visit(index) => OF_VISIT[index].1,
            Self::Time(_) => "",
        }
    }

    /// The same as text.
    pub fn text(self) -> String {
        match (self, self.column()) {
            (Self::Crash, column) => format!("hex({column})"),
            (_, column @ ("browser_major" | "os_major")) => format!("toString({column})"),
            (_, column) => column.to_owned(),
        }
    }
}

/// From which rows a metric is counted, where these dimensions are grouped by and these are filtered. The error says what
/// would work.
pub fn fact_of(
    metric: Metric,
    field: &str,
    dimensions: &[Dimension],
    filtered: &[Dimension],
) -> Answer<Fact> {
    let narrow = |among: &[Dimension]| {
        let first = |wanted: Dimension| among.contains(&wanted);
        if first(Dimension::Name) {
            Some(Fact::Events)
        } else if first(Dimension::Point) {
            Some(Fact::Clicks)
        } else if first(Dimension::Crash) {
            Some(Fact::Crashes)
        } else if first(Dimension::Page) || first(Dimension::Hostname) {
            Some(Fact::Pages)
        } else {
            None
        }
    };
    let fact = match metric {
        Metric::Visitors | Metric::Visits => {
            narrow(dimensions).or_else(|| narrow(filtered)).unwrap_or(Fact::Visits)
        }
        Metric::BounceRate | Metric::VisitDuration | Metric::ViewsPerVisit => Fact::Visits,
        Metric::Pageviews if narrow(dimensions).is_none() && narrow(filtered) != Some(Fact::Pages) => {
            match dimensions.iter().any(|dimension| matches!(dimension, Dimension::Time(_))) {
                true => Fact::Pages,
                false => Fact::Visits,
            }
        }
        Metric::Pageviews | Metric::TimeOnPage | Metric::ScrollDepth => Fact::Pages,
        Metric::Events => Fact::Events,
        Metric::Clicks => Fact::Clicks,
        Metric::Crashes => Fact::Crashes,
        Metric::Samples | Metric::Quantile(..) => Fact::Vitals,
    };
    let stranger = dimensions.iter().find(|dimension| dimension.of_event() && !dimension.in_rows_of(fact));
    match stranger {
        None => Ok(fact),
        Some(dimension) => {
            let instead = match (fact, dimension) {
                (Fact::Visits, Dimension::Page) => {
                    "visit:entry_page as the dimension, or visitors, visits, pageviews, time_on_page and scroll_depth as metrics"
                }
                (Fact::Visits, Dimension::Hostname) => "visit:entry_hostname as the dimension",
                (_, Dimension::Name) => "visitors, visits and events as metrics",
                (_, Dimension::Point) => "visitors, visits and clicks as metrics",
                _ => "visitors, visits and crashes as metrics",
            };
            let message =
                format!("{} cannot be given by {}; what works: {instead}", metric.name(), dimension.name());
            Err(Problem::field("metric_dimension_mismatch", field, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_again() {
        for metric in Metric::all() {
            assert_eq!(Metric::of_name(&metric.name()), Some(metric));
        }
        for name in Dimension::names() {
            assert_eq!(Dimension::of_name(name).map(Dimension::name), Some(name));
        }
        assert_eq!(Metric::all().len(), 12 + 21);
    }

    #[test]
    fn a_mismatch_names_both_and_what_would_work() {
        let error = fact_of(Metric::BounceRate, "metrics[0]", &[Dimension::Page], &[]).unwrap_err();
        assert!(error.message.contains("bounce_rate") && error.message.contains("visit:entry_page"));
        assert_eq!(fact_of(Metric::Visitors, "", &[], &[Dimension::Page]), Ok(Fact::Pages));
    }
}
