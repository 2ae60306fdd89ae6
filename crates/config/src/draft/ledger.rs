//! What is in force of a store, object by object, so that a change is judged by itself.
//!
//! It is kept only where everything is in order. Whatever cannot be judged by looking at what
//! changed and what that touches is left to judging everything, which knows what to say and what
//! stands for what.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Document, Draft, ObjectName, PLUGINS, Pages, named, pages};
use crate::SourceId;
use crate::document::{Content, Format, Node, read};
use crate::load::Loader;
use crate::read::{Placed, Reader, Site};
use crate::resources::{Amendment, ResourceKind, ResourceRef};
use crate::schema::Rules;
use crate::sources::Sources;
use crate::terms::Terms;

/// The objects in force, and who refers to whom.
pub struct Ledger {
    objects: HashMap<ResourceRef, Arc<[u8]>>,
    dependents: HashMap<ResourceRef, HashSet<ResourceRef>>,
    /// The lists of enabled plugins.
    enabled: Vec<Enabled>,
    folder: PathBuf,
    terms: Terms,
    /// The objects come one by one, in the order of their names.
    is_keyed: bool,
    /// What a change that is not yet in force has replaced.
    before: Vec<(ResourceRef, Option<Arc<[u8]>>)>,
}

/// The member by which a plugin, whichever it is, names the proto that it is made of.
const PROTO_ID: &str = "proto_id";

/// A list of enabled plugins, which is no resource.
struct Enabled {
    /// Its name and text, where it is an object of a store.
    stored: Option<(ObjectName, Arc<[u8]>)>,
    list: Node,
}

/// Objects hold secrets: only their number is shown.
impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ledger").field(&self.objects.len()).finish()
    }
}

/// A change of one object.
#[derive(Clone)]
pub struct ObjectChange {
    /// Which.
    pub name: ObjectName,
    /// Its JSON from now on; `None` where it is gone.
    pub content: Option<Arc<[u8]>>,
}

impl Draft {
    /// The ledger of a draft that is in force; `None` where something in it is not as it is
    /// written, or is written in a way by which objects do not change by themselves.
    pub fn ledger(&self) -> Option<Ledger> {
        if !self.fates.is_empty() {
            return None;
        }
        let mut ledger = Ledger {
            objects: HashMap::with_capacity(self.stored.len()),
            dependents: HashMap::new(),
            enabled: Vec::new(),
            folder: self.folder.clone(),
            terms: self.terms.clone(),
            is_keyed: self.documents.is_empty(),
            before: Vec::new(),
        };
        if !ledger.is_keyed {
            let document = self.lone_document()?;
            let list = document.root.get(PLUGINS).cloned();
            ledger.enabled.extend(list.map(|list| Enabled { stored: None, list }));
            self.sources.folder(document.root.place.source).clone_into(&mut ledger.folder);
            let objects = pages::objects(document)?;
            ledger.objects.reserve(objects.len());
            for (name, node) in objects {
                ledger.link(&name, node);
                let content = node.to_json().to_string().into_bytes();
                ledger.objects.insert(name, content.into());
            }
            return Some(ledger);
        }
        for stored in &self.stored {
            let node = stored.node.as_ref().ok()?;
            if &*stored.name.collection == PLUGINS {
                let stored = Some((stored.name.clone(), stored.content.clone()));
                ledger.enabled.push(Enabled { stored, list: node.clone() });
                continue;
            }
            let name = reference(&stored.name)?;
            ledger.link(&name, node);
            ledger.objects.insert(name, stored.content.clone());
        }
        Some(ledger)
    }

    /// The pages of a draft whose ledger is of a document.
    pub fn pages(&self) -> Option<Pages> {
        let document = self.lone_document().filter(|_| self.fates.is_empty())?;
        let text = self.sources.text(document.root.place.source);
        // A mark at the start would be a part of the first line.
        let is_plain = !text.starts_with('\u{feff}') && !text.contains("\n---");
        is_plain.then(|| Pages::of(document, text))
    }

    /// The only document, where it is one of YAML and nothing comes from elsewhere.
    fn lone_document(&self) -> Option<&Document> {
        let [document] = &*self.documents else { return None };
        let source = document.root.place.source;
        // What one of ADC says stands in other places than what is made of it.
        let is_plain = self.sources.format(source) == Format::Yaml
            && !self.sources.is_reshaped(source)
            && !document.is_inline;
        (is_plain && self.stored.is_empty()).then_some(document)
    }
}

