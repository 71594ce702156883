//! From text and environment to a [`File`], with every mistake in them named at once.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{ConfigError, Fault, Place, Places, Problem, nearest};
use super::shape::{Key, Takes, shape};
use super::{Config, File};

/// The largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Environment variables that begin with `CONSENTRY_` and are not configuration keys.
const NOT_KEYS: &[&str] =
    &["LIBCHDB", "CACHE_DIR", "WEB_DIST", "COMMIT", "CONFIG", "LOG", "LOG_FORMAT", "TEST_CHROMIUM"];

/// Where a configuration comes from. It can be read again, for a reload.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file; none: the defaults.
    pub path: Option<PathBuf>,
    /// Variables `CONSENTRY_<KEY>`, which win over the file; others are passed over.
    pub environment: Vec<(String, String)>,
    /// Flags, which win over both: the flag, its key, its value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

impl Sources {
    /// Reads and checks everything; what comes out can be used as it is.
    ///
    /// # Errors
    /// Every problem that was found, each with its place and what to write instead. Values are checked against each other
    /// only where each can be read.
    pub fn read(&self) -> Result<Config, ConfigError> {
        self.load()?.resolve()
    }

    /// Reads everything without checking what the values have to do with each other.
    ///
    /// # Errors
    /// As for [`Sources::read`].
    pub fn load(&self) -> Result<File, ConfigError> {
        let text = self.path.as_deref().map_or(Ok(String::new()), read_text)?;
        let mut reading = Reading::new(self.path.clone());
        let mut table = reading.file(&text)?;
        for (name, value) in &self.environment {
            reading.variable(&mut table, name, value);
        }
        for (flag, key, value) in &self.flags {
            reading.flag(&mut table, flag, key, value);
        }
        reading.finish(table)
    }
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    use std::io::Read;
    let places = Places { file: Some(path.to_owned()), ..Places::default() };
    let problem = |place: Option<Place>, what: String, remedy: &str| {
        let fault = Fault::new("file", what, remedy);
        ConfigError::new(vec![Problem::new(&places, place.as_ref(), fault)])
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            let remedy = "name a file that can be read with --config or CONSENTRY_CONFIG";
            problem(None, format!("cannot be read: {error}"), remedy)
        })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(problem(None, format!("has more than {FILE_BYTES_MAX} bytes"), "name the right file"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        problem(Some(Place::Line(line)), "is not UTF-8 text".into(), "save the file as UTF-8")
    })
}

/// What is known while a configuration is read.
struct Reading {
    shape: Key,
    places: Places,
    problems: Vec<Problem>,
}

impl Reading {
    fn new(file: Option<PathBuf>) -> Self {
        let places = Places { file, ..Places::default() };
        Self { shape: shape(), places, problems: Vec::new() }
    }

    /// Parses the file's text. Where it is no TOML there is nothing to go on with.
    fn file(&mut self, text: &str) -> Result<toml::Table, ConfigError> {
        let parsed = match DeTable::parse(text) {
            Ok(parsed) => parsed,
            Err(error) => return Err(ConfigError::new(vec![self.not_toml(text, &error)])),
        };
        note_lines(&mut self.places, text, "", parsed.get_ref());
        let mut table: toml::Table =
            toml::from_str(text).map_err(|error| ConfigError::new(vec![self.not_toml(text, &error)]))?;
        let shape = std::mem::replace(&mut self.shape, shape());
        self.check(&mut table, &shape, &mut Vec::new());
        Ok(table)
    }

