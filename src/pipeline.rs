//! The walk from a request to a durable row, readable as one function: [`Pipeline::walk`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Body;
use serde::Serialize;

use crate::accept::{self, ClientAddress, Refusal, Submission};
use crate::beacon::{self, RejectCode, Rejected};
use crate::clock::{Clock, minute_of};
use crate::consent;
use crate::deidentify::{self, Networks, Pseudonymiser, Salts};
use crate::enrich::{Enricher, agent::Agents, channel::spam::SpamDomains};
use crate::ledger::{BOT, HOSTNAME_UNKNOWN, Outcome, SUBJECT_WITHDRAWN, SiteIndex};
use crate::live::Live;
use crate::site::{BotRule, Sites};
use crate::spool::{Batch, Spool, SpoolError};
use crate::telemetry::Telemetry;
use crate::withdraw::{Choice, Subjects};

/// Everything that an event meets on its way.
pub struct Pipeline {
    /// Where events may come from and go to.
    pub sites: Live<Sites>,
    /// What a request is held to.
    pub limits: accept::Limits,
    /// The keys of the day.
    pub salts: Salts,
    /// Whose rows can be found, and who does not want any.
    pub subjects: Arc<Subjects>,
    /// User-Agents to families.
    pub agents: Agents,
    /// Addresses to countries and data centres.
    pub networks: Arc<Networks>,
    /// Referrers that are none.
    pub spam: Arc<SpamDomains>,
    /// What makes rows durable.
    pub spool: Spool,
    /// Counters.
    pub telemetry: Telemetry,
    /// Time.
    pub clock: Clock,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").finish_non_exhaustive()
    }
}

/// What the sender is told.
#[derive(Debug, Serialize)]
pub struct Answer {
    received: u32,
    accepted: u32,
    dropped: BTreeMap<&'static str, u32>,
    rejected: Vec<RejectedEvent>,
}

#[derive(Debug, Serialize)]
struct RejectedEvent {
    index: usize,
    code: &'static str,
    message: Cow<'static, str>,
}

impl Answer {
    /// As the sender reads it.
    ///
    /// # Errors
    /// None in practice: it is numbers and this program's own words.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = Vec::with_capacity(128);
        serde_json::to_writer(&mut json, self)?;
        Ok(json)
    }

    /// 202 where at least one event was accepted or dropped: a drop must not look different from an acceptance.
    pub fn status(&self) -> StatusCode {
        if self.accepted > 0 || !self.dropped.is_empty() {
            StatusCode::ACCEPTED
        } else {
            StatusCode::BAD_REQUEST
        }
    }
}

