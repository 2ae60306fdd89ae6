//! Changes the request that the upstream gets: path, query, method, host, headers.
//!
//! ```yaml
//! proxy-rewrite:
//!   regex_uri: ["^/api/v1/(.*)", "/$1"]
//!   host: orders.internal
//!   headers:
//!     set: {X-Tenant: $http_x_tenant}
//!     remove: [X-Debug]
//! ```
//!
//! Everything is decided on the request as it came; the rewrite is the last thing before it is
//! sent. `regex_uri` is a list of pairs, pattern and replacement; the first pattern that is found in
//! the path has what it matched replaced, and where none is found the path stays. The query stays
//! unless the new `uri` has one. Headers are removed, then set, then added; a plain mapping sets.
//!
//! The new path passes the same gate as the old one: a result with `.`, `..` or empty segments, an
//! encoded slash or a control character is refused. Variables in a `uri` are percent-encoded, so
//! that a value is never structure; `$uri`, `$args` and captures are parts of a URI already. Fields
//! that frame the message or say who calls cannot be set.
//!
//! # Headers
//!
//! Those of `headers` are removed, set and added on the request that goes upstream; `host` sets
//! `Host`.
//!
//! # What it costs
//!
//! One search per pattern, in linear time.
//!
//! # What it cannot do
//!
//! What is decided on is the request as it came: a rewrite does not change which route, plugins or
//! limits apply. Bodies stay as they are.
//!
//! # How it differs from Apache APISIX
//!
//! The result passes the gate for paths; fields that frame the message or say who calls cannot be
//! set; variables are percent-encoded; patterns cannot look around or refer back.

mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bartizan_chain::{CompileCx, Flow, Kinship, Nothing, Plugin, RequestCx, Traits, Unsupported};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bartizan_wire::{Canonical, PathPolicy, TargetRefusal};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::field_change::{ChangeFault, FieldChange, FieldChanges, HeaderValue, Side};
use target::Target;

/// The configuration of `proxy-rewrite`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The new path, with variables, and with a query if there is a `?` in it.
    #[schemars(length(min = 1, max = 4096), regex(pattern = r"^/"))]
    uri: Option<String>,
    /// Pairs of a pattern and what comes in place of what it matches, such as `/$1`.
    #[schemars(length(min = 2, max = 64))]
    regex_uri: Option<Vec<String>>,
    /// The new method.
    method: Option<Method>,
    /// The new host, with or without a port.
    #[schemars(regex(pattern = r"^[0-9a-zA-Z.-]+(:\d{1,5})?$"))]
    host: Option<String>,
    /// Changes to the headers.
    headers: Option<Headers>,
}

/// Changes to headers: by kind, or a plain mapping of what is set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Headers {
    /// By kind.
    Changes(HeaderChanges),
    /// What is set.
    Set(BTreeMap<String, HeaderValues>),
}

/// Changes to headers, by kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderChanges {
    /// Put in place of whatever there is.
    #[schemars(extend("minProperties" = 1))]
    set: Option<BTreeMap<String, HeaderValues>>,
    /// Put beside whatever there is.
    #[schemars(extend("minProperties" = 1))]
    add: Option<BTreeMap<String, HeaderValues>>,
    /// Taken away.
    #[schemars(length(min = 1))]
    remove: Option<Vec<String>>,
}

/// One value of a header, or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HeaderValues {
    /// One.
    One(HeaderValue),
    /// Several, each in a field of its own.
    Several(#[schemars(length(min = 1))] Vec<HeaderValue>),
}

impl HeaderValues {
    fn texts(&self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value.text()],
            Self::Several(values) => values.iter().map(HeaderValue::text).collect(),
        }
    }
}

/// A method that a request can be given.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(extend("x-answers" = {"TRACE": "is refused: its answer shows scripts what the headers hold"}))]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// COPY
    Copy,
    /// MOVE
    Move,
    /// PROPFIND
    Propfind,
    /// LOCK
    Lock,
    /// UNLOCK
    Unlock,
    /// MKCOL
    Mkcol,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Copy => "COPY",
            Self::Move => "MOVE",
            Self::Propfind => "PROPFIND",
            Self::Lock => "LOCK",
            Self::Unlock => "UNLOCK",
            Self::Mkcol => "MKCOL",
        }
    }
}

/// Compiled `proxy-rewrite`.
pub struct ProxyRewrite {
    target: Target,
    method: Option<&'static str>,
    host: Option<String>,
    fields: Option<FieldChange>,
}

