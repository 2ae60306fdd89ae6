//! The schemas of a description as one validator, and what it finds.
//!
//! Every schema is a property of one object, its slot, so that what many operations refer to is
//! compiled once.

use std::fmt;

use bartizan_core::PATTERN_SIZE_MAX;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, Keyword, PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::{Map, Value};

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
pub(super) struct Schemas(Validator);

impl Schemas {
    /// Compiles an object of schemas; see [`Slot`].
    pub(super) fn compile(root: &Value) -> Result<Self, ValidationError<'static>> {
        options().build(root).map(Self)
    }

    /// True if a value fits.
    pub(super) fn accepts(&self, slot: &Slot, value: Value) -> bool {
        self.0.is_valid(&slot.fill(value))
    }

    /// What of a request does not fit: nothing, or at least one thing. Everything is looked for
    /// only in what is small, since each finding costs memory and a client could ask for many.
    pub(super) fn violations(&self, slot: &Slot, request: Value, is_small: bool) -> Vec<Violation> {
        let object = slot.fill(request);
        if self.0.is_valid(&object) {
            return Vec::new();
        }
        let found = if is_small {
            self.0.iter_errors(&object).take(SHOWN_MAX).map(|error| violation(&error)).collect()
        } else {
            let first = self.0.validate(&object).err();
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

/// How schemas compile: patterns in linear time, nothing fetched, formats checked where they are
/// known, as the specification leaves their list open.
pub(super) fn options() -> ValidationOptions<'static> {
    let patterns =
        PatternOptions::regex().size_limit(PATTERN_SIZE_MAX).dfa_size_limit(PATTERN_SIZE_MAX);
    jsonschema::options()
        .offline()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(patterns)
        .should_validate_formats(true)
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
