//! Those who wait for a group are told on the runtime: waking a task from the thread that writes costs a lock and often a
//! system call each, so that thread wakes one task a group, which wakes the others where it costs next to nothing.

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::{Committed, SpoolError};
use crate::telemetry::Telemetry;

/// A request that waits, and what it is told when its group is durable.
pub(super) struct Waiting {
    pub(super) answer: oneshot::Sender<Result<Committed, SpoolError>>,
    pub(super) committed: Committed,
}

/// Tells whole groups.
pub(super) struct Answers {
    pub(super) telemetry: Telemetry,
    /// At most as many groups as there are open requests. `None`: there is no runtime, as in some tests.
    to: Option<mpsc::UnboundedSender<Vec<Waiting>>>,
}

impl Answers {
    /// Starts the task on the runtime that this is called on.
    pub(super) fn start(telemetry: Telemetry) -> Self {
        let to = Handle::try_current().ok().map(|runtime| {
            let (to, mut groups) = mpsc::unbounded_channel();
            let telemetry = telemetry.clone();
            runtime.spawn(async move {
                while let Some(group) = groups.recv().await {
                    tell(&telemetry, group);
                }
            });
            to
        });
        Self { telemetry, to }
    }

    /// All of a group that is durable.
    pub(super) fn durable(&self, group: Vec<Waiting>) {
        let left = match &self.to {
            Some(to) => to.send(group).map_err(|unsent| unsent.0),
            None => Err(group),
        };
        // The runtime has ended, or there never was one.
        if let Err(group) = left {
            tell(&self.telemetry, group);
        }
    }
}

fn tell(telemetry: &Telemetry, group: Vec<Waiting>) {
    telemetry.counted(group.iter().map(|waiting| &waiting.committed.tally));
    for Waiting { answer, committed } in group {
        // Nobody waits any more where the client has gone; the rows are durable all the same.
        let _ = answer.send(Ok(committed));
    }
}
