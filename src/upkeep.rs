//! What has to happen in time also when nobody sends anything: salts made and destroyed, their receipts brought to
//! the store, and what is past its retention taken out of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::pipeline::Pipeline;
use crate::store::{self, Brief, Source, State};

/// A salt outlives its time by no more than this.
const TEND_EVERY: Duration = Duration::from_secs(5);
const RETAIN_EVERY: Duration = Duration::from_secs(3600);
/// After the store refused.
const AGAIN_AFTER: Duration = Duration::from_secs(15);
/// How long the store may take over a few receipts.
const PUBLISH_WAIT: Duration = Duration::from_secs(30);
/// How long it may take over deleting what is due.
const ANSWER_WAIT: Duration = Duration::from_secs(600);
/// For the last receipts, when the collector stops.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(5);

/// Keeps house until it is told to stop.
#[derive(Clone)]
pub struct Upkeep {
    pipeline: Arc<Pipeline>,
    source: Source,
    store: watch::Receiver<State>,
    /// Receipts that the store has; all are sent again by each process, since the store may be another.
    published: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upkeep").finish_non_exhaustive()
    }
}

impl Upkeep {
    /// Nothing happens before [`run`](Self::run).
    pub fn new(pipeline: Arc<Pipeline>, source: Source, store: watch::Receiver<State>) -> Self {
        Self { pipeline, source, store, published: Arc::default() }
    }

    /// Runs until `stop` is set (or nobody is left to set it); then lets go of the salts. To be stopped when no
    /// request is under way any more.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        // Tasks of their own: a store that hangs must not keep a salt alive.
        let retaining = tokio::spawn(retain(self.pipeline.clone(), self.source.clone(), self.store.clone()));
        let publishing = tokio::spawn(self.clone().keep_publishing());
        while !*stop.borrow() {
            self.tend().await;
            let stopped = stop.wait_for(|&stop| stop);
            if matches!(tokio::time::timeout(TEND_EVERY, stopped).await, Ok(Err(_))) {
                break;
            }
        }
        retaining.abort();
        publishing.abort();
        let pipeline = self.pipeline.clone();
        let closed = tokio::task::spawn_blocking(move || pipeline.salts.close(pipeline.clock.now_ms()));
        if let Ok(Err(error)) = closed.await {
            tracing::error!(%error, "the receipts of the last salts are not written; the next start writes them");
        }
        let published = tokio::time::timeout(LAST_WORDS_WAIT, self.publish()).await;
        if !matches!(published, Ok(Ok(()))) {
            tracing::warn!("the last receipts of salts are not in the store; the next start brings them");
        }
    }

    async fn tend(&self) {
        let pipeline = self.pipeline.clone();
        let tended = tokio::task::spawn_blocking(move || pipeline.salts.tend(pipeline.clock.now_ms()));
        if let Ok(Err(error)) = tended.await {
            tracing::error!(%error, "the salt of the day cannot be kept; no event is taken without it");
        }
    }

    async fn keep_publishing(self) {
        let mut told = false;
        loop {
            let pause = match self.publish().await {
                Ok(()) => {
                    told = false;
                    TEND_EVERY
                }
                Err(reason) => {
                    if !told {
                        tracing::warn!(%reason, "receipts of salts wait for the store; trying again until it takes them");
                    }
                    told = true;
                    AGAIN_AFTER
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Brings the receipts that the store has not seen.
    async fn publish(&self) -> Result<(), Brief> {
        // Before the store is migrated there is no table for them.
        if matches!(*self.store.borrow(), State::Starting(_)) {
            return Ok(());
        }
        let (pipeline, skip) = (self.pipeline.clone(), self.published.load(Ordering::Relaxed));
        let receipts = tokio::task::spawn_blocking(move || pipeline.salts.receipts(skip)).await;
        let receipts = receipts.map_err(|_| Brief("the journal of salts cannot be read".into()))?;
        if receipts.is_empty() {
            return Ok(());
        }
        let client = self.source.ingest().ok_or_else(|| Brief("the engine is not ready".into()))?;
        let sent = tokio::time::timeout(PUBLISH_WAIT, store::publish_receipts(&client, &receipts)).await;
        sent.unwrap_or_else(|_| Err(Brief("ClickHouse did not answer in time".into())))?;
        self.published.store(skip + receipts.len(), Ordering::Relaxed);
        Ok(())
    }
}

/// Once an hour, from the moment the store is migrated.
async fn retain(pipeline: Arc<Pipeline>, source: Source, mut store: watch::Receiver<State>) {
    if store.wait_for(|state| !matches!(state, State::Starting(_))).await.is_err() {
        return;
    }
    loop {
        let now_ms = pipeline.clock.now_ms();
        let round = async {
            let admin = source.admin().ok_or_else(|| Brief("the engine is not ready".into()))?;
            if !store::agrees_on_time(&admin, now_ms).await? {
                return Err(Brief("this machine's clock and ClickHouse's are more than a day apart".into()));
            }
            let done = store::retain(&admin, now_ms).await?;
            store::settle_visits(&admin, now_ms).await?;
            Ok(done)
        };
        let done = tokio::time::timeout(ANSWER_WAIT, round).await;
        let pause = match done.unwrap_or_else(|_| Err(Brief("ClickHouse did not answer in time".into()))) {
            Ok(done) => {
                let (months, deletes) = (done.emptied_months, done.deletes);
                if months + deletes > 0 {
                    tracing::info!(months, deletes, "what was past its retention is taken out of the store");
                }
                RETAIN_EVERY
            }
            Err(reason) => {
                tracing::warn!(%reason, "what is past its retention is not taken out of the store; trying again");
                AGAIN_AFTER
            }
        };
        tokio::time::sleep(pause).await;
    }
}
