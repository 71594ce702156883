//! IPv4 and IPv6 addresses in text: where one starts and ends, and what only looks like one.

use std::net::Ipv6Addr;

/// Bounds of the IPv6 address in `text[start..end]`, which holds only hexadecimal digits, colons and dots.
pub(super) fn ipv6_within(text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let run = &text[start..end];
    let colons = run.bytes().filter(|&byte| byte == b':').count();
    // Words of a programming language ("d::e") look like addresses but for the digits.
    if colons < 2 || !run.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The sentence's own punctuation: "from fe80::1.", "ip:2001:db8::1", "2001:db8::1: refused".
    let mut run = run.trim_matches('.');
    if !run.starts_with("::") {
        run = run.trim_start_matches(':');
    }
    if !run.ends_with("::") {
        run = run.trim_end_matches(':');
    }
    let start = start + (run.as_ptr() as usize - text[start..].as_ptr() as usize);
    let end = start + run.len();
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let stands_alone = !is_word(bytes[..start].last()) && !is_word(bytes.get(end));
    let groups_fit = run.split([':', '.']).all(|group| group.len() <= 4);
    let complete = run.matches(':').count() >= 7 && groups_fit;
    // With a port, or cut out of something longer, an abbreviated address no longer parses.
    let abbreviated = run.contains("::") && groups_fit && run.len() >= 8;
    let parses = run.parse::<Ipv6Addr>().is_ok();
    let found = complete || (stands_alone || run.len() >= 10) && (parses || abbreviated);
    found.then_some((start, end))
}

/// Where the IPv4 address that starts at `start` ends: four numbers up to 255, not part of a longer dotted number.
pub(super) fn ipv4_end(bytes: &[u8], start: usize) -> Option<usize> {
    let before = &bytes[..start];
    // "v1.2.3.4" calls itself a version.
    let is_version =
        matches!(before, [.., b'v' | b'V']) && !matches!(before, [.., a, _] if a.is_ascii_alphanumeric());
    if is_version || matches!(before, [.., d, b'.'] if d.is_ascii_digit()) {
        return None;
    }
    let mut at = start;
    for octet in 0..4 {
        if octet > 0 {
            at += usize::from(bytes.get(at) == Some(&b'.'));
        }
        let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = bytes[at..at + length.min(3)]
            .iter()
            .fold(0_u16, |value, byte| 10 * value + u16::from(byte - b'0'));
        if !(1..=3).contains(&length) || value > 255 || octet < 3 && bytes.get(at + length) != Some(&b'.') {
            return None;
        }
        at += length;
    }
    let goes_on = matches!(bytes[at..], [b'.', d, ..] if d.is_ascii_digit());
    (!goes_on).then_some(at)
}
