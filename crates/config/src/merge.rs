//! What holds for a route once its service and plugin config are counted in.

use std::collections::HashMap;
use std::sync::Arc;

use crate::resources::{PluginConfig, PluginUse, Resources, Route, Service, Upstream};

/// The shared objects of [`Resources`] by id, so that merging many routes costs one look each.
#[derive(Debug)]
pub struct Shared<'r> {
    services: HashMap<&'r str, &'r Service>,
    plugin_configs: HashMap<&'r str, &'r PluginConfig>,
    upstreams: HashMap<&'r str, &'r Upstream>,
}

impl<'r> Shared<'r> {
    /// The shared objects of some resources.
    pub fn new(resources: &'r Resources) -> Self {
        Self {
            services: resources.services.iter().map(|this| (&*this.id, this)).collect(),
            plugin_configs: resources.plugin_configs.iter().map(|this| (&*this.id, this)).collect(),
            upstreams: resources.upstreams.iter().map(|this| (&*this.id, this)).collect(),
        }
    }

    /// The service of a route.
    pub fn service(&self, route: &Route) -> Option<&'r Service> {
        self.services.get(route.service_id.as_deref()?).copied()
    }

    /// The plugins of a route: its own, then those of its plugin config, then those of its service
    /// that are not there yet by name. A plugin is replaced as a whole.
    pub fn plugins<'a>(&self, route: &'a Route) -> Vec<&'a PluginUse>
    where
        'r: 'a,
    {
        let mut plugins: Vec<&'a PluginUse> = route.plugins.iter().collect();
        let config = route.plugin_config_id.as_deref().and_then(|id| self.plugin_configs.get(id));
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
        let shared = |id: &Option<Arc<str>>| self.upstreams.get(id.as_deref()?).copied();
        let service = self.service(route);
        route
            .upstream
            .as_ref()
            .or_else(|| shared(&route.upstream_id))
            .or_else(|| service?.upstream.as_ref())
            .or_else(|| shared(&service?.upstream_id))
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
