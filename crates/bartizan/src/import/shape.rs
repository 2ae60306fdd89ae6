//! Which kind of file a file is.

use std::path::Path;

use bartizan_config::{Sources, Surroundings, System};
use bartizan_core::Limits;
use serde_json::Value;

use crate::failure::{Failure, plain};

/// Keys that only the node file of Apache APISIX has.
const OF_A_NODE: [&str; 9] = [
    "apisix",
    "deployment",
    "nginx_config",
    "plugin_attr",
    "etcd",
    "discovery",
    "wasm",
    "stream_plugins",
    "graphql",
];

/// A file of Apache APISIX.
pub(super) enum Shape {
    /// `config.yaml`: listeners, plugins, stores.
    Node(Value),
    /// Routes and other resources.
    Resources,
}

/// Looks at a file.
pub(super) fn of(path: &Path) -> Result<Shape, Failure> {
    let limit = Limits::default().document.0;
    if matches!(System.folder(path), Ok(Some(_))) {
        return Ok(Shape::Resources);
    }
    let content = System.file(path, limit).map_err(|cause| {
        Failure::new(format!("cannot read `{}`: {}", path.display(), plain(&cause)))
    })?;
    let mut sources = Sources::new();
    let folder = path.parent().unwrap_or(Path::new(""));
    let (source, problem) = sources.add_bytes(&path.to_string_lossy(), folder, content);
    let read = match problem {
        Some(problem) => Err(vec![problem]),
        None => sources.read(source),
    };
    let root = match read {
        Ok(root) => root.to_json(),
        Err(problems) => return Err(Failure::Misconfigured { sources, problems }),
    };
    let is_node = OF_A_NODE.iter().any(|key| root.get(key).is_some());
    Ok(if is_node { Shape::Node(root) } else { Shape::Resources })
}
