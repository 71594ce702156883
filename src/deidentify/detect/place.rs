//! Postal addresses where they can be told: a street's word and a house number in the order and spelling of a language,
//! with the postcode and town behind them. And coordinates in degrees.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::Regex;

use super::{Redacted, Rewrite, take_over};

/// Where a street's word stands, and what has to be around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// "Street": a word, behind a number.
    Behind,
    /// "Calle", "rue": a word, before a name.
    Before,
    /// "-straße": the end of a word, before a number.
    Ends,
    /// A sign that is nothing else.
    Anywhere,
}

/// The words by which an address is told, and the patterns (by their place in [`patterns`]) that they belong to. What has
/// none of them has no address.
const SIGNS: &[(Stands, u16, &str)] = &[
    (
        Stands::Behind,
        1 << 0,
        "street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|court|ct|square|sq|terrace|crescent|highway|hwy|parkway|pkwy|\
         circle|trail|crossing|gardens|close",
    ),
    (Stands::Before, 1 << 2, "p.o. box|po box|p.o.box|p o box"),
    (
        Stands::Before,
        1 << 3,
        "calle|c/|avenida|avda|avda.|av.|plaza|paseo|pasadizo|camino|ronda|rambla|travesía|travesia|carretera|glorieta|callejón|\
         cuesta|urbanización|alameda|pasaje|vial|acceso|via|viale|piazza|corso|vicolo|largo|borgo|strada|contrada|canale|rotonda|\
         incrocio|stretto|piazzale|rua|travessa|praça|estrada|rodovia|ul.|ulica|aleja|al.|plac|osiedle",
    ),
    (
        Stands::Before,
        1 << 4 | 1 << 5 | 1 << 3,
        "rue|avenue|boulevard|bd|chemin|impasse|place|allée|quai|route|cours|passage",
    ),
    (
        Stands::Ends,
        1 << 6,
        "straße|strasse|str.|allee|gasse|straat|laan|gracht|steeg|singel|vägen|gatan|gränd|stigen",
    ),
    (Stands::Ends, 1 << 7, "weg|platz|ring|damm|ufer|plein|hof|baan|kade|pad|dreef|dijk|park"),
    (Stands::Anywhere, 1 << 8, "ул.|ул |улица|пр.|пр-т|просп|пер.|алл.|наб.|бул.|ш. |пл."),
    (Stands::Anywhere, 1 << 9, "丁目|路|街|道|巷"),
    (Stands::Anywhere, 1 << 10, "로 |길 |가 |거리 "),
    (Stands::Anywhere, 1 << 11, "sokak|sokağı|sok.|caddesi|cad.|mahallesi|mah."),
    (Stands::Anywhere, 1 << 12 | 1 << 13, "°"),
];

/// The pattern of a town, a state and a ZIP code; its sign is looked for by hand.
const ZIP: u16 = 1 << 1;

/// How much before and behind a sign may belong to it, in bytes.
const BEFORE_BYTES_MAX: usize = 96;
const BEHIND_BYTES_MAX: usize = 128;

/// A word of a street's name: capitalised, or a small word between such.
const NAME: &str =
    r"(?:\p{Lu}[\p{L}\p{M}'’.-]*|d[eioa]s?|del?l?[aeo]?|la|las|los|el|van|von|der|den|the|of|et|y|e)";
/// A house number: "12", "12a", "12-14", "3/1", "12 B".
const NUMBER: &str = r"\d{1,5}(?:[-/]\d{1,4})?(?:\s?[A-Za-z]\b)?";
/// What follows in the same or the next line: flat, postcode, town, state.
const TAIL: &str = r"(?:[,\s]+(?:Apt|Apartment|Suite|Ste|Unit|Flat|Piso|Piano|Appartamento|стр|кв)\.?\s*[\p{L}\d-]{1,6})?(?:[,\s]+(?:[A-Z]{1,2}-)?\d{2,6}(?:[ -]?\d{3})?(?:\s?[A-Z]{2}\b)?)?(?:[,\s]+(?:in\s)?\p{Lu}[\p{L}'’-]+(?:\s\p{Lu}[\p{L}'’-]+){0,2})?(?:,?\s+[A-Z]{2}\s+\d{5}(?:-\d{4})?|,\s*\d{4,6})?";

