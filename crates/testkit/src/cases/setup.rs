//! From the sections of a case to a configuration.

use std::fmt::Write as _;

use serde_json::Value;

use super::file::{Kind, Section};
use crate::geo::geo_database;
use crate::load::{Things, yaml_value};

/// What stands beside the plugin on the route, where the case says nothing.
const OPEN: &str = "anonymous-access: {reason: a case}";
const ANYONE: &str = "any-authenticated: {reason: a case}";
const BY_KEY: &str = "key-auth: {}";

/// The plugin whose upstream speaks gRPC.
const GRPC: &str = "grpc-transcode";

/// Who there is, where the case says nothing.
const CONSUMERS: &str = "\
- {username: alice, labels: {tenant: acme}, plugins: {key-auth: {key: alice-key, danger_weak_secret: true}}}
- {username: bob, plugins: {key-auth: {key: bob-key, danger_weak_secret: true}}}";

/// The sections that make up the configuration, the newest of each kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    plugin: String,
    pub(super) node: String,
    pub(super) things: Things,
    config: Option<String>,
    beside: Option<String>,
    route: Option<String>,
    consumers: Option<String>,
    metadata: Option<String>,
    more: Option<String>,
    resources: Option<String>,
}

/// The text of the resources, and where the plugin's own configuration stands in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Assembled {
    pub(super) text: String,
    /// The section, the line before its first, and by how much it is indented.
    parts: Vec<(&'static str, usize, usize, usize)>,
}

impl Setup {
    pub(super) fn new(plugin: &str) -> Self {
        Self { plugin: plugin.to_owned(), ..Self::default() }
    }

    /// Whether the upstream is asked over HTTP/2.
    pub(super) fn speaks_http2(&self) -> bool {
        self.plugin == GRPC
    }

    /// Takes a section in; false where it is about something else.
    pub(super) fn take(&mut self, section: &Section, text: String) -> bool {
        match section.kind {
            Kind::Node => {
                // Another node begins with nothing.
                *self = Self { node: text, things: self.things.clone(), ..Self::new(&self.plugin) };
            }
            Kind::File => drop(self.things.files.insert(section.name.clone(), text)),
            Kind::Database => {
                let bytes = geo_database(&yaml_value(&text));
                self.things.databases.insert(section.name.clone(), bytes);
            }
            Kind::Variable => drop(self.things.variables.insert(section.name.clone(), text)),
            Kind::Config => self.config = Some(text),
            Kind::Beside => self.beside = Some(text),
            Kind::Route => self.route = Some(text),
            Kind::Consumers => self.consumers = Some(text),
            Kind::Metadata => self.metadata = Some(text),
            Kind::More => self.more = Some(text),
            Kind::Resources => self.resources = Some(text),
            _ => return false,
        }
        true
    }

    fn beside(&self) -> &str {
        let usual = match self.plugin.as_str() {
            "basic-auth" | "hmac-auth" | "http-signature" | "key-auth" | "jwt-auth"
            | "mtls-auth" | "multi-auth" => ANYONE,
            "acl" | "any-authenticated" | "consumer-restriction" | "object-guard" => BY_KEY,
            "anonymous-access" => "",
            _ => OPEN,
        };
        self.beside.as_deref().unwrap_or(usual)
    }

    /// The text of the resources.
    pub(super) fn assemble(&self) -> Assembled {
        let mut all = Assembled::default();
        if let Some(resources) = &self.resources {
            all.put("resources", 0, resources);
            return all;
        }
        let scheme = if self.plugin == GRPC { ", scheme: grpc" } else { "" };
        all.line("routes:\n- id: case");
        all.line(&format!("  upstream: {{nodes: {{\"127.0.0.1:8080\": 1}}{scheme}}}"));
        all.put("route", 2, self.route.as_deref().unwrap_or("uri: /*"));
        let is_bare = self.config.is_none() && self.beside().is_empty();
        all.line(if is_bare { "  plugins: {}" } else { "  plugins:" });
        all.put("beside", 4, self.beside());
        if let Some(config) = &self.config {
            let plugin = &self.plugin;
            if config.is_empty() {
                all.line(&format!("    {plugin}: {{}}"));
            } else {
                all.line(&format!("    {plugin}:"));
                all.put("config", 6, config);
            }
        }
        all.line("consumers:");
        all.put("consumers", 0, self.consumers.as_deref().unwrap_or(CONSUMERS));
        if let Some(metadata) = &self.metadata {
            all.line(&format!("plugin_metadata:\n- id: {}", self.plugin));
            all.put("metadata", 2, metadata);
        }
        if let Some(more) = &self.more {
            all.put("more", 0, more);
        }
        all
    }
}

