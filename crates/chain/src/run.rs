//! The loop: runs the plugins of a request in their fixed order and mints the proof that they ran.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bartizan_core::metrics::{PluginLabel, SharedMetrics};
use bartizan_core::{Denial, Limits, Reason, Stage, StageSet};
use bartizan_wire::Fields;
use bytes::Bytes;
use tokio::time::Instant;

use crate::answer::{AnswerHead, LocalAnswer, Outcome};
use crate::body::Author;
use crate::chain::{Chain, Step, Turn};
use crate::consumers::Consumer;
use crate::context::RequestCx;
use crate::expr::Expr;
use crate::identity::IdentityKey;
use crate::json::JsonLimits;
use crate::log_view::LogView;
use crate::owned::OwnedFields;
use crate::plugin::{BodyNeed, Flow, PluginSet};
use crate::vars::Seen;

/// Where the chain gets the body from, on the routes that need it.
pub trait BodySource {
    /// Reads the whole body, at most `max` bytes; tells the client to send it if it waits.
    fn collect<'a>(
        &'a mut self,
        max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, Denial>> + 'a>>;
}

/// Where the chain gets the plugins that come with an identity.
pub trait Profiles<P> {
    /// The chain of the consumer's group, then the consumer's own.
    fn of(&self, consumer: &Consumer) -> [Option<Arc<Chain<P>>>; 2];

    /// The names of fields that the plugins of all consumers and groups own.
    fn owned_fields(&self) -> Option<&OwnedFields> {
        None
    }
}

/// What screening came to, when nothing denied.
pub enum Screening<'a, P: PluginSet> {
    /// The request may be forwarded.
    Proceed(Screened<'a, P>),
    /// A plugin answers; nothing is forwarded.
    Answer(Box<LocalAnswer>),
}

/// The proof that every plugin of the request's chains ran and none denied.
///
/// Only [`Run::screen`] makes one, and forwarding asks for it.
pub struct Screened<'a, P: PluginSet> {
    run: &'a mut Run<P>,
}

impl<P: PluginSet> Screened<'_, P> {
    /// The request, ready to be sent.
    pub fn cx(&self) -> &RequestCx {
        &self.run.cx
    }

    /// The request, for the gateway's own bookkeeping.
    pub fn cx_mut(&mut self) -> &mut RequestCx {
        &mut self.run.cx
    }

    /// The body, where screening has read it; the bytes checked are the bytes to send, unless a
    /// plugin translated them.
    pub fn body(&self) -> Option<&Bytes> {
        self.run.cx.translated.as_ref().or(self.run.cx.body.as_ref())
    }
}

/// Whether a step takes part in a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Unknown,
    Open,
    Shut,
}

struct Track<P: PluginSet> {
    chain: Arc<Chain<P>>,
    calls: Vec<P::Call>,
    gates: Vec<Gate>,
}

impl<P: PluginSet> Track<P> {
    fn new(chain: Arc<Chain<P>>) -> Self {
        let count = chain.steps().len();
        let mut calls = Vec::new();
        calls.resize_with(count, P::Call::default);
        // Filters are rare: without one no gate is ever asked for.
        let gates = if chain.has_filter() { vec![Gate::Unknown; count] } else { Vec::new() };
        Self { chain, calls, gates }
    }
}

/// A request on its way through the chains that apply to it.
pub struct Run<P: PluginSet> {
    cx: Box<RequestCx>,
    tracks: Vec<Track<P>>,
    limits: JsonLimits,
    /// The largest body that filters read.
    filter_max: usize,
    needs_identity: bool,
    /// The fields of the answer, where filters read them when the exchange is over.
    answer: Option<Fields>,
    /// Where the plugins' times go, where this request is one that is measured.
    times: Option<SharedMetrics>,
}

