//! The sections of the United States. Each is a run of two-bit fields behind a version; of all of them only the
//! opt-outs are read, which stand before the first field whose length differs between versions.

use crate::consent::Reading;
use crate::consent::tcf::Bits;

/// Where a section has its opt-outs, and how long it is. IAB Tech Lab, GPP, folder "Sections".
struct Layout {
    /// Its versions, each with the bits of its core.
    versions: &'static [(u64, usize)],
    /// The first bit of `SaleOptOut`, then `SharingOptOut` and `TargetedAdvertisingOptOut` where it has them.
    opt_outs: &'static [usize],
    /// Whether a section header may stand before the core: the specifications of 2025 have one.
    headed: bool,
}

/// The layout of a section, 7 to 27.
fn layout(id: u32) -> Option<Layout> {
    let plain = |versions, opt_outs| Some(Layout { versions, opt_outs, headed: false });
    let headed = |versions, opt_outs| Some(Layout { versions, opt_outs, headed: true });
    match id {
        // National. Version 2 has four more kinds of sensitive data and one more of children.
        7 => plain(&[(1, 60), (2, 70)], &[18, 20, 22]),
        // California: sale and sharing.
        8 => plain(&[(1, 46)], &[12, 14]),
        // Virginia.
        9 => plain(&[(1, 40)], &[12, 14]),
        // Colorado.
        10 => plain(&[(1, 38)], &[12, 14]),
        // Utah: a notice more than the others.
        11 => plain(&[(1, 42)], &[14, 16]),
        // Connecticut.
        12 => plain(&[(1, 44)], &[12, 14]),
        // Florida, Montana.
        13 | 14 => plain(&[(1, 46)], &[12, 14]),
        // Oregon.
        15 => plain(&[(1, 52)], &[12, 14]),
        // Texas.
        16 => plain(&[(1, 42)], &[12, 14]),
        // Delaware.
        17 => plain(&[(1, 52)], &[12, 14]),
        // Iowa: a notice more than the others.
        18 => plain(&[(1, 42)], &[14, 16]),
        // Nebraska.
        19 => plain(&[(1, 42)], &[12, 14]),
        // New Hampshire.
        20 => plain(&[(1, 46)], &[12, 14]),
        // New Jersey.
        21 => plain(&[(1, 54)], &[12, 14]),
        // Tennessee: the specification leaves out a field that the encoders write.
        22 => plain(&[(1, 40)], &[12, 14]),
        // Minnesota.
        23 => plain(&[(1, 42)], &[12, 14]),
        // Maryland. Here and below the first field is the version of the MSPA.
        24 => headed(&[(1, 22)], &[16, 18]),
        // Indiana, Kentucky, Rhode Island.
        25..=27 => headed(&[(1, 24)], &[16, 18]),
        _ => None,
    }
}

/// Fewer bits than these may follow a core: padding, or what a draft or a later library appends. No opt-out is there.
const SURPLUS_BITS_BELOW: usize = 24;

/// Reads a section of the United States: a veto, or nothing.
pub(super) fn section(id: u32, section: &str) -> Reading {
    match layout(id).and_then(|layout| opted_out(id, &layout, section)) {
        None => Reading::Malformed,
        Some(true) => Reading::Veto,
        Some(false) => Reading::Nothing,
    }
}

/// Whether one of the opt-outs, or the browser's signal, is set. `None`: malformed.
fn opted_out(id: u32, layout: &Layout, section: &str) -> Option<bool> {
    let mut parts = section.split('.');
    let mut core = Bits::new(parts.next()?)?;
    // A header says the section's id and version 1, and which parts follow. The libraries of IAB Tech Lab leave it out.
    let is_headed = layout.headed && core.ahead(0, 6)? == u64::from(id);
    if is_headed {
        if core.ahead(6, 6)? != 1 {
            return None;
        }
        core = Bits::new(parts.next()?)?;
    }
    let version = core.ahead(0, 6)?;
    let (_, bits) = *layout.versions.iter().find(|&&(known, _)| is_headed || known == version)?;
    let surplus = core.left().checked_sub(bits)?;
    if surplus >= SURPLUS_BITS_BELOW {
        return None;
    }
    let mut any = false;
    for &at in layout.opt_outs {
        match core.ahead(at, 2)? {
            // 0: does not apply, 1: opted out, 2: did not; 3 is no value.
            3 => return None,
            value => any |= value == 1,
        }
    }
    match (parts.next(), parts.next()) {
        (None, _) => Some(any),
        (Some(part), None) => Some(signal(id, part)? || any),
        // No section has a third part.
        _ => None,
    }
}

/// The part behind the core. Indiana, Kentucky and Rhode Island have sensitive data there; everybody else the browser's
/// signal (Global Privacy Control): type 1 in two bits, then one bit.
fn signal(id: u32, part: &str) -> Option<bool> {
    let mut bits = Bits::new(part)?;
    if let 25..=27 = id {
        return (16..16 + SURPLUS_BITS_BELOW).contains(&bits.left()).then_some(false);
    }
    let set = match bits.take(3)? {
        0b010 => false,
        0b011 => true,
        _ => return None,
    };
    bits.is_padding(SURPLUS_BITS_BELOW).then_some(set)
}

/// Reads a US Privacy string (IAB, "US Privacy String", version 1): the third of four characters is the opt-out of
/// sale. It objects or says nothing.
pub(crate) fn us_privacy(text: &str) -> Reading {
    let [b'1', answers @ ..] = text.as_bytes() else { return Reading::Malformed };
    match answers {
        [b'Y' | b'N' | b'-', opt_out @ (b'Y' | b'N' | b'-'), b'Y' | b'N' | b'-'] => match opt_out {
            b'Y' => Reading::Veto,
            _ => Reading::Nothing,
        },
        _ => Reading::Malformed,
    }
}
