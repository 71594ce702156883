//! The class of a device by the name of its model, as Android puts it into a User-Agent.
//!
//! Two tables of facts: `families.txt` has patterns by which makers name their lines, `models.txt` names that stand
//! alone; the head of each says where it comes from. A name is looked up in lower case and by its letters and digits
//! alone, because browsers write "SM-T510", "SM_T510" and "SAMSUNG SM-T510".
//!
//! Cost: one pass over the name, the patterns that begin with its first letter, one binary search.

use std::ops::Range;

use super::Device;

/// Longest name that is looked up, in letters and digits; longer ones are in no table.
const NAME_BYTES_MAX: usize = 40;
/// Makers that older browsers put in front of the name.
const MAKERS: [&str; 6] = ["samsung", "huawei", "lge", "asus", "zte", "sony"];

/// A pattern of names, see the head of `families.txt`.
struct Family {
    pattern: &'static [u8],
    /// Whether it is the whole name.
    whole: bool,
    class: Device,
}

impl Family {
    fn fits(&self, name: &[u8]) -> bool {
        let same = |(&sign, byte): (&u8, &u8)| match sign {
            b'#' => byte.is_ascii_digit(),
            b'@' => byte.is_ascii_lowercase(),
            sign => sign == *byte,
        };
        let length =
            if self.whole { name.len() == self.pattern.len() } else { name.len() >= self.pattern.len() };
        length && self.pattern.iter().zip(name).all(same)
    }

    /// Whether a name that begins with `first` can fit.
    fn begins(&self, first: u8) -> bool {
        self.pattern.first().is_some_and(|sign| match sign {
            b'#' => first.is_ascii_digit(),
            b'@' => first.is_ascii_lowercase(),
            sign => *sign == first,
        })
    }
}

