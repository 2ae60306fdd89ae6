//! What a plugin is.

use std::future::Future;

use bartizan_config::Invalid;
use bartizan_core::{Denial, Stage, StageSet};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::answer::{AnswerHead, LocalAnswer, Outcome};
use crate::compile::CompileCx;
use crate::consumers::CredentialEntry;
use crate::context::RequestCx;
use crate::identity::IdentityKey;
use crate::log_view::LogView;

/// What a hook decides when it does not deny.
#[derive(Debug)]
pub enum Flow {
    /// The next plugin runs.
    Continue,
    /// The gateway answers by itself (a preflight, a redirect, a mock); nothing is forwarded.
    Answer(Box<LocalAnswer>),
}

/// What a plugin needs of the request's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyNeed {
    /// Nothing; the body streams past.
    #[default]
    None,
    /// The whole body as bytes, at most this many.
    Bytes {
        /// Over it the request is refused with 413.
        max: usize,
    },
    /// The whole body as one strictly parsed value, from at most this many bytes.
    Value {
        /// Over it the request is refused with 413.
        max: usize,
    },
}

impl BodyNeed {
    /// True if the body must be held.
    pub fn is_some(self) -> bool {
        self != Self::None
    }
}

/// What a compiled plugin proves about every request that passes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "five independent claims, asked for by name")]
pub struct Proofs {
    /// Who calls is known, or anonymity is declared with a reason.
    pub authentication: bool,
    /// An identity that the configuration does not name would be denied (or the grant to everyone
    /// is declared with a reason).
    pub grant: bool,
    /// Some limit is spent.
    pub limit: bool,
    /// The body is held against a schema.
    pub schema: bool,
    /// A rule engine inspects the request.
    pub waf: bool,
}

impl Proofs {
    /// What either of both proves.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            authentication: self.authentication || other.authentication,
            grant: self.grant || other.grant,
            limit: self.limit || other.limit,
            schema: self.schema || other.schema,
            waf: self.waf || other.waf,
        }
    }
}

/// What a compiled plugin needs and gives; asked once, when the chain is built.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, asked for by name")]
pub struct Traits {
    /// The stages that this configuration runs in; a subset of [`Plugin::STAGES`].
    pub stages: StageSet,
    /// What it needs of the body.
    pub body: BodyNeed,
    /// What it proves.
    pub proves: Proofs,
    /// Whether `on_response_head` does something.
    pub on_response: bool,
    /// Whether that is to translate the answer out of what the upstream speaks: then it runs before
    /// all others, whatever their priority and wherever they are written. What it asks of the body
    /// is done before they see the answer, and they see what it made.
    pub translates: bool,
    /// Whether that is to encode the body: then it runs when all others have, and sees the body's
    /// length and fields as they would be sent.
    pub encodes: bool,
    /// Whether `on_finish` does something.
    pub on_finish: bool,
    /// Whether `mask` does something.
    pub masks: bool,
    /// Whether it wants to know what schemas prove ([`RequestCx::proven`]).
    pub wants_proven: bool,
    /// It answers requests by itself and forwards nothing (a redirect), so that a route with it
    /// needs no authentication.
    pub only_answers: bool,
    /// It answers requests by itself and forwards nothing, to callers who may have that: a route
    /// with it needs no upstream, and everything else that it would need.
    pub needs_no_upstream: bool,
}

impl Traits {
    /// A plugin that runs in these request stages, and nothing else.
    pub const fn in_stages(stages: &[Stage]) -> Self {
        Self {
            stages: StageSet::of(stages),
            body: BodyNeed::None,
            proves: Proofs {
                authentication: false,
                grant: false,
                limit: false,
                schema: false,
                waf: false,
            },
            on_response: false,
            translates: false,
            encodes: false,
            on_finish: false,
            masks: false,
            wants_proven: false,
            only_answers: false,
            needs_no_upstream: false,
        }
    }
}

