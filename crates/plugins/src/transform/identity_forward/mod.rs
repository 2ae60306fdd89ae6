//! Tells the upstream who calls: in headers, or in a short-lived token that the gateway signs.
//!
//! ```yaml
//! identity-forward:
//!   headers: {X-User: subject, X-Tenant: claim.tenant, X-Plan: label.plan}
//!   jwt: {issuer: "https://gateway.example.com", audience: orders}
//! ```
//!
//! | source | what the upstream learns |
//! |---|---|
//! | `consumer`, `group` | the consumer's name, its group's id |
//! | `credential` | the id of the credential, where it is not the consumer's own |
//! | `subject` | the subject of a token or certificate |
//! | `method` | the plugin that proved the identity |
//! | `claim.NAME` | a claim of a token or certificate; the name may lead into objects |
//! | `label.NAME` | a label of the consumer |
//!
//! What is not known of a caller is left out, and of one who is anonymous nothing is told. In
//! headers, texts stand as they are, everything else as JSON.
//!
//! **Whatever a client sends under these names never arrives**, in whatever case, with `_` for `-`
//! (many servers cannot tell these apart), or as a trailer: no trailer of a request passes on such
//! a route. With `_meta.filter` that holds whether the plugin runs or not; where it stands on a
//! consumer or group, it holds for everybody's requests on every route.
//!
//! # The token
//!
//! With `jwt`, the header `X-Bartizan-Identity` (or `jwt.header`) holds a signed token (RFC 7519)
//! with `iss`, `aud`, `iat`, `exp`, `jti` (the request's id), `sub` (the consumer's name, else the
//! subject), `auth_method`, and what `jwt.claims` names. It lives for a minute, or `jwt.lifetime`,
//! and never longer than the credential that it stands for. The upstream has to verify signature,
//! `aud` and `exp`; it then believes no other way to it.
//!
//! Keys are made when a configuration with new metadata is loaded, live in memory, and are replaced
//! every day (see the metadata). A configuration that is checked only, or refused, leaves what signs
//! as it is and publishes nothing: keys are published from the first signature of the first of them
//! on. That one signs at once; each that follows is published for a whole such time before it does;
//! each that has signed is until its last token has ended. The public halves are at
//! `/v1/identity_keys` (RFC 7517), on the status listener and on routes with `public-api`. Each node
//! has its own; where upstreams can ask one node only, or keys must outlive a restart, give them as
//! `private_keys` of the metadata: the first signs, all are published with it, so that the next one
//! is put last first. Until the first token the list is empty: upstreams have to ask again when they
//! meet a key that they do not know.
//!
//! # Headers
//!
//! The upstream gets what `headers` and `jwt` name, and never from a client. It runs before
//! `proxy-rewrite`.
//!
//! # What it costs
//!
//! A look-up for each header; with `jwt` a signature for each request.
//!
//! # What it cannot do
//!
//! It proves nothing about the request itself: whoever holds a token can send it with another one
//! until it ends. A value that no header can hold is an error (500).

mod keyring;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{CompileCx, Flow, Identity, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::{Invalid, PathStep, ResourceKind, ResourceRef};
use bartizan_core::{Denial, Reason, Secret, Span, Stage, StageSet};
use bartizan_wire::{Fields, is_field_value};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::field_change::{is_same_field, owned_name};
use crate::jose::{Algorithm, SigningKey};
use keyring::{Held, Keyring, Published, Settings};
use source::Source;

/// Where the public keys are.
pub(crate) const PATH: &str = "/v1/identity_keys";
/// The longest that a token may live.
const LIFETIME_MAX: Duration = Duration::from_secs(600);
const LIFETIME: Duration = Duration::from_secs(60);
/// How long a key signs, unless the metadata says another.
const ROTATE: Duration = Duration::from_secs(24 * 3_600);
const ROTATE_MIN: Duration = Duration::from_secs(600);
const ROTATE_MAX: Duration = Duration::from_secs(90 * 86_400);
/// Longest value of a header.
const VALUE_MAX: usize = 8 * 1024;
/// Claims that are the gateway's to say.
const OWN_CLAIMS: [&str; 9] =
    ["iss", "aud", "sub", "iat", "nbf", "exp", "jti", "cnf", "auth_method"];

/// The configuration of `identity-forward`: `headers`, `jwt`, or both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Names of headers, each with what it tells: `subject`, `claim.email` and so on.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 32))]
    headers: Option<BTreeMap<String, String>>,
    /// A token that the gateway signs.
    jwt: Option<TokenConfig>,
}

/// The token for the upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct TokenConfig {
    /// The header that carries it; `X-Bartizan-Identity` if left out.
    #[schemars(length(min = 1, max = 256))]
    header: Option<String>,
    /// Who says so: `iss`.
    #[schemars(length(min = 1, max = 512))]
    issuer: String,
    /// For whom it is: `aud`.
    #[schemars(length(min = 1, max = 512))]
    audience: String,
    /// How long it lives, `5s` to `10m`; `60s` if left out.
    lifetime: Option<Span>,
    /// More claims, each with what it tells.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 32))]
    claims: Option<BTreeMap<String, String>>,
}

