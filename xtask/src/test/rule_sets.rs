//! What the web application firewall makes of rule sets that people run, where these are: their own
//! tests, and clean traffic. The gateway carries none of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::Steps;

/// A rule set, where it is looked for, and what must pass.
struct RuleSet {
    step: &'static str,
    /// The variable that names its folder.
    variable: &'static str,
    /// The folder unless it is named.
    folder: &'static str,
    /// Its tests, from the folder.
    tests: &'static str,
    /// The least share of its tests, in percent.
    least: &'static str,
}

const RULE_SETS: [RuleSet; 2] = [
    RuleSet {
        step: "tests of rule set 4",
        variable: "BARTIZAN_CRS",
        folder: "../shared/crs",
        tests: "tests",
        least: "98.5",
    },
    RuleSet {
        step: "tests of rule set 3",
        variable: "BARTIZAN_CRS_3",
        folder: "/usr/share/modsecurity-crs",
        tests: "tests/regression/tests",
        least: "97.5",
    },
];

/// The least share of clean requests that must pass the gateway's own rules, in percent.
const CLEAN_LEAST: &str = "99.5";

/// Runs what is there, with the programs that the tests were built with.
pub(super) fn take_steps(steps: &mut Steps) {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let programs = target.join("debug");
    for set in RULE_SETS {
        let folder =
            std::env::var_os(set.variable).map_or_else(|| set.folder.into(), PathBuf::from);
        if !folder.join(set.tests).is_dir() {
            let place = folder.join(set.tests);
            let reason =
                format!("nothing in {}; `{}` names the rules", place.display(), set.variable);
            steps.skip(set.step, &reason);
            continue;
        }
        let mut runner = Command::new(programs.join("xtask"));
        runner.args(["crs", "--explained", "--at-least", set.least, "--gateway"]);
        runner.arg(programs.join("bartizan")).arg("--rules").arg(folder);
        // A failure is in the table of steps.
        let _ = steps.run(set.step, &mut runner);
    }
    clean_traffic(steps, &programs);
}

fn clean_traffic(steps: &mut Steps, programs: &Path) {
    let step = "clean traffic";
    let Some(documents) = std::env::var_os("OPENAPI_DIRECTORY") else {
        steps.skip(step, "`OPENAPI_DIRECTORY` names no folder of documents");
        return;
    };
    let mut runner = Command::new(programs.join("xtask"));
    runner.args(["waf", "clean", "--at-least", CLEAN_LEAST, "--documents"]).arg(documents);
    let _ = steps.run(step, &mut runner);
}
