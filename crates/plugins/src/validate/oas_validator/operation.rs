//! A compiled description, and holding requests against it.

use std::cell::RefCell;

use bartizan_chain::{JsonLimits, Proven, RequestCx};
use bartizan_wire::Fields;
use serde_json::{Map, Value};

use super::body::Body;
use super::check::{Schemas, Slot};
use super::pairs::Pairs;
use super::parameter::{
    Parameter, Reader, Unreadable, read_cookies, read_headers, read_pairs, read_path,
};
use super::paths::{Miss, Paths};
use super::refusal::Refusal;
use super::style::Misfit;

/// Most parameters of a query; the request line bounds them too.
const QUERY_PAIRS_MAX: usize = 4_096;

/// Bodies up to this size are searched for everything that does not fit.
const SMALL_BODY: usize = 4_096;

/// A compiled description.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) paths: Paths,
    pub(super) operations: Vec<Operation>,
    pub(super) schemas: Schemas,
    /// Names of query parameters that carry credentials.
    pub(super) query_credentials: Box<[Box<str>]>,
}

/// An operation.
#[derive(Debug)]
pub(super) struct Operation {
    /// Method and path as the description has them.
    pub(super) label: Box<str>,
    /// The schema of a request: its parts are properties.
    pub(super) slot: Slot,
    /// Which parameter each value of the path is.
    pub(super) places: Box<[usize]>,
    pub(super) path: Box<[Parameter]>,
    pub(super) query: Box<[Parameter]>,
    pub(super) headers: Box<[Parameter]>,
    pub(super) cookies: Box<[Parameter]>,
    pub(super) body: Option<Body>,
}

/// What is looked at, and how strictly.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one switch of the configuration each")]
pub(super) struct Scope {
    pub(super) path: bool,
    pub(super) query: bool,
    pub(super) headers: bool,
    pub(super) body: bool,
    /// Refuses query parameters that the description does not name.
    pub(super) closed_query: bool,
    /// Refuses bodies of operations that have none.
    pub(super) closed_body: bool,
}

/// What of a request is held against the description.
pub(super) struct Request<'r> {
    pub(super) method: &'r str,
    pub(super) path: &'r str,
    pub(super) query: &'r str,
    pub(super) fields: &'r Fields,
    pub(super) body: &'r [u8],
    /// The length that the client declared.
    pub(super) declared_length: Option<u64>,
}

impl<'r> Request<'r> {
    pub(super) fn of(cx: &'r RequestCx) -> Self {
        // The query as it will be sent: without the credentials that were taken out of it.
        Self {
            method: cx.canonical().method().as_str(),
            path: cx.canonical().path(),
            query: cx.outgoing().query().unwrap_or_default(),
            fields: &cx.fields,
            body: cx.body().map_or(&[], |body| body.as_ref()),
            declared_length: cx.declared_length,
        }
    }
}

impl Api {
    /// True if some operation has a body.
    pub(super) fn has_bodies(&self) -> bool {
        self.operations.iter().any(|operation| operation.body.is_some())
    }

    /// Holds a request against the description. A refusal comes with the operation, if there is
    /// one. `proven` takes what can do no harm, if somebody wants to know.
    pub(super) fn check(
        &self,
        request: &Request<'_>,
        scope: Scope,
        limits: JsonLimits,
        proven: Option<&RefCell<Proven>>,
    ) -> Result<(), (Option<&str>, Refusal)> {
        let (index, captures) =
            self.paths.find(request.path, request.method).map_err(|miss| match miss {
                Miss::Path => (None, Refusal::Path),
                Miss::Method(allowed) => (None, Refusal::Method(allowed)),
            })?;
        let Some(operation) = self.operations.get(index) else {
            return Err((None, Refusal::Path));
        };
        let reader = Reader { schemas: &self.schemas, limits, proven };
        self.check_operation(operation, request, &captures, scope, reader)
            .map_err(|refusal| (Some(&*operation.label), refusal))
    }

