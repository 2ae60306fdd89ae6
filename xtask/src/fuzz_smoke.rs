//! `cargo xtask fuzz-smoke`: replays the fuzz corpora with the stable toolchain.
//!
//! A fuzz target `NAME` is three things: `fuzz/fuzz_targets/NAME.rs`, which calls a function of
//! the crate that it attacks; `fuzz/corpus/NAME/`, a small corpus that is kept; and a test called
//! `replays_fuzz_corpus_NAME`, which gives each file of the corpus to the same function. The test
//! runs with all others; this task runs only those, and sees that none is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::check::sources::Source;
use crate::test::{self, WORKSPACE};

const TARGETS: &str = "fuzz/fuzz_targets";
const CORPORA: &str = "fuzz/corpus";
const TEST_PREFIX: &str = "replays_fuzz_corpus_";

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    every_target_is_replayed()?;
    let mut command = match test::nextest() {
        Some(nextest) => Command::new(nextest),
        None => Command::new("cargo"),
    };
    if command.get_program() == "cargo" {
        command.arg("test").args(WORKSPACE).args(["--tests", "--", TEST_PREFIX]);
    } else {
        command.args(["nextest", "run"]).args(WORKSPACE).args(["--no-tests", "pass", TEST_PREFIX]);
    }
    let status = command.status().context("cannot start the test runner")?;
    if status.success() { Ok(()) } else { bail!("the replay ended with {status}") }
}

/// Fails if a fuzz target has no corpus, or no test that replays it.
pub(crate) fn every_target_is_replayed() -> Result<()> {
    let sources = Source::read_all()?;
    let tests: BTreeSet<&str> = sources.iter().flat_map(Source::tests).collect();
    let mut missing = Vec::new();
    for target in targets()? {
        let corpus = Path::new(CORPORA).join(&target);
        if !fs::read_dir(&corpus).is_ok_and(|mut files| files.next().is_some()) {
            missing.push(format!("files in {}", corpus.display()));
        }
        let test = format!("{TEST_PREFIX}{target}");
        if !tests.contains(test.as_str()) {
            missing.push(format!("test `{test}`"));
        }
    }
    if missing.is_empty() { Ok(()) } else { bail!("missing: {}", missing.join(", ")) }
}

fn targets() -> Result<Vec<String>> {
    if !Path::new(TARGETS).exists() {
        return Ok(Vec::new());
    }
    let mut targets = Vec::new();
    for entry in fs::read_dir(TARGETS)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    Ok(targets)
}
