//! Tells the binary what it was built from, for `bartizan --version`.

use std::path::Path;
use std::process::Command;

fn main() {
    let commit = commit().unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BARTIZAN_COMMIT={commit}");
    for variable in ["TARGET", "PROFILE"] {
        let value = std::env::var(variable).unwrap_or_else(|_| "unknown".to_owned());
        println!("cargo::rustc-env=BARTIZAN_{variable}={value}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    // The log of HEAD changes with each commit and checkout. A path that does not exist would make
    // every build run this again.
    let log = Path::new("../../.git/logs/HEAD");
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
}

/// The commit that is checked out, in short; `None` outside of a repository.
fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
