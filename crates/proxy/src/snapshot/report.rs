//! What a configuration amounts to, for `check` and for people.

use std::sync::Arc;

use bartizan_chain::{Chain, PluginSet, Proofs, Step};
use bartizan_config::{PluginUse, ResourceKind, ResourceRef, Upstream};
use bartizan_core::Stage;
use bartizan_plugins::AnyPlugin;

use super::fault::Warning;

/// The plugin by which a route declares that nobody needs to be known.
const ANONYMOUS_ACCESS: &str = "anonymous-access";

/// What a configuration amounts to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every route, in the order of the document.
    pub routes: Vec<RouteReport>,
    /// What is served but deserves a look.
    pub warnings: Vec<Warning>,
}

/// What holds for one route.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, asked for by name")]
pub struct RouteReport {
    /// Its id.
    pub id: Arc<str>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Its service.
    pub service_id: Option<Arc<str>>,
    /// Its plugin config.
    pub plugin_config_id: Option<Arc<str>>,
    /// Where the upstream that it sends to is written.
    pub upstream: Option<ResourceRef>,
    /// Its paths.
    pub uris: Vec<String>,
    /// Its hosts, or its service's; empty means any.
    pub hosts: Vec<String>,
    /// Its methods; empty means any.
    pub methods: Vec<String>,
    /// Whether it is served.
    pub is_enabled: bool,
    /// The stages in which something happens, with the plugins that run in them, in their order.
    /// Consumers and groups may add to them.
    pub stages: Arc<[(Stage, Vec<ReportedPlugin>)]>,
    /// What every request that passes has proved, by the route's plugins and the global rules.
    pub proofs: Proofs,
    /// It answers everything by itself and forwards nothing.
    pub only_answers: bool,
    /// A plugin answers whoever gets past the others; nothing is forwarded.
    pub needs_no_upstream: bool,
    /// Why nobody needs to be known here, where that is declared.
    pub anonymous_reason: Option<String>,
    /// Whether a request gets to the upstream without proof of who calls.
    pub is_public: bool,
}

/// A plugin of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedPlugin {
    /// Its name.
    pub name: &'static str,
    /// A filter decides for each request whether it runs.
    pub is_conditional: bool,
    /// It comes from a global rule.
    pub is_global: bool,
    /// The kind of object that it is written in.
    pub origin: ResourceKind,
    /// What it proves about every request that passes it, where it always runs.
    pub proves: Proofs,
}

/// What the chains of a route amount to: the same for all routes that share theirs.
#[derive(Clone)]
pub(super) struct Outline {
    stages: Arc<[(Stage, Vec<ReportedPlugin>)]>,
    proofs: Proofs,
    only_answers: bool,
    needs_no_upstream: bool,
    is_public: bool,
}

impl Outline {
    pub(super) fn of(
        chain: &Chain<AnyPlugin>,
        global: &Chain<AnyPlugin>,
        uses: &[&PluginUse],
    ) -> Self {
        let both = || [(global, true), (chain, false)].into_iter();
        let proves_caller = |step: &Step<AnyPlugin>| {
            step.filter.is_none()
                && step.plugin.name() != ANONYMOUS_ACCESS
                && step.plugin.traits().proves.authentication
        };
        let is_public = !both().any(|(chain, _)| chain.steps().iter().any(proves_caller));
        Self {
            stages: Stage::ALL
                .into_iter()
                .map(|stage| {
                    (stage, both().flat_map(|(c, g)| running(c, stage, g, uses)).collect())
                })
                .filter(|(_, plugins): &(_, Vec<_>)| !plugins.is_empty())
                .collect(),
            proofs: chain.proofs().or(global.proofs()),
            only_answers: chain.only_answers(),
            needs_no_upstream: chain.needs_no_upstream(),
            is_public: is_public && !chain.only_answers(),
        }
    }
}

impl RouteReport {
    pub(super) fn new(
        written: &bartizan_config::Route,
        hosts: &[String],
        outline: Outline,
        upstream: Option<&Upstream>,
    ) -> Self {
        let Outline { stages, proofs, only_answers, needs_no_upstream, is_public } = outline;
        Self {
            id: written.id.clone(),
            name: written.name.clone(),
            service_id: written.service_id.clone(),
            plugin_config_id: written.plugin_config_id.clone(),
            upstream: upstream.map(|upstream| upstream.origin.clone()),
            uris: written.uris.clone(),
            hosts: hosts.to_vec(),
            methods: written.methods.clone(),
            is_enabled: written.is_enabled,
            stages,
            proofs,
            only_answers,
            needs_no_upstream,
            anonymous_reason: None,
            is_public,
        }
    }

    /// Notes the reason that the route, or what it shares, declares.
    pub(super) fn declare(&mut self, uses: &[&PluginUse]) {
        let is_declared = |used: &&&PluginUse| {
            &*used.name == ANONYMOUS_ACCESS && !used.meta.disable && used.meta.filter.is_none()
        };
        let declared = uses.iter().find(is_declared);
        let reason = declared.and_then(|used| used.config.get("reason")?.as_str());
        self.anonymous_reason = reason.map(|reason| reason.trim().to_owned());
    }
}

/// The plugins of a chain that do something in a stage.
fn running(
    chain: &Chain<AnyPlugin>,
    stage: Stage,
    is_global: bool,
    uses: &[&PluginUse],
) -> impl Iterator<Item = ReportedPlugin> {
    let takes_part = move |step: &&Step<AnyPlugin>| {
        // What a configuration does with requests it says itself; the rest is the same for all.
        if Stage::REQUEST.contains(&stage) {
            return step.plugin.traits().stages.contains(stage);
        }
        bartizan_plugins::find(step.plugin.name()).is_some_and(|entry| entry.stages.contains(stage))
    };
    // Of a route there is one of each name, wherever it is written.
    let origin = move |name: &str| {
        let written = uses.iter().find(|used| !is_global && &*used.name == name);
        written.map_or(ResourceKind::GlobalRule, |used| used.origin.kind)
    };
    chain.steps().iter().filter(takes_part).map(move |step| ReportedPlugin {
        name: step.plugin.name(),
        is_conditional: step.filter.is_some(),
        is_global,
        origin: origin(step.plugin.name()),
        proves: step.plugin.traits().proves,
    })
}
