//! The table of contents: `docs/SUMMARY.md`, in which `cargo xtask generate` writes the plugins.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The table of contents.
pub(super) const SUMMARY: &str = "docs/SUMMARY.md";

/// The page of all plugins, as the table names it.
const PLUGINS: &str = "](reference/plugins/README.md)";

/// The folder with a page for each plugin.
pub(super) const FOLDER: &str = "docs/reference/plugins";

/// Writes a line for the page of each plugin.
pub(crate) fn write() -> Result<()> {
    let text = fs::read_to_string(SUMMARY).with_context(|| format!("cannot read {SUMMARY}"))?;
    fs::write(SUMMARY, with_plugins(&text, &plugins(Path::new(FOLDER))?))?;
    Ok(())
}

fn plugins(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name != "README" {
            names.insert(name);
        }
    }
    Ok(names)
}

/// The table with these plugins below the page of all of them, and no others.
fn with_plugins(summary: &str, names: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for line in summary.lines() {
        let is_plugin = line.starts_with(' ') && line.contains("](reference/plugins/");
        if !is_plugin {
            text.push_str(line);
            text.push('\n');
        }
        if line.contains(PLUGINS) {
            for name in names {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "    - [{name}](reference/plugins/{name}.md)");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_that_are_new_come_in_and_those_that_are_gone_go() {
        let old = "- [Plugins](reference/plugins/README.md)\n    - [b](reference/plugins/b.md)\n\
                   - [Limits](reference/limits.md)\n";
        let names = ["c", "a"].map(str::to_owned).into();
        let new = "- [Plugins](reference/plugins/README.md)\n    - [a](reference/plugins/a.md)\n    \
                   - [c](reference/plugins/c.md)\n- [Limits](reference/limits.md)\n";
        assert_eq!(with_plugins(old, &names), new);
        assert_eq!(with_plugins(new, &names), new);
    }
}
