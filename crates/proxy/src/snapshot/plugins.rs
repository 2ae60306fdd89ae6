//! Compiling plugins: once for each place where one is written, however many routes share it.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bartizan_chain::{
    Chain, ChainBuilder, CompileCx, CredentialEntry, Expr, PluginSet, Reach, Step, Var,
};
use bartizan_config::{Invalid, Meta, PathStep, PluginUse, ResourceKind};
use bartizan_core::{Stage, StageSet};
use bartizan_plugins::{AnyPlugin, CATALOGUE, Entry};

use super::compile::Compilation;
use super::fault::CompileFault;
use super::parameters::parameters_read_in;

/// What decides which of a plugin's stages take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Of the route that was matched.
    Route,
    /// Of every request, before the route's.
    Global,
    /// Of who calls: taken in once that is proved.
    Caller,
}

impl Scope {
    fn of(kind: ResourceKind) -> Self {
        match kind {
            ResourceKind::GlobalRule => Self::Global,
            ResourceKind::Consumer | ResourceKind::Credential | ResourceKind::ConsumerGroup => {
                Self::Caller
            }
            _ => Self::Route,
        }
    }
}

/// A compiled plugin and what its `_meta` says.
#[derive(Clone)]
pub(super) struct Compiled {
    pub(super) plugin: Arc<AnyPlugin>,
    pub(super) error_response: Option<(Arc<str>, bool)>,
    pub(super) priority: i32,
}

/// A chain, and whether every plugin that belongs into it compiled.
#[derive(Clone)]
pub(super) struct Assembled {
    pub(super) chain: Arc<Chain<AnyPlugin>>,
    pub(super) is_whole: bool,
}

impl<'a> Compilation<'a> {
    /// A chain of these plugins. What is disabled is compiled all the same, so that it is known to
    /// be valid when it is enabled, and left out; where it did not change, that is known.
    pub(super) fn chain(&mut self, uses: impl IntoIterator<Item = &'a PluginUse>) -> Assembled {
        let mut builder = ChainBuilder::new();
        let mut is_whole = true;
        for used in uses {
            let is_known =
                self.base.is_some() && !self.is_changed(used.origin.kind, &used.origin.id);
            if used.meta.disable && is_known {
                continue;
            }
            let Some(compiled) = self.plugin(used) else {
                is_whole = false;
                continue;
            };
            if used.meta.disable {
                continue;
            }
            // It compiled when the plugin did, or the plugin would not be here.
            let Ok(filter) = used.meta.filter.as_ref().map(filter).transpose() else {
                is_whole = false;
                continue;
            };
            builder.add(Step {
                plugin: compiled.plugin,
                filter,
                error_response: compiled.error_response,
                priority: compiled.priority,
            });
        }
        Assembled { chain: Arc::new(builder.build()), is_whole }
    }

    /// The plugin written in one place; `None`, and a fault told once, where it does not compile.
    /// In a place that did not change, it is what it was while some route has it.
    pub(super) fn plugin(&mut self, used: &'a PluginUse) -> Option<Compiled> {
        let origin = &used.origin;
        if let Some(base) = self.base
            && !self.is_changed(origin.kind, &origin.id)
            && let Some(known) = base.plugin(origin, &used.name)
        {
            return Some(known);
        }
        self.plugin_anew(used)
    }

    /// The same, whatever there was before.
    pub(super) fn plugin_anew(&mut self, used: &'a PluginUse) -> Option<Compiled> {
        let key = (&used.origin, &*used.name);
        if let Some(known) = self.compiled.get(&key) {
            return known.clone();
        }
        let compiled = self.compile(used);
        self.compiled.insert(key, compiled.clone());
        compiled
    }

