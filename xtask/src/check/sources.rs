//! The files of the project, as the textual checks read them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Folders that hold what the project wrote.
const ROOTS: [&str; 9] =
    [".cargo", ".ci", ".config", "bench", "crates", "docs", "examples", "fuzz", "xtask"];

/// Folders below them that do not: build output and corpora.
const SKIPPED: [&str; 3] = ["target", "corpus", "node_modules"];

/// Text files, by their endings.
const TEXTS: [&str; 9] = ["rs", "toml", "yaml", "yml", "json", "md", "sh", "case", "cfg"];

/// One text file.
pub(crate) struct Source {
    /// Its path from the root of the workspace.
    pub(crate) path: PathBuf,
    /// What is in it.
    pub(crate) text: String,
}

impl Source {
    /// Reads all text files of the project.
    pub(crate) fn read_all() -> Result<Vec<Self>> {
        let mut sources = Vec::new();
        let mut folders: Vec<PathBuf> =
            ROOTS.iter().map(PathBuf::from).filter(|folder| folder.is_dir()).collect();
        for entry in fs::read_dir(".")? {
            let path = PathBuf::from(entry?.file_name());
            if path.is_file() && is_text(&path) {
                sources.push(Self::read(path)?);
            }
        }
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    if !path.file_name().is_some_and(|name| SKIPPED.iter().any(|s| name == *s)) {
                        folders.push(path);
                    }
                } else if is_text(&path) {
                    sources.push(Self::read(path)?);
                }
            }
        }
        sources.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(sources)
    }

    fn read(path: PathBuf) -> Result<Self> {
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, text: String::from_utf8_lossy(&text).into_owned() })
    }

    /// Whether this is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "rs")
    }

    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        let folder = self.path.components().any(|part| part.as_os_str() == "tests");
        folder || self.path.file_stem().is_some_and(|name| name == "tests")
    }

    /// The names of the tests in this file.
    pub(crate) fn tests(&self) -> impl Iterator<Item = &str> {
        let rust = if self.is_rust() { self.text.as_str() } else { "" };
        let mut marked = false;
        rust.lines().filter_map(move |line| {
            let line = line.trim();
            if line.starts_with("#[") {
                marked |= line.contains("test]") || line.contains("test(");
                return None;
            }
            let Some(name) = function_name(line) else {
                // A comment may stand between the mark and its function; code may not. Macros of
                // property tests mark functions as ordinary tests do.
                marked &= line.is_empty() || line.starts_with("//");
                return None;
            };
            std::mem::take(&mut marked).then_some(name)
        })
    }
}

fn is_text(path: &Path) -> bool {
    let ending = path.extension().map(|extension| extension.to_string_lossy());
    ending.is_some_and(|ending| TEXTS.contains(&ending.as_ref())) || path.ends_with(".ci/run")
}

/// The name of the function that a line begins to define.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let modifiers = ["", "pub", "async", "pub async", "pub(crate)", "pub(super)"];
    if !modifiers.contains(&before.trim()) {
        return None;
    }
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some(&after[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(text: &str) -> Source {
        Source { path: "crates/core/src/lib.rs".into(), text: text.to_owned() }
    }

    #[test]
    fn tests_are_found_by_their_mark() {
        let source = rust(
            "fn helper() {}\n#[test]\nfn one() {}\n#[tokio::test(start_paused = true)]\n\
             // why\nasync fn two() {}\n#[derive(Debug)]\nstruct S;\nfn three() {}\n",
        );
        assert_eq!(source.tests().collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn documents_have_no_tests() {
        let source = Source { path: "docs/a.md".into(), text: "#[test]\nfn one() {}".into() };
        assert_eq!(source.tests().count(), 0);
    }
}
