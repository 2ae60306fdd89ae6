//! Changes answers: status, headers, body.
//!
//! ```yaml
//! response-rewrite:
//!   headers:
//!     set: {X-Served-By: $upstream_addr}
//!     remove: [Server]
//!   vars: [[status, "==", "200"]]
//! ```
//!
//! It applies where `vars` holds, to answers of the upstream and of the gateway alike; without
//! `vars` to all. Headers are removed, then set, then added; a plain mapping sets. Another body
//! takes with it the fields that described the old one: length, encoding, validators, ranges.
//!
//! `filters` search the body for patterns and replace what they find, one filter after the other:
//!
//! ```yaml
//! response-rewrite:
//!   filters:
//!     - {regex: 'http://([a-z.]+)/', replace: 'https://$1/', scope: global}
//! ```
//!
//! The body is held until it is complete, so that nothing is missed between two parts of it, and up
//! to `max_resp_body_size` bytes. A longer one is answered with 502, never sent unsearched. The
//! upstream is asked for the whole body without an encoding, whatever the client asked for; one that
//! comes with gzip, deflate or brotli is decoded, any other encoding and any part of a body (206) is
//! answered with 502. A body that was changed loses its `ETag` and `Last-Modified`. Streams without an
//! end, such as event streams, cannot be filtered. `gzip` and `brotli` compress what the filters
//! made.
//!
//! # Headers
//!
//! Those of `headers` are removed, set and added on the answer. Fields that frame the message
//! cannot be changed; a value that would hold what no field may is an error, not an answer.
//!
//! # What it costs
//!
//! Headers as good as nothing; filters hold the body in memory and search it once for each filter,
//! in time linear in its length.
//!
//! # What it cannot do
//!
//! Patterns cannot look around or refer back. Streams without an end cannot be filtered. It does
//! not understand JSON; `data-mask` does.
//!
//! # How it differs from Apache APISIX
//!
//! A body is never passed on unsearched, the default bound is `limits.inspected_response` (1 MiB)
//! in place of 64 MiB, and `body` beside `filters` is refused.

mod filters;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_chain::{
    AnswerHead, CompileCx, Expr, Flow, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::coding::decode::make_plain;
use crate::field_change::{ChangeFault, FieldChange, FieldChanges, HeaderValue, Side};
use filters::{Filter, Filters};

/// The configuration of `response-rewrite`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The new status.
    #[schemars(range(min = 200, max = 598))]
    status_code: Option<u16>,
    /// The new body.
    #[schemars(length(max = 1_048_576))]
    body: Option<String>,
    /// Whether `body` is written in Base64.
    #[serde(default)]
    body_base64: bool,
    /// Changes to the headers.
    headers: Option<Headers>,
    /// Patterns that are searched in the body, and what comes in place of what they find.
    #[schemars(length(min = 1, max = 64))]
    filters: Option<Vec<Filter>>,
    /// Longest body in bytes that `filters` search; a longer answer becomes 502. Absent:
    /// `limits.inspected_response`.
    #[schemars(range(min = 1))]
    max_resp_body_size: Option<u64>,
    /// Where it applies; an expression such as `[["status", "==", "200"]]`.
    vars: Option<Vec<Value>>,
}

/// Changes to headers: by kind, or a plain mapping of what is set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Headers {
    /// By kind.
    Changes(HeaderChanges),
    /// What is set.
    Set(BTreeMap<String, HeaderValue>),
}

/// Changes to headers, by kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderChanges {
    /// Put in place of whatever there is.
    #[schemars(extend("minProperties" = 1))]
    set: Option<BTreeMap<String, HeaderValue>>,
    /// Put beside whatever there is, each as `Name: value`.
    #[schemars(length(min = 1))]
    add: Option<Vec<String>>,
    /// Taken away.
    #[schemars(length(min = 1))]
    remove: Option<Vec<String>>,
}

/// Compiled `response-rewrite`.
pub struct ResponseRewrite {
    status: Option<StatusCode>,
    body: Option<Bytes>,
    fields: FieldChange,
    filters: Option<Arc<Filters>>,
    applies: Option<Expr>,
}