    fn compile(&mut self, used: &'a PluginUse) -> Option<Compiled> {
        let entry = self.entry(used)?;
        let scope = Scope::of(used.origin.kind);
        let mut problems = Vec::new();
        let mut stages = entry.stages;
        let exposed = RefCell::default();
        self.asked_for_broken.set(false);
        let made = self.within(used, entry, &exposed, |cx| (entry.compile)(&used.config, cx));
        let plugin = match made {
            Ok(plugin) => {
                self.expose_plugin(used, exposed.take());
                stages = plugin.traits().stages;
                problems.extend(misplaced(&plugin, scope));
                if !self.router.has_parameters() {
                    problems.extend(parameters_read_in(&used.config));
                }
                Some(plugin)
            }
            // The fault of the proto is enough.
            Err(_) if self.asked_for_broken.get() => None,
            Err(invalid) => {
                problems.push(invalid);
                None
            }
        };
        let priority = priority(&used.meta, entry, stages, &mut problems);
        let error_response = error_response(&used.meta, &mut problems);
        self.check_filter(&used.meta, (scope, stages), &mut problems);
        let is_sound = problems.is_empty();
        self.tell(used, problems);
        let plugin = plugin.filter(|_| is_sound)?;
        Some(Compiled { plugin: Arc::new(plugin), error_response, priority })
    }

    /// An entry of the index out of an authentication plugin on a consumer or credential; `None`
    /// where it is disabled or at fault.
    pub(super) fn credential(&mut self, used: &'a PluginUse) -> Option<CredentialEntry> {
        let entry = self.entry(used)?;
        let mut problems = Vec::new();
        let meta = &used.meta;
        for (key, is_given) in [
            ("filter", meta.filter.is_some()),
            ("error_response", meta.error_response.is_some()),
            ("priority", meta.priority.is_some()),
        ] {
            if is_given {
                let problem = format!("`_meta.{key}` has no effect on a credential");
                let help = "it belongs to the plugin on the route or service";
                problems.push(of_meta(Invalid::at(key, problem).with_help(help)));
            }
        }
        let made = match self
            .within(used, entry, &RefCell::default(), |cx| (entry.credential)(&used.config, cx))
        {
            Ok(made) => Some(made),
            Err(invalid) => {
                problems.push(invalid);
                None
            }
        };
        self.tell(used, problems);
        made.filter(|_| !meta.disable)
    }

    /// A filter is evaluated once, when the plugin's first stage begins: it can read what is known by
    /// then. What is not would be absent for every request, and the plugin never or always run.
    fn check_filter(
        &self,
        meta: &Meta,
        (scope, stages): (Scope, StageSet),
        problems: &mut Vec<Invalid>,
    ) {
        let Some(filter) = &meta.filter else { return };
        let expr = match self::filter(filter) {
            Ok(expr) => expr,
            Err(invalid) => {
                problems.push(of_meta(invalid.under(PathStep::Key("filter".into()))));
                return;
            }
        };
        let before_caller = [Stage::Prepare, Stage::Admit, Stage::Authenticate];
        let is_before_caller =
            scope != Scope::Caller && before_caller.iter().any(|stage| stages.contains(*stage));
        let is_before_answer = Stage::REQUEST.iter().any(|stage| stages.contains(*stage));
        if !self.router.has_parameters() {
            let read = parameters_read_in(filter).into_iter();
            problems.extend(read.map(|fault| of_meta(fault.under(PathStep::Key("filter".into())))));
        }
        for var in expr.vars() {
            let unknown = if is_before_caller && Var::needs_identity(var) {
                "who calls"
            } else if Var::reads_body(var) && !reads_bodies(stages) {
                "the body"
            } else if Var::needs_end(var) && stages != StageSet::of(&[Stage::Observe]) {
                "how it ended"
            } else if is_before_answer && Var::needs_answer(var) {
                "the answer"
            } else {
                continue;
            };
            let problem =
                format!("the filter reads {unknown}, which is not known when the plugin runs");
            problems.push(of_meta(Invalid::at("filter", problem)));
        }
    }

    /// The catalogue's row.
    pub(super) fn entry(&mut self, used: &PluginUse) -> Option<&'static Entry> {
        let entry = bartizan_plugins::find(&used.name);
        if entry.is_none() {
            self.tell(used, vec![Invalid::new(format!("unknown plugin `{}`", used.name))]);
        }
        entry
    }

    /// Tells what is wrong with a plugin.
    pub(super) fn tell(&mut self, used: &PluginUse, problems: Vec<Invalid>) {
        let subject = format!("plugin `{}` of {}", used.name, used.origin);
        let faults =
            problems.into_iter().map(|invalid| CompileFault::of(used.place, &subject, invalid));
        self.faults.extend(faults);
    }

    fn within<T>(
        &self,
        used: &PluginUse,
        entry: &'static Entry,
        exposed: &RefCell<Vec<Invalid>>,
        work: impl FnOnce(&mut CompileCx<'_>) -> T,
    ) -> T {
        work(&mut CompileCx {
            node: self.node,
            resource: &used.origin,
            plugin: entry.name,
            is_disabled: self.is_resting(used),
            metadata: self.metadata.get(entry.name).map(|metadata| &metadata.config),
            has_consumer: &|name| self.has_caller(ResourceKind::Consumer, name),
            has_group: &|id| self.has_caller(ResourceKind::ConsumerGroup, id),
            proto: &|id| self.proto(id),
            exposed,
        })
    }
}

