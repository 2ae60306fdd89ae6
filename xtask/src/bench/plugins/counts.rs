//! Instructions, as callgrind counts them: these are the same in every run, but for
//! what keys and hash tables leave to chance.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::{FOLDER, PluginOptions, find, words};
use crate::costs::Cost;
use crate::tools::{self, Program};

/// What the measured function is called. In full: a pattern turns collecting on and off, but is not
/// known to `--dump-after`.
const MEASURED: &str = "costs::Stage::measured";
#[derive(Deserialize)]
struct Counted {
    name: String,
    requests: u32,
}

/// Counts for each entry.
pub(super) fn count(program: &Path, options: &PluginOptions, costs: &mut [Cost]) -> Result<()> {
    println!("counting instructions");
    tools::require(&[Program { name: "valgrind", package: "valgrind" }])?;
    let folder = Path::new(FOLDER).join("callgrind");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let out = folder.join("out");
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--collect-atstart=no", "--compress-strings=no"])
        .arg(format!("--toggle-collect={MEASURED}"))
        .arg(format!("--dump-after={MEASURED}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(words("count", options));
    let output = command.output().context("cannot start valgrind")?;
    if !output.status.success() {
        bail!("callgrind failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    for (index, line) in String::from_utf8(output.stdout)?.lines().enumerate() {
        let Counted { name, requests } = serde_json::from_str(line)?;
        // Two blocks for each entry, the one without the plugin first; parts are counted from one.
        let block = |number: usize| -> Result<u64> {
            let part = format!("{}.{}", out.display(), index * 2 + number);
            let text = fs::read_to_string(&part).with_context(|| format!("no {part}"))?;
            let instructions = parse(&text)?;
            ensure!(instructions > 0, "nothing was counted for `{name}`");
            Ok(instructions)
        };
        let (without, with) = (block(1)?, block(2)?);
        let more = super::super::as_float(with) - super::super::as_float(without);
        find(costs, &name)?.instructions = Some(more / f64::from(requests));
    }
    Ok(())
}

/// The instructions of one part of callgrind's output.
fn parse(text: &str) -> Result<u64> {
    let total = |line: &str| {
        let total = line.strip_prefix("totals: ").or(line.strip_prefix("summary: "))?;
        Some(total.trim().parse())
    };
    Ok(text.lines().rev().find_map(total).unwrap_or(Ok(0))?)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_last_total_counts() {
        assert_eq!(parse("fn=a\n1 20\nsummary: 1\ntotals: 4711\n").unwrap(), 4711);
        assert_eq!(parse("fn=a\n").unwrap(), 0);
        assert!(parse("totals: many\n").is_err());
    }
}
