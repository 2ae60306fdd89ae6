//! Packages of PyPI that tests run: clients of others, pinned by lock files with digests.
//!
//! Each lock file is a folder of its own, since clients bring modules of the same name. pip
//! verifies the digests, and builds nothing: only wheels are taken.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::tools;

/// Where the lock files are.
const LOCKS: &str = "crates/testkit/pypi";

/// Where the packages go. Tests look there.
const FOLDER: &str = "target/tools/pypi";

/// The name under which a folder keeps the lock file that it was made from.
const STAMP: &str = "lock.txt";

/// Fetches the packages of every lock file, unless they are there.
pub(crate) fn fetch() -> Result<()> {
    locks(Path::new(LOCKS))?.iter().try_for_each(|lock| install(lock))
}

fn locks(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut locks = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    locks.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    locks.sort();
    Ok(locks)
}

fn install(lock: &Path) -> Result<()> {
    let name = lock.file_stem().context("a lock file without a name")?;
    let folder = std::path::absolute(Path::new(FOLDER).join(name))?;
    let written = fs::read(lock)?;
    if fs::read(folder.join(STAMP)).is_ok_and(|stamp| stamp == written) {
        return Ok(());
    }
    println!("   fetching the packages of {} into {}", lock.display(), folder.display());
    let unfinished = folder.with_extension("unfinished");
    for old in [&unfinished, &folder] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    let mut pip = tools::pip_into(&unfinished);
    pip.args(["--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement"]);
    if !tools::run_quietly(pip.arg(lock))? {
        bail!("pip could not fetch the packages of {}", lock.display());
    }
    fs::write(unfinished.join(STAMP), written)?;
    fs::rename(&unfinished, &folder)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_one_version_and_a_digest() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(LOCKS);
        let locks = locks(&folder).unwrap();
        assert_eq!(locks.len(), 3, "{locks:?}");
        for lock in locks {
            let text = fs::read_to_string(&lock).unwrap();
            for package in text.replace("\\\n", "").lines() {
                let (name, digests) = package.split_once(' ').unwrap();
                assert!(name.contains("=="), "{package}");
                let mut digests = digests.split_whitespace().peekable();
                assert!(digests.peek().is_some(), "{package}");
                assert!(digests.all(|digest| digest.len() == "--hash=sha256:".len() + 64));
            }
        }
    }
}
