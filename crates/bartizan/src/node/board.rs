//! What the node tells people of its configuration: written by its loop, read by the Admin API.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use bartizan_admin::Aside;
use bartizan_admin::coverage::{Coverage, CoveredRoute, CoveringPlugin, Way};
use bartizan_config::{ObjectName, ResourceKind, ResourceRef};
use bartizan_core::{FoundServers, ServerHealth};
use bartizan_proxy::{ClientTls, Gateway, RouteReport, UpstreamTls, Ways};

/// The routes in force; shared with whoever looks at them, so that a change copies no route.
type Routes = Arc<Vec<Arc<RouteReport>>>;

#[derive(Default)]
struct Face {
    /// Counts the changes.
    version: u64,
    /// Nothing, before there is a configuration.
    routes: Option<Routes>,
    aside: Arc<[Aside]>,
}

/// What is said of the configuration in force. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Board {
    face: Arc<RwLock<Face>>,
    /// It ends by its own rules, whoever looks at it.
    gateway: Weak<Gateway>,
}

impl Board {
    pub(super) fn of(gateway: &Arc<Gateway>) -> Self {
        Self { gateway: Arc::downgrade(gateway), ..Self::default() }
    }

    /// The routes in force.
    pub(super) fn routes(&self) -> Routes {
        self.read().routes.clone().unwrap_or_default()
    }

    /// Other routes are in force.
    pub(super) fn replace(&self, routes: Vec<RouteReport>) {
        let routes = routes.into_iter().map(Arc::new).collect();
        let mut face = self.write();
        face.version += 1;
        face.routes = Some(Arc::new(routes));
    }

    /// Some routes are gone, and some are new or others.
    pub(super) fn amend(
        &self,
        gone: &HashSet<&str>,
        mut touched: HashMap<Arc<str>, Arc<RouteReport>>,
    ) {
        let mut face = self.write();
        // Also where no route changed: an upstream may have.
        face.version += 1;
        if gone.is_empty() && touched.is_empty() {
            return;
        }
        let routes = Arc::make_mut(face.routes.get_or_insert_default());
        if !gone.is_empty() {
            routes.retain(|route| !gone.contains(&*route.id));
        }
        for known in routes.iter_mut() {
            if let Some(route) = touched.remove(&known.id) {
                *known = route;
            }
        }
        routes.extend(touched.into_values());
    }

    /// The objects in quarantine.
    pub(super) fn aside(&self) -> Arc<[Aside]> {
        Arc::clone(&self.read().aside)
    }

    pub(super) fn set_aside(&self, aside: Arc<[Aside]>) {
        self.write().aside = aside;
    }

    /// How the servers stand of the upstream that is an object or in it, if it has checks.
    pub(super) fn health(&self, object: &ObjectName) -> Option<Vec<ServerHealth>> {
        self.gateway.upgrade()?.health(&place(object)?)
    }

    /// What a registry says of the upstream that is an object or in it, if it is asked.
    pub(super) fn found(&self, object: &ObjectName) -> Option<FoundServers> {
        self.gateway.upgrade()?.found(&place(object)?)
    }

    /// What protects the routes; `None` before there is a configuration.
    pub(super) fn coverage(&self) -> Option<Arc<dyn Coverage>> {
        let (version, routes) = {
            let face = self.read();
            (face.version, face.routes.clone()?)
        };
        // Read afterwards: what is newer than the routes is looked at anew once they are known.
        let ways = self.gateway.upgrade()?.ways()?;
        Some(Arc::new(NodeCoverage { version, routes, ways }))
    }

    fn read(&self) -> RwLockReadGuard<'_, Face> {
        self.face.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Face> {
        self.face.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an object is written.
fn place(object: &ObjectName) -> Option<ResourceRef> {
    let mut kinds = ResourceKind::ALL.into_iter();
    let kind = kinds.find(|kind| kind.collection() == &*object.collection)?;
    Some(ResourceRef { kind, id: object.id.clone() })
}

/// The routes in force, as somebody looks at them.
struct NodeCoverage {
    version: u64,
    routes: Routes,
    ways: Ways,
}

impl std::fmt::Debug for NodeCoverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeCoverage").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Coverage for NodeCoverage {
    fn version(&self) -> u64 {
        self.version
    }

    fn len(&self) -> usize {
        self.routes.len()
    }

    fn route(&self, at: usize) -> Option<CoveredRoute<'_>> {
        let route = self.routes.get(at)?;
        Some(CoveredRoute {
            id: &route.id,
            name: route.name.as_deref(),
            service: route.service_id.as_deref(),
            plugin_config: route.plugin_config_id.as_deref(),
            uris: &route.uris,
            hosts: &route.hosts,
            methods: &route.methods,
            is_enabled: route.is_enabled,
            only_answers: route.only_answers,
            proofs: route.proofs,
            is_public: route.is_public,
            reason: route.anonymous_reason.as_deref(),
        })
    }

    fn plugins(&self, at: usize) -> Vec<CoveringPlugin> {
        let stages = self.routes.get(at).map(|route| &*route.stages).unwrap_or_default();
        let all = stages.iter().flat_map(|(stage, plugins)| {
            plugins.iter().map(|plugin| CoveringPlugin {
                name: plugin.name,
                stage: *stage,
                is_conditional: plugin.is_conditional,
                from: origin(plugin.origin),
                proves: plugin.proves,
            })
        });
        all.collect()
    }

    fn way_of_clients(&self, at: usize) -> Way {
        let hosts = self.routes.get(at).map(|route| &*route.hosts).unwrap_or_default();
        match self.ways.of_clients(hosts) {
            ClientTls::Only => Way::Tls,
            ClientTls::NoCertificate(host) => Way::NoCertificate(host),
            ClientTls::OnThisMachine => Way::ThisMachine,
            ClientTls::AlsoInClear => Way::AlsoInClear,
            ClientTls::InClear => Way::InClear,
            ClientTls::Nowhere => Way::Nothing,
        }
    }

    fn way_to_upstream(&self, at: usize) -> Way {
        let origin = self.routes.get(at).and_then(|route| route.upstream.as_ref());
        let Some(origin) = origin else { return Way::Nothing };
        match self.ways.of_upstream(origin) {
            None => Way::Unknown,
            Some(UpstreamTls::Verified) => Way::Tls,
            Some(UpstreamTls::Unverified) => Way::Unverified,
            Some(UpstreamTls::InClear) => Way::InClear,
            Some(UpstreamTls::OnThisMachine) => Way::ThisMachine,
        }
    }
}

/// Where a plugin of a route may be written, in words.
fn origin(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Service => "service",
        ResourceKind::PluginConfig => "plugin config",
        ResourceKind::GlobalRule => "global rule",
        _ => "route",
    }
}
