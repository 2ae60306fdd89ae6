//! Holds headers and bodies against a JSON Schema.
//!
//! ```yaml
//! request-validation:
//!   body_schema:
//!     type: object
//!     required: [name]
//!     properties:
//!       name: {type: string, maxLength: 64}
//!     additionalProperties: false
//! ```
//!
//! The body is JSON, or a form, which reads as an object of texts. It is read strictly: duplicate
//! names, depth, number of items and invalid UTF-8 are refused before the schema is asked. What is
//! forwarded are the bytes that were received; no default is put in. With a `body_schema` an empty
//! body is refused. `header_schema` sees an object of lower-case names and texts; a header that it
//! names must occur once.
//!
//! Schemas are of draft 2020-12 unless `$schema` says otherwise (in compatibility mode draft 7).
//! `$ref` leads only to places in the same schema: nothing is ever fetched. `pattern` is matched in
//! linear time, so look-around and back-references are refused. `format` is checked.
//!
//! # Headers
//!
//! Those that `header_schema` names are read, each at most once; none is set.
//!
//! # What it costs
//!
//! One strict look at the text of the body and one at the schema, with twenty bytes of memory for
//! each value and name in it, where the schema keeps to the common keywords. The others (such as
//! `patternProperties`, `contains` and `unevaluatedProperties`), forms, and bodies that are about to
//! be refused are read as values and held against the schema by another engine, with the same
//! outcome, for several times as much. Schemas are compiled when the configuration is read. The body
//! is held in memory, up to `limits.inspected_body`.
//!
//! # What it cannot do
//!
//! Query and path are not looked at (`oas-validator` does). The client learns that the request does
//! not match, not where: place and keyword are in the audit log. Answers are not looked at.
//!
//! # How it differs from Apache APISIX
//!
//! The body is parsed strictly and forwarded as it came, without defaults; nothing is fetched for
//! `$ref`; patterns cannot look around or refer back; `rejected_code` is 400 to 599.

pub(crate) mod law;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bartizan_chain::{
    BodyNeed, CompileCx, Flow, JsonLimits, Kinship, Nothing, Plugin, Proofs, Proven, RequestCx,
    Traits,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bartizan_wire::Fields;
use jsonschema::{Draft, ValidationError, Validator};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::plan::{Dialect, Document, Plan};
use super::proof;
use super::schema_options;

/// Longest place that the audit log shows, in characters; its names are the client's.
const SHOWN_MAX: usize = 256;

/// The configuration of `request-validation`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The schema of the headers: an object of lower-case names and texts.
    header_schema: Option<Map<String, Value>>,
    /// The schema of the body.
    body_schema: Option<Map<String, Value>>,
    /// The largest body that is read, in bytes; `limits.inspected_body` if not given.
    #[schemars(range(min = 1))]
    max_req_body_size: Option<u64>,
    /// The status of a refusal.
    #[serde(default = "bad_request")]
    #[schemars(range(min = 400, max = 599))]
    rejected_code: u16,
    /// What a refused client reads.
    #[schemars(length(min = 1, max = 256))]
    rejected_msg: Option<String>,
}

fn bad_request() -> u16 {
    400
}

/// Compiled `request-validation`.
pub struct RequestValidation {
    headers: Option<HeaderSchema>,
    body: Option<BodySchema>,
    body_max: usize,
    rejected_code: u16,
    rejected_msg: Option<String>,
}

struct BodySchema {
    validator: Validator,
    /// What accepts most bodies without their values; `None` where it could accept none.
    plan: Option<Plan>,
    limits: JsonLimits,
}

struct HeaderSchema {
    validator: Validator,
    /// The names that the schema binds to.
    named: Box<[String]>,
}

