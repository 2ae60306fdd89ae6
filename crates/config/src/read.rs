//! From a declarative document to typed resources.
//!
//! Every object is checked against its schema, then turned into its type, then held against the
//! others. A problem of one object does not hide those of the next; what cannot be known because
//! of it is not told.

mod checks;
mod consumers;
mod graphql_costs;
mod ids;
mod managers;
mod parts;
mod plugins;
mod routes;
mod service_account;
mod site;
mod ssls;
mod upstreams;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::diagnostic::{Diagnostic, Invalid, PathStep, Place};
use crate::document::{Content, Node};
use crate::plugin_schemas::{PluginSchemas, Slot, Standing};
use crate::resources::{Credential, PluginMetadata, Proto, ResourceKind, Resources};
use crate::schema::{Findings, Rules, Special, Subject, check, conceal};
use crate::sources::Sources;
use crate::wire::{
    COLLECTIONS_NOT_YET, ProtoWire, manager_schema, meta_specials, schema, specials,
};
use crate::words::{choices, did_you_mean, quoted};

use ids::Ids;
pub(crate) use ids::{READ, id_of};
pub(crate) use site::{Placed, Site};

/// Most problems that are collected.
const PROBLEMS_MAX: usize = 1_000;

/// The schema of a kind of resource and its special fields.
struct Kind {
    schema: Value,
    specials: Vec<Special>,
}

/// Whether there is an object of that kind and id.
type Exists<'a> = dyn Fn(ResourceKind, &str) -> bool + Sync + 'a;

/// Reads documents and collects what is wrong with them.
pub(crate) struct Reader<'a> {
    rules: &'a Rules<'a>,
    plugins: &'a dyn PluginSchemas,
    sources: &'a Sources,
    diagnostics: Vec<Diagnostic>,
    /// Secrets that stand in the documents.
    concealed: Vec<Place>,
    kinds: HashMap<ResourceKind, Arc<Kind>>,
    meta: Arc<Kind>,
    ids: Arc<Ids>,
    /// The plugins that the document enables, if it lists them.
    enabled: Option<HashSet<String>>,
    /// Credentials that stand beside the consumers, by the consumer's name.
    credentials: HashMap<String, Vec<Credential>>,
    /// What fields of the services' queries cost.
    costs: graphql_costs::Costs,
    /// What else exists, where only some of the objects are read.
    beyond: Option<&'a Exists<'a>>,
}

impl<'a> Reader<'a> {
    /// A reader of the documents in `sources`.
    pub(crate) fn new(
        rules: &'a Rules<'a>,
        plugins: &'a dyn PluginSchemas,
        sources: &'a Sources,
    ) -> Self {
        let meta = Kind {
            schema: crate::wire::schema_of::<crate::wire::MetaWire>(),
            specials: meta_specials(),
        };
        Self {
            rules,
            plugins,
            sources,
            diagnostics: Vec::new(),
            concealed: Vec::new(),
            kinds: HashMap::new(),
            meta: Arc::new(meta),
            ids: Arc::default(),
            enabled: None,
            credentials: HashMap::new(),
            costs: graphql_costs::Costs::default(),
            beyond: None,
        }
    }

    /// Reads some of the objects; `beyond` says which others there are.
    pub(crate) fn with_others(self, beyond: &'a Exists<'a>) -> Self {
        Self { beyond: Some(beyond), ..self }
    }

    /// What is wrong, in the order of the text, and where secrets stand that reports do not show.
    pub(crate) fn finish(mut self) -> (Vec<Diagnostic>, Vec<Place>) {
        self.diagnostics
            .sort_by_key(|diagnostic| diagnostic.place.map(|place| (place.source.0, place.start)));
        (self.diagnostics, self.concealed)
    }

    /// Adds a problem.
    pub(crate) fn tell(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < PROBLEMS_MAX {
            self.diagnostics.push(diagnostic);
        }
    }

    fn invalid(&mut self, site: &Site<'_>, invalid: &Invalid) {
        self.tell(site.diagnostic(invalid));
    }

    fn take(&mut self, findings: &mut Findings) -> bool {
        let is_clean = findings.is_clean();
        for diagnostic in findings.take_diagnostics() {
            self.tell(diagnostic);
        }
        self.concealed.append(&mut findings.concealed);
        is_clean
    }

