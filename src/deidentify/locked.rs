//! Memory for keys: pages of their own that are not swapped, not dumped, not inherited, and zeroed when let go.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Once;

use memmap2::{Advice, MmapMut};
use zeroize::Zeroize;

/// A mapping of its own for secret bytes. Zeroized when dropped; `Debug` shows nothing.
pub struct Locked(MmapMut);

impl Locked {
    /// `bytes` zero bytes, rounded up to whole pages by the kernel.
    ///
    /// Fails where there is no memory, or where the kernel refuses to keep the pages out of core dumps and children.
    /// Where it refuses to pin them (`RLIMIT_MEMLOCK`, often small in containers) the log says so once, and the
    /// collector goes on: what is lost is the promise about swap, which the operator can also keep by having none or
    /// by encrypting it, and a collector that does not start would not protect anybody better.
    pub fn zeroed(bytes: usize) -> io::Result<Self> {
        let map = MmapMut::map_anon(bytes.max(1))?;
        #[cfg(target_os = "linux")]
        {
            map.advise(Advice::DontDump)?;
            map.advise(Advice::DontFork)?;
        }
        if let Err(error) = map.lock() {
            static TOLD: Once = Once::new();
            TOLD.call_once(|| {
                tracing::warn!(
                    %error,
                    "keys cannot be pinned in memory and may reach the swap; raise RLIMIT_MEMLOCK (LimitMEMLOCK=) \
                     or use encrypted swap, or none"
                );
            });
        }
        Ok(Self(map))
    }
}

impl Deref for Locked {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Locked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// No core dumps of this process, nor of its children, and no look into its memory by other processes of the same
/// user: from here on `/proc/PID/mem` and ptrace take CAP_SYS_PTRACE.
pub fn forbid_core_dumps() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The flags of the mapping that `address` lies in.
    fn flags(address: usize) -> Option<String> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in smaps.lines() {
            if let Some(flags) = line.strip_prefix("VmFlags: ").filter(|_| inside) {
                return Some(flags.to_owned());
            }
            let range = line.split(' ').next().unwrap().split_once('-');
            let number = |text: &str| usize::from_str_radix(text, 16).ok();
            if let Some((Some(from), Some(to))) = range.map(|(from, to)| (number(from), number(to))) {
                inside = (from..to).contains(&address);
            }
        }
        None
    }

    #[test]
    fn pages_of_keys_are_locked_and_out_of_dumps_and_children() {
        let locked = Locked::zeroed(64).unwrap();
        let flags = flags(locked.as_ptr() as usize).unwrap();
        for flag in ["lo", "dd", "dc"] {
            assert!(flags.split(' ').any(|set| set == flag), "{flag} is not in {flags}");
        }
        assert_eq!(format!("{locked:?}"), "[redacted]");
    }
}
