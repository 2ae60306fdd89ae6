//! `security.require`: what a route must have, or the configuration is refused.

use bartizan_chain::PluginSet;
use bartizan_config::{Invalid, PluginUse, Requirement};
use bartizan_core::Stage;

use super::compile::Compilation;
use super::report::RouteReport;

/// A route and what is known of it.
pub(super) struct Guarded<'g, 'a> {
    pub(super) written: &'a bartizan_config::Route,
    pub(super) upstream: Option<&'a bartizan_config::Upstream>,
    pub(super) report: &'g RouteReport,
    /// Its plugins, as written.
    pub(super) uses: &'g [&'a PluginUse],
    /// Those of the global rules.
    pub(super) global_uses: &'g [&'a PluginUse],
}

impl<'a> Compilation<'a> {
    /// Tells what a served route lacks. One that only answers reaches nothing and needs nothing.
    pub(super) fn require(&mut self, route: &Guarded<'_, 'a>) {
        if route.report.only_answers {
            return;
        }
        let (written, id) = (route.written, &route.written.id);
        let subject = || format!("route `{id}`");
        if route.upstream.is_none() && !route.report.needs_no_upstream {
            let invalid = Invalid::new(format!("route `{id}` has no upstream"))
                .with_help("give it an `upstream`, an `upstream_id`, or a service that has one");
            self.fault(written.place, subject(), invalid);
        }
        let proofs = route.report.proofs;
        for requirement in self.require {
            let (has, lack, stage) = match requirement {
                Requirement::Authentication => {
                    (proofs.authentication, "no authentication", Some(Stage::Authenticate))
                }
                Requirement::Grant => (proofs.grant, "no authorization", Some(Stage::Authorize)),
                Requirement::Limit => (proofs.limit, "no limit", None),
                Requirement::Schema => (proofs.schema, "no schema", Some(Stage::Validate)),
                Requirement::Waf => (proofs.waf, "no inspection", Some(Stage::Inspect)),
                // A matter of the upstream, not of what runs.
                Requirement::UpstreamTls => continue,
            };
            if has {
                continue;
            }
            let why = stage.and_then(|stage| self.discounted(stage, route));
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            let invalid = Invalid::new(format!("route `{id}` has {lack}{why}"))
                .with_help(remedy(*requirement));
            self.lack(written.place, subject(), *requirement, invalid);
        }
    }

    /// Why a plugin that is there does not count; only what always runs does.
    fn discounted(&mut self, stage: Stage, route: &Guarded<'_, 'a>) -> Option<String> {
        for used in route.uses.iter().chain(route.global_uses) {
            let Some(compiled) = self.plugin(used) else { continue };
            let traits = compiled.plugin.traits();
            // What proves who calls and looks at the body later decides nothing there.
            let is_elsewhere = stage != Stage::Authenticate && compiled.plugin.is_authentication();
            if is_elsewhere || !traits.stages.contains(stage) {
                continue;
            }
            let name = compiled.plugin.name();
            let why = if used.meta.disable {
                "is disabled"
            } else if used.meta.filter.is_some() {
                "does not always run: it has a `_meta.filter`"
            } else {
                passes(stage)
            };
            return Some(format!("`{name}` {why}"));
        }
        None
    }
}

/// What a plugin lets through that always runs and yet proves nothing.
fn passes(stage: Stage) -> &'static str {
    match stage {
        Stage::Authenticate => "lets callers through who prove nothing",
        Stage::Authorize => "lets callers through whom it does not name",
        _ => "proves nothing about every request",
    }
}

/// What to write, with plugins that there are.
fn remedy(requirement: Requirement) -> String {
    let (plugins, declaration): (&[&str], &str) = match requirement {
        Requirement::Authentication => {
            (&["jwt-auth", "key-auth"], ", or declare `anonymous-access: {reason: …}`")
        }
        Requirement::Grant => {
            (&["consumer-restriction"], ", or declare `any-authenticated: {reason: …}`")
        }
        Requirement::Limit => (&["limit-count"], ""),
        Requirement::Schema => (&["request-validation"], ""),
        Requirement::Waf | Requirement::UpstreamTls => (&[], ""),
    };
    match plugins.iter().find(|name| bartizan_plugins::find(name).is_some()) {
        Some(name) => format!("add a plugin such as `{name}`{declaration}"),
        None => format!("take it out of `security.require`{declaration}"),
    }
}