impl Plugin for RequestValidation {
    const NAME: &'static str = "request-validation";
    const PRIORITY: i32 = 2800;
    const KINSHIP: Kinship = Kinship::Different(
        "the body is parsed strictly and forwarded as it came; nothing is fetched for `$ref`; \
         patterns in linear time",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Validate]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        if config.header_schema.is_none() && config.body_schema.is_none() {
            return Err(Invalid::new("needs a `header_schema` or a `body_schema`"));
        }
        let draft = if cx.compatibility().is_apisix() { Draft::Draft7 } else { Draft::Draft202012 };
        let headers =
            config.header_schema.map(|schema| header_schema(schema, draft)).transpose()?;
        let has_body = config.body_schema.is_some();
        let limits = &cx.node.limits;
        let body = config
            .body_schema
            .map(|schema| body_schema(schema, draft, limits.into()))
            .transpose()?;
        if config.max_req_body_size.is_some() && !has_body {
            return Err(Invalid::at(
                "max_req_body_size",
                "no body is read without a `body_schema`",
            ));
        }
        let body_max = config.max_req_body_size.unwrap_or(limits.inspected_body.0);
        if body_max > limits.body_max.0 {
            let problem = format!("{body_max} bytes are more than `limits.body_max` allows");
            return Err(Invalid::at("max_req_body_size", problem)
                .with_help(format!("at most {}", limits.body_max)));
        }
        Ok(Self {
            headers,
            body,
            body_max: usize::try_from(body_max).unwrap_or(usize::MAX),
            rejected_code: config.rejected_code,
            rejected_msg: config.rejected_msg,
        })
    }

    fn traits(&self) -> Traits {
        let body = if self.body.is_some() {
            BodyNeed::Bytes { max: self.body_max }
        } else {
            BodyNeed::None
        };
        Traits {
            body,
            // Of the body; one of header fields alone proves nothing about it.
            proves: Proofs { schema: self.body.is_some(), ..Proofs::default() },
            ..Traits::in_stages(&[Stage::Validate])
        }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let headers = self.check_headers(cx);
        if let Some(schema) = &self.body {
            let body = cx.body().filter(|body| !body.is_empty());
            if let (Err(_), Some(body)) = (&headers, body) {
                // A body that has no meaning is refused as such, whatever else is wrong.
                cx.parse_body(body, schema.limits)?;
            }
            headers?;
            let body = body.ok_or_else(|| self.denial("the body is empty".into()))?;
            let fits = if cx.has_form()? { None } else { schema.fits(body, cx.wants_proven()) };
            if let Some(proven) = fits {
                if proven != Proven::default() {
                    cx.prove(proven);
                }
            } else {
                let value = match cx.body_value() {
                    Some(value) => Cow::Borrowed(value),
                    None => Cow::Owned(cx.parse_body(body, schema.limits)?),
                };
                self.check("body", &schema.validator, &value)?;
            }
        } else {
            headers?;
        }
        Ok(Flow::Continue)
    }
}

impl RequestValidation {
    fn check_headers(&self, cx: &RequestCx) -> Result<(), Denial> {
        let Some(schema) = &self.headers else { return Ok(()) };
        self.check("headers", &schema.validator, &schema.read(&cx.fields)?)
    }

    fn check(&self, what: &str, validator: &Validator, value: &Value) -> Result<(), Denial> {
        validator.validate(value).map_err(|error| {
            let place = error.instance_path().as_str();
            let place: String = place.chars().take(SHOWN_MAX).collect();
            self.denial(format!("{what} at `{place}`: {}", error.kind().keyword()))
        })
    }

    fn denial(&self, detail: String) -> Denial {
        let denial = Denial::new(Reason::SchemaViolation, detail).with_status(self.rejected_code);
        match &self.rejected_msg {
            Some(message) => denial.with_message(message),
            None => denial,
        }
    }
}

impl BodySchema {
    /// Where in a JSON text that certainly fits the values and names are that can do no harm, if
    /// somebody wants to know. Of any other the value must be looked at, which also finds out why it does not
    /// fit.
    fn fits(&self, body: &[u8], wants_proven: bool) -> Option<Proven> {
        let plan = self.plan.as_ref()?;
        let document = Document::read(body, self.limits).filter(|text| plan.accepts(text))?;
        let mut proven = Proven::default();
        if wants_proven {
            proof::note(&mut proven, plan.leaves(&document));
        }
        Some(proven)
    }
}

impl HeaderSchema {
    /// The headers as an object. What the schema binds to must have one meaning; the rest is there
    /// for `additionalProperties`, repeated ones joined as RFC 9110 §5.3 does.
    fn read(&self, fields: &Fields) -> Result<Value, Denial> {
        let mut object = Map::new();
        for field in fields.iter() {
            let name = String::from_utf8_lossy(field.name).into_owned();
            let is_named = self.named.contains(&name);
            let text = match std::str::from_utf8(field.value) {
                Ok(text) => text.to_owned(),
                Err(_) if is_named => return Err(ambiguous(&name, "is not UTF-8")),
                Err(_) => String::from_utf8_lossy(field.value).into_owned(),
            };
            match object.get_mut(&name) {
                Some(_) if is_named => return Err(ambiguous(&name, "is repeated")),
                Some(Value::String(joined)) => {
                    joined.push_str(", ");
                    joined.push_str(&text);
                }
                _ => drop(object.insert(name, Value::String(text))),
            }
        }
        Ok(Value::Object(object))
    }
}

