//! Takes sensitive values out of logs, and out of the answers that clients get.
//!
//! ```yaml
//! data-mask:
//!   request:
//!     - {type: query, name: token, action: remove}
//!     - {type: header, name: X-Card, action: regex, regex: '^\d+(\d{4})$', value: '****$1'}
//!     - {type: body, body_format: json, name: $.user.password, action: replace, value: '***'}
//!   response:
//!     - {type: body, name: $..ssn, action: remove}
//!     - {type: header, name: X-Internal-Id, action: remove}
//! ```
//!
//! **`request`** changes what is written about a request: before the exchange is recorded and
//! before any plugin that logs sees how it ended, its query, headers and body are changed as the
//! rules say. What was decided on and sent to the upstream stays as it was. This holds however the
//! exchange ended, also for requests that were refused. Where a `_meta.filter` reads the answer and
//! there was none, as when the client left before, it cannot be decided and values are masked. The
//! gateway's own logs show neither values of queries nor bodies nor credentials in any case; the
//! rules are for logs that plugins write.
//!
//! **`response`** changes what the client gets, which Apache APISIX does not do: members that an
//! upstream sends and the client has no business to see. The body is held until it is whole, up to
//! `max_body_size`, and changed where the values stand: all others keep their digits and order. The
//! upstream is asked for the whole body without an encoding; gzip, deflate and brotli are decoded.
//! A body that is longer, cannot be decoded, is a part (206) or is not JSON is answered with 502:
//! it may hold what it must not. `danger_pass_unreadable` passes bodies that are not JSON on, with
//! whatever is in them. Answers that the gateway makes are not changed.
//!
//! A rule names a query parameter, a header, a field of a form, or a place in a JSON body: members
//! and items (`$.user.cards[0].number`), all of them (`*`), and any depth (`$..token`). `remove`
//! takes it away with its name, `replace` puts `value` in place of its value, `regex` replaces what
//! the pattern finds with `value`, in which `$1` is what a group caught. An object or list under
//! `regex` is replaced whole by `value`. Of several rules for one value the first counts. A body of
//! a request that cannot be read as one of the kinds that rules are for is left out of logs whole.
//!
//! # Headers
//!
//! Those that `request` names are changed in logs, those that `response` names in answers; a body
//! that changes loses what described the old one. Where bodies of answers have rules the upstream
//! is asked for the whole body without an encoding.
//!
//! # What it costs
//!
//! Without rules for bodies one pass over names when the exchange is over. A body is gone through
//! once, in time linear in its length; an answer's is held in memory.
//!
//! # What it cannot do
//!
//! A value that is derived from a masked one (an escaped copy in a text, a hash) is not found. It
//! does not look into paths. It takes out what is named, and is no list of what may be there.
//!
//! # How it differs from Apache APISIX
//!
//! There it changes logs only: `response` is ours. A body that cannot be searched is left out of
//! logs, or answered with 502.

mod json;
mod path;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bartizan_chain::{
    AnswerHead, CompileCx, Flow, HeldBody, Kinship, LogView, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::coding::decode::make_plain;
use json::Bounds;
use rules::{Rules, form_masked};

/// The configuration of `data-mask`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What logs do not show of requests.
    #[serde(default)]
    #[schemars(length(max = 256))]
    request: Vec<RequestRule>,
    /// What clients do not get of answers.
    #[serde(default)]
    #[schemars(length(max = 256))]
    response: Vec<ResponseRule>,
    /// Longest body in bytes that is gone through. A longer one of a request is left out of logs,
    /// an answer with a longer one becomes 502. Absent: `limits.inspected_response`.
    #[schemars(range(min = 1))]
    max_body_size: Option<u64>,
    /// Most fields of a form that are gone through; a body with more is left out of logs.
    #[serde(default = "form_fields")]
    max_req_post_args: usize,
    /// Whether answers whose body is not JSON are passed on with whatever is in them.
    #[serde(default)]
    danger_pass_unreadable: bool,
}

fn form_fields() -> usize {
    100
}

/// What becomes of a value of a request in logs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestRule {
    /// Where the value is.
    r#type: RequestPart,
    /// The name of the parameter, header or form field, or the place in a JSON body.
    #[schemars(length(min = 1, max = 1024))]
    name: String,
    /// What the body is; for `type: body`.
    body_format: Option<BodyFormat>,
    /// What becomes of the value.
    action: Action,
    /// What is found in the value; for `action: regex`.
    #[schemars(length(min = 1, max = 4096))]
    regex: Option<String>,
    /// What comes in its place; for `replace` and `regex`.
    #[schemars(length(max = 4096))]
    value: Option<String>,
}

/// What becomes of a value of an answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseRule {
    /// Where the value is.
    r#type: ResponsePart,
    /// The name of the header, or the place in the JSON body.
    #[schemars(length(min = 1, max = 1024))]
    name: String,
    /// What becomes of the value.
    action: Action,
    /// What is found in the value; for `action: regex`.
    #[schemars(length(min = 1, max = 4096))]
    regex: Option<String>,
    /// What comes in its place; for `replace` and `regex`.
    #[schemars(length(max = 4096))]
    value: Option<String>,
}

/// A part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestPart {
    /// A parameter of the query.
    Query,
    /// A header.
    Header,
    /// The body.
    Body,
}