    fn not_toml(&self, text: &str, error: &toml::de::Error) -> Problem {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = 1 + text[..start].matches('\n').count();
        let written = text.lines().nth(line - 1).unwrap_or_default().trim();
        let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']');
        let name = &written[..written.find(|c| !bare(c)).unwrap_or(written.len()).min(64)];
        let message = error.message().lines().next().unwrap_or_default();
        let (what, remedy) = match find(&self.shape, name) {
            _ if message.contains("duplicate key") => ("is given twice".into(), "keep one of the two".into()),
            _ if written.starts_with('[') => {
                (format!("is not TOML: {message}"), "write [table] or [[table]] on a line of its own".into())
            }
            _ if message.contains("array") => {
                let remedy =
                    "close the list with ], here or in a line before, and put commas between its values";
                (format!("is not TOML: {message}"), remedy.into())
            }
            Some(key) if written.ends_with('=') => ("has no value".into(), example(key, &key.default)),
            Some(key) => (format!("is not TOML: {message}"), example(key, &key.default)),
            None => {
                let remedy = "write key = value, with texts in quotes and lists in brackets";
                (format!("is not TOML: {message}"), remedy.into())
            }
        };
        let name = if name.is_empty() { "file" } else { name };
        Problem::new(&self.places, Some(&Place::Line(line)), Fault::new(name, what, remedy))
    }

    /// Takes out of `table` what cannot be read, and notes why. `path` leads to it: names and indices.
    fn check(&mut self, table: &mut toml::Table, of: &Key, path: &mut Vec<Step>) {
        let known = of.takes.keys().unwrap_or_default();
        let names: Vec<String> = table.keys().cloned().collect();
        for name in names {
            path.push(Step::Key(name.clone()));
            let key = known.iter().find(|key| key.name == name);
            let fault = match (key, table.get_mut(&name)) {
                (None, _) => Some(self.unknown(&name, of, path)),
                (Some(key @ Key { takes: Takes::Table(_), .. }), Some(toml::Value::Table(inner))) => {
                    self.check(inner, key, path);
                    None
                }
                (Some(key @ Key { takes: Takes::Tables(_), .. }), Some(toml::Value::Array(inner)))
                    if inner.iter().all(toml::Value::is_table) =>
                {
                    for (index, inner) in inner.iter_mut().enumerate() {
                        path.push(Step::Index(index));
                        if let toml::Value::Table(inner) = inner {
                            self.check(inner, key, path);
                        }
                        path.pop();
                    }
                    None
                }
                (Some(key), Some(value)) => mistaken(key, value, path),
                (Some(_), None) => None,
            };
            if let Some(fault) = fault {
                self.problems.push(self.places.locate(fault));
                table.remove(&name);
            }
            path.pop();
        }
    }

    /// A key that there is not: misspelt, or in the wrong table.
    fn unknown(&self, name: &str, of: &Key, path: &[Step]) -> Fault {
        let root = self.shape.takes.keys().unwrap_or_default();
        let here = of.takes.keys().unwrap_or_default();
        let names = |keys: &'_ [Key]| keys.iter().map(|key| key.name.clone()).collect::<Vec<_>>();
        let holds = |key: &&Key| key.takes.keys().is_some_and(|keys| keys.iter().any(|key| key.name == name));
        let remedy = if path.len() > 1 && root.iter().any(|key| key.name == name) {
            format!("{name} belongs to the top: write it above the first [table] or [[site]]")
        } else if let Some(table) = here.iter().chain(root).find(holds) {
            let around = path[..path.len() - 1].iter().filter_map(|step| match step {
                Step::Key(name) if here.iter().any(|key| key.name == table.name) => Some(format!("{name}.")),
                _ => None,
            });
            let around: String = around.collect();
            let brackets = match table.takes {
                Takes::Tables(_) => format!("[[{around}{}]]", table.name),
                _ => format!("[{around}{}]", table.name),
            };
            format!("{name} belongs under {brackets}")
        } else {
            match nearest(name, names(here).iter().map(String::as_str)) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "take it out; `consentry config --sample` shows every key".into(),
            }
        };
        Fault::new(full_name(path), "there is no such key", remedy)
    }

    /// Lays an environment variable over the file.
    fn variable(&mut self, table: &mut toml::Table, name: &str, value: &str) {
        let Some(word) = name.strip_prefix("CONSENTRY_").filter(|word| !NOT_KEYS.contains(word)) else {
            return;
        };
        let key = word.to_ascii_lowercase();
        let known = self.shape.takes.keys().unwrap_or_default();
        let place = Place::Variable(name.to_owned());
        let Some(shape) = known.iter().find(|known| known.name == key) else {
            let names = known.iter().map(|key| key.name.as_str());
            let remedy = match nearest(&key, names) {
                Some(meant) => format!("did you mean CONSENTRY_{}?", meant.to_ascii_uppercase()),
                None => "unset it; `consentry config --sample` shows every key".into(),
            };
            let fault = Fault::new(key, "there is no such key", remedy);
            self.problems.push(Problem::new(&self.places, Some(&place), fault));
            return;
        };
        // `123456` may be a number or a token.
        let text = toml::Value::String(value.to_owned());
        let path = [Step::Key(key.clone())];
        let meant = env_value(value);
        let value = if mistaken(shape, &meant, &path).is_none() { meant } else { text };
        match mistaken(shape, &value, &path) {
            Some(fault) => self.problems.push(Problem::new(&self.places, Some(&place), fault)),
            None => {
                let inside = [format!("{key}["), format!("{key}.")];
                self.places.by_key.retain(|known, _| !inside.iter().any(|inside| known.starts_with(inside)));
                self.places.by_key.insert(key.clone(), place);
                table.insert(key, value);
            }
        }
    }

    /// Lays a flag over file and environment.
    fn flag(&mut self, table: &mut toml::Table, flag: &'static str, key: &str, value: &str) {
        self.places.by_key.insert(key.to_owned(), Place::Flag(flag));
        table.insert(key.to_owned(), toml::Value::String(value.to_owned()));
    }

    fn finish(mut self, table: toml::Table) -> Result<File, ConfigError> {
        if !self.problems.is_empty() {
            return Err(ConfigError::new(self.problems));
        }
        match table.try_into::<File>() {
            Ok(file) => {
                let mut file = File { places: self.places, ..file };
                match file.take_secrets() {
                    faults if faults.is_empty() => Ok(file),
                    faults => Err(file.located(faults)),
                }
            }
            // A table lacks a key that it must have.
            Err(error) => {
                let message = without_values(error.message());
                let missing = message.split('`').nth(1).filter(|_| message.starts_with("missing field"));
                let (key, what) = match missing {
                    Some(key) => (key.to_owned(), "is missing".to_owned()),
                    None => ("file".to_owned(), message),
                };
                let lacking = |table: &&String| !self.places.by_key.contains_key(&format!("{table}.{key}"));
                let holds = |table: &&String| holder(&self.shape, table).is_some_and(|of| has(of, &key));
                let tables = self.places.by_key.keys().filter(holds).find(lacking);
                let key = tables.map_or_else(|| key.clone(), |table| format!("{table}.{key}"));
                let remedy = "write it; `consentry config --sample` shows every key";
                self.problems.push(self.places.locate(Fault::new(key, what, remedy)));
                Err(ConfigError::new(self.problems))
            }
        }
    }
}

