//! Ids: what exists, what is given twice, what is referred to but does not exist.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Placed, Reader, Site};
use crate::diagnostic::{Invalid, Place};
use crate::document::{Content, Node};
use crate::resources::ResourceKind;
use crate::wire::Id;
use crate::words::{did_you_mean, quoted};

/// The lists of a declarative document that are read. Credentials stand among the consumers.
pub(crate) const READ: [ResourceKind; 11] = [
    ResourceKind::Route,
    ResourceKind::Service,
    ResourceKind::Upstream,
    ResourceKind::Consumer,
    ResourceKind::ConsumerGroup,
    ResourceKind::PluginConfig,
    ResourceKind::GlobalRule,
    ResourceKind::Ssl,
    ResourceKind::PluginMetadata,
    ResourceKind::Secret,
    ResourceKind::Proto,
];

/// What stands between a consumer's name and the id of its credential.
pub(crate) const CREDENTIALS: &str = "/credentials/";

/// Most problems after which near ids are still sought.
const GUESSES_MAX: usize = 100;

/// Every id of the document, also of objects that have other problems.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    known: HashMap<ResourceKind, BTreeMap<Arc<str>, Place>>,
    /// Certificates for upstreams.
    client_ssls: Vec<Arc<str>>,
}

/// The id of an object; without one, its position counts, as in Apache APISIX.
pub(crate) fn id_of(kind: ResourceKind, node: &Node, index: usize) -> Arc<str> {
    let key = if kind == ResourceKind::Consumer && node.get("username").is_some() {
        "username"
    } else {
        "id"
    };
    match node.get(key).map(|id| &id.content) {
        Some(Content::Text(id)) => id.as_str().into(),
        Some(Content::Number(id)) => id.to_string().into(),
        _ => (index + 1).to_string().into(),
    }
}

impl Reader<'_> {
    /// Notes the ids of an object.
    pub(super) fn collect_id(&mut self, object: &Placed<'_>) {
        let Placed { kind, site, index } = object;
        let item = site.node;
        if !matches!(item.content, Content::Map(_)) {
            return;
        }
        let id = id_of(*kind, item, *index);
        let key = if item.get("id").is_some() { "id" } else { "username" };
        let kind = kind.of_id(&id);
        self.add_id(kind, &id, site, site.at(key));
        if kind == ResourceKind::Consumer {
            self.collect_credentials(site, &id);
        }
        if kind == ResourceKind::Service {
            self.collect_decorations(site, &id);
        }
        if kind == ResourceKind::Ssl && item.get("type").and_then(Node::as_text) == Some("client") {
            Arc::make_mut(&mut self.ids).client_ssls.push(id);
        }
    }

    fn collect_credentials(&mut self, consumer: &Site<'_>, username: &str) {
        let Some(list) = consumer.child("credentials") else { return };
        for (index, item) in list.node.items().iter().enumerate() {
            let site = list.item(index, item);
            let id = id_of(ResourceKind::Credential, item, index);
            let id = id.rsplit('/').next().unwrap_or_default();
            let id: Arc<str> = format!("{username}{CREDENTIALS}{id}").into();
            self.add_id(ResourceKind::Credential, &id, &site, site.at("id"));
        }
    }

    pub(super) fn add_id(
        &mut self,
        kind: ResourceKind,
        id: &Arc<str>,
        site: &Site<'_>,
        here: Place,
    ) {
        let known = Arc::make_mut(&mut self.ids).known.entry(kind).or_default();
        if let Some(&first) = known.get(id) {
            let problem = format!("the {} {} is given twice", kind.noun(), quoted(id));
            let help = format!("the first one is at {}", self.sources.position_text(first));
            let site = Site { here, ..site.clone() };
            self.invalid(&site, &Invalid::new(problem).with_help(help));
        } else {
            known.insert(Arc::clone(id), here);
        }
    }

    /// True if an object of that kind is in the document.
    pub(super) fn exists(&self, kind: ResourceKind, id: &str) -> bool {
        self.ids.known.get(&kind).is_some_and(|known| known.contains_key(id))
            || self.beyond.is_some_and(|beyond| beyond(kind, id))
    }

    /// The help line that names the nearest id of that kind.
    pub(super) fn nearest_id(&self, kind: ResourceKind, id: &str) -> Option<String> {
        // Looking for near names costs more than anything else here: a flood of problems does not.
        if self.diagnostics.len() > GUESSES_MAX {
            return None;
        }
        let known = self.ids.known.get(&kind).into_iter().flat_map(BTreeMap::keys);
        did_you_mean(id, known.map(|name| &**name))
    }

    /// The id under `key`, which must exist.
    pub(super) fn link(
        &mut self,
        site: &Site<'_>,
        path: &Invalid,
        kind: ResourceKind,
        id: Option<&Id>,
    ) -> Option<Arc<str>> {
        let id = &id?.0;
        let (exists, what) = if kind == ResourceKind::Ssl {
            let exists = self.ids.client_ssls.iter().any(|known| **known == **id);
            (exists, "ssl of type client")
        } else {
            (self.exists(kind, id), kind.noun())
        };
        if !exists {
            let help = if self.exists(kind, id) {
                Some("the ssl of that id is of type server: write `type: client` in it".to_owned())
            } else {
                self.nearest_id(kind, id)
            };
            let problem = format!("there is no {what} {}", quoted(id));
            self.invalid(site, &Invalid { path: path.path.clone(), problem, help });
        }
        Some(id.as_str().into())
    }
}
