//! `bartizan check`: reads and compiles a configuration as `run` would, and serves nothing.

use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bartizan_config::Store;
use bartizan_core::Stage;
use bartizan_core::metrics::SharedMetrics;
use bartizan_proxy::{Dialer, Gateway, Report, RouteReport, Warning};
use tokio::runtime::Builder;

use crate::cli::CheckArgs;
use crate::failure::{Failure, say};
use crate::load;
use crate::logs::Logs;
use crate::node::settings;
use crate::table::table;

/// Routes that the summary shows.
const ROUTES_MAX: usize = 200;

/// Says what is wrong, or sums up what is in order.
pub(crate) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let (report, consumers, store) = compile(&args.config)?;
    say(&summary(&report, consumers));
    if let Some(kind) = store {
        say(&format!("The resources are in the store `{kind}`, which is not read here.\n"));
    }
    Ok(())
}

/// Compiles a configuration; nothing is opened, written or started.
fn compile(path: &Path) -> Result<(Report, usize, Option<&'static str>), Failure> {
    let loaded = load::load(path)?;
    let metrics = SharedMetrics::default();
    let logs = Logs::nowhere(&loaded.node, &metrics)?;
    let runtime = Builder::new_current_thread()
        .build()
        .map_err(|cause| Failure::new(format!("no runtime can be started: {cause}")))?;
    let dialer = Dialer::Network(runtime.handle().clone());
    let registry = Arc::new(Mutex::default());
    let gateway = match Gateway::new(settings(&loaded.node, &logs, &metrics, &registry, dialer)) {
        Ok(gateway) => gateway,
        Err(faults) => return Err(load::not_serving(loaded.sources, faults)),
    };
    match gateway.check(&loaded.resources) {
        Ok(applied) => {
            let elsewhere = match loaded.node.store {
                Some(Store::Embedded { .. }) => Some("embedded"),
                Some(Store::Etcd(_)) => Some("etcd"),
                None | Some(Store::File { .. }) => None,
            };
            Ok((applied.report, loaded.resources.consumers.len(), elsewhere))
        }
        Err(faults) => Err(load::not_compiling(loaded.sources, &faults)),
    }
}

/// What a configuration amounts to.
fn summary(report: &Report, consumers: usize) -> String {
    let mut text = String::new();
    let heading = ["ROUTE", "SERVES", "FROM", "WHO", "MAY", "HOW OFTEN", "WHAT"];
    let mut rows = vec![heading.map(str::to_owned)];
    rows.extend(report.routes.iter().take(ROUTES_MAX).map(row));
    text.push_str(&table(&rows));
    let more = report.routes.len().saturating_sub(ROUTES_MAX);
    // Writing to a string cannot fail.
    if more > 0 {
        let _ = writeln!(text, "and {more} more");
    }
    let plugins =
        || report.routes.iter().flat_map(|route| route.stages.iter()).flat_map(|(_, p)| p);
    if plugins().any(|plugin| plugin.is_conditional) {
        text.push_str("? runs only where its `_meta.filter` holds\n");
    }
    if plugins().any(|plugin| plugin.is_global) {
        text.push_str("* comes from a global rule\n");
    }
    text.push('\n');
    for Warning { problem, help, .. } in &report.warnings {
        let _ = writeln!(text, "warning: {problem}");
        if let Some(help) = help {
            let _ = writeln!(text, "  = help: {help}");
        }
    }
    let _ = writeln!(
        text,
        "In order: {}, {}, {}.",
        counted(report.routes.len(), "route"),
        counted(consumers, "consumer"),
        counted(report.warnings.len(), "warning"),
    );
    text
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A route with what protects it.
fn row(route: &RouteReport) -> [String; 7] {
    let id = if route.is_enabled { route.id.to_string() } else { format!("{} (off)", route.id) };
    if route.only_answers {
        let nothing = || "-".to_owned();
        let answers = "nothing is forwarded".to_owned();
        return [id, serves(route), nothing(), answers, nothing(), nothing(), nothing()];
    }
    let is_limit = |name: &str| name.starts_with("limit-");
    let from = plugins(route, Stage::Admit, |name| name != "cors" && !is_limit(name));
    let limits = [Stage::Admit, Stage::Meter].map(|stage| plugins(route, stage, is_limit)).concat();
    let mut grants = plugins(route, Stage::Authorize, |name| name != "csrf");
    if grants.is_empty() && route.proofs.grant {
        grants.push("by its token".to_owned());
    }
    let who = match (&route.anonymous_reason, route.is_public) {
        (Some(reason), true) => vec![format!("anyone: \"{reason}\"")],
        (None, true) => vec!["ANYONE".to_owned()],
        _ => plugins(route, Stage::Authenticate, |_| true),
    };
    if route.is_public {
        grants = Vec::new();
    }
    let what = plugins(route, Stage::Validate, |_| true);
    let [from, who, grants, limits, what] =
        [from, who, grants, limits, what].map(|names| joined(&names));
    [id, serves(route), from, who, grants, limits, what]
}

fn joined(names: &[String]) -> String {
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

fn plugins(route: &RouteReport, stage: Stage, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let stages = route.stages.iter().filter(|(known, _)| *known == stage);
    let plugins = stages.flat_map(|(_, plugins)| plugins).filter(|plugin| wanted(plugin.name));
    plugins
        .map(|plugin| {
            let conditional = if plugin.is_conditional { "?" } else { "" };
            let global = if plugin.is_global { "*" } else { "" };
            format!("{}{conditional}{global}", plugin.name)
        })
        .collect()
}

/// Methods, hosts and paths.
fn serves(route: &RouteReport) -> String {
    let paths = match route.uris.as_slice() {
        [first, second, more @ ..] if !more.is_empty() => {
            format!("{first}, {second}, and {} more", more.len())
        }
        few => few.join(", "),
    };
    let hosts = match route.hosts.as_slice() {
        [] => String::new(),
        [one] => format!("{one} "),
        [one, more @ ..] => format!("{one} and {} more ", more.len()),
    };
    let methods = if route.methods.is_empty() {
        String::new()
    } else {
        format!("{} ", route.methods.join("|"))
    };
    format!("{methods}{hosts}{paths}")
}
