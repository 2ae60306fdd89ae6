//! Lets clients that speak JSON call a method of a gRPC service.
//!
//! ```yaml
//! grpc-transcode:
//!   proto_id: shop
//!   service: shop.v1.Orders
//!   method: Find
//! ```
//!
//! The proto, an object of its own (`protos`), says which messages the method takes and gives. The
//! upstream is one of `scheme: grpc` or `grpcs`. The message is made of the body, or where there is
//! none of the query; the path is that of the method, and the query is not sent on. What comes back
//! is answered as JSON.
//!
//! A body is of `application/json` or `application/x-www-form-urlencoded`, and says so. Any other
//! content type is 415, with a body or without.
//!
//! It is strict: a field that the message does not have, a value of another type or out of range, a
//! field given twice, two of `oneof` and a missing `required` are 400, with the path of the field.
//! Fields are named as in the proto or in lowerCamelCase. `bytes` are base64, enums names or
//! numbers, numbers of 64 bits numbers or digits in a string, `null` is as absent as nothing. In a
//! query or form the message's own fields can be given, one parameter each; those of a list may be
//! given several times in a query. Messages such as `google.protobuf.Timestamp` are objects of their
//! fields, like all others.
//!
//! All other plugins see what the client sends and what it gets, whatever their priority and wherever
//! they are written: schemas and rules read the JSON or the form, and what reads, masks or changes
//! answers has the JSON and its status before it. That is why it is written on a route, service or
//! plugin config, and not in a global rule, on a consumer or a group, where it would be a second one.
//!
//! An error of the service becomes the HTTP status that fits it, and an answer without a body unless
//! `show_status_in_body` asks for one:
//!
//! | gRPC | HTTP |
//! |---|---|
//! | `INVALID_ARGUMENT`, `FAILED_PRECONDITION`, `OUT_OF_RANGE` | 400 |
//! | `UNAUTHENTICATED` | 401 |
//! | `PERMISSION_DENIED` | 403 |
//! | `NOT_FOUND` | 404 |
//! | `ALREADY_EXISTS`, `ABORTED` | 409 |
//! | `RESOURCE_EXHAUSTED` | 429 |
//! | `CANCELLED` | 499 |
//! | `UNIMPLEMENTED` | 501 |
//! | `UNAVAILABLE` | 503 |
//! | `DEADLINE_EXCEEDED` | 504 |
//! | others | 500 |
//!
//! # Headers
//!
//! The upstream gets `Content-Type: application/grpc` and, with a `deadline`,
//! `grpc-timeout`; fields that describe the client's body are taken out. The client gets
//! `grpc-status` and `grpc-message` as header fields. An answer that is none of gRPC is 502, unless its
//! status is another than 200: that is one of a server in front of the service, and passed on.
//!
//! # What it costs
//!
//! The body is held, parsed and written anew, each way.
//!
//! # What it cannot do
//!
//! It translates one message each way: methods that stream are refused. What the message means is
//! the service's to judge; schemas in front of it are `request-validation`'s.
//!
//! # How it differs from Apache APISIX
//!
//! What does not fit is refused rather than left out. `bytes` are base64. Numbers of 64 bits as
//! text are plain digits, without `#`. Answers are held up to `limits.inspected_response` unless
//! `max_resp_body_size` says otherwise.

mod answer;
mod options;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bartizan_chain::{
    AnswerHead, BodyNeed, CompileCx, Flow, JsonLimits, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bartizan_protos::{Method, Misfit, NoMethod};
use bartizan_wire::{PathPolicy, decode_form};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use answer::{Reading, Translated, unreadable};
use options::PbOption;

/// What says of the client's body, or of how it wants its answer, what is not true of the message.
const OF_THE_BODY: [&[u8]; 6] = [
    b"content-encoding",
    b"content-language",
    b"content-md5",
    b"content-digest",
    b"grpc-encoding",
    b"grpc-accept-encoding",
];

/// Longest deadline, in milliseconds: `grpc-timeout` has eight digits.
const DEADLINE_MAX: u32 = 99_999_999;

/// Longest word of what does not fit: names of fields are the client's.
const TOLD_MAX: usize = 256;

/// Longest answer that can be asked to be held.
const ANSWER_MAX: u64 = 67_108_864;

/// The configuration of `grpc-transcode`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The proto that describes the service.
    proto_id: ProtoId,
    /// The service, with its package.
    #[schemars(length(min = 1, max = 1024))]
    service: String,
    /// The method of the service.
    #[schemars(length(min = 1, max = 1024))]
    method: String,
    /// How long the service has, in milliseconds; 0 sets no deadline.
    #[serde(default)]
    #[schemars(range(max = 99_999_999))]
    deadline: u32,
    /// How messages are written as JSON; one of each kind.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pb_option: Option<Vec<PbOption>>,
    /// Answers errors with a body: `{"error": {"code": …, "message": …, "details": […]}}`.
    #[serde(default)]
    show_status_in_body: bool,
    /// The message, with its package, that details of errors are; others are shown in base64.
    #[schemars(length(min = 1, max = 1024))]
    status_detail_type: Option<String>,
    /// Longest answer that is held, in bytes; over it 502. Absent: `limits.inspected_response`.
    #[schemars(range(min = 1, max = 67_108_864))]
    max_resp_body_size: Option<u64>,
}