impl<P: PluginSet> Run<P> {
    /// A request with the chain of the global rules and that of its route.
    pub fn new(
        cx: impl Into<Box<RequestCx>>,
        global: &Arc<Chain<P>>,
        route: Option<&Arc<Chain<P>>>,
        limits: &Limits,
    ) -> Self {
        let proves = |chain: &Arc<Chain<P>>| chain.proofs().authentication;
        let needs_identity = route.is_some_and(|route| proves(route) || proves(global));
        let chains = [Some(global), route];
        let mut cx = cx.into();
        cx.wants_proven = chains.iter().flatten().any(|chain| chain.wants_proven());
        let tracks = chains
            .into_iter()
            .flatten()
            .filter(|chain| !chain.is_empty())
            .map(|chain| Track::new(chain.clone()))
            .collect();
        let filter_max = limits.inspected_body.as_usize();
        Self {
            cx,
            tracks,
            limits: limits.into(),
            filter_max,
            needs_identity,
            answer: None,
            times: None,
        }
    }

    /// Has the time of every plugin taken for this request.
    pub fn measure(&mut self, metrics: &SharedMetrics) {
        self.times = Some(metrics.clone());
    }

    /// The request.
    pub fn cx(&self) -> &RequestCx {
        &self.cx
    }

    /// The request, for the gateway's own bookkeeping.
    pub fn cx_mut(&mut self) -> &mut RequestCx {
        &mut self.cx
    }

