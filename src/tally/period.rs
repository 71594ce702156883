//! Periods of time: what a `date_range` means in the site's time zone, the period before it, and the names of its hours, days,
//! weeks and months.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Zoned};
use serde_json::Value;

use super::problem::{Answer, Problem};
use super::words::Grain;

/// Rows of page views are counted by quarters of an hour, which every time zone's offset is made of.
const QUARTER_S: i64 = 900;
const DAY_S: i64 = 86_400;
/// No collector is older.
const FIRST_S: i64 = 1_262_304_000;
/// A list of labels that is longer is of no use to anybody.
const LABELS_MAX: usize = 10_000;

/// A period, from a moment to another that is no part of it, in seconds since 1970 and whole quarters of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    /// Its first second.
    pub from_s: i64,
    /// The first second after it.
    pub to_s: i64,
}

fn wrong(field: &str, message: &str) -> Problem {
    Problem::field("date_range_invalid", field, message)
}

fn first_second(date: Date, zone: &TimeZone) -> Answer<i64> {
    let zoned = date.to_zoned(zone.clone());
    zoned
        .map(|zoned| zoned.timestamp().as_second())
        .map_err(|_| wrong("date_range", "this date is out of range"))
}

impl Period {
    /// Whole quarters of an hour.
    fn new(from_s: i64, to_s: i64) -> Self {
        Self {
            from_s: from_s.div_euclid(QUARTER_S) * QUARTER_S,
            to_s: -(-to_s).div_euclid(QUARTER_S) * QUARTER_S,
        }
    }

    /// The days from one to another, both part of it.
    fn days(first: Date, last: Date, zone: &TimeZone) -> Answer<Self> {
        let after =
            last.checked_add(1.day()).map_err(|_| wrong("date_range", "this date is out of range"))?;
        Ok(Self::new(first_second(first, zone)?, first_second(after, zone)?))
    }

    /// Reads a `date_range` at `now_ms`. `first_day` (days since 1970) is where `"all"` begins.
    pub fn parse(
        value: &Value,
        field: &str,
        zone: &TimeZone,
        now_ms: i64,
        first_day: Option<i64>,
    ) -> Answer<Self> {
        let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let today = now.to_zoned(zone.clone()).date();
        let back = |span: Span| {
            let first = today.checked_sub(span).map_err(|_| wrong(field, "this reaches too far back"))?;
            Self::days(first, today, zone)
        };
        match value {
            Value::String(word) => match word.as_str() {
                "day" => back(Span::new()),
                "7d" => back(6.days()),
                "28d" => back(27.days()),
                "30d" => back(29.days()),
                "91d" => back(90.days()),
                "month" => Self::days(today.first_of_month(), today.last_of_month(), zone),
                "6mo" => Self::months(today, 5, zone),
                "12mo" => Self::months(today, 11, zone),
                "year" => Self::days(today.first_of_year(), today.last_of_year(), zone),
                "all" => {
                    let first_s = first_day.map_or(now.as_second(), |day| day * DAY_S);
                    let first = Timestamp::from_second(first_s.max(FIRST_S)).unwrap_or(now);
                    Self::days(first.to_zoned(zone.clone()).date().min(today), today, zone)
                }
                _ => Err(wrong(
                    field,
                    "takes day, 7d, 28d, 30d, 91d, month, 6mo, 12mo, year, all, or two dates or RFC 3339 times",
                )),
            },
            Value::Array(ends) => {
                let [from, to] = ends.as_slice() else {
                    return Err(wrong(field, "takes two dates, or two RFC 3339 times"));
                };
                let period = match (date(from), date(to)) {
                    (Some(from), Some(to)) => Self::days(from, to, zone)?,
                    _ => {
                        let from = time(from).ok_or_else(|| {
                            wrong(&format!("{field}[0]"), "is no date and no RFC 3339 time")
                        })?;
                        let to = time(to).ok_or_else(|| {
                            wrong(&format!("{field}[1]"), "is no date and no RFC 3339 time")
                        })?;
                        Self::new(from, to)
                    }
                };
                if period.from_s < FIRST_S || period.to_s > now.as_second() + 400 * DAY_S {
                    return Err(wrong(field, "takes times from 2010 to a year from now"));
                }
                match period.to_s > period.from_s {
                    true => Ok(period),
                    false => Err(wrong(field, "ends before it begins")),
                }
            }
            _ => Err(wrong(field, "takes a word, or two dates or RFC 3339 times")),
        }
    }

    fn months(today: Date, before: i32, zone: &TimeZone) -> Answer<Self> {
        let first = today.first_of_month().checked_sub(before.months());
        let first = first.map_err(|_| wrong("date_range", "this reaches too far back"))?;
        Self::days(first, today.last_of_month(), zone)
    }

    /// The period of the same length that ends where this one begins: as many days where it is made of days.
    pub fn before(self, zone: &TimeZone) -> Self {
        let (from, to) = self.ends(zone);
        let midnight = |zoned: &Zoned| zoned.start_of_day().is_ok_and(|start| start == *zoned);
        if midnight(&from) && midnight(&to) {
            let days = from.date().until(to.date()).map_or(0, |span| span.get_days());
            let first = from.date().checked_sub(days.days());
            if let Some(first_s) = first.ok().and_then(|first| first_second(first, zone).ok()) {
                return Self::new(first_s, self.from_s);
            }
        }
        Self { from_s: self.from_s - (self.to_s - self.from_s), to_s: self.from_s }
    }

