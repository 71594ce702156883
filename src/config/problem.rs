//! What is wrong with a configuration, where it stands, and what to write instead.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What is wrong with the value of a key. Neither text repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key at fault, then others that it has to do with: `site[0].origins`, counted from 0.
    pub keys: Vec<String>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl Fault {
    /// A fault of one key.
    pub fn new(key: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { keys: vec![key.into()], what: what.into(), remedy: remedy.into() }
    }

    /// Names another key that has to do with it.
    pub fn with(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// The fault as seen from the table above: `tcf.purposes` under `consent` is `consent.tcf.purposes`.
    pub fn under(mut self, table: &str) -> Self {
        self.keys.iter_mut().for_each(|key| *key = format!("{table}.{key}"));
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.keys.first().map_or("", String::as_str);
        write!(f, "{key}: {}; {}", self.what, self.remedy)
    }
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of the configuration file, counted from 1.
    Line(usize),
    /// An environment variable.
    Variable(String),
    /// A flag of the command.
    Flag(&'static str),
}

/// Where each key was written; what is not in here has its default.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// By the full name of the key, such as `site[0].consent.adapters`.
    pub by_key: BTreeMap<String, Place>,
}

/// Where a value stands makes no difference to what it means.
impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Places {}

impl Places {
    /// Where a key stands; else where the nearest table around it begins.
    pub fn of(&self, key: &str) -> Option<&Place> {
        let mut key = key;
        loop {
            if let Some(place) = self.by_key.get(key) {
                return Some(place);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }

    /// In words, as the beginning of a message: `shop.toml:3`.
    pub fn words(&self, place: Option<&Place>) -> String {
        let file = || self.file.as_ref().map_or("configuration".into(), |file| file.display().to_string());
        match place {
            Some(Place::Line(line)) => format!("{}:{line}", file()),
            Some(Place::Variable(name)) => format!("environment variable {name}"),
            Some(Place::Flag(flag)) => (*flag).to_owned(),
            None => file(),
        }
    }

    /// The fault with its place.
    pub fn locate(&self, fault: Fault) -> Problem {
        // What was written can be changed; of two keys the one that has its default is not the place to look at.
        let place = fault.keys.iter().find_map(|key| self.by_key.get(key));
        let place = place.or_else(|| fault.keys.iter().find_map(|key| self.of(key)));
        Problem::new(self, place, fault)
    }
}

/// A fault and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `shop.toml:3`, an environment variable or a flag.
    pub place: String,
    /// What is wrong there.
    pub fault: Fault,
    /// The line of the file; 0 for what is in none.
    pub line: usize,
}

impl Problem {
    /// A fault at a place.
    pub fn new(places: &Places, place: Option<&Place>, fault: Fault) -> Self {
        let line = if let Some(Place::Line(line)) = place { *line } else { 0 };
        Self { place: places.words(place), fault, line }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fault)
    }
}

/// Why a configuration cannot be used: every problem that was found, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// In the order of the file; never empty.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// Puts problems in the order of the file.
    pub fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        Self { problems }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => problem.fmt(f),
            problems => {
                write!(f, "the configuration has {} errors", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

/// The known word that a mistaken one was meant to be, if one is near enough.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = word.to_ascii_lowercase().replace('-', "_");
    let distance = |known: &str| strsim::damerau_levenshtein(&plain, known);
    let near = |known: &&str| {
        let distance = distance(known);
        // A third of the letters may be wrong; a part of a word (`token` for `admin_token`) is near, too.
        distance * 3 <= known.len().max(3)
            || (plain.len() >= 4 && (known.contains(&plain) || plain.contains(*known)))
    };
    known.into_iter().filter(near).min_by_key(|known| distance(known))
}

/// The time zone that was meant: names are told apart by capitals, and some write the city alone.
pub fn nearest_zone(written: &str) -> Option<String> {
    let plain = written.trim().replace(' ', "_");
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let find = |is: &dyn Fn(&str) -> bool| known.iter().find(|name| is(name)).cloned();
    let lower: Vec<String> = known.iter().map(|name| name.to_ascii_lowercase()).collect();
    let near = || {
        let nearest = nearest(&plain, lower.iter().map(String::as_str))?;
        find(&|name| name.eq_ignore_ascii_case(nearest))
    };
    find(&|name| name.eq_ignore_ascii_case(&plain))
        .or_else(|| {
            find(&|name| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&plain)))
        })
        .or_else(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_the_one_that_was_meant() {
        let known = ["listen", "admin_listen", "admin_token", "data_dir", "site", "gpc", "dnt"];
        for (word, meant) in [
            ("lisen", Some("listen")),
            ("admin-listen", Some("admin_listen")),
            ("AdminListen", Some("admin_listen")),
            ("adimn_token", Some("admin_token")),
            ("token", Some("admin_token")),
            ("sites", Some("site")),
            ("gcp", Some("gpc")),
            ("zzz", None),
            ("", None),
            ("colour", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }

    #[test]
    fn a_key_without_a_place_of_its_own_is_looked_for_in_its_table() {
        let mut places = Places { file: Some("c.toml".into()), ..Places::default() };
        places.by_key.insert("site[0]".into(), Place::Line(4));
        places.by_key.insert("site[0].id".into(), Place::Line(5));
        let said = |key: &str| places.locate(Fault::new(key, "wrong", "write it right")).to_string();
        assert_eq!(said("site[0].id"), "c.toml:5: site[0].id: wrong; write it right");
        assert_eq!(said("site[0].consent.tcf.purposes").split(' ').next(), Some("c.toml:4:"));
        assert_eq!(said("listen").split(' ').next(), Some("c.toml:"));
        let both = Fault::new("listen", "wrong", "right").with("site[0].id");
        assert_eq!(places.locate(both).place, "c.toml:5");
    }
}
