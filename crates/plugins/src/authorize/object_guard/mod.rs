//! Lets callers reach only the objects that are theirs.
//!
//! ```yaml
//! object-guard:
//!   bindings:
//!     - object: {path: "/orders/{owner}/*", name: owner}
//!       equals: {claim: sub}
//! ```
//!
//! A binding names an object in the request (a segment of the path, a query parameter, a header or
//! a place in the body) and whose it must be: a claim of the token, a label of the consumer, or the
//! consumer's name. With `equals` both are the same text; with `in` the object is an item of the
//! claim's list or of the label's values, which commas part. All bindings must hold.
//!
//! What is missing, empty, repeated or no single value (text, whole number, true or false) is
//! refused; a path that is not of the pattern is too. Texts are compared byte by byte, after
//! percent-decoding; no case is folded.
//!
//! # Headers
//!
//! A binding may read one; none is set.
//!
//! # What it costs
//!
//! One comparison per binding. A guard with a binding to the body needs the body, and runs last in
//! its stage, as a whole; put bindings that need no body first by writing them into another
//! resource, if refusing before the body is read matters.
//!
//! # What it cannot do
//!
//! It cannot tell whose an object is that the request only names by number: that needs a policy
//! that knows the data (`opa`, `forward-auth`). It does not look at answers.

mod body_path;
mod path;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bartizan_chain::{
    BodyNeed, CompileCx, Flow, Identity, Kinship, Nothing, Plugin, Proofs, RequestCx, Traits,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bartizan_wire::is_field_name;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use body_path::BodyPath;
use path::PathPattern;

/// The configuration of `object-guard`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What must hold, all of it.
    #[schemars(length(min = 1, max = 16))]
    bindings: Vec<Binding>,
    /// What becomes of a request that lacks the object or the caller's side: it is refused.
    #[serde(default)]
    #[expect(dead_code, reason = "there is one answer; the field states it where it matters")]
    on_missing: OnMissing,
    /// The status of a refusal. With 404 it reads like an object that is not there.
    #[serde(default = "forbidden")]
    #[schemars(range(min = 403, max = 404))]
    status: u16,
}

/// One binding between an object and a caller.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Where the request names the object.
    object: Object,
    /// What the object must be the same as.
    equals: Option<Subject>,
    /// What the object must be one of.
    #[serde(rename = "in")]
    one_of: Option<Subject>,
}

/// Where a request names an object: one of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// A path pattern: plain segments, segments such as `{owner}`, and `/*` at the end for any rest.
    #[schemars(length(min = 1, max = 1024))]
    path: Option<String>,
    /// Which segment of `path`, where it names several.
    #[schemars(length(min = 1, max = 64))]
    name: Option<String>,
    /// A query parameter.
    #[schemars(length(min = 1, max = 256))]
    query: Option<String>,
    /// A header.
    #[schemars(length(min = 1, max = 256))]
    header: Option<String>,
    /// A place in the body, such as `$.order.owner`.
    #[schemars(length(min = 1, max = 1024))]
    body: Option<String>,
}

/// What is known of a caller: one of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// A claim of the token, by its dotted path.
    #[schemars(length(min = 1, max = 256))]
    claim: Option<String>,
    /// A label of the consumer.
    #[schemars(length(min = 1, max = 256))]
    label: Option<String>,
    /// The consumer's name; only `true` means something.
    #[schemars(extend("const" = true))]
    consumer: Option<bool>,
}

/// What becomes of a request that cannot be judged.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-answers" = {
    "allow": "is refused: what cannot be judged is never allowed",
    "pass": "is refused: what cannot be judged is never allowed"
}))]
pub enum OnMissing {
    /// It is refused.
    #[default]
    Deny,
}

fn forbidden() -> u16 {
    403
}

/// Compiled `object-guard`.
pub struct ObjectGuard {
    bindings: Box<[Bound]>,
    body: BodyNeed,
    status: u16,
}

#[derive(Debug)]
struct Bound {
    place: Place,
    owner: Owner,
    is_list: bool,
    /// How it reads in the audit log.
    rule: String,
}

#[derive(Debug)]
enum Place {
    Path { pattern: PathPattern, name: Box<str> },
    Query(Box<str>),
    Header(Box<str>),
    Body(BodyPath),
}

#[derive(Debug)]
enum Owner {
    Claim(Box<str>),
    Label(Box<str>),
    Consumer,
}

