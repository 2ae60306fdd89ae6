//! Processes of a run: pinned to a core, measured through `/proc`, gone with their owner.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};

/// Time to end in order, after which a process is killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// A process group that is killed when this is dropped.
pub(crate) struct Pinned {
    child: Child,
    group: Pid,
}

impl Pinned {
    /// Starts a program on the given cores (as in `taskset -c`), its output in a file.
    pub(crate) fn start(cores: &str, program: &Path, words: &[&str], log: &Path) -> Result<Self> {
        let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = pinned(cores, program);
        command.args(words).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child =
            command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Self::owning(child)
    }

    /// Takes over a child that leads its own process group.
    pub(crate) fn owning(child: Child) -> Result<Self> {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Self { child, group: group.context("a process without an id")? })
    }

    /// The child itself.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Fails if the process has ended.
    pub(crate) fn ensure_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended with {status}"),
        }
    }

    /// Processor time of all threads of all processes of the group so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        Ok(self.cpu_by_process()?.into_values().sum())
    }

    /// The same for each process.
    pub(crate) fn cpu_by_process(&self) -> Result<BTreeMap<u32, Duration>> {
        let mut spent_by = BTreeMap::new();
        for process in self.members()? {
            let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
            let mut nanoseconds = 0;
            for thread in threads.flatten() {
                let spent = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
                let first = spent.split(' ').next().and_then(|first| first.parse::<u64>().ok());
                nanoseconds += first.unwrap_or_default();
            }
            spent_by.insert(process, Duration::from_nanos(nanoseconds));
        }
        Ok(spent_by)
    }

    /// The same with that of threads that have ended, in steps of 10 ms.
    pub(crate) fn lifetime_cpu(&self) -> Result<Duration> {
        let stat = |process| fs::read_to_string(format!("/proc/{process}/stat")).ok();
        let stats = self.members()?.into_iter().filter_map(stat);
        let ticks = stats.filter_map(|stat| ticks_of(&stat)).sum::<u32>();
        Ok(Duration::from_millis(10) * ticks)
    }

    /// Sends the process a signal.
    pub(crate) fn tell(&self, signal: Signal) -> Result<()> {
        kill_process(self.group, signal).context("it cannot be told")
    }

    /// Resident memory of the group, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let mut kibibytes = 0;
        for process in self.members()? {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let amount = line.and_then(|line| line.split_whitespace().next());
            kibibytes += amount.and_then(|amount| amount.parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(kibibytes * 1024)
    }

    /// Waits until the child has ended, but not for long.
    fn wait_for_end(&self) -> rustix::io::Result<()> {
        let process = pidfd_open(self.group, PidfdFlags::empty())?;
        let patience = Timespec::try_from(PATIENCE).map_err(|_| rustix::io::Errno::INVAL)?;
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience)).map(drop)
    }

    /// The processes of the group.
    fn members(&self) -> Result<Vec<u32>> {
        let mut members = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name();
            let Some(process) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            if group_of(&stat) == Some(self.group.as_raw_nonzero().get()) {
                members.push(process);
            }
        }
        Ok(members)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Asked first, so that it reaps its own children. Nothing is left to do if it is gone.
        let _ = kill_process(self.group, Signal::TERM);
        let _ = self.wait_for_end();
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A command that runs on the given cores, leads its own group and ends with this process.
pub(crate) fn pinned(cores: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "taskset", "-c", cores]).arg(program).process_group(0);
    command
}

/// The process group in a line of `/proc/…/stat`; the name before it may hold anything.
fn group_of(stat: &str) -> Option<i32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(2)?.parse().ok()
}

/// Ticks in user mode and in the kernel, of a hundredth of a second on Linux.
fn ticks_of(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_brackets() {
        let line = "12 (a) b) S 1 34 34 0 -1 4194304 1 2 3 4 250 17 5 6 20 0";
        assert_eq!(ticks_of(line), Some(267));
        assert_eq!(ticks_of("12 (a) S 1"), None);
    }

    #[test]
    fn the_group_is_found_behind_a_name_with_brackets() {
        assert_eq!(group_of("12 (a) b) S 1 34 34 0 -1"), Some(34));
        assert_eq!(group_of("12"), None);
    }

    #[test]
    fn a_group_is_measured_and_ends_with_its_owner() {
        let folder = std::env::temp_dir();
        let log = folder.join(format!("bartizan-xtask-{}.log", std::process::id()));
        let mut sleeper = Pinned::start("0", Path::new("sleep"), &["60"], &log).unwrap();
        sleeper.ensure_running().unwrap();
        assert!(sleeper.resident().unwrap() > 0);
        let process = sleeper.child().id();
        drop(sleeper);
        assert!(!Path::new(&format!("/proc/{process}")).exists());
        fs::remove_file(log).unwrap();
    }
}
