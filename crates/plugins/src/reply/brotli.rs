//! Compresses answers with brotli, for clients that accept it.
//!
//! ```yaml
//! brotli:
//!   types: [text/html, application/json]
//!   comp_level: 5
//! ```
//!
//! Which answers are compressed, what becomes of their fields, and what compression tells an
//! attacker (BREACH), is as with `gzip`. Both may be on a route: the client's weights decide, and
//! brotli is chosen where they are equal.
//!
//! `comp_level` goes from 0 to 9. Levels 10 and 11 search so long that one answer would hold up all
//! others of its event loop, and are refused: compress what never changes beforehand, at the
//! upstream. `lgblock` goes up to 18 for the same reason: a block is compressed in one go. The
//! window, `lgwin`, is made smaller where the length of the body is known and needs less.
//!
//! # Headers
//!
//! As with `gzip`: `Accept-Encoding` is read; answers get `Content-Encoding` and `Vary`, a strong
//! `ETag` becomes a weak one, and `Content-Length` goes.
//!
//! # What it costs
//!
//! At the default level about 30 ms of CPU per MiB, in parts of at most 64 KiB between which others
//! are served; up to 3 MiB of memory per answer while it is sent, up to 34 MiB at level 9. All
//! compressors together hold at most `limits.compression_memory`; over it answers go out
//! uncompressed, counted in `bartizan_compression_skipped`.
//!
//! # What it cannot do
//!
//! It does not know which answers hold a secret beside text that an attacker chose; see `gzip`.
//! Levels 10 and 11 are not there.
//!
//! # How it differs from Apache APISIX
//!
//! As `gzip` does, and in the levels that it refuses.

use std::sync::Arc;

use bartizan_chain::{AnswerHead, CompileCx, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Stage, StageSet};
use brotli::enc::BrotliEncoderParams;
use brotli::enc::backward_references::BrotliEncoderMode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::coding::budget::Budget;
use crate::coding::eligible::{Chosen, Eligible, Types};
use crate::coding::encode::{Brotli as Encoder, Pauses};
use crate::node_state::shared_metrics;

/// The highest level whose parts do not hold up an event loop.
const LEVEL_MAX: i32 = 9;
/// The largest block that does not.
const BLOCK_MAX: i32 = 18;
/// What `lgwin: 0` stands for.
const WINDOW: i32 = 19;

/// The configuration of `brotli`.
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
    /// What the bodies are: 0 for anything, 1 for text, 2 for fonts.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2))]
    mode: i32,
    /// From 0, which is fastest, to 9, which is smallest.
    #[serde(default = "comp_level")]
    #[schemars(range(min = 0, max = 11))]
    comp_level: i32,
    /// The window, as a power of two in bytes; 0 is the default.
    #[serde(default = "lgwin")]
    #[schemars(extend("enum" = [0, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24]))]
    lgwin: i32,
    /// The largest block that is compressed in one go, as a power of two in bytes; 0 follows from
    /// the level.
    #[serde(default)]
    #[schemars(extend("enum" = [0, 16, 17, 18, 19, 20, 21, 22, 23, 24]))]
    lgblock: i32,
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

fn comp_level() -> i32 {
    6
}

fn lgwin() -> i32 {
    WINDOW
}

fn http_version() -> f64 {
    1.1
}

/// Compiled `brotli`.
pub struct Brotli {
    eligible: Eligible,
    params: BrotliEncoderParams,
    budget: Arc<Budget>,
    memory_max: u64,
}