impl Plugin for ObjectGuard {
    const NAME: &'static str = "object-guard";
    const PRIORITY: i32 = 2300;
    const KINSHIP: Kinship = Kinship::Ours;
    const STAGES: StageSet = StageSet::of(&[Stage::Authorize]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        if config.bindings.is_empty() {
            return Err(Invalid::at("bindings", "needs at least one binding"));
        }
        let bind =
            |(index, binding)| bind(binding).map_err(|f: Invalid| f.under(PathStep::Index(index)));
        let bindings = config.bindings.into_iter().enumerate().map(bind);
        let bindings: Box<[Bound]> = bindings
            .collect::<Result<_, _>>()
            .map_err(|fault: Invalid| fault.under(PathStep::Key("bindings".into())))?;
        let reads_body = bindings.iter().any(|bound| matches!(bound.place, Place::Body(_)));
        let max = cx.node.limits.inspected_body.as_usize();
        let body = if reads_body { BodyNeed::Value { max } } else { BodyNeed::None };
        Ok(Self { bindings, body, status: config.status })
    }

    fn traits(&self) -> Traits {
        Traits {
            body: self.body,
            proves: Proofs { grant: true, ..Proofs::default() },
            ..Traits::in_stages(&[Stage::Authorize])
        }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let identity = cx.identity().filter(|identity| !identity.is_anonymous());
        let Some(identity) = identity else {
            return Err(Denial::new(Reason::IdentityRequired, "an object belongs to somebody"));
        };
        for bound in &self.bindings {
            bound.check(cx, identity).map_err(|cause| self.denial(bound, cause))?;
        }
        Ok(Flow::Continue)
    }
}

impl ObjectGuard {
    fn denial(&self, bound: &Bound, cause: &'static str) -> Denial {
        let denial = Denial::new(Reason::ObjectDenied, format!("{}: {cause}", bound.rule))
            .with_rule(bound.rule.clone())
            .with_status(self.status);
        // Even the reason's name would tell that the object is there.
        if self.status == 404 { denial.shown_as(Reason::NoRoute) } else { denial }
    }
}

impl Bound {
    fn check(&self, cx: &RequestCx, identity: &Identity) -> Result<(), &'static str> {
        let object = self.place.read(cx)?;
        if self.owner.owns(identity, &object, self.is_list)? {
            Ok(())
        } else {
            Err("the object is another's")
        }
    }
}

impl Place {
    fn read<'a>(&self, cx: &'a RequestCx) -> Result<Cow<'a, str>, &'static str> {
        const MISSING: &str = "the request names no object there";
        let value = match self {
            Self::Path { pattern, name } => {
                pattern.capture(cx.canonical().path(), name).ok_or("the path is another one")?
            }
            Self::Query(name) => {
                let value = cx.canonical().query_value(name);
                value.map_err(|_| "the parameter is repeated or not text")?.ok_or(MISSING)?
            }
            Self::Header(name) => {
                let value = cx.fields.single(name).map_err(|_| "the header is repeated")?;
                let text = std::str::from_utf8(value.ok_or(MISSING)?);
                Cow::Borrowed(text.map_err(|_| "the header is not text")?)
            }
            Self::Body(path) => {
                let value = cx.body_value().and_then(|body| path.find(body)).ok_or(MISSING)?;
                scalar(value).ok_or("what the body has there is no single value")?
            }
        };
        if value.is_empty() { Err(MISSING) } else { Ok(value) }
    }
}

impl Owner {
    fn owns(&self, identity: &Identity, object: &str, is_list: bool) -> Result<bool, &'static str> {
        match self {
            Self::Consumer => {
                let consumer = identity.consumer().ok_or("the caller is no consumer")?;
                Ok(consumer.username() == object)
            }
            Self::Label(name) => {
                let consumer = identity.consumer().ok_or("the caller is no consumer")?;
                let label = consumer.label(name).ok_or("the consumer has no such label")?;
                Ok(if is_list {
                    label.split(',').any(|item| item.trim() == object)
                } else {
                    label == object
                })
            }
            Self::Claim(path) => {
                let claim = identity.claim(path).ok_or("the token has no such claim")?;
                claim_owns(claim, object, is_list)
            }
        }
    }
}

