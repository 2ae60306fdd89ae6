//! Answers in place of the upstream, with an example or with what a schema describes.
//!
//! ```yaml
//! mocking:
//!   response_schema:
//!     type: object
//!     properties:
//!       id: {type: integer, minimum: 1}
//!       name: {type: string, example: Alice}
//! ```
//!
//! Every request that has passed all checks gets the same answer. It runs last, in place of the
//! upstream, so that a mocked route is as protected as the real one will be: it needs
//! authentication, a grant and an upstream like any other, and whoever would be refused there is
//! refused here.
//!
//! `response_example` is sent as it is. From a `response_schema` one example is made when the
//! configuration is read: `example`, the first of `examples`, `default`, `const` and the first of
//! `enum` are taken as they are; otherwise the smallest value that fits, a text by its `format`,
//! every property of an object, one item of a list. What was made is held against the schema; a
//! schema for which none can be made (a `pattern` without an example, conditions that exclude each
//! other) is refused. With both, the example must fit the schema. Schemas are JSON, so that the
//! `content_type` must be, too.
//!
//! The answer has `X-Mock-By: bartizan`, unless `with_mock_header` is false; values of
//! `response_headers` may have variables, the example has none. A `delay` is at most `limits.delay`
//! (30 s); where `limits.delayed` (1,024) requests of this plugin wait already, the next one is
//! refused: 503, `limit.too_many_waiting`.
//!
//! # Headers
//!
//! The answer has `Content-Type`, those of `response_headers`, and `X-Mock-By: bartizan` unless
//! `with_mock_header` is false.
//!
//! # What it costs
//!
//! Nothing beside the answer.
//!
//! # What it cannot do
//!
//! Every request gets the same answer: nothing of the request is in it, and nothing is remembered.
//!
//! # How it differs from Apache APISIX
//!
//! It runs behind every check. Apache APISIX draws other values for each request, can make XML of a
//! schema, and names itself with its version in `X-Mock-By`.

mod example;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{CompileCx, Flow, Kinship, LocalAnswer, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bartizan_wire::{Fields, is_field_value};
use bytes::Bytes;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::field_change::{ChangeFault, FieldChange, FieldChanges, HeaderValue, Side};
use crate::waiting::Waiters;

/// The configuration of `mocking`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The body of the answer.
    #[schemars(length(max = 1_048_576))]
    response_example: Option<String>,
    /// A JSON Schema of which the body is an example.
    response_schema: Option<Map<String, Value>>,
    /// The `Content-Type` of the answer.
    #[serde(default = "json")]
    #[schemars(length(min = 1, max = 256))]
    content_type: String,
    /// The status of the answer.
    #[serde(default = "ok")]
    #[schemars(range(min = 200, max = 599))]
    response_status: u16,
    /// More headers of the answer; their values may have variables.
    #[schemars(extend("minProperties" = 1))]
    response_headers: Option<BTreeMap<String, HeaderValue>>,
    /// Whether the answer says that it is a mock.
    #[serde(default = "yes")]
    with_mock_header: bool,
    /// How long the answer takes, in seconds.
    #[serde(default)]
    delay: u32,
}

fn json() -> String {
    "application/json;charset=utf8".into()
}

fn ok() -> u16 {
    200
}

fn yes() -> bool {
    true
}

/// Compiled `mocking`.
pub struct Mocking {
    status: StatusCode,
    /// What is the same for every answer.
    fields: Fields,
    change: FieldChange,
    body: Bytes,
    delay: Duration,
    waiters: Arc<Waiters>,
}

impl Plugin for Mocking {
    const NAME: &'static str = "mocking";
    const PRIORITY: i32 = 10900;
    const KINSHIP: Kinship =
        Kinship::Different("answers behind every check; examples are the same every time");
    const STAGES: StageSet = StageSet::of(&[Stage::Transform]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let status = StatusCode::from_u16(config.response_status);
        let status = status.map_err(|_| Invalid::at("response_status", "is no status"))?;
        let body = body(&config, cx)?;
        if !body.is_empty() && matches!(config.response_status, 204 | 205 | 304) {
            let problem = "answers with this status have no body";
            return Err(
                Invalid::at("response_status", problem).with_help("write `response_example: \"\"`")
            );
        }
        if !is_field_value(config.content_type.as_bytes()) {
            return Err(Invalid::at("content_type", "is not the value of a header"));
        }
        let mut fields = Fields::new();
        fields.append(Bytes::from_static(b"content-type"), config.content_type);
        if config.with_mock_header {
            fields.append(Bytes::from_static(b"x-mock-by"), Bytes::from_static(b"bartizan"));
        }
        let mut changes = FieldChanges::new(Side::Response, 0);
        for (name, value) in config.response_headers.iter().flatten() {
            let set = changes.set(name, &[value.text()]);
            set.map_err(|fault| under("response_headers", fault))?;
        }
        let change = changes.build().map_err(|fault| under("response_headers", fault))?;
        let waiters = Waiters::of(cx);
        let delay = waiters.admit(Duration::from_secs(config.delay.into()));
        let delay = delay.map_err(|fault| under("delay", fault))?;
        Ok(Self { status, fields, change, body, delay, waiters })
    }

