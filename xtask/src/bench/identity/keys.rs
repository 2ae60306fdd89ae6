//! API keys by the thousand and by the million, in process: `crates/plugins/benches/keys.rs`.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::super::plugins::build;
use super::super::proxies::PROXY_CORE;

/// Numbers of keys.
pub(super) const NUMBERS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// The same for a quick run.
pub(super) const NUMBERS_QUICK: [usize; 2] = [1_000, 10_000];

/// What was found for one number of keys.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct KeyCost {
    pub(super) keys: usize,
    /// Nanoseconds of one look-up in the index.
    pub(super) find_ns: f64,
    /// Nanoseconds of the keyed hash and the look-up, as `key-auth` does both.
    pub(super) whole_ns: f64,
    /// Resident bytes of the process by key, more than before the first one.
    pub(super) bytes: f64,
}

/// Measures each number in a process of its own, whose memory is nothing else's.
pub(super) fn measure(numbers: &[usize]) -> Result<Vec<KeyCost>> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let program = build("keys")?;
    let mut found = Vec::new();
    for number in numbers {
        let mut command = Command::new("taskset");
        command.args(["-c", PROXY_CORE]).arg(&program).arg(number.to_string());
        let output = command.output().context("cannot start it")?;
        if !output.status.success() {
            bail!("{number} keys failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        let cost: KeyCost = serde_json::from_slice(&output.stdout)?;
        println!("{number} keys: {cost:.1?}");
        found.push(cost);
    }
    Ok(found)
}