/// The configuration of a slot that a plugin does not have.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A field that Apache APISIX has and this plugin answers specially.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// Comes later; the text says what to do meanwhile.
    NotYet(&'static str),
    /// Never comes; the text says why and what to write instead.
    Refused(&'static str),
}

/// How a plugin stands to the one of the same name in Apache APISIX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinship {
    /// Apache APISIX has none.
    Ours,
    /// What a configuration of it means there, it means here.
    Same,
    /// Accepts its configuration, with other effects or defaults; the text says which matter most.
    Different(&'static str),
}

/// A protection or transformation that a route, service, consumer, group or global rule can use.
///
/// `compile` alone may fail on configuration, be slow and allocate freely; the hooks run for every
/// request. State that must outlive a reload comes from [`CompileCx::state`].
pub trait Plugin: Sized + Send + Sync + 'static {
    /// The name in configuration.
    const NAME: &'static str;
    /// The published order inside a stage; higher runs first.
    const PRIORITY: i32;
    /// How it stands to Apache APISIX's.
    const KINSHIP: Kinship;
    /// Every stage that some configuration of it runs in.
    const STAGES: StageSet;
    /// Whether it proves identity, so that consumers and credentials configure it.
    const IS_AUTHENTICATION: bool = false;
    /// Fields of the route configuration that are answered specially, by dotted path.
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[];
    /// Fields of the consumer configuration that are answered specially.
    const UNSUPPORTED_CONSUMER: &'static [(&'static str, Unsupported)] = &[];

    /// The configuration on a route, service, plugin config, global rule, consumer or group.
    type Config: DeserializeOwned + JsonSchema;
    /// The configuration on a consumer or credential of an authentication plugin, or [`Nothing`].
    type ConsumerConfig: DeserializeOwned + JsonSchema;
    /// The configuration for the whole node, or [`Nothing`].
    type Metadata: DeserializeOwned + JsonSchema;
    /// What it remembers between its hooks for one request.
    type Call: Default;

    /// Makes what the hot path reads out of a configuration.
    fn compile(config: Self::Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid>;

    /// What this configuration needs and proves.
    fn traits(&self) -> Traits;

    /// Names of request fields that only this plugin writes. Whatever a client sends under them, in
    /// any spelling, is taken out before the Transform stage, whether `_meta.filter` holds or not;
    /// where the plugin comes with a consumer or group, out of the requests of everybody.
    fn owned_fields(&self) -> Vec<&[u8]> {
        Vec::new()
    }

    /// Makes an entry of the credential index out of a consumer's configuration.
    fn credential(
        _config: Self::ConsumerConfig,
        _cx: &mut CompileCx<'_>,
    ) -> Result<CredentialEntry, Invalid> {
        Err(Invalid::new(format!("`{}` takes no configuration on a consumer", Self::NAME)))
    }

    /// Proves who calls; runs in the Authenticate stage only. `key` is what an identity is made
    /// with.
    fn authenticate(
        &self,
        _cx: &mut RequestCx,
        _key: &IdentityKey,
        _call: &mut Self::Call,
    ) -> impl Future<Output = Result<Flow, Denial>> {
        std::future::ready(Ok(Flow::Continue))
    }

    /// Runs in every other request stage that [`Traits::stages`] names.
    fn on_request(
        &self,
        _stage: Stage,
        _cx: &mut RequestCx,
        _call: &mut Self::Call,
    ) -> impl Future<Output = Result<Flow, Denial>> {
        std::future::ready(Ok(Flow::Continue))
    }

    /// Runs before the head of an answer goes out, also of answers that the gateway makes. What the
    /// body needs is asked for here: [`AnswerHead::transform`], [`AnswerHead::hold`],
    /// [`AnswerHead::replace`]. It may run a second time for one request, where the first answer
    /// came to nothing while its body was held.
    fn on_response_head(
        &self,
        _cx: &RequestCx,
        _answer: &mut AnswerHead,
        _call: &mut Self::Call,
    ) -> Result<(), Denial> {
        Ok(())
    }

    /// Takes out of a request that is over what no log may show. Runs before every `on_finish` and
    /// before the gateway's own record, however the exchange ended.
    fn mask(&self, _view: &mut LogView<'_>) {}

    /// Runs when the exchange is over, however it ended: also on cancellation and panic.
    fn on_finish(&self, _cx: &RequestCx, _outcome: &Outcome<'_>, _call: &mut Self::Call) {}
}

/// The closed set of plugins of a gateway: what the `catalogue!` macro makes.
pub trait PluginSet: Sized + Send + Sync + 'static {
    /// One of the plugins' per-request memories.
    type Call: Default;

    /// The plugin's name.
    fn name(&self) -> &'static str;
    /// The plugin's published priority.
    fn priority(&self) -> i32;
    /// Whether it is an authentication plugin.
    fn is_authentication(&self) -> bool;
    /// What it needs and proves.
    fn traits(&self) -> Traits;
    /// See [`Plugin::owned_fields`].
    fn owned_fields(&self) -> Vec<&[u8]>;
    /// See [`Plugin::authenticate`].
    fn authenticate(
        &self,
        cx: &mut RequestCx,
        key: &IdentityKey,
        call: &mut Self::Call,
    ) -> impl Future<Output = Result<Flow, Denial>>;
    /// See [`Plugin::on_request`].
    fn on_request(
        &self,
        stage: Stage,
        cx: &mut RequestCx,
        call: &mut Self::Call,
    ) -> impl Future<Output = Result<Flow, Denial>>;
    /// See [`Plugin::on_response_head`].
    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Self::Call,
    ) -> Result<(), Denial>;
    /// See [`Plugin::mask`].
    fn mask(&self, view: &mut LogView<'_>);
    /// See [`Plugin::on_finish`].
    fn on_finish(&self, cx: &RequestCx, outcome: &Outcome<'_>, call: &mut Self::Call);
}
