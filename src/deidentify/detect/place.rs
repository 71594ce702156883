//! Postal addresses where they can be told: a street's word and a house number in the order and spelling of a language,
//! with the postcode and town behind them. And coordinates in degrees.

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use regex::Regex;

use super::{Redacted, Rewrite, take_over};

/// A text without one of these has no address that could be told.
const SIGNS: &str = "street|st.|st |st,|road|rd|avenue|ave|lane|ln|drive|dr.|dr |boulevard|blvd|court|square|sq.|terrace|crescent|\
    highway|hwy|parkway|apt|suite|p.o. box|po box|calle|c/|avenida|avda|av.|plaza|paseo|pasadizo|camino|ronda|rambla|travesía|travesia|\
    carretera|glorieta|callejón|cuesta|urbanización|alameda|pasaje|vial|acceso|straße|strasse|str.|allee|gasse|weg|platz|ring|damm|\
    ufer|rue|chemin|impasse|allée|quai|place|via|viale|piazza|corso|vicolo|largo|borgo|strada|contrada|rua|travessa|praça|estrada|\
    rodovia|ul.|ulica|aleja|al.|plac|osiedle|straat|laan|gracht|steeg|singel|plein|vägen|gatan|gränd|stigen|ул|пр|пер|алл|наб|бул|\
    丁目|路|街|号|로|길|가|sokak|cadde|mahalle|°| al | ak | az | ar | ca | co | ct | de | fl | ga | hi | ia | id | il | in | ks | ky | la | ma | md | me |\
     mi | mn | mo | ms | mt | nc | nd | ne | nh | nj | nm | nv | ny | oh | ok | or | pa | ri | sc | sd | tn | tx | ut | va | vt |\
     wa | wi | wv | wy | dc | mp | gu | vi | as | pr | fm | mh | aa | ae | ap | pw |canale|rotonda|incrocio|stretto|pad |dreef|dijk|hof |baan|kade|거리";

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
    patterns: Vec<Regex>,
}

fn places() -> &'static Places {
    static PLACES: OnceLock<Places> = OnceLock::new();
    PLACES.get_or_init(|| {
        let signs = AhoCorasick::builder().ascii_case_insensitive(true).build(SIGNS.split('|'));
        let patterns =
            patterns().iter().map(|pattern| Regex::new(pattern).expect("a pattern of this file")).collect();
        Places { signs: signs.expect("a few hundred short words"), patterns }
    })
}

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
    let version = after.starts_with('.') && after[1..].starts_with(|c: char| c.is_ascii_digit());
    drive() || by_way() || version
}

/// Replaces addresses and coordinates in degrees.
pub(super) fn redact_places(redacted: &mut Redacted<'_>) {
    let places = places();
    if !places.signs.is_match(redacted.text.as_bytes()) {
        return;
    }
    let geographic = places.patterns.len() - DEGREES;
    for (index, pattern) in places.patterns.iter().enumerate() {
        let mut rewrite = Rewrite::new(&redacted.text);
        for found in pattern.find_iter(rewrite.text) {
            if is_a_thing(found.as_str(), &rewrite.text[found.end()..]) {
                continue;
            }
            // A pattern may take in the sign before the first word.
            let skipped = found.as_str().len()
                - found.as_str().trim_start_matches(|c: char| !c.is_alphanumeric()).len();
            let degrees = index >= geographic;
            let start = if degrees { found.start() } else { found.start() + skipped };
            rewrite.replace(start, found.end(), if degrees { "[location]" } else { "[address]" });
        }
        let found = rewrite.finish();
        take_over(redacted, found);
    }
}