/// The United States' states, territories and forces' posts (United States Postal Service, Publication 28, appendix B).
const STATES: &str = "A[AEKLPRSZ]|C[AOT]|D[CE]|F[LM]|G[AU]|HI|I[ADLN]|K[SY]|LA|M[ADEHINOPST]|N[CDEHJMVY]|O[HKR]|P[ARW]|RI|S[CD]|T[NX]|UT|\
    V[AIT]|W[AIVY]";

fn patterns() -> Vec<String> {
    let words = |list: &str| format!("(?:{list})");
    let english = words(
        "[Ss]treet|[Ss]t|[Rr]oad|[Rr]d|[Aa]venue|[Aa]ve|[Ll]ane|[Ll]n|[Dd]rive|[Dd]r|[Bb]oulevard|[Bb]lvd|[Cc]ourt|[Cc]t|\
         [Ss]quare|[Ss]q|[Tt]errace|[Cc]rescent|[Hh]ighway|[Hh]wy|[Pp]arkway|[Pp]kwy|[Cc]ircle|[Tt]rail|[Cc]rossing|[Gg]ardens|[Cc]lose",
    );
    let before = words(
        r"[Cc]alle|C/|[Aa]venida|[Aa]vda\.?|[Aa]v\.|[Pp]laza|[Pp]aseo|[Pp]asadizo|[Cc]amino|[Rr]onda|[Rr]ambla|[Tt]raves[ií]a|[Cc]arretera|[Gg]lorieta|[Cc]allejón|[Cc]uesta|[Uu]rbanización|[Aa]lameda|[Pp]asaje|[Vv]ial|[Aa]cceso|[Vv]ia|[Vv]iale|[Pp]iazza|[Cc]orso|[Vv]icolo|[Ll]argo|[Bb]orgo|[Ss]trada|[Cc]ontrada|[Cc]anale|[Rr]otonda|[Ii]ncrocio|[Ss]tretto|[Pp]iazzale|[Rr]ua|[Tt]ravessa|[Pp]raça|[Ee]strada|[Rr]odovia|[Uu]l\.|[Uu]lica|[Aa]leja|[Aa]l\.|[Pp]lac|[Oo]siedle",
    );
    let french = words("rue|avenue|boulevard|bd|chemin|impasse|place|allée|quai|route|square|cours|passage");
    vec![
        // 12 Long Street; 221b Baker St, London
        format!(r"\b\d{{1,5}}[A-Za-z]?\s+(?:{NAME}\s+){{0,3}}\p{{Lu}}[\p{{L}}'’.-]*\s+{english}\b\.?{TAIL}"),
        // Littleton, OH 44326, with the line before it where that begins with a number
        format!(r"(?:\b\d{{1,5}}\s+[\p{{L}}\p{{M}}'’. \d]{{2,50}}[\n,]\s*)?[\p{{L}}\p{{M}}'’.-]{{2,}}(?:\s[\p{{L}}\p{{M}}'’.-]+){{0,2}},\s+(?:{STATES})\s+\d{{5}}(?:-\d{{4}})?\b"),
        // P.O. Box 123
        r"(?i)\bp\.?\s?o\.?\s?box\s+\d{1,6}\b".into(),
        // Calle Mayor 5; Via Roma, 24; ul. Długa 83
        format!(r"(?:^|[^\p{{L}}/]){before}\s*(?:{NAME}\s+){{0,5}}\p{{Lu}}[\p{{L}}'’.-]*,?\s+(?:n[.º°]*\s*)?{NUMBER}{TAIL}"),
        // 95, rue Jacqueline Payet
        format!(r"\b\d{{1,4}}(?:\s?(?:bis|ter|[A-Z]))?,?\s+{french}\s+(?:{NAME}\s+){{0,4}}\p{{L}}[\p{{L}}'’.-]*{TAIL}"),
        // rue Agathe Dumas, 01804 Dumont: without a number, the postcode tells it
        format!(r"(?:^|[^\p{{L}}]){french}\s+(?:{NAME}\s+){{0,4}}\p{{L}}[\p{{L}}'’.-]*[\n,]\s*\d{{5}}\s+\p{{Lu}}[\p{{L}}'’-]+(?:[ -]\p{{L}}+){{0,3}}"),
        // Hauptstraße 5; Keizersgracht 12; Storgatan 3
        format!(r"(?:\b\p{{Lu}}[\p{{L}}.-]*[\s-])?\b\p{{Lu}}?[\p{{L}}-]*(?:straße|strasse|[Ss]traße|[Ss]trasse|str\.|[Ss]tr\.|allee|[Aa]llee|gasse|straat|laan|gracht|steeg|singel|vägen|gatan|gränd|stigen)\s+{NUMBER}{TAIL}"),
        // Marktplatz 4, 10115 Berlin; Molenweg 5, 1887 RY Haaksbergen: these words need the postcode
        format!(r"\b\p{{Lu}}[\p{{L}}-]*(?:[Ww]eg|[Pp]latz|[Rr]ing|[Dd]amm|[Uu]fer|plein|hof|baan|kade|pad|dreef|dijk|park)\s+{NUMBER}[,\s]+\d{{4,5}}(?:\s?[A-Z]{{2}}\b)?[,\s]+\p{{Lu}}[\p{{L}}-]+"),
        // ул. Ленина, д. 5
        r"(?:ул|улица|пр|просп|проспект|пер|алл|наб|бул|ш|пл)\.?\s+[\p{Cyrillic}\s.-]{2,40},?\s*(?:д\.\s*)?\d{1,4}(?:[/к]\d{1,3})?(?:\s*(?:стр|кв|к)\.\s*\d{1,4})?(?:,\s*\d{6})?".into(),
        // 高田馬場7丁目13番11号; 佛山街s座 261873; 中山路12号
        r"[\p{Han}々ヶケ]{2,12}\d{1,3}丁目\d{1,3}番\d{1,3}号?[^\n]{0,40}|[\p{Han}]{2,16}(?:路|街|道|巷)[\p{L}\d]{1,6}(?:号|座|室)(?:\s*\d{6})?".into(),
        // 석촌호수가 596-18; 역삼06로 95-16
        r"(?:[\p{Hangul}]+\s){0,3}[\p{Hangul}\d]+(?:로|길|가|거리)\s\d{1,4}(?:-\d{1,4})?(?:\s\([\p{Hangul}\s]+\))?".into(),
        // Atatürk Caddesi No: 12
        format!(r"\p{{Lu}}[\p{{L}}]+\s(?:Sokak|Sok\.|Sokağı|Caddesi|Cad\.|Mahallesi|Mah\.)[,\s]+(?:[Nn]o:?\s*)?{NUMBER}"),
        // 40°26′46″N
        r#"\d{1,3}\s?°\s?\d{1,2}\s?['′’]\s?(?:\d{1,2}(?:\.\d+)?\s?(?:["″”]|'')\s?)?[NSEWOnsewo]\b"#.into(),
        r"[-+]?\d{1,3}\.\d{3,}\s?°\s?[NSEW]\b".into(),
    ]
}

