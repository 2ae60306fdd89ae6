//! Sends the request's id to the upstream and to the client.
//!
//! Every request has an id that the gateway made: a UUID of version 7, which is in each denial,
//! log line and event whether or not this plugin runs. The plugin puts it into a header field. A
//! field that the client sent is replaced: else anybody could make their requests look like
//! somebody else's. Where the connection comes from one of `trust_from`, an id that is there
//! already is kept, sent on and echoed; events still go by the gateway's own.
//!
//! ```yaml
//! request-id:
//!   header_name: X-Request-Id
//!   trust_from: [10.0.0.0/8]
//! ```
//!
//! # Headers
//!
//! `header_name` is set on the request that goes upstream and, unless `include_in_response` is
//! false, on the answer. An id is kept if it occurs once and has 1 to 128 characters of a token
//! (RFC 9110 §5.6.2).
//!
//! # What it costs
//!
//! One field.
//!
//! # What it cannot do
//!
//! Ids are names, not secrets: they can be guessed. It makes no traces.
//!
//! # How it differs from Apache APISIX
//!
//! An id of the client's is kept only from `trust_from`, and ids are UUIDs of version 7; other
//! `algorithm`s are answered specially.

use bartizan_chain::{
    AnswerHead, CompileCx, Flow, Kinship, Nothing, Plugin, RequestCx, Traits, Unsupported,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, RequestId, Stage, StageSet};
use bartizan_wire::{Fields, is_field_name, is_identity_field, is_token_byte};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::networks::Networks;

/// Longest id that is kept.
const ID_MAX: usize = 128;

/// Fields that have a meaning of their own and cannot carry an id.
const TAKEN: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "location",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The configuration of `request-id`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The header field that carries the id.
    #[serde(default = "x_request_id")]
    #[schemars(length(min = 1, max = 256))]
    header_name: String,
    /// Whether the answer carries it too.
    #[serde(default = "yes")]
    include_in_response: bool,
    /// How ids are made: `uuid` and `uuidv7` are both a UUID of version 7.
    #[serde(default)]
    algorithm: Algorithm,
    /// Addresses and networks of the proxies whose ids are kept.
    #[schemars(length(min = 1))]
    trust_from: Option<Vec<String>>,
}

fn x_request_id() -> String {
    "X-Request-Id".to_owned()
}

fn yes() -> bool {
    true
}

/// The ways of making an id that this gateway has.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline, extend("x-answers" = {
    "nanoid": NOT_YET, "range_id": NOT_YET, "ksuid": NOT_YET
}))]
pub enum Algorithm {
    /// A UUID; of version 7, as all ids here are.
    #[default]
    Uuid,
    /// A UUID of version 7 (RFC 9562 §5.7).
    UuidV7,
}

const NOT_YET: &str = "is not supported yet; ids are UUIDs of version 7";

/// Compiled `request-id`.
pub struct RequestIdField {
    name: Bytes,
    is_echoed: bool,
    trusted: Networks,
}

impl Plugin for RequestIdField {
    const NAME: &'static str = "request-id";
    const PRIORITY: i32 = 12_015;
    const KINSHIP: Kinship = Kinship::Different(
        "an id of the client's is kept only from `trust_from`; ids are UUIDs of version 7",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Prepare, Stage::Reply]);
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] =
        &[("range_id", Unsupported::NotYet("ids are UUIDs of version 7"))];

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    /// The id that this request goes by in the field.
    type Call = Option<Bytes>;

    fn compile(config: Config, _cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let name = config.header_name.to_ascii_lowercase();
        if !is_field_name(name.as_bytes()) {
            let problem = format!("`{}` is not the name of a header field", config.header_name);
            return Err(Invalid::at("header_name", problem));
        }
        if TAKEN.contains(&name.as_str()) || is_identity_field(name.as_bytes()) {
            let problem = format!("`{}` has a meaning of its own", config.header_name);
            return Err(Invalid::at("header_name", problem)
                .with_help("a field for the id alone, such as `X-Request-Id`"));
        }
        // Both are what the core makes; a value that it does not make is refused by the schema.
        let (Algorithm::Uuid | Algorithm::UuidV7) = config.algorithm;
        let trusted = Networks::read("trust_from", &config.trust_from.unwrap_or_default())?;
        Ok(Self { name: name.into(), is_echoed: config.include_in_response, trusted })
    }

    fn traits(&self) -> Traits {
        let mut traits = Traits::in_stages(&[Stage::Prepare]);
        traits.on_response = self.is_echoed;
        traits
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        call: &mut Option<Bytes>,
    ) -> Result<Flow, Denial> {
        let is_trusted = self.trusted.contain(cx.peer.address.ip());
        let id = self.kept(&cx.fields, is_trusted).unwrap_or_else(|| text(cx.id));
        cx.fields.set(self.name.clone(), id.clone());
        *call = Some(id);
        Ok(Flow::Continue)
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Option<Bytes>,
    ) -> Result<(), Denial> {
        let id = call.clone().unwrap_or_else(|| text(cx.id));
        answer.fields.set(self.name.clone(), id);
        Ok(())
    }
}

