//! Values that a label announces: `email=...`, `"phone": "..."`, "Passport no: ...", and words beside which a number, a
//! date or a code is somebody's ("call 71 234", "geboren am 19.04.1930").

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::keys::{is_harmless, kind_of_key};
use super::moment::date_end;
use super::number::{Run, is_script};
use super::{Redacted, Rewrite, begins_with_kind, take_over};

/// Longest label and longest value, in bytes.
const LABEL_BYTES_MAX: usize = 48;
const VALUE_BYTES_MAX: usize = 256;
/// How far behind a word a number still belongs to it, in bytes.
const REACH_BYTES_MAX: usize = 32;

/// Replaces what stands behind a colon or an equals sign.
pub(super) fn redact_labelled(redacted: &mut Redacted<'_>) {
    let mut rewrite = Rewrite::new(&redacted.text);
    let text = rewrite.text;
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b':', b'=', &text.as_bytes()[at..]) {
        at += found;
        if let Some((start, end, kind)) = labelled(text, rewrite.copied, at) {
            rewrite.replace(start, end, kind);
            at = end.max(at + 1);
        } else {
            at += 1;
        }
    }
    let found = rewrite.finish();
    take_over(redacted, found);
}

const QUOTES: [char; 4] = ['"', '\'', '`', '\\'];

fn labelled(text: &str, floor: usize, at: usize) -> Option<(usize, usize, &'static str)> {
    let before = text[floor..at].trim_end_matches([' ', '\t']);
    let unquoted = before.trim_end_matches(QUOTES);
    let quoted = unquoted.len() < before.len();
    let in_label = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    // Numbers, endings of files and the schemes of addresses stand before most colons, and are no labels.
    let word = unquoted.bytes().rev().take_while(u8::is_ascii_alphanumeric).count();
    let last = &unquoted.as_bytes()[unquoted.len() - word..];
    let number = !last.is_empty() && last.iter().all(u8::is_ascii_digit);
    let ending = matches!(last, b"http" | b"https" | b"js" | b"ts" | b"mjs");
    if number || ending || !unquoted.ends_with(char::is_alphanumeric) {
        return None;
    }
    let earliest =
        text.ceil_char_boundary((floor + unquoted.len()).saturating_sub(LABEL_BYTES_MAX)).max(floor);
    let label = &text[earliest..floor + unquoted.len()];
    let label = &label[label.trim_end_matches(in_label).len()..];
    let machine_label = quoted || text.as_bytes()[at] == b'=';
    let rest = &text[at + 1..];
    // Several of a list are what one is: "usernames".
    let one_of = || {
        let is_list = machine_label && rest.trim_start_matches([' ', '\t']).starts_with('[');
        label.strip_suffix('s').filter(|_| is_list).and_then(|label| kind_of_label(label, machine_label))
    };
    let kind = kind_of_label(label, machine_label).or_else(one_of)?;

    // "cc::1", "cc:12:..." and "::cc:1" are an address's groups, whatever "cc" may stand for.
    let hexadecimal = word <= 4 && last.iter().all(u8::is_ascii_hexdigit);
    let group = |byte: &u8| *byte == b':' || byte.is_ascii_hexdigit();
    let behind = rest.as_bytes().iter().take(5).take_while(|byte| group(byte)).any(|&byte| byte == b':');
    if hexadecimal && !quoted && (behind || unquoted[..unquoted.len() - word].ends_with(':')) {
        return None;
    }
    let spaces = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    let opened = rest[spaces..].len() - rest[spaces..].trim_start_matches(QUOTES).len();
    let mut start = at + 1 + spaces + opened;
    let mut opened = opened;
    // A list is a value as a whole; "[email]" is none.
    let mut in_list = false;
    if let Some(listed) = text[start..].strip_prefix('[')
        && !begins_with_kind(&text[start..])
    {
        in_list = true;
        let value = listed.trim_start_matches([' ', '\t']).trim_start_matches(QUOTES);
        opened += usize::from(listed.trim_start_matches([' ', '\t']).starts_with(QUOTES));
        start = text.len() - value.len();
    }
    let rest = &text[start..text.floor_char_boundary(start + VALUE_BYTES_MAX)];
    if rest.is_empty() || begins_with_kind(rest) {
        return None;
    }
    let machine = machine_label || opened > 0 || spaces == 0;
    let end = if let Some(end) = (in_list && machine).then(|| rest.find(']')).flatten() {
        rest[..end].trim_end_matches(QUOTES).len()
    } else if opened > 0 {
        rest.find(['"', '\'', '`', '\\', '\n']).unwrap_or(rest.len())
    } else if machine {
        rest.find(|c: char| c.is_whitespace() || "&;,\"')}]<>|".contains(c)).unwrap_or(rest.len())
    } else {
        prose_end(rest, kind)?
    };
    let value = rest[..end].trim_end_matches(['.', '!', '?']);
    (!is_harmless(value)).then_some((start, start + value.len(), kind))
}

