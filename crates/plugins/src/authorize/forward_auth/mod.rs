//! Asks an authorization service whether a request may pass.
//!
//! ```yaml
//! forward-auth:
//!   uri: https://auth.example/check
//!   request_headers: [Authorization]
//!   user_header: X-User
//!   client_headers: [Location, WWW-Authenticate]
//! ```
//!
//! Each request becomes a call to `uri`: GET, or POST with the client's body. It tells
//! `X-Forwarded-Proto`, `-Method`, `-Host`, `-Uri` (path and query in the one form that everything
//! is decided on, without credentials that were taken out) and `-For` (the client's address), the
//! fields of the client that `request_headers` names, and `extra_headers`, in which variables may
//! stand. Nothing else of the client goes there. A field of `request_headers` that the client sends
//! twice has two meanings: the request is refused with 400 (`Cookie` is joined).
//!
//! | answer of the service | what becomes of the request |
//! |---|---|
//! | 2xx | it passes; the fields that `upstream_headers` names come from the answer |
//! | 300 to 499 | the client gets that status, the body, and the fields that `client_headers` names |
//! | anything else, or none | it is refused: `status_on_error`, or 503 (in compatibility mode 403) |
//!
//! **Fields of `upstream_headers` never come from a client**: they are taken out of every request,
//! however they are spelt (`X_User` too), whether the service sends them or not. Redirects are not
//! followed. Answers over 64 KiB, malformed ones, and those later than `timeout` are no answers.
//! `danger_allow_degradation: true` lets requests pass where there is none; the plugin then proves
//! nothing.
//!
//! **What it proves.** The service is a policy engine: whom it does not let through is refused, so it
//! proves a *grant*. It proves *authentication* only where its answer says who calls, since an
//! identity must have a name: with `user_header` the plugin runs before all limits by caller, the
//! answer must have that field once, and its value becomes the subject (a client's own is taken out);
//! with `attach_consumer` it must be the name of a consumer, whose own plugins and limits then apply. Without `user_header` a
//! route needs another authentication plugin, or `anonymous-access` with a reason, and this plugin
//! runs after it. The body is known only then: POST and `user_header` exclude each other. In a
//! global rule `user_header` is refused.
//!
//! # Headers
//!
//! Those of `request_headers` and the `X-Forwarded-*` of the table go to the service; those of
//! `upstream_headers` come from it, and never from a client; those of `client_headers` go to a
//! client that is refused.
//!
//! # What it costs
//!
//! One call for each request, over connections that the worker keeps; calls are not remembered. At
//! most `limits.calls` wait per worker, more are refused with 503. An `https` service is verified
//! by the system's authorities or those of `ca_certs`, unless `danger_ssl_verify: false` is
//! written.
//!
//! # What it cannot do
//!
//! It knows what the service says, and no more. While the service is away nobody passes, unless
//! `danger_allow_degradation` says so.
//!
//! # How it differs from Apache APISIX
//!
//! `timeout` is for the whole call, an answer of 5xx is an error of the service and its body stays
//! here, and `status_on_error` is 400 or more.

mod config;
mod request;

use std::sync::Arc;

use bartizan_chain::{
    BodyNeed, CompileCx, Flow, Identity, IdentityKey, IdentityParts, Kinship, Nothing, Plugin,
    RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bartizan_net::Answered;
use bartizan_wire::Fields;

use super::service::{HeaderNames, Service, Towards, no_decision};
use config::AskMethod;
pub use config::Config;
use request::Question;

/// Longest name of a caller.
const USER_MAX: usize = 256;

/// Compiled `forward-auth`.
pub struct ForwardAuth {
    service: Service,
    question: Question,
    upstream_headers: HeaderNames,
    client_headers: HeaderNames,
    /// The field of the answer that says who calls.
    user: Option<User>,
    /// The longest body that is sent along.
    body_max: Option<usize>,
    status_on_error: Option<u16>,
    passes_without_answer: bool,
    is_apisix: bool,
}

struct User {
    field: HeaderNames,
    must_be_consumer: bool,
}

impl Plugin for ForwardAuth {
    const NAME: &'static str = "forward-auth";
    const PRIORITY: i32 = 2002;
    const KINSHIP: Kinship = Kinship::Different(
        "an error denies; the service's certificate is verified; only named fields go either \
         way",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate, Stage::Authorize]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let service = Service::compile("uri", &config.uri, &config.service(), cx)?;
        let is_apisix = cx.compatibility().is_apisix();
        let body_max = match config.request_method {
            AskMethod::Get if config.max_req_body_size.is_some() => {
                return Err(Invalid::at("max_req_body_size", "a GET is sent without a body"));
            }
            AskMethod::Get => None,
            AskMethod::Post => Some(config.body_max(&cx.node.limits, is_apisix)),
        };
        let user = user(&config)?;
        Ok(Self {
            service,
            question: Question::compile(&config)?,
            upstream_headers: HeaderNames::compile(
                "upstream_headers",
                &config.upstream_headers,
                Towards::Upstream,
            )?,
            client_headers: HeaderNames::compile(
                "client_headers",
                &config.client_headers,
                Towards::Client,
            )?,
            user,
            body_max,
            status_on_error: config.status_on_error.or(is_apisix.then_some(403)),
            passes_without_answer: config.danger_allow_degradation,
            is_apisix,
        })
    }

    fn traits(&self) -> Traits {
        let stage = if self.user.is_some() { Stage::Authenticate } else { Stage::Authorize };
        let mut traits = Traits::in_stages(&[stage]);
        traits.proves.grant = !self.passes_without_answer;
        traits.proves.authentication = self.user.is_some();
        traits.body = self.body_max.map_or(BodyNeed::None, |max| BodyNeed::Bytes { max });
        traits
    }

    async fn authenticate(
        &self,
        cx: &mut RequestCx,
        key: &IdentityKey,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let Some(user) = &self.user else { return Ok(Flow::Continue) };
        // Boxed, so that the wait costs routes without it nothing.
        if let Some(answered) = Box::pin(self.decide(cx)).await? {
            cx.identify(Identity::new(key, Self::NAME, user.parts(cx, &answered.fields)?))?;
        }
        Ok(Flow::Continue)
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        Box::pin(self.decide(cx)).await?;
        Ok(Flow::Continue)
    }
}