/// The last two patterns are of places on the globe.
const DEGREES: usize = 2;

struct Places {
    signs: AhoCorasick,
    meaning: Vec<(Stands, u16)>,
    patterns: Vec<OnceLock<Regex>>,
    sources: Vec<String>,
}

fn places() -> &'static Places {
    static PLACES: OnceLock<Places> = OnceLock::new();
    PLACES.get_or_init(|| {
        let words = || {
            SIGNS.iter().flat_map(|&(stands, of, words)| words.split('|').map(move |word| (stands, of, word)))
        };
        // A word that is a sign of two languages is one of both.
        let mut merged: Vec<(Stands, u16, &str)> = Vec::new();
        for (stands, of, word) in words() {
            match merged.iter_mut().find(|known| known.2 == word) {
                Some(known) => (known.0, known.1) = (Stands::Before, known.1 | of),
                None => merged.push((stands, of, word)),
            }
        }
        let signs = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::DFA))
            .build(merged.iter().map(|&(_, _, word)| word))
            .expect("a few hundred short words");
        let sources = patterns();
        Places {
            signs,
            meaning: merged.iter().map(|&(stands, of, _)| (stands, of)).collect(),
            patterns: sources.iter().map(|_| OnceLock::new()).collect(),
            sources,
        }
    })
}

