//! What holds for a route once its service and plugin config are counted in.

use std::collections::HashMap;
use std::sync::Arc;

use crate::resources::{
    PluginConfig, PluginUse, ResourceKind, ResourceRef, Resources, Route, Service, Upstream,
};

/// What routes share, by id, kept for when some of it changes.
#[derive(Clone, Debug, Default)]
pub struct SharedObjects {
    services: HashMap<Arc<str>, Service>,
    plugin_configs: HashMap<Arc<str>, PluginConfig>,
    upstreams: HashMap<Arc<str>, Upstream>,
}

impl SharedObjects {
    /// Takes in the shared ones of some resources, in the place of those of the same id.
    pub fn take(&mut self, resources: &Resources) {
        for this in &resources.services {
            self.services.insert(this.id.clone(), this.clone());
        }
        for this in &resources.plugin_configs {
            self.plugin_configs.insert(this.id.clone(), this.clone());
        }
        for this in &resources.upstreams {
            self.upstreams.insert(this.id.clone(), this.clone());
        }
    }

    /// Forgets one.
    pub fn remove(&mut self, name: &ResourceRef) {
        match name.kind {
            ResourceKind::Service => drop(self.services.remove(&name.id)),
            ResourceKind::PluginConfig => drop(self.plugin_configs.remove(&name.id)),
            ResourceKind::Upstream => drop(self.upstreams.remove(&name.id)),
            _ => {}
        }
    }
}

/// The shared objects of [`Resources`] by id, so that merging many routes costs one look each.
#[derive(Debug)]
pub struct Shared<'r> {
    services: HashMap<&'r str, &'r Service>,
    plugin_configs: HashMap<&'r str, &'r PluginConfig>,
    upstreams: HashMap<&'r str, &'r Upstream>,
    /// What is not among them.
    beyond: Option<&'r SharedObjects>,
}

impl<'r> Shared<'r> {
    /// The shared objects of some resources.
    pub fn new(resources: &'r Resources) -> Self {
        Self {
            services: resources.services.iter().map(|this| (&*this.id, this)).collect(),
            plugin_configs: resources.plugin_configs.iter().map(|this| (&*this.id, this)).collect(),
            upstreams: resources.upstreams.iter().map(|this| (&*this.id, this)).collect(),
            beyond: None,
        }
    }

    /// The same, and beyond them those that did not change.
    #[must_use]
    pub fn over(self, beyond: &'r SharedObjects) -> Self {
        Self { beyond: Some(beyond), ..self }
    }

    /// The service of a route.
    pub fn service(&self, route: &Route) -> Option<&'r Service> {
        let id = route.service_id.as_deref()?;
        self.services.get(id).copied().or_else(|| self.beyond?.services.get(id))
    }

    fn plugin_config(&self, route: &Route) -> Option<&'r PluginConfig> {
        let id = route.plugin_config_id.as_deref()?;
        self.plugin_configs.get(id).copied().or_else(|| self.beyond?.plugin_configs.get(id))
    }

    fn shared_upstream(&self, id: Option<&str>) -> Option<&'r Upstream> {
        let id = id?;
        self.upstreams.get(id).copied().or_else(|| self.beyond?.upstreams.get(id))
    }

    /// The plugins of a route: its own, then those of its plugin config, then those of its service
    /// that are not there yet by name. A plugin is replaced as a whole.
    pub fn plugins<'a>(&self, route: &'a Route) -> Vec<&'a PluginUse>
    where
        'r: 'a,
    {
        let mut plugins: Vec<&'a PluginUse> = route.plugins.iter().collect();
        let config = self.plugin_config(route);
        let config = config.map_or(&[][..], |config| &config.plugins);
        let service = self.service(route).map_or(&[][..], |service| &service.plugins);
        for plugin in config.iter().chain(service) {
            if !plugins.iter().any(|known| known.name == plugin.name) {
                plugins.push(plugin);
            }
        }
        plugins
    }

    /// The upstream of a route: its own or shared one, else that of its service.
    pub fn upstream<'a>(&self, route: &'a Route) -> Option<&'a Upstream>
    where
        'r: 'a,
    {
        let shared = |id: &Option<Arc<str>>| self.shared_upstream(id.as_deref());
        let service = self.service(route);
        route
            .upstream
            .as_ref()
            .or_else(|| shared(&route.upstream_id))
            .or_else(|| service?.upstream.as_ref())
            .or_else(|| shared(&service?.upstream_id))
    }

    /// Whether connections of a route may be upgraded to WebSocket: what it says itself, else what
    /// its service says, else not.
    pub fn allows_websocket(&self, route: &Route) -> bool {
        let of_service = || self.service(route)?.enable_websocket;
        route.enable_websocket.or_else(of_service).unwrap_or(false)
    }

    /// The hosts of a route: its own, else those of its service. Empty means any.
    pub fn hosts<'a>(&self, route: &'a Route) -> &'a [String]
    where
        'r: 'a,
    {
        if !route.hosts.is_empty() {
            return &route.hosts;
        }
        self.service(route).map_or(&[], |service| &service.hosts)
    }
}

/// The plugins of a route, as [`Shared::plugins`] says.
pub fn effective_plugins<'a>(route: &'a Route, resources: &'a Resources) -> Vec<&'a PluginUse> {
    Shared::new(resources).plugins(route)
}

/// The upstream of a route, as [`Shared::upstream`] says.
pub fn effective_upstream<'a>(route: &'a Route, resources: &'a Resources) -> Option<&'a Upstream> {
    Shared::new(resources).upstream(route)
}

/// The hosts of a route, as [`Shared::hosts`] says.
pub fn effective_hosts<'a>(route: &'a Route, resources: &'a Resources) -> &'a [String] {
    Shared::new(resources).hosts(route)
}
