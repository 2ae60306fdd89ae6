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
}

use Unreadable::{Because, Json, Parameter, Query};

/// What fields cost, where the service of the route says it, and how that is summed up.
pub(super) type Tariff<'c> = Option<(&'c CostTree, Way)>;

/// An operation that was read.
pub(super) struct Operation {
    /// What it asks for.
    pub(super) measure: Measure,
    /// What it costs in millionths, where the service says what fields cost.
    pub(super) cost: Option<Result<u128, PriceFault>>,
}

/// What each operation of the request asks for; at most `most` of them.
pub(super) fn operations(
    cx: &RequestCx,
    most: usize,
    limits: JsonLimits,
    tariff: Tariff<'_>,
) -> Result<Vec<Operation>, Unreadable> {
    let method = cx.canonical().method();
    let in_target = parameter(cx, "query")?;
    let name = parameter(cx, "operationName")?;
    let body = cx.body().map(|body| &body[..]).unwrap_or_default();
    if *method == Method::GET || *method == Method::HEAD {
        if !body.is_empty() {
            return Err(Because("a body where the query is in the target"));
        }
        let query = in_target.ok_or(Because("there is no parameter `query`"))?;
        let variables = match tariff.map(|_| parameter(cx, "variables")).transpose()?.flatten() {
            Some(text) => {
                let value = parse_strict(text.as_bytes(), limits);
                Some(value.map_err(|fault| Json(fault.to_string()))?)
            }
            None => None,
        };
        let operation = measure(&query, name.as_deref(), variables.as_ref(), tariff)?;
        if operation.measure.kind != Kind::Query {
            return Err(Because("a GET request that does more than read"));
        }
        return Ok(vec![operation]);
    }
    if *method != Method::POST {
        return Err(Because("neither GET nor POST"));
    }
    if in_target.is_some() || name.is_some() {
        return Err(Because("the query is in the target and in the body"));
    }
    // Some servers take these from the target, whatever the body says.
    for member in ["variables", "extensions"] {
        if parameter(cx, member)?.is_some() {
            return Err(Because("what belongs to the query is in the target, the query is not"));
        }
    }
    match media(cx)? {
        Media::Json => in_json(cx, body, most, limits, tariff),
        Media::Graphql => {
            let text = std::str::from_utf8(body).map_err(|_| Because("it is not UTF-8"))?;
            measure(text, None, None, tariff).map(|operation| vec![operation])
        }
    }
}

fn in_json(
    cx: &RequestCx,
    body: &[u8],
    most: usize,
    limits: JsonLimits,
    tariff: Tariff<'_>,
) -> Result<Vec<Operation>, Unreadable> {
    let value = match cx.body_value() {
        Some(value) => Cow::Borrowed(value),
        None => Cow::Owned(parse_strict(body, limits).map_err(|fault| Json(fault.to_string()))?),
    };
    match &*value {
        Value::Object(request) => one(request, tariff).map(|operation| vec![operation]),
        Value::Array(requests) if requests.is_empty() => Err(Because("a batch of nothing")),
        Value::Array(requests) if requests.len() > most => {
            Err(Because("more operations in one request than `max_batch`"))
        }
        Value::Array(requests) => {
            let one = |request: &Value| match request {
                Value::Object(request) => one(request, tariff),
                _ => Err(Because("a batch of what is no request")),
            };
            requests.iter().map(one).collect()
        }
        _ => Err(Because("the body is no GraphQL request")),
    }
}

fn one(request: &Map<String, Value>, tariff: Tariff<'_>) -> Result<Operation, Unreadable> {
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
    measure(query, name, request.get("variables"), tariff)
}

/// Some clients send an empty name for none.
fn measure(
    query: &str,
    name: Option<&str>,
    variables: Option<&Value>,
    tariff: Tariff<'_>,
) -> Result<Operation, Unreadable> {
    let name = name.filter(|name| !name.is_empty());
    let measure = Document::parse(query).and_then(|document| document.measure(name));
    let measure = measure.map_err(Query)?;
    let Some(tariff) = tariff else { return Ok(Operation { measure, cost: None }) };
    let variables = match variables {
        None | Some(Value::Null) => None,
        Some(Value::Object(variables)) => Some(variables),
        Some(_) => return Err(Because("`variables` is no object")),
    };
    Ok(Operation { measure, cost: Some(price(query, name, variables, tariff)) })
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
