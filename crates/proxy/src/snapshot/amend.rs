//! Compiling a change: what it is about and what that touches, the rest shared with the snapshot
//! before.
//!
//! Nothing is told of faults here. A change that is not sound, or that concerns everything, is left
//! to compiling everything, which says what is wrong in the order of the whole.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_config::{Amendment, PluginUse, ResourceKind, ResourceRef, Resources};

use super::compile::{Compilation, Compiler};
use super::consumers::Callers;
use super::order::orders;
use super::routes::{Ground, Made};
use super::standing::{Parts, Standing, Stood};
use super::{ProbedNow, Report, Route, Snapshot, Upstream};
use crate::router::Router;

/// Changes that are compiled by themselves before everything is compiled again. So often may a name
/// be left behind that nothing asks for any more: of a field that logs hide, of a consumer that a
/// plugin refers to.
pub(super) const CHANGES_MAX: u32 = 10_000;

/// What was compiled of a change.
struct Changed {
    parts: Parts,
    callers: Option<Callers>,
    upstreams: Vec<(ResourceRef, Arc<Upstream>)>,
    report: Report,
}

impl Compiler {
    /// Compiles a change of what `previous` was compiled from, and keeps it; `None` where
    /// everything has to be compiled.
    pub(crate) fn amend(
        &mut self,
        change: &Amendment,
        generation: u64,
        previous: &Snapshot,
    ) -> Option<Snapshot> {
        let standing = self.standing.as_ref()?;
        if standing.amended >= CHANGES_MAX || !concerns_itself_only(change, standing) {
            return None;
        }
        let changed = self.compile_change(change, standing, previous)?;
        let standing = self.standing.as_mut()?;
        standing.amended += 1;
        Some(changed.over(previous, standing, change, generation))
    }

    fn compile_change(
        &self,
        change: &Amendment,
        standing: &Standing,
        previous: &Snapshot,
    ) -> Option<Changed> {
        let put = &change.put;
        let orders = orders(change, standing)?;
        let listed: Vec<ResourceRef> = names(put).chain(change.gone.iter().cloned()).collect();
        let mut cx = Compilation::new(self, put, Some(previous));
        cx.base = Some(standing);
        cx.shared = cx.shared.over(&standing.shared);
        cx.metadata = standing.metadata.iter().map(|(name, this)| (&**name, this)).collect();
        cx.changed = listed.iter().map(|name| (name.kind, &*name.id)).collect();
        cx.compile_protos();
        cx.find_running();
        cx.check_unused();
        let callers = touches_callers(change).then(|| changed_callers(&mut cx, &listed, previous));
        let global_uses: Vec<&PluginUse> = standing.global_uses.iter().collect();
        let mut ground = Ground::new(&standing.global, &global_uses);
        let mut reports = Vec::with_capacity(put.routes.len());
        let mut stood = Vec::with_capacity(put.routes.len());
        for written in &put.routes {
            let Made { route, hosts, report } = cx.route(written, &mut ground);
            let order = orders.get(&*written.id)?.clone();
            stood.push((route.facts.id.clone(), Stood::new(written, hosts, route, order)));
            reports.push(report);
        }
        // Those that were looked at because a route uses them, and are used on.
        for upstream in &put.upstreams {
            if standing.exposed.contains(&upstream.origin) {
                cx.expose(Some(upstream), false);
            }
        }
        if !cx.faults.is_empty() {
            return None;
        }
        let upstreams = cx.upstreams.iter();
        let upstreams =
            upstreams.filter_map(|(origin, made)| Some(((*origin).clone(), made.clone()?)));
        let upstreams = upstreams.collect();
        let report = Report { routes: reports, warnings: std::mem::take(&mut cx.warnings) };
        let parts = Parts::of(&cx, ground.chains, stood);
        Some(Changed { parts, callers, upstreams, report })
    }
}

/// Who may call after a change.
fn changed_callers(
    cx: &mut Compilation<'_>,
    listed: &[ResourceRef],
    previous: &Snapshot,
) -> Callers {
    let profiles = previous.profiles.clone();
    let mut callers = Callers { index: (*previous.consumers).clone(), profiles };
    for name in listed {
        match name.kind {
            ResourceKind::Consumer => {
                callers.index.remove_consumer(&name.id);
                callers.profiles.remove_own(&name.id);
            }
            ResourceKind::ConsumerGroup => callers.profiles.remove_group(&name.id),
            _ => {}
        }
    }
    cx.callers_into(&mut callers);
    callers
}