impl Plugin for Brotli {
    const NAME: &'static str = "brotli";
    const PRIORITY: i32 = 996;
    const KINSHIP: Kinship = Kinship::Different(
        "quality values are obeyed, an encoded or private answer is left alone, memory is \
         bounded",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Reply]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        if config.comp_level > LEVEL_MAX {
            let problem = format!("level {} holds up every other answer", config.comp_level);
            return Err(Invalid::at("comp_level", problem)
                .with_help("at most 9; compress what never changes beforehand, at the upstream"));
        }
        if config.lgblock > BLOCK_MAX {
            let problem = "a block of this size holds up every other answer";
            return Err(Invalid::at("lgblock", problem).with_help("at most 18, or 0"));
        }
        let eligible = Eligible::compile(Chosen {
            types: config.types,
            min_length: config.min_length,
            http_version: config.http_version,
            vary: config.vary.unwrap_or(!cx.compatibility().is_apisix()),
        })?;
        let params = BrotliEncoderParams {
            quality: config.comp_level,
            lgwin: if config.lgwin == 0 { WINDOW } else { config.lgwin },
            lgblock: config.lgblock,
            mode: match config.mode {
                1 => BrotliEncoderMode::BROTLI_MODE_TEXT,
                2 => BrotliEncoderMode::BROTLI_MODE_FONT,
                _ => BrotliEncoderMode::BROTLI_MODE_GENERIC,
            },
            ..BrotliEncoderParams::default()
        };
        Ok(Self {
            eligible,
            params,
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
        if !self.eligible.wants(cx, answer, "br") {
            return Ok(());
        }
        let mut params = self.params.clone();
        params.lgwin = window(params.lgwin, answer.length);
        fit_table(&mut params);
        if let Some(place) = self.budget.take(memory(&params), self.memory_max) {
            let pauses = Pauses::of(answer.length);
            answer.encode("br", Box::new(Encoder::new(&params, pauses, place)));
        }
        Ok(())
    }
}

/// The smallest window that holds the whole body, if that is smaller than the one that was chosen.
fn window(most: i32, length: Option<u64>) -> i32 {
    let Some(length) = length else { return most };
    // A window holds 16 bytes less than the power of two (RFC 7932 §9.1).
    (10..most).find(|bits| length <= (1_u64 << bits) - 16).unwrap_or(most)
}

/// The largest window whose table is ours to choose: the library has none for these from level 5
/// on, and would take its largest, of 32 MiB, whatever the level.
const SMALL_WINDOW: i32 = 16;

/// Gives a small window a table of its size, which searches as far as the level says.
///
/// PERF: `cargo xtask bench plugins` (`brotli`): clearing the table was all but a twentieth of the
/// time that 1 KiB took.
fn fit_table(params: &mut BrotliEncoderParams) {
    if params.quality < 5 || params.lgwin > SMALL_WINDOW {
        return;
    }
    let (depth, distances) = match params.quality {
        5 | 6 => (params.quality - 1, 4),
        7 | 8 => (params.quality - 1, 10),
        // The library has but one table for level 9; with this one, level 8 searches as far.
        _ => (8, 16),
    };
    params.quality = params.quality.min(8);
    params.hasher.block_bits = depth;
    params.hasher.bucket_bits = (params.lgwin - (depth - 4)).clamp(8, 14);
    params.hasher.hash_len = 4;
    params.hasher.num_last_distances_to_check = distances;
}

/// About what a compressor holds: its window twice over, a block, and the table of its level.
fn memory(params: &BrotliEncoderParams) -> u64 {
    let power = |bits: i32| 1_u64 << bits.clamp(10, 26);
    let table = match params.quality {
        ..=4 => power(19),
        _ if params.lgwin <= SMALL_WINDOW => {
            power(params.hasher.bucket_bits + params.hasher.block_bits + 2)
        }
        5 | 6 => power(12 + params.quality + 4),
        quality => power(16 + quality),
    };
    power(params.lgwin + 1) + power(params.lgblock.max(16)) + table
}

#[cfg(test)]
mod tests {
    use bartizan_wire::Fields;
    use http::StatusCode;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{Bench, request};

    fn compressed(config: &Value, body: &[u8]) -> Vec<u8> {
        compressed_as(config, body, None)
    }

    fn read_back(made: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut brotli::Decompressor::new(made, 4_096), &mut body).unwrap();
        body
    }

    /// A body whose length is told beforehand, or not.
    fn compressed_as(config: &Value, body: &[u8], length: Option<u64>) -> Vec<u8> {
        let plugin = Bench::new().compile::<Brotli>(config).unwrap();
        let mut answer = AnswerHead::new(StatusCode::OK, Fields::new(), false);
        answer.length = length;
        let cx = request("/", &[("accept-encoding", "br")]);
        plugin.on_response_head(&cx, &mut answer, &mut ()).unwrap();
        assert_eq!(answer.fields.get_str("content-encoding"), Some("br"));
        let mut changes = answer.plan.take_passing();
        let mut out = Vec::new();
        for part in body.chunks(65_536) {
            out.extend_from_slice(changes.chunk(part).unwrap());
        }
        out.extend_from_slice(changes.end().unwrap());
        out
    }

