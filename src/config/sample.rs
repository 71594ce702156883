//! The configuration in print: a sample with every key, and what is in effect.

use serde_json::Value;

use super::problem::Places;
use super::secret::REDACTED;
use super::shape::{Key, Takes, shape};
use super::{Config, File};

const WIDTH: usize = 100;

/// A configuration file with every key, its documentation and its default. Keys that would change something are comments,
/// so that the file as printed means what no file means, but for one site.
pub fn sample() -> String {
    let mut out = String::from(
        "# Every key of Consentry. A line that begins with \"# key =\" shows the default, or the form where there is none.\n\
         # Each key but tables is also an environment variable: CONSENTRY_LISTEN, CONSENTRY_DATA_DIR, ...\n",
    );
    table(&mut out, "", shape().takes.keys().unwrap_or_default());
    out
}

fn table(out: &mut String, under: &str, keys: &[Key]) {
    for key in keys {
        out.push('\n');
        wrapped(out, &key.doc);
        let name = if under.is_empty() { key.name.clone() } else { format!("{under}.{}", key.name) };
        match &key.takes {
            Takes::Table(keys) => {
                // A table that may be absent means something by being there.
                let mark = if key.default.is_null() { "# " } else { "" };
                out.push_str(&format!("{mark}[{name}]\n"));
                table(out, &name, keys);
            }
            Takes::Tables(keys) => {
                out.push_str(&format!("[[{name}]]\n"));
                table(out, &name, keys);
            }
            _ => {
                // A site is nothing without these.
                let needed = matches!(name.as_str(), "site.id" | "site.origins");
                let mark = if needed { "" } else { "# " };
                let empty = key.default.is_null() || key.default.as_array().is_some_and(Vec::is_empty);
                let value = match &key.example {
                    Some(example) if empty => example,
                    _ => &key.default,
                };
                let value = inline(value).unwrap_or_else(|| "\"...\"".into());
                out.push_str(&format!("{mark}{} = {value}\n", key.name));
            }
        }
    }
}

/// Documentation as comments.
fn wrapped(out: &mut String, doc: &str) {
    let mut line = String::from("#");
    for word in doc.split_whitespace() {
        if line.len() + word.len() + 1 > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    if line.len() > 1 {
        out.push_str(&line);
        out.push('\n');
    }
}

/// A value as it stands behind a `=`; none for what has no such form.
pub(super) fn inline(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Array(values) => {
            let values: Option<Vec<String>> = values.iter().map(inline).collect();
            values.map(|values| format!("[{}]", values.join(", ")))
        }
        value => Some(toml::Value::try_from(value).ok()?.to_string()),
    }
}

/// What is in effect: every key with its value and where it comes from. Secrets are left out.
pub fn effective(config: &Config) -> String {
    let mut file = config.file.clone();
    if file.site.is_empty() {
        file.site = vec![crate::site::SiteFile::demo()];
    }
    let mut out = String::from("# What is in effect, and where it comes from.\n");
    let Ok(value) = serde_json::to_value(&file) else { return out };
    let shown = file.clickhouse_url.as_ref().and_then(|url| without_userinfo(url.expose()));
    effective_table(&mut out, "", &value, shape().takes.keys().unwrap_or_default(), &file, shown.as_deref());
    out
}

fn effective_table(
    out: &mut String,
    under: &str,
    value: &Value,
    keys: &[Key],
    file: &File,
    store: Option<&str>,
) {
    for key in keys {
        let value = &value[&key.name];
        let name = if under.is_empty() { key.name.clone() } else { format!("{under}.{}", key.name) };
        match &key.takes {
            Takes::Table(_) if value.is_null() => {}
            Takes::Table(keys) => {
                out.push_str(&format!("\n[{}]\n", without_indices(&name)));
                effective_table(out, &name, value, keys, file, store);
            }
            Takes::Tables(keys) => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    out.push_str(&format!("\n[[{}]]\n", without_indices(&name)));
                    effective_table(out, &format!("{name}[{index}]"), value, keys, file, store);
                }
            }
            _ => {
                let value = if name == "clickhouse_url" { store.map(Value::from) } else { None }
                    .unwrap_or_else(|| value.clone());
                let from = from(&file.places, &name);
                match inline(&value) {
                    Some(value) => out.push_str(&format!("{} = {value}  # {from}\n", key.name)),
                    None => out.push_str(&format!("# {} is not set\n", key.name)),
                }
            }
        }
    }
}

fn from(places: &Places, key: &str) -> String {
    // A variable or flag is the place of all that is in it.
    let place = places.by_key.get(key).or_else(|| {
        let outer = key.split(['.', '[']).next().unwrap_or_default();
        places.by_key.get(outer).filter(|place| !matches!(place, super::Place::Line(_)))
    });
    place.map_or_else(|| "default".into(), |place| places.words(Some(place)))
}

/// `site[0].consent` is `[site.consent]` in a file.
fn without_indices(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    parts.extend(name.split('.').map(|part| part.split('[').next().unwrap_or_default()));
    parts.join(".")
}

/// A URL without the user, the password and the query, any of which may be a secret.
fn without_userinfo(url: &str) -> Option<String> {
    let mut url = url::Url::parse(url).ok()?;
    let secret = !url.username().is_empty() || url.password().is_some() || url.query().is_some();
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_query(None);
    let (scheme, rest) = (url.scheme().to_owned(), url.as_str());
    let rest = rest.strip_prefix(&format!("{scheme}://"))?;
    Some(if secret { format!("{scheme}://{REDACTED}@{rest}") } else { url.to_string() })
}
