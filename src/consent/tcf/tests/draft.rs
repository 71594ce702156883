//! TC strings in the making, and a slow reader that works on a text of zeros and ones. It shares nothing with the
//! decoder: what it cannot write back as it was is not well-formed.

use proptest::prelude::*;

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The fields of a fixed place, in their order.
#[derive(Debug, Clone, Copy)]
#[rustfmt::skip]
pub enum Fixed {
    Version, Created, LastUpdated, CmpId, CmpVersion, Screen, Language, VendorList, Policy, ServiceSpecific, Texts,
    Features, Purposes, Interests, PurposeOne, Country,
}

const WIDTHS: [usize; 16] = [6, 36, 36, 12, 12, 6, 12, 12, 6, 1, 1, 12, 24, 24, 1, 12];

/// First vendor, and the last one of a range.
pub type Entry = (u16, Option<u16>);

#[derive(Debug, Clone, PartialEq)]
pub enum List {
    Field(Vec<bool>),
    Ranges { max: u16, entries: Vec<Entry> },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    /// Type 1 or 2.
    Vendors(u64, List),
    /// Purposes as written, 24 bits each, and the bits of the publisher's own purposes.
    Publisher { consents: u64, interests: u64, custom: Vec<bool> },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub fixed: [u64; 16],
    pub consents: List,
    pub interests: List,
    /// Purpose, kind, vendors.
    pub restrictions: Vec<(u64, u64, Vec<Entry>)>,
    pub segments: Vec<Segment>,
}

/// Purposes as a segment writes them: the first leftmost of 24.
pub fn written(purposes: &[u32]) -> u64 {
    purposes.iter().map(|purpose| 1 << (24 - purpose)).sum()
}

impl List {
    pub fn of(vendors: &[u16]) -> Self {
        let max = vendors.iter().copied().max().unwrap_or(0);
        Self::Field((1..=max).map(|vendor| vendors.contains(&vendor)).collect())
    }

    pub fn ranges(max: u16, entries: &[Entry]) -> Self {
        Self::Ranges { max, entries: entries.to_vec() }
    }

    pub fn contains(&self, vendor: u16) -> bool {
        match self {
            Self::Field(field) => vendor > 0 && field.get(usize::from(vendor) - 1) == Some(&true),
            Self::Ranges { entries, .. } => among(entries, vendor),
        }
    }

    fn write(&self, bits: &mut String) {
        match self {
            Self::Field(field) => {
                put(bits, 16, field.len() as u64);
                put(bits, 1, 0);
                field.iter().for_each(|&bit| put(bits, 1, bit.into()));
            }
            Self::Ranges { max, entries } => {
                put(bits, 16, (*max).into());
                put(bits, 1, 1);
                write_entries(entries, bits);
            }
        }
    }

    fn read(bits: &mut &str) -> Option<Self> {
        let max = take(bits, 16)?;
        if take(bits, 1)? == 0 {
            return Some(Self::Field((0..max).map(|_| Some(take(bits, 1)? == 1)).collect::<Option<_>>()?));
        }
        Some(Self::Ranges { max: max as u16, entries: read_entries(bits, max)? })
    }
}

pub fn among(entries: &[Entry], vendor: u16) -> bool {
    entries.iter().any(|&(first, last)| first <= vendor && vendor <= last.unwrap_or(first))
}

fn write_entries(entries: &[Entry], bits: &mut String) {
    put(bits, 12, entries.len() as u64);
    for &(first, last) in entries {
        put(bits, 1, last.is_some().into());
        put(bits, 16, first.into());
        last.iter().for_each(|&last| put(bits, 16, last.into()));
    }
}

fn read_entries(bits: &mut &str, max: u64) -> Option<Vec<Entry>> {
    let count = take(bits, 12)?;
    let entry = |bits: &mut &str| {
        let range = take(bits, 1)? == 1;
        let first = take(bits, 16)?;
        let last = if range { take(bits, 16)? } else { first };
        let sound = 1 <= first && first <= last && last <= max;
        sound.then_some((first as u16, range.then_some(last as u16)))
    };
    (0..count).map(|_| entry(bits)).collect()
}

impl Segment {
    fn kind(&self) -> u64 {
        if let Self::Vendors(kind, _) = self { *kind } else { 3 }
    }

    fn bits(&self) -> String {
        let mut bits = String::new();
        put(&mut bits, 3, self.kind());
        match self {
            Self::Vendors(_, list) => list.write(&mut bits),
            Self::Publisher { consents, interests, custom } => {
                put(&mut bits, 24, *consents);
                put(&mut bits, 24, *interests);
                put(&mut bits, 6, custom.len() as u64 / 2);
                custom.iter().for_each(|&bit| put(&mut bits, 1, bit.into()));
            }
        }
        bits
    }

