//! Changes the errors that the gateway itself answers with: status, body, headers, by rules.
//!
//! ```yaml
//! exit-transformer:
//!   rules:
//!     - statuses: [404, 405]
//!       status: 404
//!       body: {error: "there is nothing here"}
//!     - statuses: ["5xx"]
//!       body: "try again later\n"
//!       headers: {X-Request: $request_id}
//! ```
//!
//! Rules are looked at in their order; the first that names the status decides, and none after it.
//! Only what the gateway answers by itself is changed, with a status from 400 on: refusals, errors,
//! and what a plugin answers in their range. What an upstream answers goes out as it is; use
//! `response-rewrite` for that. It runs before all other plugins that shape answers, so that what
//! they add stands beside it.
//!
//! A new status is an error too, so that a refusal never looks like a success; without a new body
//! it brings problem details that say no more than the status. A body that is a
//! mapping or a list is sent as JSON, a text as `text/plain` unless `content_type` says otherwise.
//! Bodies hold nothing of the request; headers may have variables, such as the request's id. The
//! event in the audit log keeps the true reason and status.
//!
//! # Headers
//!
//! Answers that a rule changes get its `headers`, and `Content-Type` with a new body. What the
//! refusal said besides (`Retry-After`, a challenge) stays.
//!
//! # What it costs
//!
//! Nothing for other answers.
//!
//! # What it cannot do
//!
//! It changes only what the gateway answers by itself, and cannot make a success of it; use
//! `response-rewrite` for answers of the upstream.
//!
//! # How it differs from Apache APISIX
//!
//! There are no `functions`: they are programs that whoever may write a route could have the
//! gateway run. Rules say what such functions are used for.

use std::collections::BTreeMap;

use bartizan_chain::{
    AnswerHead, CompileCx, Kinship, Nothing, Plugin, RequestCx, Traits, Unsupported,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Compatibility, Denial, Reason, Stage, StageSet};
use bartizan_wire::is_field_value;
use bytes::Bytes;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::field_change::{FieldChange, FieldChanges, HeaderValue, Side};

/// The configuration of `exit-transformer`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What becomes of which errors; the first rule that names a status decides.
    #[schemars(length(min = 1, max = 64))]
    rules: Vec<Rule>,
}

/// What becomes of some errors.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The statuses it is about: numbers, or `4xx` and `5xx`.
    #[schemars(length(min = 1, max = 200))]
    statuses: Vec<Status>,
    /// The new status; an error as well.
    #[schemars(range(min = 400, max = 599))]
    status: Option<u16>,
    /// The new body: text, or a mapping or list that is sent as JSON.
    body: Option<Body>,
    /// What the new body is. Absent: `application/json` or `text/plain`.
    #[schemars(length(min = 1, max = 256))]
    content_type: Option<String>,
    /// Headers that are set; values may hold variables.
    #[schemars(extend("minProperties" = 1))]
    headers: Option<BTreeMap<String, HeaderValue>>,
}

/// One status, or a hundred of them.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Status {
    /// This one.
    One(#[schemars(range(min = 400, max = 599))] u16),
    /// All that begin so.
    Class(Class),
}

/// The statuses that begin with one digit.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Class {
    /// From 400 to 499.
    #[serde(rename = "4xx")]
    Client,
    /// From 500 to 599.
    #[serde(rename = "5xx")]
    Server,
}

/// A body.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Body {
    /// Text.
    Text(#[schemars(length(max = 1_048_576))] String),
    /// A mapping, sent as JSON.
    Object(serde_json::Map<String, Value>),
    /// A list, sent as JSON.
    List(Vec<Value>),
}

struct Compiled {
    statuses: Box<[Status]>,
    status: Option<StatusCode>,
    body: Option<(Bytes, Bytes)>,
    fields: FieldChange,
}

/// Compiled `exit-transformer`.
pub struct ExitTransformer {
    rules: Box<[Compiled]>,
}

impl Plugin for ExitTransformer {
    const NAME: &'static str = "exit-transformer";
    const PRIORITY: i32 = 22_950;
    const KINSHIP: Kinship =
        Kinship::Different("rules by status in place of code; `functions` is refused");
    const STAGES: StageSet = StageSet::of(&[Stage::Reply]);
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[(
        "functions",
        Unsupported::Refused(
            "they run code from the configuration, so that whoever may write a route may do \
             anything; `rules` change status, body and headers by status",
        ),
    )];

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let mode = cx.compatibility();
        let at = |index: usize| {
            move |fault: Invalid| {
                let fault = fault.under(PathStep::Index(index));
                fault.under(PathStep::Key("rules".to_owned()))
            }
        };
        let rules = config
            .rules
            .into_iter()
            .enumerate()
            .map(|(index, rule)| rule.compile(mode).map_err(at(index)))
            .collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    fn traits(&self) -> Traits {
        Traits { on_response: true, ..Traits::in_stages(&[Stage::Reply]) }
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        _call: &mut (),
    ) -> Result<(), Denial> {
        let status = answer.status.as_u16();
        if !answer.is_local || status < 400 {
            return Ok(());
        }
        let names = |rule: &&Compiled| rule.statuses.iter().any(|own| own.includes(status));
        let Some(rule) = self.rules.iter().find(names) else { return Ok(()) };
        if let Some(status) = rule.status {
            answer.status = status;
        }
        if let Some((content_type, body)) = &rule.body {
            answer.replace(body.clone());
            answer.fields.set(Bytes::from_static(b"content-type"), content_type.clone());
        }
        rule.fields
            .apply(cx, &[], &mut answer.fields)
            .map_err(|fault| Denial::new(Reason::RewriteRefused, fault.to_string()))
    }
}