impl Changed {
    /// The snapshot after the change, which what stands now says too.
    fn over(
        self,
        previous: &Snapshot,
        standing: &mut Standing,
        change: &Amendment,
        generation: u64,
    ) -> Snapshot {
        let Self { parts, callers, upstreams, report } = self;
        let mut router = previous.router.clone();
        for name in names(&change.put).chain(change.gone.iter().cloned()) {
            if name.kind == ResourceKind::Route
                && let Some(before) = standing.routes.get(&name.id)
            {
                leave(&mut router, before);
            }
            standing.forget(&name);
        }
        let mut known = previous.upstreams.clone();
        // A route or service that has none of its own any more leaves none behind.
        for name in change.gone.iter().cloned().chain(names_of_owners(&change.put)) {
            known.remove(&name);
        }
        let mut exchanged = HashMap::new();
        for (origin, upstream) in upstreams {
            let is_there = known.insert(origin.clone(), upstream.clone()).is_some();
            if is_there && origin.kind == ResourceKind::Upstream {
                exchanged.insert(origin, upstream);
            }
        }
        exchange(standing, &mut router, &exchanged);
        standing.take_parts(parts, &change.put);
        for written in &change.put.routes {
            if let Some(stood) = standing.routes.get(&written.id) {
                enter(&mut router, stood);
            }
        }
        let names = names(&change.put).chain(change.gone.iter().cloned());
        let probed = names.map(|name| {
            let health = known.get(&name).and_then(|upstream| upstream.health.clone());
            (name, health)
        });
        let probed = ProbedNow::Changed(probed.collect());
        let (consumers, profiles) = match callers {
            Some(callers) => (Arc::new(callers.index), callers.profiles),
            None => (previous.consumers.clone(), previous.profiles.clone()),
        };
        Snapshot {
            generation,
            router,
            global: previous.global.clone(),
            consumers,
            profiles,
            tls: previous.tls.clone(),
            upstreams: known,
            report,
            probed,
        }
    }
}

/// Whether a change can be compiled by itself.
fn concerns_itself_only(change: &Amendment, standing: &Standing) -> bool {
    let put = &change.put;
    let is_of_all = !put.global_rules.is_empty()
        || !put.ssls.is_empty()
        || !put.plugin_metadata.is_empty()
        || !put.blocked.is_empty();
    let is_missed = |name: &ResourceRef| {
        let is_of_all = matches!(
            name.kind,
            ResourceKind::GlobalRule | ResourceKind::Ssl | ResourceKind::PluginMetadata
        );
        is_of_all || standing.referred.contains(&(name.kind, name.id.clone()))
    };
    // Certificates of upstreams stand among the ssls.
    let shared = put.upstreams.iter();
    let of_services = put.services.iter().filter_map(|service| service.upstream.as_ref());
    let of_routes = put.routes.iter().filter_map(|route| route.upstream.as_ref());
    let mut upstreams = shared.chain(of_services).chain(of_routes);
    standing.is_keyed == put.is_keyed
        && !standing.is_blocked
        && !is_of_all
        && !change.gone.iter().any(is_missed)
        && upstreams.all(|upstream| upstream.tls.client_cert_id.is_none())
}

fn touches_callers(change: &Amendment) -> bool {
    let is_caller = |name: &ResourceRef| {
        matches!(name.kind, ResourceKind::Consumer | ResourceKind::ConsumerGroup)
    };
    !change.put.consumers.is_empty()
        || !change.put.consumer_groups.is_empty()
        || change.gone.iter().any(is_caller)
}

/// The names of objects.
fn names(put: &Resources) -> impl Iterator<Item = ResourceRef> {
    let of = |kind, id: &Arc<str>| ResourceRef { kind, id: id.clone() };
    let shared = put.upstreams.iter().map(move |this| of(ResourceKind::Upstream, &this.id));
    let configs = put.plugin_configs.iter();
    let configs = configs.map(move |this| of(ResourceKind::PluginConfig, &this.id));
    let consumers = put.consumers.iter();
    let consumers = consumers.map(move |this| of(ResourceKind::Consumer, &this.username));
    let groups = put.consumer_groups.iter();
    let groups = groups.map(move |this| of(ResourceKind::ConsumerGroup, &this.id));
    let protos = put.protos.iter().map(move |this| of(ResourceKind::Proto, &this.id));
    shared.chain(configs).chain(protos).chain(consumers).chain(groups).chain(names_of_owners(put))
}

/// The names of objects that may have an upstream of their own.
fn names_of_owners(put: &Resources) -> impl Iterator<Item = ResourceRef> {
    let of = |kind, id: &Arc<str>| ResourceRef { kind, id: id.clone() };
    let routes = put.routes.iter().map(move |this| of(ResourceKind::Route, &this.id));
    routes.chain(put.services.iter().map(move |this| of(ResourceKind::Service, &this.id)))
}

fn leave(router: &mut Router<Route>, stood: &Stood) {
    if stood.is_enabled {
        router.remove(&stood.route, &stood.hosts, &stood.uris);
    }
}

fn enter(router: &mut Router<Route>, stood: &Stood) {
    if stood.is_enabled {
        router.add(&stood.route, &stood.hosts, &stood.uris, stood.priority, &stood.order);
    }
}

/// Puts shared upstreams in the place of what they were, in every route that uses one.
fn exchange(
    standing: &mut Standing,
    router: &mut Router<Route>,
    upstreams: &HashMap<ResourceRef, Arc<Upstream>>,
) {
    if upstreams.is_empty() {
        return;
    }
    for stood in standing.routes.values_mut() {
        let used = stood.route.upstream.as_ref();
        let Some(upstream) = used.and_then(|used| upstreams.get(&used.origin)) else { continue };
        leave(router, stood);
        let upstream = Some(upstream.clone());
        stood.route = Arc::new(Route { upstream, ..(*stood.route).clone() });
        enter(router, stood);
    }
}
