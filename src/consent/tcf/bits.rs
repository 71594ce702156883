//! Bits behind base64url, read in place: most significant first, six to a character, nothing is decoded ahead.
//!
//! Invariant: a `Bits` holds characters of the alphabet only, and no read goes past its end or panics.

/// The value of each character (RFC 4648, section 5), or [`OUTSIDE`]. The padding sign is no part of it.
const SEXTETS: [u8; 256] = {
    let alphabet = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut sextets = [OUTSIDE; 256];
    let mut value = 0;
    while value < alphabet.len() {
        sextets[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    sextets
};

/// A bit that no sextet has.
const OUTSIDE: u8 = 0x80;

/// The bits of one segment, and the place of the next read.
#[derive(Debug, Clone, Copy)]
pub(in crate::consent) struct Bits<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    /// The bits of a text, or nothing where a character is outside of the alphabet.
    pub(in crate::consent) fn new(text: &'a str) -> Option<Self> {
        let text = text.as_bytes();
        let seen = text.iter().fold(0, |seen, &byte| seen | SEXTETS[usize::from(byte)]);
        (seen < OUTSIDE).then_some(Self { text, at: 0 })
    }

    /// How many bits are left to read.
    pub(in crate::consent) fn left(self) -> usize {
        self.text.len() * 6 - self.at
    }

    /// Reads up to 40 bits as a number, or nothing where fewer are left.
    #[inline]
    pub(in crate::consent) fn take(&mut self, count: usize) -> Option<u64> {
        debug_assert!(count <= 40, "eight characters hold a read that starts inside the first");
        let (start, end) = (self.at / 6, self.at + count);
        // Most reads are short: four characters hold them, and a known number of characters is read faster.
        let (window, behind) = match self.text.get(start..)?.first_chunk::<4>() {
            Some(four) if count <= 24 - 5 => (join(four), (start + 4) * 6 - end),
            _ => (join(self.text.get(start..end.div_ceil(6))?), end.next_multiple_of(6) - end),
        };
        self.at = end;
        Some((window >> behind) & ((1 << count) - 1))
    }

    /// The next 32 bits without moving on; past the end they are zero.
    pub(in crate::consent) fn peek(self) -> u32 {
        let (mut ahead, count) = (self, self.left().min(32));
        ahead.take(count).map_or(0, |bits| (bits << (32 - count)) as u32)
    }

    /// Moves on, or answers nothing where fewer bits are left.
    pub(in crate::consent) fn skip(&mut self, count: usize) -> Option<()> {
        let ahead = self.left().checked_sub(count)?;
        self.at = self.text.len() * 6 - ahead;
        Some(())
    }

    /// A number at some distance from the next read, or nothing where the end is nearer. Does not move on.
    pub(in crate::consent) fn ahead(mut self, distance: usize, count: usize) -> Option<u64> {
        self.skip(distance)?;
        self.take(count)
    }

    /// Whether what is left is padding: zero bits, and fewer of them than given.
    pub(in crate::consent) fn is_padding(mut self, below: usize) -> bool {
        let left = self.left();
        debug_assert!(below <= 64, "two reads hold the padding");
        left < below && self.take(left / 2) == Some(0) && self.take(left.div_ceil(2)) == Some(0)
    }

    /// Whether the bits end as base64 of whole bytes does: what was read lies in whole bytes, and is padded with zeros
    /// to the next byte, or to the next three bytes where the characters come in whole groups of four. Encoders of
    /// both kinds are in use; anything longer is more than padding.
    pub(in crate::consent) fn ends_as_bytes(self) -> bool {
        match self.text.len() % 4 {
            0 => self.is_padding(24),
            1 => false,
            over => {
                // Two characters over hold a byte and four bits, three hold two bytes and two bits.
                let spare = 8 - 2 * over;
                self.left() >= spare && self.is_padding(spare + 8)
            }
        }
    }
}

/// The bits of a few characters as one number.
#[inline]
fn join(text: &[u8]) -> u64 {
    text.iter().fold(0, |bits, &byte| bits << 6 | u64::from(SEXTETS[usize::from(byte)]))
}
