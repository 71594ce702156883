//! The segments of a TC string and what is asked of them. IAB Tech Lab, "Consent string and vendor list formats v2",
//! sections "The core string", "Disclosed vendors" and "Publisher purposes transparency and consent".
//!
//! Every list of vendors stays the bits it came as: it is walked once to find its end and its faults, and again for
//! each question. What is `None` here is malformed.

use super::bits::Bits;

/// The core string. Fields of a fixed place are read where they stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Core<'a> {
    /// The whole segment, from its first bit.
    pub(super) fixed: Bits<'a>,
    /// Vendors with consent.
    pub(super) consents: Vendors<'a>,
    /// Vendors with a legitimate interest.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "not consent; the tests compare it with other decoders")
    )]
    pub(super) interests: Vendors<'a>,
    pub(super) restrictions: Restrictions<'a>,
}

impl<'a> Core<'a> {
    /// Reads version 2; there is no other in use, and none is laid out like it.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let fixed = Bits::new(text)?;
        let mut bits = fixed;
        if bits.take(6)? != 2 {
            return None;
        }
        bits.skip(213 - 6)?;
        let consents = Vendors::read(&mut bits)?;
        let interests = Vendors::read(&mut bits)?;
        let restrictions = Restrictions::read(&mut bits)?;
        bits.ends_as_bytes().then_some(Self { fixed, consents, interests, restrictions })
    }

    /// A field of the fixed part, by its first bit and its length.
    pub(super) fn field(&self, at: usize, count: usize) -> u64 {
        debug_assert!(at + count <= 213, "the fixed part was skipped over when the segment was read");
        self.fixed.ahead(at, count).unwrap_or_default()
    }

    /// `LastUpdated`, in milliseconds since 1970.
    pub(super) fn last_updated_ms(&self) -> i64 {
        self.field(42, 36) as i64 * 100
    }

    /// `CmpId`.
    pub(super) fn cmp_id(&self) -> u64 {
        self.field(78, 12)
    }

    /// `TcfPolicyVersion`.
    pub(super) fn policy_version(&self) -> u64 {
        self.field(132, 6)
    }

    /// `IsServiceSpecific`.
    pub(super) fn is_service_specific(&self) -> bool {
        self.field(138, 1) == 1
    }

    /// `PurposesConsent`, bit n-1 for purpose n.
    pub(super) fn purposes(&self) -> u32 {
        purposes(self.field(152, 24))
    }
}

/// Twenty-four purposes as they are written, the first leftmost; bit n-1 for purpose n.
fn purposes(written: u64) -> u32 {
    (written as u32).reverse_bits() >> 8
}

/// A list of vendors: one bit each, or ranges.
#[derive(Debug, Clone, Copy)]
pub(super) enum Vendors<'a> {
    Field { bits: Bits<'a>, max: u16 },
    Ranges(Ranges<'a>),
}

impl<'a> Vendors<'a> {
    /// Reads `MaxVendorId`, `IsRangeEncoding` and the list.
    fn read(bits: &mut Bits<'a>) -> Option<Self> {
        let max = bits.take(16)? as u16;
        if bits.take(1)? == 1 {
            return Ranges::read(bits, max).map(Self::Ranges);
        }
        let field = *bits;
        bits.skip(usize::from(max))?;
        Some(Self::Field { bits: field, max })
    }

    /// Reads a segment that is such a list, behind its three bits of type.
    fn segment(mut bits: Bits<'a>) -> Option<Self> {
        let vendors = Self::read(&mut bits)?;
        bits.ends_as_bytes().then_some(vendors)
    }

    /// Whether a vendor is in the list.
    pub(super) fn contains(self, vendor: u16) -> bool {
        match self {
            Self::Field { bits, max } => {
                (1..=max).contains(&vendor) && bits.ahead(usize::from(vendor) - 1, 1) == Some(1)
            }
            Self::Ranges(ranges) => ranges.contains(vendor),
        }
    }
}

/// Ranges of vendors, as many as their count says. They need not be sorted or apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranges<'a> {
    bits: Bits<'a>,
    entries: u16,
}

impl<'a> Ranges<'a> {
    /// Reads `NumEntries` and the entries. Each begins at vendor 1 or later, does not end before it begins, and not
    /// after the last vendor that the list says it has.
    fn read(bits: &mut Bits<'a>, max: u16) -> Option<Self> {
        Self::read_for(bits, max, 0).map(|(list, _)| list)
    }

    /// The same, and whether a vendor is among them.
    fn read_for(bits: &mut Bits<'a>, max: u16, vendor: u16) -> Option<(Self, bool)> {
        let entries = bits.take(12)? as u16;
        // The shortest entry has 17 bits.
        if usize::from(entries) * 17 > bits.left() {
            return None;
        }
        let (list, mut has) = (Self { bits: *bits, entries }, false);
        for _ in 0..entries {
            let (first, last) = Self::entry(bits)?;
            if first == 0 || last < first || last > max {
                return None;
            }
            has |= (first..=last).contains(&vendor);
        }
        Some((list, has))
    }