/// A step on the way to a value.
enum Step {
    Key(String),
    Index(usize),
}

fn full_name(path: &[Step]) -> String {
    let mut name = String::new();
    for step in path {
        match step {
            Step::Key(key) if name.is_empty() => name.push_str(key),
            Step::Key(key) => name.extend([".", key]),
            Step::Index(index) => name.push_str(&format!("[{index}]")),
        }
    }
    name
}

/// The table of a full name such as `site[0].consent`.
fn holder<'a>(of: &'a Key, name: &str) -> Option<&'a Key> {
    name.split('.').try_fold(of, |of, part| {
        let (name, indexed) = part.split_once('[').map_or((part, false), |(name, _)| (name, true));
        let is_it = |key: &&Key| key.name == name && matches!(key.takes, Takes::Tables(_)) == indexed;
        of.takes.keys()?.iter().find(is_it)
    })
}

fn has(of: &Key, name: &str) -> bool {
    of.takes.keys().is_some_and(|keys| keys.iter().any(|key| key.name == name))
}

/// The first key of this name, in the order of the sample.
fn find<'a>(of: &'a Key, name: &str) -> Option<&'a Key> {
    let keys = of.takes.keys().unwrap_or_default();
    let here = keys.iter().find(|key| key.name == name && key.takes.keys().is_none());
    here.or_else(|| keys.iter().find_map(|key| find(key, name)))
}