fn ambiguous(name: &str, fault: &str) -> Denial {
    Denial::new(Reason::AmbiguousParameter, format!("the header `{name}` {fault}"))
}

fn header_schema(schema: Map<String, Value>, draft: Draft) -> Result<HeaderSchema, Invalid> {
    let mut schema = Value::Object(schema);
    let mut named = Vec::new();
    fold_names(&mut schema, &mut named);
    let validator = validator("header_schema", &schema, draft)?;
    Ok(HeaderSchema { validator, named: named.into() })
}

/// Writes the names of headers in lower case, as they are compared, wherever the schema applies to
/// the headers as a whole, and collects them.
fn fold_names(schema: &mut Value, named: &mut Vec<String>) {
    let Value::Object(schema) = schema else { return };
    for (keyword, value) in schema.iter_mut() {
        match (keyword.as_str(), value) {
            ("properties" | "dependentSchemas", Value::Object(members)) => {
                *members = std::mem::take(members)
                    .into_iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value))
                    .collect();
                named.extend(members.keys().cloned());
                if keyword == "dependentSchemas" {
                    members.values_mut().for_each(|value| fold_names(value, named));
                }
            }
            ("required", Value::Array(names)) => {
                for name in names {
                    if let Value::String(text) = name {
                        text.make_ascii_lowercase();
                        named.push(text.clone());
                    }
                }
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                for schema in schemas {
                    fold_names(schema, named);
                }
            }
            ("not" | "if" | "then" | "else", schema) => fold_names(schema, named),
            ("$defs" | "definitions", Value::Object(schemas)) => {
                schemas.values_mut().for_each(|schema| fold_names(schema, named));
            }
            _ => {}
        }
    }
}

fn body_schema(
    schema: Map<String, Value>,
    draft: Draft,
    limits: JsonLimits,
) -> Result<BodySchema, Invalid> {
    let schema = Value::Object(schema);
    let validator = validator("body_schema", &schema, draft)?;
    let plan = plan(&schema, validator.draft());
    Ok(BodySchema { validator, plan, limits })
}

fn plan(schema: &Value, draft: Draft) -> Option<Plan> {
    let build = |part: &Value| schema_options().with_draft(draft).build(part).ok();
    Plan::compile(schema, Dialect { draft, refuses_read_only: false, build: &build })
}

fn validator(key: &str, schema: &Value, draft: Draft) -> Result<Validator, Invalid> {
    if schema.as_object().is_some_and(Map::is_empty) {
        return Err(Invalid::at(key, "an empty schema accepts everything"));
    }
    let options = schema_options();
    let options = if schema.get("$schema").is_some() { options } else { options.with_draft(draft) };
    options.build(schema).map_err(|error| fault(key, schema, &error))
}

/// Why a schema does not compile, at the place in it.
fn fault(key: &str, schema: &Value, error: &ValidationError<'_>) -> Invalid {
    use jsonschema::error::ValidationErrorKind::Referencing;
    let mut path = vec![PathStep::Key(key.to_owned())];
    if let Referencing(cause) = error.kind() {
        path.extend(foreign_reference(schema).unwrap_or_default());
        return Invalid { path, problem: cause.to_string(), help: None }
            .with_help("`$ref` leads only to places in the same schema, such as `#/$defs/name`");
    }
    let mut value = Some(schema);
    for part in error.instance_path().as_str().split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        let index = value.filter(|v| v.is_array()).and_then(|_| name.parse::<usize>().ok());
        value = value.and_then(|v| index.map_or_else(|| v.get(&name), |index| v.get(index)));
        path.push(index.map_or(PathStep::Key(name), PathStep::Index));
    }
    Invalid { path, problem: error.to_string(), help: None }
}

/// Where a reference stands that leads out of the schema.
fn foreign_reference(schema: &Value) -> Option<Vec<PathStep>> {
    match schema {
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let is_foreign =
                name == "$ref" && value.as_str().is_some_and(|to| !to.starts_with('#'));
            let rest = if is_foreign { Some(Vec::new()) } else { foreign_reference(value) };
            rest.map(|rest| [vec![PathStep::Key(name.clone())], rest].concat())
        }),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, value)| {
            let rest = foreign_reference(value)?;
            Some([vec![PathStep::Index(index)], rest].concat())
        }),
        _ => None,
    }
}