    fn traits(&self) -> Traits {
        Traits { needs_no_upstream: true, ..Traits::in_stages(&[Stage::Transform]) }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        self.waiters.wait(self.delay).await?;
        let mut fields = self.fields.clone();
        self.change.apply(cx, &[], &mut fields).map_err(|fault| {
            let reason = match fault {
                ChangeFault::Variable(_) => Reason::AmbiguousParameter,
                ChangeFault::Value => Reason::RewriteRefused,
            };
            Denial::new(reason, fault.to_string())
        })?;
        let answer = LocalAnswer { status: self.status, fields, body: self.body.clone() };
        Ok(Flow::Answer(Box::new(answer)))
    }
}

/// The body of every answer.
fn body(config: &Config, cx: &CompileCx<'_>) -> Result<Bytes, Invalid> {
    let Some(schema) = &config.response_schema else {
        let example = config.response_example.clone();
        return example
            .map(Bytes::from)
            .ok_or_else(|| Invalid::new("needs a `response_example` or a `response_schema`"));
    };
    if !is_json(&config.content_type) {
        let problem = "what a schema describes is JSON here";
        return Err(Invalid::at("content_type", problem)
            .with_help("for other types, give a `response_example`"));
    }
    let schema = Value::Object(schema.clone());
    let is_apisix = cx.compatibility().is_apisix();
    let validator =
        example::validator(&schema, is_apisix).map_err(|fault| under("response_schema", fault))?;
    let Some(text) = &config.response_example else {
        let made = example::example(&schema, &validator);
        let made = made.map_err(|fault| under("response_schema", fault))?;
        return Ok(Bytes::from(made.to_string()));
    };
    let example: Value = serde_json::from_str(text)
        .map_err(|fault| Invalid::at("response_example", format!("is not JSON: {fault}")))?;
    if let Err(fault) = validator.validate(&example) {
        let problem = format!("does not fit the `response_schema`: {fault}");
        return Err(Invalid::at("response_example", problem));
    }
    Ok(Bytes::from(text.clone()))
}

/// True for `application/json` and its like, such as `application/problem+json`.
fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media.ends_with("/json") || media.ends_with("+json")
}

fn under(key: &str, fault: Invalid) -> Invalid {
    fault.under(PathStep::Key(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{Bench, request};

    fn place(fault: &Invalid) -> String {
        let step = |step: &PathStep| match step {
            PathStep::Key(key) => key.clone(),
            PathStep::Index(index) => index.to_string(),
        };
        fault.path.iter().map(step).collect::<Vec<_>>().join(".")
    }

    #[test]
    fn it_runs_behind_every_check_and_opens_no_route() {
        let config = json!({"response_example": "x"});
        let traits = Bench::new().compile::<Mocking>(&config).unwrap().traits();
        assert_eq!(traits.stages, StageSet::of(&[Stage::Transform]));
        assert!(!traits.only_answers && !traits.proves.authentication && !traits.proves.grant);
    }

    #[test]
    fn every_request_gets_the_same_answer() {
        bartizan_testkit::run(async {
            let config = json!({"response_schema": {"type": "object", "properties": {
                "id": {"type": "integer", "minimum": 5}, "mail": {"type": "string", "format": "email"},
            }}});
            let plugin = Bench::new().compile::<Mocking>(&config).unwrap();
            for _ in 0..3 {
                let mut cx = request("/", &[]);
                let flow = plugin.on_request(Stage::Transform, &mut cx, &mut ()).await.unwrap();
                let Flow::Answer(answer) = flow else { panic!("it goes on") };
                assert_eq!(&answer.body[..], br#"{"id":5,"mail":"user@example.com"}"#);
            }
        });
    }

    #[test]
    fn faults_say_where_and_why() {
        for (config, at, problem) in [
            (json!({}), "", "needs a `response_example`"),
            (
                json!({"response_schema": {"type": "string", "pattern": "^[0-9]+$"}}),
                "response_schema",
                "no example could be made",
            ),
            (json!({"response_schema": {"type": "strin"}}), "response_schema.type", "strin"),
            (
                json!({"response_schema": {"type": "string"}, "content_type": "text/xml"}),
                "content_type",
                "is JSON here",
            ),
            (
                json!({"response_schema": {"type": "string"}, "response_example": "7"}),
                "response_example",
                "does not fit",
            ),
            (
                json!({"response_schema": {"type": "string"}, "response_example": "{"}),
                "response_example",
                "is not JSON",
            ),
            (json!({"response_example": "x", "response_status": 204}), "response_status", "body"),
            (json!({"response_example": "x", "delay": 31}), "delay", "`limits.delay`"),
            (json!({"response_example": "x", "content_type": "a\n"}), "content_type", "a header"),
            (
                json!({"response_example": "x", "response_headers": {"a b": "c"}}),
                "response_headers.a b",
                "not the name",
            ),
        ] {
            let fault = Bench::new().fault::<Mocking>(&config);
            assert_eq!(place(&fault), at, "{config}: {}", fault.problem);
            assert!(fault.problem.contains(problem), "{config}: {}", fault.problem);
        }
    }
}