impl Ledger {
    /// The objects in force, with their names in the store, the lists of enabled plugins included.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectName, &[u8])> {
        let resources = self.objects.iter();
        let resources = resources.map(|(name, content)| (stored_as(name), &**content));
        let lists = self.enabled.iter().filter_map(|enabled| enabled.stored.as_ref());
        resources.chain(lists.map(|(name, content)| (name.clone(), &**content)))
    }

    /// The text of an object in force.
    pub(super) fn content(&self, name: &ResourceRef) -> Option<&[u8]> {
        self.objects.get(name).map(|content| &**content)
    }

    /// The change that was taken in is in force.
    pub fn keep(&mut self) {
        self.before.clear();
    }

    /// The change that was taken in is not in force: everything is as before.
    pub fn restore(&mut self) {
        for (name, content) in std::mem::take(&mut self.before).into_iter().rev() {
            // What was read before can be read again.
            let _ = self.exchange(&name, content.as_ref());
        }
        self.before.clear();
    }

    /// Takes changes in and gives what has to be compiled for them; `None` where everything has to
    /// be judged, whether because something is at fault or because it concerns everything. Whether
    /// that is put into force is told by [`Self::keep`] or [`Self::restore`].
    pub fn amend(&mut self, loader: &Loader<'_>, changes: &[ObjectChange]) -> Option<Amendment> {
        let mut gone = Vec::new();
        let mut touched = BTreeSet::new();
        for change in changes {
            let name = reference(&change.name).filter(|name| stands_alone(name.kind))?;
            self.exchange(&name, change.content.as_ref())?;
            if change.content.is_none() {
                gone.push(name.clone());
            }
            touched.insert(name);
        }
        if gone.iter().any(|name| self.dependents.contains_key(name)) {
            return None;
        }
        let names = self.closure(touched);
        let put = self.judge(loader, &names)?;
        gone.retain(|name| name.kind.parent().is_none());
        Some(Amendment { put, gone, between: HashMap::new() })
    }

    /// Puts the new text of an object in the place of the old one.
    fn exchange(&mut self, name: &ResourceRef, content: Option<&Arc<[u8]>>) -> Option<()> {
        let before = self.objects.remove(name);
        self.before.push((name.clone(), before.clone()));
        if let Some(node) = before.and_then(|before| node_of(SourceId(0), name, &before)) {
            self.unlink(name, &node);
        }
        if let Some(content) = content {
            let node = node_of(SourceId(0), name, content)?;
            self.link(name, &node);
            self.objects.insert(name.clone(), content.clone());
        }
        Some(())
    }

    fn link(&mut self, name: &ResourceRef, node: &Node) {
        for target in targets(name, node) {
            self.dependents.entry(target).or_default().insert(name.clone());
        }
    }

    fn unlink(&mut self, name: &ResourceRef, node: &Node) {
        for target in targets(name, node) {
            if let Some(known) = self.dependents.get_mut(&target) {
                known.remove(name);
                if known.is_empty() {
                    self.dependents.remove(&target);
                }
            }
        }
    }

    /// What has to be read for these: they themselves, routes for what they take their plugins and
    /// hosts from, and what has others below it together with those.
    fn closure(&self, touched: BTreeSet<ResourceRef>) -> BTreeSet<ResourceRef> {
        let dependents = |name: &ResourceRef| self.dependents.get(name).into_iter().flatten();
        let mut names = BTreeSet::new();
        for name in touched {
            match name.kind {
                ResourceKind::Service | ResourceKind::PluginConfig => {
                    names.extend(dependents(&name).cloned());
                }
                // Plugins are made of it, and routes of those.
                ResourceKind::Proto => {
                    for user in dependents(&name) {
                        names.extend(self.with_plugins_of(user));
                        names.insert(user.clone());
                    }
                }
                ResourceKind::Consumer => names.extend(dependents(&name).cloned()),
                ResourceKind::Credential | ResourceKind::GraphqlCost => {
                    if let Some(owner) = name.owner() {
                        names.extend(dependents(&owner).cloned());
                        names.insert(owner);
                    }
                }
                _ => {}
            }
            names.insert(name);
        }
        names.retain(|name| self.objects.contains_key(name));
        names
    }

    /// What takes its plugins from an object: the routes of a service or plugin config, a consumer
    /// for what is written in one of its keys.
    fn with_plugins_of(&self, name: &ResourceRef) -> BTreeSet<ResourceRef> {
        match name.kind {
            ResourceKind::Service
            | ResourceKind::PluginConfig
            | ResourceKind::Consumer
            | ResourceKind::Credential => self.closure(BTreeSet::from([name.clone()])),
            _ => BTreeSet::new(),
        }
    }

    fn judge(
        &self,
        loader: &Loader<'_>,
        names: &BTreeSet<ResourceRef>,
    ) -> Option<crate::Resources> {
        let mut sources = Sources::new();
        let mut nodes = Vec::with_capacity(names.len());
        for name in names {
            let text = std::str::from_utf8(self.objects.get(name)?).ok()?;
            // The text itself is not shown: a problem makes everything be read again.
            let source = sources.add("", &self.folder, String::new());
            nodes.push((name.kind, node_of(source, name, text.as_bytes())?));
        }
        let resolver = self.terms.resolver(loader.surroundings());
        let rules = Rules::new(&resolver, self.terms.accepts_fail_open);
        let exists =
            |kind, id: &str| self.objects.contains_key(&ResourceRef { kind, id: id.into() });
        let reader = Reader::new(&rules, loader.plugins(), &sources);
        let mut reader = reader.with_others(&exists);
        for enabled in &self.enabled {
            reader.enabled_plugins(&Site::root(&enabled.list));
        }
        let placed =
            |(kind, node)| Placed { kind: listed_as(kind), site: Site::root(node), index: 0 };
        let objects: Vec<Placed<'_>> =
            nodes.iter().map(|(kind, node)| placed((*kind, node))).collect();
        let mut resources = reader.objects(&objects);
        resources.is_keyed = self.is_keyed;
        let is_clean = reader.finish().0.is_empty() && !resolver.is_unfinished();
        is_clean.then_some(resources)
    }
}

