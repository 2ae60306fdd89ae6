//! Asking the issuer of a token what it is worth (RFC 7662): what `oauth-introspection` and
//! `openid-connect` share.
//!
//! The worker that serves a request asks, over connections of its own, and boxed, so that requests
//! whose token is remembered carry nothing of it. What was said is remembered for a short time, of
//! a good token no longer than it lives. An issuer that does not answer is left alone for a while,
//! and until it answers nobody passes whose token is not remembered.
//!
//! All this is shared by the whole node, for routes that say the same of the issuer: not only who
//! asks whom, but also for how long that may take and count. For one token there is one question at
//! a time, and others wait for its answer; in all there are as many as a quarter of `limits.calls`,
//! so that an issuer that is slow takes no other's calls. What is asked of the claims is judged anew
//! on every request.

mod answer;
mod breaker;
mod client;
mod fault;
mod flights;
mod judge;
mod memory;
mod metrics;
mod place;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_chain::{CompileCx, RequestCx};
use bartizan_config::{Invalid, ResourceKind, ResourceRef};
use bartizan_core::Timestamp;
use bartizan_net::{Call, CallLimits, Client, Keep};
use bartizan_wire::Fields;
use http::Method as HttpMethod;
use tokio::time::Instant;

use super::provider::servers;
use crate::jose::{Digest, digest_of};
use crate::node_state::shared_metrics;
use crate::outgoing::{Guarded, OwnCertificate, Pem, guarded_endpoint, json_fields};
use crate::waiting::Waiters;
use answer::{ANSWER_MAX, Answer};
use breaker::Breaker;
use client::ClientAuth;
pub(super) use client::{ClientSettings, Method};
use fault::{ABOUT_TOKEN, AskFault, Fault};
use flights::{Flights, Turn};
pub(super) use judge::{Judge, Terms};
use memory::Memory;
use metrics::{Counts, Metrics};
use place::{Metadata, Place};

/// Connections that a worker keeps to an issuer.
const KEEP: Keep = Keep { size: 8, idle: Duration::from_secs(55) };
/// What the state belongs to, beside the node.
const OWNER: &str = "introspection";

/// What came of a question.
type Outcome = Result<Answer, AskFault>;

/// An issuer that can be asked, as configuration says it.
#[derive(Clone, Debug)]
pub(super) struct IntrospectionSettings {
    /// The names of the issuer, where it is known.
    pub(super) issuers: Vec<String>,
    /// The field that the address was written in.
    pub(super) key: &'static str,
    /// The address.
    pub(super) address: String,
    /// Whether metadata is there, which says where questions are answered.
    pub(super) is_metadata: bool,
    /// Servers that metadata may point to beside its own, and the field that names them.
    pub(super) hosts: (&'static str, Vec<String>),
    /// Who asks.
    pub(super) client: ClientSettings,
    /// The authorities that may have signed the issuer's certificate; the system's where absent.
    pub(super) ca_certs: Option<Pem>,
    /// Our certificate.
    pub(super) own: Option<OwnCertificate>,
    /// Whether tokens and secrets may go in clear beyond this machine.
    pub(super) danger_clear_http: bool,
    /// Time for one call.
    pub(super) timeout: Duration,
    /// How long a good token is remembered at most.
    pub(super) remember: Duration,
    /// How long a bad one is.
    pub(super) remember_refused: Duration,
}

impl IntrospectionSettings {
    /// What tells these settings from others, secrets included, without showing them.
    pub(super) fn id(&self, cx: &CompileCx<'_>) -> String {
        let secrets = [&self.client.secret.1, &self.client.key.1];
        let own = self.own.as_ref().map(|own| &own.key);
        let secrets = secrets.into_iter().flatten().chain(own);
        let digests = secrets.map(|secret| cx.node.key.digest(OWNER, secret.expose()));
        format!("{self:?} {:?}", digests.collect::<Vec<_>>())
    }
}

/// An issuer that can be asked, and what it said.
pub(super) struct Asker {
    place: Place,
    client: ClientAuth,
    fields: Fields,
    timeout: Duration,
    memory: Memory,
    flights: Flights,
    breaker: Breaker,
    counts: Counts,
}

impl Asker {
    /// The issuer of these settings: the one that is known already, or a new one.
    pub(super) fn of(
        settings: &IntrospectionSettings,
        cx: &CompileCx<'_>,
    ) -> Result<Arc<Self>, Invalid> {
        let place = place(settings, cx)?;
        let audience = settings.issuers.first().unwrap_or(&settings.address);
        let client = ClientAuth::compile(&settings.client, audience)?;
        let metrics = shared_metrics(cx, OWNER, Metrics::default);
        let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(OWNER) };
        Ok(cx.node.registry.state(&node, OWNER, settings.id(cx), || Self {
            fields: fields(&client),
            counts: Counts::of(metrics, place.server()),
            place,
            client,
            timeout: settings.timeout,
            memory: Memory::new(settings.remember, settings.remember_refused),
            flights: Flights::new(&cx.node.limits),
            breaker: Breaker::default(),
        }))
    }