    /// Runs every stage before forwarding.
    pub async fn screen(
        &mut self,
        source: &mut dyn BodySource,
        profiles: &impl Profiles<P>,
    ) -> Result<Screening<'_, P>, Denial> {
        for turn in Turn::ALL {
            if turn == Turn::Transform {
                self.clear_owned(profiles.owned_fields());
                self.attach_identity();
            }
            if let Some(answer) = self.turn(turn, 0, source).await? {
                return Ok(Screening::Answer(answer));
            }
            if turn == Turn::Prepare {
                refuse_declared(&self.cx)?;
            }
            if turn == Turn::Authenticate
                && let Some(answer) = self.adopt(source, profiles).await?
            {
                return Ok(Screening::Answer(answer));
            }
        }
        Ok(Screening::Proceed(Screened { run: self }))
    }

    /// Runs what applies to a request that matched no route: floods are metered even there.
    pub async fn screen_miss(&mut self, source: &mut dyn BodySource) -> Result<(), Denial> {
        for turn in [Turn::Prepare, Turn::Admit, Turn::Meter] {
            for at in 0..self.tracks.len() {
                let Some(chain) = self.busy(turn, at) else { continue };
                // There is nothing here that a plugin could answer for: all of them run.
                for &index in chain.turn(turn) {
                    self.step(turn, at, &chain, usize::from(index), source).await?;
                }
            }
        }
        Ok(())
    }

    /// Lets a plugin translate the answer. What it asks of the body is to be done before
    /// [`respond`](Self::respond): what the others judge is what the client would read.
    pub fn translate(&mut self, answer: &mut AnswerHead) -> Result<(), Denial> {
        self.shape(answer, Chain::translating)
    }

    /// Lets the plugins shape an answer, highest priority first.
    pub fn respond(&mut self, answer: &mut AnswerHead) -> Result<(), Denial> {
        self.cx.is_answered = true;
        self.shape(answer, Chain::response)?;
        if self.tracks.iter().any(|track| track.chain.keeps_answer()) {
            self.answer = Some(answer.fields.clone());
        }
        Ok(())
    }

    /// Lets the plugins encode the body of an answer that all others have shaped.
    pub fn encode(&mut self, answer: &mut AnswerHead) -> Result<(), Denial> {
        self.shape(answer, Chain::encoding)
    }

    fn shape(
        &mut self,
        answer: &mut AnswerHead,
        steps: impl Fn(&Chain<P>) -> &[u16],
    ) -> Result<(), Denial> {
        for track in &mut self.tracks {
            for &index in steps(&track.chain) {
                let index = usize::from(index);
                let Some(step) = track.chain.steps().get(index) else { continue };
                let is_late = step.filter.as_ref().is_some_and(Expr::needs_end);
                let seen = Seen { cx: &self.cx, answer: Some(&answer.fields) };
                // What is decided at the end only looks on until then.
                if !is_late {
                    match is_open(step, seen, track.gates.get_mut(index)) {
                        Ok(true) => {}
                        Ok(false) => continue,
                        Err(_) if only_observes(step) => {}
                        Err(denial) => return Err(denial),
                    }
                }
                if let Some(call) = track.calls.get_mut(index) {
                    step.plugin
                        .on_response_head(&self.cx, answer, call)
                        .map_err(|denial| mark(denial, step, Stage::Reply))?;
                    answer.plan.sign(|| Author {
                        plugin: step.plugin.name(),
                        error_response: step.error_response.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// True if some plugin wants to know how it ended, or has something to hide from logs.
    pub fn has_finish(&self) -> bool {
        self.tracks
            .iter()
            .any(|track| !track.chain.finish().is_empty() || !track.chain.masks().is_empty())
    }

    /// Takes out what no log may show. A filter that cannot be evaluated hides, too, as does one
    /// that reads an answer which there was not: whoever leaves before the answer must not decide
    /// what logs show.
    fn mask(&mut self) {
        for track in &mut self.tracks {
            for &index in track.chain.masks() {
                let index = usize::from(index);
                let Some(step) = track.chain.steps().get(index) else { continue };
                let is_blind = |filter: &Expr| {
                    filter.reads_answer() && !self.cx.is_answered
                        || filter.reads_answer_fields() && self.answer.is_none()
                };
                let is_undecided = track.gates.get(index) == Some(&Gate::Unknown);
                let hides = is_undecided && step.filter.as_ref().is_some_and(is_blind);
                let seen = Seen { cx: &self.cx, answer: self.answer.as_ref() };
                if hides || !matches!(is_open(step, seen, track.gates.get_mut(index)), Ok(false)) {
                    step.plugin.mask(&mut LogView::new(&mut self.cx));
                }
            }
        }
    }

    /// Tells the plugins how it ended.
    pub fn finish(&mut self, outcome: &Outcome<'_>) {
        self.mask();
        let answer = self.answer.as_ref();
        for track in &mut self.tracks {
            for &index in track.chain.finish() {
                let index = usize::from(index);
                let Some(step) = track.chain.steps().get(index) else { continue };
                let gate = track.gates.get_mut(index);
                let is_told = match (&step.filter, &gate) {
                    (Some(filter), Some(Gate::Unknown)) if only_observes(step) => {
                        filter.may_hold(&self.cx, answer)
                    }
                    _ => is_open(step, Seen { cx: &self.cx, answer }, gate).unwrap_or(false),
                };
                if is_told && let Some(call) = track.calls.get_mut(index) {
                    step.plugin.on_finish(&self.cx, outcome, call);
                }
            }
        }
    }

    /// Runs one turn of the tracks from `first` on.
    async fn turn(
        &mut self,
        turn: Turn,
        first: usize,
        source: &mut dyn BodySource,
    ) -> Result<Option<Box<LocalAnswer>>, Denial> {
        for at in first..self.tracks.len() {
            let Some(chain) = self.busy(turn, at) else { continue };
            for &index in chain.turn(turn) {
                if let Some(answer) =
                    self.step(turn, at, &chain, usize::from(index), source).await?
                {
                    return Ok(Some(answer));
                }
            }
        }
        Ok(None)
    }

    /// The chain of a track, if it has something to do in a turn.
    ///
    /// PERF: most turns have nothing to do, and to share a chain costs two locked operations.
    fn busy(&self, turn: Turn, at: usize) -> Option<Arc<Chain<P>>> {
        let chain = &self.tracks.get(at)?.chain;
        (!chain.turn(turn).is_empty()).then(|| chain.clone())
    }

    async fn step(
        &mut self,
        turn: Turn,
        at: usize,
        chain: &Chain<P>,
        index: usize,
        source: &mut dyn BodySource,
    ) -> Result<Option<Box<LocalAnswer>>, Denial> {
        let Some(step) = chain.steps().get(index) else { return Ok(None) };
        if step.filter.as_ref().is_some_and(Expr::reads_body) {
            let need = BodyNeed::Value { max: self.filter_max };
            self.load_body(need, source).await.map_err(|d| mark(d, step, turn.stage()))?;
        }
        let gate = self.tracks.get_mut(at).and_then(|track| track.gates.get_mut(index));
        if !is_open(step, Seen { cx: &self.cx, answer: None }, gate)? {
            return Ok(None);
        }
        let need = if turn as u8 >= Turn::AuthorizeBody as u8 {
            step.plugin.traits().body
        } else {
            BodyNeed::None
        };
        if need.is_some() {
            self.load_body(need, source).await.map_err(|d| mark(d, step, turn.stage()))?;
        }
        let Some(call) = self.tracks.get_mut(at).and_then(|track| track.calls.get_mut(index))
        else {
            return Ok(None);
        };
        let began = self.times.as_ref().map(|_| Instant::now());
        let flow = if turn == Turn::Authenticate {
            self.cx.guards.turn();
            let flow = step.plugin.authenticate(&mut self.cx, &IdentityKey::lend(), call).await;
            self.cx.settle_untold(step.plugin.name(), flow)
        } else {
            let guards = self.cx.guards.len();
            let flow = step.plugin.on_request(turn.stage(), &mut self.cx, call).await;
            self.cx.guards.answer_with(guards, step.error_response.as_ref());
            flow
        };
        if let (Some(began), Some(times)) = (began, &self.times) {
            let label = PluginLabel { plugin: step.plugin.name() };
            times.plugin_seconds.get_or_create(&label).observe(began.elapsed());
        }
        match flow.map_err(|denial| mark(denial, step, turn.stage()))? {
            Flow::Continue => Ok(None),
            Flow::Answer(answer) => Ok(Some(answer)),
        }
    }

    /// Takes in the plugins that come with the identity, and runs those that the earlier stages
    /// would have run. A route that proves authentication gets no further without an identity.
    async fn adopt(
        &mut self,
        source: &mut dyn BodySource,
        profiles: &impl Profiles<P>,
    ) -> Result<Option<Box<LocalAnswer>>, Denial> {
        let Some(identity) = self.cx.identity() else {
            return if self.needs_identity {
                Err(Denial::new(Reason::IdentityRequired, "no plugin established an identity"))
            } else {
                Ok(None)
            };
        };
        let Some(consumer) = identity.consumer().cloned() else { return Ok(None) };
        let first = self.tracks.len();
        let chains = profiles.of(&consumer).into_iter().flatten();
        self.tracks.extend(chains.filter(|c| !c.is_empty()).map(Track::new));
        if first == self.tracks.len() {
            return Ok(None);
        }
        let mut adopted = self.tracks.iter().skip(first);
        self.cx.wants_proven |= adopted.any(|track| track.chain.wants_proven());
        for turn in [Turn::Prepare, Turn::Admit] {
            if let Some(answer) = self.turn(turn, first, source).await? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Takes out what clients sent under names that plugins own, whether these will run or not.
    fn clear_owned(&mut self, of_callers: Option<&OwnedFields>) {
        let chains = self.tracks.iter().map(|track| track.chain.owned_fields());
        for owned in chains.chain(of_callers).filter(|owned| !owned.is_empty()) {
            owned.clear(&mut self.cx.fields);
            self.cx.drop_trailers();
        }
    }

    /// Tells the upstream who calls, in the fields that clients cannot send.
    fn attach_identity(&mut self) {
        let Some(identity) = self.cx.identity.as_ref() else { return };
        let fields = &mut self.cx.fields;
        let owned = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        if let Some(consumer) = identity.consumer() {
            fields.append(Bytes::from_static(b"x-consumer-username"), owned(consumer.username()));
            if let Some(id) = consumer.label("custom_id") {
                fields.append(Bytes::from_static(b"x-consumer-custom-id"), owned(id));
            }
        }
        if let Some(credential) = identity.credential() {
            fields.append(Bytes::from_static(b"x-credential-identifier"), owned(credential));
        }
    }

    async fn load_body(
        &mut self,
        need: BodyNeed,
        source: &mut dyn BodySource,
    ) -> Result<(), Denial> {
        let (BodyNeed::Bytes { max } | BodyNeed::Value { max }) = need else { return Ok(()) };
        if self.cx.body.is_none() {
            refuse_encoded(&self.cx)?;
            let largest =
                self.tracks.iter().map(|track| track.chain.body_max()).fold(max, usize::max);
            let allowed = usize::try_from(self.cx.body_max).unwrap_or(usize::MAX);
            let collected = source.collect(largest.min(allowed)).await;
            self.cx.body = Some(collected.map_err(|mut denial| {
                if denial.reason == Reason::BodyTooLarge && allowed <= largest {
                    let bound = self.cx.body_bound();
                    denial.detail =
                        format!("the body grew beyond {allowed} bytes, over {bound}").into();
                }
                denial
            })?);
        }
        let body = self.cx.body.clone().unwrap_or_default();
        if body.len() > max {
            return Err(Denial::new(
                Reason::BodyTooLarge,
                format!("{} bytes, the plugin reads {max}", body.len()),
            ));
        }
        let wants_value = matches!(need, BodyNeed::Value { .. });
        if wants_value && self.cx.body_value.is_none() && !body.is_empty() {
            self.cx.body_value = Some(self.cx.parse_body(&body, self.limits)?);
        }
        Ok(())
    }
}

/// A body that is declared too long is not waited for.
fn refuse_declared(cx: &RequestCx) -> Result<(), Denial> {
    match cx.declared_length {
        Some(declared) if declared > cx.body_max => {
            let detail = format!("{declared} bytes declared, over {}", cx.body_bound());
            Err(Denial::new(Reason::BodyTooLarge, detail))
        }
        _ => Ok(()),
    }
}

/// A body that is not what its bytes say cannot be checked: it is refused, not guessed.
fn refuse_encoded(cx: &RequestCx) -> Result<(), Denial> {
    let is_plain = |v: &[u8]| v.is_empty() || v.eq_ignore_ascii_case(b"identity");
    if cx.fields.all("content-encoding").all(is_plain) {
        return Ok(());
    }
    Err(Denial::new(Reason::UnsupportedEncoding, "an encoded body on a route that reads bodies"))
}

fn is_open<P: PluginSet>(
    step: &Step<P>,
    seen: Seen<'_>,
    gate: Option<&mut Gate>,
) -> Result<bool, Denial> {
    let Some(filter) = &step.filter else { return Ok(true) };
    let Some(gate) = gate else {
        return Err(mark(
            Denial::new(Reason::Internal, "a filter without a gate"),
            step,
            Stage::Prepare,
        ));
    };
    if *gate == Gate::Unknown {
        let holds = filter.holds_in(seen).map_err(|error| {
            let denial =
                Denial::new(Reason::AmbiguousParameter, format!("`_meta.filter`: {error}"));
            mark(denial, step, Stage::Prepare)
        })?;
        *gate = if holds { Gate::Open } else { Gate::Shut };
    }
    Ok(*gate == Gate::Open)
}

/// True for a plugin that decides nothing about a request: where its filter cannot be decided it
/// looks on, since it must neither deny nor be blinded by what a client sends.
fn only_observes<P: PluginSet>(step: &Step<P>) -> bool {
    step.plugin.traits().stages == StageSet::of(&[Stage::Observe])
}

fn mark<P: PluginSet>(mut denial: Denial, step: &Step<P>, stage: Stage) -> Denial {
    denial.stage = Some(stage);
    // A guard of another plugin has refused.
    if denial.plugin.is_some_and(|name| name != step.plugin.name()) {
        return denial;
    }
    denial.plugin = Some(step.plugin.name());
    if let Some((body, is_json)) = &step.error_response {
        denial.error_response = Some((body.clone(), *is_json));
    }
    denial
}
