//! `cargo xtask check`: all that must hold beside the tests.
//!
//! Every check runs even if an earlier one failed, so that one run shows everything.

mod dependencies;
mod layering;
pub(crate) mod sources;
mod tidy;

use std::process::Command;

use anyhow::Result;

use crate::steps::Steps;
use crate::test::WORKSPACE;
use crate::{fuzz_smoke, generate, site};

/// Options of the task.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave out what compiles: lints and generated documents.
    #[arg(long)]
    quick: bool,
}

/// Runs the task.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut steps = Steps::default();
    // Failures are in the table that `finish` prints.
    let _ = steps.run("formatting", Command::new("cargo").args(["fmt", "--all", "--check"]));
    let _ = steps.attempt("tidiness", tidy::check);
    let _ = steps.attempt("links", site::links::check);
    let _ = steps.attempt("layering", layering::check);
    let _ = steps.attempt("fuzz targets", fuzz_smoke::every_target_is_replayed);
    dependencies::check(&mut steps);
    site::check(&mut steps);
    if !options.quick {
        let mut clippy = Command::new("cargo");
        clippy.arg("clippy").args(WORKSPACE).args(["--all-targets", "--", "-D", "warnings"]);
        let _ = steps.run("lints", &mut clippy);
        let _ = steps.attempt("generated documents", generate::is_current);
    }
    steps.finish("check")
}