/// A filter; what it may read where is another question.
fn filter(written: &serde_json::Value) -> Result<Expr, Invalid> {
    Expr::compile_within(written, Reach::Filter)
}

/// True if a plugin first acts where bodies are read: behind authorization, before forwarding.
fn reads_bodies(stages: StageSet) -> bool {
    let first = Stage::REQUEST.into_iter().find(|stage| stages.contains(*stage));
    first.is_some_and(|first| first >= Stage::Validate)
}

/// Refuses what would have no effect where it is written, or more than one would think.
fn misplaced(plugin: &AnyPlugin, scope: Scope) -> Option<Invalid> {
    let traits = plugin.traits();
    let name = plugin.name();
    let (problem, help) = match scope {
        Scope::Caller if traits.stages.contains(Stage::Authenticate) => (
            format!("`{name}` is about who calls, which is known before this runs"),
            "write it on the route or service",
        ),
        // Declared in one place it would open routes that others write later.
        Scope::Global if traits.proves.authentication && !plugin.is_authentication() => (
            format!("`{name}` in a global rule would open every route"),
            "write it on the routes that are meant, or on their service or plugin config",
        ),
        // Of two the second would find what the first has made.
        Scope::Global | Scope::Caller if traits.translates => (
            format!("`{name}` is about what the upstream of a route speaks"),
            "write it on the route, or on its service or plugin config",
        ),
        _ => return None,
    };
    Some(Invalid::new(problem).with_help(help))
}

/// Where the plugin stands inside its stages. Published priorities span each stage; beyond them an
/// order is asked for that stages do not have.
fn priority(meta: &Meta, entry: &Entry, stages: StageSet, problems: &mut Vec<Invalid>) -> i32 {
    let Some(asked) = meta.priority else { return entry.priority };
    // What only shapes answers has no stage of requests.
    let stages = if stages == StageSet::default() { entry.stages } else { stages };
    let range = published(entry, stages);
    if !range.contains(&asked) {
        let names: Vec<_> = stages.iter().map(Stage::name).collect();
        let names = names.join("`, `");
        let problem = format!("`{asked}` would move `{}` out of its stage `{names}`", entry.name);
        let (least, most) = (range.start(), range.end());
        let help = format!(
            "stages run in a fixed order; inside this one priorities go from {least} to {most}"
        );
        problems.push(of_meta(Invalid::at("priority", problem).with_help(help)));
    }
    asked
}

/// The published priorities of the plugins that share a stage with this one.
fn published(entry: &Entry, stages: StageSet) -> RangeInclusive<i32> {
    let shares = |other: &&Entry| stages.iter().any(|stage| other.stages.contains(stage));
    let peers = || CATALOGUE.iter().filter(shares).map(|other| other.priority);
    let least = peers().min().unwrap_or(entry.priority);
    let most = peers().max().unwrap_or(entry.priority);
    least..=most
}

/// The body that replaces what the plugin refuses with, and whether it is JSON.
fn error_response(meta: &Meta, problems: &mut Vec<Invalid>) -> Option<(Arc<str>, bool)> {
    let value = meta.error_response.as_ref()?;
    if let Some(text) = value.as_str() {
        return Some((text.into(), false));
    }
    if !value.is_object() {
        let problem = "`error_response` is a text or an object";
        problems.push(of_meta(Invalid::at("error_response", problem)));
    }
    Some((value.to_string().into(), true))
}

fn of_meta(invalid: Invalid) -> Invalid {
    invalid.under(PathStep::Key("_meta".into()))
}
