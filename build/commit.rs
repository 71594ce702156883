//! The commit that the program is built from, for `--version` and `/metrics`.

use std::env;
use std::process::Command;

/// Where there is no repository, as in a container's build: the commit, told from outside.
const TOLD: &str = "CONSENTRY_COMMIT";

/// Leaves the commit in the variable `CONSENTRY_COMMIT` of the compiler: twelve digits, `-modified` behind them where the
/// sources are not those of the commit, `unknown` where nobody knows. A debug build says `debug`: it would be compiled anew
/// at each commit.
pub fn tell() {
    println!("cargo:rerun-if-changed=build/commit.rs");
    println!("cargo:rerun-if-env-changed={TOLD}");
    let told =
        env::var(TOLD).ok().filter(|told| !told.is_empty() && told.bytes().all(|b| b.is_ascii_graphic()));
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = match told {
        Some(told) => told.chars().take(40).collect(),
        None if release => from_git().unwrap_or_else(|| "unknown".into()),
        None => "debug".into(),
    };
    println!("cargo:rustc-env={TOLD}={commit}");
}

fn from_git() -> Option<String> {
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", path]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rerun-if-changed=src");
    let modified =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|changes| !changes.is_empty());
    Some(if modified { format!("{commit}-modified") } else { commit })
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}
