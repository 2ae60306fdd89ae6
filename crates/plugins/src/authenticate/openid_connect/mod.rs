//! Proves who calls by a token of an OpenID provider, configured as in Apache APISIX.
//!
//! A front with APISIX's names: with `use_jwks: true` tokens are verified with the provider's keys,
//! as by the providers of `jwt-auth`; otherwise the provider is asked about each, as by
//! `oauth-introspection`. Their pages say how keys are kept and answers are read. The token is read
//! from `Authorization`, behind `Bearer` or `DPoP`.
//!
//! ```yaml
//! openid-connect:
//!   bearer_only: true
//!   discovery: https://id.example.com/realms/shop/.well-known/openid-configuration
//!   client_id: orders
//!   use_jwks: true
//!   claim_validator: {audience: {match_with_client_id: true}}
//!   required_scopes: [orders:read]
//! ```
//!
//! and where the provider is asked:
//!
//! ```yaml
//! openid-connect:
//!   bearer_only: true
//!   discovery: https://id.example.com/realms/shop/.well-known/openid-configuration
//!   client_id: gateway
//!   client_secret: $env://GATEWAY_SECRET
//!   audiences: [orders]
//! ```
//!
//! An audience has to be asked for, with `match_with_client_id` or `audiences`. A good token that
//! lacks a scope or claim gets 403, everything else 401; keys or answers that are not to be had
//! give 503. With `required_scopes` or `required_claims` the plugin is a grant.
//!
//! A token that is bound to its sender (`cnf`) is no bearer token: the certificate or the proof of
//! possession is judged as by `jwt-auth`, and `require_binding` refuses tokens without.
//!
//! # Headers
//!
//! `Authorization` and `DPoP` are read and taken out of the request; in compatibility mode they stay. With
//! `set_access_token_header` the upstream gets the token in `X-Access-Token`, or in
//! `Authorization`; with `set_userinfo_header` the claims in `X-Userinfo`, up to 8 KiB. What a
//! client sends in those of them that begin with `X-` is taken out of every request. A 401 has
//! `WWW-Authenticate: Bearer` with realm and, if configured, `resource_metadata` (RFC 9728 §5.1).
//!
//! # What it costs
//!
//! With keys one signature per token, then one hash and one look-up while it is remembered. Without
//! them one call per token, then the same.
//!
//! # What it cannot do
//!
//! Log anybody in: there are no sessions, no redirects, no logout, and no identity or refresh
//! tokens to hand on. With `use_jwks` and `match_with_client_id` it cannot tell an identity token
//! from an access token where the provider gives both the same audience: let access tokens be for
//! the API, and name that in `audiences`.
//!
//! # How it differs from Apache APISIX
//!
//! `bearer_only: true` is required. An audience is required, `required: true` follows from asking
//! for one, and one that is missing gets 401, unless another `claim` than `aud` is looked at. The
//! provider's certificate is verified always and its metadata must be that of the issuer. Tokens
//! must expire where keys verify them, the algorithm is the key's, and unsigned tokens do not
//! exist. An answer about a token is remembered for 30 seconds and not until the token ends. The
//! token is not forwarded and `iat_slack` is 0, except in compatibility mode. Malformed credentials
//! get 401 and not 400.

mod config;
mod headers;
#[cfg(test)]
mod tests;

use bartizan_chain::{
    AnswerHead, Attempt, CompileCx, Flow, Identity, IdentityKey, IdentityParts, Kinship, Nothing,
    Plugin, RequestCx, Traits, Unsupported,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Span, Stage, StageSet};
use serde_json::Value;

use super::binding;
use super::introspection::{self, Terms};
use super::jwt_auth::{self, ProviderTokens};
use super::token::{Asked, ConsumerClaim, Demands, Senders, Shown, TokenField, challenge, texts};
use crate::jose::{ClaimPath, ClaimRules, RequiredClaim, TypeRule};
use config::AudienceValidator;
pub use config::Config;
use headers::Forwarded;

/// Compiled `openid-connect`.
pub struct OpenidConnect {
    field: TokenField,
    judge: Judge,
    senders: Senders,
    is_grant: bool,
    /// Whether the upstream does not see the field.
    hides: bool,
    forwarded: Forwarded,
}

/// What decides on a token.
enum Judge {
    /// The provider's keys.
    Keys(jwt_auth::Judge),
    /// The provider itself.
    Provider(introspection::Judge),
}

const LOGIN: Unsupported =
    Unsupported::NotYet("it belongs to the login of browsers, which is not there; leave it out");