impl Places {
    fn pattern(&self, index: usize) -> &Regex {
        self.patterns[index].get_or_init(|| Regex::new(&self.sources[index]).expect("a pattern of this file"))
    }

    /// Stretches of the text around signs, in order and apart, each with the patterns to try in it.
    fn windows(&self, text: &str) -> Vec<(usize, usize, u16)> {
        let mut windows: Vec<(usize, usize, u16)> = Vec::new();
        let bytes = text.as_bytes();
        let mut add = |start: usize, end: usize, of: u16| {
            // A window begins with a word, so that no pattern begins inside one.
            let from = text.floor_char_boundary(start.saturating_sub(BEFORE_BYTES_MAX));
            let space = bytes[from..start].iter().position(u8::is_ascii_whitespace).filter(|_| from > 0);
            let from = from + space.unwrap_or(0);
            let to = text.ceil_char_boundary((end + BEHIND_BYTES_MAX).min(text.len()));
            match windows.last_mut() {
                Some(last) if from <= last.1 => *last = (last.0.min(from), last.1.max(to), last.2 | of),
                _ => windows.push((from, to, of)),
            }
        };
        let mut zips = memchr::memchr_iter(b',', bytes).filter(|&at| is_zip(&bytes[at + 1..])).peekable();
        for found in self.signs.find_iter(bytes) {
            while let Some(zip) = zips.next_if(|&zip| zip < found.start()) {
                add(zip, zip + 1, ZIP);
            }
            let (stands, of) = self.meaning[found.pattern().as_usize()];
            if stands.fits(bytes, found.start(), found.end()) {
                add(found.start(), found.end(), of);
            }
        }
        zips.for_each(|zip| add(zip, zip + 1, ZIP));
        windows
    }
}

/// " OH 44326": two capitals and five digits behind the comma.
fn is_zip(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii_start();
    let [a, b, b' ', rest @ ..] = bytes else { return false };
    a.is_ascii_uppercase()
        && b.is_ascii_uppercase()
        && rest.len() >= 5
        && rest[..5].iter().all(u8::is_ascii_digit)
}

impl Stands {
    fn fits(self, text: &[u8], start: usize, end: usize) -> bool {
        let is_word =
            |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
        let digits_before = || {
            let before = &text[start.saturating_sub(BEFORE_BYTES_MAX)..start];
            before.iter().any(u8::is_ascii_digit)
        };
        let digit_behind = |within: usize| text[end..].iter().take(within).any(u8::is_ascii_digit);
        match self {
            Self::Behind => {
                !is_word(text[..start].last())
                    && !is_word(text.get(end))
                    && start > 0
                    && text[start - 1] == b' '
                    && digits_before()
            }
            Self::Before => {
                !is_word(text[..start].last())
                    && (text[..end].ends_with(b"/") || text.get(end).is_some_and(u8::is_ascii_whitespace))
                    && (digits_before() || digit_behind(BEHIND_BYTES_MAX))
            }
            Self::Ends => text.get(end).is_some_and(u8::is_ascii_whitespace) && digit_behind(4),
            Self::Anywhere => true,
        }
    }
}

/// What a list in a title counts ("10 Best Tennis Court Shoes").
const LISTED: [&str; 9] = ["Best", "Reasons", "Things", "Ways", "Tips", "Days", "Nights", "Star", "Top"];
/// What is counted behind a name ("Camino Francés 5 etapas"), in small letters.
const COUNTED: [&str; 11] =
    ["km", "días", "horas", "etapas", "noches", "estrellas", "giorni", "ore", "dias", "noites", "lagos"];

