//! What a signal is written in: bounded, percent-decoded, UTF-8, without control characters. `None` is malformed.

/// The longest value of one signal that is looked at, in bytes. A longer one is malformed.
pub(super) const VALUE_BYTES_MAX: usize = 4096;
/// Bytes of all `Cookie` headers together, and of the query, that are looked at. What is longer could hide a no, so it
/// is malformed.
pub(super) const CARRIER_BYTES_MAX: usize = 16 * 1024;

/// Room for one decoded value, so that none is allocated.
pub(super) struct Buffer([u8; VALUE_BYTES_MAX]);

impl Buffer {
    pub(super) fn new() -> Self {
        Self([0; VALUE_BYTES_MAX])
    }

    /// Undoes `encodeURIComponent`.
    pub(super) fn percent<'a>(&'a mut self, value: &'a [u8]) -> Option<&'a str> {
        self.decode(value, false)
    }

    /// Undoes `application/x-www-form-urlencoded`, where a space is `+`.
    pub(super) fn form<'a>(&'a mut self, value: &'a [u8]) -> Option<&'a str> {
        self.decode(value, true)
    }

    fn decode<'a>(&'a mut self, value: &'a [u8], plus_is_space: bool) -> Option<&'a str> {
        if value.len() > VALUE_BYTES_MAX {
            return None;
        }
        let special = |from: &[u8]| memchr::memchr2(b'%', if plus_is_space { b'+' } else { b'%' }, from);
        let Some(mut run) = special(value) else { return printable(value) };
        let (mut rest, mut len) = (value, 0);
        loop {
            let (plain, coded) = rest.split_at(run);
            self.0[len..len + run].copy_from_slice(plain);
            len += run;
            let (byte, behind) = match coded {
                [] => break,
                &[b'%', high, low, ref behind @ ..] => (hex(high)? << 4 | hex(low)?, behind),
                [b'+', behind @ ..] => (b' ', behind),
                _ => return None,
            };
            self.0[len] = byte;
            len += 1;
            rest = behind;
            run = special(rest).unwrap_or(rest.len());
        }
        printable(&self.0[..len])
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn printable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let odd = match text.is_ascii() {
        // Without an early end, as nearly all have none.
        true => bytes.iter().fold(false, |odd, byte| odd | byte.is_ascii_control()),
        false => text.chars().any(char::is_control),
    };
    (!odd).then_some(text)
}

/// The parts between separators.
pub(super) fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (part, behind) = match memchr::memchr(separator, text) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        rest = behind;
        Some(part)
    })
}

/// The name and value of a `name=value`.
pub(super) fn pair(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', field)?;
    Some((&field[..at], &field[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(value: &[u8]) -> Option<String> {
        Buffer::new().percent(value).map(str::to_owned)
    }

    #[test]
    fn percent_decoding_is_whole_or_nothing() {
        assert_eq!(percent(b"0%2C1%2c2%3A").as_deref(), Some("0,1,2:"));
        assert_eq!(percent(b"a+b").as_deref(), Some("a+b"));
        assert_eq!(Buffer::new().form(b"a+b%2B"), Some("a b+"));
        assert_eq!(percent("gr\u{fc}n".as_bytes()).as_deref(), Some("gr\u{fc}n"));
        assert_eq!(percent(b"%C3%BC").as_deref(), Some("\u{fc}"));
        for odd in
            ["%", "%2", "%2x", "%x2", "a%", "%E0%A4%A", "%FF", "%C3", "%00", "%0A", "%7f", "a\tb", "%C2%85"]
        {
            assert_eq!(percent(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(percent(b"\xff"), None);
    }

    #[test]
    fn parts_are_those_of_the_standard_library() {
        for text in ["", ";", "a", "a;b", ";a;;b;", "a;b;"] {
            let expected: Vec<_> = text.as_bytes().split(|&byte| byte == b';').collect();
            assert_eq!(split(text.as_bytes(), b';').collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn exactly_at_the_limit_and_one_over() {
        assert!(percent(&[b'a'; VALUE_BYTES_MAX]).is_some());
        assert!(percent(&[b'a'; VALUE_BYTES_MAX + 1]).is_none());
        let mut coded = [b'a'; VALUE_BYTES_MAX];
        coded[..3].copy_from_slice(b"%41");
        assert_eq!(percent(&coded).unwrap().len(), VALUE_BYTES_MAX - 2);
    }
}
