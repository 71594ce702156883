//! Everything that can keep the embedded engine from running. Each message says what, where, and what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No engine exists for this machine.
    #[error(
        "the embedded engine needs Linux on x86_64 or aarch64 with glibc, this is {platform}; \
         set clickhouse_url to the address of a ClickHouse"
    )]
    Unsupported {
        /// Operating system, architecture and C library.
        platform: String,
    },
    /// There is nothing to download for this machine, but an engine that is brought along would run.
    #[error(
        "no engine can be fetched for {platform}; install ClickHouse 26.7 or newer (the clickhouse program on PATH), \
         or set CONSENTRY_LIBCHDB to the path of a libchdb.so, or set clickhouse_url to the address of a ClickHouse"
    )]
    NoPackage {
        /// Operating system, architecture and C library.
        platform: String,
    },
    /// `CONSENTRY_LIBCHDB` names something that cannot be used.
    #[error(
        "CONSENTRY_LIBCHDB is {path}, which {reason}; correct it, or unset it to use another engine",
        path = .path.display()
    )]
    Library {
        /// What the variable says.
        path: PathBuf,
        /// What is wrong with it, as a verb phrase.
        reason: String,
    },
    /// The program was started and turned out not to be an engine that we can use.
    #[error(
        "{program} cannot be used as the engine: {reason}; set CONSENTRY_LIBCHDB to another libchdb.so (26.7 or newer), \
         or set clickhouse_url to the address of a ClickHouse",
        program = .program.display()
    )]
    Unusable {
        /// The library or program.
        program: PathBuf,
        /// What it said.
        reason: String,
    },
    /// Nowhere to keep the engine.
    #[error(
        "no ClickHouse is configured, and there is no place to keep an embedded engine: set clickhouse_url to the address of a \
         ClickHouse; or, to fetch an engine with npm, CONSENTRY_CACHE_DIR to a directory with 1.2 GB free (HOME is not set \
         either); or CONSENTRY_LIBCHDB to the path of a libchdb.so (26.7 or newer)"
    )]
    NoCacheDir,
    /// Not enough room to fetch the engine.
    #[error(
        "fetching the engine needs {needed_mb} MB in {dir}, where {free_mb} MB are free; \
         make room, or set CONSENTRY_CACHE_DIR to another directory",
        dir = .dir.display()
    )]
    DiskFull {
        /// Where.
        dir: PathBuf,
        /// What is needed, in MB.
        needed_mb: u64,
        /// What is there, in MB.
        free_mb: u64,
    },
    /// The engine is fetched with npm, and there is none.
    #[error(
        "no ClickHouse is configured, and npm, which fetches the embedded engine once, is not on PATH; \
         install Node.js with npm, or set CONSENTRY_LIBCHDB to the path of a libchdb.so (26.7 or newer), \
         or set clickhouse_url to the address of a ClickHouse"
    )]
    NpmMissing,
    /// npm ran and failed.
    #[error(
        "npm could not fetch the engine ({status}): {output}; check npm's access to its registry (npm ping) and start again, \
         or set CONSENTRY_LIBCHDB or clickhouse_url"
    )]
    Npm {
        /// How it ended.
        status: String,
        /// The errors it printed, shortened.
        output: String,
    },
    /// What npm brought is not what it should be.
    #[error(
        "the engine that npm brought is not the one this version was built for ({reason}); it was thrown away. \
         Start again; if this comes back, ask whoever runs your npm registry or mirror"
    )]
    Integrity {
        /// What does not match.
        reason: String,
    },
    /// The caller gave up waiting.
    #[error("fetching the engine was given up; start again to fetch it")]
    Cancelled,
    /// Another collector has the directory.
    #[error(
        "{dir} is in use by another Consentry{holder}; stop that one, or choose another data_dir for this one",
        dir = .dir.display(), holder = .holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The engine's directory.
        dir: PathBuf,
        /// Its process, if it could be learned.
        holder: Option<u32>,
    },
    /// A file, directory or process could not be handled.
    #[error("could not {doing} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The engine was stopped while somebody waited for it.
    #[error("the embedded engine was stopped")]
    Stopped,
}

impl EngineError {
    /// For `map_err`: says what was being done to which path.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
