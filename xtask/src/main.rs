//! Tasks of the project: `cargo xtask test | check | generate | site | fuzz-smoke | bench`.
//!
//! Everything that continuous integration and contributors run is here, so that it runs the
//! same in both places. Commands stay ordinary (`cargo`, `apt-get`, `pip`); each step is named
//! and timed.

#[cfg(feature = "bench")]
mod bench;
mod check;
mod costs;
mod fuzz_smoke;
mod generate;
mod site;
mod steps;
mod test;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// The tasks of the Bartizan project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything and run every test; installs the outside programs that tests need.
    Test(test::Options),
    /// Formatting, lints, dependencies, layering, generated documents and tidiness.
    Check(check::Options),
    /// Write the generated reference documents.
    Generate(generate::Options),
    /// Build the documentation as pages, with search, into `target/site`.
    Site,
    /// Replay the fuzz corpora on the stable toolchain.
    FuzzSmoke,
    /// Compare the processor time of a request with nginx, HAProxy and Envoy; `plugins`: what each
    /// plugin costs.
    #[cfg(feature = "bench")]
    Bench(bench::Options),
    /// Generate load, as told on standard input.
    #[cfg(feature = "bench")]
    #[command(hide = true)]
    Load,
    /// Answer as the upstream of the comparison.
    #[cfg(feature = "bench")]
    #[command(hide = true)]
    Upstream(bench::upstream::Options),
    /// Compare the processor time of a request with nginx, HAProxy and Envoy.
    #[cfg(not(feature = "bench"))]
    #[command(disable_help_flag = true)]
    Bench {
        /// Passed on to the optimised build, which has the load generator.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = enter_workspace().and_then(|()| match Cli::parse().task {
        Task::Test(options) => test::run(&options),
        Task::Check(options) => check::run(&options),
        Task::Generate(options) => generate::run(&options),
        Task::Site => site::run(),
        Task::FuzzSmoke => fuzz_smoke::run(),
        #[cfg(feature = "bench")]
        Task::Bench(options) => bench::run(&options),
        #[cfg(feature = "bench")]
        Task::Load => bench::load::run(),
        #[cfg(feature = "bench")]
        Task::Upstream(options) => bench::upstream::run(&options),
        #[cfg(not(feature = "bench"))]
        Task::Bench { words } => bench_in_optimised_build(&words),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the root of the workspace the current folder, wherever the task was started.
fn enter_workspace() -> Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = root.parent().context("xtask lies in no workspace")?;
    std::env::set_current_dir(root).context("cannot enter the workspace")
}

/// Runs the benchmark in a build of its own: optimised, with the load generator.
#[cfg(not(feature = "bench"))]
fn bench_in_optimised_build(words: &[String]) -> Result<()> {
    let mut command = std::process::Command::new("cargo");
    command.args(["run", "--release", "--package", "xtask", "--features", "bench", "--", "bench"]);
    let status = command.args(words).status().context("cannot start cargo")?;
    if status.success() { Ok(()) } else { anyhow::bail!("the benchmark ended with {status}") }
}
