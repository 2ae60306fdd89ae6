//! The tests that fail and should, as `docs/security/crs.md` lists them with the reason of each.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// The page, from the root of the workspace.
const PAGE: &str = "docs/security/crs.md";

/// Compares what failed with what is written of this version of the rule set.
pub(super) fn compare<'a>(root: &Path, failed: impl Iterator<Item = &'a str>) -> Result<()> {
    let version = version(root)?;
    let page = std::fs::read_to_string(PAGE).context(PAGE)?;
    let written = listed(&page, version);
    let failed: BTreeSet<String> = failed.map(ToOwned::to_owned).collect();
    let unexplained: Vec<_> = failed.difference(&written).cloned().collect();
    let mended: Vec<_> = written.difference(&failed).cloned().collect();
    if !unexplained.is_empty() {
        bail!("{PAGE} has no reason for what fails: {}", unexplained.join(", "));
    }
    if !mended.is_empty() {
        bail!("{PAGE} says that these fail, and they pass: {}", mended.join(", "));
    }
    println!("every test that fails is in {PAGE}, with the reason");
    Ok(())
}

/// The first number of the version that the set-up file states.
fn version(root: &Path) -> Result<char> {
    let setup = std::fs::read_to_string(super::setup_file(root)?)?;
    let stated = setup.rsplit("tx.crs_setup_version=").next().unwrap_or_default();
    stated.chars().next().filter(char::is_ascii_digit).context("the set-up file has no version")
}

/// The tests in the tables below the heading of a version.
fn listed(page: &str, version: char) -> BTreeSet<String> {
    let heading = format!("Version {version}");
    let mut is_inside = false;
    let mut tests = BTreeSet::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            is_inside = title.starts_with(&heading);
        }
        if is_inside && line.starts_with('|') {
            let first = line.split('|').nth(1).unwrap_or_default();
            tests.extend(first.split('`').skip(1).step_by(2).map(ToOwned::to_owned));
        }
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_read_from_the_tables_of_their_version() {
        let page = "## Version 4\n\n| tests | reason |\n|---|---|\n| `920100-3`, `920100-4` | `OPTIONS *` |\n\
                    ## Version 3\n| `1-1` | x |\n";
        assert_eq!(listed(page, '4'), ["920100-3".to_owned(), "920100-4".to_owned()].into());
        assert_eq!(listed(page, '3'), ["1-1".to_owned()].into());
        assert!(listed(page, '5').is_empty());
    }
}