const SIGNED: Unsupported = Unsupported::Refused(
    "the algorithm is the key's and never the token's choice, and unsigned tokens do not exist; \
     leave it out",
);
const PROXY: Unsupported = Unsupported::NotYet("the provider is reached directly");

impl Plugin for OpenidConnect {
    const NAME: &'static str = "openid-connect";
    const PRIORITY: i32 = 2599;
    const KINSHIP: Kinship = Kinship::Different(
        "bearer tokens only, there is no login; an audience is required, certificates are \
         verified always, and the token is not forwarded by default",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate]);
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[
        ("accept_none_alg", SIGNED),
        ("accept_unsupported_alg", SIGNED),
        ("token_signing_alg_values_expected", SIGNED),
        ("public_key", Unsupported::NotYet("write `use_jwks: true`, or `jwt-auth` with `jwks`")),
        ("claim_schema", Unsupported::NotYet("write `required_claims`")),
        ("introspection_addon_headers", Unsupported::NotYet("nothing of the client goes there")),
        ("introspection_expiry_claim", Unsupported::NotYet("the claim is `exp` (RFC 7662)")),
        (
            "cache_segment",
            Unsupported::Refused(
                "answers are kept apart by provider and client without it; leave it out",
            ),
        ),
        ("proxy_opts", PROXY),
        ("dpop", LOGIN),
        ("par", LOGIN),
        ("session", LOGIN),
        ("unauth_action", LOGIN),
        ("redirect_uri", LOGIN),
        ("scope", LOGIN),
        ("authorization_params", LOGIN),
        ("token_endpoint_auth_method", LOGIN),
        ("access_token_expires_in", LOGIN),
        ("access_token_expires_leeway", LOGIN),
        ("force_reauthorize", LOGIN),
        ("logout_path", LOGIN),
        ("post_logout_redirect_uri", LOGIN),
        ("refresh_session_interval", LOGIN),
        ("renew_access_token_on_expiry", LOGIN),
        ("revoke_tokens_on_logout", LOGIN),
        ("set_id_token_header", LOGIN),
        ("set_raw_id_token_header", LOGIN),
        ("set_refresh_token_header", LOGIN),
        ("use_nonce", LOGIN),
        ("use_pkce", LOGIN),
    ];

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = Shown;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let is_apisix = cx.compatibility().is_apisix();
        check(&config, is_apisix)?;
        let rules = rules(&config, is_apisix)?;
        let metadata = config.resource_metadata.as_deref();
        let asked = Asked {
            binding: config.require_binding,
            dpop: ("dpop_proofs", config.dpop_proofs.as_ref()),
            challenge: challenge(config.realm.as_ref(), "apisix", metadata)?,
            scopes: &rules.required_scopes,
            is_bare: false,
        };
        Ok(Self {
            field: TokenField::compile("header", "authorization")?,
            // That a token is meant for us is no grant, whichever claim says so.
            is_grant: config.required_scopes.is_some() || config.required_claims.is_some(),
            senders: Senders::compile(asked, cx)?,
            judge: judge(&config, rules, cx)?,
            hides: !is_apisix,
            forwarded: Forwarded::compile(&config, is_apisix)?,
        })
    }

    fn traits(&self) -> Traits {
        let mut traits = Traits::in_stages(&[Stage::Authenticate]);
        traits.proves.authentication = true;
        traits.proves.grant = self.is_grant;
        traits.on_response = self.senders.gives_nonces();
        traits
    }

    async fn authenticate(
        &self,
        cx: &mut RequestCx,
        key: &IdentityKey,
        shown: &mut Shown,
    ) -> Result<Flow, Denial> {
        let refuse = |denial| self.senders.refusal(denial, cx.clock.now());
        let token = self.senders.token(&self.field, cx)?;
        let judging = cx.judge(match &self.judge {
            Judge::Keys(_) => Attempt::signed(Self::NAME, None),
            Judge::Provider(_) => Attempt::token(Self::NAME, token.text.as_bytes()),
        })?;
        let proof = self.judge.proof(&token.text, cx).await.map_err(refuse);
        let parts = judging.settle(proof)?;
        // Before the sender is judged, which uses up its proof.
        let added = self.forwarded.fields(&token.text, &parts).map_err(refuse)?;
        shown.renews = self.senders.admit(cx, &token, &parts)?;
        if self.hides {
            cx.fields.remove(binding::FIELD);
            cx.fields.remove(self.field.name());
        }
        for (name, value) in added.into_iter().flatten() {
            cx.fields.set(name, value);
        }
        cx.identify(Identity::new(key, Self::NAME, parts))?;
        Ok(Flow::Continue)
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        shown: &mut Shown,
    ) -> Result<(), Denial> {
        self.senders.answer(cx, answer, shown);
        Ok(())
    }
}

