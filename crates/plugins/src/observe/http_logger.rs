//! Sends an entry for each exchange to an HTTP server, in batches.
//!
//! ```yaml
//! http-logger:
//!   uri: https://logs.example/ingest
//!   auth_header: $env://LOGS_AUTHORIZATION
//! ```
//!
//! Each batch is one POST. With `concat_method: json` (the default) its body is a JSON array of
//! entries, or the entry alone where `batch_max_size` is 1; with `new_line` it is one object a line.
//! Only an answer of 2xx means that the batch was taken; everything else, redirects too, is a
//! failure. After a failure a batch is sent again as it was, so that a receiver can get it twice.
//!
//! What an entry holds, how it can be changed with `log_format`, and what of it is redacted, is
//! told at `file-logger`; when entries leave, what may wait, and what is dropped, counted and told,
//! at `tcp-logger`.
//!
//! # Headers
//!
//! None is set on requests or answers. A batch is sent with `Content-Type` and, where `auth_header`
//! is given, `Authorization`.
//!
//! # What it costs
//!
//! The entry is written into memory by the worker (some microseconds); the rest happens beside the
//! requests. Of the server's answer at most 64 KiB are read and nothing is used.
//!
//! # What it cannot do
//!
//! Bodies are not logged. A receiver can get a batch twice. What finds no room is dropped and
//! counted, never waited for.
//!
//! # How it differs from Apache APISIX
//!
//! An `https` server must prove to be the host, by the system's authorities or those of `ca_certs`,
//! unless `danger_ssl_verify: false` is written; Apache APISIX verifies only where told to. Queues
//! are bounded, secrets are taken out.

use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{
    AnswerHead, CompileCx, Kinship, Nothing, Outcome, Plugin, RequestCx, Traits, Unsupported,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Limits, Secret, StageSet};
use bartizan_net::{Call, CallLimits, Client, Endpoint, Keep, Reach, Task};
use bartizan_wire::{Fields, is_field_value};
use bytes::Bytes;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;

use super::batch::{Deliver, Undelivered};
use super::logger::{
    Destination, Kept, Logger, Metadata, OBSERVE, body_fields, logger_config, seconds,
};
use crate::outgoing::{Pem, Trust, endpoint};

/// How much of an answer is read.
const ANSWER_MAX: usize = 64 * 1_024;
/// A connection between two batches.
const KEEP: Keep = Keep { size: 1, idle: Duration::from_secs(55) };

logger_config! {
    /// The configuration of `http-logger`.
    {
        /// Where batches are sent.
        #[schemars(length(min = 1, max = 2_048))]
        uri: String,
        /// The value of `Authorization`.
        auth_header: Option<Secret>,
        /// How the entries of a batch become one body.
        #[serde(default)]
        concat_method: ConcatMethod,
        /// Seconds that a batch may take, connecting and the answer included.
        #[serde(default = "three_seconds")]
        #[schemars(range(min = 1, max = 600))]
        timeout: u32,
        /// PEM of the authorities that may have signed the server's certificate; the system's if
        /// left out.
        ca_certs: Option<Pem>,
        /// Whether the server's certificate is verified. Off, whoever sits between reads the log.
        #[serde(default = "yes")]
        danger_ssl_verify: bool,
    }
}

/// How entries become one body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConcatMethod {
    /// As a JSON array.
    #[default]
    Json,
    /// One object a line.
    NewLine,
}

fn three_seconds() -> u32 {
    3
}

fn yes() -> bool {
    true
}

/// Compiled `http-logger`.
pub struct HttpLogger(Logger);

impl Plugin for HttpLogger {
    const NAME: &'static str = "http-logger";
    const PRIORITY: i32 = 410;
    const KINSHIP: Kinship = Kinship::Different(
        "a queue and a rate that are bounded, drops that are counted, secrets taken out of \
         what is logged; bodies are not logged yet",
    );
    const STAGES: StageSet = OBSERVE;
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = body_fields!();

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Metadata;
    type Call = Kept;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let trust = Trust { ca_certs: config.ca_certs.clone(), verifies: config.danger_ssl_verify };
        let (endpoint, target) = endpoint("uri", &config.uri, &trust, cx)?;
        let fields = fields(&config)?;
        // The credential decides where entries arrive, and must not be readable in a key.
        let credential = config.auth_header.as_ref();
        let credential = credential.map(|secret| cx.node.key.digest(Self::NAME, secret.expose()));
        let form = Form::of(&config);
        let id = format!("{} {:?}", config.uri, (&trust, credential, form, config.timeout));
        let sending = Sending {
            reach: cx.node.outside.reach.clone(),
            limits: cx.node.limits.clone(),
            endpoint,
            target,
            fields,
            form,
            time: seconds(config.timeout),
        };
        let make = move || Box::new(Post::new(sending.clone())) as Box<_>;
        let destination = Destination { id, make: Box::new(make) };
        Logger::compile(&config.shared(), cx, destination, |_| {}).map(Self)
    }

    fn traits(&self) -> Traits {
        self.0.traits()
    }

    fn on_response_head(
        &self,
        _cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Kept,
    ) -> Result<(), Denial> {
        self.0.note(answer, call);
        Ok(())
    }

    fn on_finish(&self, cx: &RequestCx, outcome: &Outcome<'_>, call: &mut Kept) {
        self.0.finish(cx, outcome, call, |_| {});
    }
}

