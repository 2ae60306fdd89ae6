//! Instructions and allocations, as callgrind counts them: these are the same in every run, but for
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
/// Functions that allocate, of the gateway's allocator and of the C library.
const ALLOCATORS: [&str; 7] = [
    "mi_malloc_aligned",
    "mi_zalloc_aligned",
    "mi_realloc_aligned",
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
];

#[derive(Deserialize)]
struct Counted {
    name: String,
    requests: u32,
}

/// Instructions and allocations of one block of requests.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    instructions: u64,
    allocations: u64,
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
        let block = |number: usize| -> Result<Counts> {
            let part = format!("{}.{}", out.display(), index * 2 + number);
            let text = fs::read_to_string(&part).with_context(|| format!("no {part}"))?;
            let counts = parse(&text)?;
            ensure!(counts.instructions > 0, "nothing was counted for `{name}`");
            Ok(counts)
        };
        let (without, with) = (block(1)?, block(2)?);
        let each = |with: u64, without: u64| {
            (super::super::as_float(with) - super::super::as_float(without)) / f64::from(requests)
        };
        let cost = find(costs, &name)?;
        cost.instructions = Some(each(with.instructions, without.instructions));
        cost.allocations = Some(each(with.allocations, without.allocations));
    }
    Ok(())
}

/// Reads one part of callgrind's output.
fn parse(text: &str) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut allocates = false;
    for line in text.lines() {
        if let Some(total) = line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")) {
            counts.instructions = total.trim().parse()?;
        } else if let Some(name) = line.strip_prefix("cfn=") {
            allocates = ALLOCATORS.contains(&name);
        } else if let Some(calls) = line.strip_prefix("calls=").filter(|_| allocates) {
            let calls = calls.split(' ').next().unwrap_or_default();
            counts.allocations += calls.parse::<u64>().context("calls without a number")?;
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_allocators_are_summed_up() {
        let text = "fn=a\ncfn=mi_malloc_aligned\ncalls=3 0\n1 20\ncfn=memcpy\ncalls=5 0\n1 9\n\
                    cfn=malloc\ncalls=2 0\n1 1\ntotals: 4711\n";
        assert_eq!(parse(text).unwrap(), Counts { instructions: 4711, allocations: 5 });
    }
}
