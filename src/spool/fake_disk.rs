//! A disk that loses what was not synced. A directory that is registered here has a second, durable state:
//! what a loss of power would leave of it. Unsynced writes arrive in part, torn, in any order, or never; names arrive
//! apart from contents; after a failed sync the pages count as clean though they are not on the disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

static DISKS: Mutex<BTreeMap<PathBuf, Disk>> = Mutex::new(BTreeMap::new());

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write(Vec<u8>),
    Cut(usize),
}

#[derive(Debug, Default)]
struct Inode {
    /// As programs see it: its length.
    length: usize,
    durable: Vec<u8>,
    /// Changes that no sync has covered, each with the place of its first byte.
    pending: Vec<(usize, Change)>,
}

#[derive(Debug, Clone)]
enum Name {
    Is(String, usize),
    Gone(String),
    Moved(String, String, usize),
}

#[derive(Debug, Default)]
pub(super) struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<Name>,
    random: u64,
    /// Writes and syncs that fail from now on.
    pub(super) failing_writes: u32,
    pub(super) failing_syncs: u32,
    /// The power goes after so many calls.
    pub(super) power_calls: Option<u32>,
}

/// A directory's fake disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn apply(bytes: &mut Vec<u8>, at: usize, change: &Change, torn: Option<usize>) {
    match change {
        Change::Write(new) => {
            let new = &new[..torn.unwrap_or(new.len()).min(new.len())];
            // A hole reads as zeros.
            bytes.resize(bytes.len().max(at + new.len()), 0);
            bytes[at..at + new.len()].copy_from_slice(new);
        }
        Change::Cut(length) => bytes.resize(*length, 0),
    }
}

impl State {
    fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % below
    }

    fn call(&mut self) -> io::Result<()> {
        match &mut self.power_calls {
            Some(0) => Err(io::Error::other("no power")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Some of the pending changes reach the disk, whole or torn; the others never will.
    fn settle(&mut self, inode: usize) {
        for (at, change) in std::mem::take(&mut self.inodes[inode].pending) {
            let torn = match self.draw(3) {
                0 => continue,
                1 => Some(self.draw(400)),
                _ => None,
            };
            apply(&mut self.inodes[inode].durable, at, &change, torn);
        }
    }
}

impl Disk {
    pub(super) fn register(dir: &Path, random: u64) -> Self {
        let disk = Self::default();
        disk.lock().random = random | 1;
        DISKS.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.to_owned(), disk.clone());
        disk
    }

    pub(super) fn unregister(dir: &Path) {
        DISKS.lock().unwrap_or_else(PoisonError::into_inner).remove(dir);
    }

    pub(super) fn at(dir: &Path) -> Option<Self> {
        DISKS.lock().unwrap_or_else(PoisonError::into_inner).get(dir).cloned()
    }

    pub(super) fn of(path: &Path) -> Option<Self> {
        Self::at(path.parent()?)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn inode(&self, path: &Path) -> Option<usize> {
        self.lock().names.get(&name(path)).copied()
    }

    pub(super) fn create(&self, path: &Path) -> io::Result<usize> {
        let mut state = self.lock();
        state.call()?;
        if let Some(&inode) = state.names.get(&name(path)) {
            state.inodes[inode].pending.push((0, Change::Cut(0)));
            state.inodes[inode].length = 0;
            return Ok(inode);
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.names.insert(name(path), inode);
        state.pending_names.push(Name::Is(name(path), inode));
        Ok(inode)
    }

    /// Where it fails: how many bytes were taken all the same.
    pub(super) fn change(&self, inode: usize, change: Change) -> Result<(), usize> {
        let mut state = self.lock();
        state.call().map_err(|_| 0usize)?;
        let at = state.inodes[inode].length;
        if state.failing_writes > 0 {
            state.failing_writes -= 1;
            let Change::Write(bytes) = change else { return Err(0) };
            let part = state.draw(bytes.len() + 1);
            state.inodes[inode].length += part;
            state.inodes[inode].pending.push((at, Change::Write(bytes[..part].to_vec())));
            return Err(part);
        }
        match &change {
            Change::Write(bytes) => state.inodes[inode].length += bytes.len(),
            Change::Cut(length) => state.inodes[inode].length = *length,
        }
        state.inodes[inode].pending.push((at, change));
        Ok(())
    }

    pub(super) fn sync(&self, inode: usize) -> io::Result<()> {
        let mut state = self.lock();
        state.call()?;
        if state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            state.settle(inode);
            return Err(io::Error::other("no sync"));
        }
        let inode = &mut state.inodes[inode];
        for (at, change) in inode.pending.drain(..) {
            apply(&mut inode.durable, at, &change, None);
        }
        Ok(())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.call()?;
        // A name's move to itself changes nothing.
        if from == to {
            return Ok(());
        }
        let Some(inode) = state.names.remove(&name(from)) else { return Ok(()) };
        state.names.insert(name(to), inode);
        state.pending_names.push(Name::Moved(name(from), name(to), inode));
        Ok(())
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.call()?;
        if state.names.remove(&name(path)).is_some() {
            state.pending_names.push(Name::Gone(name(path)));
        }
        Ok(())
    }

    pub(super) fn sync_names(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.call()?;
        if state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            return Err(io::Error::other("no sync"));
        }
        state.durable_names = state.names.clone();
        state.pending_names.clear();
        Ok(())
    }

    /// What a loss of power leaves, as files in `dir`, which has a new disk from then on.
    pub(super) fn after_power_loss(&self, dir: &Path) -> Disk {
        let mut state = self.lock();
        for inode in 0..state.inodes.len() {
            state.settle(inode);
        }
        let mut names = state.durable_names.clone();
        for change in std::mem::take(&mut state.pending_names) {
            if state.draw(2) == 0 {
                continue;
            }
            match change {
                Name::Is(name, inode) => drop(names.insert(name, inode)),
                Name::Gone(name) => drop(names.remove(&name)),
                Name::Moved(from, to, inode) => {
                    names.remove(&from);
                    names.insert(to, inode);
                }
            }
        }
        let disk = Disk::register(dir, state.random);
        let mut new = disk.lock();
        for (name, inode) in names {
            let bytes = state.inodes[inode].durable.clone();
            std::fs::write(dir.join(&name), &bytes).unwrap();
            let inode = new.inodes.len();
            new.names.insert(name, inode);
            new.inodes.push(Inode { length: bytes.len(), durable: bytes, pending: Vec::new() });
        }
        new.durable_names = new.names.clone();
        drop(new);
        disk
    }
}
