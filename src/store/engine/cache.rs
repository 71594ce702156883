//! Where a fetched engine is kept: `CACHE/engine/VERSION-ARCH/` with the library and a manifest.
//!
//! The directory appears by one rename, after everything in it is on the disk. A library without a manifest that fits
//! is none.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(super) const LIBRARY: &str = "libchdb.so";
pub(super) const MANIFEST: &str = "manifest.json";
const MANIFEST_BYTES_MAX: u64 = 4096;

/// The engine that this version of the collector fetches.
#[derive(Debug)]
pub(super) struct Package {
    /// Name in the npm registry.
    pub(super) name: &'static str,
    /// Version there.
    pub(super) version: &'static str,
    /// Architecture, for the directory's name.
    pub(super) arch: &'static str,
    /// Size of the package.
    pub(super) tarball_bytes: u64,
    /// SHA-512 of the package in base64, as npm writes it.
    pub(super) tarball_sha512: &'static str,
    /// Size of the library in it.
    pub(super) library_bytes: u64,
}

/// The pinned package for x86_64. There is none for aarch64 in the registry at this version.
const X64: Package = Package {
    name: "@chdb/lib-linux-x64-gnu",
    version: "26.7.3-stable.1",
    arch: "x64",
    tarball_bytes: 177_817_999,
    tarball_sha512: "XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
    library_bytes: 566_330_096,
};

/// Operating system, architecture and C library that this program was built for.
pub(super) fn platform() -> String {
    let libc = if cfg!(target_env = "gnu") {
        "glibc"
    } else if cfg!(target_env = "musl") {
        "musl"
    } else {
        "another C library"
    };
    format!("{} on {} with {libc}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Whether this program can load the library at all.
pub(super) fn can_load() -> bool {
    cfg!(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))
}

/// What can be fetched for this platform.
pub(super) fn package() -> Option<&'static Package> {
    (can_load() && cfg!(target_arch = "x86_64")).then_some(&X64)
}

/// The parts of the environment that say where an engine may be; a value so that tests can choose it.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pub(super) libchdb: Option<OsString>,
    pub(super) cache_dir: Option<OsString>,
    pub(super) xdg_cache_home: Option<OsString>,
    pub(super) home: Option<OsString>,
    pub(super) path: Option<OsString>,
}

impl Surroundings {
    /// Reads the environment. An empty variable is an absent one.
    pub(super) fn of_this_process() -> Self {
        let read = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            libchdb: read("CONSENTRY_LIBCHDB"),
            cache_dir: read("CONSENTRY_CACHE_DIR"),
            xdg_cache_home: read("XDG_CACHE_HOME"),
            home: read("HOME"),
            path: read("PATH"),
        }
    }

    /// The directory that engines are kept in.
    pub(super) fn engines(&self) -> Option<PathBuf> {
        let cache = if let Some(dir) = &self.cache_dir {
            PathBuf::from(dir)
        } else if let Some(dir) = &self.xdg_cache_home {
            Path::new(dir).join("consentry")
        } else {
            Path::new(self.home.as_ref()?).join(".cache/consentry")
        };
        // The engine runs in another directory, so a relative path would not find it there.
        Some(std::path::absolute(cache).ok()?.join("engine"))
    }

    /// The first file called `name` on PATH that is executable.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let dirs = std::env::split_paths(self.path.as_ref()?);
        let files = dirs.filter(|dir| dir.is_absolute()).map(|dir| dir.join(name));
        files
            .into_iter()
            .find(|file| file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok())
    }
}

/// What `manifest.json` says of the library beside it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Version of the package.
    pub(super) version: String,
    /// Architecture.
    pub(super) arch: String,
    /// Size of the library.
    pub(super) library_bytes: u64,
    /// SHA-256 of the library in hex, for whoever wants to compare it later.
    pub(super) library_sha256: String,
}

/// The directory of `package` below `engines`.
pub(super) fn dir_of(engines: &Path, package: &Package) -> PathBuf {
    engines.join(format!("{}-{}", package.version, package.arch))
}

/// The library of `package` below `engines`, if it is there and whole.
pub(super) fn find(engines: &Path, package: &Package) -> Option<PathBuf> {
    let dir = dir_of(engines, package);
    let manifest = dir.join(MANIFEST);
    if fs::metadata(&manifest).ok()?.len() > MANIFEST_BYTES_MAX {
        return None;
    }
    let manifest: Manifest = serde_json::from_slice(&fs::read(manifest).ok()?).ok()?;
    let library = dir.join(LIBRARY);
    let fits = manifest.version == package.version
        && manifest.arch == package.arch
        && manifest.library_bytes == package.library_bytes
        && fs::metadata(&library).ok()?.len() == package.library_bytes;
    fits.then_some(library)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Package = Package {
        name: "small",
        version: "1",
        arch: "x64",
        tarball_bytes: 0,
        tarball_sha512: "",
        library_bytes: 3,
    };

    fn put(engines: &Path, library: &[u8], version: &str) {
        let dir = dir_of(engines, &SMALL);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(LIBRARY), library).unwrap();
        let manifest = Manifest {
            version: version.into(),
            arch: "x64".into(),
            library_bytes: 3,
            library_sha256: String::new(),
        };
        fs::write(dir.join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
    }

    #[test]
    fn a_library_counts_only_with_a_manifest_that_fits() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(find(dir.path(), &SMALL), None);
        put(dir.path(), b"abc", "1");
        assert!(find(dir.path(), &SMALL).is_some());
        put(dir.path(), b"ab", "1");
        assert_eq!(find(dir.path(), &SMALL), None);
        put(dir.path(), b"abc", "2");
        assert_eq!(find(dir.path(), &SMALL), None);
        put(dir.path(), b"abc", "1");
        fs::write(dir_of(dir.path(), &SMALL).join(MANIFEST), "{\"version\":").unwrap();
        assert_eq!(find(dir.path(), &SMALL), None);
        fs::remove_file(dir_of(dir.path(), &SMALL).join(MANIFEST)).unwrap();
        assert_eq!(find(dir.path(), &SMALL), None);
    }

    #[test]
    fn the_cache_is_where_the_first_variable_says() {
        let some = |text: &str| Some(OsString::from(text));
        let all = Surroundings {
            cache_dir: some("/c"),
            xdg_cache_home: some("/x"),
            home: some("/h"),
            ..Default::default()
        };
        assert_eq!(all.engines().unwrap(), Path::new("/c/engine"));
        let no_own = Surroundings { cache_dir: None, ..all };
        assert_eq!(no_own.engines().unwrap(), Path::new("/x/consentry/engine"));
        let home = Surroundings { xdg_cache_home: None, ..no_own };
        assert_eq!(home.engines().unwrap(), Path::new("/h/.cache/consentry/engine"));
        assert_eq!(Surroundings::default().engines(), None);
    }
}
