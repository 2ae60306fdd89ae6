//! The servers that registries name, as the node tells them and as people read them.

use bartizan_core::{FoundServer, FoundServers};
use serde_json::{Value, json};

use crate::api::cut;

/// What was found as the API tells it; servers as `nodes` have them.
pub(crate) fn told(found: &FoundServers) -> Value {
    let node = |server: &FoundServer| {
        json!({
            "host": &*server.host,
            "port": server.port,
            "weight": server.weight,
            "priority": server.priority,
        })
    };
    let nodes: Option<Vec<Value>> =
        found.servers.as_ref().map(|servers| servers.iter().map(node).collect());
    json!({
        "service": cut(&found.service),
        "nodes": nodes,
        "failing": found.failing.as_deref().map(cut),
    })
}
