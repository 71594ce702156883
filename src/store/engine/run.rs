//! One run of the engine: the child process, from its start to its end.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Program;
use super::child::{How, command};
use super::error::EngineError;
use super::files::{CONFIG, DATA, SESSION_SQL};
use super::output::Tail;

const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// For the last words of a child that has ended; they are in the pipe already.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A child that was started.
#[derive(Debug)]
pub(super) struct Run {
    child: Child,
    reader: Option<JoinHandle<()>>,
    /// The errors that it printed.
    pub(super) tail: Arc<Tail>,
    /// Port of the HTTP protocol.
    pub(super) http_port: u16,
    /// Port of the native protocol.
    pub(super) tcp_port: u16,
}

impl Run {
    /// Starts `program` on the files in `dir`, tied to the calling thread; `on_end` is called when its output ends.
    pub(super) fn start(
        own: &Path,
        program: &Program,
        dir: &Path,
        on_end: impl FnOnce() + Send + 'static,
    ) -> Result<Self, EngineError> {
        let failed = || EngineError::io("start", own);
        let (http_port, tcp_port) =
            free_ports().map_err(EngineError::io("find free ports on", Path::new("127.0.0.1")))?;
        let (reader, writer) = std::io::pipe().map_err(failed())?;
        let mut command = match program {
            Program::Library(path) => command(own, How::Library, path),
            Program::Clickhouse(path) => {
                let mut command = command(own, How::Exec, path);
                command.arg("local");
                command
            }
        };
        furnish(&mut command, dir, http_port, tcp_port);
        command.stdin(Stdio::null()).stdout(writer.try_clone().map_err(failed())?).stderr(writer);
        let child = command.spawn().map_err(failed())?;
        // It holds the pipe's other end: reading comes to an end only when the child has.
        drop(command);
        let tail = Arc::new(Tail::default());
        let mut run = Self { child, reader: None, tail: Arc::clone(&tail), http_port, tcp_port };
        let work = move || {
            tail.read(reader);
            on_end();
        };
        match thread::Builder::new().name("engine-output".into()).spawn(work) {
            Ok(reader) => run.reader = Some(reader),
            Err(error) => {
                run.end();
                return Err(EngineError::io("start a thread of", Path::new("this program"))(error));
            }
        }
        Ok(run)
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, EngineError> {
        self.child.try_wait().map_err(EngineError::io("wait for", Path::new("the embedded engine")))
    }

    /// Ends it if it still runs: SIGTERM, ten seconds, SIGKILL. Waits for what it still had to say.
    ///
    /// The library does not handle SIGTERM: it ends at once, as after SIGKILL, and keeps what was inserted as it does then.
    pub(super) fn end(&mut self) {
        if self.runs() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let deadline = Instant::now() + STOP_TIMEOUT;
            while self.runs() && Instant::now() < deadline {
                thread::sleep(LOOK_EVERY);
            }
        }
        if self.runs() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        let deadline = Instant::now() + LAST_WORDS_TIMEOUT;
        while self.reader.as_ref().is_some_and(|reader| !reader.is_finished()) && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
    }

    fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

fn furnish(command: &mut Command, dir: &Path, http_port: u16, tcp_port: u16) {
    // Without --config-file it would take any config.xml of the directory that it runs in.
    command.current_dir(dir).args(["--config-file", CONFIG, "--path"]).arg(dir.join(DATA));
    command.args(["--listen_host", "127.0.0.1", "--http_port", &http_port.to_string()]);
    command.args(["--tcp_port", &tcp_port.to_string(), "--query", SESSION_SQL]);
    // Not the collector's environment: there may be secrets in it, and ClickHouse has variables of its own.
    command.env_clear().envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8"), ("PATH", "/usr/bin:/bin")]);
    if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
        command.env("LD_LIBRARY_PATH", path);
    }
    // Ctrl-C in a terminal is for the collector, which still has to empty its spool into the engine.
    command.process_group(0);
}

/// Two ports that were free a moment ago. If somebody takes one, the engine ends and is started with others.
fn free_ports() -> std::io::Result<(u16, u16)> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (one, two) = (bind()?, bind()?);
    Ok((one.local_addr()?.port(), two.local_addr()?.port()))
}

/// How it ended and what it said last, for the operator.
pub(super) fn describe(status: ExitStatus, said: Option<&str>) -> String {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    };
    said.map_or_else(|| how.clone(), |said| format!("{how}, {said}"))
}
