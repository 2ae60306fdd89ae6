//! From an HTTP request to the GraphQL operations it carries, in the one way that it can be read.

use std::borrow::Cow;

use bartizan_chain::{JsonLimits, RequestCx, parse_strict};
use bartizan_config::CostTree;
use bartizan_wire::QueryFault;
use http::Method;
use serde_json::{Map, Value};

use crate::graphql::{Document, Kind, Measure, PriceFault, Way, price};

/// The members of a GraphQL request; any other could be a query that is kept elsewhere.
const MEMBERS: [&str; 4] = ["query", "operationName", "variables", "extensions"];

/// Why the operations of a request cannot be read. Nothing of what the client sent is in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("{0}")]
    Because(&'static str),
    #[error("`{0}`: {1}")]
    Parameter(&'static str, QueryFault),
    #[error("JSON: {0}")]
    Json(String),
    #[error("the query: {0}")]
    Query(crate::graphql::Fault),
    #[error("{0}")]
    Price(PriceFault),
}

use Unreadable::{Because, Json, Parameter, Price, Query};

/// What fields cost and how that is summed up.
pub(super) type Tariff<'c> = (&'c CostTree, Way);

/// Where the operations of a request stand.
pub(super) enum Source<'a> {
    /// The target: the query, its name and its variables.
    Target(Cow<'a, str>, Option<Cow<'a, str>>, Option<Value>),
    /// A body that is one or more requests.
    Json(Cow<'a, Value>),
    /// A body that is the query.
    Text(&'a str),
}

/// An operation that was read.
pub(super) struct Operation<'s> {
    /// What it asks for.
    pub(super) measure: Measure,
    query: &'s str,
    name: Option<&'s str>,
    variables: Option<&'s Value>,
}

impl<'a> Source<'a> {
    /// Finds them. Variables in the target are read where they are `wanted`.
    pub(super) fn find(
        cx: &'a RequestCx,
        limits: JsonLimits,
        wanted: bool,
    ) -> Result<Self, Unreadable> {
        let method = cx.canonical().method();
        let query = parameter(cx, "query")?;
        let name = parameter(cx, "operationName")?;
        let body = cx.body().map(|body| &body[..]).unwrap_or_default();
        if *method == Method::GET || *method == Method::HEAD {
            if !body.is_empty() {
                return Err(Because("a body where the query is in the target"));
            }
            let query = query.ok_or(Because("there is no parameter `query`"))?;
            let variables = if wanted { parameter(cx, "variables")? } else { None };
            let variables = variables.map(|text| parse_strict(text.as_bytes(), limits));
            let variables = variables.transpose().map_err(|fault| Json(fault.to_string()))?;
            return Ok(Self::Target(query, name, variables));
        }
        if *method != Method::POST {
            return Err(Because("neither GET nor POST"));
        }
        if query.is_some() || name.is_some() {
            return Err(Because("the query is in the target and in the body"));
        }
        // Some servers take these from the target, whatever the body says.
        for member in ["variables", "extensions"] {
            if parameter(cx, member)?.is_some() {
                return Err(Because(
                    "what belongs to the query is in the target, the query is not",
                ));
            }
        }
        match (media(cx)?, cx.body_value()) {
            (Media::Json, Some(value)) => Ok(Self::Json(Cow::Borrowed(value))),
            (Media::Json, None) => {
                let value = parse_strict(body, limits).map_err(|fault| Json(fault.to_string()))?;
                Ok(Self::Json(Cow::Owned(value)))
            }
            (Media::Graphql, _) => {
                let text = std::str::from_utf8(body).map_err(|_| Because("it is not UTF-8"))?;
                Ok(Self::Text(text))
            }
        }
    }

    /// What each operation asks for, in time in proportion to the text; at most `most` of them.
    pub(super) fn operations(&self, most: usize) -> Result<Vec<Operation<'_>>, Unreadable> {
        match self {
            Self::Target(query, name, variables) => {
                let operation = Operation::measured(query, name.as_deref(), variables.as_ref())?;
                if operation.measure.kind != Kind::Query {
                    return Err(Because("a GET request that does more than read"));
                }
                Ok(vec![operation])
            }
            Self::Text(text) => Ok(vec![Operation::measured(text, None, None)?]),
            Self::Json(value) => match &**value {
                Value::Object(request) => Ok(vec![one(request)?]),
                Value::Array(requests) if requests.is_empty() => Err(Because("a batch of nothing")),
                Value::Array(requests) if requests.len() > most => {
                    Err(Because("more operations in one request than `max_batch`"))
                }
                Value::Array(requests) => requests.iter().map(one_of_batch).collect(),
                _ => Err(Because("the body is no GraphQL request")),
            },
        }
    }
}

fn one_of_batch(request: &Value) -> Result<Operation<'_>, Unreadable> {
    match request {
        Value::Object(request) => one(request),
        _ => Err(Because("a batch of what is no request")),
    }
}

fn one(request: &Map<String, Value>) -> Result<Operation<'_>, Unreadable> {
    // Some servers take `Query` for `query`, and the last one counts.
    if request.keys().any(|key| !MEMBERS.contains(&key.as_str())) {
        return Err(Because("a member that GraphQL requests do not have"));
    }
    let Some(Value::String(query)) = request.get("query") else {
        return Err(Because("there is no `query`"));
    };
    let name = match request.get("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.as_str()),
        Some(_) => return Err(Because("`operationName` is no text")),
    };
    Operation::measured(query, name, request.get("variables"))
}

impl<'s> Operation<'s> {
    fn measured(
        query: &'s str,
        name: Option<&'s str>,
        variables: Option<&'s Value>,
    ) -> Result<Self, Unreadable> {
        // Some clients send an empty name for none.
        let name = name.filter(|name| !name.is_empty());
        let measure = Document::parse(query).and_then(|document| document.measure(name));
        Ok(Self { measure: measure.map_err(Query)?, query, name, variables })
    }

    /// What it costs in millionths. What is counted for that is taken from `steps`.
    pub(super) fn price(&self, tariff: Tariff<'_>, steps: &mut u32) -> Result<u128, Unreadable> {
        let variables = match self.variables {
            None | Some(Value::Null) => None,
            Some(Value::Object(variables)) => Some(variables),
            Some(_) => return Err(Because("`variables` is no object")),
        };
        price(self.query, self.name, variables, tariff, steps).map_err(Price)
    }
}

fn parameter<'a>(
    cx: &'a RequestCx,
    name: &'static str,
) -> Result<Option<Cow<'a, str>>, Unreadable> {
    cx.canonical().query_value(name).map_err(|fault| Parameter(name, fault))
}

enum Media {
    Json,
    Graphql,
}

/// What the body is, in UTF-8 and nothing else.
fn media(cx: &RequestCx) -> Result<Media, Unreadable> {
    let lines = cx.fields.single("content-type");
    let line = lines.map_err(|_| Because("`Content-Type` occurs more than once"))?;
    let line = line.and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    let mut parts = line.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    for part in parts.filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim_matches('"');
        let is_utf8 = ["utf-8", "utf8"].iter().any(|known| value.eq_ignore_ascii_case(known));
        if name.trim().eq_ignore_ascii_case("charset") && !is_utf8 {
            return Err(Because("the body is not said to be UTF-8"));
        }
    }
    if media.eq_ignore_ascii_case("application/json") {
        Ok(Media::Json)
    } else if media.eq_ignore_ascii_case("application/graphql") {
        Ok(Media::Graphql)
    } else {
        Err(Because("the body is neither `application/json` nor `application/graphql`"))
    }
}
