//! Dates and times, which are nobody's number: they stay, and they end a number that they follow.

/// The number at `at` of `min` to `max` digits that no further digit follows, and where it ends.
pub(super) fn number(bytes: &[u8], at: usize, min: usize, max: usize) -> Option<(u32, usize)> {
    let rest = bytes.get(at..)?;
    let length = rest.iter().take(max + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let value = rest[..length].iter().fold(0, |value, byte| 10 * value + u32::from(byte - b'0'));
    (min..=max).contains(&length).then_some((value, at + length))
}

/// Where a date, a time or both, which start at `at`, end.
pub(super) fn moment_end(bytes: &[u8], at: usize) -> Option<usize> {
    match date_end(bytes, at) {
        Some(end) => {
            let time =
                matches!(bytes.get(end), Some(b'T' | b't' | b' ' | b'_')).then(|| time_end(bytes, end + 1));
            Some(time.flatten().unwrap_or(end))
        }
        None => time_end(bytes, at),
    }
}

/// "2026-11-23", "23.11.2026", "11/23/2026": one separator twice, a year from 1900 to 2099, a day and a month.
pub(super) fn date_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (first, end) = number(bytes, at, 1, 4)?;
    let separator = *bytes.get(end).filter(|byte| b"-/.".contains(byte))?;
    let (second, second_end) = number(bytes, end + 1, 1, 2)?;
    if bytes.get(second_end) != Some(&separator) {
        return None;
    }
    let (third, third_end) = number(bytes, second_end + 1, 1, 4)?;
    let is_year = |value: u32, length: usize| length == 4 && (1900..2100).contains(&value);
    let is_day = |value: u32, length: usize| length <= 2 && (1..=31).contains(&value);
    let (first_length, third_length) = (end - at, third_end - second_end - 1);
    let year_first =
        is_year(first, first_length) && is_day(third, third_length) && (1..=12).contains(&second);
    let year_last = is_year(third, third_length)
        && is_day(first, first_length)
        && is_day(second, second_end - end - 1)
        && (first <= 12 || second <= 12);
    // More of the same separator is a longer number; slashes are a path, whose parts stand on their own.
    let joined_before =
        separator != b'/' && matches!(bytes[..at], [.., d, s] if s == separator && d.is_ascii_digit());
    let joined_after =
        separator != b'/' && matches!(bytes[third_end..], [s, d, ..] if s == separator && d.is_ascii_digit());
    ((year_first || year_last) && !joined_before && !joined_after).then_some(third_end)
}

/// "9:30", "09:30:59.123456Z", "09:30:59+02:00".
fn time_end(bytes: &[u8], at: usize) -> Option<usize> {
    if matches!(bytes[..at], [.., b':']) {
        return None;
    }
    let (_, hour_end) = number(bytes, at, 1, 2).filter(|&(hour, _)| hour <= 24)?;
    let two_digits = |at: usize| {
        let after_colon = bytes.get(at) == Some(&b':');
        after_colon
            .then(|| number(bytes, at + 1, 2, 2))
            .flatten()
            .filter(|&(value, _)| value <= 60)
            .map(|(_, end)| end)
    };
    let mut end = two_digits(hour_end)?;
    if let Some(seconds_end) = two_digits(end) {
        end = seconds_end;
        if matches!(bytes.get(end), Some(b'.' | b','))
            && let Some((_, fraction_end)) = number(bytes, end + 1, 1, 9)
        {
            end = fraction_end;
        }
    }
    if matches!(bytes.get(end), Some(b'+' | b'-'))
        && let Some((_, zone_end)) = number(bytes, end + 1, 2, 2)
        && let Some(minutes_end) = two_digits(zone_end)
    {
        end = minutes_end;
    }
    Some(end)
}