impl Plugin for ProxyRewrite {
    const NAME: &'static str = "proxy-rewrite";
    const PRIORITY: i32 = 1008;
    const KINSHIP: Kinship = Kinship::Different(
        "the result passes the gate for paths; fields that frame the message or say who calls \
         cannot be set; patterns in linear time",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Transform]);
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[
        (
            "use_real_request_uri_unsafe",
            Unsupported::Refused(
                "it forwards a path other than the one that was matched and authorised; leave it \
                 out, or rewrite with `uri` and `regex_uri`",
            ),
        ),
        (
            "scheme",
            Unsupported::NotYet(
                "say how to speak to an upstream with the `scheme` of the upstream, which also has \
                 the TLS settings",
            ),
        ),
    ];

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, _cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let Config { uri, regex_uri, method, host, headers } = config;
        if uri.is_none()
            && regex_uri.is_none()
            && method.is_none()
            && host.is_none()
            && headers.is_none()
        {
            return Err(Invalid::new("changes nothing")
                .with_help("one of `uri`, `regex_uri`, `method`, `host` and `headers`"));
        }
        let (target, captures_max) = Target::compile(uri.as_deref(), regex_uri.as_deref())?;
        if let Some(port) = host.as_deref().and_then(|host| host.split_once(':')).map(|(_, p)| p)
            && port.parse::<std::num::NonZeroU16>().is_err()
        {
            return Err(Invalid::at("host", format!("`{port}` is no port")));
        }
        let fields = headers.map(|headers| field_change(&headers, captures_max));
        let fields =
            fields.transpose().map_err(|fault| fault.under(PathStep::Key("headers".into())))?;
        Ok(Self { target, method: method.map(Method::name), host, fields })
    }

    fn traits(&self) -> Traits {
        Traits::in_stages(&[Stage::Transform])
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let (path_and_query, captures) = self.target.rewrite(cx)?;
        let outgoing = self.outgoing(cx.outgoing(), path_and_query.as_deref());
        let outgoing = outgoing.map_err(|cause| Denial::new(Reason::RewriteRefused, cause))?;
        if let Some(change) = &self.fields {
            change.apply_to_request(cx, &captures).map_err(change_denial)?;
        }
        if let Some(outgoing) = outgoing {
            cx.rewrite(outgoing);
        }
        Ok(Flow::Continue)
    }
}

fn change_denial(fault: ChangeFault) -> Denial {
    let reason = match fault {
        ChangeFault::Variable(_) => Reason::AmbiguousParameter,
        ChangeFault::Value => Reason::RewriteRefused,
    };
    Denial::new(reason, fault.to_string())
}

impl ProxyRewrite {
    /// The request as it will be sent; `None` where it stays as it is.
    fn outgoing(
        &self,
        present: &Canonical,
        path_and_query: Option<&str>,
    ) -> Result<Option<Canonical>, &'static str> {
        let refused = |refusal: TargetRefusal| refusal.detail;
        let mut outgoing = None;
        if let Some(text) = path_and_query {
            outgoing = Some(rewritten(present, text)?);
        }
        if let Some(method) = self.method {
            let base = outgoing.as_ref().unwrap_or(present);
            outgoing = Some(base.with_method(method).map_err(refused)?);
        }
        if let Some(host) = &self.host {
            let base = outgoing.as_ref().unwrap_or(present);
            outgoing = Some(base.with_host(host).map_err(refused)?);
        }
        Ok(outgoing)
    }
}

/// Passes the gate. A result that it would shorten is refused instead: a value such as `..` must
/// not choose another path than the one that was written.
fn rewritten(present: &Canonical, text: &str) -> Result<Canonical, &'static str> {
    let path = text.split('?').next().unwrap_or_default();
    if path.contains("//") && !present.path().contains("//") {
        return Err("the rewritten path has an empty segment");
    }
    let policy = PathPolicy::AS_WRITTEN;
    let outgoing = present.rewritten(text, policy).map_err(|refusal| refusal.detail)?;
    let depth = |path: &str| path.bytes().filter(|b| *b == b'/').count();
    if depth(outgoing.path()) != depth(path) {
        return Err("the rewritten path has a segment `.` or `..`");
    }
    Ok(outgoing)
}

fn field_change(headers: &Headers, captures_max: usize) -> Result<FieldChange, Invalid> {
    let mut changes = FieldChanges::new(Side::Request, captures_max);
    match headers {
        Headers::Set(set) => {
            for (name, values) in set {
                changes.set(name, &values.texts())?;
            }
        }
        Headers::Changes(HeaderChanges { set, add, remove }) => {
            let under = |key: &'static str| {
                move |fault: Invalid| fault.under(PathStep::Key(key.to_owned()))
            };
            if set.is_none() && add.is_none() && remove.is_none() {
                return Err(Invalid::new("changes nothing"));
            }
            for (name, values) in set.iter().flatten() {
                changes.set(name, &values.texts()).map_err(under("set"))?;
            }
            for (name, values) in add.iter().flatten() {
                changes.add(name, &values.texts()).map_err(under("add"))?;
            }
            for (index, name) in remove.iter().flatten().enumerate() {
                let at_item = |mut fault: Invalid| {
                    fault.path = vec![PathStep::Key("remove".into()), PathStep::Index(index)];
                    fault
                };
                changes.remove(name).map_err(at_item)?;
            }
        }
    }
    changes.build()
}