    /// Checks a value against a schema and reads it.
    pub(crate) fn typed<T: DeserializeOwned>(
        &mut self,
        site: &Site<'_>,
        schema: &Value,
        specials: &[Special],
        hidden: &[&str],
    ) -> Option<T> {
        let mut findings = self.check(site, schema, specials, hidden);
        // What is made of a value cannot be told before it is there.
        if !self.take(&mut findings) || findings.edits.lacks_values {
            return None;
        }
        let value = || match site.node.content {
            Content::Map(_) => Value::Object(site.node.to_object_without(&findings.edits, hidden)),
            _ => site.node.to_json_with(&findings.edits),
        };
        if let Ok(typed) = serde_json::from_value(value()) {
            return Some(typed);
        }
        // Again, for the place: to know it takes as long as the rest.
        match serde_path_to_error::deserialize(value()) {
            Ok(typed) => Some(typed),
            Err(error) => {
                let invalid = Invalid {
                    path: steps(error.path()),
                    problem: error.inner().to_string(),
                    help: None,
                };
                self.invalid(site, &invalid);
                None
            }
        }
    }

    fn check(
        &self,
        site: &Site<'_>,
        schema: &Value,
        specials: &[Special],
        hidden: &[&str],
    ) -> Findings {
        let subject = Subject {
            node: site.node,
            here: site.here,
            path: &site.path,
            folder: self.sources.folder(site.node.place.source),
            schema,
            hidden,
            specials,
        };
        check(self.rules, &subject)
    }

    /// Reads a resource of a kind.
    fn wire<T: DeserializeOwned>(&mut self, site: &Site<'_>, kind: ResourceKind) -> Option<T> {
        let kind = self.kind(kind);
        self.typed(site, &kind.schema, &kind.specials, &[])
    }

    fn kind(&mut self, kind: ResourceKind) -> Arc<Kind> {
        Arc::clone(self.kinds.entry(kind).or_insert_with(|| {
            let schema = schema(kind).unwrap_or(Value::Bool(true));
            Arc::new(Kind { schema, specials: specials(kind) })
        }))
    }

    /// Checks an object against the schema of its kind, and nothing beyond it.
    pub(crate) fn fits(&mut self, site: &Site<'_>, kind: ResourceKind) {
        let id = site.node.get("id").and_then(Node::as_text).unwrap_or_default();
        let schema = match kind {
            ResourceKind::Secret => manager_schema(id).clone(),
            kind => schema(kind).unwrap_or(Value::Bool(true)),
        };
        let mut findings = self.check(site, &schema, &specials(kind), &[]);
        self.take(&mut findings);
    }

