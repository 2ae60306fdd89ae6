//! Packages of npm that tests read: documents and databases as the world has them.

use std::path::{Path, PathBuf};

/// The folder of a package, one of those in `npm/package.json` beside this crate. `cargo xtask test`
/// fetches them, so `None` is for who runs tests without it or without network: such a test passes
/// without looking. The line that says so is hidden by runners that keep the output of what passes.
pub fn npm_package(name: &str) -> Option<PathBuf> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/npm/node_modules");
    let folder = modules.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!(
        "skipped: npm's `{name}` is not in {}; `cargo xtask test` fetches it",
        modules.display()
    );
    None
}
