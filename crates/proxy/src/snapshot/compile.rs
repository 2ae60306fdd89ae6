//! One compilation, from resources to a snapshot.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use bartizan_chain::NodeFacts;
use bartizan_config::{
    FoundIn, Invalid, NodeConfig, Place, PluginMetadata, PluginUse, Requirement, ResourceKind,
    ResourceRef, Resources, Shared,
};
use bartizan_core::RouterMode;
use bartizan_discovery::Registries;
use bartizan_net::EgressPolicy;
use bartizan_tls::UpstreamConfigs;

use super::certificates::ListenerCertificates;
use super::fault::{CompileFault, Warning};
use super::parameters::parameters_read_in;
use super::plugins::Compiled;
use super::protos::StoodProto;
use super::routes::Routes;
use super::standing::Standing;
use super::upstreams::Means;
use super::{ProbedNow, Report, Snapshot, Upstream, overlap};

/// Where upstreams may not be, as far as the node file says it.
fn own_addresses(config: &NodeConfig) -> Vec<SocketAddr> {
    let listeners = config.listeners.iter().map(|listener| listener.address);
    let admin = config.admin.as_ref().map(|admin| admin.listen);
    listeners.chain(admin).collect()
}

/// Compiles the resources of one node, again and again.
pub(crate) struct Compiler {
    node: Arc<NodeFacts>,
    listeners: ListenerCertificates,
    upstream_tls: UpstreamConfigs,
    means: Means,
    registries: Registries,
    require: Vec<Requirement>,
    router: RouterMode,
    merges_slashes: bool,
    deletes_tail_slash: bool,
    /// What the snapshot in force was compiled from, as far as a change needs it.
    pub(super) standing: Option<Standing>,
}

impl Compiler {
    /// A compiler for a node; fails where a certificate of its listeners cannot be served.
    pub(crate) fn new(
        node: Arc<NodeFacts>,
        config: &NodeConfig,
    ) -> Result<Self, Vec<CompileFault>> {
        let listeners = ListenerCertificates::read(config, &node.clock)?;
        let means = Means {
            egress: EgressPolicy {
                own: own_addresses(config),
                danger_allow_link_local: config.danger_allow_link_local,
            },
            pools: Arc::default(),
            idle: (node.limits.upstream_idle, node.limits.upstream_idle_time.0),
            has_parameters: config.router.has_parameters(),
        };
        let (reach, counts) = (node.outside.reach.clone(), node.counts.clone());
        let registries = Registries::new(&config.discovery, reach, &node.clock, counts);
        let at_fault = |invalid| vec![CompileFault::of_node("the registries", invalid)];
        Ok(Self {
            registries: registries.map_err(at_fault)?,
            node,
            listeners,
            upstream_tls: UpstreamConfigs::default(),
            means,
            require: config.security.require.clone(),
            router: config.router,
            merges_slashes: config.merge_slashes,
            deletes_tail_slash: config.delete_uri_tail_slash,
            standing: None,
        })
    }

    /// Keeps what a snapshot that is put into force was compiled from.
    pub(crate) fn stand(&mut self, standing: Standing) {
        self.standing = Some(standing);
    }

    /// Takes the listeners' certificates that a node file has now. What else it says about
    /// listeners cannot change while they are open; such a file changes nothing.
    /// Gives back what was in force, so that it can be put back.
    pub(crate) fn renew(
        &mut self,
        config: &NodeConfig,
    ) -> Result<Option<ListenerCertificates>, Vec<CompileFault>> {
        if !self.listeners.fits(config) {
            return Ok(None);
        }
        let renewed = self.listeners.renewed(config, &self.node.clock)?;
        Ok(Some(std::mem::replace(&mut self.listeners, renewed)))
    }

    /// Puts back what [`Self::renew`] gave.
    pub(crate) fn restore(&mut self, listeners: ListenerCertificates) {
        self.listeners = listeners;
    }

    /// Compiles resources, or says everything that is wrong with them, in the order of the
    /// document. Of `previous` is kept what did not change.
    pub(crate) fn compile(
        &self,
        resources: &Resources,
        generation: u64,
        previous: Option<&Snapshot>,
    ) -> Result<Snapshot, Vec<CompileFault>> {
        self.compile_all(resources, generation, previous).map(|(snapshot, _)| snapshot)
    }

