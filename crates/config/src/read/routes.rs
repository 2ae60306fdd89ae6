//! Routes, services, plugin configs, global rules.

use std::sync::Arc;

use bartizan_core::{PathPatternFault, check_path_pattern};
use serde_json::Value;

use super::{Reader, Site};
use crate::diagnostic::Invalid;
use crate::resources::{GlobalRule, PluginConfig, ResourceKind, ResourceRef, Route, Service};
use crate::wire::{GlobalRuleWire, Host, Labels, PluginConfigWire, RouteWire, ServiceWire};
use crate::words::quoted;

impl Reader<'_> {
    pub(super) fn route(&mut self, site: &Site<'_>, id: Arc<str>) -> Option<Route> {
        let origin = ResourceRef { kind: ResourceKind::Route, id: Arc::clone(&id) };
        let plugins = self.plugins(site, &origin);
        let wire: RouteWire = self.wire(site, ResourceKind::Route)?;
        let before = self.diagnostics.len();
        self.one_of(site, "uri", "uris");
        self.one_of(site, "host", "hosts");
        self.one_of(site, "remote_addr", "remote_addrs");
        self.one_of(site, "upstream", "upstream_id");
        if let Some(uri) = &wire.uri {
            self.uri(site, Invalid::at("uri", ""), uri);
        }
        for (index, uri) in wire.uris.iter().flatten().enumerate() {
            self.uri(site, Invalid::at_item("uris", index, ""), uri);
        }
        if wire.uri.is_none() && wire.uris.is_none() {
            self.invalid(site, &Invalid::new("`uri` or `uris` is required"));
        }
        let answers = ["plugins", "upstream", "upstream_id", "service_id", "plugin_config_id"];
        if answers.iter().all(|key| site.node.get(key).is_none()) {
            let problem = "a route needs `upstream`, `upstream_id`, `service_id` or `plugins`";
            self.invalid(site, &Invalid::new(problem));
        }
        let upstream = site.child("upstream").zip(wire.upstream.as_ref());
        let upstream = upstream.and_then(|(site, wire)| self.upstream(&site, wire, &origin));
        let timeout = wire.timeout.and_then(|wire| self.timeouts(site, &["timeout"], wire));
        let mut link = |key: &str, kind, id: &Option<_>| {
            self.link(site, &Invalid::at(key, ""), kind, id.as_ref())
        };
        let plugin_config_id =
            link("plugin_config_id", ResourceKind::PluginConfig, &wire.plugin_config_id);
        let service_id = link("service_id", ResourceKind::Service, &wire.service_id);
        let upstream_id = link("upstream_id", ResourceKind::Upstream, &wire.upstream_id);
        if self.diagnostics.len() > before {
            return None;
        }
        let addresses = wire.remote_addr.into_iter().chain(wire.remote_addrs.into_iter().flatten());
        Some(Route {
            id,
            name: wire.name.map(|name| name.0.into()),
            uris: wire.uri.into_iter().chain(wire.uris.into_iter().flatten()).collect(),
            hosts: hosts(wire.host.into_iter().chain(wire.hosts.into_iter().flatten())),
            methods: wire.methods.into_iter().flatten().map(|method| method.0).collect(),
            remote_addrs: addresses.map(|network| network.0).collect(),
            vars: wire.vars.map(Value::Array),
            priority: wire.priority,
            is_enabled: wire.status != Some(0),
            plugins,
            plugin_config_id,
            service_id,
            upstream_id,
            upstream,
            timeout,
            enable_websocket: wire.enable_websocket,
            labels: labels(wire.labels),
            place: site.node.place,
        })
    }

    pub(super) fn service(&mut self, site: &Site<'_>, id: Arc<str>) -> Option<Service> {
        let origin = ResourceRef { kind: ResourceKind::Service, id: Arc::clone(&id) };
        let plugins = self.plugins(site, &origin);
        let wire: ServiceWire = self.wire(site, ResourceKind::Service)?;
        let before = self.diagnostics.len();
        self.one_of(site, "upstream", "upstream_id");
        let upstream = site.child("upstream").zip(wire.upstream.as_ref());
        let upstream = upstream.and_then(|(site, wire)| self.upstream(&site, wire, &origin));
        let path = Invalid::at("upstream_id", "");
        let upstream_id = self.link(site, &path, ResourceKind::Upstream, wire.upstream_id.as_ref());
        (self.diagnostics.len() == before).then(|| Service {
            id,
            name: wire.name.map(|name| name.0.into()),
            hosts: hosts(wire.hosts.into_iter().flatten()),
            plugins,
            upstream_id,
            upstream,
            enable_websocket: wire.enable_websocket,
            graphql_costs: None,
            place: site.node.place,
        })
    }

    pub(super) fn plugin_config(&mut self, site: &Site<'_>, id: Arc<str>) -> Option<PluginConfig> {
        let origin = ResourceRef { kind: ResourceKind::PluginConfig, id: Arc::clone(&id) };
        let plugins = self.plugins(site, &origin);
        let _: PluginConfigWire = self.wire(site, ResourceKind::PluginConfig)?;
        Some(PluginConfig { id, plugins, place: site.node.place })
    }

    pub(super) fn global_rule(&mut self, site: &Site<'_>, id: Arc<str>) -> Option<GlobalRule> {
        let origin = ResourceRef { kind: ResourceKind::GlobalRule, id: Arc::clone(&id) };
        let plugins = self.plugins(site, &origin);
        let _: GlobalRuleWire = self.wire(site, ResourceKind::GlobalRule)?;
        Some(GlobalRule { id, plugins, place: site.node.place })
    }

    /// Two keys for the same thing may not be given both.
    fn one_of(&mut self, site: &Site<'_>, one: &str, other: &str) {
        if site.node.get(one).is_some() && site.node.get(other).is_some() {
            let problem = format!("only one of {} or {} may be given", quoted(one), quoted(other));
            self.invalid(site, &Invalid::at(other, problem));
        }
    }

    /// Refuses paths that never match, or that mean something else than they seem to.
    fn uri(&mut self, site: &Site<'_>, at: Invalid, uri: &str) {
        let Err(PathPatternFault { problem, help }) = check_path_pattern(uri) else { return };
        let problem = format!("the path {} {problem}", quoted(uri));
        self.invalid(site, &Invalid { path: at.path, problem, help: Some(help.to_owned()) });
    }
}

pub(super) fn labels(labels: Option<Labels>) -> Vec<(Arc<str>, Arc<str>)> {
    let labels = labels.unwrap_or_default().0;
    labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

fn hosts(hosts: impl Iterator<Item = Host>) -> Vec<String> {
    hosts.map(|host| host.0.to_ascii_lowercase()).collect()
}
