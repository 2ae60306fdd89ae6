//! What the snapshot in force was compiled from, as far as compiling a change of it needs that.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use bartizan_chain::Chain;
use bartizan_config::{
    PluginMetadata, PluginUse, ResourceKind, ResourceRef, Resources, SharedObjects,
};
use bartizan_plugins::AnyPlugin;

use super::compile::Compilation;
use super::held::Held;
use super::plugins::{Assembled, Compiled};
use super::protos::StoodProto;
use super::route::Route;
use super::routes::SharedChains;
use crate::router::Order;

/// The service and plugin config from which routes take all of their plugins.
type SharedBy = (Option<Arc<str>>, Option<Arc<str>>);

/// A route in force, with what it was added to the router by.
pub(super) struct Stood {
    pub(super) route: Arc<Route>,
    pub(super) hosts: Box<[String]>,
    pub(super) uris: Box<[String]>,
    pub(super) priority: i64,
    pub(super) is_enabled: bool,
    pub(super) order: Order,
}

impl Stood {
    pub(super) fn new(
        written: &bartizan_config::Route,
        hosts: &[String],
        route: Arc<Route>,
        order: Order,
    ) -> Self {
        Self {
            route,
            order,
            hosts: hosts.into(),
            uris: written.uris.as_slice().into(),
            priority: written.priority,
            is_enabled: written.is_enabled,
        }
    }
}

/// What there is beside the snapshot itself.
pub(crate) struct Standing {
    pub(super) shared: SharedObjects,
    pub(super) metadata: HashMap<Arc<str>, PluginMetadata>,
    pub(super) groups: HashSet<Arc<str>>,
    pub(super) protos: HashMap<Arc<str>, StoodProto>,
    /// Compiled plugins of what routes share.
    plugins: HashMap<ResourceRef, Vec<Kept>>,
    chains: Held<SharedBy, Chain<AnyPlugin>>,
    pub(super) routes: HashMap<Arc<str>, Stood>,
    pub(super) global: Arc<Assembled>,
    pub(super) global_uses: Vec<PluginUse>,
    /// Consumers and groups that plugins refer to by name.
    pub(super) referred: HashSet<(ResourceKind, Arc<str>)>,
    /// Upstreams of which exposure was told, where there was any.
    pub(super) exposed: HashSet<ResourceRef>,
    /// Whether there is a route that is in quarantine.
    pub(super) is_blocked: bool,
    /// Whether objects came one by one, in the order of their names.
    pub(super) is_keyed: bool,
    /// How many changes were compiled by themselves since everything was.
    pub(super) amended: u32,
}

/// A compiled plugin as long as a chain in force holds it: what nobody runs is not there, with its
/// pages and whatever else it has outside of chains.
struct Kept {
    name: Arc<str>,
    plugin: Weak<AnyPlugin>,
    error_response: Option<(Arc<str>, bool)>,
    priority: i32,
}

impl Kept {
    fn of(name: Arc<str>, compiled: Compiled) -> Self {
        let Compiled { plugin, error_response, priority } = compiled;
        Self { name, plugin: Arc::downgrade(&plugin), error_response, priority }
    }

    fn compiled(&self) -> Option<Compiled> {
        let (error_response, priority) = (self.error_response.clone(), self.priority);
        Some(Compiled { plugin: self.plugin.upgrade()?, error_response, priority })
    }
}

impl Standing {
    /// What concerns everything.
    pub(super) fn of(resources: &Resources, global: Arc<Assembled>) -> Self {
        let uses = resources.global_rules.iter().flat_map(|rule| &rule.plugins);
        let metadata = resources.plugin_metadata.iter();
        Self {
            shared: SharedObjects::default(),
            metadata: metadata.map(|this| (this.name.clone(), this.clone())).collect(),
            groups: HashSet::new(),
            protos: HashMap::new(),
            plugins: HashMap::new(),
            chains: Held::default(),
            routes: HashMap::with_capacity(resources.routes.len()),
            global,
            global_uses: uses.cloned().collect(),
            referred: HashSet::new(),
            exposed: HashSet::new(),
            is_blocked: !resources.blocked.is_empty(),
            is_keyed: resources.is_keyed,
            amended: 0,
        }
    }

