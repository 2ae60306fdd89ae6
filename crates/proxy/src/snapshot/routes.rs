//! Routes: what holds for each once its plugin config, service and upstream are counted in.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_chain::{Chain, ChainBuilder, Expr, PluginSet, RouteFacts, Var};
use bartizan_config::{Invalid, PathStep, PluginUse, ResourceKind};
use bartizan_core::has_path_names;
use bartizan_plugins::AnyPlugin;
use http::Method;

use super::compile::Compilation;
use super::fault::Warning;
use super::order::written_at;
use super::overlap::{Cover, has_conditions};
use super::plugins::Assembled;
use super::report::{Outline, RouteReport};
use super::require::Guarded;
use super::route::{Conditions, Route, canonical_network};
use super::standing::Stood;
use crate::router::{Order, Router};

/// The plugin that answers preflights.
const CORS: &str = "cors";

/// Every route, compiled.
pub(super) struct Routes<'a> {
    pub(super) router: Router<Route>,
    pub(super) reports: Vec<RouteReport>,
    /// What each enabled route covers, to find those that others fall through to; none where no
    /// route has conditions.
    pub(super) covers: Vec<Cover<'a>>,
    pub(super) chains: SharedChains<'a>,
    pub(super) stood: Vec<(Arc<str>, Stood)>,
}

/// By service and plugin config.
pub(super) type SharedChains<'a> =
    HashMap<(Option<&'a str>, Option<&'a str>), (Assembled, Outline)>;

/// What is the same for all routes.
pub(super) struct Ground<'g, 'a> {
    pub(super) global: &'g Assembled,
    pub(super) global_uses: &'g [&'a PluginUse],
    /// Chains of routes without plugins of their own.
    pub(super) chains: SharedChains<'a>,
    /// The conditions of routes that have none.
    unconditional: Arc<Conditions>,
    /// The chain of routes out of service: what theirs would have holds pages and connections.
    nothing: Arc<Chain<AnyPlugin>>,
}

impl<'g, 'a> Ground<'g, 'a> {
    pub(super) fn new(global: &'g Assembled, global_uses: &'g [&'a PluginUse]) -> Self {
        Self {
            global,
            global_uses,
            chains: HashMap::new(),
            unconditional: Arc::default(),
            nothing: Arc::new(ChainBuilder::new().build()),
        }
    }
}

/// A compiled route, and what holds for it.
pub(super) struct Made<'a> {
    pub(super) route: Arc<Route>,
    pub(super) hosts: &'a [String],
    pub(super) report: RouteReport,
}

impl<'a> Compilation<'a> {
    /// Compiles every route; those out of service only to know that they are sound.
    pub(super) fn routes(
        &mut self,
        global: &Assembled,
        global_uses: &[&'a PluginUse],
    ) -> Routes<'a> {
        let mut router = Router::new(self.router);
        // First, since of routes with one path and priority the one that is added first counts.
        self.block(&mut router);
        let blocked = self.resources.blocked.len();
        let mut reports = Vec::with_capacity(self.resources.routes.len());
        // Where nobody falls through to others, nobody asks what covers what.
        let is_conditional = self.resources.routes.iter().any(has_conditions);
        let mut covers = Vec::new();
        let mut stood = Vec::with_capacity(self.resources.routes.len());
        let mut ground = Ground::new(global, global_uses);
        for (at, written) in self.resources.routes.iter().enumerate() {
            let Made { route, hosts, report } = self.route(written, &mut ground);
            let order = self.order(&route.facts.id, blocked + at);
            if written.is_enabled {
                router.add(&route, hosts, &written.uris, written.priority, &order);
                covers.extend(is_conditional.then(|| Cover::new(written, hosts, &report)));
            }
            stood.push((route.facts.id.clone(), Stood::new(written, hosts, route, order)));
            reports.push(report);
        }
        Routes { router, reports, covers, chains: ground.chains, stood }
    }

    /// Which of routes with the same path and priority comes first.
    fn order(&self, id: &Arc<str>, at: usize) -> Order {
        if self.resources.is_keyed { Order::Name(id.clone()) } else { written_at(at) }
    }