    fn read(mut bits: &str) -> Option<Self> {
        let bits = &mut bits;
        match take(bits, 3)? {
            kind @ 1..=2 => Some(Self::Vendors(kind, List::read(bits)?)),
            3 => {
                let (consents, interests, own) = (take(bits, 24)?, take(bits, 24)?, take(bits, 6)?);
                let custom = (0..2 * own).map(|_| Some(take(bits, 1)? == 1)).collect::<Option<_>>()?;
                Some(Self::Publisher { consents, interests, custom })
            }
            _ => None,
        }
    }
}

impl Draft {
    /// A draft by a registered manager, of policy 4, with consent to purposes 1, 8, 9 and 10 for vendor 755.
    pub fn new(updated_ms: i64) -> Self {
        let mut draft = Self {
            fixed: [0; 16],
            consents: List::of(&[755]),
            interests: List::of(&[]),
            restrictions: Vec::new(),
            segments: Vec::new(),
        };
        let fixed = [
            (Fixed::Version, 2),
            (Fixed::LastUpdated, updated_ms as u64 / 100),
            (Fixed::CmpId, 10),
            (Fixed::Policy, 4),
            (Fixed::ServiceSpecific, 1),
            (Fixed::Purposes, written(&[1, 8, 9, 10])),
        ];
        fixed.into_iter().for_each(|(field, value)| draft.fixed[field as usize] = value);
        draft
    }

    pub fn get(&self, field: Fixed) -> u64 {
        self.fixed[field as usize]
    }

    pub fn with(mut self, field: Fixed, value: u64) -> Self {
        self.fixed[field as usize] = value;
        self
    }

    pub fn and(mut self, segment: Segment) -> Self {
        self.segments.push(segment);
        self
    }

    pub fn restricted(mut self, purpose: u64, kind: u64, entries: &[Entry]) -> Self {
        self.restrictions.push((purpose, kind, entries.to_vec()));
        self
    }

    /// The bits of the core string, without padding.
    pub fn core_bits(&self) -> String {
        let mut bits = String::new();
        self.fixed.iter().zip(WIDTHS).for_each(|(&value, width)| put(&mut bits, width, value));
        self.consents.write(&mut bits);
        self.interests.write(&mut bits);
        put(&mut bits, 12, self.restrictions.len() as u64);
        for (purpose, kind, entries) in &self.restrictions {
            put(&mut bits, 6, *purpose);
            put(&mut bits, 2, *kind);
            write_entries(entries, &mut bits);
        }
        bits
    }

    /// The string, every segment padded to a multiple of so many bits, 8 or 24.
    pub fn write(&self, multiple: usize) -> String {
        let segments = self.segments.iter().map(Segment::bits);
        let all: Vec<_> = std::iter::once(self.core_bits()).chain(segments).collect();
        all.iter().map(|bits| text(bits, multiple)).collect::<Vec<_>>().join(".")
    }

    fn read(mut bits: &str) -> Option<Self> {
        let bits = &mut bits;
        let mut fixed = [0; 16];
        for (value, width) in fixed.iter_mut().zip(WIDTHS) {
            *value = take(bits, width)?;
        }
        let (consents, interests) = (List::read(bits)?, List::read(bits)?);
        let restrictions = (0..take(bits, 12)?)
            .map(|_| Some((take(bits, 6)?, take(bits, 2)?, read_entries(bits, u16::MAX.into())?)))
            .collect::<Option<_>>()?;
        Some(Self { fixed, consents, interests, restrictions, segments: Vec::new() })
    }

    /// Reads a string that is well-formed: what is read, written again, is the same text.
    pub fn well_formed(tc: &str) -> Option<Self> {
        let mut segments = tc.split('.');
        let core = segments.next()?;
        let mut draft = Self::read(&bits(core)?).filter(|draft| draft.get(Fixed::Version) == 2)?;
        let written = draft.core_bits();
        if ![8, 24].iter().any(|&multiple| text(&written, multiple) == core) {
            return None;
        }
        for segment in segments {
            let read = Segment::read(&bits(segment)?)?;
            let written = read.bits();
            let examples = read.kind() == 3
                && segment.starts_with(text(&written, 6).as_str())
                && segment.len() * 6 - written.len() <= 57
                && segment[written.len().div_ceil(6)..].bytes().all(|byte| byte == b'A');
            let same = examples || [8, 24].iter().any(|&multiple| text(&written, multiple) == segment);
            if !same || draft.segments.iter().any(|other| other.kind() == read.kind()) {
                return None;
            }
            draft.segments.push(read);
        }
        Some(draft)
    }

