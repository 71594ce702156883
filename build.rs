//! Builds the part of the collector that runs in a browser, and leaves it in `OUT_DIR` for `include_bytes!`.
//!
//! `web/` is copied to `OUT_DIR/web` and built there with npm, so the source tree stays as it is. What comes out:
//! `consentry.js` (the tracker), `consentry-managers.js` (its second file, for pages with a consent manager), `demo.html`,
//! `demo.js`, `demo.css`, `dashboard.html`, `dashboard.js`, `dashboard.css`, `uap_regexes.json` (user agent patterns),
//! `crawlers.json` (names of crawlers) and `storage_keys.json` (what the tracker keeps in a browser, for the disclosure).
//!
//! Without npm or a network: build `web/` elsewhere (`npm ci && npm run build`), bring its `dist` folder along and set
//! `CONSENTRY_WEB_DIST` to its path. Then nothing is run here, the files are only copied.
//!
//! The commit that a release is built from becomes part of the program: see `build/commit.rs`.

#[path = "build/commit.rs"]
mod commit;
#[path = "build/npm.rs"]
mod npm;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::exit;

const PREBUILT: &str = "CONSENTRY_WEB_DIST";

/// What `web/build.mjs` makes, and the collector includes.
const OUTPUTS: [&str; 11] = [
    "consentry.js",
    "consentry-managers.js",
    "demo.html",
    "demo.js",
    "demo.css",
    "dashboard.html",
    "dashboard.js",
    "dashboard.css",
    "uap_regexes.json",
    "crawlers.json",
    "storage_keys.json",
];

/// What the build reads: the manifests and sources, neither the tests nor what an editor's own `npm ci` left behind.
const INPUTS: [&str; 7] =
    ["package.json", "package-lock.json", "tsconfig.json", "build.mjs", "src", "demo", "dashboard"];

fn main() {
    // Not a panic: the reason should stand alone, without a backtrace of this file.
    if let Err(reason) = build() {
        eprintln!("{reason}");
        exit(1);
    }
}

fn build() -> Result<(), String> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build/npm.rs");
    commit::tell();
    println!("cargo:rerun-if-env-changed={PREBUILT}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run this through cargo")?);

    if let Some(dist) = env::var_os(PREBUILT).map(PathBuf::from) {
        for name in OUTPUTS {
            println!("cargo:rerun-if-changed={}", dist.join(name).display());
            copy(&dist.join(name), &out.join(name)).map_err(|error| {
                format!("{PREBUILT} names a folder that is not a complete web build: {error}")
            })?;
        }
        return Ok(());
    }

    let web = out.join("web");
    fs::create_dir_all(&web).map_err(|error| format!("{}: {error}", web.display()))?;
    for name in INPUTS {
        println!("cargo:rerun-if-changed=web/{name}");
        copy_fresh(&Path::new("web").join(name), &web.join(name))?;
    }
    npm::install(&web)?;
    npm::build(&web, &out)?;
    match OUTPUTS.iter().find(|name| !out.join(name).is_file()) {
        Some(name) => Err(format!("web/build.mjs did not make {name}")),
        None => Ok(()),
    }
}

/// Copies a file, or a folder after removing what an earlier build put in its place: a source that is gone must not
/// live on in the copy.
fn copy_fresh(from: &Path, to: &Path) -> Result<(), String> {
    if !from.is_dir() {
        return copy(from, to);
    }
    if to.exists() {
        fs::remove_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    let entries = fs::read_dir(from).map_err(|error| format!("{}: {error}", from.display()))?;
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", from.display()))?;
        copy_fresh(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    match fs::copy(from, to) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("cannot copy {} to {}: {error}", from.display(), to.display())),
    }
}