    /// The same, with what changes of it need.
    pub(crate) fn compile_all(
        &self,
        resources: &Resources,
        generation: u64,
        previous: Option<&Snapshot>,
    ) -> Result<(Snapshot, Standing), Vec<CompileFault>> {
        let mut cx = Compilation::new(self, resources, previous);
        cx.compile_protos();
        cx.find_running();
        cx.check_unused();
        let global = resources.global_rules.iter().flat_map(|rule| &rule.plugins);
        let global_uses: Vec<&PluginUse> = global.collect();
        let global = cx.chain(global_uses.iter().copied());
        let callers = cx.callers();
        let global = Arc::new(global);
        let Routes { router, reports, covers, chains, stood } = cx.routes(&global, &global_uses);
        let tls = self.listeners.compile(&mut cx, previous);
        cx.warnings.extend(overlap::warnings(&covers, self.router));
        if !cx.faults.is_empty() {
            let mut faults = cx.faults;
            faults.sort_by_key(|fault| {
                fault.place.map_or((u32::MAX, u32::MAX), |place| (place.source.0, place.start))
            });
            return Err(faults);
        }
        let mut standing = Standing::of(resources, global.clone());
        standing.take(&cx, chains, stood);
        let mut upstreams = bartizan_chain::SharedMap::default();
        let mut probed = Vec::new();
        for (origin, upstream) in &cx.upstreams {
            if let Some(upstream) = upstream {
                probed.extend(upstream.health.clone());
                upstreams.insert((*origin).clone(), upstream.clone());
            }
        }
        let snapshot = Snapshot {
            generation,
            router,
            global: global.chain.clone(),
            consumers: Arc::new(callers.index),
            profiles: callers.profiles,
            tls,
            upstreams,
            report: Report { routes: reports, warnings: cx.warnings },
            probed: ProbedNow::All(probed),
        };
        Ok((snapshot, standing))
    }
}

/// What is gathered while resources are compiled.
pub(super) struct Compilation<'a> {
    pub(super) node: &'a NodeFacts,
    pub(super) resources: &'a Resources,
    pub(super) shared: Shared<'a>,
    pub(super) require: &'a [Requirement],
    pub(super) router: RouterMode,
    /// The node takes several slashes of a path for one.
    pub(super) merges_slashes: bool,
    /// The node takes the slash from the end of each path.
    pub(super) deletes_tail_slash: bool,
    pub(super) upstream_tls: &'a UpstreamConfigs,
    pub(super) means: &'a Means,
    pub(super) registries: &'a Registries,
    pub(super) previous: Option<&'a Snapshot>,
    /// What did not change, where only a change is compiled.
    pub(super) base: Option<&'a Standing>,
    /// What did, then.
    pub(super) changed: HashSet<(ResourceKind, &'a str)>,
    /// Plugins of services and plugin configs that are in a route in service.
    running: HashSet<(&'a ResourceRef, &'a str)>,
    /// Routes out of service.
    resting: HashSet<&'a str>,
    /// The consumers and groups that plugins asked for.
    pub(super) referred: RefCell<HashSet<(ResourceKind, Arc<str>)>>,
    /// Protos by id; `None` where one is at fault.
    pub(super) protos: HashMap<&'a str, Option<StoodProto>>,
    /// Whether the plugin that compiles asked for one that is at fault.
    pub(super) asked_for_broken: Cell<bool>,
    /// Those that are in force.
    pub(super) protos_before: Option<&'a HashMap<Arc<str>, StoodProto>>,
    pub(super) metadata: HashMap<&'a str, &'a PluginMetadata>,
    pub(super) consumers: HashSet<&'a str>,
    pub(super) groups: HashSet<&'a str>,
    /// Plugins by where they are written; `None` where one is at fault.
    pub(super) compiled: HashMap<(&'a ResourceRef, &'a str), Option<Compiled>>,
    /// Upstreams by where they are written; `None` where one is at fault.
    pub(super) upstreams: HashMap<&'a ResourceRef, Option<Arc<Upstream>>>,
    /// The services that upstreams are found by; `None` before there is one.
    pub(super) services: Option<HashSet<&'a FoundIn>>,
    /// Upstreams of which exposure was told.
    pub(super) exposed: HashSet<&'a ResourceRef>,
    pub(super) faults: Vec<CompileFault>,
    pub(super) warnings: Vec<Warning>,
}