    fn check_operation(
        &self,
        operation: &Operation,
        request: &Request<'_>,
        captures: &[&str],
        scope: Scope,
        reader: Reader<'_>,
    ) -> Result<(), Refusal> {
        let mut parts = Map::new();
        let put = |parts: &mut Map<String, Value>, part: &str, read: Read| {
            let values = read.map_err(|unreadable| Refusal::unreadable(part, &unreadable))?;
            parts.insert(part.to_owned(), Value::Object(values));
            Ok(())
        };
        if scope.path && !operation.path.is_empty() {
            let read = read_path(&operation.path, &operation.places, captures, reader);
            put(&mut parts, "path", read)?;
        }
        if scope.query && !(operation.query.is_empty() && request.query.is_empty()) {
            put(&mut parts, "query", self.query(operation, request, scope, reader)?)?;
        }
        if scope.headers && !operation.headers.is_empty() {
            put(&mut parts, "header", read_headers(&operation.headers, request.fields, reader))?;
        }
        if scope.headers && !operation.cookies.is_empty() {
            put(&mut parts, "cookie", read_cookies(&operation.cookies, request.fields, reader))?;
        }
        if let Some(proven) = reader.proven {
            *proven.borrow_mut() = operation.proven(&parts);
        }
        if scope.body
            && let Some((name, value)) = body(operation, request, scope, reader)?
        {
            parts.insert(name.to_owned(), value);
        }
        if parts.is_empty() {
            return Ok(());
        }
        let is_small = request.body.len() <= SMALL_BODY;
        let violations = self.schemas.violations(&operation.slot, Value::Object(parts), is_small);
        if violations.is_empty() { Ok(()) } else { Err(Refusal::Schema(violations)) }
    }

    fn query(
        &self,
        operation: &Operation,
        request: &Request<'_>,
        scope: Scope,
        reader: Reader<'_>,
    ) -> Result<Read, Refusal> {
        let unreadable = |misfit| Unreadable { name: "query".to_owned(), misfit };
        let mut pairs = match Pairs::parse(request.query, QUERY_PAIRS_MAX) {
            Ok(pairs) => pairs,
            Err(misfit) => return Ok(Err(unreadable(misfit))),
        };
        let read = read_pairs(&operation.query, &mut pairs, reader);
        if scope.closed_query && read.is_ok() {
            for name in &self.query_credentials {
                pairs.take(name);
            }
            if let Some(name) = pairs.unknown() {
                return Err(Refusal::violation("query", Some(&name), "undeclared"));
            }
        }
        Ok(read)
    }
}

impl Operation {
    /// The parameters that are a number or a flag, and of which the schemas allow nothing else; and the
    /// names that there are.
    fn proven(&self, parts: &Map<String, Value>) -> Proven {
        let names = |part: &str, parameters: &[Parameter]| {
            let is_proven = |parameter: &&Parameter| {
                let value = parts.get(part).and_then(|values| values.get(&*parameter.name));
                let is_plain = matches!(value, Some(Value::Number(_) | Value::Bool(_)));
                is_plain && parameter.is_plain()
            };
            parameters.iter().filter(is_proven).map(|parameter| parameter.name.clone()).collect()
        };
        // A map may take any names for its members.
        let sent = parts.get("query").and_then(Value::as_object);
        let is_sent = |parameter: &&Parameter| {
            !parameter.is_spread() && sent.is_some_and(|sent| sent.contains_key(&*parameter.name))
        };
        let stated = self.query.iter().filter(is_sent);
        Proven {
            query: names("query", &self.query),
            fields: names("header", &self.headers),
            cookies: names("cookie", &self.cookies),
            query_names: stated.map(|parameter| parameter.name.clone()).collect(),
            ..Proven::default()
        }
    }
}

type Read = Result<Map<String, Value>, Unreadable>;

/// The body's value and the property that its schema is.
fn body<'o>(
    operation: &'o Operation,
    request: &Request<'_>,
    scope: Scope,
    reader: Reader<'_>,
) -> Result<Option<(&'o str, Value)>, Refusal> {
    let Some(body) = &operation.body else {
        let is_there = !request.body.is_empty() || request.declared_length.is_some_and(|n| n > 0);
        return if is_there && scope.closed_body {
            Err(Refusal::violation("body", None, "undeclared"))
        } else {
            Ok(None)
        };
    };
    let repeated = |_| {
        let name = "content-type".to_owned();
        Refusal::unreadable("header", &Unreadable { name, misfit: Misfit::Repeated })
    };
    let content_type = request.fields.single("content-type").map_err(repeated)?;
    let content_type = content_type.and_then(|value| std::str::from_utf8(value).ok());
    body.read(content_type, request.body, reader)
}
