//! The canaries: made-up identifiers of every kind that the policies name, random enough that a find is no accident.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// Shorter than this, a value is found by accident, so it is sent and not searched for.
pub(super) const SEARCHED_BYTES_MIN: usize = 8;

/// Kinds that have a field or header of their own.
const OWN_FIELD: [&str; 6] =
    ["subject_token", "visit_id", "event_id", "consent_manager_id", "session_cookie", "agent_id"];

/// One made-up identifier.
#[derive(Debug, Clone)]
pub struct Canary {
    /// Which kind it is; also the name of the custom property that it is sent in.
    pub kind: &'static str,
    /// As it is sent.
    pub value: String,
    /// Its random parts: whoever keeps one of them keeps the identifier. Empty: it is not unique enough to be found.
    pub cores: Vec<String>,
    /// The bytes that it stands for, where a program would keep those.
    pub bytes: Vec<u8>,
    /// Whether it can be told without a label, and so is sent in free text too.
    pub free_text: bool,
    /// Whether a custom property may have its kind as name. The others have fields of their own on the wire.
    pub labelled: bool,
}

impl Canary {
    /// Whether it still identifies when it is written so: a token in capitals is another token.
    pub(super) fn survives(&self, variant: Variant) -> bool {
        let tells_case = ["jwt", "bearer_token", "private_key", "base64_token", "url_credentials"];
        variant != Variant::Upper || !tells_case.contains(&self.kind)
    }
}

/// Random bytes that follow from a seed.
pub(super) struct Dice(blake3::OutputReader);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(
            blake3::Hasher::new_derive_key("consentry audit canaries v1")
                .update(&seed.to_le_bytes())
                .finalize_xof(),
        )
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    fn below(&mut self, end: u64) -> u64 {
        u64::from_le_bytes(self.bytes()) % end
    }

    fn of(&mut self, alphabet: &[u8], count: usize) -> String {
        (0..count).map(|_| char::from(alphabet[self.below(alphabet.len() as u64) as usize])).collect()
    }

    /// Decimal digits, the first not 0.
    fn digits(&mut self, count: usize) -> String {
        self.of(b"123456789", 1) + &self.of(b"0123456789", count - 1)
    }

    fn letters(&mut self, count: usize) -> String {
        self.of(b"abcdefghijklmnopqrstuvwxyz", count)
    }

    fn word(&mut self) -> String {
        let mut word = self.of(b"bcdfghjklmnpqrstvwxz", 1) + &self.of(b"aeiouy", 1);
        word += &self.letters(8);
        word[..1].to_uppercase() + &word[1..]
    }

    pub(super) fn hex(&mut self, digits: usize) -> String {
        self.of(b"0123456789abcdef", digits)
    }
}

/// The digit that makes a number pass Luhn's check.
fn luhn(digits: &str) -> char {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte - b'0');
            if index % 2 == 1 { digit } else { digit * 2 - 9 * u32::from(digit > 4) }
        })
        .sum();
    char::from(b'0' + ((10 - sum % 10) % 10) as u8)
}

/// A German IBAN with its check digits (ISO 13616, mod 97-10).
fn iban(bban: &str) -> String {
    // DE00 behind the account: D = 13, E = 14.
    let rest =
        format!("{bban}131400").bytes().fold(0_u32, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97);
    format!("DE{:02}{bban}", 98 - rest)
}

fn spaced(text: &str, every: usize) -> String {
    text.as_bytes().chunks(every).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

fn hex_of(bytes: &[u8], between: &str) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between)
}

