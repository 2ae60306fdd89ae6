//! Routes: what holds for each once its plugin config, service and upstream are counted in.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_chain::{Chain, Expr, PluginSet, RouteFacts, Var};
use bartizan_config::{Invalid, PathStep, PluginUse};
use bartizan_plugins::AnyPlugin;
use http::Method;

use super::compile::Compilation;
use super::fault::Warning;
use super::overlap::Cover;
use super::plugins::Assembled;
use super::report::RouteReport;
use super::require::Guarded;
use super::route::{Conditions, Route, canonical_network};
use crate::router::{Router, RouterBuilder};

/// The plugin that answers preflights.
const CORS: &str = "cors";

/// Every route, compiled.
pub(super) struct Routes<'a> {
    pub(super) router: Router<Route>,
    pub(super) reports: Vec<RouteReport>,
    /// What each enabled route covers, to find those that others fall through to.
    pub(super) covers: Vec<Cover<'a>>,
}

/// Chains of routes without plugins of their own, by service and plugin config.
type SharedChains<'a> = HashMap<(Option<&'a str>, Option<&'a str>), (Arc<Chain<AnyPlugin>>, bool)>;

impl<'a> Compilation<'a> {
    /// Compiles every route; those out of service only to know that they are sound.
    pub(super) fn routes(
        &mut self,
        global: &Assembled,
        global_uses: &[&'a PluginUse],
    ) -> Routes<'a> {
        let mut builder = RouterBuilder::default();
        // First, since of routes with one path and priority the one that is added first counts.
        self.block(&mut builder);
        let mut reports = Vec::with_capacity(self.resources.routes.len());
        let mut covers = Vec::with_capacity(self.resources.routes.len());
        let mut chains = HashMap::new();
        for written in &self.resources.routes {
            let uses = self.shared.plugins(written);
            let (chain, is_whole) = self.route_chain(written, &uses, &mut chains);
            let upstream = self.shared.upstream(written);
            let compiled_upstream = upstream.and_then(|upstream| self.upstream(upstream));
            let conditions = self.conditions(written, [&*chain, &global.chain]);
            let hosts = self.shared.hosts(written);
            let mut report = RouteReport::new(written, hosts, &chain, &global.chain);
            report.declare(&uses);
            if written.is_enabled {
                self.expose(upstream, chain.only_answers());
                // What a plugin at fault would prove is not known: its own fault is enough.
                if is_whole && global.is_whole {
                    let report = &report;
                    let uses = &uses;
                    self.require(&Guarded { written, upstream, report, uses, global_uses });
                }
                covers.push(Cover::new(written, hosts, &report));
            }
            let route = Arc::new(Route {
                facts: self.facts(written),
                chain,
                upstream: compiled_upstream,
                body_max: self.node.limits.body.0,
                conditions,
                timeout: written.timeout,
                is_blocked: false,
            });
            if written.is_enabled {
                builder.add(&route, hosts, &written.uris, written.priority);
            }
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
            reports.push(report);
        }
        Routes { router: builder.build(), reports, covers }
    }

    /// Routes in quarantine own their hosts and paths, so that nothing falls through to a wider one.
    fn block(&mut self, builder: &mut RouterBuilder<Route>) {
        let chain = Arc::new(self.chain(std::iter::empty()).chain);
        for written in &self.resources.blocked {
            let methods = written.methods.iter();
            let methods = methods.filter_map(|method| Method::from_bytes(method.as_bytes()).ok());
            let facts = RouteFacts {
                id: written.id.clone(),
                name: None,
                service_id: None,
                service_name: None,
            };
            let route = Arc::new(Route {
                facts: Arc::new(facts),
                chain: chain.clone(),
                upstream: None,
                body_max: self.node.limits.body.0,
                conditions: Conditions { methods: methods.collect(), ..Conditions::default() },
                timeout: None,
                is_blocked: true,
            });
            builder.add(&route, &written.hosts, &written.uris, written.priority);
        }
    }

    /// The chain of a route. Routes that take all of their plugins from the same service and
    /// plugin config share one.
    fn route_chain(
        &mut self,
        written: &'a bartizan_config::Route,
        uses: &[&'a PluginUse],
        chains: &mut SharedChains<'a>,
    ) -> (Arc<Chain<AnyPlugin>>, bool) {
        let key = (written.service_id.as_deref(), written.plugin_config_id.as_deref());
        let is_shared = written.plugins.is_empty();
        if let Some(known) = chains.get(&key).filter(|_| is_shared) {
            return known.clone();
        }
        let Assembled { chain, is_whole } = self.chain(uses.iter().copied());
        let made = (Arc::new(chain), is_whole);
        if is_shared {
            chains.insert(key, made.clone());
        }
        made
    }

    fn facts(&self, written: &bartizan_config::Route) -> Arc<RouteFacts> {
        let service = self.shared.service(written);
        Arc::new(RouteFacts {
            id: written.id.clone(),
            name: written.name.clone(),
            service_id: service.map(|service| service.id.clone()),
            service_name: service.and_then(|service| service.name.clone()),
        })
    }

    fn conditions(
        &mut self,
        written: &bartizan_config::Route,
        chains: [&Chain<AnyPlugin>; 2],
    ) -> Conditions {
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
        Conditions {
            methods: methods.into_boxed_slice(),
            remote_addrs: written.remote_addrs.iter().copied().map(canonical_network).collect(),
            vars,
            answers_preflights: steps
                .any(|step| step.filter.is_none() && step.plugin.name() == CORS),
        }
    }
}

/// An expression that decides whether a route is taken: it can read the request only.
fn variables(written: &serde_json::Value) -> Result<Expr, Invalid> {
    let expr = Expr::compile(written)?;
    let is_unknown = |var: &Var| {
        let is_of_route =
            matches!(var, Var::RouteId | Var::RouteName | Var::ServiceId | Var::ServiceName);
        is_of_route || var.needs_identity() || var.needs_answer()
    };
    if expr.vars().into_iter().any(is_unknown) {
        return Err(Invalid::new("reads what is not known before the route is chosen").with_help(
            "who calls and what is answered can be read in `_meta.filter` of a plugin",
        ));
    }
    Ok(expr)
}