impl Assembled {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn put(&mut self, name: &'static str, indent: usize, text: &str) {
        let before = self.text.lines().count();
        for line in text.lines() {
            let space = if line.is_empty() { 0 } else { indent };
            let _ = writeln!(self.text, "{:space$}{line}", "");
        }
        self.parts.push((name, before, text.lines().count(), indent));
    }

    /// A diagnostic with the place as the case's author sees it: section, line and column.
    pub(super) fn located(&self, diagnostic: &str) -> String {
        let Some((place, rest)) =
            diagnostic.strip_prefix("resources.yaml:").and_then(|rest| rest.split_once(": "))
        else {
            return diagnostic.to_owned();
        };
        let numbers = place.split_once(':').and_then(|(line, column)| {
            Some((line.parse::<usize>().ok()?, column.parse::<usize>().ok()?))
        });
        let Some((line, column)) = numbers else { return diagnostic.to_owned() };
        let part = self
            .parts
            .iter()
            .find(|(_, before, count, _)| line > *before && line <= before + count);
        match part {
            Some((name, before, _, indent)) => {
                format!("{name}:{}:{}: {rest}", line - before, column.saturating_sub(*indent))
            }
            // The line above a configuration names the plugin.
            None => rest.to_owned(),
        }
    }
}

/// A change to a field wherever the plugin is configured.
#[derive(Clone, Debug)]
pub(super) struct Variation {
    pub(super) field: super::Field,
    /// What is put there; without it the field is taken out.
    pub(super) value: Option<Value>,
}

impl Variation {
    /// The resources with the change; `None` where the field is nowhere.
    pub(super) fn apply(&self, yaml: &str) -> Option<String> {
        let mut resources = crate::load::yaml_value(yaml);
        let mut count = 0;
        self.field.configurations(&mut resources, &mut |config| {
            count += change(config, &self.field.path, self.value.as_ref());
        });
        (count > 0).then(|| resources.to_string())
    }
}

/// Changes the value at a dotted path, in every item where the path leads through a list; returns
/// how many values were changed.
fn change(value: &mut Value, path: &str, to: Option<&Value>) -> usize {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let (key, is_list) = step.strip_suffix("[]").map_or((step, false), |key| (key, true));
    let Some(object) = value.as_object_mut() else { return 0 };
    if rest.is_empty() && !is_list {
        let was_there = object.contains_key(key);
        match to {
            Some(to) => drop(object.insert(key.to_owned(), to.clone())),
            None => drop(object.remove(key)),
        }
        return usize::from(was_there);
    }
    match object.get_mut(key) {
        Some(Value::Array(items)) if is_list => {
            items.iter_mut().map(|item| change(item, rest, to)).sum()
        }
        Some(inner) if !is_list => change(inner, rest, to),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_changed_in_every_item() {
        let mut config = json!({"rules": [{"count": 1, "key": "a"}, {"count": 2}], "key": "b"});
        assert_eq!(change(&mut config, "rules[].count", Some(&json!(9))), 2);
        assert_eq!(change(&mut config, "rules[].key", None), 1);
        assert_eq!(change(&mut config, "nothing.here", None), 0);
        assert_eq!(config, json!({"rules": [{"count": 9}, {"count": 9}], "key": "b"}));
    }

    #[test]
    fn places_are_those_of_the_section() {
        let mut setup = Setup::new("ip-restriction");
        setup.config = Some("message: x\nwhitelist: []".to_owned());
        let assembled = setup.assemble();
        let line = assembled.text.lines().position(|line| line.contains("whitelist")).unwrap() + 1;
        assert_eq!(assembled.located(&format!("resources.yaml:{line}:7: no")), "config:2:1: no");
        assert_eq!(assembled.located("resources.yaml:1:1: no"), "no");
        assert_eq!(assembled.located("bartizan.yaml:1:1: no"), "bartizan.yaml:1:1: no");
    }
}