impl Plugin for ResponseRewrite {
    const NAME: &'static str = "response-rewrite";
    const PRIORITY: i32 = 899;
    const KINSHIP: Kinship = Kinship::Different(
        "fields that frame the message cannot be changed; a body that cannot be searched is \
         not passed on",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Transform, Stage::Reply]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let filters = filters(&config, cx)?.map(Arc::new);
        let Config { status_code, body, body_base64, headers, vars, .. } = config;
        if status_code.is_none() && body.is_none() && headers.is_none() && filters.is_none() {
            return Err(Invalid::new("changes nothing")
                .with_help("one of `status_code`, `body`, `headers` and `filters`"));
        }
        let status = status_code.map(|code| {
            StatusCode::from_u16(code)
                .map_err(|_| Invalid::at("status_code", format!("`{code}` is no status")))
        });
        let status = status.transpose()?;
        if body.is_none() && body_base64 {
            return Err(Invalid::at("body_base64", "there is no `body`"));
        }
        let has_content = body.as_deref().is_some_and(|body| !body.is_empty());
        if has_content && matches!(status_code, Some(204 | 205 | 304)) {
            return Err(Invalid::at("body", "answers with this `status_code` have no body"));
        }
        let body = body.map(|text| body_bytes(text, body_base64)).transpose()?;
        let fields = headers.as_ref().map(field_change).transpose();
        let fields = fields.map_err(|fault| fault.under(PathStep::Key("headers".into())))?;
        let applies = vars.map(|vars| Expr::compile(&Value::Array(vars))).transpose();
        let applies = applies.map_err(|fault| fault.under(PathStep::Key("vars".into())))?;
        Ok(Self { status, body, fields: fields.unwrap_or_default(), filters, applies })
    }

    fn traits(&self) -> Traits {
        let stages: &[Stage] = match self.filters {
            Some(_) => &[Stage::Transform, Stage::Reply],
            None => &[Stage::Reply],
        };
        Traits { on_response: true, ..Traits::in_stages(stages) }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        // Only with filters: they read the body.
        cx.ask_for_plain();
        Ok(Flow::Continue)
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        _call: &mut (),
    ) -> Result<(), Denial> {
        if let Some(applies) = &self.applies {
            let holds = applies.holds(cx).map_err(|fault| {
                Denial::new(Reason::AmbiguousParameter, format!("`vars`: {fault}"))
            })?;
            if !holds {
                return Ok(());
            }
        }
        self.fields.apply(cx, &[], &mut answer.fields).map_err(change_denial)?;
        if let Some(status) = self.status {
            answer.status = status;
        }
        if let Some(body) = &self.body {
            answer.replace(body.clone());
        }
        if let Some(filters) = &self.filters {
            make_plain(answer)?;
            filters.ask(answer);
        }
        Ok(())
    }
}

/// The compiled filters, where there are some.
fn filters(config: &Config, cx: &CompileCx<'_>) -> Result<Option<Filters>, Invalid> {
    let Some(filters) = &config.filters else {
        return match config.max_resp_body_size {
            Some(_) => Err(Invalid::at("max_resp_body_size", "there are no `filters`")),
            None => Ok(None),
        };
    };
    if config.body.is_some() {
        return Err(Invalid::at("filters", "`body` replaces what they would search")
            .with_help("keep one of both"));
    }
    let limits = &cx.node.limits;
    if let Some(max) = config.max_resp_body_size.filter(|max| *max > limits.body_max.0) {
        let problem = format!("{max} bytes are more than `limits.body_max` allows");
        return Err(Invalid::at("max_resp_body_size", problem)
            .with_help(format!("at most {}", limits.body_max)));
    }
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let stated = config.max_resp_body_size.map(size);
    Filters::compile(filters, stated, size(limits.inspected_response.0)).map(Some)
}

fn change_denial(fault: ChangeFault) -> Denial {
    let reason = match fault {
        ChangeFault::Variable(_) => Reason::AmbiguousParameter,
        ChangeFault::Value => Reason::RewriteRefused,
    };
    Denial::new(reason, fault.to_string())
}

fn body_bytes(text: String, is_base64: bool) -> Result<Bytes, Invalid> {
    if !is_base64 {
        return Ok(Bytes::from(text));
    }
    let decoded = STANDARD.decode(&text);
    decoded.map(Bytes::from).map_err(|_| Invalid::at("body", "is not Base64"))
}

fn field_change(headers: &Headers) -> Result<FieldChange, Invalid> {
    let mut changes = FieldChanges::new(Side::Response, 0);
    match headers {
        Headers::Set(set) => {
            for (name, value) in set {
                changes.set(name, &[value.text()])?;
            }
        }
        Headers::Changes(HeaderChanges { set, add, remove }) => {
            if set.is_none() && add.is_none() && remove.is_none() {
                return Err(Invalid::new("changes nothing"));
            }
            for (name, value) in set.iter().flatten() {
                let value = [value.text()];
                changes.set(name, &value).map_err(|f| f.under(PathStep::Key("set".into())))?;
            }
            for (index, line) in add.iter().flatten().enumerate() {
                let (name, value) = line.split_once(':').ok_or_else(|| {
                    Invalid::at_item("add", index, format!("`{line}` is not `Name: value`"))
                })?;
                let value = [value.trim_matches([' ', '\t']).to_owned()];
                changes.add(name, &value).map_err(|fault| at_item("add", index, fault))?;
            }
            for (index, name) in remove.iter().flatten().enumerate() {
                changes.remove(name).map_err(|fault| at_item("remove", index, fault))?;
            }
        }
    }
    changes.build()
}

/// The fault of a change whose name is not a key of the configuration.
fn at_item(key: &str, index: usize, fault: Invalid) -> Invalid {
    Invalid { path: vec![PathStep::Key(key.to_owned()), PathStep::Index(index)], ..fault }
}
