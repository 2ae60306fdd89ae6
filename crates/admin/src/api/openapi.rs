//! The description of the API, made of the table that routes its requests.

use bartizan_config::{ResourceKind, resource_schema};
use serde_json::{Map, Value, json};

use super::Api;
use super::kinds::Kind;
use super::table::{Call, Endpoint};

/// What each parameter of a query means.
const PARAMETERS: &[(&str, &str, &str)] = &[
    ("page", "integer", "The page of the list, from 1."),
    ("page_size", "integer", "How many objects a page has, from 10 to 500."),
    ("name", "string", "A pattern that the name must match."),
    ("label", "string", "A label that must be there."),
    ("uri", "string", "A pattern that one of the paths must match."),
    ("filter", "string", "Of routes: `service_id=…&upstream_id=…`, in percent-encoding."),
    ("ttl", "integer", "Seconds after which the object is removed."),
    ("dry_run", "boolean", "Judges the change and says what it would do; nothing is changed."),
    ("force", "boolean", "Removes an object though others refer to it."),
    ("subsystem", "string", "`http` or `stream`."),
    ("schema_type", "string", "`consumer` or `metadata`, for those schemas of a plugin."),
    ("all", "boolean", "Must be `true`."),
    ("limit", "integer", "How many revisions are listed, from 1 to 1000."),
    ("q", "string", "A text that id, name, a path or a host must hold."),
    ("gap", "string", "A protection that must be lacking; `any`: some; `open`: open to everyone."),
];

/// What a status means.
fn meaning(status: u16) -> &'static str {
    match status {
        200 => "Done.",
        201 => "Made.",
        202 => "Taken.",
        204 => "Nothing to do: the digest is that of the last document.",
        304 => "The caller knows this revision.",
        400 => "The request is not in order; nothing was changed.",
        401 => "No key, a wrong key, or a key that may not write.",
        403 => "The operator may not do that.",
        404 => "There is no such thing.",
        409 => "The store cannot be written here, or others were faster.",
        412 => "The object is not as the caller expects.",
        429 => "Too many wrong keys came from this address.",
        _ => "The store cannot be reached.",
    }
}

const ALWAYS: [u16; 5] = [400, 401, 403, 429, 503];

impl Api {
    /// The description, in OpenAPI 3.1.
    pub(crate) fn description(&self) -> Value {
        let mut paths = Map::new();
        for endpoint in self.0.table.endpoints() {
            let path = endpoint.path.replace("*}", "}");
            let entry = paths.entry(path).or_insert_with(|| json!({}));
            if let Some(entry) = entry.as_object_mut() {
                entry.insert(endpoint.method.as_str().to_lowercase(), operation(endpoint));
            }
        }
        let mut schemas = Map::new();
        for kind in ResourceKind::ALL {
            let name = component(kind.noun());
            let mut schema = resource_schema(kind).unwrap_or_else(|| json!({ "type": "object" }));
            rebase(&mut schema, &format!("#/components/schemas/{name}/"));
            schemas.insert(name, schema);
        }
        schemas.insert(
            "error".to_owned(),
            json!({
                "type": "object",
                "properties": {
                    "error_msg": { "type": "string" },
                    "description": { "type": "string" },
                    "message": { "type": "string" },
                    "problems": { "type": "array", "items": { "type": "object" } }
                }
            }),
        );
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "The Admin API of Bartizan",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "The Admin API of Apache APISIX, and `/bartizan/v1`."
            },
            "security": [{ "key": [] }],
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "key": { "type": "apiKey", "in": "header", "name": "X-API-KEY" }
                },
                "schemas": schemas
            }
        })
    }
}

/// Lets a schema that is a part of a document refer to its own parts.
fn rebase(schema: &mut Value, base: &str) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && let Some(part) = reference.strip_prefix("#/")
            {
                *reference = format!("{base}{part}");
            }
            members.values_mut().for_each(|value| rebase(value, base));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rebase(item, base)),
        _ => {}
    }
}

fn component(noun: &str) -> String {
    noun.replace(' ', "_")
}

fn is_described(kind: &Kind) -> bool {
    ResourceKind::ALL.into_iter().any(|known| known.noun() == kind.noun)
}