    /// Whether what is drafted is a yes to these terms, age apart.
    pub fn agrees(&self, terms: &super::Terms) -> bool {
        let asked: Vec<u32> = (1..=32).filter(|n| terms.purposes >> (n - 1) & 1 == 1).collect();
        let all_in =
            |given: u64| asked.iter().all(|&n| n <= 24 && given >> (24 - n) & 1 == 1) && !asked.is_empty();
        let valid = self.get(Fixed::ServiceSpecific) == 1
            && self.get(Fixed::Policy) >= 4
            && self.get(Fixed::CmpId) >= 2;
        let decided = match terms.vendor_id {
            Some(vendor) => {
                let told = |s: &Segment| matches!(s, Segment::Vendors(1, list) if list.contains(vendor));
                let barred = |(purpose, kind, entries): &(u64, u64, Vec<Entry>)| {
                    asked.contains(&(*purpose as u32)) && *kind != 1 && among(entries, vendor)
                };
                all_in(self.get(Fixed::Purposes))
                    && self.consents.contains(vendor)
                    && (self.get(Fixed::Policy) == 4 || self.segments.iter().any(told))
                    && !self.restrictions.iter().any(barred)
            }
            None if terms.accept_core => all_in(self.get(Fixed::Purposes)),
            None => self
                .segments
                .iter()
                .any(|s| matches!(s, Segment::Publisher { consents, .. } if all_in(*consents))),
        };
        valid && decided
    }
}

/// Appends a number of so many bits.
pub fn put(bits: &mut String, width: usize, value: u64) {
    (0..width).rev().for_each(|place| bits.push(if value >> place & 1 == 1 { '1' } else { '0' }));
}

fn take(bits: &mut &str, width: usize) -> Option<u64> {
    let (taken, rest) = bits.split_at_checked(width)?;
    *bits = rest;
    Some(taken.bytes().fold(0, |value, bit| value << 1 | u64::from(bit == b'1')))
}

/// The characters of some bits, zeros added up to a multiple, and to whole characters.
pub fn text(bits: &str, multiple: usize) -> String {
    let padded =
        format!("{bits:0<width$}", width = bits.len().next_multiple_of(multiple).next_multiple_of(6));
    let index = |six: &[u8]| six.iter().fold(0, |value, bit| value << 1 | usize::from(*bit == b'1'));
    padded.as_bytes().chunks(6).map(|six| char::from(ALPHABET.as_bytes()[index(six)])).collect()
}

/// The bits of some characters.
pub fn bits(text: &str) -> Option<String> {
    let mut bits = String::new();
    for character in text.chars() {
        put(&mut bits, 6, ALPHABET.find(character)? as u64);
    }
    Some(bits)
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (1u16..900, prop::option::of(0u16..90))
        .prop_map(|(first, more)| (first, more.map(|more| first + more)));
    prop::collection::vec(entry, 0..6)
}

fn list() -> impl Strategy<Value = List> {
    prop_oneof![
        prop::collection::vec(any::<bool>(), 0..900).prop_map(List::Field),
        entries().prop_map(|entries| List::Ranges { max: 1000, entries }),
    ]
}

/// Any draft at all, mostly one that could be valid.
pub fn any_draft(updated_ms: i64) -> impl Strategy<Value = Draft> {
    let publisher = (any::<u32>(), any::<u32>(), prop::collection::vec(any::<[bool; 2]>(), 0..9)).prop_map(
        |(a, b, c)| Segment::Publisher {
            consents: (a >> 8).into(),
            interests: (b >> 8).into(),
            custom: c.concat(),
        },
    );
    let segments = (
        prop::option::of(list().prop_map(|list| Segment::Vendors(1, list))),
        prop::option::of(list().prop_map(|list| Segment::Vendors(2, list))),
        prop::option::of(publisher),
    )
        .prop_map(|(one, two, three)| [three, one, two].into_iter().flatten().collect());
    let restrictions = prop::collection::vec((1u64..12, 0u64..4, entries()), 0..4);
    let fixed = prop::collection::vec((0usize..16, any::<u64>()), 0..3);
    (list(), list(), restrictions, segments, 4u64..6, fixed).prop_map(
        move |(consents, interests, restrictions, segments, policy, fixed)| {
            let draft = Draft { consents, interests, restrictions, segments, ..Draft::new(updated_ms) };
            fixed.into_iter().fold(draft.with(Fixed::Policy, policy), |mut draft, (field, value)| {
                if field != Fixed::Version as usize {
                    draft.fixed[field] = value & ((1 << WIDTHS[field]) - 1);
                }
                draft
            })
        },
    )
}
