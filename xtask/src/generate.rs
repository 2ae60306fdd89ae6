//! `cargo xtask generate`: the reference documents and schemas, written by the gateway itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::costs;
use crate::site::summary;

/// Where the generated documents are kept.
const REFERENCE: &str = "docs/reference";

/// Where they are written for comparison.
const SCRATCH: &str = "target/reference";

/// Options of the task.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if what is there is not what would be written.
    #[arg(long)]
    check: bool,
}

/// Runs the task.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check {
        return is_current();
    }
    write_all(Path::new(REFERENCE))?;
    summary::write()
}

/// Fails, naming the files, if the documents are not what the gateway would write now.
pub(crate) fn is_current() -> Result<()> {
    if !Path::new(REFERENCE).exists() {
        println!("   {REFERENCE} is not there: there is nothing to compare");
        return Ok(());
    }
    write_all(Path::new(SCRATCH))?;
    let differing = differences(&contents(Path::new(REFERENCE))?, &contents(Path::new(SCRATCH))?);
    if differing.is_empty() {
        return Ok(());
    }
    bail!("not current in {REFERENCE}: {}; run `cargo xtask generate`", differing.join(", "))
}

fn write_all(folder: &Path) -> Result<()> {
    // A gateway that does not build must not cost what is there.
    let built = Command::new("cargo").args(["build", "--quiet", "--package", "bartizan"]).status();
    if !built.context("cannot start cargo")?.success() {
        bail!("`bartizan` does not build");
    }
    // What the gateway no longer writes must not linger.
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--package", "bartizan", "--", "reference", "--out"]);
    let status = command.arg(folder).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("`bartizan reference` ended with {status}");
    }
    costs::write_page(folder)
}

type Documents = BTreeMap<PathBuf, Vec<u8>>;

fn contents(root: &Path) -> Result<Documents> {
    let mut documents = Documents::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read(&path)?;
                documents.insert(path.strip_prefix(root)?.to_owned(), text);
            }
        }
    }
    Ok(documents)
}

fn differences(kept: &Documents, fresh: &Documents) -> Vec<String> {
    let names: BTreeSet<_> = kept.keys().chain(fresh.keys()).collect();
    let differing = names.into_iter().filter(|name| kept.get(*name) != fresh.get(*name));
    differing.map(|name| name.display().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_missing_and_surplus_documents_are_named() {
        let document = |name: &str, text: &str| (PathBuf::from(name), text.as_bytes().to_vec());
        let kept = Documents::from([document("a", "1"), document("b", "1"), document("c", "1")]);
        let fresh = Documents::from([document("a", "1"), document("b", "2"), document("d", "1")]);
        assert_eq!(differences(&kept, &fresh), ["b", "c", "d"]);
    }
}