/// The last words before the sign, as many as name a field.
fn kind_of_label(label: &str, machine: bool) -> Option<&'static str> {
    if let Some(kind) = kind_of_key(label.trim()) {
        return Some(kind);
    }
    if label.trim().eq_ignore_ascii_case("name") && !machine {
        return Some("[name]");
    }
    // "Contact customer by phone: ..." ends in a label of one to four words.
    let mut start = label.len();
    for _ in 0..4 {
        start = label[..start].trim_end().rfind(' ')?;
        if let Some(kind) = kind_of_key(label[start..].trim()) {
            return Some(kind);
        }
    }
    None
}

/// Behind a label in a sentence, what looks like a value: a title ("Email: ten tips") is none.
fn prose_end(rest: &str, kind: &str) -> Option<usize> {
    let word_end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let clause_end = rest.find(['\n', ';', '|', '<', '"', ')']).unwrap_or(rest.len());
    match kind {
        "[name]" | "[user]" | "[work]" => named_end(rest).filter(|_| kind == "[name]").or_else(|| {
            let word = &rest[..word_end];
            word.contains(|c: char| c.is_ascii_digit()).then_some(word_end)
        }),
        "[address]" => rest[..clause_end].contains(|c: char| c.is_ascii_digit()).then_some(clause_end),
        "[birthday]" => rest[..clause_end.min(24)].contains(|c: char| c.is_ascii_digit()).then(|| {
            rest.find(|c: char| !(c.is_alphanumeric() || " -./".contains(c)))
                .unwrap_or(rest.len())
                .min(clause_end)
        }),
        "[personal]" => None,
        _ => {
            let word = &rest[..word_end];
            let alone = word_end == rest.trim_end().len();
            let odd = word.contains(|c: char| c.is_ascii_digit() || "@_#$%^*".contains(c));
            (odd && word.len() > 3 || alone && kind == "[secret]").then_some(word_end)
        }
    }
}

/// Two to four words that each begin with a capital.
fn named_end(rest: &str) -> Option<usize> {
    let mut end = 0;
    let mut words = 0;
    for word in rest.split_inclusive(' ').take(4) {
        let bare = word.trim_end_matches(|c: char| c.is_whitespace() || ",.!?".contains(c));
        let name = bare.starts_with(char::is_uppercase)
            && bare.chars().all(|c| c.is_alphabetic() || "'-.’".contains(c));
        if !name {
            break;
        }
        words += 1;
        end += bare.len();
        if bare.len() + 1 != word.len() {
            break;
        }
        end += 1;
    }
    (words >= 2).then(|| rest[..end].trim_end().len())
}

/// What may follow a word that announces it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Announces {
    Phone,
    Birthday,
    Id,
    Account,
    Vehicle,
    Postcode,
}

impl Announces {
    fn kind(self) -> &'static str {
        match self {
            Self::Phone => "[phone]",
            Self::Birthday => "[birthday]",
            Self::Id => "[id]",
            Self::Account => "[account]",
            Self::Vehicle => "[vehicle]",
            Self::Postcode => "[address]",
        }
    }
}