    /// `IsARange`, `StartOrOnlyVendorId` and, of a range, `EndVendorId`.
    fn entry(bits: &mut Bits<'a>) -> Option<(u16, u16)> {
        let entry = bits.take(17)?;
        let first = entry as u16;
        Some((first, if entry >> 16 == 1 { bits.take(16)? as u16 } else { first }))
    }

    /// Every entry, first and last vendor.
    pub(super) fn entries(mut self) -> impl Iterator<Item = (u16, u16)> + use<'a> {
        (0..self.entries).map_while(move |_| Self::entry(&mut self.bits))
    }

    fn contains(self, vendor: u16) -> bool {
        self.entries().any(|(first, last)| (first..=last).contains(&vendor))
    }
}

/// The publisher's restrictions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Restrictions<'a> {
    bits: Bits<'a>,
    entries: u16,
}

/// One restriction: for these vendors, this purpose.
#[derive(Debug, Clone, Copy)]
pub(super) struct Restriction<'a> {
    pub(super) purpose: u8,
    /// 0: not allowed, 1: consent is required, 2: legitimate interest is required, 3: has no meaning yet.
    pub(super) kind: u8,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "one vendor is looked for while walking; the tests want all")
    )]
    pub(super) vendors: Ranges<'a>,
}

impl<'a> Restrictions<'a> {
    /// There are 256 pairs of purpose and kind; a string with more restrictions says the same twice.
    pub(super) const ENTRIES_MAX: u16 = 256;

    /// Reads `NumPubRestrictions` and the restrictions.
    fn read(bits: &mut Bits<'a>) -> Option<Self> {
        let entries = bits.take(12)? as u16;
        // The shortest restriction has 20 bits.
        if entries > Self::ENTRIES_MAX || usize::from(entries) * 20 > bits.left() {
            return None;
        }
        let list = Self { bits: *bits, entries };
        for _ in 0..entries {
            Self::entry_for(bits, 0)?;
        }
        Some(list)
    }

    /// One restriction, and whether a vendor is in it.
    fn entry_for(bits: &mut Bits<'a>, vendor: u16) -> Option<(Restriction<'a>, bool)> {
        let head = bits.take(8)? as u8;
        let (vendors, has) = Ranges::read_for(bits, u16::MAX, vendor)?;
        Some((Restriction { purpose: head >> 2, kind: head & 3, vendors }, has))
    }

    /// Every restriction, and whether a vendor is in it.
    pub(super) fn entries_for(
        mut self,
        vendor: u16,
    ) -> impl Iterator<Item = (Restriction<'a>, bool)> + use<'a> {
        (0..self.entries).map_while(move |_| Self::entry_for(&mut self.bits, vendor))
    }

    /// Whether a vendor may not rest one of these purposes on consent. Only kind 1 leaves consent standing; kind 3
    /// has no meaning yet, so it is read as the stricter one.
    pub(super) fn forbid(self, vendor: u16, purposes: u32) -> bool {
        self.entries_for(vendor).any(|(restriction, has)| {
            let concerns =
                (1..=32).contains(&restriction.purpose) && purposes >> (restriction.purpose - 1) & 1 == 1;
            has && concerns && restriction.kind != 1
        })
    }
}

/// The segments behind the core string.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Others<'a> {
    /// Segment type 1, the vendors that the visitor was told of.
    pub(super) disclosed: Option<Vendors<'a>>,
    /// Segment type 2, of versions before 2.2: it has to be well-formed and says nothing.
    allowed: Option<Vendors<'a>>,
    /// Segment type 3, the consents that the publisher asked for itself.
    pub(super) publisher: Option<PublisherTc<'a>>,
}

impl<'a> Others<'a> {
    /// Reads one more segment. They come in any order; one of a type not known, or a second of one type, leaves open
    /// what the string says.
    pub(super) fn add(&mut self, text: &'a str) -> Option<()> {
        let mut bits = Bits::new(text)?;
        match bits.take(3)? {
            1 if self.disclosed.is_none() => self.disclosed = Some(Vendors::segment(bits)?),
            2 if self.allowed.is_none() => self.allowed = Some(Vendors::segment(bits)?),
            3 if self.publisher.is_none() => self.publisher = Some(PublisherTc::segment(bits)?),
            _ => return None,
        }
        Some(())
    }
}

/// The publisher's own purposes.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublisherTc<'a> {
    /// From `PubPurposesConsent` on.
    bits: Bits<'a>,
}

impl<'a> PublisherTc<'a> {
    /// The longest padding seen, in the standard's own examples: the fields' length once more.
    const PADDING_BITS_MAX: usize = 57;

    fn segment(mut bits: Bits<'a>) -> Option<Self> {
        let list = Self { bits };
        bits.skip(48)?;
        let custom = bits.take(6)? as usize;
        bits.skip(2 * custom)?;
        (bits.ends_as_bytes() || bits.is_padding(Self::PADDING_BITS_MAX + 1)).then_some(list)
    }

    /// `PubPurposesConsent`, bit n-1 for purpose n.
    pub(super) fn purposes(self) -> u32 {
        self.bits.ahead(0, 24).map_or(0, purposes)
    }
}
