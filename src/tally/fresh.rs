//! Keeps visits up to date while somebody asks: ClickHouse makes them anew each minute by itself, which is too late for whoever
//! has just sent the first page view, and too early to do more often on a store of many rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::store::{self, Source};

/// Looked for new rows at most so often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Of the time, one part in so many is spent on it at most.
const SHARE: u32 = 20;
/// Work that took longer is not waited for, unless many rows came.
const QUICK: Duration = Duration::from_secs(1);
/// One row in so many is many.
const MANY: u64 = 20;
/// How long a question waits; the work goes on behind it.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long the work may take.
const WORK_MAX: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
struct Seen {
    looked: Option<Instant>,
    rows: Option<u64>,
    took: Duration,
    not_before: Option<Instant>,
}

/// What was seen last.
#[derive(Debug, Default)]
pub struct Fresh {
    seen: Arc<Mutex<Seen>>,
    /// Whether the work that is going on is worth waiting for.
    awaited: AtomicBool,
}

impl Fresh {
    /// Brings visits up to date if rows came since the last time, and waits for it where that is worth it. False: many rows are
    /// not among the visits yet.
    pub async fn look(&self, source: &Source, clock: &Clock) -> bool {
        let Ok(mut seen) = self.seen.clone().try_lock_owned() else {
            // Somebody else is at it.
            return !self.awaited.load(Ordering::Relaxed)
                || tokio::time::timeout(PATIENCE, self.seen.lock()).await.is_ok();
        };
        let now = Instant::now();
        if seen.looked.is_some_and(|looked| now < looked + LOOK_EVERY)
            || seen.not_before.is_some_and(|moment| now < moment)
        {
            return true;
        }
        seen.looked = Some(now);
        let Some(admin) = source.admin() else { return true };
        let rows = admin.query_raw("SELECT count() FROM consentry.events").fetch_one::<u64>().await.ok();
        let Some(rows) = rows.filter(|rows| Some(*rows) != seen.rows) else { return true };
        let many = seen.rows.is_none_or(|seen| rows > seen + seen / MANY);
        let awaited = many || seen.took < QUICK;
        self.awaited.store(awaited, Ordering::Relaxed);
        let now_ms = clock.now_ms();
        let working = tokio::spawn(async move {
            match tokio::time::timeout(WORK_MAX, store::freshen_visits(&admin, now_ms)).await {
                Ok(Ok(())) => seen.rows = Some(rows),
                Ok(Err(reason)) => tracing::warn!(%reason, "visits are as old as their last minute"),
                Err(_) => tracing::warn!("visits could not be made anew in time"),
            }
            seen.took = now.elapsed();
            seen.not_before = Some(Instant::now() + seen.took * SHARE);
        });
        !awaited || tokio::time::timeout(PATIENCE, working).await.is_ok()
    }
}