const WORDS: &[(Announces, &str)] = &[
    (
        Announces::Phone,
        "phone|telephone|tel|call|dial|fax|mobile number|my number|phone number|handy|handynummer|telefon|rufnummer|anrufen|\
         teléfono|telefono|móvil|movil|celular|llama al|llame al|llámame|whatsapp|téléphone|portable|appelez|numéro|chiama|\
         telefone|ligue|cellulare|telefoon|bel|ring|sms|numer|zadzwoń",
    ),
    (
        Announces::Birthday,
        "born|birthday|birthdate|date of birth|dob|geboren|geburtsdatum|geburtstag|nacido|nacida|nacimiento|nació|cumpleaños|\
         né le|née le|naissance|nato|nata|nascita|urodzony|urodzona|geboortedatum|född|nascido|nascida|nascimento|doğum",
    ),
    (
        Announces::Id,
        "passport|reisepass|pasaporte|passeport|passaporto|paszport|paspoort|licence|license|führerschein|driving licence|\
         permiso de conducir|carnet|permis|patente|id card|identity card|identity|ausweis|personalausweis|dni|nif|nie|ssn|\
         social security|national id|id number|id no|nino|national insurance|steuernummer|tax id|tax number|st.-nr|\
         personnummer|hetu|identity code|pesel|bsn|cpf|cédula|cedula|kimlik|insurance number|versichertennummer|medicare|nhs|\
         travel document|document number|documento|serial|serial number|seriennummer|número de serie|s/n|imei|imsi|android id|\
         device id|vat|gst|employee id|student id|patient",
    ),
    (
        Announces::Account,
        "account|account number|konto|kontonummer|cuenta|compte|conto|rekening|customer id|customer number|customer no|\
         kundennummer|member id|membership|user id|userid|user|cliente|iban|bban|sort code|routing|blz|wallet|mi account|swift|\
         bic|login|username|user name|benutzername|usuario",
    ),
    (
        Announces::Vehicle,
        "plate|plates|number plate|license plate|licence plate|registration|reg|kennzeichen|matrícula|matricula|plaka|plakası|\
         targa|immatriculation|nummerplaat|kenteken|vin",
    ),
    (
        Announces::Postcode,
        "postcode|zip|zip code|zipcode|plz|código postal|codigo postal|code postal|postal code|postleitzahl",
    ),
];

/// Words that announce a telephone number, and are other things too.
const AMBIGUOUS: [&str; 5] = ["call", "ring", "bel", "numer", "numéro"];

struct Announcing {
    automaton: AhoCorasick,
    meaning: Vec<Announces>,
}

fn announcing() -> &'static Announcing {
    static ANNOUNCING: OnceLock<Announcing> = OnceLock::new();
    ANNOUNCING.get_or_init(|| {
        let words =
            || WORDS.iter().flat_map(|&(meaning, words)| words.split('|').map(move |word| (meaning, word)));
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::DFA))
            .build(words().map(|(_, word)| word))
            .expect("a few hundred short words");
        Announcing { automaton, meaning: words().map(|(meaning, _)| meaning).collect() }
    })
}

/// Replaces numbers, dates and codes beside a word that makes them somebody's.
pub(super) fn redact_announced(redacted: &mut Redacted<'_>) {
    let mut rewrite = Rewrite::new(&redacted.text);
    let text = rewrite.text;
    let Announcing { automaton, meaning } = announcing();
    for found in automaton.find_iter(text) {
        let (before, after) = (&text[..found.start()], &text[found.end()..]);
        // A word of a sentence, not of a path, a name of a function or what stands for a find.
        let joined = before.ends_with(|c: char| c.is_alphanumeric() || "/._-\\@=&?[".contains(c))
            || after.starts_with(|c: char| c.is_alphabetic() || "/_-\\@(]=".contains(c))
            || after.starts_with('.') && !after.starts_with(". ");
        if joined || found.start() < rewrite.copied {
            continue;
        }
        let meaning = meaning[found.pattern().as_usize()];
        if let Some((start, end)) = announced(text, found.end(), meaning) {
            // "Ring 12000 lumens", "call 12345 failed": with five digits in a row these words say something else.
            let word = &text[found.range()];
            let weak = AMBIGUOUS.iter().any(|known| known.eq_ignore_ascii_case(word));
            if weak && end - start < 6 {
                continue;
            }
            rewrite.replace(start, end, meaning.kind());
        }
    }
    let found = rewrite.finish();
    take_over(redacted, found);
}