fn fields(config: &Config) -> Result<Fields, Invalid> {
    let mut fields = Fields::new();
    let media = match config.concat_method {
        ConcatMethod::Json => "application/json",
        ConcatMethod::NewLine => "text/plain; charset=utf-8",
    };
    fields.append("content-type", media);
    fields.append("user-agent", concat!("bartizan/", env!("CARGO_PKG_VERSION")));
    if let Some(secret) = &config.auth_header {
        if secret.is_empty() || !is_field_value(secret.expose()) {
            return Err(Invalid::at("auth_header", "is not the value of a header"));
        }
        fields.append("authorization", secret.expose().to_vec());
    }
    Ok(fields)
}

/// What a body looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Array,
    Alone,
    Lines,
}

impl Form {
    fn of(config: &Config) -> Self {
        match (config.concat_method, config.batch_max_size) {
            (ConcatMethod::NewLine, _) => Self::Lines,
            (ConcatMethod::Json, 1) => Self::Alone,
            (ConcatMethod::Json, _) => Self::Array,
        }
    }

    fn body(self, batch: &[Bytes]) -> Vec<u8> {
        let mut body = Vec::with_capacity(batch.iter().map(|entry| entry.len() + 1).sum());
        for (index, entry) in batch.iter().enumerate() {
            match (self, index) {
                (Self::Array, 0) => body.push(b'['),
                (Self::Array, _) => body.push(b','),
                _ => {}
            }
            body.extend_from_slice(entry);
            if self == Self::Lines {
                body.push(b'\n');
            }
        }
        if self == Self::Array {
            body.push(b']');
        }
        body
    }
}

/// Where and how batches are sent.
#[derive(Clone)]
struct Sending {
    reach: Arc<dyn Reach>,
    limits: Limits,
    endpoint: Endpoint,
    target: Arc<str>,
    fields: Fields,
    form: Form,
    time: Duration,
}

/// Sends batches.
struct Post {
    client: Client,
    sending: Sending,
}

impl Post {
    fn new(sending: Sending) -> Self {
        Self { client: Client::new(sending.reach.clone(), &sending.limits), sending }
    }

    async fn post(&self, batch: &[Bytes]) -> Result<usize, Undelivered> {
        let sending = &self.sending;
        let body = sending.form.body(batch);
        let (method, target, fields) = (&Method::POST, &sending.target, &sending.fields);
        let call = Call { method, target, fields, body: &body };
        let limits = CallLimits { time: sending.time, answer: ANSWER_MAX, keep: KEEP };
        let answered = self.client.call(&sending.endpoint, &call, &limits).await;
        let status = answered.map_err(|error| Undelivered::new(&error))?.status;
        if status.is_success() {
            return Ok(0);
        }
        Err(Undelivered::new(&format!("the server answers {status}")))
    }
}

impl Deliver for Post {
    fn deliver<'a>(&'a mut self, batch: &'a [Bytes]) -> Task<'a, Result<usize, Undelivered>> {
        self.client.sweep();
        Box::pin(self.post(batch))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::Bench;

    #[test]
    fn bodies_are_what_their_form_says() {
        let batch = [Bytes::from_static(b"{\"a\":1}"), Bytes::from_static(b"{\"a\":2}")];
        assert_eq!(Form::Lines.body(&batch), b"{\"a\":1}\n{\"a\":2}\n");
        assert_eq!(Form::Alone.body(&batch[..1]), b"{\"a\":1}");
        let array: Value = serde_json::from_slice(&Form::Array.body(&batch)).unwrap();
        assert_eq!(array, json!([{"a": 1}, {"a": 2}]));
    }

    #[test]
    fn a_private_authority_is_trusted_where_it_is_named() {
        let root = crate::fixture::authority();
        let mut config = json!({"uri": "https://a.example/", "ca_certs": root});
        assert!(Bench::new().compile::<HttpLogger>(&config).is_ok());
        config["ca_certs"] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".into();
        assert!(Bench::new().compile::<HttpLogger>(&config).is_err());
    }

    #[test]
    fn passwords_in_an_address_are_refused_and_not_told() {
        let fault = Bench::new().fault::<HttpLogger>(&json!({"uri": "http://u:hunter2@a/x"}));
        assert!(fault.problem.starts_with("`http://***@a/x` holds a user name"), "{fault}");
    }
}
