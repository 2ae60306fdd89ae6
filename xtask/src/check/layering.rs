//! Layering: which crate may name which.
//!
//! A crate names only crates of lower layers. Crates of one layer do not know each other, so that
//! each can be read, tested and replaced alone.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The layers, lowest first.
const LAYERS: [&[&str]; 9] = [
    &["core"],
    &["config", "waf", "audit", "tls", "wire", "protos"],
    &["net"],
    &["chain", "discovery"],
    &["authz"],
    &["plugins"],
    &["store"],
    &["proxy", "admin", "secrets"],
    &["bartizan"],
];

/// The crate that only tests may name.
const TEST_ONLY: &str = "testkit";

/// What tasks may use as a library: it is one, without a gateway around it.
const USABLE_ALONE: [&str; 2] = ["config", "waf"];

/// Crates that stay free of what they are meant to be usable without.
const NEVER: [(&str, &[&str]); 3] = [
    ("core", &["tokio", "http", "hyper", "h2", "rustls"]),
    ("waf", &["tokio", "http", "http-body", "hyper", "h2", "rustls"]),
    ("protos", &["tokio", "http", "http-body", "hyper", "h2", "rustls"]),
];

/// One dependency of one crate of the workspace.
#[derive(Debug)]
struct Dependency {
    from: String,
    to: String,
    /// Whether only tests and benchmarks have it.
    dev: bool,
}

/// Fails, naming each line that goes up, if the crates are not layered.
pub(super) fn check() -> Result<()> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("metadata without packages")?;
    let names: BTreeSet<String> = packages.iter().filter_map(package_name).collect();
    let mut problems: Vec<String> =
        names.iter().filter(|name| !is_known(name)).map(|name| unplaced(name)).collect();
    problems.extend(packages.iter().flat_map(dependencies).filter_map(|line| problem(&line)));
    if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("; ")) }
}

/// The short name of a package of ours, as in `crates/`.
fn package_name(package: &Value) -> Option<String> {
    package["name"].as_str().map(short).map(str::to_owned)
}

fn short(name: &str) -> &str {
    name.strip_prefix("bartizan-").unwrap_or(name)
}

fn dependencies(package: &Value) -> Vec<Dependency> {
    let from = package_name(package).unwrap_or_default();
    let listed = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |dependency: &Value| Dependency {
        from: from.clone(),
        to: dependency["name"].as_str().map(short).unwrap_or_default().to_owned(),
        dev: dependency["kind"].as_str() == Some("dev"),
    };
    listed.iter().map(line).collect()
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

fn is_known(name: &str) -> bool {
    layer(name).is_some() || name == TEST_ONLY || name == "xtask"
}

fn unplaced(name: &str) -> String {
    format!("`{name}` has no place in the layers: give it one in xtask/src/check/layering.rs")
}

/// What is wrong with a dependency, if anything is.
fn problem(line: &Dependency) -> Option<String> {
    let Dependency { from, to, dev } = line;
    if !dev && NEVER.iter().any(|(name, never)| name == from && never.contains(&to.as_str())) {
        return Some(format!("`{from}` must do without `{to}`"));
    }
    if to == TEST_ONLY {
        return (!dev).then(|| format!("`{from}` names `{to}` outside its tests"));
    }
    let to_layer = layer(to)?;
    if from == "xtask" && !USABLE_ALONE.contains(&to.as_str()) {
        return Some(format!("`xtask` names `{to}`: it starts the gateway as others do"));
    }
    if from == "xtask" {
        return None;
    }
    // What runs in tests of the kit or of a crate does not end up in the gateway.
    let from_layer = layer(from).filter(|_| !dev)?;
    (to_layer >= from_layer).then(|| format!("`{from}` may not name `{to}`: not a lower layer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(from: &str, to: &str, dev: bool) -> Option<String> {
        problem(&Dependency { from: from.to_owned(), to: to.to_owned(), dev })
    }

    #[test]
    fn lines_down_are_allowed() {
        for (from, to) in [("net", "wire"), ("plugins", "chain"), ("bartizan", "proxy")] {
            assert_eq!(judge(from, to, false), None, "{from} → {to}");
        }
    }

    #[test]
    fn lines_up_and_sideways_are_not() {
        for (from, to) in [("wire", "net"), ("core", "chain"), ("proxy", "admin")] {
            assert!(judge(from, to, false).is_some(), "{from} → {to}");
        }
    }

    #[test]
    fn only_tests_may_name_the_kit() {
        assert_eq!(judge("plugins", "testkit", true), None);
        assert!(judge("plugins", "testkit", false).is_some());
    }

    #[test]
    fn the_rule_engine_knows_no_http_library() {
        assert!(judge("waf", "http", false).is_some());
    }

    #[test]
    fn tasks_depend_on_no_crate_of_the_gateway() {
        assert!(judge("xtask", "wire", false).is_some());
    }
}
