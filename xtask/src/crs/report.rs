//! What passed and what did not.

use std::collections::BTreeMap;
use std::fmt;

use super::cases::Case;

/// The outcome of all tests.
#[derive(Default)]
pub(super) struct Report {
    families: BTreeMap<String, (usize, usize)>,
    failures: Vec<(String, String)>,
    /// Cases that a gateway refused before any rule ran, by the reason.
    refused: BTreeMap<String, Vec<String>>,
}

impl Report {
    pub(super) fn add(&mut self, case: &Case, problem: Option<String>) {
        let (passed, all) = self.families.entry(case.family.clone()).or_default();
        *all += 1;
        match problem {
            None => *passed += 1,
            Some(problem) => self.failures.push((case.name.clone(), problem)),
        }
    }

    /// Notes that a case was refused before any rule ran.
    pub(super) fn refused(&mut self, case: &Case, reason: &str) {
        self.refused.entry(reason.to_owned()).or_default().push(case.name.clone());
    }

    fn totals(&self) -> (usize, usize) {
        let counts = self.families.values();
        counts.fold((0, 0), |(passed, all), (more, of)| (passed + more, all + of))
    }

    /// The names of the tests that failed.
    pub(super) fn failed(&self) -> impl Iterator<Item = &str> {
        self.failures.iter().map(|(name, _)| name.as_str())
    }

    /// How many of a hundred passed.
    pub(super) fn share(&self) -> f64 {
        let (passed, all) = self.totals();
        #[expect(clippy::cast_precision_loss, reason = "counts of tests are small")]
        let share = 100.0 * passed as f64 / all.max(1) as f64;
        share
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, problem) in &self.failures {
            writeln!(out, "FAILED {name}: {problem}")?;
        }
        for (reason, names) in &self.refused {
            writeln!(out, "refused at the HTTP layer, {reason}: {}", names.join(", "))?;
        }
        for (family, (passed, all)) in &self.families {
            writeln!(out, "{passed:5} of {all:5}  {family}")?;
        }
        let (passed, all) = self.totals();
        writeln!(out, "{passed:5} of {all:5}  in all: {:.2} %", self.share())
    }
}