/// Things that are written like a street: "500 GB Hard Drive", "via Bluetooth 5.0".
fn is_a_thing(found: &str, after: &str) -> bool {
    const DRIVES: [&str; 9] = ["Test", "Hard", "Flash", "Disk", "Thumb", "USB", "Pen", "State", "Google"];
    const WAYS: [&str; 14] = [
        "Bluetooth",
        "USB",
        "HDMI",
        "Wi-Fi",
        "WiFi",
        "Wifi",
        "Thunderbolt",
        "Ethernet",
        "Lightning",
        "PayPal",
        "DisplayPort",
        "SMS",
        "NFC",
        "OTA",
    ];
    let drive = || {
        let before = found.split(" Drive").next().unwrap_or_default();
        before.len() < found.len() && DRIVES.iter().any(|word| before.ends_with(word))
    };
    let by_way = || {
        let words = found.trim_start_matches(|c: char| !c.is_alphanumeric());
        let rest = words.strip_prefix("via ").or(words.strip_prefix("Via "));
        rest.is_some_and(|rest| WAYS.iter().any(|way| rest.starts_with(way)))
    };
    let title = || {
        let words = found.trim_start_matches(|c: char| !c.is_alphanumeric());
        let mut each = words.split_whitespace();
        let (first, second) = (each.next().unwrap_or_default(), each.next().unwrap_or_default());
        let listed = first.bytes().all(|byte| byte.is_ascii_digit()) && LISTED.contains(&second);
        let last = words.rsplit(char::is_whitespace).next().unwrap_or_default();
        let behind = !first.starts_with(|c: char| c.is_ascii_digit());
        // A year is a house number seldom, and then with a town.
        let year = last.len() == 4
            && last.bytes().all(|byte| byte.is_ascii_digit())
            && ("1990".."2040").contains(&last);
        let counted = last.bytes().all(|byte| byte.is_ascii_digit())
            && (after.starts_with('%')
                || after.split(|c: char| !c.is_alphabetic()).find(|word| !word.is_empty()).is_some_and(
                    |word| after.starts_with(' ') && after[1..].starts_with(word) && COUNTED.contains(&word),
                ));
        let parking = words.contains("place de parking") || words.contains("cours particulier");
        listed || behind && (year || counted) || parking
    };
    let version = after.starts_with('.') && after[1..].starts_with(|c: char| c.is_ascii_digit());
    drive() || by_way() || version || title()
}

/// Replaces addresses and coordinates in degrees.
pub(super) fn redact_places(redacted: &mut Redacted<'_>) {
    let places = places();
    let windows = places.windows(&redacted.text);
    if windows.is_empty() {
        return;
    }
    let geographic = places.patterns.len() - DEGREES;
    let mut found: Vec<(usize, usize, &'static str)> = Vec::new();
    for (from, to, of) in windows {
        let window = &redacted.text[from..to];
        for index in (0..places.patterns.len()).filter(|index| of >> index & 1 == 1) {
            for hit in places.pattern(index).find_iter(window) {
                let text = hit.as_str();
                if is_a_thing(text, &window[hit.end()..]) {
                    continue;
                }
                // A pattern may take in the sign before the first word.
                let skipped = text.len() - text.trim_start_matches(|c: char| !c.is_alphanumeric()).len();
                let (skipped, kind) =
                    if index >= geographic { (0, "[location]") } else { (skipped, "[address]") };
                found.push((from + hit.start() + skipped, from + hit.end(), kind));
            }
        }
    }
    // The earliest and, of those, the longest.
    found.sort_unstable_by_key(|&(start, end, _)| (start, usize::MAX - end));
    let mut rewrite = Rewrite::new(&redacted.text);
    for (start, end, kind) in found {
        if start >= rewrite.copied {
            rewrite.replace(start, end, kind);
        }
    }
    let found = rewrite.finish();
    take_over(redacted, found);
}
