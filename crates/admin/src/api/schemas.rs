//! What the resources and plugins look like: lists of plugins, schemas, and judging by them.

use bartizan_config::{Format, Loader, PluginSchemas, ResourceKind, Slot, resource_schema};
use bartizan_plugins::CATALOGUE;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Done};
use super::asked::{self, Asked, Query};
use super::problems::message;
use super::{Api, What};
use crate::operators::{Role, Verb};
use crate::plane::{Document, Problem};

/// Validating, which changes nothing.
const VALIDATE: What<'_> = What { verb: Verb::Other, ..What::read("schema") };

/// The kind that a segment of a path names, as Apache APISIX writes it or in the plural.
fn kind_named(name: &str) -> Option<ResourceKind> {
    ResourceKind::ALL
        .into_iter()
        .find(|kind| kind.collection() == name || kind.noun().replace(' ', "_") == name)
}

/// The subsystem that a query asks for; only that of HTTP has plugins.
fn is_stream(query: &Query) -> Result<bool, Answer> {
    match query.find("subsystem") {
        None | Some("http") => Ok(false),
        Some("stream") => Ok(true),
        Some(_) => Err(Answer::bad("unsupported subsystem")),
    }
}

impl Api {
    /// The names of all plugins, the highest priority first.
    pub(crate) fn plugin_list(asked: &Asked) -> Done {
        asked.allow(&What::read("plugins"))?;
        if is_stream(&asked.query)? {
            return Ok(Answer::ok(&json!([])));
        }
        let mut entries: Vec<_> = CATALOGUE.iter().collect();
        entries.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(b.name)));
        let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
        Ok(Answer::ok(&json!(names)))
    }

    /// All plugins with their schemas (`plugins?all=true`).
    pub(crate) fn plugins_all(asked: &Asked) -> Done {
        asked.allow(&What::read("plugins"))?;
        if !asked.query.flag("all")? {
            return Err(Answer::not_found());
        }
        let mut all = Map::new();
        for entry in CATALOGUE.iter().filter(|_| !matches!(is_stream(&asked.query), Ok(true))) {
            let told = json!({
                "name": entry.name,
                "priority": entry.priority,
                "schema": entry.config_schema,
                "consumer_schema": entry.consumer_schema,
                "metadata_schema": entry.metadata_schema,
                "type": if entry.is_authentication { json!("auth") } else { Value::Null },
            });
            all.insert(entry.name.to_owned(), told);
        }
        Ok(Answer::ok(&Value::Object(all)))
    }

    /// The schema of a plugin.
    pub(crate) fn plugin_schema(&self, asked: &Asked, name: &str) -> Done {
        asked.allow(&What::read("schema"))?;
        let slot = match asked.query.find("schema_type") {
            Some("consumer") => Slot::Consumer,
            Some("metadata") => Slot::Metadata,
            _ => Slot::Config,
        };
        let is_stream = is_stream(&asked.query)?;
        let schema = self.0.plugins.schema(name, slot).filter(|_| !is_stream);
        schema.map(Answer::ok).ok_or_else(|| {
            let subsystem = if is_stream { "stream" } else { "http" };
            let text = format!("plugin not found in subsystem {subsystem}");
            Answer::error(StatusCode::NOT_FOUND, text)
        })
    }

    /// The schema of a kind of resource.
    pub(crate) fn resource_schema(asked: &Asked, name: &str) -> Done {
        asked.allow(&What::read("schema"))?;
        let schema = kind_named(name).and_then(resource_schema);
        schema.map(|schema| Answer::ok(&schema)).ok_or_else(Answer::not_found)
    }

    /// Judges an object by the schema of its kind alone.
    pub(crate) fn validate_object(&self, asked: &Asked, name: &str) -> Done {
        asked.allow(&VALIDATE)?;
        let kind = kind_named(name).ok_or_else(Answer::not_found)?;
        asked.is_json_object()?;
        let text = String::from_utf8_lossy(&asked.body);
        let accepts = self.0.plane.accepts_fail_open();
        let found = Loader::new(&self.0.plugins).object(kind, &text, accepts);
        match found.first() {
            None => Ok(Answer::empty(StatusCode::OK)),
            Some(first) => {
                let problem = Problem {
                    path: first.path.to_string(),
                    what: first.problem.clone(),
                    help: first.help.clone(),
                    ..Problem::default()
                };
                Err(Answer::bad(message(&problem, None)))
            }
        }
    }

    /// Judges a whole document in the declarative format.
    pub(crate) async fn validate_document(&self, asked: &Asked) -> Done {
        asked.allow(&VALIDATE)?;
        let is_yaml = is_yaml(asked);
        asked::value(&asked.body, if is_yaml { Format::Yaml } else { Format::Json })?;
        let text = String::from_utf8_lossy(&asked.body).into_owned();
        // Viewers cannot write, and so have nothing read by what they write.
        let is_compiled = matches!(asked.operator.role(), Role::Editor | Role::Admin);
        let document = Document { text, is_yaml, is_compiled };
        let found = self.0.plane.judge(document).await;
        let found = found.map_err(|refused| Answer::of_refusal(&refused, None))?;
        if found.is_empty() {
            return Ok(Answer::ok(&json!({})));
        }
        let errors: Vec<Value> = found
            .iter()
            .map(|problem| {
                let object = problem.object.as_ref();
                json!({
                    "resource_type": object.map(|object| object.collection.to_string()),
                    "resource_id": object.map(|object| object.id.to_string()),
                    "index": problem.index,
                    "error": message(&Problem { object: None, ..problem.clone() }, None),
                })
            })
            .collect();
        let told = json!({ "error_msg": "Configuration validation failed", "errors": errors });
        Err(Answer::json(StatusCode::BAD_REQUEST, &told))
    }
}

/// Whether a body is YAML, as its media type says.
pub(super) fn is_yaml(asked: &Asked) -> bool {
    let media = asked.fields.get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
    media.is_some_and(|media| media.contains("yaml"))
}
