//! Tells the binary what it was built from, and puts the plugins' module documentation into it:
//! those are the plugins' reference pages.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

const PLUGINS: &str = "../plugins/src";
/// The case files of each plugin.
const CASES: &str = "../plugins/cases";

fn main() -> io::Result<()> {
    let commit = commit().unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BARTIZAN_COMMIT={commit}");
    for variable in ["TARGET", "PROFILE"] {
        let value = env::var(variable).unwrap_or_else(|_| "unknown".to_owned());
        println!("cargo::rustc-env=BARTIZAN_{variable}={value}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PLUGINS}");
    println!("cargo::rerun-if-changed={CASES}");
    // The log of HEAD changes with each commit and checkout. A path that does not exist would make
    // every build run this again.
    let log = Path::new("../../.git/logs/HEAD");
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    write_pages()?;
    write_counts()?;
    write_refusals()
}

/// The commit that is checked out, in short; `None` outside of a repository.
fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

/// Writes `(name, documentation)` of every plugin as a Rust expression.
fn write_pages() -> io::Result<()> {
    let mut pages = Vec::new();
    collect(Path::new(PLUGINS), &mut pages)?;
    pages.sort();
    let mut code = "&[\n".to_owned();
    for (name, page) in pages {
        writeln!(code, "    ({name:?}, {page:?}),").map_err(io::Error::other)?;
    }
    code.push(']');
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(PathBuf::from(out).join("plugin_pages.rs"), code)
}

/// Writes `(name, case files, requests in them)` of every plugin as a Rust expression.
fn write_counts() -> io::Result<()> {
    let mut code = "&[\n".to_owned();
    for folder in sorted(Path::new(CASES))?.into_iter().filter(|path| path.is_dir()) {
        let (mut files, mut requests) = (0, 0);
        for file in sorted(&folder)? {
            let text = fs::read_to_string(file)?;
            files += 1;
            let tried = |line: &&str| matches!(*line, "--- request" | "--- diagnostic");
            requests += text.lines().filter(tried).count();
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        writeln!(code, "    ({name:?}, {files}, {requests}),").map_err(io::Error::other)?;
    }
    code.push(']');
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(PathBuf::from(out).join("plugin_cases.rs"), code)
}

/// Writes `(plugin, reason, status, whether in compatibility mode)` of every refusal that the cases
/// of a plugin show, as a Rust expression.
fn write_refusals() -> io::Result<()> {
    let mut code = "&[\n".to_owned();
    for folder in sorted(Path::new(CASES))?.into_iter().filter(|path| path.is_dir()) {
        let plugin = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut refusals = BTreeSet::new();
        for file in sorted(&folder)? {
            collect_refusals(&fs::read_to_string(file)?, &plugin, &mut refusals);
        }
        for (reason, status, is_compatible) in refusals {
            writeln!(code, "    ({plugin:?}, {reason:?}, {status}, {is_compatible}),")
                .map_err(io::Error::other)?;
        }
    }
    code.push(']');
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(PathBuf::from(out).join("plugin_refusals.rs"), code)
}

/// The refusals by this plugin among the events of a case.
fn collect_refusals(case: &str, plugin: &str, found: &mut BTreeSet<(String, u16, bool)>) {
    let mut is_compatible = false;
    for section in case.split("\n--- ") {
        if section.starts_with("node") {
            is_compatible = section.contains("compatibility: apisix");
        }
        let value = |key: &str| section.lines().find_map(|line| line.strip_prefix(key));
        if !section.starts_with("event") || value("plugin: ") != Some(plugin) {
            continue;
        }
        let status = value("status: ").and_then(|status| status.parse().ok());
        if let (Some(reason), Some(status)) = (value("reason: "), status) {
            found.insert((reason.to_owned(), status, is_compatible));
        }
    }
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn collect(folder: &Path, pages: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            pages.extend(page(&fs::read_to_string(path)?));
        }
    }
    Ok(())
}

/// The name of the plugin that a file implements, and the documentation of the file.
fn page(source: &str) -> Option<(String, String)> {
    let name = source.split_once("const NAME: &'static str = \"")?.1.split_once('"')?.0;
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let page: Vec<&str> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    Some((name.to_owned(), page.join("\n")))
}
