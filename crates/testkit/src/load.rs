//! Configuration out of text.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use bartizan_config::{
    Diagnostic, Failure, Loader, NodeConfig, Resources, Sources, Surroundings, one_line,
};
use bartizan_plugins::Catalogue;
use bartizan_proxy::CompileFault;
use serde_json::{Map, Value, json};

/// The name that diagnostics give to the resources.
const RESOURCES: &str = "resources.yaml";
/// The name that diagnostics give to the node file.
const NODE: &str = "bartizan.yaml";

/// A configuration that was refused.
#[derive(Debug)]
pub struct Refusal {
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
}

impl Refusal {
    /// Each problem in one line: `resources.yaml:2:3: problem (at path); help`.
    pub fn lines(&self) -> Vec<String> {
        self.diagnostics.iter().map(|problem| one_line(&self.sources, problem)).collect()
    }

    pub(crate) fn compiling(sources: Sources, faults: &[CompileFault]) -> Self {
        let diagnostics = faults.iter().map(|fault| fault.diagnostic(&sources)).collect();
        Self { sources, diagnostics }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { sources: failure.sources, diagnostics: failure.diagnostics }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

/// Files and variables that a configuration refers to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Things {
    pub(crate) files: BTreeMap<String, String>,
    /// Files that are no text, which only plugins read.
    pub(crate) databases: BTreeMap<String, Vec<u8>>,
    pub(crate) variables: BTreeMap<String, String>,
}

impl Surroundings for Things {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &Path, _limit: u64) -> io::Result<Vec<u8>> {
        let known = path.to_str().and_then(|path| self.files.get(path));
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        known.map(|text| text.clone().into_bytes()).ok_or_else(missing)
    }
}

/// The node of a test: one listener, no folding of events, and what `yaml` adds or replaces.
pub(crate) fn node(yaml: &str, things: &Things) -> Result<NodeConfig, Refusal> {
    let mut node = to_json(yaml);
    let defaults = json!({
        "listeners": [{"address": "127.0.0.1:9080"}],
        "workers": 1,
        "limits": {"audit_fold": 1_000_000},
        "resources": {},
    });
    merge(&mut node, &defaults);
    let loader = Loader::new(&Catalogue).with_surroundings(things);
    let loaded = loader.node_text(Path::new(NODE), &Value::Object(node).to_string())?;
    Ok(loaded.node)
}

/// Resources, with the documents to show problems that are found later.
pub(crate) fn resources(
    node: &NodeConfig,
    text: &str,
    things: &Things,
) -> Result<(Resources, Sources), Refusal> {
    let loader = Loader::new(&Catalogue).with_surroundings(things);
    let loaded = loader.resources_text(node, Path::new(RESOURCES), text)?;
    Ok((loaded.resources, loaded.sources))
}

/// A YAML mapping as JSON; panics where it is none.
pub(crate) fn to_json(yaml: &str) -> Map<String, Value> {
    match yaml_value(yaml) {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        other => panic!("expected a mapping, found {other}"),
    }
}

/// YAML as JSON; panics where it is not YAML.
pub(crate) fn yaml_value(yaml: &str) -> Value {
    let mut sources = Sources::new();
    let source = sources.add("text.yaml", Path::new(""), yaml.to_owned());
    match sources.read(source) {
        Ok(node) => node.to_json(),
        Err(problems) => {
            let lines: Vec<String> =
                problems.iter().map(|problem| one_line(&sources, problem)).collect();
            panic!("{}\n{yaml}", lines.join("\n"))
        }
    }
}

/// Adds what is missing.
fn merge(into: &mut Map<String, Value>, defaults: &Value) {
    for (key, value) in defaults.as_object().into_iter().flatten() {
        match into.get_mut(key) {
            Some(Value::Object(own)) => merge(own, value),
            Some(_) => {}
            None => drop(into.insert(key.clone(), value.clone())),
        }
    }
}
