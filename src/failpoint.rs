//! Places at which a test ends the collector, or its engine, to see that nothing is lost and nothing comes twice. In a
//! release build there are none.

/// Every place, in the order a segment passes them.
pub const ALL: [&str; 12] = [
    "appended",
    "synced",
    "answered",
    "before_seal",
    "sealed",
    "before_insert",
    "split",
    "inserted",
    "quarantined",
    "before_ledger",
    "ledger_inserted",
    "removed",
];

/// `FAILPOINT=name[:nth]` ends the process at the nth passing, as `kill -9` would. With
/// `FAILPOINT_KILL=pid-file` it is the process named there that is killed, once, and this one goes on.
#[inline]
pub fn reach(_name: &str) {
    #[cfg(debug_assertions)]
    debug::reach(_name);
}

#[cfg(debug_assertions)]
mod debug {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Pid, Signal, kill_process};

    static ARMED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static PASSED: AtomicU32 = AtomicU32::new(0);

    fn armed() -> Option<(String, u32)> {
        let text = std::env::var("FAILPOINT").ok()?;
        let (name, nth) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), nth.parse().ok()?))
    }

    pub(super) fn reach(name: &str) {
        let Some((armed, nth)) = ARMED.get_or_init(armed) else { return };
        if armed != name || PASSED.fetch_add(1, Ordering::SeqCst) + 1 != *nth {
            return;
        }
        let target = match std::env::var("FAILPOINT_KILL") {
            Ok(file) => std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()),
            Err(_) => i32::try_from(std::process::id()).ok(),
        };
        if let Some(pid) = target.and_then(Pid::from_raw) {
            eprintln!("failpoint {name} reached");
            let _ = kill_process(pid, Signal::KILL);
            // The signal may take a moment to arrive: nothing is done meanwhile.
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
    }
}
