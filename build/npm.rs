//! Runs npm and node for build.rs. Their warnings are kept back unless something fails.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Lines of a failed program's own output that follow our one line.
const TAIL_LINES_MAX: usize = 20;

const WAY_OUT: &str =
    "install Node.js 20.19 or newer with npm, or set CONSENTRY_WEB_DIST to a prebuilt web/dist";

/// Installs what `web/package-lock.json` pins into `web/node_modules`, unless that has been done for this very lock.
pub fn install(web: &Path) -> Result<(), String> {
    let lock = web.join("package-lock.json");
    let lock = fs::read(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    // Written last, into the folder that `npm ci` begins by removing: a half-finished install has none.
    let stamp = web.join("node_modules").join(".installed-lock");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    // No install scripts: nothing that is fetched runs before the build itself needs it.
    let mut npm = Command::new("npm");
    npm.current_dir(web).args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]);
    run(
        &mut npm,
        "npm ci",
        "it needs its package registry; without one set CONSENTRY_WEB_DIST to a prebuilt web/dist:",
    )?;
    fs::write(&stamp, lock).map_err(|error| format!("{}: {error}", stamp.display()))
}

/// Runs `web/build.mjs`, which checks the tracker's size budget and writes into `out`.
pub fn build(web: &Path, out: &Path) -> Result<(), String> {
    let mut node = Command::new("node");
    node.current_dir(web).arg("build.mjs").arg(out);
    run(&mut node, "node web/build.mjs", "its output:")
}

fn run(command: &mut Command, what: &str, hint: &str) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot run `{program}` ({error}): {WAY_OUT}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES_MAX)..].join("\n");
    Err(format!("`{what}` failed ({}), {hint}\n{tail}", output.status))
}
