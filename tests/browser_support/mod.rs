//! Runs scripts of web/e2e in Node.js, which drive Chromium.

use std::path::{Path, PathBuf};
use std::process::Command;

fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let usual =
        ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
    named.into_iter().chain(usual).find(|path| path.exists())
}

const NEEDED: [&str; 11] = [
    "package.json",
    "package-lock.json",
    ".npmrc",
    "dashboard.mjs",
    "dashboard_tab.mjs",
    "demo.mjs",
    "fake_stats.mjs",
    "managers.mjs",
    "recorder.mjs",
    "site.mjs",
    "subjects.mjs",
];

/// The driver and its packages, beside the build's other files: the source tree stays as it is.
fn driver() -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/e2e");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e");
    std::fs::create_dir_all(&to).unwrap();
    for name in NEEDED {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let (lock, installed) =
        (std::fs::read(to.join("package-lock.json")).unwrap(), to.join("node_modules/.installed-lock"));
    if std::fs::read(&installed).ok().as_ref() != Some(&lock) {
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&to)
            .output()
            .unwrap();
        assert!(npm.status.success(), "npm ci: {}", String::from_utf8_lossy(&npm.stderr));
        std::fs::write(installed, lock).unwrap();
    }
    to
}

/// One at a time: all tests install into the same place, and two browsers at once are slow.
static DRIVER: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Runs a driver's script and gives the JSON that it prints last; `None` where there is no browser.
pub(crate) fn drive(test: &str, script: &str, args: &[&str]) -> Option<serde_json::Value> {
    let Some(chromium) = chromium() else {
        println!("skipped: {test}: Chromium is not installed (apt-get install chromium)");
        return None;
    };
    // A test that failed leaves nothing half done that the next would meet.
    let _one = DRIVER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let driver = driver();
    let output =
        Command::new("node").arg(driver.join(script)).args(args).env("CHROMIUM", chromium).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    Some(serde_json::from_str(out.lines().last().unwrap()).unwrap())
}