    /// Compiles a route.
    pub(super) fn route(
        &mut self,
        written: &'a bartizan_config::Route,
        ground: &mut Ground<'_, 'a>,
    ) -> Made<'a> {
        self.check_paths(written);
        let uses = self.shared.plugins(written);
        let (Assembled { chain, is_whole }, outline) = self.route_chain(written, &uses, ground);
        let (global, global_uses) = (ground.global, ground.global_uses);
        let upstream = self.shared.upstream(written);
        let compiled_upstream = upstream.and_then(|upstream| self.upstream(upstream));
        let allows_websocket = self.shared.allows_websocket(written);
        if allows_websocket && upstream.is_some_and(|upstream| upstream.scheme.is_http2()) {
            let problem = "a WebSocket cannot go to an upstream of gRPC, which speaks HTTP/2";
            let help = "remove `enable_websocket`, or say `false` where the service allows it";
            let subject = format!("route `{}`", written.id);
            let invalid = Invalid::at("enable_websocket", problem).with_help(help);
            self.fault(written.place, subject, invalid);
        }
        let conditions = self.conditions(written, [&*chain, &global.chain]);
        let conditions = conditions.map_or_else(|| ground.unconditional.clone(), Arc::new);
        let hosts = self.shared.hosts(written);
        let mut report = RouteReport::new(written, hosts, outline, upstream);
        report.declare(&uses);
        if written.is_enabled {
            self.expose(upstream, chain.only_answers());
            // What a plugin at fault would prove is not known: its own fault is enough.
            if is_whole && global.is_whole {
                let (report, uses) = (&report, &uses);
                self.require(&Guarded { written, upstream, report, uses, global_uses });
            }
        }
        let route = Arc::new(Route {
            facts: self.facts(written),
            chain: if written.is_enabled { chain } else { ground.nothing.clone() },
            upstream: compiled_upstream,
            body_max: self.node.limits.body.0,
            conditions,
            timeout: written.timeout,
            is_blocked: false,
            allows_websocket,
        });
        if report.is_enabled && report.is_public && report.anonymous_reason.is_none() {
            self.warnings.push(Warning {
                subject: format!("route `{}`", report.id),
                problem: format!(
                    "route `{}` is open to everyone, and no reason is given",
                    report.id
                ),
                help: Some("declare `anonymous-access: {reason: …}` on it".into()),
            });
        }
        Made { route, hosts, report }
    }

    /// Refuses paths that this node never sees, or reads otherwise than they are written.
    fn check_paths(&mut self, written: &bartizan_config::Route) {
        for uri in &written.uris {
            let (problem, help) = if has_path_names(uri) && !self.router.has_parameters() {
                let help = "say `router: radixtree_uri_with_parameter` in the node file, or end \
                            the path with `*`";
                (format!("the path `{uri}` has parameters, which this node's router has not"), help)
            } else if self.deletes_tail_slash && uri.len() > 1 && uri.ends_with('/') {
                let problem = format!(
                    "the path `{uri}` is none, since this node takes the slash from the end"
                );
                (problem, "write it without, or with `*` behind it")
            } else if self.merges_slashes && uri.contains("//") {
                let problem = format!(
                    "the path `{uri}` is none, since this node takes several slashes for one"
                );
                (problem, "write one slash")
            } else {
                continue;
            };
            let subject = format!("route `{}`", written.id);
            self.fault(written.place, subject, Invalid::new(problem).with_help(help));
        }
    }

    /// A path as requests have it on this node.
    fn as_asked(&self, uri: &str) -> String {
        let mut asked = uri.to_owned();
        while self.merges_slashes && asked.contains("//") {
            asked = asked.replace("//", "/");
        }
        if self.deletes_tail_slash {
            asked.truncate(asked.trim_end_matches('/').len().max(1));
        }
        asked
    }

    /// Routes in quarantine own their hosts and paths, so that nothing falls through to a wider one.
    fn block(&mut self, router: &mut Router<Route>) {
        let chain = self.chain(std::iter::empty()).chain;
        for (written, at) in self.resources.blocked.iter().zip(0..) {
            let methods = written.methods.iter();
            let methods = methods.filter_map(|method| Method::from_bytes(method.as_bytes()).ok());
            let facts = RouteFacts {
                id: written.id.clone(),
                name: None,
                service_id: None,
                service_name: None,
                graphql_costs: None,
            };
            let route = Arc::new(Route {
                facts: Arc::new(facts),
                chain: chain.clone(),
                upstream: None,
                body_max: self.node.limits.body.0,
                conditions: Arc::new(Conditions {
                    methods: methods.collect(),
                    ..Conditions::default()
                }),
                timeout: None,
                is_blocked: true,
                allows_websocket: false,
            });
            let order = Order::Position(at);
            let uris: Vec<_> = written.uris.iter().map(|uri| self.as_asked(uri)).collect();
            router.add(&route, &written.hosts, &uris, written.priority, &order);
        }
    }

    /// The chain of a route. Routes that take all of their plugins from the same service and
    /// plugin config share one.
    fn route_chain(
        &mut self,
        written: &'a bartizan_config::Route,
        uses: &[&'a PluginUse],
        ground: &mut Ground<'_, 'a>,
    ) -> (Assembled, Outline) {
        let (service, config) =
            (written.service_id.as_deref(), written.plugin_config_id.as_deref());
        let is_shared = written.plugins.is_empty();
        if let Some(known) = ground.chains.get(&(service, config)).filter(|_| is_shared) {
            return known.clone();
        }
        let is_changed = service.is_some_and(|id| self.is_changed(ResourceKind::Service, id))
            || config.is_some_and(|id| self.is_changed(ResourceKind::PluginConfig, id));
        let base = self.base.filter(|_| is_shared && !is_changed);
        let known = base.and_then(|base| base.chain(written));
        let made = known.unwrap_or_else(|| self.chain(uses.iter().copied()));
        let outline = Outline::of(&made.chain, &ground.global.chain, uses);
        if is_shared {
            ground.chains.insert((service, config), (made.clone(), outline.clone()));
        }
        (made, outline)
    }

    fn facts(&self, written: &bartizan_config::Route) -> Arc<RouteFacts> {
        let service = self.shared.service(written);
        // Copies of their own: what was read lies between what is about to be freed.
        let own = |text: &Arc<str>| Arc::from(&**text);
        Arc::new(RouteFacts {
            id: own(&written.id),
            name: written.name.as_ref().map(own),
            service_id: service.map(|service| service.id.clone()),
            service_name: service.and_then(|service| service.name.clone()),
            graphql_costs: service.and_then(|service| service.graphql_costs.clone()),
        })
    }

    /// The conditions of a route, where it has any.
    fn conditions(
        &mut self,
        written: &bartizan_config::Route,
        chains: [&Chain<AnyPlugin>; 2],
    ) -> Option<Conditions> {
        let is_free = written.methods.is_empty() && written.remote_addrs.is_empty();
        // Who answers preflights is asked where methods do not fit.
        if is_free && written.vars.is_none() {
            return None;
        }
        let subject = format!("route `{}`", written.id);
        let mut methods = Vec::with_capacity(written.methods.len());
        for (at, method) in written.methods.iter().enumerate() {
            if let Ok(method) = Method::from_bytes(method.as_bytes()) {
                methods.push(method);
            } else {
                let problem = format!("`{method}` is no method");
                self.fault(written.place, &subject, Invalid::at_item("methods", at, problem));
            }
        }
        let vars = match written.vars.as_ref().map(variables).transpose() {
            Ok(vars) => vars,
            Err(invalid) => {
                let invalid = invalid.under(PathStep::Key("vars".into()));
                self.fault(written.place, &subject, invalid);
                None
            }
        };
        let mut steps = chains.into_iter().flat_map(Chain::steps);
        Some(Conditions {
            methods: methods.into_boxed_slice(),
            remote_addrs: written.remote_addrs.iter().copied().map(canonical_network).collect(),
            vars,
            answers_preflights: steps
                .any(|step| step.filter.is_none() && step.plugin.name() == CORS),
        })
    }
}

/// An expression that decides whether a route is taken: it can read the request only.
fn variables(written: &serde_json::Value) -> Result<Expr, Invalid> {
    let expr = Expr::compile(written)?;
    let is_unknown = |var: &Var| var.needs_route() || var.needs_identity() || var.needs_answer();
    if expr.vars().into_iter().any(is_unknown) {
        return Err(Invalid::new("reads what is not known before the route is chosen").with_help(
            "who calls and what is answered can be read in `_meta.filter` of a plugin",
        ));
    }
    Ok(expr)
}
