//! The detectors against texts that nobody here wrote: how much of each kind is found, alone and inside a sentence, and
//! how much harmless text is touched. Prints a table; holds the aims. The corpora lie beside the repository.

use std::collections::BTreeMap;
use std::path::PathBuf;

use consentry::deidentify::detect::redact;

fn corpus(name: &str) -> Option<Vec<serde_json::Value>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not here", path.display());
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Sentences that say nothing of what stands in them.
const SENTENCES: [&str; 5] = [
    "Thank you, we have noted {} and will come back to you",
    "Results for {} in our catalogue",
    "{} was not found",
    "Error while saving {}: please try again",
    "Your entry ({}) has been updated.",
];

#[derive(Default)]
struct Line {
    rows: usize,
    bare: usize,
    inside: usize,
    missed: Vec<String>,
}

impl Line {
    fn add(&mut self, value: &str) {
        self.rows += 1;
        let gone = |text: &str| !redact(text).text.contains(value);
        let bare = gone(value);
        let inside = SENTENCES.iter().all(|sentence| gone(&sentence.replace("{}", value)));
        self.bare += usize::from(bare);
        self.inside += usize::from(inside);
        if !(bare && inside) {
            self.missed.push(value.to_owned());
        }
    }

    fn percent(&self, count: usize) -> f64 {
        100.0 * count as f64 / self.rows.max(1) as f64
    }
}

/// Prints the table; with `PII_MISSED=1` what was missed, too.
fn print(title: &str, lines: &BTreeMap<String, Line>) {
    println!("\n{title:<34} {:>5} {:>7} {:>9}", "rows", "bare", "inside");
    for (kind, line) in lines {
        println!(
            "{kind:<34} {:>5} {:>6.1}% {:>8.1}%",
            line.rows,
            line.percent(line.bare),
            line.percent(line.inside)
        );
        if std::env::var_os("PII_MISSED").is_some() && !line.missed.is_empty() {
            println!("    {:?}", &line.missed[..line.missed.len().min(12)]);
        }
    }
}

fn text<'a>(row: &'a serde_json::Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

#[test]
fn values_of_each_kind_are_found() {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    if let Some(rows) = corpus("pii/faker.jsonl") {
        for row in &rows {
            let (kind, value) = (text(row, "kind"), text(row, "text"));
            // Kinds that are found by a label alone are measured with one, below.
            lines.entry(kind.to_owned()).or_default().add(value);
        }
        print("faker", &lines);
        for kind in ["email", "ipv4", "ipv6", "bank_iban", "mac", "uuid", "credit_card"] {
            let line = &lines[kind];
            assert_eq!((line.bare, line.inside), (line.rows, line.rows), "{kind}: {:?}", line.missed);
        }
    }
}

/// Behind a label or beside a word, also what no form tells.
#[test]
fn what_a_label_announces_is_found() {
    let Some(rows) = corpus("pii/faker.jsonl") else { return };
    let labels: [(&str, &[&str]); 12] = [
        ("name", &["\"full_name\":\"{}\"", "firstName={}", "customer_name: \"{}\""]),
        ("birthday", &["born {}", "\"dob\":\"{}\"", "Geburtsdatum: {}", "birthday={}"]),
        ("user_name", &["username={}", "\"user\":\"{}\"", "login='{}'"]),
        ("employer", &["\"employer\":\"{}\""]),
        ("job_title", &["\"jobTitle\":\"{}\""]),
        ("delivery_address", &["\"address\":\"{}\"", "\"shipping_address\": \"{}\""]),
        ("passport", &["passport number {}", "Reisepass Nr. {}", "passport={}"]),
        ("national_id", &["\"national_id\":\"{}\"", "SSN {}"]),
        ("licence_plate", &["\"license_plate\":\"{}\"", "Kennzeichen: \"{}\""]),
        ("phone", &["call {}", "\"phone\":\"{}\"", "tel={}"]),
        ("swift", &["\"swift\":\"{}\"", "bic={}"]),
        ("bank_bban", &["account {}", "\"iban\":\"{}\""]),
    ];
    println!("\n{:<34} {:>5} {:>7}", "faker, announced", "rows", "found");
    for (kind, forms) in labels {
        let (mut count, mut found, mut missed) = (0, 0, Vec::new());
        for row in rows.iter().filter(|row| text(row, "kind") == kind) {
            let value = text(row, "text");
            let multiline = value.contains('\n');
            for form in
                forms.iter().filter(|form| form.contains('"') || form.contains(' ') || !value.contains(' '))
            {
                // A line feed inside JSON is written as an escape.
                let written = if multiline { value.replace('\n', ", ") } else { value.to_owned() };
                count += 1;
                if redact(&form.replace("{}", &written)).text.contains(&written) {
                    missed.push(form.replace("{}", &written));
                } else {
                    found += 1;
                }
            }
        }
        println!("{kind:<34} {count:>5} {:>6.1}%", 100.0 * f64::from(found) / f64::from(count.max(1)));
        if std::env::var_os("PII_MISSED").is_some() && !missed.is_empty() {
            println!("    {:?}", &missed[..missed.len().min(8)]);
        }
        assert!(found * 100 >= count * 90, "{kind}: {missed:?}");
    }
}