impl Rule {
    fn compile(self, mode: Compatibility) -> Result<Compiled, Invalid> {
        let Self { statuses, status, body, content_type, headers } = self;
        if status.is_none() && body.is_none() && headers.is_none() {
            return Err(
                Invalid::new("changes nothing").with_help("one of `status`, `body` and `headers`")
            );
        }
        if body.is_none() && content_type.is_some() {
            return Err(Invalid::at("content_type", "there is no `body`"));
        }
        if content_type.as_deref().is_some_and(|text| !is_field_value(text.as_bytes())) {
            return Err(Invalid::at("content_type", "is not what a header may hold"));
        }
        let mut changes = FieldChanges::new(Side::Response, 0);
        let in_headers = |fault: Invalid| fault.under(PathStep::Key("headers".to_owned()));
        for (name, value) in headers.iter().flatten() {
            changes.set(name, &[value.text()]).map_err(in_headers)?;
        }
        let status = status.map(|code| {
            StatusCode::from_u16(code)
                .map_err(|_| Invalid::at("status", format!("`{code}` is no status")))
        });
        let status = status.transpose()?;
        let body = body.map(|body| {
            let (usual, text) = match body {
                Body::Text(text) => ("text/plain; charset=utf-8", text),
                Body::Object(object) => ("application/json", Value::Object(object).to_string()),
                Body::List(list) => ("application/json", Value::Array(list).to_string()),
            };
            let content_type =
                content_type.map_or(Bytes::from_static(usual.as_bytes()), Bytes::from);
            (content_type, Bytes::from(text))
        });
        let body = body.or_else(|| status.map(|status| said_by(status, mode)));
        Ok(Compiled {
            statuses: statuses.into(),
            status,
            body,
            fields: changes.build().map_err(in_headers)?,
        })
    }
}

/// What a body says that knows the status only: the one of the true reason would tell it.
fn said_by(status: StatusCode, mode: Compatibility) -> (Bytes, Bytes) {
    let title = status.canonical_reason().unwrap_or("Error");
    let (media, body) = if mode.is_apisix() {
        ("text/plain; charset=utf-8", format!("{}\n", json!({ "error_msg": title })))
    } else {
        let problem = json!({"type": "about:blank", "title": title, "status": status.as_u16()});
        ("application/problem+json", problem.to_string())
    };
    (Bytes::from_static(media.as_bytes()), Bytes::from(body))
}

impl Status {
    fn includes(self, status: u16) -> bool {
        match self {
            Self::One(own) => own == status,
            Self::Class(Class::Client) => (400..500).contains(&status),
            Self::Class(Class::Server) => (500..600).contains(&status),
        }
    }
}

#[cfg(test)]
mod tests {
    use bartizan_wire::Fields;
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::{Bench, request};

    fn answered(config: &Value, status: u16, is_local: bool) -> AnswerHead {
        let plugin = Bench::new().compile::<ExitTransformer>(config).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let mut answer = AnswerHead::new(status, Fields::new(), is_local);
        plugin.on_response_head(&request("/", &[]), &mut answer, &mut ()).unwrap();
        answer
    }

    #[test]
    fn faults_say_where_and_why() {
        for (config, problem) in [
            (json!({"rules": [{"statuses": [404]}]}), "changes nothing"),
            (json!({"rules": [{"statuses": [404], "content_type": "a/b"}]}), "changes nothing"),
            (
                json!({"rules": [{"statuses": [404], "status": 410, "content_type": "a/b"}]}),
                "no `body`",
            ),
            (
                json!({"rules": [{"statuses": [404], "body": "", "content_type": "a\n"}]}),
                "header may hold",
            ),
            (json!({"rules": [{"statuses": [404], "headers": {"TE": "x"}}]}), "connection"),
        ] {
            let fault = Bench::new().fault::<ExitTransformer>(&config);
            assert!(fault.problem.contains(problem), "{config}: {fault}");
        }
    }

    proptest! {
        #[test]
        fn the_first_rule_that_names_the_status_decides(
            status in 200_u16..=599,
            is_local: bool,
            one in 400_u16..=599,
        ) {
            let config = json!({"rules": [
                {"statuses": [one], "status": 410},
                {"statuses": ["4xx"], "status": 451},
                {"statuses": [599, "5xx"], "status": 503},
            ]});
            let changed = answered(&config, status, is_local).status.as_u16();
            let expected = match status {
                _ if !is_local || status < 400 => status,
                _ if status == one => 410,
                ..500 => 451,
                _ => 503,
            };
            prop_assert_eq!(changed, expected);
        }
    }
}
