//! The books: every received event ends in exactly one outcome.
//!
//! received = dropped + rejected + quarantined + spooled + stored, per site and minute of receipt. A request's lines
//! are spooled in the same record as its rows, so a crash keeps or loses both, and they are inserted with the
//! segment that holds them. What is spooled at the moment is in no table: it is what the spool still holds.

use std::sync::Arc;

use crate::site::Site;

/// How an event can end, and `Received`, which every event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It came in.
    Received,
    /// It was let in and is not kept: consent is lacking, it was counted before, or a program sent it.
    Dropped(&'static str),
    /// It was not a valid event.
    Rejected(&'static str),
    /// It is in ClickHouse.
    Stored,
    /// ClickHouse would not take it; it lies in the quarantine.
    Quarantined,
}

/// The reason of a row that its subject had erased while it was still in the spool. Rows that were stored or quarantined
/// by then stay counted as such; that they went is a line of its own, `erased`, which is no part of the balance.
pub const ERASED: &str = "erased";

/// The reason of an event whose subject has withdrawn.
pub const SUBJECT_WITHDRAWN: &str = "subject_withdrawn";

/// The reason of an event that a program sent to a site that does not want any.
pub const BOT: &str = "bot";

/// The reason of an event of a page that is none of the site's.
pub const HOSTNAME_UNKNOWN: &str = "hostname_unknown";

/// The reason of an event that was sent before.
pub const DUPLICATE: &str = "duplicate";

impl Outcome {
    /// The word of the column `outcome`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Dropped(_) => "dropped",
            Self::Rejected(_) => "rejected",
            Self::Stored => "stored",
            Self::Quarantined => "quarantined",
        }
    }

    /// The word of the column `reason`; empty where the outcome says it all.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Dropped(reason) | Self::Rejected(reason) => reason,
            Self::Received | Self::Stored | Self::Quarantined => "",
        }
    }
}

/// A site's place in a [`Tally`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteIndex(u16);

/// One request's lines. A request names few sites and few outcomes, so a list is the quickest map.
#[derive(Debug, Default)]
pub struct Tally {
    /// `None`: a site that does not exist here.
    sites: Vec<Option<Arc<Site>>>,
    lines: Vec<(SiteIndex, Outcome, u32)>,
}

impl Tally {
    /// The index of a site in this tally.
    pub fn site(&mut self, site: Option<&Arc<Site>>) -> SiteIndex {
        let same = |known: &Option<Arc<Site>>| match (known, site) {
            (Some(known), Some(site)) => Arc::ptr_eq(known, site),
            (None, None) => true,
            _ => false,
        };
        let index = self.sites.iter().position(same).unwrap_or_else(|| {
            self.sites.push(site.cloned());
            self.sites.len() - 1
        });
        SiteIndex(u16::try_from(index).expect("a body holds at most 1000 events, so at most 1000 sites"))
    }

    /// Counts one event.
    pub fn count(&mut self, site: SiteIndex, outcome: Outcome) {
        let same = |line: &&mut (SiteIndex, Outcome, u32)| line.0 == site && line.1 == outcome;
        match self.lines.iter_mut().find(same) {
            Some(line) => line.2 += 1,
            None => self.lines.push((site, outcome, 1)),
        }
    }

    /// The lines: site id (empty: none that exists), outcome, count.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = (&str, Outcome, u32)> {
        self.lines.iter().map(|&(SiteIndex(index), outcome, count)| {
            let site = self.sites[usize::from(index)].as_ref();
            (site.map_or("", |site| site.id.as_str()), outcome, count)
        })
    }

    /// How many events ended so.
    pub fn total(&self, outcome: impl Fn(Outcome) -> bool) -> u32 {
        self.lines.iter().filter(|line| outcome(line.1)).map(|line| line.2).sum()
    }
}