/// One of every kind, the same for the same seed.
pub fn canaries(seed: u64) -> Vec<Canary> {
    let dice = &mut Dice::new(seed);
    let mut list: Vec<Canary> = Vec::new();
    let mut add = |kind, value: String, cores: Vec<String>, bytes: Vec<u8>, free_text| {
        list.push(Canary { kind, value, cores, bytes, free_text, labelled: !OWN_FIELD.contains(&kind) });
    };
    let plain = Vec::new;

    let user = dice.letters(12);
    add("email", format!("jo.{user}@mail.example"), vec![user], plain(), true);
    let digits = format!("6{}", dice.digits(8));
    add("phone", format!("+34{digits}"), vec![digits], plain(), true);
    let (street, city) = (dice.word(), dice.word());
    add(
        "postal_address",
        format!("{street}straße {}, 10115 {city}", 1 + dice.below(98)),
        vec![street, city],
        plain(),
        false,
    );
    let (given, family) = (dice.word(), dice.word());
    add("full_name", format!("{given} {family}"), vec![given, family], plain(), false);
    let dni: u64 = 10_000_000 + dice.below(89_999_999);
    let dni = format!("{dni}{}", char::from(b"TRWAGMYFPDXBNJZSQVHLCKE"[(dni % 23) as usize]));
    add("id_card", dni.clone(), vec![dni[..8].to_owned()], plain(), true);
    let passport = format!("C{}", dice.digits(9));
    add("passport", passport.clone(), vec![passport], plain(), false);
    let licence = format!("B{}", dice.digits(11));
    add("driver_licence", licence.clone(), vec![licence[1..].to_owned()], plain(), false);
    let account = format!("acct{}", dice.digits(12));
    add("account_id", account.clone(), vec![account[4..].to_owned()], plain(), true);
    let born = format!("19{}-{:02}-{:02}", 60 + dice.below(39), 1 + dice.below(12), 1 + dice.below(28));
    add("birthday", born, Vec::new(), plain(), false);
    let raw: [u8; 16] = dice.bytes();
    let h = hex_of(&raw, "");
    let uuid = format!("{}-{}-4{}-a{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..]);
    let flat = uuid.replace('-', "");
    let packed = (0..16).filter_map(|at| u8::from_str_radix(&flat[2 * at..2 * at + 2], 16).ok()).collect();
    add("advertising_id", uuid.clone(), vec![uuid, flat], packed, true);
    let imei = format!("35{}", dice.digits(12));
    let imei = format!("{imei}{}", luhn(&imei));
    add("imei", imei.clone(), vec![imei], plain(), true);
    let imsi = format!("21407{}", dice.digits(10));
    add("imsi", imsi.clone(), vec![imsi], plain(), true);
    let mac: [u8; 5] = dice.bytes();
    let mac = format!("02:{}", hex_of(&mac, ":"));
    add("mac", mac.clone(), vec![mac.clone(), mac.replace(':', "")], plain(), true);
    let serial = format!("C02{}", dice.of(b"ABCDEFGHJKLMNPQRSTVWXYZ0123456789", 9));
    add("serial_number", serial.clone(), vec![serial], plain(), false);
    let android = dice.hex(16);
    // 16 hexadecimal digits alone may be anything, a file's hash say: they are told by their label.
    add("android_id", android.clone(), vec![android], plain(), false);
    let cell = format!("310-260-{}-{}", dice.digits(5), dice.digits(8));
    add("cell_id", cell.clone(), vec![cell], plain(), false);
    let (lat, lon) = (format!("4{}.{}", dice.below(10), dice.digits(7)), format!("2.{}", dice.digits(7)));
    add("coordinates", format!("{lat},{lon}"), vec![lat, lon], plain(), true);
    let [a, b, c]: [u8; 3] = dice.bytes();
    let ipv4 = format!("198.{}.{}.{}", 100 + a % 100, 100 + b % 100, 100 + c % 100);
    add("ipv4", ipv4.clone(), vec![ipv4], plain(), true);
    let tail: [u8; 12] = dice.bytes();
    let ipv6 = std::net::Ipv6Addr::from(u128::from_be_bytes(
        [&[0x20, 0x01, 0x0d, 0xb8][..], &tail].concat().try_into().unwrap_or_default(),
    ));
    add("ipv6", ipv6.to_string(), vec![ipv6.to_string()], ipv6.octets().to_vec(), true);
    let card = format!("4{}", dice.digits(14));
    let card = format!("{card}{}", luhn(&card));
    add("card", card.clone(), vec![spaced(&card, 4), card], plain(), true);
    let iban = iban(&dice.digits(18));
    add("iban", spaced(&iban, 4), vec![spaced(&iban, 4), iban[4..].to_owned()], plain(), true);
    let bank = dice.digits(14);
    add("bank_account", bank.clone(), vec![bank], plain(), true);
    let (subject, signature) = (dice.letters(12), dice.bytes::<32>());
    let (subject, signature) =
        (URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{subject}"}}"#)), URL_SAFE_NO_PAD.encode(signature));
    add(
        "jwt",
        format!("eyJhbGciOiJIUzI1NiJ9.{subject}.{signature}"),
        vec![subject, signature],
        plain(),
        true,
    );
    let bearer = URL_SAFE_NO_PAD.encode(dice.bytes::<24>());
    add("bearer_token", format!("Bearer {bearer}"), vec![bearer], plain(), true);
    let key = STANDARD.encode(dice.bytes::<48>());
    let pem = format!("-----BEGIN PRIVATE KEY----- {key} -----END PRIVATE KEY-----");
    add("private_key", pem, vec![key], plain(), true);
    let secret = dice.hex(40);
    add("hex_token", secret.clone(), vec![secret], plain(), true);
    let token = STANDARD.encode(dice.bytes::<36>());
    add("base64_token", token.clone(), vec![token], plain(), true);
    let (login, password) = (dice.letters(10), dice.of(b"abcdefghijkmnpqrstuvwxyz23456789", 14));
    add(
        "url_credentials",
        format!("https://{login}:{password}@host.example/x"),
        vec![login, password],
        plain(),
        true,
    );
    let owner = dice.letters(11);
    add("user_path", format!("/home/{owner}/app/main.js"), vec![owner], plain(), true);
    for kind in OWN_FIELD {
        let token = dice.hex(32);
        add(kind, token.clone(), vec![token], plain(), false);
    }
    list
}

/// How a value is written when it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// As it is.
    Plain,
    /// In capitals.
    Upper,
    /// Percent-encoded.
    Percent,
    /// Full-width digits and letters.
    FullWidth,
    /// Zero-width joiners between the characters.
    ZeroWidth,
    /// Base64.
    Base64,
    /// Hexadecimal.
    Hex,
}

impl Variant {
    /// Writes a value so.
    pub(super) fn write(self, value: &str) -> String {
        match self {
            Self::Plain => value.to_owned(),
            Self::Upper => value.to_uppercase(),
            Self::Percent => percent(value.as_bytes()),
            Self::FullWidth => full_width(value),
            Self::ZeroWidth => zero_width(value),
            Self::Base64 => STANDARD.encode(value),
            Self::Hex => hex_of(value.as_bytes(), ""),
        }
    }
}

pub(super) fn percent(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, &byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'~' | b'-' => {
                text.push(char::from(byte))
            }
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    })
}

pub(super) fn full_width(text: &str) -> String {
    text.chars()
        .map(|c| if ('!'..='~').contains(&c) { char::from_u32(c as u32 + 0xFEE0).unwrap_or(c) } else { c })
        .collect()
}

pub(super) fn zero_width(text: &str) -> String {
    text.chars().map(String::from).collect::<Vec<_>>().join("\u{200d}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_those_of_the_standards() {
        assert_eq!(luhn("411111111111111"), '1');
        assert_eq!(luhn("49015420323751"), '8');
        assert_eq!(iban("370400440532013000"), "DE89370400440532013000");
    }

    #[test]
    fn the_same_seed_gives_the_same_canaries_and_no_two_share_a_core() {
        let (one, again, other) = (canaries(1), canaries(1), canaries(2));
        let mut seen = std::collections::HashSet::new();
        for ((one, again), other) in one.iter().zip(&again).zip(&other) {
            assert_eq!(one.value, again.value);
            assert_ne!(one.value, other.value, "{}", one.kind);
            for core in &one.cores {
                assert!(core.len() >= SEARCHED_BYTES_MIN, "{}: {core}", one.kind);
                assert!(seen.insert(core.clone()), "{}", one.kind);
            }
        }
        assert!(one.len() >= 35);
    }
}
