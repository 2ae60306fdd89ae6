//! Proves who calls in one of several ways.
//!
//! ```yaml
//! multi-auth:
//!   auth_plugins:
//!   - key-auth: {}
//!   - basic-auth: {realm: orders}
//!   - jwt-auth: {header: x-token}
//! ```
//!
//! The plugins are tried in this order. The first that proves who calls decides: its identity is
//! the caller's, its name stands in the logs, and the others are not asked. The next is tried where
//! a credential is missing, unreadable, unknown, wrong or expired, or must not be judged now
//! (`auth-throttle`), for which the answer is 429 if none passes. Anything else ends the request
//! with that plugin's answer: a credential that is sent twice (400), a good one that does not
//! permit this (403), a node that is too busy to tell or an issuer whose keys are not there (503).
//!
//! Consumers have their keys under the names of the plugins inside, as without this plugin. What
//! can stand inside: `hmac-auth`, `http-signature`, `basic-auth`, `jwt-auth`, `mtls-auth`,
//! `key-auth`, each with the fields of its own page; the same one may stand there twice. Not
//! `anonymous_consumer`: its callers would pass before the next plugin is asked. `_meta` belongs to
//! this plugin as a whole.
//!
//! Where none passes the answer is 401 with the challenges of all; the event has every plugin's
//! cause. A plugin that fails leaves the request as it is: what was not believed is not taken out
//! of it.
//!
//! It proves authentication; a grant only if each plugin inside does (`jwt-auth` with scopes or
//! claims). With `http-signature`, or `hmac-auth` and `validate_request_body`, inside, the body of
//! every request is held, whoever proved it.
//!
//! # Headers
//!
//! Those that the plugins inside read. A 401 has the `WWW-Authenticate` of all.
//!
//! # What it costs
//!
//! That of the plugins that are asked. Put the one that most callers use first.
//!
//! # What it cannot do
//!
//! One proof is enough: it cannot ask for two. For that, put two authentication plugins on the
//! route.
//!
//! # How it differs from Apache APISIX
//!
//! Nothing of a failed attempt stays in the request, `anonymous_consumer` inside is refused, and
//! `jwe-decrypt` cannot stand inside, because it does not prove who calls.

mod nested;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt::Write as _;

use bartizan_chain::{
    AnswerHead, BodyNeed, CompileCx, Flow, IdentityKey, Kinship, Nothing, Plugin, Proofs,
    RequestCx, Traits, Unsupported,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, ReplyField, Stage, StageSet};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value};

use nested::{Nested, NestedCall};

const KEY: &str = "auth_plugins";
const CHALLENGE: &str = "www-authenticate";
/// Most plugins that are tried one after the other.
const PLUGINS_MAX: usize = 16;

/// The configuration of `multi-auth`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The plugins, in the order in which they are tried: each an object with one key, its name.
    #[schemars(length(min = 2, max = PLUGINS_MAX))]
    auth_plugins: Vec<AuthPlugin>,
}

/// One plugin: its name, and its configuration.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct AuthPlugin(Map<String, Value>);

impl JsonSchema for AuthPlugin {
    fn schema_name() -> Cow<'static, str> {
        "AuthPlugin".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        nested::schema(generator)
    }
}

/// What is remembered of a request: who passed, and what that one remembers.
#[derive(Default)]
pub struct Call {
    passed: Option<usize>,
    memory: NestedCall,
}

/// Compiled `multi-auth`.
pub struct MultiAuth {
    plugins: Box<[Nested]>,
}

const UNPROVEN: Unsupported =
    Unsupported::Refused("it does not prove who calls; write it beside `multi-auth`");
const NOT_YET: Unsupported = Unsupported::NotYet(
    "`hmac-auth`, `http-signature`, `basic-auth`, `jwt-auth`, `mtls-auth` and `key-auth` can stand \
     here",
);
const META: Unsupported = Unsupported::Refused(
    "a plugin that does not always run proves nothing; see `_meta` of `multi-auth`",
);
const STAND_IN: Unsupported = Unsupported::Refused(
    "its callers would pass before the next plugin is asked; use the plugin alone for that",
);

