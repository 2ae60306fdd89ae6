//! Pages that a plugin has once per node, whichever resources use it.

use std::sync::Arc;

use bartizan_chain::{CompileCx, Page};
use bartizan_config::{ResourceKind, ResourceRef};

/// The page of the plugin that compiles, at `path`: there as long as an instance of it is in force.
pub(crate) fn node_page<P: Page + 'static>(
    cx: &CompileCx<'_>,
    path: &'static str,
    make: impl FnOnce() -> P,
) -> Arc<P> {
    let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(cx.plugin) };
    let page = cx.node.registry.state(&node, cx.plugin, "page".into(), make);
    cx.node.pages.add(path, &page);
    page
}
