//! The schemas of a description as one validator, and what it finds.
//!
//! Every schema is a property of one object, its slot, so that what many operations refer to is
//! compiled once.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, Keyword, ValidationError, ValidationOptions, Validator};
use serde_json::{Map, Value};

use super::compile::DEFINITION;
use super::parameter::Reader;
use crate::validate::plan::{Dialect, Document, Plan};
use crate::validate::proof;
use crate::validate::schema_options;

/// Most places that are shown of one request.
pub(super) const SHOWN_MAX: usize = 8;

/// Longest place that is shown, in characters; its names are the client's.
const PLACE_MAX: usize = 128;

/// A schema of the description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot(Box<str>);

impl Slot {
    pub(super) fn new(index: usize) -> Self {
        Self(index.to_string().into())
    }

    /// The property that it is.
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    fn fill(&self, value: Value) -> Value {
        let mut object = Map::new();
        object.insert(self.0.to_string(), value);
        Value::Object(object)
    }
}

/// A rule that a request breaks, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// `body`, `query`, `path`, `header` or `cookie`.
    pub(super) part: String,
    /// A JSON pointer into it.
    pub(super) place: String,
    /// The keyword that does not hold.
    pub(super) rule: String,
}

impl Violation {
    /// A rule that the whole of a part breaks, or what stands under a name in it.
    pub(super) fn new(part: &str, name: Option<&str>, rule: &str) -> Self {
        let place = name.map(|name| format!("/{}", escaped(name))).unwrap_or_default();
        Self { part: part.to_owned(), place: shortened(&place), rule: rule.to_owned() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at `{}`: {}", self.part, self.place, self.rule)
    }
}

/// All schemas of a description.
#[derive(Debug)]
pub(super) struct Schemas {
    validator: Validator,
    /// What accepts most JSON bodies without their values, by definition.
    plans: HashMap<usize, Plan>,
}

impl Schemas {
    /// Compiles an object of schemas; see [`Slot`]. `bodies` are the definitions of bodies.
    pub(super) fn compile(
        root: &Value,
        bodies: &BTreeSet<usize>,
    ) -> Result<Self, ValidationError<'static>> {
        let validator = options().build(root)?;
        let build = |part: &Value| options().build(part).ok();
        let dialect = Dialect { draft: validator.draft(), refuses_read_only: true, build: &build };
        let references = bodies.iter().map(|index| format!("{DEFINITION}{index}"));
        let plans = Plan::compile_all(root, references, dialect);
        let plans = bodies.iter().zip(plans).filter_map(|(index, plan)| Some((*index, plan?)));
        Ok(Self { plans: plans.collect(), validator })
    }

    /// True if a value fits.
    pub(super) fn accepts(&self, slot: &Slot, value: Value) -> bool {
        self.validator.is_valid(&slot.fill(value))
    }

    /// True if a JSON text certainly fits the definition of a body. Otherwise its value must be
    /// looked at, which also finds out why it does not.
    pub(super) fn accepts_body(&self, definition: usize, body: &[u8], reader: Reader<'_>) -> bool {
        let Some(plan) = self.plans.get(&definition) else { return false };
        let document = Document::read(body, reader.limits).filter(|text| plan.accepts(text));
        if let (Some(document), Some(proven)) = (&document, reader.proven) {
            proof::note(&mut proven.borrow_mut(), plan.leaves(document));
        }
        document.is_some()
    }

    /// What of a request does not fit: nothing, or at least one thing. Everything is looked for
    /// only in what is small, since each finding costs memory and a client could ask for many.
    pub(super) fn violations(&self, slot: &Slot, request: Value, is_small: bool) -> Vec<Violation> {
        let object = slot.fill(request);
        if self.validator.is_valid(&object) {
            return Vec::new();
        }
        let found = if is_small {
            self.validator
                .iter_errors(&object)
                .take(SHOWN_MAX)
                .map(|error| violation(&error))
                .collect()
        } else {
            let first = self.validator.validate(&object).err();
            first.iter().map(violation).collect::<Vec<_>>()
        };
        if found.is_empty() {
            // Two verdicts of one validator: the stricter one counts.
            return vec![Violation::new("request", None, "schema")];
        }
        found
    }
}

fn violation(error: &ValidationError<'_>) -> Violation {
    let path = error.instance_path().as_str();
    // The first step is the slot, the second the part.
    let inner = path.strip_prefix('/').and_then(|rest| rest.split_once('/')).map_or("", |(_, r)| r);
    let (part, place) = match inner.find('/') {
        Some(at) => inner.split_at_checked(at).unwrap_or((inner, "")),
        None => (inner, ""),
    };
    // Bodies of different content types have different names.
    let part = if part.starts_with("body") { "body" } else { part };
    let mut place = place.to_owned();
    if let ValidationErrorKind::Required { property } = error.kind()
        && let Some(name) = property.as_str()
    {
        place.push('/');
        place.push_str(&escaped(name));
    }
    Violation {
        part: part.to_owned(),
        place: shortened(&place),
        rule: error.kind().keyword().to_owned(),
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn shortened(place: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    place.chars().take(PLACE_MAX).map(plain).collect()
}

/// How schemas of descriptions compile: as all do, but formats are checked where they are known, as
/// the specification leaves their list open.
pub(super) fn options() -> ValidationOptions<'static> {
    schema_options()
        .with_draft(Draft::Draft202012)
        .should_ignore_unknown_formats(true)
        .with_format("byte", is_base64)
        .with_keyword("readOnly", |_, value, _| Ok(Box::new(ReadOnly(*value == Value::Bool(true)))))
}

fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

/// What the upstream alone may set: refused wherever it stands.
struct ReadOnly(bool);

impl<'i> Keyword<'i> for ReadOnly {
    fn validate(&self, _: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.0 { Err(ValidationError::custom("set by the server alone")) } else { Ok(()) }
    }

    fn is_valid(&self, _: &'i Value) -> bool {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use bartizan_chain::JsonLimits;
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_are_accepted_without_their_values_where_the_validator_accepts_them() {
        let root = json!({"$defs": {
            "0": {"type": "object", "properties": {"id": {"$ref": "#/$defs/1"}}},
            "1": {"type": "integer", "readOnly": false},
            "2": {"properties": {"set": {"readOnly": true}}, "patternProperties": {"^a": {"$ref": "#/$defs/1"}}},
            "3": {"properties": {"set": {"readOnly": true}, "key": {"format": "byte"}}},
        }});
        let schemas = Schemas::compile(&root, &BTreeSet::from([0, 2, 3])).unwrap();
        let limits = JsonLimits { depth: 8, items: 8 };
        let reader = Reader { schemas: &schemas, limits, proven: None };
        for (definition, body, accepts) in [
            (0, r#"{"id": 1}"#, true),
            (0, r#"{"id": "1"}"#, false),
            (0, r#"{"id": 1, "id": 1}"#, false),
            // It has no plan: it names a keyword that is not known, with a reference in it.
            (2, "{}", false),
            (3, r#"{"other": 1}"#, true),
            (3, r#"{"set": 1}"#, false),
            (3, r#"{"key": "AAAA"}"#, true),
            (3, r#"{"key": "<>"}"#, false),
            // Nobody asked for one.
            (1, "1", false),
        ] {
            let accepted = schemas.accepts_body(definition, body.as_bytes(), reader);
            assert_eq!(accepted, accepts, "{definition}: {body}");
        }
    }
}
