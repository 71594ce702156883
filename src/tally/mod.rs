//! Eighth room: what analysts ask. The statistics API on the admin address, and what keeps its answers from telling of few.
//!
//! `POST /v1/stats/query` is read ([`query`]), planned into one statement over visits, page views and rows ([`plan`]), run as a
//! database user that can read and nothing else, within limits, and answered with how complete the figures are ([`books`]).
//!
//! Invariant: a group of fewer than k visitors is counted and never shown, whatever is filtered; where a metric counts fewer
//! than k of a group's visitors, it is null.
//! Invariant: what an answer withholds has k visitors together, or none ([`withhold`]).
//! Invariant: no value of a question is part of a statement's text; see [`sql`].
//! Invariant: an answer that differs by fewer than k visitors from one that the same caller had is refused ([`guard`]).

mod ask;
mod books;
pub mod command;
mod crashes;
mod export;
mod filter;
mod fresh;
mod funnel;
mod guard;
mod http;
mod lone;
mod openapi;
mod period;
mod plan;
mod problem;
mod query;
mod realtime;
mod rolled;
mod shares;
mod sql;
mod withhold;
mod words;

use std::path::Path;

use tokio::sync::{Semaphore, watch};

pub use http::{STATS_PATH, Said, SaidBody};
pub use problem::Problem;

use crate::clock::Clock;
use crate::live::Live;
use crate::site::Sites;
use crate::store::{Source, State};
use fresh::Fresh;
use guard::Guard;
use lone::Lone;
use realtime::LastTold;
use shares::Shares;

/// Questions that are answered at one time; others wait.
const QUESTIONS_MAX: usize = 6;

/// Answers questions about what is stored.
#[derive(Debug)]
pub struct Statistics {
    sites: Live<Sites>,
    source: Source,
    store: watch::Receiver<State>,
    clock: Clock,
    fresh: Fresh,
    guard: Guard,
    lone: Lone,
    last_told: LastTold,
    shares: Shares,
    places: Semaphore,
}

impl Statistics {
    /// `sites` may be exchanged meanwhile. Takes up the shares that an earlier run left in `data_dir`. Nothing is asked before the first request.
    pub fn new(
        data_dir: &Path,
        sites: Live<Sites>,
        source: Source,
        store: watch::Receiver<State>,
        clock: Clock,
    ) -> Self {
        Self {
            sites,
            source,
            store,
            clock,
            fresh: Fresh::default(),
            guard: Guard::default(),
            lone: Lone::default(),
            last_told: LastTold::default(),
            shares: Shares::open(data_dir.join("shares.json")),
            places: Semaphore::new(QUESTIONS_MAX),
        }
    }
}
