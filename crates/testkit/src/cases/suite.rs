//! All cases of a folder.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::file::{CaseFile, Kind, Section};
use super::{live, run};

/// The variable that makes [`check_cases`] write what it should check.
const UPDATE: &str = "UPDATE";
/// Runs only the files whose path contains this.
const ONLY: &str = "CASE";

/// Runs every case under a folder; panics with all differences. With `UPDATE=1` the files are
/// written anew; with `CASE=text` only those are run whose path contains the text.
pub fn check_cases(folder: &Path) {
    let is_update = std::env::var(UPDATE).is_ok_and(|value| value == "1");
    let failures = Mutex::new(Vec::new());
    let count = for_each_case(folder, |case| {
        let failure = match catch_unwind(|| check(case, is_update)) {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => format!("==== {}\n{failure}", case.path.display()),
            Err(_) => format!("==== {}\nit panics, see above", case.path.display()),
        };
        failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    });
    assert!(count > 0, "no case under {}", folder.display());
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort();
    assert!(
        failures.is_empty(),
        "{} of {count} cases differ; `UPDATE=1` writes them anew\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Checks that every field that cases claim to be live is, and that every field of the catalogue
/// is claimed; panics with all that are not.
pub fn check_liveness(folder: &Path) {
    let (problems, live) = (Mutex::new(Vec::new()), Mutex::new(BTreeSet::new()));
    for_each_case(folder, |case| {
        let (found, shown) = crate::run(live::check(case));
        let found = found.into_iter().map(|text| format!("{}: {text}", case.path.display()));
        problems.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        live.lock().unwrap_or_else(PoisonError::into_inner).extend(shown);
    });
    let mut problems = problems.into_inner().unwrap_or_else(PoisonError::into_inner);
    problems.sort();
    if std::env::var(ONLY).is_err() {
        let live = live.into_inner().unwrap_or_else(PoisonError::into_inner);
        let unclaimed = live::unclaimed(&live);
        let sources = folder.parent().expect("a crate around the cases").join("src");
        let missing = live::COST_ONLY.iter().filter(|(_, test)| !has_test(&sources, test));
        problems.extend(missing.map(|(field, test)| format!("`{field}`: no test `{test}`")));
        problems.extend(unclaimed.into_iter().map(|field| format!("no case claims `{field}`")));
    }
    assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems.join("\n"));
}

/// True if a file under a folder has a function of this name.
fn has_test(folder: &Path, name: &str) -> bool {
    let mut paths = Vec::new();
    collect(folder, "rs", &mut paths);
    let needle = format!("fn {name}(");
    paths.iter().any(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains(&needle)))
}

fn check(case: &CaseFile, is_update: bool) -> Result<(), String> {
    let outcome = crate::run(run::run(case, None));
    if let Some(refusal) = outcome.refused {
        return Err(format!("the configuration is refused:\n{refusal}"));
    }
    let (expected, actual) = (case.text(&case.sections), case.text(&outcome.sections));
    if expected == actual {
        return Ok(());
    }
    if is_update {
        return std::fs::write(&case.path, actual).map_err(|error| error.to_string());
    }
    Err(difference(&case.sections, &outcome.sections))
}

/// The sections that differ, as they should be and as they are.
fn difference(expected: &[Section], actual: &[Section]) -> String {
    let mut out = String::new();
    let count = expected.len().max(actual.len());
    let mut request = "";
    for index in 0..count {
        let (should, is) = (expected.get(index), actual.get(index));
        match is.map(|section| (section.kind, section)) {
            Some((Kind::Request, section)) => {
                request = section.text.lines().next().unwrap_or_default();
            }
            Some((Kind::Attack, section)) => request = &section.name,
            _ => {}
        }
        if should == is {
            continue;
        }
        let shown = |section: Option<&Section>| {
            section.map_or("no section".to_owned(), |section| {
                format!("--- {:?} {}\n{}", section.kind, section.name, section.text)
            })
        };
        let _ =
            write!(out, "after `{request}` expected\n{}\nfound\n{}\n", shown(should), shown(is));
        if should.map(|section| section.kind) != is.map(|section| section.kind) {
            // What follows is out of step.
            break;
        }
    }
    out
}

/// Runs `work` for every case file under a folder, on all cores; returns how many there are.
fn for_each_case(folder: &Path, work: impl Fn(&CaseFile) + Sync) -> usize {
    let paths = case_files(folder);
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(&CaseFile::read(path));
                }
            });
        }
    });
    paths.len()
}

/// Every case under a folder, in the order of their names, whatever `CASE` says.
pub(super) fn every_case(folder: &Path) -> Vec<CaseFile> {
    let mut paths = Vec::new();
    collect(folder, "case", &mut paths);
    paths.sort();
    paths.iter().map(|path| CaseFile::read(path)).collect()
}

/// The case files under a folder, those that `CASE` names only.
pub(super) fn case_files(folder: &Path) -> Vec<PathBuf> {
    let only = std::env::var(ONLY).unwrap_or_default();
    let mut paths = Vec::new();
    collect(folder, "case", &mut paths);
    paths.retain(|path| path.to_string_lossy().contains(&only));
    paths.sort();
    paths
}

fn collect(folder: &Path, extension: &str, paths: &mut Vec<PathBuf>) {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder that can be read").path();
        if path.is_dir() {
            collect(&path, extension, paths);
        } else if path.extension().is_some_and(|own| own == extension) {
            paths.push(path);
        }
    }
}