/// The name of an object of a store among resources.
fn reference(name: &ObjectName) -> Option<ResourceRef> {
    let collection = &*name.collection;
    let kind = ResourceKind::ALL.into_iter().find(|kind| kind.collection() == collection)?;
    let kind = kind.of_id(&name.id);
    // A copy of its own: what was read lies between what is about to be freed.
    Some(ResourceRef { kind, id: Arc::from(&*name.id) })
}

/// What stands below another object stands among those.
pub(super) fn listed_as(kind: ResourceKind) -> ResourceKind {
    kind.parent().map_or(kind, |(parent, _)| parent)
}

/// The objects that concern only those that name them.
pub(super) fn stands_alone(kind: ResourceKind) -> bool {
    match kind {
        ResourceKind::Route
        | ResourceKind::Service
        | ResourceKind::Upstream
        | ResourceKind::Consumer
        | ResourceKind::Credential
        | ResourceKind::GraphqlCost
        | ResourceKind::ConsumerGroup
        | ResourceKind::PluginConfig
        | ResourceKind::Proto => true,
        ResourceKind::GlobalRule
        | ResourceKind::Ssl
        | ResourceKind::PluginMetadata
        | ResourceKind::Secret => false,
    }
}

fn node_of(source: SourceId, name: &ResourceRef, content: &[u8]) -> Option<Node> {
    let text = std::str::from_utf8(content).ok()?;
    let node = read(source, text, Format::Json).ok()?;
    named(node, &stored_as(name)).ok()
}

fn stored_as(name: &ResourceRef) -> ObjectName {
    ObjectName { collection: listed_as(name.kind).collection().into(), id: name.id.clone() }
}

/// The protos that plugins of an object are made of, whichever plugins those are.
fn protos(node: &Node) -> impl Iterator<Item = ResourceRef> {
    let plugins = node.get("plugins").map(Node::members).unwrap_or_default();
    plugins.iter().filter_map(|plugin| {
        let id = match &plugin.value.get(PROTO_ID)?.content {
            Content::Text(text) => text.as_str().into(),
            Content::Number(number) => number.to_string().into(),
            _ => return None,
        };
        Some(ResourceRef { kind: ResourceKind::Proto, id })
    })
}

/// What an object refers to.
fn targets(name: &ResourceRef, node: &Node) -> Vec<ResourceRef> {
    let keys: &[(&str, ResourceKind)] = match name.kind {
        ResourceKind::Route => &[
            ("service_id", ResourceKind::Service),
            ("plugin_config_id", ResourceKind::PluginConfig),
            ("upstream_id", ResourceKind::Upstream),
        ],
        ResourceKind::Service => &[("upstream_id", ResourceKind::Upstream)],
        ResourceKind::Consumer => &[("group_id", ResourceKind::ConsumerGroup)],
        _ => &[],
    };
    let named = keys.iter().filter_map(|(key, kind)| {
        let id = match &node.get(key)?.content {
            Content::Text(text) => text.as_str().into(),
            Content::Number(number) => number.to_string().into(),
            _ => return None,
        };
        Some(ResourceRef { kind: *kind, id })
    });
    named.chain(name.owner()).chain(protos(node)).collect()
}