fn claim_owns(claim: &Value, object: &str, is_list: bool) -> Result<bool, &'static str> {
    if is_list {
        let items = claim.as_array().ok_or("the claim is no list")?;
        return Ok(items.iter().filter_map(scalar).any(|item| item == object));
    }
    let owner = scalar(claim).ok_or("the claim is no single value")?;
    Ok(owner == object)
}

/// A value that has one spelling. Fractions and numbers that do not fit have several, and what an
/// upstream makes of them is not known.
pub(super) fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Number(number) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
        Value::Number(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn bind(binding: Binding) -> Result<Bound, Invalid> {
    let (key, subject, is_list) = match (binding.equals, binding.one_of) {
        (Some(subject), None) => ("equals", subject, false),
        (None, Some(subject)) => ("in", subject, true),
        (Some(_), Some(_)) => return Err(Invalid::at("in", "there is also an `equals`")),
        (None, None) => {
            return Err(Invalid::new("needs `equals` or `in`")
                .with_help("for example `equals: {claim: sub}`"));
        }
    };
    let (place, named) =
        place(binding.object).map_err(|f| f.under(PathStep::Key("object".into())))?;
    let (owner, owned) =
        owner(subject, is_list).map_err(|f| f.under(PathStep::Key(key.to_owned())))?;
    let relation = if is_list { "in" } else { "equals" };
    Ok(Bound { place, owner, is_list, rule: format!("{named} {relation} {owned}") })
}

fn place(object: Object) -> Result<(Place, String), Invalid> {
    let Object { path, name, query, header, body } = object;
    if name.is_some() && path.is_none() {
        return Err(Invalid::at("name", "names a segment, and there is no `path`"));
    }
    match (path, query, header, body) {
        (Some(path), None, None, None) => path_place(&path, name),
        (None, Some(query), None, None) => {
            let named = format!("query `{query}`");
            Ok((Place::Query(query.into()), named))
        }
        (None, None, Some(header), None) => {
            let lower = header.to_ascii_lowercase();
            if !is_field_name(lower.as_bytes()) {
                let problem = format!("`{header}` is not the name of a header");
                return Err(Invalid::at("header", problem));
            }
            let named = format!("header `{lower}`");
            Ok((Place::Header(lower.into()), named))
        }
        (None, None, None, Some(body)) => {
            let path = BodyPath::parse(&body).map_err(|f| f.under(PathStep::Key("body".into())))?;
            Ok((Place::Body(path), format!("body `{body}`")))
        }
        _ => Err(Invalid::new("needs exactly one of `path`, `query`, `header` and `body`")),
    }
}

fn path_place(path: &str, name: Option<String>) -> Result<(Place, String), Invalid> {
    let at_path = |fault: Invalid| fault.under(PathStep::Key("path".into()));
    let pattern = PathPattern::parse(path).map_err(at_path)?;
    let names: Vec<&str> = pattern.names().collect();
    let name = match (name, names.as_slice()) {
        (_, []) => {
            return Err(Invalid::at("path", format!("`{path}` names no segment"))
                .with_help("for example `/orders/{owner}/*`"));
        }
        (Some(name), names) if names.contains(&name.as_str()) => name,
        (Some(name), _) => {
            return Err(Invalid::at("name", format!("`{path}` has no segment `{{{name}}}`")));
        }
        (None, [only]) => (*only).to_owned(),
        (None, _) => {
            return Err(Invalid::at("path", format!("`{path}` names several segments"))
                .with_help("say which one with `name`"));
        }
    };
    let named = format!("path `{{{name}}}`");
    Ok((Place::Path { pattern, name: name.into() }, named))
}

fn owner(subject: Subject, is_list: bool) -> Result<(Owner, String), Invalid> {
    match (subject.claim, subject.label, subject.consumer) {
        (Some(claim), None, None) => {
            let owned = format!("claim `{claim}`");
            Ok((Owner::Claim(claim.into()), owned))
        }
        (None, Some(label), None) => {
            let owned = format!("label `{label}`");
            Ok((Owner::Label(label.into()), owned))
        }
        (None, None, Some(true)) if is_list => {
            Err(Invalid::at("consumer", "a consumer has one name").with_help("use `equals`"))
        }
        (None, None, Some(true)) => Ok((Owner::Consumer, "consumer".to_owned())),
        (None, None, Some(false)) => {
            Err(Invalid::at("consumer", "says of nobody that the object is theirs"))
        }
        _ => Err(Invalid::new("needs exactly one of `claim`, `label` and `consumer`")),
    }
}