/// The tables, ready to be looked up.
pub(super) struct Models {
    /// In the order of the file.
    families: Box<[Family]>,
    /// For each first byte of a name the families that it can be of.
    by_first: Box<[Box<[u16]>]>,
    /// Ascending.
    names: Box<[(&'static str, Device)]>,
}

impl Models {
    pub(super) fn new() -> Self {
        let families: Box<[Family]> = entries(include_str!("families.txt"))
            .map(|(text, class)| {
                let pattern = text.trim_end_matches('$');
                Family { pattern: pattern.as_bytes(), whole: pattern.len() < text.len(), class }
            })
            .collect();
        let numbered = || (0_u16..).zip(&families);
        let by_first = (0..=u8::MAX)
            .map(|first| {
                numbered().filter(|(_, family)| family.begins(first)).map(|(number, _)| number).collect()
            })
            .collect();
        let mut names: Box<[_]> = entries(include_str!("models.txt")).collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        Self { families, by_first, names }
    }

    /// The class of the model called `name`, where a table knows it.
    pub(super) fn class(&self, name: &str) -> Option<Device> {
        let mut buffer = [0; NAME_BYTES_MAX];
        let mut length = 0;
        for byte in name.bytes().filter(u8::is_ascii_alphanumeric) {
            *buffer.get_mut(length)? = byte.to_ascii_lowercase();
            length += 1;
        }
        let plain = &buffer[..length];
        let without_maker = || {
            let without = MAKERS.iter().find_map(|maker| plain.strip_prefix(maker.as_bytes()))?;
            self.of(without)
        };
        self.of(plain).or_else(without_maker).or_else(|| is_called_tablet(name).then_some(Device::Tablet))
    }

    fn of(&self, name: &[u8]) -> Option<Device> {
        let families = &self.by_first[usize::from(*name.first()?)];
        let family = families.iter().map(|&number| &self.families[usize::from(number)]);
        let by_family = family.into_iter().find(|family| family.fits(name)).map(|family| family.class);
        by_family.or_else(|| {
            let at = self.names.binary_search_by(|(known, _)| known.as_bytes().cmp(name)).ok()?;
            Some(self.names[at].1)
        })
    }
}

/// Whether a name has "tab" or "pad" at the end of one of its words, as "SurfTab 7" and "NAVIPAD_8" do: of the names in
/// browscap 234 tablets and 4 telephones, Coolpad's aside, whose brand it is.
fn is_called_tablet(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_at = |at: usize| {
        let word = [bytes[at], bytes[at + 1], bytes[at + 2]].map(|byte| byte.to_ascii_lowercase());
        let ends = !bytes.get(at + 3).is_some_and(u8::is_ascii_alphabetic);
        let maker = bytes[..at].to_ascii_lowercase();
        let other = maker.ends_with(b"cool") || maker.ends_with(b"fone") || maker.ends_with(b"touch");
        ends && !other && matches!(&word, b"tab" | b"pad")
    };
    (0..bytes.len().saturating_sub(2)).any(is_at)
}

/// What stands in a table, with its section's class.
fn entries(table: &'static str) -> impl Iterator<Item = (&'static str, Device)> {
    let mut class = Device::Other;
    table.lines().filter(|line| *line != "#" && !line.starts_with("# ")).flat_map(move |line| {
        let section = line.strip_prefix('[').map(|name| name.trim_end_matches(']'));
        if let Some(name) = section {
            class = [Device::Desktop, Device::Mobile, Device::Tablet, Device::Tv, Device::Console]
                .into_iter()
                .find(|class| class.as_str() == name)
                .unwrap_or_default();
        }
        let class = class;
        let words = if section.is_some() { "" } else { line };
        words.split_ascii_whitespace().map(move |word| (word, class))
    })
}

/// Where in an Android User-Agent the model's name stands: behind the system's, a language and such small marks, and in
/// front of the build's number.
pub(super) fn name_of(ua: &str) -> Option<Range<usize>> {
    const SYSTEMS: [&str; 3] = ["Android", "HarmonyOS", "Adr "];
    let system = SYSTEMS.iter().find_map(|system| ua.find(system))?;
    let mut start = system + ua[system..].find(';')? + 1;
    loop {
        let rest = &ua[start..];
        let (mut depth, mut end) = (0_u32, rest.len());
        for (at, byte) in rest.bytes().enumerate() {
            match byte {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b';' | b')' => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let part = &rest[..end];
        let name = part[..part.find(" Build").unwrap_or(end)].trim_end();
        let trimmed = name.trim_start();
        if !is_mark(trimmed) {
            let begin = start + name.len() - trimmed.len();
            return Some(begin..begin + trimmed.len());
        }
        if rest.as_bytes().get(end) != Some(&b';') {
            return None;
        }
        start += end + 1;
    }
}

/// What stands among the parts and names no model: "U", "wv", "arm_64", "en-us", "K".
fn is_mark(part: &str) -> bool {
    let is_language = || {
        let (language, region) = part.split_at(2);
        language.bytes().all(|byte| byte.is_ascii_lowercase())
            && (region.is_empty() || region.len() <= 6 && region.starts_with(['-', '_']))
    };
    matches!(part, "" | "U" | "wv" | "K" | "arm" | "arm_64" | "x86" | "x86_64")
        || part.len() >= 2 && part.is_char_boundary(2) && is_language()
}

/// What the build's number says: the second letter of Android's own is the branch that it was made from ("Codenames, tags,
/// and build numbers" of the Android Open Source Project). T and W are those of televisions and watches: so it is in
/// every agent with a dated build that was looked at, and the document does not list them.
pub(super) fn class_of_build(ua: &str) -> Option<Device> {
    let build = &ua[ua.find(" Build/")? + " Build/".len()..];
    let (branch, rest) = build.split_once('.')?;
    let branch = branch.as_bytes();
    let is_dated = rest.len() >= 6 && rest.as_bytes()[..6].iter().all(u8::is_ascii_alphanumeric);
    let is_branch = matches!(branch, [b'L'..=b'Z', _, ..]) && (3..=4).contains(&branch.len());
    match branch.get(1) {
        Some(b'T') if is_branch && is_dated => Some(Device::Tv),
        Some(b'W') if is_branch && is_dated => Some(Device::Other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_found_among_the_parts() {
        for (ua, want) in [
            ("Mozilla/5.0 (Linux; Android 9; SM-T510) AppleWebKit", Some("SM-T510")),
            ("Mozilla/5.0 (Linux; U; Android 4.1; en-us; ME172V Build/JRO03C) X", Some("ME172V")),
            ("Mozilla/5.0 (Linux; arm_64; Android 12; PNC560) X", Some("PNC560")),
            ("Mozilla/5.0 (Linux; U; Android 10; zh-cn; M40(N9H2) Build/QP1A) X", Some("M40(N9H2)")),
            ("Mozilla/5.0 (Linux; Android 10; K) X", None),
            ("Mozilla/5.0 (Linux; Android 10; wv) X", None),
            ("Mozilla/5.0 (Android 13; Mobile; rv:120.0) Gecko", Some("Mobile")),
            ("Mozilla/5.0 (X11; Linux x86_64)", None),
            ("Android", None),
            ("Android;", None),
            ("Android;\u{e4}\u{e4}", Some("\u{e4}\u{e4}")),
        ] {
            assert_eq!(name_of(ua).map(|range| &ua[range]), want, "{ua}");
        }
    }

    #[test]
    fn a_name_is_known_however_it_is_written() {
        let models = Models::new();
        for name in ["SM-T510", "SM_T510", "sm t510", "SAMSUNG SM-T510"] {
            assert_eq!(models.class(name), Some(Device::Tablet), "{name}");
        }
        assert_eq!(models.class("SM-G991B"), Some(Device::Mobile));
        assert_eq!(models.class("BRAVIA 4K UR3"), Some(Device::Tv));
        assert_eq!(models.class("23046RP50C"), Some(Device::Tablet));
        assert_eq!(models.class("2201117TG"), None);
        assert_eq!(models.class(""), None);
        assert_eq!(models.class(&"9".repeat(41)), None);
    }

    #[test]
    fn a_branch_says_what_a_build_is_for() {
        let class = |build: &str| class_of_build(&format!("(Linux; Android 9; X Build/{build})"));
        assert_eq!(class("PTT1.190222.001"), Some(Device::Tv));
        assert_eq!(class("TWR7.231031.001"), Some(Device::Other));
        assert_eq!(class("TP1A.220624.014"), None);
        assert_eq!(class("KTU84Q"), None);
        assert_eq!(class("LT22i.5"), None);
    }

    #[test]
    fn tables_are_in_order() {
        let models = Models::new();
        let names: Vec<_> = models.names.iter().map(|(name, _)| *name).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "a name stands twice");
        // What a family tells needs no name of its own.
        let told =
            names.iter().find(|name| models.families.iter().any(|family| family.fits(name.as_bytes())));
        assert_eq!(told, None);
        assert!(models.families.iter().all(|family| !family.pattern.is_empty()));
    }
}