impl Pipeline {
    /// Takes one request in. When this returns an answer, everything in it is durable.
    pub async fn collect<B>(&self, request: Request<B>, client: ClientAddress) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        // Asked before the body is read: a full spool costs the sender nothing but a header.
        self.spool.admit().map_err(refusal)?;
        let submission = accept::receive(request, client, self.clock.now_ms(), &self.limits).await?;
        let sites = self.sites.now();
        let (mut batch, rejected) = self.walk(&submission, &sites)?;
        // The body goes; the batch that was made of it stays charged until it is on the disk.
        let mut held = submission.into_reservation();
        held.grow_to(batch.bytes())?;
        batch.hold(held);
        let committed = self.spool.append(batch).await.map_err(refusal)?;
        let mut dropped = BTreeMap::new();
        for (_, outcome, count) in committed.tally.lines() {
            if let Outcome::Dropped(reason) = outcome {
                *dropped.entry(reason).or_default() += count;
            }
        }
        let received = committed.tally.total(|outcome| outcome == Outcome::Received);
        Ok(Answer { received, accepted: committed.rows, dropped, rejected })
    }

    /// Beacon, gate, scrub, pseudonyms, row: each event ends in exactly one outcome.
    fn walk(&self, submission: &Submission, sites: &Sites) -> Result<(Batch, Vec<RejectedEvent>), Refusal> {
        let events = beacon::read(submission, sites)?;
        let keys = self.salts.keys(submission.received_at_ms()).map_err(|error| {
            tracing::error!(%error, "the salt of the day cannot be kept; no event is taken without it");
            Refusal::SpoolFailed
        })?;
        let mut batch = Batch::new(minute_of(submission.received_at_ms()));
        let mut pseudonymiser = Pseudonymiser::new(&keys, &self.subjects.keys);
        let mut enricher = Enricher::new(&self.agents, &self.spam);
        let mut rejected: Vec<(usize, RejectCode)> = Vec::new();
        let mut received = 0;
        let mut charged = None;
        for (index, entry) in events.enumerate() {
            received += 1;
            let site = match &entry {
                Ok(beacon) => Some(beacon.around().site),
                Err(rejected) => rejected.site,
            };
            // Once for a body of one site.
            if let Some(site) = site.filter(|site| !charged.is_some_and(|last| Arc::ptr_eq(last, site))) {
                self.limits.admit_to(&site.id)?;
                charged = Some(site);
            }
            let line = batch.tally().site(site);
            batch.tally().count(line, Outcome::Received);
            match self.row(entry, &mut pseudonymiser, &mut enricher, &mut batch, line) {
                Ok(()) => {}
                Err(NoRow::Dropped(reason)) => batch.tally().count(line, Outcome::Dropped(reason)),
                Err(NoRow::Rejected(code)) => {
                    batch.tally().count(line, Outcome::Rejected(code.code()));
                    rejected.push((index, code));
                }
                Err(NoRow::NoKey) => return Err(Refusal::SpoolFailed),
            }
            // A small context may stand for much in each event: the record is held to the body's own limit.
            if batch.bytes() > self.limits.body_decoded_bytes_max() {
                return Err(Refusal::BodyTooLarge);
            }
        }
        if rejected.len() == received
            && let Some(refusal) = beacon::forbidden(rejected.iter().map(|&(_, code)| code))
        {
            return Err(refusal);
        }
        let told = |(index, code): (usize, RejectCode)| RejectedEvent {
            index,
            code: code.code(),
            message: code.message(),
        };
        Ok((batch, rejected.into_iter().map(told).collect()))
    }

    /// One event's way through the house, into the batch.
    fn row<'a>(
        &self,
        entry: Result<beacon::Beacon<'a>, Rejected<'a>>,
        pseudonymiser: &mut Pseudonymiser<'_, 'a>,
        enricher: &mut Enricher<'_, 'a>,
        batch: &mut Batch,
        line: SiteIndex,
    ) -> Result<(), NoRow> {
        let beacon = entry.map_err(|rejected| NoRow::Rejected(rejected.code))?;
        let bots = beacon.around().site.bots;
        if beacon.is_elsewhere() {
            return Err(NoRow::Dropped(HOSTNAME_UNKNOWN));
        }
        let consented = consent::gate(beacon).map_err(|reason| NoRow::Dropped(reason.code()))?;
        let mut scrubbed = deidentify::scrub(consented).map_err(NoRow::Rejected)?;
        scrubbed.locate(&self.networks);
        let mut pseudonymous = pseudonymiser.pseudonymise(scrubbed).ok_or(NoRow::NoKey)?;
        match self.subjects.choices.of(pseudonymous.subject()) {
            None => {}
            Some(Choice::Withdrawn) => return Err(NoRow::Dropped(SUBJECT_WITHDRAWN)),
            Some(Choice::Restricted) => pseudonymous.restrict(),
        }
        let id_before = pseudonymous.event_id_before();
        let row = enricher.enrich(pseudonymous);
        if *row.bot() != 0 && bots == BotRule::Drop {
            return Err(NoRow::Dropped(BOT));
        }
        // Encoded where it is made: a row is too large to be handed on.
        batch.push(line, &row, id_before);
        Ok(())
    }
}

enum NoRow {
    Dropped(&'static str),
    Rejected(RejectCode),
    NoKey,
}

fn refusal(error: SpoolError) -> Refusal {
    match error {
        SpoolError::Full => Refusal::SpoolFull,
        SpoolError::Busy => Refusal::Overloaded,
        SpoolError::Failed => Refusal::SpoolFailed,
        SpoolError::Closed => Refusal::ShuttingDown,
    }
}
