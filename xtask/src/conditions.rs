//! When and on what something was measured, for the reports of benchmarks.

use std::fs;
use std::thread::available_parallelism;

use anyhow::Result;
use time::OffsetDateTime;

/// The date, in UTC, as reports are named.
pub(crate) fn today() -> String {
    let now = OffsetDateTime::now_utc();
    format!("{}-{:02}-{:02}", now.year(), u8::from(now.month()), now.day())
}

/// The machine and how busy it is.
pub(crate) fn machine() -> Result<Vec<String>> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.unwrap_or_default().trim_start_matches(['\t', ':', ' ']).to_owned();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let busy = fs::read_to_string("/proc/loadavg")?;
    Ok(vec![
        format!("machine: {} × {model}, Linux {}", available_parallelism()?, kernel.trim()),
        format!("load average before the run: {}", busy.split(' ').next().unwrap_or("?")),
    ])
}
