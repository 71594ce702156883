//! Several collectors on one store: each hears what the others were asked.

use std::collections::HashSet;

use clickhouse::Client;

use super::Rights;
use super::choices::{Choice, Step};
use super::job::{Job, Request, Target};
use crate::store::Brief;
use crate::store::subject::{SharedChoice, share_choice, shared_choices};

/// Choices that are read at once.
const CHOICES_MAX: usize = 10_000;
/// Clocks of collectors may differ by this much.
const SKEW_MS: i64 = 60_000;
/// Rows that were in another collector's spool are in the table by then, or still in the spool.
const RECENT_MS: i64 = 120_000;

/// How far this collector has read.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    since_ms: i64,
    /// Read already, of the last moments.
    seen: HashSet<(String, u128)>,
}

/// What is told of a request: a choice, and whether rows are to go.
fn words(request: Request) -> &'static [&'static str] {
    match request {
        Request::Export => &[],
        Request::Erase => &["erase"],
        Request::Withdraw => &["withdrawn"],
        Request::Restrict => &["restricted"],
        Request::Lift => &["lifted"],
    }
}

impl Rights {
    /// Tells the other collectors of a job.
    pub(super) async fn share(&self, admin: &Client, job: &Job, target: &Target) -> Result<(), Brief> {
        for &word in words(job.request) {
            let choice = SharedChoice {
                site: target.site.clone(),
                subject: target.subject(),
                choice: word.to_owned(),
                request: job.id.clone(),
                at_ms: job.at_ms,
            };
            share_choice(admin, &choice).await?;
        }
        Ok(())
    }

    /// Reads what others were asked, and makes it this collector's too.
    pub(super) async fn learn(&self, cursor: &mut Cursor) {
        let Ok(admin) = self.admin() else { return };
        let Ok(choices) = shared_choices(&admin, cursor.since_ms, CHOICES_MAX).await else { return };
        for choice in choices {
            let known = self.sites.by_id(&choice.site).is_some_and(|site| site.subjects);
            if !known || !cursor.seen.insert((choice.request.clone(), choice.subject)) {
                continue;
            }
            if tokio::task::block_in_place(|| self.take_over(&choice)).is_err() {
                // Asked again next time.
                cursor.seen.remove(&(choice.request, choice.subject));
                return;
            }
            cursor.since_ms = cursor.since_ms.max(choice.at_ms - SKEW_MS);
        }
        if cursor.seen.len() > 10 * CHOICES_MAX {
            cursor.seen.clear();
        }
    }

    fn take_over(&self, choice: &SharedChoice) -> std::io::Result<()> {
        let (request, step) = match choice.choice.as_str() {
            "erase" => (Request::Erase, None),
            word => match Step::of_word(word) {
                Some(step @ Step::Set(Choice::Withdrawn)) => (Request::Withdraw, Some(step)),
                Some(step @ Step::Set(Choice::Restricted)) => (Request::Restrict, Some(step)),
                Some(step @ Step::Lift) => (Request::Lift, Some(step)),
                None => return Ok(()),
            },
        };
        if let Some(step) = step {
            self.subjects.choices.set(choice.subject, step)?;
        }
        let own = {
            let receipts = self.receipts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            receipts.iter().any(|receipt| receipt.receipt == choice.request)
        };
        // Rows that came before it may lie in the spool, or have been shipped since the other collector looked.
        let recent_ms = self.clock.now_ms() - RECENT_MS;
        let begun_ms = self.spool.oldest().and_then(|sealed| sealed.begun_ms()).unwrap_or(recent_ms);
        if !own && choice.at_ms + SKEW_MS >= begun_ms.min(recent_ms) {
            let targets = vec![Target::new(&choice.site, choice.subject)];
            let job = Job {
                id: super::job::new_id()?,
                request,
                at_ms: choice.at_ms,
                shared: true,
                targets,
                unreadable: 0,
            };
            self.jobs.add(job)?;
        }
        Ok(())
    }
}
