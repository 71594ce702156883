//! The same crash has the same fingerprint, whichever build, page and browser it happened in, as far as its stack says so.
//!
//! Kind and first frames count. Of a frame the function and the file's name are kept; where the file was served from, its
//! query, the hash of a build in its name, line and column are not: they change with each deployment. Chromium writes
//! "at f (url:1:2)", Firefox and Safari write "f@url:1:2"; both give the same.

/// Frames that tell one crash from another.
const FRAMES_MAX: usize = 5;
/// A part of a file's name of so many letters and digits, digits among them, is the hash of a build.
const HASH_CHARS_MIN: usize = 6;

/// What tells a crash from another.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Crash<'a> {
    pub(super) kind: &'a str,
    pub(super) message: &'a str,
    pub(super) stack: &'a str,
    pub(super) source: &'a str,
}

/// A line of a stack, taken apart.
struct Frame<'a> {
    function: &'a str,
    place: &'a str,
}

impl<'a> Frame<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("at ") {
            return Some(match rest.rsplit_once(" (") {
                Some((function, place)) => Self { function, place: place.trim_end_matches(')') },
                None => Self { function: "", place: rest },
            });
        }
        // "f@https://..."; a message may hold the sign too, but no place behind it.
        let (function, place) = line.rsplit_once('@')?;
        let is_place =
            place.contains("://") || place.ends_with(|c: char| c.is_ascii_digit()) || place.starts_with('<');
        is_place.then_some(Self { function, place })
    }

    /// Function and file without what changes from build to build.
    fn hash(&self, hasher: &mut blake3::Hasher) {
        let mut function = self.function;
        for word in ["async ", "new ", "async*", "get ", "set "] {
            function = function.strip_prefix(word).unwrap_or(function);
        }
        // "o.<computed> [as onClick]", "Object.render", "render/<": what is called is the last name.
        let function = function.split([' ', '/', '[']).next().unwrap_or_default();
        let function = function.rsplit('.').next().unwrap_or_default();
        let function = if function.starts_with('<') || function == "anonymous" { "" } else { function };
        hash_words(hasher, function);
        hasher.update(b"@");
        let place = self.place.split(['?', '#']).next().unwrap_or_default();
        let file = place.rsplit(['/', '\\']).next().unwrap_or_default();
        let file = file.trim_end_matches(|c: char| c == ':' || c.is_ascii_digit());
        for part in file.split(['.', '-', '_', '~']).filter(|part| !is_hash(part)) {
            hasher.update(part.as_bytes());
            hasher.update(b".");
        }
        hasher.update(b"\n");
    }
}

fn is_hash(part: &str) -> bool {
    part.len() >= HASH_CHARS_MIN
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && part.bytes().any(|byte| byte.is_ascii_digit())
}

fn hash_words(hasher: &mut blake3::Hasher, text: &str) {
    for words in text.split(|c: char| c.is_ascii_digit()) {
        hasher.update(words.as_bytes());
    }
}

/// The fingerprint; 0 where there was no crash.
pub(super) fn fingerprint(crash: &Crash<'_>) -> u64 {
    if crash.kind.is_empty() && crash.message.is_empty() && crash.stack.is_empty() {
        return 0;
    }
    let mut hasher = blake3::Hasher::new_derive_key("consentry 2026-11-25 crash fingerprint v2");
    hasher.update(crash.kind.as_bytes());
    hasher.update(b"\n");
    let mut frames = 0;
    for frame in crash.stack.lines().filter_map(Frame::read).take(FRAMES_MAX) {
        frame.hash(&mut hasher);
        frames += 1;
    }
    if frames == 0 {
        // Not a stack of a browser's: its first lines, or where it happened and what was said.
        let lines = crash.stack.lines().filter(|line| !line.trim().is_empty()).take(FRAMES_MAX);
        let place = [crash.source, crash.message].into_iter().filter(|_| crash.stack.is_empty());
        for line in lines.chain(place) {
            hash_words(&mut hasher, line);
            hasher.update(b"\n");
        }
    }
    let mut short = [0; 8];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stack: &str) -> u64 {
        fingerprint(&Crash { kind: "TypeError", message: "x is undefined", stack, source: "" })
    }

    const CHROME: &str = "TypeError: x is undefined\n    at submit (https://shop.example/assets/checkout-3f2a1b9c.js:108:13)\n    at Object.render (https://shop.example/assets/vendor.7d2b4a9c.js:2:7)";

    #[test]
    fn build_place_and_browser_make_no_difference() {
        for other in [
            "TypeError: y is undefined\n    at submit (https://shop.example/assets/checkout-aa11bb22.js:99:1)\n    at Object.render (https://shop.example/assets/vendor.00ff11ee.js:9:9)",
            "TypeError: x is undefined\n    at async submit (http://localhost:3000/assets/checkout-3f2a1b9c.js?v=2:1:13)\n    at render (http://localhost:3000/assets/vendor.7d2b4a9c.js:2:7)",
            "submit@https://shop.example/assets/checkout-3f2a1b9c.js:108:13\nrender@https://shop.example/assets/vendor.7d2b4a9c.js:2:7",
            "submit@https://shop.example/assets/checkout-3f2a1b9c.js:108:13\nrender/<@https://shop.example/assets/vendor.7d2b4a9c.js:2:7\n",
        ] {
            assert_eq!(of(CHROME), of(other), "{other}");
        }
    }

    #[test]
    fn another_function_file_or_kind_is_another_crash() {
        for other in [
            "    at cancel (https://shop.example/assets/checkout-3f2a1b9c.js:108:13)\n    at Object.render (https://shop.example/assets/vendor.7d2b4a9c.js:2:7)",
            "    at submit (https://shop.example/assets/cart-3f2a1b9c.js:108:13)\n    at Object.render (https://shop.example/assets/vendor.7d2b4a9c.js:2:7)",
            "    at submit (https://shop.example/assets/checkout-3f2a1b9c.js:108:13)",
        ] {
            assert_ne!(of(CHROME), of(other), "{other}");
        }
        let range = Crash { kind: "RangeError", stack: CHROME, ..Crash::default() };
        assert_ne!(of(CHROME), fingerprint(&range));
    }

    #[test]
    fn without_frames_the_words_count_and_without_a_crash_there_is_none() {
        let said = |message, source| fingerprint(&Crash { kind: "Error", message, stack: "", source });
        assert_eq!(said("took 12 ms", "/a.js:1:2"), said("took 900 ms", "/a.js:7:8"));
        assert_ne!(said("took 12 ms", "/a.js:1:2"), said("took 12 ms", "/b.js:1:2"));
        assert_eq!(fingerprint(&Crash::default()), 0);
        assert_eq!(of("java.lang.Error line 7"), of("java.lang.Error line 8"));
    }
}