    /// Takes in what was compiled.
    pub(super) fn take(
        &mut self,
        cx: &Compilation<'_>,
        chains: SharedChains<'_>,
        stood: Vec<(Arc<str>, Stood)>,
    ) {
        self.take_parts(Parts::of(cx, chains, stood), cx.resources);
    }

    /// Takes in what was compiled of a change.
    pub(super) fn take_parts(&mut self, parts: Parts, resources: &Resources) {
        self.shared.take(resources);
        self.groups.extend(resources.consumer_groups.iter().map(|group| group.id.clone()));
        self.protos.extend(parts.protos);
        for (origin, plugins) in parts.plugins {
            let known = self.plugins.entry(origin).or_default();
            for (name, compiled) in plugins {
                known.retain(|kept| kept.name != name);
                known.push(Kept::of(name, compiled));
            }
        }
        for (shared_by, made) in parts.chains {
            self.chains.insert(shared_by, &made.chain);
        }
        self.routes.extend(parts.stood);
        self.referred.extend(parts.referred);
        self.exposed.extend(parts.exposed);
    }

    /// Forgets what was made of an object that changed or is gone.
    pub(super) fn forget(&mut self, name: &ResourceRef) {
        self.shared.remove(name);
        self.plugins.remove(name);
        match name.kind {
            ResourceKind::Service => {
                self.chains.retain(|(service, _)| service.as_ref() != Some(&name.id));
            }
            ResourceKind::PluginConfig => {
                self.chains.retain(|(_, config)| config.as_ref() != Some(&name.id));
            }
            ResourceKind::Route => drop(self.routes.remove(&name.id)),
            ResourceKind::ConsumerGroup => drop(self.groups.remove(&name.id)),
            ResourceKind::Proto => drop(self.protos.remove(&name.id)),
            _ => {}
        }
        self.exposed.remove(name);
    }

    /// A compiled plugin of something that is shared, where some route has it.
    pub(super) fn plugin(&self, origin: &ResourceRef, name: &str) -> Option<Compiled> {
        self.plugins.get(origin)?.iter().find(|kept| *kept.name == *name)?.compiled()
    }

    /// The chain of a route that has no plugins of its own, where another route has it.
    pub(super) fn chain(&self, written: &bartizan_config::Route) -> Option<Assembled> {
        let key = (written.service_id.clone(), written.plugin_config_id.clone());
        // Where one that belongs into it is at fault, nothing is put into force.
        Some(Assembled { chain: self.chains.get(&key)?, is_whole: true })
    }
}

/// What of a compilation outlives it.
pub(super) struct Parts {
    plugins: HashMap<ResourceRef, Vec<(Arc<str>, Compiled)>>,
    chains: HashMap<SharedBy, Assembled>,
    protos: Vec<(Arc<str>, StoodProto)>,
    stood: Vec<(Arc<str>, Stood)>,
    referred: HashSet<(ResourceKind, Arc<str>)>,
    exposed: Vec<ResourceRef>,
}

impl Parts {
    pub(super) fn of(
        cx: &Compilation<'_>,
        chains: SharedChains<'_>,
        stood: Vec<(Arc<str>, Stood)>,
    ) -> Self {
        let mut plugins: HashMap<ResourceRef, Vec<(Arc<str>, Compiled)>> = HashMap::new();
        for ((origin, name), compiled) in &cx.compiled {
            let is_shared =
                matches!(origin.kind, ResourceKind::Service | ResourceKind::PluginConfig);
            let is_held = |compiled: &&Compiled| Arc::strong_count(&compiled.plugin) > 1;
            let kept = compiled.as_ref().filter(is_held).filter(|_| is_shared);
            if let Some(compiled) = kept {
                let of_origin = plugins.entry((*origin).clone()).or_default();
                of_origin.push(((*name).into(), compiled.clone()));
            }
        }
        let owned = |id: Option<&str>| id.map(Arc::from);
        let chains = chains.into_iter();
        let protos = cx.protos.iter();
        let protos = protos.filter_map(|(id, made)| Some(((*id).into(), made.clone()?)));
        Self {
            plugins,
            chains: chains.map(|((s, c), (made, _))| ((owned(s), owned(c)), made)).collect(),
            protos: protos.collect(),
            stood,
            referred: cx.referred.take(),
            exposed: cx.exposed.iter().map(|origin| (*origin).clone()).collect(),
        }
    }
}