impl<'a> Compilation<'a> {
    pub(super) fn new(
        compiler: &'a Compiler,
        resources: &'a Resources,
        previous: Option<&'a Snapshot>,
    ) -> Self {
        Self {
            node: &compiler.node,
            resources,
            shared: Shared::new(resources),
            require: &compiler.require,
            router: compiler.router,
            merges_slashes: compiler.merges_slashes,
            deletes_tail_slash: compiler.deletes_tail_slash,
            upstream_tls: &compiler.upstream_tls,
            means: &compiler.means,
            registries: &compiler.registries,
            previous,
            base: None,
            changed: HashSet::new(),
            running: HashSet::new(),
            resting: HashSet::new(),
            referred: RefCell::default(),
            protos: HashMap::new(),
            asked_for_broken: Cell::new(false),
            protos_before: compiler.standing.as_ref().map(|standing| &standing.protos),
            metadata: resources.plugin_metadata.iter().map(|this| (&*this.name, this)).collect(),
            consumers: resources.consumers.iter().map(|this| &*this.username).collect(),
            groups: resources.consumer_groups.iter().map(|this| &*this.id).collect(),
            compiled: HashMap::new(),
            upstreams: HashMap::new(),
            services: None,
            exposed: HashSet::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Finds which plugins will run. Of what is shared by routes that did not change nothing is
    /// asked, since those hold it.
    pub(super) fn find_running(&mut self) {
        let mut known = HashSet::new();
        for written in &self.resources.routes {
            if !written.is_enabled {
                self.resting.insert(&written.id);
                continue;
            }
            let shared_by = (written.service_id.as_deref(), written.plugin_config_id.as_deref());
            if shared_by == (None, None) || written.plugins.is_empty() && !known.insert(shared_by) {
                continue;
            }
            let uses = self.shared.plugins(written).into_iter();
            let shared = uses.filter(|used| used.origin.kind != ResourceKind::Route);
            self.running.extend(shared.map(|used| (&used.origin, &*used.name)));
        }
    }

    /// Whether a plugin is compiled only to know that it is sound.
    pub(super) fn is_resting(&self, used: &PluginUse) -> bool {
        let origin = &used.origin;
        used.meta.disable
            || match origin.kind {
                ResourceKind::Route => self.resting.contains(&*origin.id),
                ResourceKind::Service | ResourceKind::PluginConfig => {
                    !self.running.contains(&(origin, &*used.name))
                }
                _ => false,
            }
    }

    /// Compiles what no route may refer to: it must be sound on the day when one does.
    pub(super) fn check_unused(&mut self) {
        let resources = self.resources;
        let services = resources.services.iter().flat_map(|service| &service.plugins);
        let shared = resources.plugin_configs.iter().flat_map(|config| &config.plugins);
        for used in services.chain(shared) {
            self.plugin_anew(used);
        }
        let of_services = resources.services.iter().filter_map(|service| service.upstream.as_ref());
        let of_routes = resources.routes.iter().filter_map(|route| route.upstream.as_ref());
        for upstream in resources.upstreams.iter().chain(of_services).chain(of_routes) {
            self.upstream_anew(upstream);
        }
        self.check_client_certificates();
        self.check_metadata();
    }

    /// Formats of logs read variables, too, whichever plugin takes them.
    fn check_metadata(&mut self) {
        if self.router.has_parameters() {
            return;
        }
        for written in &self.resources.plugin_metadata {
            for fault in parameters_read_in(&written.config) {
                self.fault(written.place, format!("metadata of `{}`", written.name), fault);
            }
        }
    }

    /// Whether the object is one of those that changed.
    pub(super) fn is_changed(&self, kind: ResourceKind, id: &str) -> bool {
        self.changed.contains(&(kind, id))
    }

    /// Whether there is a consumer or group of that name; it is noted that a plugin asked.
    pub(super) fn has_caller(&self, kind: ResourceKind, name: &str) -> bool {
        self.referred.borrow_mut().insert((kind, name.into()));
        let names = if kind == ResourceKind::Consumer { &self.consumers } else { &self.groups };
        names.contains(name)
            || !self.is_changed(kind, name)
                && self.base.is_some_and(|base| match kind {
                    ResourceKind::Consumer => self
                        .previous
                        .is_some_and(|snapshot| snapshot.consumers.by_name(name).is_some()),
                    _ => base.groups.contains(name),
                })
    }

    /// Tells a fault of the value inside the resource at `place`.
    pub(super) fn fault(&mut self, place: Place, subject: impl Into<String>, invalid: Invalid) {
        self.faults.push(CompileFault::of(place, subject, invalid));
    }

    /// Tells that a route has not what is asked of every route.
    pub(super) fn lack(
        &mut self,
        place: Place,
        subject: impl Into<String>,
        requirement: Requirement,
        invalid: Invalid,
    ) {
        let fault = CompileFault::of(place, subject, invalid);
        self.faults.push(CompileFault { lacks: Some(requirement), ..fault });
    }
}