    /// What was said of a token, if that still counts.
    fn recall(&self, digest: &Digest) -> Option<Answer> {
        self.memory.recall(digest)
    }

    /// What a token is worth, by the issuer or by the request that asks it already.
    async fn find_out(
        &self,
        token: &str,
        digest: Digest,
        waiters: &Waiters,
        cx: &RequestCx,
    ) -> Result<Answer, Fault> {
        loop {
            let mut landing = match self.flights.join(digest) {
                Turn::Own(flight) => {
                    // Somebody may have asked between our look at the memory and now.
                    let outcome = match self.memory.recall(&digest) {
                        Some(answer) => Ok(answer),
                        None => self.ask(token, digest, cx).await,
                    };
                    flight.land(outcome.clone());
                    return Ok(outcome?);
                }
                Turn::Another(landing) => landing,
                Turn::Full => {
                    self.counts.done(AskFault::Full.label());
                    return Err(AskFault::Full.into());
                }
            };
            // Metadata may come first.
            let most = self.timeout.saturating_mul(2);
            let landed = waiters.hold(most, landing.wait_for(Option::is_some)).await?;
            // Where the one that asked has gone away, another one asks.
            if let Ok(outcome) = landed.ok_or(AskFault::Late)? {
                let outcome = outcome.clone();
                return Ok(outcome.ok_or(AskFault::Late)??);
            }
        }
    }

    async fn ask(&self, token: &str, digest: Digest, cx: &RequestCx) -> Outcome {
        let Some(client) = cx.http().cloned() else { return Err(AskFault::Nowhere) };
        let Some(pass) = self.breaker.admit(Instant::now()) else {
            self.counts.done(AskFault::Resting.label());
            return Err(AskFault::Resting);
        };
        let outcome = self.exchange(&client, token, cx.clock.now()).await;
        match &outcome {
            Ok(answer) => {
                pass.succeed();
                self.counts.done(if *answer == Answer::Inactive { "inactive" } else { "active" });
                self.memory.keep(digest, answer, cx.clock.now());
            }
            Err(fault) => {
                self.counts.done(fault.label());
                match fault.answers() {
                    Some(true) => pass.succeed(),
                    Some(false) => pass.fail(Instant::now()),
                    None => {}
                }
            }
        }
        outcome
    }

    async fn exchange(&self, client: &Client, token: &str, now: Timestamp) -> Outcome {
        let spot = self.place.spot(client, self.timeout).await?;
        let (endpoint, target) = &*spot;
        let form = self.client.form(token, now)?;
        let call =
            Call { method: &HttpMethod::POST, target, fields: &self.fields, body: form.expose() };
        let limits = CallLimits { time: self.timeout, answer: ANSWER_MAX, keep: KEEP };
        let answered = client.call(endpoint, &call, &limits).await;
        let answered = answered.map_err(|error| AskFault::call(ABOUT_TOKEN, &error))?;
        answer::read(answered.status, &answered.fields, answered.body())
    }
}

/// The fields of every question.
fn fields(client: &ClientAuth) -> Fields {
    let mut fields = json_fields();
    fields.append("content-type", "application/x-www-form-urlencoded");
    if let Some(value) = client.authorization() {
        fields.append("authorization", value.expose().to_vec());
    }
    fields
}

fn place(settings: &IntrospectionSettings, cx: &CompileCx<'_>) -> Result<Place, Invalid> {
    let (key, own) = (settings.key, &settings.own);
    let guarded = Guarded {
        key,
        address: &settings.address,
        ca_certs: settings.ca_certs.as_ref(),
        own: own.as_ref(),
        danger_clear_http: settings.danger_clear_http,
        problem: "tokens and secrets for `{}` would go in clear",
        help: "use `https`: whoever is on the way can read and change all",
    };
    let (endpoint, target) = guarded_endpoint(&guarded, cx)?;
    let (hosts_key, names) = &settings.hosts;
    if !settings.is_metadata {
        if !names.is_empty() {
            return Err(Invalid::at(hosts_key, format!("there is also `{key}`, which counts")));
        }
        return Ok(Place::Known(Arc::new((endpoint, target))));
    }
    let mut hosts = servers(hosts_key, names)?;
    hosts.push(endpoint.authority().clone());
    Ok(Place::Told(Box::new(Metadata {
        own: Arc::new((endpoint, target)),
        issuers: settings.issuers.clone(),
        hosts,
        has_certificate: own.is_some(),
        found: Mutex::default(),
    })))
}
