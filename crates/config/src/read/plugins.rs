//! Plugins of a resource: which may stand there, their configuration, their `_meta`.

use std::sync::Arc;

use serde_json::Value;

use super::{Reader, Site, conceal_all};
use crate::diagnostic::Invalid;
use crate::document::Content;
use crate::plugin_schemas::{PluginSchemas, Slot, Standing};
use crate::resources::{Meta, PluginUse, ResourceKind, ResourceRef};
use crate::schema::Special;
use crate::wire::MetaWire;
use crate::words::{did_you_mean, quoted};

/// The fields of a plugin that have an answer of their own.
pub(super) fn specials_of(plugins: &dyn PluginSchemas, name: &str, slot: Slot) -> Vec<Special> {
    plugins
        .special_fields(name, slot)
        .iter()
        .map(|(path, standing)| Special {
            path: (*path).to_owned(),
            owner: quoted(name),
            standing: *standing,
        })
        .collect()
}

impl Reader<'_> {
    /// Reads the `plugins` of a resource.
    pub(super) fn plugins(&mut self, site: &Site<'_>, origin: &ResourceRef) -> Vec<PluginUse> {
        let Some(map) = site.child("plugins") else { return Vec::new() };
        match map.node.content {
            Content::Map(_) => {}
            Content::Null => {
                let invalid = Invalid::new("`plugins` has no value");
                self.invalid(&map, &invalid.with_help("give it a value or remove the key"));
            }
            _ => self.invalid(&map, &Invalid::new("expected a map from plugins to their settings")),
        }
        let uses = map
            .node
            .members()
            .iter()
            .filter_map(|member| self.plugin(&map.member(member), &member.key, origin))
            .collect();
        if origin.kind == ResourceKind::Credential && map.node.members().len() != 1 {
            let problem = "a credential holds exactly one authentication plugin";
            self.invalid(&map, &Invalid::new(problem));
        }
        uses
    }

    fn plugin(&mut self, site: &Site<'_>, name: &str, origin: &ResourceRef) -> Option<PluginUse> {
        if !self.is_known_plugin(site, name) {
            conceal_all(self, site.node);
            return None;
        }
        if self.enabled.as_ref().is_some_and(|enabled| !enabled.contains(name)) {
            let problem = format!("the plugin {} is not enabled", quoted(name));
            let help = "add it to the list `plugins` of this document, or remove that list";
            self.invalid(site, &Invalid::new(problem).with_help(help));
        }
        let slot = self.slot(site, name, origin.kind)?;
        let plugins = self.plugins;
        let Some(schema) = plugins.schema(name, slot) else {
            let problem =
                format!("the plugin {} takes no configuration {}", quoted(name), slot.place());
            self.invalid(site, &Invalid::new(problem));
            conceal_all(self, site.node);
            return None;
        };
        let meta = match site.child("_meta") {
            Some(meta) => self.meta(&meta),
            None => Some(Meta::default()),
        };
        let specials = specials_of(plugins, name, slot);
        let mut findings = self.check(site, schema, &specials, &["_meta"]);
        if !self.take(&mut findings) {
            return None;
        }
        Some(PluginUse {
            name: name.into(),
            config: Value::Object(site.node.to_object_without(&findings.edits, &["_meta"])),
            meta: meta?,
            origin: origin.clone(),
            place: site.node.place,
        })
    }

    /// Which configuration of a plugin stands in a resource, if the plugin may stand there.
    fn slot(&mut self, site: &Site<'_>, name: &str, kind: ResourceKind) -> Option<Slot> {
        let is_authentication = self.plugins.is_authentication(name);
        let misplaced = match (kind, is_authentication) {
            (ResourceKind::Consumer | ResourceKind::Credential, true) => {
                return Some(Slot::Consumer);
            }
            (ResourceKind::Credential, false) => "is no authentication plugin",
            (ResourceKind::ConsumerGroup, true) => {
                "proves who calls, which is known when a group's plugins run"
            }
            _ => return Some(Slot::Config),
        };
        let problem = format!("the plugin {} {misplaced}", quoted(name));
        let help = match kind {
            ResourceKind::Credential => "a credential holds exactly one authentication plugin",
            _ => "write it on a route or service, and the key on the consumer",
        };
        self.invalid(site, &Invalid::new(problem).with_help(help));
        conceal_all(self, site.node);
        None
    }

    fn meta(&mut self, site: &Site<'_>) -> Option<Meta> {
        let kind = Arc::clone(&self.meta);
        let wire: MetaWire = self.typed(site, &kind.schema, &kind.specials, &[])?;
        Some(Meta {
            disable: wire.disable,
            error_response: wire.error_response,
            priority: wire.priority,
            filter: wire.filter.map(Value::Array),
        })
    }

    /// Tells what is wrong with a plugin's name; true if it can be used.
    pub(super) fn is_known_plugin(&mut self, site: &Site<'_>, name: &str) -> bool {
        let quote = quoted(name);
        let problem = match self.plugins.standing(name) {
            Standing::Known => return true,
            Standing::Unknown => {
                self.unknown_plugin(site, name);
                return false;
            }
            Standing::NotYet(why) => format!("the plugin {quote} is not supported yet: {why}"),
            Standing::Refused(why) => format!("the plugin {quote} is refused: {why}"),
        };
        self.invalid(site, &Invalid::new(problem));
        false
    }

    pub(super) fn unknown_plugin(&mut self, site: &Site<'_>, name: &str) {
        let mut invalid = Invalid::new(format!("unknown plugin {}", quoted(name)));
        invalid.help = did_you_mean(name, self.plugins.names());
        self.invalid(site, &invalid);
    }
}