/// The id of a proto: text, or a number that is taken as its digits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ProtoId {
    /// Text.
    Text(#[schemars(regex(pattern = r"^[a-zA-Z0-9_.-]{1,64}$"))] String),
    /// A number.
    Number(#[schemars(range(min = 1))] u64),
}

/// Compiled `grpc-transcode`.
pub struct GrpcTranscode {
    method: Method,
    deadline: Option<String>,
    reading: Arc<Reading>,
    body_max: usize,
    answer_max: usize,
    json: JsonLimits,
}

/// Whether the request was translated.
#[derive(Debug, Default)]
pub struct Call {
    is_translated: bool,
}

impl Plugin for GrpcTranscode {
    const NAME: &'static str = "grpc-transcode";
    const PRIORITY: i32 = 506;
    const KINSHIP: Kinship = Kinship::Different(
        "what does not fit the message is refused with its path; `bytes` are base64; numbers of 64 \
         bits as text are plain digits",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Transform]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = Call;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let id = match &config.proto_id {
            ProtoId::Text(id) => id.clone(),
            ProtoId::Number(id) => id.to_string(),
        };
        let protos = (cx.proto)(&id)
            .ok_or_else(|| Invalid::at("proto_id", format!("there is no proto `{id}`")))?;
        let method = protos.method(&config.service, &config.method);
        let method = method.map_err(|fault| no_method(&config, fault))?;
        if config.deadline > DEADLINE_MAX {
            return Err(Invalid::at("deadline", format!("at most {DEADLINE_MAX} milliseconds")));
        }
        if config.status_detail_type.is_some() && !config.show_status_in_body {
            let problem = "`status_detail_type` has no effect without `show_status_in_body: true`";
            return Err(Invalid::at("status_detail_type", problem));
        }
        let details = match &config.status_detail_type {
            None => None,
            Some(name) => Some(protos.details(name).ok_or_else(|| {
                let problem = format!("the proto `{id}` has no message `{name}`");
                Invalid::at("status_detail_type", problem)
            })?),
        };
        let limits = &cx.node.limits;
        let answer_max = config.max_resp_body_size.unwrap_or(limits.inspected_response.0);
        if answer_max > ANSWER_MAX {
            return Err(Invalid::at("max_resp_body_size", format!("at most {ANSWER_MAX} bytes")));
        }
        Ok(Self {
            deadline: (config.deadline > 0).then(|| format!("{}m", config.deadline)),
            reading: Arc::new(Reading {
                method: method.clone(),
                style: options::style(config.pb_option.as_deref().unwrap_or_default())?,
                shows_status: config.show_status_in_body,
                details,
            }),
            method,
            body_max: usize::try_from(limits.inspected_body.0).unwrap_or(usize::MAX),
            answer_max: usize::try_from(answer_max).unwrap_or(usize::MAX),
            json: limits.into(),
        })
    }

    fn traits(&self) -> Traits {
        Traits {
            body: BodyNeed::Bytes { max: self.body_max },
            on_response: true,
            translates: true,
            ..Traits::in_stages(&[Stage::Transform])
        }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        let message = self.message(cx)?;
        let path = cx.outgoing().rewritten(self.method.path(), PathPolicy::AS_WRITTEN);
        let outgoing = path.and_then(|outgoing| outgoing.with_method("POST"));
        let outgoing =
            outgoing.map_err(|refusal| Denial::new(Reason::RewriteRefused, refusal.detail))?;
        cx.rewrite(outgoing);
        cx.ask_for_plain();
        cx.fields.retain(|field| !OF_THE_BODY.contains(&field.name));
        let mut set = |name: &'static str, value: Bytes| {
            cx.fields.set(Bytes::from_static(name.as_bytes()), value);
        };
        set("content-type", Bytes::from_static(b"application/grpc"));
        if let Some(deadline) = &self.deadline {
            set("grpc-timeout", Bytes::copy_from_slice(deadline.as_bytes()));
        }
        cx.translate(framed(&message)?);
        call.is_translated = true;
        Ok(Flow::Continue)
    }

    fn on_response_head(
        &self,
        _cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Call,
    ) -> Result<(), Denial> {
        if answer.is_local || !call.is_translated {
            return Ok(());
        }
        let kind = answer.fields.single("content-type");
        let kind = kind.map_err(|_| unreadable("`content-type` twice".into()))?;
        if !kind.is_some_and(answer::is_grpc) {
            // Other statuses may be those of a server in front of the service.
            return match answer.status.as_u16() {
                200 => Err(unreadable("the upstream's answer is not one of gRPC".into())),
                _ => Ok(()),
            };
        }
        if !answer.may_have_body() {
            return Err(unreadable("an answer of gRPC with a status that has no body".into()));
        }
        answer.hold(self.answer_max, Box::new(Translated(self.reading.clone())));
        Ok(())
    }
}

