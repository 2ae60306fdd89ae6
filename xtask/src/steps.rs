//! Named, timed steps: each prints its command when it starts, all print their times at the end.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The steps of one task, in the order in which they ran.
#[derive(Default)]
pub(crate) struct Steps {
    taken: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    verdict: Verdict,
}

enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

impl Steps {
    /// Runs a command to its end and remembers how it went.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) -> Result<()> {
        println!("── {name}: {}", shown(command));
        self.attempt(name, || {
            let status = command.status().with_context(|| format!("cannot start {name}"))?;
            if status.success() {
                Ok(())
            } else {
                bail!("`{}` ended with {status}", shown(command))
            }
        })
    }

    /// As [`Steps::run`], and gives back the lines of both outputs that `wanted` picks.
    pub(crate) fn run_keeping(
        &mut self,
        name: &str,
        command: &mut Command,
        wanted: impl Fn(&str) -> bool + Send,
    ) -> (Result<()>, Vec<String>) {
        println!("── {name}: {}", shown(command));
        let mut kept = Vec::new();
        let outcome = self.attempt(name, || {
            let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
            command.stdout(writer.try_clone()?).stderr(writer).stdin(Stdio::null());
            let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
            // The command holds the writing ends: the reader would wait for itself otherwise.
            command.stdout(Stdio::null()).stderr(Stdio::null());
            for line in BufReader::new(reader).split(b'\n') {
                let line = line?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                if wanted(&line) {
                    kept.push(line.trim().to_owned());
                }
            }
            let status = child.wait()?;
            if status.success() { Ok(()) } else { bail!("{name} ended with {status}") }
        });
        (outcome, kept)
    }

    /// Runs a part of this program as a step.
    pub(crate) fn attempt(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        self.time(name, work, Verdict::Failed)
    }

    /// As [`Steps::attempt`], of a step that may be left out: a failure says why it was.
    pub(crate) fn attempt_or_skip(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        if let Err(problem) = self.time(name, work, Verdict::Skipped) {
            println!("── {name}: skipped: {problem:#}");
        }
    }

    fn time(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<()>,
        otherwise: fn(String) -> Verdict,
    ) -> Result<()> {
        let start = Instant::now();
        let outcome = work();
        let verdict = match &outcome {
            Ok(()) => Verdict::Passed,
            Err(problem) => otherwise(format!("{problem:#}")),
        };
        self.taken.push(Step { name: name.to_owned(), took: start.elapsed(), verdict });
        outcome
    }

    /// Remembers that a step was left out, and why.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        println!("── {name}: skipped: {reason}");
        let verdict = Verdict::Skipped(reason.to_owned());
        self.taken.push(Step { name: name.to_owned(), took: Duration::ZERO, verdict });
    }

    /// Prints the table of steps; fails if any of them did.
    pub(crate) fn finish(self, task: &str) -> Result<()> {
        println!("── {task}: steps and times");
        let mut failed = Vec::new();
        for Step { name, took, verdict } in self.taken {
            let seconds = took.as_secs_f64();
            match verdict {
                Verdict::Passed => println!("   ok      {seconds:7.1} s  {name}"),
                Verdict::Skipped(reason) => {
                    println!("   skipped {seconds:7.1} s  {name}: {reason}");
                }
                Verdict::Failed(problem) => {
                    println!("   FAILED  {seconds:7.1} s  {name}: {problem}");
                    failed.push(name);
                }
            }
        }
        if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
    }
}

/// A command line as a person would type it.
fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_task() {
        let mut steps = Steps::default();
        assert!(steps.run("false", &mut Command::new("false")).is_err());
        assert!(steps.run("true", &mut Command::new("true")).is_ok());
        assert!(steps.finish("task").is_err());
    }

    #[test]
    fn a_skipped_step_does_not_fail_the_task() {
        let mut steps = Steps::default();
        steps.skip("advisories", "no network");
        assert!(steps.finish("task").is_ok());
    }

    #[test]
    fn a_step_that_may_be_left_out_is_timed_and_does_not_fail_the_task() {
        let mut steps = Steps::default();
        let wait = || {
            let start = Instant::now();
            while start.elapsed().is_zero() {}
        };
        steps.attempt_or_skip("packages", || {
            wait();
            bail!("no network")
        });
        steps.attempt_or_skip("packages", || {
            wait();
            Ok(())
        });
        let verdicts: Vec<&str> = steps
            .taken
            .iter()
            .map(|step| match &step.verdict {
                _ if step.took.is_zero() => "not timed",
                Verdict::Passed => "passed",
                Verdict::Skipped(reason) => reason,
                Verdict::Failed(_) => "failed",
            })
            .collect();
        assert_eq!(verdicts, ["no network", "passed"]);
        assert!(steps.finish("task").is_ok());
    }

    #[test]
    fn lines_of_both_outputs_are_kept() {
        let mut steps = Steps::default();
        let mut command = Command::new("sh");
        command.args(["-c", "echo keep one; echo drop; echo keep two >&2"]);
        let (outcome, kept) = steps.run_keeping("sh", &mut command, |line| line.contains("keep"));
        assert!(outcome.is_ok());
        assert_eq!(kept, ["keep one", "keep two"]);
    }
}