    /// Looks at a declarative document as a whole and gives the objects in it.
    pub(crate) fn document<'n>(&mut self, site: &Site<'n>) -> Vec<Placed<'n>> {
        let mut objects = Vec::new();
        if !matches!(site.node.content, Content::Map(_)) {
            let help = "write lists such as `routes`, `consumers` and `upstreams`";
            self.invalid(site, &Invalid::new("expected a map of resources").with_help(help));
            return objects;
        }
        if let Some(list) = site.child("plugins") {
            self.enabled_plugins(&list);
        }
        for member in site.node.members() {
            self.collection(&site.member(member), &member.key, &mut objects);
        }
        objects
    }

    fn collection<'n>(&mut self, site: &Site<'n>, key: &str, objects: &mut Vec<Placed<'n>>) {
        if key == "plugins" {
            return;
        }
        let costs = ResourceKind::GraphqlCost.collection();
        if (key == costs || COLLECTIONS_NOT_YET.iter().any(|(name, _)| *name == key))
            && site.node.items().is_empty()
            && matches!(site.node.content, Content::List(_))
        {
            return;
        }
        let Some(kind) = self.kind_of(site, key) else { return };
        let items = self.items(site).into_iter().enumerate();
        objects.extend(items.map(|(index, site)| Placed { kind, site, index }));
    }

    /// The kind of resources in a collection, or the problem that there is none of that name.
    pub(crate) fn kind_of(&mut self, site: &Site<'_>, collection: &str) -> Option<ResourceKind> {
        if let Some((_, why)) = COLLECTIONS_NOT_YET.iter().find(|(name, _)| *name == collection) {
            let problem = format!("{} is not supported yet: {why}", quoted(collection));
            self.invalid(site, &Invalid::new(problem));
            conceal_all(self, site.node);
            return None;
        }
        let kind = ids::READ.into_iter().find(|kind| kind.collection() == collection);
        if kind.is_none() {
            let names = || ids::READ.into_iter().map(ResourceKind::collection);
            let mut invalid = Invalid::new(format!("unknown field {}", quoted(collection)));
            if collection == ResourceKind::GraphqlCost.collection() {
                invalid.help = Some("write the list in the service that it belongs to".to_owned());
            }
            invalid.help = invalid
                .help
                .or_else(|| did_you_mean(collection, names()))
                .or_else(|| Some(format!("known here: {}", choices(names()))));
            self.invalid(site, &invalid);
            conceal_all(self, site.node);
        }
        kind
    }

    /// The items of a list, or the problem that it is none.
    fn items<'n>(&mut self, site: &Site<'n>) -> Vec<Site<'n>> {
        if let Content::List(items) = &site.node.content {
            return items.iter().enumerate().map(|(index, item)| site.item(index, item)).collect();
        }
        let invalid = match site.node.content {
            Content::Null => Invalid::new("the list has no value")
                .with_help("write `[]` for an empty list, or remove the key"),
            _ => Invalid::new("expected a list"),
        };
        self.invalid(site, &invalid);
        Vec::new()
    }

    fn resource(&mut self, object: &Placed<'_>, resources: &mut Resources) {
        let Placed { kind, site, index } = object;
        let (kind, id) = (*kind, ids::id_of(*kind, site.node, *index));
        match kind {
            ResourceKind::Route => resources.routes.extend(self.route(site, id)),
            ResourceKind::Service | ResourceKind::GraphqlCost => {
                resources.services.extend(self.service_or_decoration(site, id));
            }
            ResourceKind::Upstream => resources.upstreams.extend(self.shared_upstream(site, &id)),
            ResourceKind::Consumer | ResourceKind::Credential => {
                resources.consumers.extend(self.consumer_or_credential(site));
            }
            ResourceKind::ConsumerGroup => {
                resources.consumer_groups.extend(self.consumer_group(site, id));
            }
            ResourceKind::PluginConfig => {
                resources.plugin_configs.extend(self.plugin_config(site, id));
            }
            ResourceKind::GlobalRule => resources.global_rules.extend(self.global_rule(site, id)),
            ResourceKind::Ssl => resources.ssls.extend(self.ssl(site, id)),
            ResourceKind::PluginMetadata => {
                resources.plugin_metadata.extend(self.plugin_metadata(site));
            }
            ResourceKind::Proto => resources.protos.extend(self.proto(site, id)),
            // They are read before the others.
            ResourceKind::Secret => {}
        }
    }

    fn proto(&mut self, site: &Site<'_>, id: Arc<str>) -> Option<Proto> {
        let wire: ProtoWire = self.wire(site, ResourceKind::Proto)?;
        Some(Proto { id, content: wire.content.into(), place: site.node.place })
    }

    fn plugin_metadata(&mut self, site: &Site<'_>) -> Option<PluginMetadata> {
        const OURS: [&str; 3] = ["id", "create_time", "update_time"];
        let Content::Map(_) = site.node.content else {
            self.invalid(site, &Invalid::new("expected a map with the plugin's name as `id`"));
            return None;
        };
        let Some(name) = site.node.get("id").and_then(Node::as_text) else {
            let problem = "`id` must be the name of a plugin";
            self.invalid(site, &Invalid::at("id", problem));
            return None;
        };
        let here = Site { here: site.at("id"), ..site.clone() };
        if !self.is_known_plugin(&here, name) {
            conceal_all(self, site.node);
            return None;
        }
        let plugins = self.plugins;
        let Some(schema) = plugins.schema(name, Slot::Metadata) else {
            let problem =
                format!("the plugin {} takes no configuration in `plugin_metadata`", quoted(name));
            self.invalid(&here, &Invalid::new(problem));
            return None;
        };
        let specials = plugins::specials_of(plugins, name, Slot::Metadata);
        let mut findings = self.check(site, schema, &specials, &OURS);
        self.take(&mut findings).then(|| PluginMetadata {
            name: name.into(),
            config: Value::Object(site.node.to_object_without(&findings.edits, &OURS)),
            place: site.node.place,
        })
    }

    /// Reads the list of plugins that are enabled. Of several lists, each adds to the others.
    pub(crate) fn enabled_plugins(&mut self, list: &Site<'_>) {
        let mut enabled = self.enabled.take().unwrap_or_default();
        for item in self.items(list) {
            let name = item.node.get("name").unwrap_or(item.node);
            let Some(name) = name.as_text() else {
                let invalid = Invalid::new("expected the name of a plugin");
                self.invalid(&item, &invalid.with_help("write `name: …`"));
                continue;
            };
            // A plugin that is listed is not used; what does not work yet may be listed.
            if self.plugins.standing(name) == Standing::Unknown {
                self.unknown_plugin(&item, name);
            }
            enabled.insert(name.to_owned());
        }
        self.enabled = Some(enabled);
    }
}

fn conceal_all(reader: &mut Reader<'_>, node: &Node) {
    let mut findings = Findings::default();
    conceal(node, &mut findings);
    reader.take(&mut findings);
}

fn steps(path: &serde_path_to_error::Path) -> Vec<PathStep> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(PathStep::Index(*index)),
            Segment::Map { key } => Some(PathStep::Key(key.clone())),
            Segment::Enum { variant } => Some(PathStep::Key(variant.clone())),
            Segment::Unknown => None,
        })
        .collect()
}