/// The keys of the node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// How tokens are signed, `ES256` or `EdDSA`; `ES256` if left out.
    algorithm: Option<SigningAlgorithm>,
    /// How long a key signs, `10m` to `90d` (`2160h`); `24h` if left out.
    rotate: Option<Span>,
    /// Private keys in PEM, in place of those that are made here: the first signs, all are
    /// published once it has.
    #[schemars(length(min = 1, max = 8))]
    private_keys: Option<Vec<Secret>>,
}

/// A way to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// A token as it is made.
struct Minted {
    header: Bytes,
    issuer: Box<str>,
    audience: Box<str>,
    lifetime: Duration,
    claims: Box<[(Box<str>, Source)]>,
    ring: Arc<Keyring>,
}

/// Compiled `identity-forward`.
pub struct IdentityForward {
    headers: Box<[(Bytes, Source)]>,
    minted: Option<Box<Minted>>,
}

impl Plugin for IdentityForward {
    const NAME: &'static str = "identity-forward";
    const PRIORITY: i32 = 2398;
    const KINSHIP: Kinship = Kinship::Ours;
    const STAGES: StageSet = StageSet::of(&[Stage::Transform]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Metadata;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        if config.headers.as_ref().is_none_or(BTreeMap::is_empty) && config.jwt.is_none() {
            return Err(Invalid::new("tells the upstream nothing")
                .with_help("name `headers`, or ask for a `jwt`"));
        }
        let mut headers: Vec<(Bytes, Source)> = Vec::new();
        for (name, text) in config.headers.into_iter().flatten() {
            let fault = |problem: String| {
                Invalid::at(&name, problem).under(PathStep::Key("headers".to_owned()))
            };
            let header = owned_name(&name).map_err(fault)?;
            if headers.iter().any(|(other, _)| is_same_field(other, &header)) {
                return Err(fault(format!("`{name}` is the same header as another one")));
            }
            headers.push((header, source(&text).map_err(fault)?));
        }
        let minted = config.jwt.map(|jwt| Minted::compile(jwt, cx)).transpose()?;
        if let Some(Minted { header, .. }) = &minted
            && headers.iter().any(|(other, _)| is_same_field(other, header))
        {
            let problem = "the header of the token is one of `headers`";
            return Err(Invalid::at("header", problem).under(PathStep::Key("jwt".to_owned())));
        }
        Ok(Self { headers: headers.into(), minted: minted.map(Box::new) })
    }

    fn traits(&self) -> Traits {
        Traits::in_stages(&[Stage::Transform])
    }

    fn owned_fields(&self) -> Vec<&[u8]> {
        let minted = self.minted.as_ref().map(|minted| &minted.header);
        self.headers.iter().map(|(name, _)| name).chain(minted).map(|name| &**name).collect()
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        self.clear(&mut cx.fields);
        cx.drop_trailers();
        let Some(identity) = cx.identity().filter(|identity| !identity.is_anonymous()) else {
            return Ok(Flow::Continue);
        };
        let mut told = self.told(identity)?;
        if let Some(minted) = &self.minted {
            let token = minted.token(identity, cx)?;
            told.push((minted.header.clone(), token.into()));
        }
        for (name, value) in told {
            cx.fields.set(name, value);
        }
        Ok(Flow::Continue)
    }
}

impl IdentityForward {
    /// Takes out what the client sent under our names.
    fn clear(&self, fields: &mut Fields) {
        let minted = self.minted.as_ref().map(|minted| &minted.header);
        fields.retain(|field| {
            let mut own = self.headers.iter().map(|(name, _)| name).chain(minted);
            !own.any(|name| is_same_field(name, field.name))
        });
    }

    fn told(&self, identity: &Identity) -> Result<Vec<(Bytes, Bytes)>, Denial> {
        let mut told = Vec::with_capacity(self.headers.len().saturating_add(1));
        for (name, source) in &self.headers {
            let Some(text) = source.text(identity) else { continue };
            if text.len() > VALUE_MAX || !is_field_value(text.as_bytes()) {
                let name = String::from_utf8_lossy(name);
                let detail = format!("what `{name}` should tell fits into no header");
                return Err(Denial::new(Reason::Internal, detail));
            }
            told.push((name.clone(), text.into()));
        }
        Ok(told)
    }
}