/// What is wrong with a value by itself, if anything.
fn mistaken(key: &Key, value: &toml::Value, path: &[Step]) -> Option<Fault> {
    // A file with this one value, so that the types themselves say whether it is one of theirs.
    let mut alone = value.clone();
    for step in path.iter().rev() {
        alone = match step {
            Step::Key(name) => {
                let mut table = toml::Table::new();
                table.insert(name.clone(), alone);
                toml::Value::Table(table)
            }
            Step::Index(_) => {
                if let toml::Value::Table(table) = &mut alone {
                    table.entry("id").or_insert_with(|| "x".into());
                }
                toml::Value::Array(vec![alone])
            }
        };
    }
    let error = alone.try_into::<File>().err()?;
    if error.message().starts_with("missing field") {
        // What the table lacks is no fault of this value.
        return None;
    }
    let name = full_name(path);
    let takes = key.takes.words();
    let (what, remedy) = match (&key.takes, value) {
        (Takes::Word(words), toml::Value::String(written)) => {
            let remedy = match nearest(written, words.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => example(key, &words[0].clone().into()),
            };
            (format!("takes {takes}"), remedy)
        }
        (Takes::Tables(_), _) => {
            ("takes any number of tables".to_owned(), format!("write [[{name}]], then its keys"))
        }
        (Takes::Table(_), _) => ("is a table".to_owned(), format!("write [{name}], then its keys")),
        _ if without_values(error.message()).starts_with("invalid type") => {
            (format!("takes {takes}, not {}", kind(value)), example(key, &fitting(key, value)))
        }
        (Takes::Number(..), _) => (format!("takes {takes}"), example(key, &key.default)),
        _ => (without_values(error.message()), example(key, &key.default)),
    };
    Some(Fault::new(name, what, remedy))
}

/// What the value may have been meant to be: a single text where a list is taken, a number in quotes.
fn fitting(key: &Key, value: &toml::Value) -> serde_json::Value {
    match (&key.takes, value) {
        _ if key.secret => "...".into(),
        (Takes::Texts, toml::Value::String(text)) => vec![text.clone()].into(),
        (Takes::Flag, toml::Value::String(text)) => matches!(text.as_str(), "true" | "yes" | "on").into(),
        (Takes::Flag, toml::Value::Integer(number)) => (*number != 0).into(),
        (Takes::Number(..), toml::Value::String(text)) if text.parse::<u64>().is_ok() => {
            text.parse::<u64>().unwrap_or_default().into()
        }
        (Takes::Text, toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_)) => {
            value.to_string().into()
        }
        _ => key.default.clone(),
    }
}

/// A line that would do.
fn example(key: &Key, value: &serde_json::Value) -> String {
    let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let value = match &key.example {
        Some(example) if empty => example,
        _ => value,
    };
    match super::sample::inline(value) {
        Some(value) => format!("write {} = {value}", key.name),
        None => "`consentry config --sample` shows its form".into(),
    }
}

fn kind(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::String(_) => "text",
        toml::Value::Integer(_) => "a whole number",
        toml::Value::Float(_) => "a number with a point",
        toml::Value::Boolean(_) => "true or false",
        toml::Value::Datetime(_) => "a date",
        toml::Value::Array(_) => "a list",
        toml::Value::Table(_) => "a table",
    }
}

/// Notes the line of each key, and of each table's beginning.
fn note_lines(places: &mut Places, text: &str, under: &str, table: &DeTable<'_>) {
    let line = |at: usize| Place::Line(1 + text[..at.min(text.len())].matches('\n').count());
    for (key, value) in table {
        let name = match under {
            "" => key.get_ref().to_string(),
            under => format!("{under}.{}", key.get_ref()),
        };
        places.by_key.insert(name.clone(), line(key.span().start));
        match value.get_ref() {
            DeValue::Table(inner) => note_lines(places, text, &name, inner),
            DeValue::Array(inner) => {
                for (index, inner) in inner.iter().enumerate() {
                    if let DeValue::Table(table) = Spanned::get_ref(inner) {
                        let name = format!("{name}[{index}]");
                        places.by_key.insert(name.clone(), line(inner.span().start));
                        note_lines(places, text, &name, table);
                    }
                }
            }
            _ => {}
        }
    }
}

/// serde says `invalid type: string "...", expected ...`: the value goes, the words stay.
fn without_values(message: &str) -> String {
    match (message.split_once(": "), message.rsplit_once(", expected ")) {
        (Some((what, _)), Some((_, expected))) if what.starts_with("invalid ") => {
            format!("{what}, expected {expected}")
        }
        _ => message.lines().next().unwrap_or_default().to_owned(),
    }
}

/// `1024`, `true` and `["a"]` are meant as TOML; anything else is a plain string.
fn env_value(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("v = {text}")).ok();
    parsed.and_then(|mut table| table.remove("v")).unwrap_or_else(|| toml::Value::String(text.to_owned()))
}
