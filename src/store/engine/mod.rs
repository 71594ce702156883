//! The embedded engine: a real ClickHouse in a child process, for those who configured none.
//!
//! # Layout
//!
//! - `locate`: which program is there: `CONSENTRY_LIBCHDB`, the cache, `clickhouse` on PATH.
//! - `cache`, `fetch`, `unpack`: brings the engine here once, checked, or not at all.
//! - `files`: the configuration, users and the one function that the engine is given, written anew at each start.
//! - `supervise`, `run`: the thread that starts the child, waits until it answers, and starts it again when it ends.
//! - `child`, `loader`: what runs inside the child, before it becomes the engine.
//! - `access`: where the engine listens and as whom to talk to it, also for other processes of the same owner.
//! - `output`, `http`: reading what the child prints, asking it whether it is there.
//!
//! Invariant: the engine does not outlive the collector, however the collector ends.
//! Invariant: one collector per directory; a second one gets an error that says so.
//! Invariant: of what the engine prints, nothing that may quote a visitor's data is kept.
//! Invariant: no user of the engine but `admin` can read a file, another table or another host; `start` proves it for
//! files, because the library leaves that door open by itself (see `files`).
//! Absent: any way to reach the engine from another machine. It listens on 127.0.0.1 only.

mod access;
mod cache;
mod child;
mod error;
mod fetch;
mod files;
mod http;
mod loader;
mod locate;
mod output;
mod run;
mod supervise;
mod unpack;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use tokio::sync::watch;

pub use access::{Access, Credentials, Secret, read_access};
pub use child::{SUBCOMMAND, child_main};
pub use error::EngineError;
pub use fetch::{Progress, Step, fetch, fetch_from, stderr_progress};
pub use locate::locate;
use supervise::{Message, Shared};

/// What can run as the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Path of a `libchdb.so`, 26.7 or newer.
    Library(PathBuf),
    /// Path of a `clickhouse` program, 26.7 or newer.
    Clickhouse(PathBuf),
}

/// How the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Started for the first time, does not answer yet.
    Starting,
    /// Answers, and lets `admin` in.
    Ready,
    /// Ended by itself and is being started again.
    Restarting {
        /// Starts in a row that did not last.
        attempts: u32,
        /// Exit code or signal, and the last error that it printed.
        reason: String,
    },
    /// Stopped for good, by [`Engine::stop`] or because the program cannot be used.
    Stopped,
}

/// A running engine. Dropping it stops it too, without waiting; [`Engine::stop`] waits.
#[derive(Debug)]
pub struct Engine {
    inbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
}

impl Engine {
    /// Starts `program` with its data under `dir` (made if it is absent, mode 0700) and returns at once.
    ///
    /// # Errors
    /// Another collector uses `dir`, or `dir` cannot be written. What goes wrong later is a [`State`].
    pub fn start(program: Program, dir: PathBuf) -> Result<Self, EngineError> {
        Self::start_from(child::own_program()?, program, dir)
    }

    /// As [`Engine::start`]; `own` is the program whose hidden subcommand `__engine` calls [`child_main`].
    pub fn start_from(own: PathBuf, program: Program, dir: PathBuf) -> Result<Self, EngineError> {
        let (inbox, shared) = supervise::start(own, program, dir)?;
        Ok(Self { inbox, shared })
    }

    /// Where the engine listens and as whom to talk to it. `None` while it is not ready; another port after a restart.
    pub fn access(&self) -> Option<Access> {
        self.shared.access()
    }

    /// Tells of each change of state.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.subscribe()
    }

    /// Waits until the engine is ready, however long that takes.
    ///
    /// # Errors
    /// The engine was stopped, or its program cannot be used at all.
    pub async fn ready(&self) -> Result<(), EngineError> {
        let mut state = self.state();
        let reached = state.wait_for(|state| matches!(state, State::Ready | State::Stopped)).await;
        match reached.as_deref() {
            Ok(State::Ready) => Ok(()),
            _ => Err(self.shared.failure().unwrap_or(EngineError::Stopped)),
        }
    }

    /// Asks the engine to end, waits up to 10 s, then ends it. What was inserted is kept either way.
    pub async fn stop(&self) {
        // An error means that the thread has ended already.
        let _ = self.inbox.send(Message::Stop);
        let _ = self.state().wait_for(|state| *state == State::Stopped).await;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.inbox.send(Message::Stop);
    }
}