impl Judge {
    async fn proof(&self, token: &str, cx: &RequestCx) -> Result<IdentityParts, Denial> {
        match self {
            Self::Keys(judge) => judge.proof(token, cx).await,
            Self::Provider(judge) => judge.proof(token, cx).await,
        }
    }
}

/// Refuses what is not there yet, and what would have no effect.
fn check(config: &Config, is_apisix: bool) -> Result<(), Invalid> {
    if !config.bearer_only {
        return Err(Invalid::at("bearer_only", "there is no login yet, only tokens are verified")
            .with_help("write `bearer_only: true`"));
    }
    if config.ssl_verify == Some(false) {
        return Err(Invalid::at("ssl_verify", "the provider's certificate is verified always")
            .with_help("name its authority in `ca_certs`"));
    }
    if let Some(key) = config.unused() {
        let problem = if config.use_jwks {
            "with `use_jwks` nobody is asked about tokens"
        } else {
            "without `use_jwks` the provider is asked, and no keys are fetched"
        };
        return Err(Invalid::at(key, problem));
    }
    if config.use_jwks && config.client_secret.is_some() && !is_apisix {
        return Err(Invalid::at("client_secret", "with `use_jwks` nobody is asked about tokens")
            .with_help("remove it: a secret that is not there cannot leak"));
    }
    Ok(())
}

fn judge(config: &Config, rules: ClaimRules, cx: &CompileCx<'_>) -> Result<Judge, Invalid> {
    let consumer_claim = ConsumerClaim::compile(config.consumer_claim.as_ref())?;
    if config.use_jwks {
        let settings = config.provider()?;
        let rules = ClaimRules {
            token_type: TypeRule::Jwt,
            require_exp: true,
            issuers: settings.names(),
            ..rules
        };
        let tokens = ProviderTokens { settings, rules, consumer_claim };
        let remembers = !config.jwt_verification_cache_ignore;
        return jwt_auth::Judge::of_provider(tokens, remembers, cx).map(Judge::Keys);
    }
    let terms = Terms { rules, clients: Vec::new(), consumer_claim };
    introspection::Judge::compile(&config.introspection()?, terms, cx).map(Judge::Provider)
}

/// What is asked of claims.
fn rules(config: &Config, is_apisix: bool) -> Result<ClaimRules, Invalid> {
    let demands = Demands {
        required_scopes: config.required_scopes.as_ref(),
        required_claims: config.required_claims.as_ref(),
        leeway: Some(Span(config.leeway(is_apisix))),
        ..Demands::default()
    };
    let mut rules = demands.rules()?;
    let own = AudienceValidator::default();
    let validator = config.claim_validator.as_ref().and_then(|all| all.audience.as_ref());
    let audience = validator.unwrap_or(&own);
    let at = |key: &str, problem: &str| {
        let fault = Invalid::at(key, problem).under(PathStep::Key("audience".to_owned()));
        fault.under(PathStep::Key("claim_validator".to_owned()))
    };
    let listed = texts("audiences", config.audiences.as_ref(), |_| true)?;
    let audiences = match (listed.is_empty(), audience.match_with_client_id) {
        (false, true) => return Err(at("match_with_client_id", "there are also `audiences`")),
        (false, false) => listed,
        (true, true) => vec![config.client_id.clone()],
        (true, false) => Vec::new(),
    };
    if audience.required == Some(false) {
        return Err(at("required", "an audience that is asked for must be there"));
    }
    match (audiences.is_empty(), config.danger_any_audience) {
        (true, true) if audience.claim.is_some() => {
            return Err(at("claim", "no audience is asked for"));
        }
        (true, true) => return Ok(rules),
        (true, false) => {
            return Err(Invalid::new("nobody says for whom tokens must be").with_help(
                "write `audiences`, or `claim_validator: {audience: {match_with_client_id: true}}`",
            ));
        }
        (false, true) => {
            return Err(Invalid::at("danger_any_audience", "an audience is asked for"));
        }
        (false, false) => {}
    }
    match audience.claim.as_deref() {
        None | Some("aud") => rules.audiences = audiences,
        Some(claim) => {
            let path = ClaimPath::parse(claim).map_err(|error| at("claim", &error.to_string()))?;
            let values = Value::from(audiences);
            let required = RequiredClaim::new(path, values);
            rules.required_claims.push(required.map_err(|error| at("claim", &error.to_string()))?);
        }
    }
    Ok(rules)
}
