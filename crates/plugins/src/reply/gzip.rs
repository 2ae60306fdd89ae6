//! Compresses answers with gzip, for clients that accept it.
//!
//! ```yaml
//! gzip:
//!   types: [text/html, application/json]
//!   min_length: 256
//!   comp_level: 4
//! ```
//!
//! An answer is compressed if its `Content-Type` is one of `types`, it is not shorter than
//! `min_length` (an answer whose length is not known is never too short), the request's version is
//! at least `http_version`, and the client's `Accept-Encoding` weighs gzip above nothing and not
//! below `identity`. It is never compressed twice: not if it came with a `Content-Encoding`, and
//! where `brotli` is on the route as well the client's weights decide, brotli if they are equal.
//! Parts of bodies (206) and answers with `Cache-Control: no-transform` go out as they are. Answers
//! that the gateway makes are compressed like others.
//!
//! The body is compressed while it passes and sent in chunks. `Content-Length`, digests and
//! `Accept-Ranges` go, since they are about other bytes; a strong `ETag` becomes a weak one. Where the
//! length was not known a pause of the upstream sends what there is, so that event streams flow. To
//! HEAD the fields are as to GET, without a length. Every answer that would be compressed for some
//! client says `Vary: Accept-Encoding`.
//!
//! **What compression tells.** The length of a compressed body says something about what is in it.
//! If an attacker can have a body hold both a secret and text of their choice, and sees the lengths,
//! they can guess the secret (the BREACH attack), TLS or not. Do not compress such answers: keep
//! pages with CSRF tokens in them away from `types`, or use tokens that change with every answer.
//! Cookies are not in the body and are not told by its length, so that answers with `Set-Cookie` are
//! compressed like others.
//!
//! # Headers
//!
//! `Accept-Encoding` is read. Answers get `Content-Encoding` and `Vary`; `Content-Length`, digests
//! and `Accept-Ranges` go, and a strong `ETag` becomes a weak one.
//!
//! # What it costs
//!
//! At level 1 about 10 ms of CPU per MiB, at 9 several times as much, in parts of at most 64 KiB
//! between which others are served; 400 KiB of memory per answer while it is sent. All compressors
//! together hold at most `limits.compression_memory`; over it answers go out uncompressed, counted
//! in `bartizan_compression_skipped`.
//!
//! # What it cannot do
//!
//! It does not know which answers hold a secret beside text that an attacker chose. It compresses
//! for each client anew: nothing is kept.
//!
//! # How it differs from Apache APISIX
//!
//! It sends `Vary` unless `vary: false` (in compatibility mode only with `vary: true`), reads
//! weights, keeps `no-transform`, and compresses answers of any status that have a body, not only
//! of 200, 403 and 404.

use std::sync::Arc;

use bartizan_chain::{
    AnswerHead, CompileCx, Kinship, Nothing, Plugin, RequestCx, Traits, Unsupported,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::coding::budget::Budget;
use crate::coding::eligible::{Chosen, Eligible, Types};
use crate::coding::encode::{Gzip as Encoder, Pauses};
use crate::node_state::shared_metrics;

/// The memory of one compressor.
const MEMORY: u64 = 400 * 1_024;

/// The configuration of `gzip`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Media types that are compressed, or `*` for all.
    #[serde(default)]
    types: Types,
    /// Least length in bytes of a body that is compressed.
    #[serde(default = "min_length")]
    #[schemars(range(min = 1))]
    min_length: u64,
    /// From 1, which is fastest, to 9, which is smallest.
    #[serde(default = "comp_level")]
    #[schemars(range(min = 1, max = 9))]
    comp_level: u32,
    /// Least HTTP version of requests whose answers are compressed. Over HTTP/1.0 the end of a
    /// compressed body is the end of the connection.
    #[serde(default = "http_version")]
    #[schemars(extend("enum" = [1.1, 1.0, 1]))]
    http_version: f64,
    /// Whether answers say `Vary: Accept-Encoding`. Absent: they do; in compatibility mode they do
    /// not.
    vary: Option<bool>,
}

fn min_length() -> u64 {
    20
}

fn comp_level() -> u32 {
    1
}

fn http_version() -> f64 {
    1.1
}

/// Compiled `gzip`.
pub struct Gzip {
    eligible: Eligible,
    level: u32,
    budget: Arc<Budget>,
    memory_max: u64,
}