impl GrpcTranscode {
    /// The message that the request describes: its body, or where it has none its query.
    fn message(&self, cx: &RequestCx) -> Result<Vec<u8>, Denial> {
        let body = cx.body().filter(|body| !body.is_empty());
        let is_form = is_form(cx, body.is_some())?;
        let Some(body) = body else {
            let mut pairs = Vec::new();
            for (name, value) in cx.outgoing().query_pairs() {
                let decoded = decode_form(name).zip(decode_form(value));
                pairs.push(decoded.ok_or_else(|| {
                    Denial::new(Reason::SchemaViolation, "a parameter of the query is no text")
                })?);
            }
            let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            return self.method.input_of_parameters(pairs).map_err(|misfit| refused(&misfit));
        };
        let parsed;
        let value = if let Some(value) = cx.body_value() {
            value
        } else {
            parsed = cx.parse_body(body, self.json)?;
            &parsed
        };
        let message = match value {
            Value::Object(members) if is_form => {
                let text = |value| Value::as_str(value).unwrap_or_default();
                let pairs = members.iter().map(|(name, value)| (name.as_str(), text(value)));
                self.method.input_of_parameters(pairs)
            }
            value => self.method.input(value),
        };
        message.map_err(|misfit| refused(&misfit))
    }
}

/// Whether the body is a form. What is neither that nor JSON is not read, and what says nothing of
/// itself is not guessed: rules in front of this would not have read it as either.
fn is_form(cx: &RequestCx, has_body: bool) -> Result<bool, Denial> {
    let refused = |detail| Err(Denial::new(Reason::UndeclaredMediaType, detail));
    match cx.media_type()? {
        None if has_body => refused("a body without a content type"),
        None => Ok(false),
        Some(media) if media.eq_ignore_ascii_case(b"application/json") => Ok(false),
        Some(_) if cx.has_form()? => Ok(true),
        Some(_) => refused("a content type of neither JSON nor a form"),
    }
}

/// A request that is no message of the method.
fn refused(misfit: &Misfit) -> Denial {
    let mut text = misfit.to_string();
    text.truncate(text.floor_char_boundary(TOLD_MAX));
    Denial::new(Reason::SchemaViolation, text.clone()).with_message(text)
}

/// A message as calls have it: not compressed, and how long it is.
fn framed(message: &[u8]) -> Result<Bytes, Denial> {
    let length = u32::try_from(message.len())
        .map_err(|_| Denial::new(Reason::BodyTooLarge, "a message of more than 4 GiB"))?;
    let mut frame = Vec::with_capacity(message.len() + 5);
    frame.push(0);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    Ok(frame.into())
}

fn no_method(config: &Config, fault: NoMethod) -> Invalid {
    let list = |names: Vec<String>| {
        if names.is_empty() {
            return "there are none".to_owned();
        }
        format!("there are: {}", names.join(", "))
    };
    match fault {
        NoMethod::Service(names) => {
            Invalid::at("service", format!("the proto has no service `{}`", config.service))
                .with_help(list(names))
        }
        NoMethod::Method(names) => {
            Invalid::at("method", format!("the service has no method `{}`", config.method))
                .with_help(list(names))
        }
        NoMethod::Streams => {
            Invalid::at("method", format!("the method `{}` streams", config.method))
                .with_help("only methods that take one message and give one are translated")
        }
    }
}