#[test]
fn telephone_numbers_of_the_world() {
    let Some(rows) = corpus("pii/phonenumbers_examples.jsonl") else { return };
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for row in &rows {
        for spelling in ["e164", "international", "national", "rfc3966"] {
            lines.entry(spelling.to_owned()).or_default().add(text(row, spelling));
        }
        // Where the sentence says that it is one.
        let national = text(row, "national");
        let announced = lines.entry("national, announced".to_owned()).or_default();
        announced.rows += 1;
        let found = |sentence: &str| !redact(&sentence.replace("{}", national)).text.contains(national);
        announced.bare += usize::from(found("call {}"));
        announced.inside += usize::from(found("My telephone number is {}, thanks"));
    }
    print("phonenumbers", &lines);
    for spelling in ["e164", "international", "rfc3966"] {
        let line = &lines[spelling];
        assert!(line.percent(line.inside.min(line.bare)) >= 99.0, "{spelling}: {:?}", line.missed);
    }
    let national = &lines["national"];
    assert!(national.percent(national.inside) >= 90.0, "{:?}", national.missed);
    let announced = &lines["national, announced"];
    assert!(announced.percent(announced.inside) >= 97.0);
}

#[test]
fn presidios_examples_and_what_must_not_match() {
    let Some(rows) = corpus("pii/presidio.jsonl") else { return };
    let mut found: BTreeMap<String, (usize, usize, Vec<String>)> = BTreeMap::new();
    let mut touched: BTreeMap<String, (usize, usize, Vec<String>)> = BTreeMap::new();
    for row in &rows {
        let whole = text(row, "text");
        let redacted = redact(whole);
        if row["count"] == 0 {
            let line = touched.entry(text(row, "kind").to_owned()).or_default();
            line.0 += 1;
            if redacted.count > 0 {
                line.1 += 1;
                line.2.push(whole.to_owned());
            }
            continue;
        }
        let line = found.entry(text(row, "kind").to_owned()).or_default();
        for value in row["values"].as_array().into_iter().flatten().filter_map(|value| value.as_str()) {
            line.0 += 1;
            if redacted.text.contains(value) {
                line.2.push(whole.to_owned());
            } else {
                line.1 += 1;
            }
        }
    }
    let missed_too = std::env::var_os("PII_MISSED").is_some();
    println!("\n{:<34} {:>6} {:>8}", "presidio", "values", "recall");
    for (kind, (rows, hits, missed)) in &found {
        println!("{kind:<34} {rows:>6} {:>7.1}%", 100.0 * *hits as f64 / (*rows).max(1) as f64);
        if missed_too && !missed.is_empty() {
            println!("    {:?}", &missed[..missed.len().min(10)]);
        }
    }
    println!("\n{:<34} {:>6} {:>8}", "presidio, must not match", "texts", "touched");
    let (mut texts, mut total) = (0, 0);
    for (kind, (rows, hits, which)) in &touched {
        println!("{kind:<34} {rows:>6} {hits:>8}");
        (texts, total) = (texts + rows, total + hits);
        if missed_too && !which.is_empty() {
            println!("    {:?}", &which[..which.len().min(6)]);
        }
    }
    println!("{:<34} {texts:>6} {total:>8}", "all");
    for kind in ["EMAIL_ADDRESS", "IP_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "MAC_ADDRESS"] {
        if let Some((rows, hits, missed)) = found.get(kind) {
            assert_eq!(rows, hits, "{kind}: {missed:?}");
        }
    }
}

#[test]
fn numbers_with_check_digits() {
    let Some(rows) = corpus("pii/stdnum_doctests.jsonl") else { return };
    // Numbers of companies, books and banknotes are nobody's.
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["valid"] == true) {
        lines.entry(text(row, "kind").to_owned()).or_default().add(text(row, "text").trim());
    }
    let all = Line {
        rows: lines.values().map(|line| line.rows).sum(),
        bare: lines.values().map(|line| line.bare).sum(),
        inside: lines.values().map(|line| line.inside).sum(),
        missed: lines.values().flat_map(|line| line.missed.clone()).collect(),
    };
    for kind in ["imei", "imsi", "iban", "no.iban", "me.iban", "meid", "luhn"] {
        if let Some(line) = lines.get(kind).filter(|line| text_is_long(line)) {
            assert_eq!((line.bare, line.inside), (line.rows, line.rows), "{kind}: {:?}", line.missed);
        }
    }
    print("python-stdnum, valid", &BTreeMap::from([("all kinds".to_owned(), all)]));
}

/// Luhn's own example has five digits, which are nobody's number.
fn text_is_long(line: &Line) -> bool {
    line.missed.iter().all(|missed| missed.len() > 6)
}

#[test]
fn relays_own_examples() {
    let Some(rows) = corpus("pii/sentry_relay_builtin.jsonl") else { return };
    for row in rows.iter().filter(|row| row["applied"] == true) {
        let (input, output) = (text(row, "input"), text(row, "output"));
        // What the other program takes out is the part in which its output differs.
        let head = input.bytes().zip(output.bytes()).take_while(|(a, b)| a == b).count();
        let tail = input[head..].bytes().rev().zip(output[head.min(output.len())..].bytes().rev());
        let tail = tail.take_while(|(a, b)| a == b).count();
        let secret = &input[input.floor_char_boundary(head)..input.ceil_char_boundary(input.len() - tail)];
        // An address of this machine alone is nobody's; and a folder under $HOME is not a user.
        if secret.len() > 3 && !input.contains("$HOME") {
            assert!(!redact(input).text.contains(secret), "{input:?} keeps {secret:?}");
        }
    }
}

#[test]
fn none_of_five_hundred_clean_titles_paths_and_names_is_touched() {
    let clean = include_str!("data/clean.txt");
    let lines: Vec<&str> = clean.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).collect();
    assert!(lines.len() >= 500, "{}", lines.len());
    let touched: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            let redacted = redact(line);
            (redacted.count > 0).then(|| format!("{line}  ->  {}", redacted.text))
        })
        .collect();
    println!("{} clean lines, {} touched", lines.len(), touched.len());
    assert!(touched.is_empty(), "{touched:#?}");
}
