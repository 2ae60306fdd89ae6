//! Puts text before, behind or in place of the body of answers, and sets headers: to try a route
//! out, or to see which one answers.
//!
//! ```yaml
//! echo:
//!   before_body: "-- served by the gateway --\n"
//!   headers: {X-Echo: "on"}
//! ```
//!
//! `body` replaces the body; `before_body` and `after_body` stand around it, replaced or not. It
//! applies to every answer of the route, those of the gateway too. Headers are set after the body is
//! decided on.
//!
//! With `before_body` or `after_body` the upstream is asked for the whole body without an encoding;
//! one that is encoded all the same is decoded, and what cannot be read is answered with 502. The
//! text is added while the body passes: nothing is held, the length is not known beforehand, and the
//! `ETag` becomes a weak one. The content type stays: text around JSON is no JSON.
//!
//! # Headers
//!
//! Answers get those of `headers`; a body that changes loses `Content-Length`, and its `ETag`
//! becomes a weak one.
//!
//! # What it costs
//!
//! A copy of the body.
//!
//! # What it cannot do
//!
//! It is for trying things out: it protects nothing, and text around JSON is no JSON any more.
//!
//! # How it differs from Apache APISIX
//!
//! Fields that frame the message cannot be set, and an encoded body is not put between plain text.

use std::collections::BTreeMap;

use bartizan_chain::{
    AnswerHead, BodyTransform, CompileCx, Flow, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::coding::decode::make_plain;
use crate::field_change::{FieldChange, FieldChanges, HeaderValue, Side};

/// The configuration of `echo`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Text before the body.
    #[schemars(length(max = 1_048_576))]
    before_body: Option<String>,
    /// Text in place of the body.
    #[schemars(length(max = 1_048_576))]
    body: Option<String>,
    /// Text behind the body.
    #[schemars(length(max = 1_048_576))]
    after_body: Option<String>,
    /// Headers that are set; values may hold variables.
    #[schemars(extend("minProperties" = 1))]
    headers: Option<BTreeMap<String, HeaderValue>>,
}

/// Compiled `echo`.
pub struct Echo {
    before: Bytes,
    body: Option<Bytes>,
    after: Bytes,
    fields: FieldChange,
}

impl Plugin for Echo {
    const NAME: &'static str = "echo";
    const PRIORITY: i32 = 412;
    const KINSHIP: Kinship =
        Kinship::Different("a body that was changed loses what described the old one");
    const STAGES: StageSet = StageSet::of(&[Stage::Transform, Stage::Reply]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, _cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let Config { before_body, body, after_body, headers } = config;
        if before_body.is_none() && body.is_none() && after_body.is_none() {
            return Err(Invalid::new("changes no body")
                .with_help("one of `before_body`, `body` and `after_body`"));
        }
        let mut changes = FieldChanges::new(Side::Response, 0);
        let in_headers = |fault: Invalid| fault.under(PathStep::Key("headers".to_owned()));
        for (name, value) in headers.iter().flatten() {
            changes.set(name, &[value.text()]).map_err(in_headers)?;
        }
        Ok(Self {
            before: before_body.unwrap_or_default().into(),
            body: body.map(Bytes::from),
            after: after_body.unwrap_or_default().into(),
            fields: changes.build().map_err(in_headers)?,
        })
    }

    fn traits(&self) -> Traits {
        // A body that is replaced may come in any form.
        let stages: &[Stage] =
            if self.body.is_some() { &[Stage::Reply] } else { &[Stage::Transform, Stage::Reply] };
        Traits { on_response: true, ..Traits::in_stages(stages) }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        cx.ask_for_plain();
        Ok(Flow::Continue)
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        _call: &mut (),
    ) -> Result<(), Denial> {
        if let Some(body) = &self.body {
            answer.replace([&self.before[..], body, &self.after].concat().into());
        } else if answer.may_have_body() {
            make_plain(answer)?;
            let around = Around { before: self.before.clone(), after: self.after.clone() };
            answer.transform(Box::new(around));
        }
        self.fields
            .apply(cx, &[], &mut answer.fields)
            .map_err(|fault| Denial::new(Reason::RewriteRefused, fault.to_string()))
    }
}

/// Text around a body.
struct Around {
    /// Empty once it was sent.
    before: Bytes,
    after: Bytes,
}

impl BodyTransform for Around {
    fn chunk(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Denial> {
        out.extend_from_slice(&std::mem::take(&mut self.before));
        out.extend_from_slice(input);
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Denial> {
        self.chunk(&[], out)?;
        out.extend_from_slice(&self.after);
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

    #[test]
    fn a_body_is_changed_or_the_configuration_refused() {
        for (config, problem) in [
            (json!({}), "changes no body"),
            (json!({"headers": {"X-A": "1"}}), "changes no body"),
            (json!({"body": "", "headers": {"Connection": "close"}}), "connection"),
            (json!({"body": "", "headers": {"X-A": "$nope"}}), "no variable"),
        ] {
            let fault = Bench::new().fault::<Echo>(&config);
            assert!(fault.problem.contains(problem), "{config}: {fault}");
        }
    }

    proptest! {
        #[test]
        fn the_body_stands_whole_between_the_texts(
            parts in prop::collection::vec("[a-z]{1,9}", 0..5),
            before in "[A-Z]{0,5}",
            after in "[A-Z]{0,5}",
        ) {
            let config = json!({"before_body": before, "after_body": after});
            let plugin = Bench::new().compile::<Echo>(&config).unwrap();
            let mut answer = AnswerHead::new(StatusCode::OK, Fields::new(), false);
            plugin.on_response_head(&request("/", &[]), &mut answer, &mut ()).unwrap();
            let mut changes = answer.plan.take_passing();
            let mut sent = Vec::new();
            for part in &parts {
                sent.extend_from_slice(changes.chunk(part.as_bytes()).unwrap());
            }
            sent.extend_from_slice(changes.end().unwrap());
            let expected = format!("{before}{}{after}", parts.concat());
            prop_assert_eq!(String::from_utf8(sent).unwrap(), expected);
        }
    }
}