    #[test]
    fn every_setting_makes_another_body() {
        // Texts that differ from each other, so that it matters where blocks end.
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let mut body = Vec::new();
        for text in 0..6_u32 {
            for _ in 0..12_000 {
                let word = next() % (5 + text * 11);
                body.extend_from_slice(format!("{word:x}{} ", word * text).as_bytes());
            }
        }
        let usual = compressed(&json!({"types": "*", "comp_level": 5, "lgblock": 16}), &body);
        for config in [
            json!({"types": "*", "comp_level": 4, "lgblock": 16}),
            json!({"types": "*", "comp_level": 5, "lgblock": 16, "lgwin": 10}),
            json!({"types": "*", "comp_level": 5, "lgblock": 18}),
        ] {
            assert!(compressed(&config, &body) != usual, "{config}");
        }
        let text = "Gruß und Kuß, mit Äpfeln; ".repeat(300);
        let of = |mode: u8| compressed(&json!({"types": "*", "mode": mode}), text.as_bytes());
        assert!(of(0) != of(2));
    }

    #[test]
    fn what_would_hold_up_others_is_refused() {
        for (config, problem) in [
            (json!({"comp_level": 10}), "level 10 holds up"),
            (json!({"comp_level": 11}), "level 11 holds up"),
            (json!({"lgblock": 19}), "a block of this size"),
            (json!({"types": ["html"]}), "not a media type"),
        ] {
            let fault = Bench::new().fault::<Brotli>(&config);
            assert!(fault.problem.contains(problem), "{config}: {fault}");
        }
    }

    proptest! {
        #[test]
        fn the_memory_that_is_counted_has_a_bound(
            quality in 0..=LEVEL_MAX,
            lgwin in 10..=24,
            lgblock in 0..=BLOCK_MAX,
            length in prop::option::of(any::<u64>()),
        ) {
            let lgwin = window(lgwin, length);
            let mut params = BrotliEncoderParams { quality, lgwin, lgblock, ..Default::default() };
            fit_table(&mut params);
            prop_assert!((1 << 16..=80 << 20).contains(&memory(&params)));
        }

        #[test]
        fn what_was_compressed_reads_back(
            body in prop::collection::vec(0_u8..8, 0..20_000),
            level in 0..=LEVEL_MAX,
            lgwin in prop::sample::select(vec![0, 10, 13, 16, 17, 24]),
            is_known in any::<bool>(),
        ) {
            let config = json!({"types": "*", "comp_level": level, "lgwin": lgwin, "min_length": 1});
            let length = is_known.then_some(body.len() as u64).filter(|length| *length > 0);
            let made = compressed_as(&config, &body, length);
            prop_assert_eq!(read_back(&made), body);
        }
    }

    #[test]
    fn the_window_is_no_larger_than_the_body_needs() {
        for (most, length, expected) in [
            (19, None, 19),
            (19, Some(10), 10),
            (19, Some(1_008), 10),
            (19, Some(1_009), 11),
            (19, Some(100_000), 17),
            (19, Some(u64::MAX), 19),
            (10, Some(u64::MAX), 10),
        ] {
            assert_eq!(window(most, length), expected, "{length:?}");
        }
    }

    #[test]
    fn a_small_body_is_made_as_small_with_a_small_table() {
        let body = include_bytes!("../../../../bench/answer.json");
        for level in 5..=LEVEL_MAX {
            let config = json!({"types": "*", "comp_level": level});
            let whole = compressed_as(&config, body, Some(1_024));
            assert_eq!(read_back(&whole), body);
            let streamed = compressed_as(&config, body, None);
            assert!(whole.len() <= streamed.len() + streamed.len() / 50, "level {level}");
            let mut params =
                BrotliEncoderParams { quality: level, lgwin: 10, ..Default::default() };
            fit_table(&mut params);
            assert!(memory(&params) <= 384 << 10, "level {level}");
        }
    }

    #[test]
    fn memory_grows_with_window_and_level() {
        let of = |quality, lgwin| {
            let mut params = BrotliEncoderParams { quality, lgwin, ..Default::default() };
            fit_table(&mut params);
            memory(&params)
        };
        assert!(of(1, 16) < of(6, 16) && of(6, 16) < of(6, 22) && of(6, 22) < of(9, 22));
        assert!(of(9, 19) < 40 << 20 && of(6, 19) < 8 << 20);
    }
}
