//! What the snapshot in force was compiled from, as far as compiling a change of it needs that.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bartizan_config::{
    PluginMetadata, PluginUse, ResourceKind, ResourceRef, Resources, SharedObjects,
};

use super::compile::Compilation;
use super::plugins::{Assembled, Compiled};
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
    /// Compiled plugins of what routes share.
    plugins: HashMap<ResourceRef, Vec<(Arc<str>, Compiled)>>,
    chains: HashMap<SharedBy, Assembled>,
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
            plugins: HashMap::new(),
            chains: HashMap::new(),
            routes: HashMap::with_capacity(resources.routes.len()),
            global,
            global_uses: uses.cloned().collect(),
            referred: HashSet::new(),
            exposed: HashSet::new(),
            is_blocked: !resources.blocked.is_empty(),
            is_keyed: resources.is_keyed,
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
        for (origin, plugins) in parts.plugins {
            self.plugins.insert(origin, plugins);
        }
        self.chains.extend(parts.chains);
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
                self.chains.retain(|(service, _), _| service.as_ref() != Some(&name.id));
            }
            ResourceKind::PluginConfig => {
                self.chains.retain(|(_, config), _| config.as_ref() != Some(&name.id));
            }
            ResourceKind::Route => drop(self.routes.remove(&name.id)),
            ResourceKind::ConsumerGroup => drop(self.groups.remove(&name.id)),
            _ => {}
        }
        self.exposed.remove(name);
    }

    /// A compiled plugin of something that is shared.
    pub(super) fn plugin(&self, origin: &ResourceRef, name: &str) -> Option<&Compiled> {
        let plugins = self.plugins.get(origin)?;
        plugins.iter().find(|(known, _)| **known == *name).map(|(_, compiled)| compiled)
    }

    /// The chain of a route that has no plugins of its own.
    pub(super) fn chain(&self, written: &bartizan_config::Route) -> Option<Assembled> {
        let key = (written.service_id.clone(), written.plugin_config_id.clone());
        self.chains.get(&key).cloned()
    }
}

/// What of a compilation outlives it.
pub(super) struct Parts {
    plugins: HashMap<ResourceRef, Vec<(Arc<str>, Compiled)>>,
    chains: HashMap<SharedBy, Assembled>,
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
            let is_shared = matches!(
                origin.kind,
                ResourceKind::Service | ResourceKind::PluginConfig | ResourceKind::GlobalRule
            );
            // What is disabled ends here, with its pages and whatever else it has outside of chains.
            let kept = compiled.as_ref().filter(|compiled| is_shared && !compiled.is_disabled);
            if let Some(compiled) = kept {
                let of_origin = plugins.entry((*origin).clone()).or_default();
                of_origin.push(((*name).into(), compiled.clone()));
            }
        }
        let owned = |id: Option<&str>| id.map(Arc::from);
        let chains = chains.into_iter();
        Self {
            plugins,
            chains: chains.map(|((s, c), made)| ((owned(s), owned(c)), made)).collect(),
            stood,
            referred: cx.referred.take(),
            exposed: cx.exposed.iter().map(|origin| (*origin).clone()).collect(),
        }
    }
}
