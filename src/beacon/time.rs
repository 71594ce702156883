//! The times of the wire, and the one rule by which a wrong client clock is put right.
//!
//! A client says when it sent (`sent_at`) by the clock that it also wrote `ts` with. The difference to our clock is how far
//! that clock is off, and the time that the request was on its way, together; no single request can tell one from the
//! other. Hardly any request takes more than ten seconds, and hardly any clock that a network sets is off by more: so up to
//! ten seconds the difference is taken for delay and nothing is corrected, above it is taken for the clock and corrected
//! whole. The error is then at most ten seconds of an uncorrected clock, or the delay of this one request, by which a
//! corrected event seems later than it was. Lengths do not suffer: `engaged_ms` comes from the browser's own stopwatch, and
//! all events of one request are moved by the same amount.

use crate::clock::{DAY_MS, MINUTE_MS};

use super::field::Leaf;

/// An event further in the future than this, after correction, is rejected.
pub const FUTURE_MS_MAX: i64 = 5 * MINUTE_MS;
/// An event older than this, after correction, is rejected.
pub const AGE_MS_MAX: i64 = 3 * DAY_MS;
/// A difference of `sent_at` up to this is the network's delay, not a wrong clock, and is left alone.
pub const SKEW_IGNORED_MS: i64 = 10_000;

/// Milliseconds since the Unix epoch: sent as such, or as RFC 3339 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub i64);

impl<'de> Leaf<'de> for Time {
    fn from_borrowed(text: &'de str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|at| Self(at.as_millisecond()))
    }
    fn from_owned(text: String) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|at| Self(at.as_millisecond()))
    }
    fn from_number(number: f64) -> Option<Self> {
        // `as` saturates; what is absurd is out of range later.
        number.is_finite().then_some(Self(number as i64))
    }
    fn from_integer(number: i64) -> Option<Self> {
        Some(Self(number))
    }
}

/// How far the client's clock is behind ours, in milliseconds, by `sent_at`; 0 where that is the network's delay.
pub(super) fn skew_ms(sent_at: Option<Time>, received_at_ms: i64) -> i64 {
    let Some(Time(sent_at_ms)) = sent_at else { return 0 };
    let skew = received_at_ms.saturating_sub(sent_at_ms);
    if skew.saturating_abs() <= SKEW_IGNORED_MS { 0 } else { skew }
}

/// The event's time by our clock, or `None` where it is out of range.
pub(super) fn corrected_ms(ts: Option<Time>, skew_ms: i64, received_at_ms: i64) -> Option<i64> {
    let Some(Time(ts_ms)) = ts else { return Some(received_at_ms) };
    let corrected = ts_ms.saturating_add(skew_ms);
    let age = received_at_ms.saturating_sub(corrected);
    (-FUTURE_MS_MAX..=AGE_MS_MAX).contains(&age).then_some(corrected)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_848_800_000;
    const YEARS_10: i64 = 10 * 365 * DAY_MS;

    #[test]
    fn exactly_at_the_limits_and_one_over() {
        assert_eq!(corrected_ms(Some(Time(NOW - AGE_MS_MAX)), 0, NOW), Some(NOW - AGE_MS_MAX));
        assert_eq!(corrected_ms(Some(Time(NOW - AGE_MS_MAX - 1)), 0, NOW), None);
        assert_eq!(corrected_ms(Some(Time(NOW + FUTURE_MS_MAX)), 0, NOW), Some(NOW + FUTURE_MS_MAX));
        assert_eq!(corrected_ms(Some(Time(NOW + FUTURE_MS_MAX + 1)), 0, NOW), None);
        assert_eq!(corrected_ms(None, 0, NOW), Some(NOW));
    }

    #[test]
    fn a_clock_ten_years_off_is_put_right_by_sent_at() {
        for off in [YEARS_10, -YEARS_10] {
            let skew = skew_ms(Some(Time(NOW + off)), NOW);
            assert_eq!(corrected_ms(Some(Time(NOW + off - 3000)), skew, NOW), Some(NOW - 3000));
            assert_eq!(corrected_ms(Some(Time(NOW + off - 3000)), 0, NOW), None);
        }
    }

    #[test]
    fn the_networks_delay_is_not_taken_for_a_wrong_clock() {
        assert_eq!(skew_ms(Some(Time(NOW - 900)), NOW), 0);
        assert_eq!(skew_ms(Some(Time(NOW - SKEW_IGNORED_MS)), NOW), 0);
        assert_eq!(skew_ms(Some(Time(NOW - SKEW_IGNORED_MS - 1)), NOW), SKEW_IGNORED_MS + 1);
    }

    #[test]
    fn absurd_numbers_do_not_overflow() {
        for ts in [i64::MIN, i64::MAX] {
            assert_eq!(corrected_ms(Some(Time(ts)), skew_ms(Some(Time(i64::MIN)), NOW), NOW), None);
        }
    }

    #[test]
    fn rfc_3339_and_milliseconds_mean_the_same() {
        assert_eq!(Time::from_borrowed("2025-11-22T22:00:00Z"), Some(Time(1_763_848_800_000)));
        assert_eq!(Time::from_borrowed("2025-11-22T23:00:00.5+01:00"), Some(Time(1_763_848_800_500)));
        assert_eq!(Time::from_borrowed("yesterday"), None);
    }
}