fn announced(text: &str, from: usize, meaning: Announces) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let reach = text.floor_char_boundary(from + REACH_BYTES_MAX);
    let mut at = from;
    while at < reach {
        let byte = bytes[at];
        // A sentence that ends, a line, another label, a find: what follows is something else.
        let ends = matches!(byte, b'\n' | b'?' | b'!' | b';' | b'[' | b'|')
            || byte == b'.' && bytes.get(at + 1) == Some(&b' ') && at > from + 4;
        if ends {
            return None;
        }
        let starts =
            byte.is_ascii_alphanumeric() && !bytes[..at].last().is_some_and(u8::is_ascii_alphanumeric);
        // The function of a frame may be called "login"; where it is, is nobody's.
        let address = bytes[..at].ends_with(b"(") && bytes[at..].starts_with(b"http");
        if starts && (address || is_script(bytes, at)) {
            return None;
        }
        if starts && let Some(end) = fits(text, at, meaning) {
            return Some((at, end));
        }
        at += 1;
    }
    None
}

fn fits(text: &str, at: usize, meaning: Announces) -> Option<usize> {
    let bytes = text.as_bytes();
    let word = bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let digits = bytes[at..at + word].iter().filter(|byte| byte.is_ascii_digit()).count();
    let date = date_end(bytes, at);
    match meaning {
        Announces::Birthday => date.or_else(|| spelt_date_end(text, at)),
        _ if date.is_some() => None,
        Announces::Phone => {
            let run = (digits == word && digits > 0).then(|| Run::at(bytes, at))?;
            (run.digits() >= 5 && !run.begins_with_year(bytes, at)).then(|| run.end())
        }
        Announces::Postcode => (4..=8).contains(&word).then_some(at + word).filter(|_| digits >= 2),
        Announces::Vehicle => plate_end(bytes, at),
        Announces::Id | Announces::Account => {
            let joined = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-./:_".contains(byte);
            let length = bytes[at..].iter().take_while(joined).count();
            let code = bytes[at..at + length].trim_ascii_end();
            let trimmed = code.iter().rev().take_while(|byte| b"-./:_".contains(byte)).count();
            let code = &code[..code.len() - trimmed];
            let digits = code.iter().filter(|byte| byte.is_ascii_digit()).count();
            let year = code.len() == 4 && (code.starts_with(b"19") || code.starts_with(b"20"));
            (digits >= 3 && code.len() >= 5 && !year || digits >= 2 && code.len() >= 7)
                .then_some(at + code.len())
        }
    }
}

/// "12 March 1984", "March 12, 1984", "12. März 1984", "12 de marzo de 1984": a day, a month's name, a year.
fn spelt_date_end(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..text.floor_char_boundary(at + 32)];
    let is_year = |word: &str| word.len() == 4 && (word.starts_with("19") || word.starts_with("20"));
    let mut end = at;
    let (mut month, mut day) = (false, false);
    for word in rest.split_inclusive([' ', ',']).take(6) {
        let bare = word.trim_end_matches([' ', ',', '.']);
        if bare.bytes().all(|byte| byte.is_ascii_digit()) && is_year(bare) && month {
            return Some(end + bare.len());
        }
        let ordinal = bare.trim_end_matches(['s', 't', 'n', 'd', 'r', 'h', '.', 'º']);
        if !ordinal.is_empty() && ordinal.len() <= 2 && ordinal.bytes().all(|byte| byte.is_ascii_digit()) {
            day = true;
        } else if bare.chars().count() >= 3 && bare.chars().all(char::is_alphabetic) {
            month = true;
        } else if !matches!(bare, "" | "de" | "of") {
            return None;
        }
        end += word.len();
    }
    let _ = day;
    None
}

/// Letters in capitals and digits in groups, at least one digit.
fn plate_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    let mut groups = 0;
    let mut digits = 0;
    while groups < 4 {
        let word =
            bytes[end..].iter().take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()).count();
        let whole = !bytes.get(end + word).is_some_and(u8::is_ascii_alphanumeric);
        if word == 0 || word > 8 || !whole {
            break;
        }
        digits += bytes[end..end + word].iter().filter(|byte| byte.is_ascii_digit()).count();
        end += word + 1;
        groups += 1;
        if !matches!(bytes.get(end - 1), Some(b' ' | b'-')) {
            break;
        }
    }
    (groups > 0 && digits > 0 && end - 1 - at >= 4).then(|| (end - 1).min(bytes.len()))
}