impl Plugin for MultiAuth {
    const NAME: &'static str = "multi-auth";
    const PRIORITY: i32 = 2600;
    const KINSHIP: Kinship = Kinship::Different(
        "an anonymous consumer inside is refused; nothing of a failed attempt stays",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate, Stage::Authorize]);
    const IS_AUTHENTICATION: bool = true;
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[
        ("auth_plugins[].jwe-decrypt", UNPROVEN),
        (
            "auth_plugins[].multi-auth",
            Unsupported::Refused("list its plugins here: one of all of them has to pass"),
        ),
        ("auth_plugins[].ldap-auth", NOT_YET),
        ("auth_plugins[].wolf-rbac", NOT_YET),
        ("auth_plugins[].hmac-auth._meta", META),
        ("auth_plugins[].basic-auth._meta", META),
        ("auth_plugins[].jwt-auth._meta", META),
        ("auth_plugins[].key-auth._meta", META),
        ("auth_plugins[].mtls-auth._meta", META),
        ("auth_plugins[].http-signature._meta", META),
        ("auth_plugins[].hmac-auth.anonymous_consumer", STAND_IN),
        ("auth_plugins[].basic-auth.anonymous_consumer", STAND_IN),
        ("auth_plugins[].jwt-auth.anonymous_consumer", STAND_IN),
        ("auth_plugins[].key-auth.anonymous_consumer", STAND_IN),
        ("auth_plugins[].mtls-auth.anonymous_consumer", STAND_IN),
        ("auth_plugins[].http-signature.anonymous_consumer", STAND_IN),
    ];

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = Call;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        if !(2..=PLUGINS_MAX).contains(&config.auth_plugins.len()) {
            let problem = format!("needs two to {PLUGINS_MAX} plugins");
            return Err(
                Invalid::at(KEY, problem).with_help("one alone is written on the route itself")
            );
        }
        let compile = |(index, AuthPlugin(written)): (usize, AuthPlugin)| {
            compile(written, cx).map_err(|fault| {
                fault.under(PathStep::Index(index)).under(PathStep::Key(KEY.to_owned()))
            })
        };
        let plugins = config.auth_plugins.into_iter().enumerate().map(compile);
        Ok(Self { plugins: plugins.collect::<Result<_, _>>()? })
    }

    fn traits(&self) -> Traits {
        let mut all = Traits::in_stages(&[Stage::Authenticate]);
        let each = || self.plugins.iter().map(Nested::traits);
        if each().any(|traits| traits.stages.contains(Stage::Authorize)) {
            all.stages = Self::STAGES;
        }
        all.on_response = each().any(|traits| traits.on_response);
        all.body = each().map(|traits| traits.body).fold(BodyNeed::None, larger);
        all.proves = Proofs {
            authentication: each().all(|traits| traits.proves.authentication),
            grant: each().all(|traits| traits.proves.grant),
            ..Proofs::default()
        };
        all
    }

    async fn authenticate(
        &self,
        cx: &mut RequestCx,
        key: &IdentityKey,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        let mut refusals: Vec<(&'static str, Denial)> = Vec::new();
        cx.tell_within();
        for (index, plugin) in self.plugins.iter().enumerate() {
            // Boxed: no request's future shall have room for all of them.
            match Box::pin(plugin.authenticate(cx, key, &mut call.memory)).await {
                Ok(flow) => {
                    call.passed = Some(index);
                    return Ok(flow);
                }
                Err(denial) if asks_the_next(denial.reason) => {
                    refusals.push((plugin.name(), denial));
                }
                Err(mut denial) => {
                    denial.detail = format!("`{}`: {}", plugin.name(), denial.detail).into();
                    return Err(denial);
                }
            }
        }
        Err(refuse(refusals))
    }

    async fn on_request(
        &self,
        stage: Stage,
        cx: &mut RequestCx,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        let passed = call.passed.and_then(|index| self.plugins.get(index));
        match passed.filter(|plugin| plugin.traits().stages.contains(stage)) {
            Some(plugin) => Box::pin(plugin.on_request(stage, cx, &mut call.memory)).await,
            None => Ok(Flow::Continue),
        }
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Call,
    ) -> Result<(), Denial> {
        let passed = call.passed.and_then(|index| self.plugins.get(index));
        match passed.filter(|plugin| plugin.traits().on_response) {
            Some(plugin) => plugin.on_response_head(cx, answer, &mut call.memory),
            None => Ok(()),
        }
    }
}

fn compile(written: Map<String, Value>, cx: &CompileCx<'_>) -> Result<Nested, Invalid> {
    let mut entries = written.into_iter();
    let (Some((name, config)), None) = (entries.next(), entries.next()) else {
        return Err(Invalid::new("needs exactly one plugin"));
    };
    if config.get("anonymous_consumer").is_some() {
        let fault = Invalid::at("anonymous_consumer", "nobody can stand in inside of `multi-auth`");
        return Err(fault.under(PathStep::Key(name)));
    }
    match Nested::compile(&name, &config, cx) {
        Some(compiled) => compiled.map_err(|fault| fault.under(PathStep::Key(name))),
        None => Err(Invalid::at(&name, format!("`{name}` cannot stand inside of `multi-auth`"))
            .with_help(format!("one of `{}`", nested::NAMES.join("`, `")))),
    }
}

/// What holds the larger body.
fn larger(a: BodyNeed, b: BodyNeed) -> BodyNeed {
    let size = |need| match need {
        BodyNeed::None => None,
        BodyNeed::Bytes { max } | BodyNeed::Value { max } => Some(max),
    };
    if size(b) > size(a) { b } else { a }
}

/// Whether another credential may do where this one did not.
fn asks_the_next(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::MissingCredential
            | Reason::MalformedCredential
            | Reason::InvalidCredential
            | Reason::ExpiredCredential
            | Reason::Replayed
            | Reason::AttemptHeld
    )
}

/// One refusal out of all: with every challenge for the client, every cause for the operator.
fn refuse(refusals: Vec<(&'static str, Denial)>) -> Denial {
    let mut detail = String::new();
    let mut challenges: Vec<String> = Vec::new();
    let mut hints: Vec<ReplyField> = Vec::new();
    let mut reason = Reason::MissingCredential;
    let mut held: Option<Denial> = None;
    for (name, mut denial) in refusals {
        let space = if detail.is_empty() { "" } else { "; " };
        // Writing to a string cannot fail.
        let _ = write!(detail, "{space}`{name}`: {}", denial.detail);
        if denial.reason == Reason::AttemptHeld {
            held.get_or_insert(denial);
            continue;
        }
        if denial.reason != Reason::MissingCredential {
            reason = Reason::InvalidCredential;
        }
        for (field, value) in std::mem::take(&mut denial.fields) {
            if field != CHALLENGE {
                // Such as the nonce that a proof has to hold.
                hints.push((field, value));
            } else if !challenges.contains(&value) {
                challenges.push(value);
            }
        }
    }
    // Nothing is told of the others while one must not be judged.
    if let Some(mut held) = held {
        held.detail = detail.into();
        return held;
    }
    let refusal = Denial::new(reason, detail).with_apisix_message("Authorization Failed");
    let mut refusal =
        challenges.into_iter().fold(refusal, |refusal, value| refusal.with_field(CHALLENGE, value));
    refusal.fields.extend(hints);
    refusal
}
