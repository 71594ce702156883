//! Loads `libchdb.so` and turns this process into the engine. The only unsafe code of the project.
//!
//! Four C functions are called, as the library's public header declares them:
//! `const char * chdb_version(void)`, `void chdb_set_signal_handlers_enabled(int)`,
//! `chdb_result * chdb_query_cmdline(int argc, char ** argv)` and `const char * chdb_result_error(chdb_result *)`.
#![allow(unsafe_code)]

use std::error::Error;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;

use libloading::Library;

use super::locate::{OLDEST, version_in};

type Version = unsafe extern "C" fn() -> *const c_char;
type SignalHandlers = unsafe extern "C" fn(c_int);
type CommandLine = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void;
type ResultError = unsafe extern "C" fn(*mut c_void) -> *const c_char;

/// Why the library did not run.
pub(super) enum LoadError {
    /// It is none that we can use.
    Unusable(String),
    /// It ran and ended; what it said.
    Ended(String),
}

/// Runs the engine with `args` (the first is its name) until it ends by itself, which it should not.
pub(super) fn run(path: &Path, args: Vec<CString>) -> LoadError {
    let unusable = |error: libloading::Error| {
        // The outer error names the C function that failed, the inner one says what it said.
        let said = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        LoadError::Unusable(format!("it cannot be loaded ({said})"))
    };
    // SAFETY: loading runs the library's initialisers. It is the file that the operator named, or the one whose
    // checksum was compared when it was fetched; no other thread runs in this process yet.
    let library = match unsafe { Library::new(path) } {
        Ok(library) => library,
        Err(error) => return unusable(error),
    };
    // SAFETY: the types are those of the library's header, see above.
    let symbols = unsafe {
        (
            library.get::<Version>(b"chdb_version\0"),
            library.get::<CommandLine>(b"chdb_query_cmdline\0"),
            library.get::<ResultError>(b"chdb_result_error\0"),
        )
    };
    let (version, command_line, result_error) = match symbols {
        (Ok(version), Ok(command_line), Ok(result_error)) => (version, command_line, result_error),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => return unusable(error),
    };
    // SAFETY: takes nothing and returns a string that lives as long as the library.
    let version = unsafe { text(version()) };
    if version_in(&version).is_none_or(|version| version < OLDEST) {
        return LoadError::Unusable(format!(
            "it is version {version}, and 26.7 is the oldest that can listen"
        ));
    }
    // SAFETY: the type is that of the library's header; the call sets a flag and restores handlers to their defaults.
    // With the library's own handlers, an engine that has crashed lingers for minutes before it ends.
    unsafe {
        if let Ok(signal_handlers) = library.get::<SignalHandlers>(b"chdb_set_signal_handlers_enabled\0") {
            signal_handlers(0);
        }
    }
    let mut argv: Vec<*mut c_char> = args.into_iter().map(CString::into_raw).collect();
    let Ok(argc) = c_int::try_from(argv.len()) else {
        return LoadError::Unusable("too many arguments".into());
    };
    argv.push(std::ptr::null_mut());
    // SAFETY: `argv` holds `argc` strings and a null after them; neither is freed while the process lives, so the
    // library may keep or change them. Signals and the working directory are the library's from here on.
    let result = unsafe { command_line(argc, argv.as_mut_ptr()) };
    std::mem::forget(argv);
    let said = if result.is_null() {
        String::new()
    } else {
        // SAFETY: `result` came from the library, is not null and was not freed; the string belongs to it.
        unsafe { text(result_error(result)) }
    };
    // The library's threads still run: it must not be unloaded under them.
    std::mem::forget(library);
    LoadError::Ended(said)
}

/// Copies a C string; empty if there is none.
///
/// # Safety
/// `pointer` is null or points to a string that ends with a zero byte.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}