    /// The same period a year earlier.
    pub fn year_before(self, zone: &TimeZone) -> Self {
        let (from, to) = self.ends(zone);
        let back =
            |zoned: Zoned| zoned.checked_sub(1.year()).map_or(0, |zoned| zoned.timestamp().as_second());
        Self::new(back(from), back(to))
    }

    fn ends(self, zone: &TimeZone) -> (Zoned, Zoned) {
        let zoned = |second: i64| {
            Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone())
        };
        (zoned(self.from_s), zoned(self.to_s))
    }

    /// Its first and last second as RFC 3339, with the zone's offset.
    pub fn stamps(self, zone: &TimeZone) -> [String; 2] {
        let (from, _) = self.ends(zone);
        let (last, _) = Self { from_s: self.to_s - 1, ..self }.ends(zone);
        [from, last].map(|zoned| zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
    }

    /// The grain that `time` means.
    pub fn grain(self) -> Grain {
        match (self.to_s - self.from_s) / DAY_S {
            0..=1 => Grain::Hour,
            2..=100 => Grain::Day,
            _ => Grain::Month,
        }
    }

    /// The labels of its parts, as the answer's dimensions name them.
    pub fn labels(self, grain: Grain, zone: &TimeZone) -> Vec<String> {
        let mut labels: Vec<String> = Vec::new();
        let (from, to) = self.ends(zone);
        if grain == Grain::Hour {
            let mut at_s = self.from_s;
            while at_s < self.to_s && labels.len() < LABELS_MAX {
                let (at, _) = Self { from_s: at_s, ..self }.ends(zone);
                let label = at.strftime("%Y-%m-%d %H:00:00").to_string();
                if labels.last() != Some(&label) {
                    labels.push(label);
                }
                at_s += QUARTER_S;
            }
            return labels;
        }
        let last =
            Timestamp::from_second(self.to_s - 1).unwrap_or(to.timestamp()).to_zoned(zone.clone()).date();
        let mut date = match grain {
            Grain::Week => {
                from.date().saturating_sub(i32::from(from.weekday().to_monday_zero_offset()).days())
            }
            Grain::Month => from.date().first_of_month(),
            _ => from.date(),
        };
        let step = match grain {
            Grain::Week => 7.days(),
            Grain::Month => 1.month(),
            _ => 1.day(),
        };
        while date <= last && labels.len() < LABELS_MAX {
            labels.push(date.to_string());
            date = date.saturating_add(step);
        }
        labels
    }

    /// UTC days since 1970, the first and the last that it touches.
    pub fn utc_days(self) -> (i64, i64) {
        (self.from_s.div_euclid(DAY_S), (self.to_s - 1).div_euclid(DAY_S))
    }
}

fn date(value: &Value) -> Option<Date> {
    value.as_str().filter(|text| text.len() == 10)?.parse().ok()
}

fn time(value: &Value) -> Option<i64> {
    Some(value.as_str().filter(|text| text.len() <= 40)?.parse::<Timestamp>().ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn madrid() -> TimeZone {
        TimeZone::get("Europe/Madrid").unwrap()
    }

    fn period(value: Value) -> Answer<Period> {
        // 2026-03-31 12:00 UTC.
        Period::parse(&value, "date_range", &madrid(), 1_774_958_400_000, Some(20_454))
    }

    #[test]
    fn days_are_the_sites_and_not_utcs() {
        let day = period(json!("day")).unwrap();
        assert_eq!(day.stamps(&madrid()), ["2026-03-31T00:00:00+02:00", "2026-03-31T23:59:59+02:00"]);
        assert_eq!(day.before(&madrid()).stamps(&madrid())[0], "2026-03-30T00:00:00+02:00");
        // The day on which the clocks go forward has 23 hours.
        let short = period(json!(["2026-03-29", "2026-03-29"])).unwrap();
        assert_eq!(short.to_s - short.from_s, 23 * 3600);
        assert_eq!(short.labels(Grain::Hour, &madrid()).len(), 23);
        let month = period(json!("month")).unwrap();
        assert_eq!(month.labels(Grain::Day, &madrid()).len(), 31);
        assert_eq!(month.labels(Grain::Week, &madrid())[0], "2026-02-23");
        assert_eq!(month.before(&madrid()).stamps(&madrid())[0], "2026-01-29T00:00:00+01:00");
        assert_eq!(period(json!("12mo")).unwrap().labels(Grain::Month, &madrid()).len(), 12);
        assert_eq!(period(json!("all")).unwrap().stamps(&madrid())[0], "2026-01-01T00:00:00+01:00");
    }

    #[test]
    fn times_become_whole_quarters() {
        let part = period(json!(["2026-03-30T12:05:00+02:00", "2026-03-30T12:59:59+02:00"])).unwrap();
        assert_eq!(part.stamps(&madrid()), ["2026-03-30T12:00:00+02:00", "2026-03-30T12:59:59+02:00"]);
    }

    #[test]
    fn what_is_no_period_is_told_with_its_place() {
        for value in
            [json!("yesterday"), json!(7), json!(["2026-03-02", "2026-03-01"]), json!(["2026-03-02"])]
        {
            assert_eq!(period(value).unwrap_err().field.unwrap(), "date_range");
        }
        let error = period(json!(["2026-03-02T00:00:00Z", "x'); DROP TABLE"])).unwrap_err();
        assert_eq!(error.field.unwrap(), "date_range[1]");
        assert!(period(json!(["0001-01-01", "9999-12-31"])).is_err());
    }
}