impl Plugin for Gzip {
    const NAME: &'static str = "gzip";
    const PRIORITY: i32 = 995;
    const KINSHIP: Kinship = Kinship::Different(
        "quality values are obeyed, an encoded or private answer is left alone, memory is \
         bounded; `buffers` means nothing here",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Reply]);
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[(
        "buffers",
        Unsupported::Refused(
            "a compressor has what it needs and takes no buffers; `limits.compression_memory` of \
             the node bounds all of them; leave it out",
        ),
    )];

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let eligible = Eligible::compile(Chosen {
            types: config.types,
            min_length: config.min_length,
            http_version: config.http_version,
            vary: config.vary.unwrap_or(!cx.compatibility().is_apisix()),
        })?;
        Ok(Self {
            eligible,
            level: config.comp_level,
            budget: shared_metrics(cx, "compression", Budget::default),
            memory_max: cx.node.limits.compression_memory.0,
        })
    }

    fn traits(&self) -> Traits {
        Traits { on_response: true, encodes: true, ..Traits::in_stages(&[Stage::Reply]) }
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        _call: &mut (),
    ) -> Result<(), Denial> {
        if !self.eligible.wants(cx, answer, "gzip") {
            return Ok(());
        }
        if let Some(place) = self.budget.take(MEMORY, self.memory_max) {
            let pauses = Pauses::of(answer.length);
            answer.encode("gzip", Box::new(Encoder::new(self.level, pauses, place)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bartizan_wire::Fields;
    use http::StatusCode;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fixture::{Bench, request};

    fn compressed(level: u32, body: &[u8]) -> usize {
        let config = json!({"types": "*", "comp_level": level});
        let plugin = Bench::new().compile::<Gzip>(&config).unwrap();
        let mut answer = AnswerHead::new(StatusCode::OK, Fields::new(), false);
        let cx = request("/", &[("accept-encoding", "gzip")]);
        plugin.on_response_head(&cx, &mut answer, &mut ()).unwrap();
        assert_eq!(answer.fields.get_str("content-encoding"), Some("gzip"));
        let mut changes = answer.plan.take_passing();
        changes.chunk(body).unwrap().len() + changes.end().unwrap().len()
    }

    #[test]
    fn a_higher_level_makes_a_smaller_body() {
        let body: Vec<u8> = (0..20_000_u32).flat_map(|n| (n * n % 977).to_be_bytes()).collect();
        assert!(compressed(9, &body) < compressed(1, &body));
    }

    #[test]
    fn without_room_an_answer_goes_out_as_it_is() {
        let mut bench = Bench::new();
        bench.node.limits.compression_memory = bartizan_core::ByteSize(MEMORY);
        let plugin = bench.compile::<Gzip>(&json!({"types": "*"})).unwrap();
        let cx = request("/", &[("accept-encoding", "gzip")]);
        let answer = || {
            let mut answer = AnswerHead::new(StatusCode::OK, Fields::new(), false);
            plugin.on_response_head(&cx, &mut answer, &mut ()).unwrap();
            answer
        };
        let first = answer();
        assert!(first.fields.contains("content-encoding"));
        let second = answer();
        assert!(second.plan.is_empty() && !second.fields.contains("content-encoding"));
        assert!(second.fields.contains("vary"));
        drop(first);
        assert!(answer().fields.contains("content-encoding"));
    }

    proptest! {
        #[test]
        fn nothing_is_compressed_twice_or_against_the_clients_will(
            accepts in prop::sample::select(vec!["gzip", "br", "gzip;q=0", "*", "identity", ""]),
            coding in prop::sample::select(vec!["", "br", "gzip", "identity"]),
            control in prop::sample::select(vec!["", "no-transform", "max-age=1, No-Transform"]),
            status in prop::sample::select(vec![200_u16, 204, 206, 304, 404, 500]),
            length in prop::option::of(0_u64..40),
        ) {
            let accepts: &'static str = accepts;
            let plugin = Bench::new().compile::<Gzip>(&json!({"types": "*"})).unwrap();
            let cx = request("/", &[("accept-encoding", accepts)]);
            let mut fields = Fields::new();
            for (name, value) in [("content-encoding", coding), ("cache-control", control)] {
                if !value.is_empty() {
                    fields.append(name, value);
                }
            }
            let status = StatusCode::from_u16(status).unwrap();
            let mut answer = AnswerHead::new(status, fields, false);
            answer.length = length;
            plugin.on_response_head(&cx, &mut answer, &mut ()).unwrap();
            let expected = matches!(accepts, "gzip" | "*")
                && matches!(coding, "" | "identity")
                && control.is_empty()
                && matches!(status.as_u16(), 200 | 404 | 500)
                && length.is_none_or(|length| length >= 20);
            prop_assert_eq!(!answer.plan.is_empty(), expected);
        }
    }
}