impl RequestIdField {
    /// The id that a trusted peer has sent, if it is one.
    fn kept(&self, fields: &Fields, is_trusted: bool) -> Option<Bytes> {
        let name = std::str::from_utf8(&self.name).ok().filter(|_| is_trusted)?;
        let id = fields.single(name).ok().flatten()?;
        let is_token = (1..=ID_MAX).contains(&id.len()) && id.iter().all(|b| is_token_byte(*b));
        is_token.then(|| Bytes::copy_from_slice(id))
    }
}

fn text(id: RequestId) -> Bytes {
    Bytes::copy_from_slice(&id.encode())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::Bench;

    fn plugin() -> RequestIdField {
        let config = json!({ "header_name": "X-Trace", "trust_from": ["10.0.0.0/8"] });
        Bench::new().compile(&config).unwrap()
    }

    fn fields(values: &[&str]) -> Fields {
        let mut fields = Fields::new();
        for value in values {
            fields.append("x-trace", value.as_bytes().to_vec());
        }
        fields
    }

    #[test]
    fn an_id_is_kept_from_the_trusted_only() {
        let sent = fields(&["abc-123"]);
        assert_eq!(plugin().kept(&sent, true).as_deref(), Some(&b"abc-123"[..]));
        assert_eq!(plugin().kept(&sent, false), None);
        assert!(plugin().trusted.contain("10.1.1.1".parse().unwrap()));
        assert!(!plugin().trusted.contain("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_token_or_came_twice_is_not_kept() {
        let long = "x".repeat(129);
        for values in [&[][..], &[""], &["a b"], &["a,b"], &["é"], &["a", "b"], &[&long]] {
            assert_eq!(plugin().kept(&fields(values), true), None, "{values:?}");
        }
        assert!(plugin().kept(&fields(&[&"x".repeat(128)]), true).is_some());
    }

    #[test]
    fn nobody_is_trusted_by_default_and_the_answer_has_the_id() {
        let plugin: RequestIdField = Bench::new().compile(&json!({})).unwrap();
        assert_eq!(&plugin.name[..], b"x-request-id");
        assert!(!plugin.trusted.contain("127.0.0.1".parse().unwrap()));
        assert!(plugin.traits().on_response);
        let config = json!({ "include_in_response": false, "algorithm": "uuidv7" });
        assert!(!Bench::new().compile::<RequestIdField>(&config).unwrap().traits().on_response);
    }

    #[test]
    fn what_cannot_work_does_not_compile() {
        for (config, problem) in [
            (json!({ "header_name": "a b" }), "not the name of a header field"),
            (json!({ "header_name": "Host" }), "has a meaning of its own"),
            (json!({ "header_name": "X-Consumer-Username" }), "has a meaning of its own"),
            (json!({ "trust_from": ["10.0.0.0/99"] }), "invalid ip address"),
            (json!({ "algorithm": "nanoid" }), "unknown variant"),
        ] {
            let fault = Bench::new().fault::<RequestIdField>(&config);
            assert!(fault.problem.contains(problem), "{}", fault.problem);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_kept_could_never_end_a_line(value in ".{0,200}") {
            if let Some(id) = plugin().kept(&fields(&[&value]), true) {
                let is_plain = id.iter().all(u8::is_ascii_graphic);
                proptest::prop_assert!(id.len() <= 128 && is_plain);
            }
        }
    }
}
