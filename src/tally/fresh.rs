//! Keeps visits up to date while somebody asks: ClickHouse makes them anew each minute by itself, which is too late for whoever
//! has just sent the first page view, and too early to do more often on a store of many rows.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::store::{self, Source};

/// Looked for new rows at most so often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Of the time, one part in so many is spent on it at most.
const SHARE: u32 = 20;
/// How long a question waits; the work goes on behind it.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long the work may take.
const WORK_MAX: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
struct Seen {
    looked: Option<Instant>,
    rows: Option<u64>,
    not_before: Option<Instant>,
}

/// What was seen last.
#[derive(Debug, Default)]
pub struct Fresh {
    seen: Mutex<Seen>,
}

impl Fresh {
    /// Brings visits up to date if rows came since the last time, and waits for it a while.
    pub async fn look(self: &std::sync::Arc<Self>, source: &Source, clock: &Clock) {
        let (fresh, source, now_ms) = (self.clone(), source.clone(), clock.now_ms());
        let working = tokio::spawn(async move {
            let mut seen = fresh.seen.lock().await;
            let now = Instant::now();
            if seen.looked.is_some_and(|looked| now < looked + LOOK_EVERY)
                || seen.not_before.is_some_and(|moment| now < moment)
            {
                return;
            }
            seen.looked = Some(now);
            let Some(admin) = source.admin() else { return };
            let rows = admin.query_raw("SELECT count() FROM consentry.events").fetch_one::<u64>().await.ok();
            if rows.is_none() || rows == seen.rows {
                return;
            }
            let work = tokio::time::timeout(WORK_MAX, store::freshen_visits(&admin, now_ms)).await;
            match work {
                Ok(Ok(())) => seen.rows = rows,
                Ok(Err(reason)) => tracing::warn!(%reason, "visits are as old as their last minute"),
                Err(_) => tracing::warn!("visits could not be made anew in time"),
            }
            seen.not_before = Some(Instant::now() + now.elapsed() * SHARE);
        });
        let _ = tokio::time::timeout(PATIENCE, working).await;
    }
}
