//! What the spool asks of the file system: all its changes go through here. In the program these are plain calls; in the
//! crate's own tests a fake disk stands behind them, which loses what was not synced (`fake_disk.rs`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

#[cfg(test)]
use super::fake_disk::{Change, Disk};

/// A file that is written.
#[derive(Debug)]
pub(super) struct Out {
    file: File,
    #[cfg(test)]
    disk: Option<(Disk, usize)>,
}

impl Out {
    /// A new file, or an old one emptied.
    pub(super) fn create(path: &Path, may_be_there: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600);
        if may_be_there {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        #[cfg(test)]
        let disk = match Disk::of(path) {
            Some(disk) => Some((disk.clone(), disk.create(path)?)),
            None => None,
        };
        Ok(Self {
            file: options.open(path)?,
            #[cfg(test)]
            disk,
        })
    }

    /// A file that is there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: OpenOptions::new().write(true).open(path)?,
            #[cfg(test)]
            disk: Disk::of(path).and_then(|disk| Some((disk.clone(), disk.inode(path)?))),
        })
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Some((disk, inode)) = &self.disk {
            let taken = disk.change(*inode, Change::Write(bytes.to_vec()));
            return match taken {
                Ok(()) => self.file.write_all(bytes),
                Err(part) => self.file.write_all(&bytes[..part]).and(Err(io::ErrorKind::StorageFull.into())),
            };
        }
        self.file.write_all(bytes)
    }

    /// Cuts the file and goes on writing there.
    pub(super) fn cut(&mut self, bytes: u64) -> io::Result<()> {
        #[cfg(test)]
        if let Some((disk, inode)) = &self.disk {
            let cut = disk.change(*inode, Change::Cut(bytes as usize));
            cut.map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        }
        self.file.set_len(bytes)?;
        io::Seek::seek(&mut self.file, io::SeekFrom::Start(bytes)).map(drop)
    }

    /// `fdatasync`: contents and length.
    pub(super) fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        if let Some((disk, inode)) = &self.disk {
            return disk.sync(*inode);
        }
        self.file.sync_data()
    }
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    if let Some(disk) = Disk::of(to) {
        disk.rename(from, to)?;
    }
    fs::rename(from, to)
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    if let Some(disk) = Disk::of(path) {
        disk.remove(path)?;
    }
    fs::remove_file(path)
}

/// Makes names in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(test)]
    if let Some(disk) = Disk::at(dir) {
        return disk.sync_names();
    }
    File::open(dir)?.sync_all()
}