fn operation(endpoint: &Endpoint) -> Value {
    let segments = endpoint.path.split('/').filter_map(|segment| {
        segment.strip_prefix('{')?.strip_suffix('}').map(|name| name.trim_end_matches('*'))
    });
    let in_path = segments.map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = endpoint.query.iter().map(|name| {
        let known = PARAMETERS.iter().find(|(known, ..)| known == name);
        let (_, kind, text) = known.copied().unwrap_or((name, "string", ""));
        json!({ "name": name, "in": "query", "description": text, "schema": { "type": kind } })
    });
    let parameters: Vec<Value> = in_path.chain(in_query).chain(in_header(endpoint.call)).collect();
    let mut responses = Map::new();
    for status in endpoint.statuses.iter().copied().chain(ALWAYS) {
        let mut answer = json!({ "description": meaning(status) });
        if status >= 400
            && let Some(answer) = answer.as_object_mut()
        {
            let schema = json!({ "$ref": "#/components/schemas/error" });
            answer.insert("content".to_owned(), media(&schema));
        }
        if matches!(status, 200 | 201)
            && endpoint.kind.is_some()
            && endpoint.call != Call::Delete
            && let Some(answer) = answer.as_object_mut()
        {
            let tag = json!({ "description": "The revision.", "schema": { "type": "string" } });
            answer.insert("headers".to_owned(), json!({ "ETag": tag }));
        }
        responses.insert(status.to_string(), answer);
    }
    let mut operation = Map::new();
    operation.insert("summary".to_owned(), endpoint.summary.as_str().into());
    operation.insert("operationId".to_owned(), operation_id(endpoint).into());
    operation.insert("parameters".to_owned(), parameters.into());
    operation.insert("responses".to_owned(), responses.into());
    if endpoint.call == Call::Live {
        operation.insert("security".to_owned(), json!([]));
    }
    if let Some(schema) = body(endpoint) {
        let body = json!({ "required": true, "content": media(&schema) });
        operation.insert("requestBody".to_owned(), body);
    }
    Value::Object(operation)
}

/// The fields of a request, beside the key.
fn in_header(call: Call) -> impl Iterator<Item = Value> {
    let fields: &[(&str, bool, &str)] = match call {
        Call::PutConfigs => &[("X-Digest", true, "What the document is known by.")],
        Call::Show => &[("If-None-Match", false, "The revision that is known.")],
        Call::Put => &[
            ("If-Match", false, "The revision that the object must be at; `*`: any."),
            ("If-None-Match", false, "`*`: the object must not be there."),
        ],
        Call::Patch | Call::Delete => {
            &[("If-Match", false, "The revision that the object must be at; `*`: any.")]
        }
        Call::Rollback => &[("If-Match", false, "The revision that the store must be at.")],
        _ => &[],
    };
    fields.iter().map(|(name, is_required, text)| {
        json!({
            "name": name, "in": "header", "required": is_required, "description": text,
            "schema": { "type": "string" },
        })
    })
}

fn media(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// What a request's body is.
fn body(endpoint: &Endpoint) -> Option<Value> {
    let object = json!({ "type": "object" });
    match (endpoint.call, endpoint.kind) {
        (Call::Put | Call::Post, Some(kind)) if is_described(kind) => {
            Some(json!({ "$ref": format!("#/components/schemas/{}", component(kind.noun)) }))
        }
        (Call::Patch, _) if endpoint.path.ends_with("*}") => Some(json!({})),
        (
            Call::Put
            | Call::Post
            | Call::Patch
            | Call::PutConfigs
            | Call::ValidateObject
            | Call::ValidateDocument,
            _,
        ) => Some(object),
        (Call::Rollback, _) => Some(json!({
            "type": "object",
            "required": ["revision"],
            "additionalProperties": false,
            "properties": {
                "revision": { "type": "integer" },
                "object": { "type": "string", "description": "As in `routes/1`; absent: all." }
            }
        })),
        _ => None,
    }
}

/// A name that is the endpoint's alone.
fn operation_id(endpoint: &Endpoint) -> String {
    let mut id = endpoint.method.as_str().to_lowercase();
    let steps = endpoint.path.split('/').filter(|step| !matches!(*step, "" | "apisix" | "admin"));
    for step in steps {
        id.push('_');
        id.extend(step.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_'));
    }
    id
}