impl Minted {
    fn compile(config: TokenConfig, cx: &CompileCx<'_>) -> Result<Self, Invalid> {
        let under = |fault: Invalid| fault.under(PathStep::Key("jwt".to_owned()));
        let lifetime = config.lifetime.map_or(LIFETIME, |span| span.0);
        if lifetime < Duration::from_secs(5) || lifetime > LIFETIME_MAX {
            return Err(under(Invalid::at("lifetime", "must be from 5s to 10m")));
        }
        let name = config.header.as_deref().unwrap_or("x-bartizan-identity");
        let header = owned_name(name).map_err(|problem| under(Invalid::at("header", problem)))?;
        let mut claims = Vec::new();
        for (name, text) in config.claims.into_iter().flatten() {
            let fault = |problem: String| {
                under(Invalid::at(&name, problem).under(PathStep::Key("claims".to_owned())))
            };
            if OWN_CLAIMS.contains(&name.as_str()) {
                return Err(fault(format!("`{name}` is what the gateway itself says")));
            }
            claims.push((name.as_str().into(), source(&text).map_err(fault)?));
        }
        Ok(Self {
            header,
            issuer: config.issuer.into(),
            audience: config.audience.into(),
            lifetime,
            claims: claims.into(),
            ring: ring(cx)?,
        })
    }

    /// A token for what the request's identity is.
    fn token(&self, identity: &Identity, cx: &RequestCx) -> Result<String, Denial> {
        let now = cx.clock.now();
        let end = now.plus(self.lifetime);
        let end = identity.expires().map_or(end, |expires| expires.min(end));
        let consumer = identity.consumer().map(|consumer| consumer.username());
        let mut claims = json!({
            "iss": &*self.issuer,
            "aud": &*self.audience,
            "sub": consumer.or(identity.subject()),
            "iat": now.as_secs(),
            "exp": end.as_secs(),
            "jti": cx.id.to_string(),
            "auth_method": identity.method(),
        });
        if let Some(members) = claims.as_object_mut() {
            members.retain(|_, value| !value.is_null());
            for (name, source) in &self.claims {
                if let Some(value) = source.value(identity) {
                    members.insert(name.to_string(), value.into_owned());
                }
            }
        }
        let failed = |why: String| Denial::new(Reason::Internal, format!("no token: {why}"));
        let held = self.ring.current().map_err(|fault| failed(fault.to_string()))?;
        let header: Map<String, Value> =
            [("kid".to_owned(), Value::from(&*held.kid))].into_iter().collect();
        let token = held.key.sign(&header, &claims).map_err(|fault| failed(fault.to_string()))?;
        if token.len() > VALUE_MAX {
            return Err(failed("it fits into no header".to_owned()));
        }
        Ok(token)
    }
}

fn source(text: &str) -> Result<Source, String> {
    let known = "`consumer`, `group`, `credential`, `subject`, `method`, `claim.…` or `label.…`";
    Source::parse(text).ok_or_else(|| format!("`{text}` is none of {known}"))
}

/// The keys by what the metadata says, the same for all routes, and the page that publishes them.
fn ring(cx: &CompileCx<'_>) -> Result<Arc<Keyring>, Invalid> {
    let metadata: Metadata = cx.metadata()?.unwrap_or_default();
    let settings = settings(&metadata)?;
    let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(cx.plugin) };
    let (registry, clock) = (&cx.node.registry, &cx.node.clock);
    let page =
        registry.state(&node, cx.plugin, "page".to_owned(), || Published::new(clock.clone()));
    cx.node.pages.add(PATH, &page);
    let key = format!("keys {}", settings.name());
    let ring =
        registry.state(&node, cx.plugin, key, || Keyring::new(settings, clock.clone(), page));
    ring.open().map_err(|fault| Invalid::new(format!("metadata of `{}`: {fault}", cx.plugin)))?;
    Ok(ring)
}

fn settings(metadata: &Metadata) -> Result<Settings, Invalid> {
    let of_metadata = |problem: String| {
        Invalid::new(format!("metadata of `{}`: {problem}", IdentityForward::NAME))
    };
    let algorithm = match metadata.algorithm {
        None | Some(SigningAlgorithm::Es256) => Algorithm::Es256,
        Some(SigningAlgorithm::EdDsa) => Algorithm::EdDsa,
    };
    let Some(keys) = &metadata.private_keys else {
        let rotate = metadata.rotate.map_or(ROTATE, |span| span.0);
        if !(ROTATE_MIN..=ROTATE_MAX).contains(&rotate) {
            return Err(of_metadata("`rotate` must be from 10m to 2160h".to_owned()));
        }
        return Ok(Settings::Own { algorithm, rotate });
    };
    if metadata.rotate.is_some() {
        let problem = "`rotate` is for keys that are made here, and there are `private_keys`";
        return Err(of_metadata(problem.to_owned()));
    }
    let keys = keys.iter().enumerate().map(|(index, pem)| {
        let key = SigningKey::from_pem(algorithm, pem).and_then(Held::new);
        key.map(Arc::new).map_err(|fault| of_metadata(format!("key {}: {fault}", index + 1)))
    });
    let keys: Vec<Arc<Held>> = keys.collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Err(of_metadata("`private_keys` is empty".to_owned()));
    }
    Ok(Settings::Given(keys.into()))
}
