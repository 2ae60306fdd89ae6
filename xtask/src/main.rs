//! Tasks of the project: `cargo xtask test | check | generate | site | fuzz-smoke | bench | crs | waf`.
//!
//! Everything that continuous integration and contributors run is here, so that it runs the
//! same in both places. Commands stay ordinary (`cargo`, `apt-get`, `pip`); each step is named
//! and timed.

#[cfg(feature = "bench")]
mod bench;
mod check;
#[cfg(feature = "crs")]
mod clean;
#[cfg(any(feature = "bench", feature = "crs"))]
mod conditions;
mod costs;
#[cfg(feature = "crs")]
mod crs;
mod fuzz_smoke;
mod generate;
mod npm;
mod pypi;
mod site;
mod steps;
mod test;
mod tools;
#[cfg(feature = "crs")]
mod waf_bench;

use std::ffi::OsString;
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
    /// Run the regression tests of a rule set for the web application firewall.
    #[cfg(feature = "crs")]
    Crs(crs::Options),
    /// Run the regression tests of a rule set for the web application firewall.
    #[cfg(not(feature = "crs"))]
    #[command(disable_help_flag = true)]
    Crs {
        /// Passed on to the optimised build.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Judge clean traffic, made from documents of APIs, with the web application firewall
    /// (`waf clean`).
    #[cfg(feature = "crs")]
    #[command(subcommand)]
    Waf(WafTask),
    /// Judge clean traffic, made from documents of APIs, with the web application firewall
    /// (`waf clean`).
    #[cfg(not(feature = "crs"))]
    #[command(disable_help_flag = true)]
    Waf {
        /// Passed on to the optimised build.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Compare the cost of the web application firewall with libmodsecurity (`bench waf`).
    #[cfg(feature = "crs")]
    BenchWaf(waf_bench::Options),
    /// Compare the cost of the web application firewall with libmodsecurity (`bench waf`).
    #[cfg(not(feature = "crs"))]
    #[command(disable_help_flag = true)]
    BenchWaf {
        /// Passed on to the optimised build.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
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

/// What is done with the web application firewall.
#[cfg(feature = "crs")]
#[derive(Subcommand)]
enum WafTask {
    /// Judge clean traffic, made from documents of APIs.
    Clean(clean::Options),
}

fn main() -> ExitCode {
    let outcome = enter_workspace().and_then(|()| match Cli::parse_from(words()).task {
        Task::Test(options) => test::run(&options),
        Task::Check(options) => check::run(&options),
        Task::Generate(options) => generate::run(&options),
        Task::Site => site::run(),
        Task::FuzzSmoke => fuzz_smoke::run(),
        #[cfg(feature = "crs")]
        Task::Crs(options) => crs::run(&options),
        #[cfg(not(feature = "crs"))]
        Task::Crs { words } => in_optimised_build("crs", "crs", &words),
        #[cfg(feature = "crs")]
        Task::Waf(WafTask::Clean(options)) => clean::run(&options),
        #[cfg(not(feature = "crs"))]
        Task::Waf { words } => in_optimised_build("crs", "waf", &words),
        #[cfg(feature = "crs")]
        Task::BenchWaf(options) => waf_bench::run(&options),
        #[cfg(not(feature = "crs"))]
        Task::BenchWaf { words } => in_optimised_build("crs", "bench-waf", &words),
        #[cfg(feature = "bench")]
        Task::Bench(options) => bench::run(&options),
        #[cfg(feature = "bench")]
        Task::Load => bench::load::run(),
        #[cfg(feature = "bench")]
        Task::Upstream(options) => bench::upstream::run(&options),
        #[cfg(not(feature = "bench"))]
        Task::Bench { words } => in_optimised_build("bench", "bench", &words),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// The words of the command line; `bench waf` is a task of its own, with options of its own.
fn words() -> Vec<OsString> {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if let [_, task, of, ..] = &*words
        && task == "bench"
        && of == "waf"
    {
        words.splice(1..3, ["bench-waf".into()]);
    }
    words
}

/// Makes the root of the workspace the current folder, wherever the task was started.
fn enter_workspace() -> Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = root.parent().context("xtask lies in no workspace")?;
    std::env::set_current_dir(root).context("cannot enter the workspace")
}

/// Runs a task in an optimised build of its own, with what only that task needs.
#[cfg(not(all(feature = "bench", feature = "crs")))]
fn in_optimised_build(feature: &str, task: &str, words: &[String]) -> Result<()> {
    let mut command = std::process::Command::new("cargo");
    command.args(["run", "--release", "--package", "xtask", "--features", feature, "--", task]);
    let status = command.args(words).status().context("cannot start cargo")?;
    if status.success() { Ok(()) } else { anyhow::bail!("`{task}` ended with {status}") }
}