/// A part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResponsePart {
    /// A header.
    Header,
    /// The body, which is JSON.
    Body,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// JSON.
    Json,
    /// A form.
    Urlencoded,
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It goes, with its name.
    Remove,
    /// `value` comes in its place.
    Replace,
    /// What `regex` finds in it is replaced by `value`.
    Regex,
}

/// Compiled `data-mask`.
pub struct DataMask {
    request: Rules,
    response: Arc<Answers>,
    body_max: usize,
    form_max: usize,
}

/// What is asked of answers.
struct Answers {
    rules: Rules,
    bounds: Bounds,
    body_max: usize,
    states_max: bool,
    passes_unreadable: bool,
}

impl Plugin for DataMask {
    const NAME: &'static str = "data-mask";
    const PRIORITY: i32 = 1500;
    const KINSHIP: Kinship =
        Kinship::Different("what cannot be searched is refused, not passed on");
    const STAGES: StageSet = StageSet::of(&[Stage::Transform, Stage::Reply, Stage::Observe]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let limits = &cx.node.limits;
        if config.request.is_empty() && config.response.is_empty() {
            return Err(Invalid::new("masks nothing").with_help("`request`, `response` or both"));
        }
        let body_max = config.max_body_size.unwrap_or(limits.inspected_response.0);
        if body_max > limits.body_max.0 {
            let problem = format!("{body_max} bytes are more than `limits.body_max` allows");
            return Err(Invalid::at("max_body_size", problem)
                .with_help(format!("at most {}", limits.body_max)));
        }
        let body_max = usize::try_from(body_max).unwrap_or(usize::MAX);
        let (mut request, mut response) = (Rules::default(), Rules::default());
        for (index, rule) in config.request.iter().enumerate() {
            request.add_request(rule).map_err(at("request", index))?;
        }
        for (index, rule) in config.response.iter().enumerate() {
            response.add_response(rule).map_err(at("response", index))?;
        }
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let bounds = Bounds { depth: count(limits.json_depth), items: count(limits.json_items) };
        let response = Arc::new(Answers {
            rules: response,
            bounds,
            body_max,
            states_max: config.max_body_size.is_some(),
            passes_unreadable: config.danger_pass_unreadable,
        });
        Ok(Self { request, response, body_max, form_max: config.max_req_post_args })
    }

    fn traits(&self) -> Traits {
        let mut stages = vec![Stage::Observe];
        if !self.response.rules.is_empty() {
            stages.push(Stage::Reply);
        }
        if self.response.rules.reads_bodies() {
            stages.push(Stage::Transform);
        }
        Traits {
            on_response: !self.response.rules.is_empty(),
            masks: !self.request.is_empty(),
            ..Traits::in_stages(&stages)
        }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        // Only with rules for the bodies of answers.
        cx.ask_for_plain();
        Ok(Flow::Continue)
    }

    fn on_response_head(
        &self,
        _cx: &RequestCx,
        answer: &mut AnswerHead,
        _call: &mut (),
    ) -> Result<(), Denial> {
        if answer.is_local {
            return Ok(());
        }
        self.response.rules.mask_fields(&mut answer.fields);
        if self.response.rules.reads_bodies() {
            make_plain(answer)?;
            answer.hold(self.response.body_max, Box::new(Masked(self.response.clone())));
        }
        Ok(())
    }

    fn mask(&self, view: &mut LogView<'_>) {
        view.change_query(|query| self.request.mask_query(query));
        if self.request.reads_bodies()
            && let Some(body) = view.body()
        {
            // Where two content types are stated, nobody knows what the body is.
            let is_form = view.request().has_form().ok();
            let masked = is_form.and_then(|is_form| self.mask_body(body, is_form));
            view.set_body(masked);
        }
        self.request.mask_fields(view.fields());
    }
}

impl DataMask {
    /// A request's body as logs may show it; `None` where that is not known.
    fn mask_body(&self, body: &Bytes, is_form: bool) -> Option<Bytes> {
        if body.len() > self.body_max {
            None
        } else if is_form && self.request.reads_forms() {
            form_masked(&self.request, body, self.form_max)
        } else if self.request.reads_json() {
            self.request.mask_json(body, self.response.bounds).ok()
        } else {
            None
        }
    }
}

fn at(key: &'static str, index: usize) -> impl Fn(Invalid) -> Invalid {
    move |fault| fault.under(PathStep::Index(index)).under(PathStep::Key(key.to_owned()))
}

/// An answer's body that is held.
struct Masked(Arc<Answers>);

impl HeldBody for Masked {
    fn decide(
        self: Box<Self>,
        _cx: &RequestCx,
        _answer: &mut AnswerHead,
        body: Bytes,
    ) -> Result<Bytes, Denial> {
        let Answers { rules, bounds, passes_unreadable, .. } = &*self.0;
        match rules.mask_json(&body, *bounds) {
            Ok(masked) => Ok(masked),
            Err(_) if body.is_empty() || *passes_unreadable => Ok(body),
            Err(_) => {
                let detail = "the body is not JSON, or deeper or larger than may be read";
                Err(Denial::new(Reason::AnswerUnreadable, detail))
            }
        }
    }

    fn over(&self, max: usize) -> Denial {
        let limit =
            if self.0.states_max { "`max_body_size`" } else { "`limits.inspected_response`" };
        let detail = format!("the answer is longer than {max} bytes, over {limit}");
        Denial::new(Reason::AnswerTooLarge, detail)
    }
}
