//! The shape of a configuration as a tree of keys, made from the types and doc comments of [`File`](super::File).

use schemars::generate::SchemaSettings;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::File;
use crate::site::SiteFile;

/// A key, or a table of keys.
#[derive(Debug)]
pub struct Key {
    /// Its name; empty for the whole file.
    pub name: String,
    /// Its documentation, a paragraph or more.
    pub doc: String,
    /// What it takes.
    pub takes: Takes,
    /// What it is where it is not written, as JSON; null: nothing.
    pub default: Value,
    /// A value that shows its form.
    pub example: Option<Value>,
    /// Whether its value is a secret.
    pub secret: bool,
}

/// What a key takes.
#[derive(Debug)]
pub enum Takes {
    /// A table, `[name]`.
    Table(Vec<Key>),
    /// Any number of tables, `[[name]]`.
    Tables(Vec<Key>),
    /// One of these words.
    Word(Vec<String>),
    /// Text.
    Text,
    /// A list of texts.
    Texts,
    /// A list of whole numbers.
    Numbers,
    /// A whole number between these, as far as they are bounds of the type.
    Number(Option<u64>, Option<u64>),
    /// true or false.
    Flag,
    /// Something else.
    Other,
}

impl Takes {
    /// The keys of a table or of each of several tables.
    pub fn keys(&self) -> Option<&[Key]> {
        match self {
            Self::Table(keys) | Self::Tables(keys) => Some(keys),
            _ => None,
        }
    }

    /// In words, as the end of "takes ...".
    pub fn words(&self) -> String {
        match self {
            Self::Table(_) => "a table".into(),
            Self::Tables(_) => "tables".into(),
            Self::Word(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                quoted.join(" or ")
            }
            Self::Text => "text in quotes".into(),
            Self::Texts => "a list of texts".into(),
            Self::Numbers => "a list of whole numbers".into(),
            Self::Number(least, most) => match (least.unwrap_or(0), most) {
                (least, Some(most)) => format!("a whole number from {least} to {most}"),
                (least, None) => format!("a whole number of {least} or more"),
            },
            Self::Flag => "true or false".into(),
            Self::Other => "another value".into(),
        }
    }
}

/// JSON Schema of the configuration, for editors.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<File>().to_value()
}

/// The whole file as a tree, its keys in the order in which the code has them.
pub fn shape() -> Key {
    let mut root = key("", &schema());
    let whole = File { site: vec![SiteFile::demo()], ..File::default() };
    if let Ok(written) = serde_json::value::to_raw_value(&whole) {
        order(&mut root, &written);
    }
    root
}

/// Sorts keys as they stand in a written value, tables last, as TOML wants it. A schema has them by the alphabet.
fn order(key: &mut Key, written: &RawValue) {
    let text = written.get();
    let (keys, pairs) = match &mut key.takes {
        Takes::Table(keys) => (keys, serde_json::from_str::<Pairs>(text).ok()),
        Takes::Tables(keys) => {
            let tables = serde_json::from_str::<Vec<Pairs>>(text).ok();
            (keys, tables.and_then(|tables| tables.into_iter().next()))
        }
        _ => return,
    };
    let pairs = pairs.unwrap_or_default().0;
    let place = |key: &Key| pairs.iter().position(|(name, _)| *name == key.name);
    keys.sort_by_key(|key| (key.takes.keys().is_some(), place(key)));
    for key in keys {
        if let Some((_, written)) = pairs.iter().find(|(name, _)| *name == key.name) {
            order(key, written);
        }
    }
}

/// A JSON object in the order in which it was written.
#[derive(Default)]
struct Pairs(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

fn key(name: &str, schema: &Value) -> Key {
    let doc = schema["description"].as_str().unwrap_or_default().to_owned();
    let default = schema.get("default").cloned().unwrap_or(Value::Null);
    let example = schema["examples"].get(0).cloned();
    let schema = without_null(schema);
    let secret = schema["writeOnly"] == true;
    Key { name: name.to_owned(), doc, takes: takes(schema), default, example, secret }
}

/// An optional value is "this or null".
fn without_null(schema: &Value) -> &Value {
    let any = schema["anyOf"].as_array().into_iter().flatten();
    any.into_iter().find(|schema| schema["type"] != "null").unwrap_or(schema)
}

fn takes(schema: &Value) -> Takes {
    if let Some(properties) = schema["properties"].as_object() {
        return Takes::Table(properties.iter().map(|(name, schema)| key(name, schema)).collect());
    }
    let constants = schema["oneOf"].as_array().into_iter().flatten();
    let constants = constants.flat_map(|one| match one["enum"].as_array() {
        Some(words) => words.as_slice(),
        None => std::slice::from_ref(&one["const"]),
    });
    let words = constants.chain(schema["enum"].as_array().into_iter().flatten());
    let words: Vec<String> = words.filter_map(|word| word.as_str().map(str::to_owned)).collect();
    if !words.is_empty() {
        return Takes::Word(words);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").unwrap_or(&Value::Null),
        kind => kind,
    };
    match kind.as_str().unwrap_or_default() {
        "string" => Takes::Text,
        "boolean" => Takes::Flag,
        "integer" => Takes::Number(schema["minimum"].as_u64(), schema["maximum"].as_u64()),
        "array" => match takes(without_null(&schema["items"])) {
            Takes::Table(keys) => Takes::Tables(keys),
            Takes::Text => Takes::Texts,
            Takes::Number(..) => Takes::Numbers,
            _ => Takes::Other,
        },
        _ => Takes::Other,
    }
}