fn user(config: &Config) -> Result<Option<User>, Invalid> {
    let Some(name) = &config.user_header else {
        if config.attach_consumer {
            return Err(Invalid::at("attach_consumer", "nobody says who calls")
                .with_help("name the field of the answer in `user_header`"));
        }
        return Ok(None);
    };
    let field = HeaderNames::compile("user_header", std::slice::from_ref(name), Towards::Upstream)
        .map_err(|fault| Invalid::at("user_header", fault.problem))?;
    if config.request_method == AskMethod::Post {
        let problem = "the body is read only once it is known who calls";
        return Err(Invalid::at("user_header", problem)
            .with_help("ask with GET, or let another plugin authenticate"));
    }
    if config.danger_allow_degradation {
        let problem = "without an answer nobody says who calls";
        return Err(Invalid::at("danger_allow_degradation", problem));
    }
    Ok(Some(User { field, must_be_consumer: config.attach_consumer }))
}

impl ForwardAuth {
    /// The answer that lets the request pass; `None` where it passes without one.
    async fn decide(&self, cx: &mut RequestCx) -> Result<Option<Answered>, Denial> {
        // Whatever comes of it, the client's own copies go.
        self.upstream_headers.take_out(&mut cx.fields);
        if let Some(user) = &self.user {
            user.field.take_out(&mut cx.fields);
        }
        let fields = self.question.fields(cx)?;
        let body = if self.body_max.is_some() { cx.body().cloned() } else { None };
        let body = body.unwrap_or_default();
        let (method, target) = (self.question.method(), &self.service.target);
        let answered = match self.service.ask(cx, method, target, &fields, &body).await {
            Ok(answered) if answered.status.is_success() => answered,
            Ok(answered) if (300..500).contains(&answered.status.as_u16()) => {
                return Err(self.refusal(&answered));
            }
            Ok(answered) => return self.without(&format!("it answers {}", answered.status)),
            Err(cause) => return self.without(&cause),
        };
        self.upstream_headers.copy(&answered.fields, &mut cx.fields);
        Ok(Some(answered))
    }

    fn without(&self, cause: &str) -> Result<Option<Answered>, Denial> {
        if self.passes_without_answer {
            tracing::warn!(
                cause,
                "a request passes without an answer of the authorization service"
            );
            return Ok(None);
        }
        Err(no_decision(cause, self.status_on_error))
    }

    /// What the service said, for the client.
    fn refusal(&self, answered: &Answered) -> Denial {
        let status = answered.status.as_u16();
        let detail = format!("the authorization service answers {status}");
        let mut denial = Denial::new(Reason::AuthorizerDenied, detail).with_status(status);
        let is_json = answered.fields.get("content-type").is_some_and(|media| {
            let media = media.split(|byte| *byte == b';').next().unwrap_or_default();
            media.trim_ascii().eq_ignore_ascii_case(b"application/json")
        });
        // A redirect has nothing to say; of other answers without a body we tell the reason.
        if !answered.body().is_empty() || self.is_apisix || answered.status.is_redirection() {
            denial.error_response = Some((Arc::from(answered.text()), is_json));
        }
        let mut fields = Fields::new();
        self.client_headers.copy(&answered.fields, &mut fields);
        for field in fields.iter() {
            let texts = (std::str::from_utf8(field.name), std::str::from_utf8(field.value));
            if let (Ok(name), Ok(value)) = texts {
                denial.fields.push((name.to_owned().into(), value.to_owned()));
            }
        }
        denial
    }
}

impl User {
    /// Who calls, as the answer says.
    fn parts(&self, cx: &RequestCx, answer: &Fields) -> Result<IdentityParts, Denial> {
        let nobody = |detail: &'static str| Denial::new(Reason::IdentityRequired, detail);
        let name = answer
            .single(self.field.iter().next().unwrap_or_default())
            .map_err(|_| nobody("the authorization service names two callers"))?
            .and_then(|value| std::str::from_utf8(value).ok())
            .filter(|name| !name.is_empty() && name.len() <= USER_MAX)
            .ok_or_else(|| nobody("the authorization service names nobody"))?;
        if !self.must_be_consumer {
            return Ok(IdentityParts {
                subject: Some(Arc::from(name)),
                ..IdentityParts::default()
            });
        }
        let consumer = cx.consumers().by_name(name).cloned();
        let consumer = consumer.ok_or_else(|| {
            Denial::new(Reason::InvalidCredential, "the authorization service names no consumer")
        })?;
        Ok(IdentityParts { consumer: Some(consumer), ..IdentityParts::default() })
    }
}

#[cfg(test)]
mod tests;
