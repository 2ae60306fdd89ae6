//! Whose keys verify the tokens, and which of them a token needs.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{CompileCx, ConsumerIndex, CredentialRef, Plugin as _};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{NodeKey, Span};

use super::super::provider::{Absence, Provider, ProviderSettings, Source, well_known};
use super::super::token::{ConsumerClaim, texts, within};
use super::JwtAuth;
use super::config::{self, Config};
use super::credential::{self, ConsumerKey};
use super::fault::Fault;
use crate::jose::{ClaimFault, ClaimRules, Claims, Header, KeySet, TokenFault, VerificationKey};
use crate::waiting::Waiters;

/// Time for one call, unless configuration says another.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two fetches, unless configuration or the provider says less.
const REFRESH: Duration = Duration::from_secs(3_600);
/// The age at which keys end, unless configuration says another.
const STALE: Duration = Duration::from_secs(24 * 3_600);

/// Whose keys verify the tokens.
pub(super) enum Keys {
    /// Those of consumers, named by a claim.
    Consumers { key_claim: Box<str>, node_key: Box<NodeKey> },
    /// Those of an issuer; a claim may name the consumer.
    Issuer { set: Box<KeySet>, consumer_claim: Option<ConsumerClaim> },
    /// Those that providers publish; the token's `iss` says which provider.
    Providers(Box<[Issuer]>),
}

/// A provider, and what is asked of its tokens.
pub(super) struct Issuer {
    /// As `iss` may name it.
    names: Box<[Box<str>]>,
    pub(super) provider: Arc<Provider>,
    pub(super) rules: ClaimRules,
    pub(super) consumer_claim: Option<ConsumerClaim>,
    pub(super) waiters: Arc<Waiters>,
}

/// A key of the snapshot, or of a provider.
pub(super) enum Chosen<'k> {
    Own(&'k VerificationKey),
    Shared(Arc<VerificationKey>),
}

impl Deref for Chosen<'_> {
    type Target = VerificationKey;

    fn deref(&self) -> &VerificationKey {
        match self {
            Self::Own(key) => key,
            Self::Shared(key) => key,
        }
    }
}

/// A provider as some plugin says it, and what is asked of its tokens.
pub(in crate::authenticate) struct ProviderTokens {
    pub(in crate::authenticate) settings: ProviderSettings,
    pub(in crate::authenticate) rules: ClaimRules,
    pub(in crate::authenticate) consumer_claim: Option<ConsumerClaim>,
}

impl Issuer {
    fn of(tokens: ProviderTokens, cx: &CompileCx<'_>) -> Result<Self, Invalid> {
        let ProviderTokens { settings, rules, consumer_claim } = tokens;
        Ok(Self {
            names: settings.names().into_iter().map(Into::into).collect(),
            provider: Provider::of(&settings, cx)?,
            rules,
            consumer_claim,
            waiters: Waiters::of(cx),
        })
    }
}

impl Keys {
    /// The keys of one provider.
    pub(super) fn of_provider(tokens: ProviderTokens, cx: &CompileCx<'_>) -> Result<Self, Invalid> {
        Ok(Self::Providers(Box::new([Issuer::of(tokens, cx)?])))
    }

    /// The keys that a configuration names. `rules` are those of all providers.
    pub(super) fn compile(
        config: &Config,
        rules: &ClaimRules,
        cx: &CompileCx<'_>,
    ) -> Result<Self, Invalid> {
        let kind = match (&config.jwks, &config.providers) {
            (Some(_), Some(_)) => {
                return Err(Invalid::at("jwks", "there are also `providers`, whose keys count"));
            }
            (Some(_), None) => Some("jwks"),
            (None, Some(_)) => Some("providers"),
            (None, None) => None,
        };
        if let (Some(kind), Some(_)) = (kind, &config.key_claim_name) {
            let problem = format!("there is also `{kind}`, whose keys count");
            return Err(Invalid::at("key_claim_name", problem)
                .with_help("remove one of both; `consumer_claim` names the consumer"));
        }
        match (&config.jwks, &config.providers) {
            (_, Some(providers)) => issuers(config, providers, rules, cx).map(Self::Providers),
            (Some(jwks), None) => Self::of_issuer(config, jwks, cx),
            (None, None) => Self::of_consumers(config, cx),
        }
    }

    fn of_consumers(config: &Config, cx: &CompileCx<'_>) -> Result<Self, Invalid> {
        if config.consumer_claim.is_some() {
            return Err(Invalid::at("consumer_claim", "there is no `jwks`").with_help(
                "with consumers' keys the consumer is whose key it is; see `key_claim_name`",
            ));
        }
        let key_claim = config.key_claim_name.as_deref().unwrap_or("key").into();
        Ok(Self::Consumers { key_claim, node_key: Box::new(cx.node.key.clone()) })
    }

    fn of_issuer(
        config: &Config,
        jwks: &config::Jwks,
        cx: &CompileCx<'_>,
    ) -> Result<Self, Invalid> {
        for (key, list) in [("issuers", &config.issuers), ("audiences", &config.audiences)] {
            if list.as_ref().is_none_or(Vec::is_empty) {
                return Err(Invalid::new(format!("`jwks` needs `{key}`")).with_help(
                    "an issuer signs tokens for others too; say whose and for whom are meant",
                ));
            }
        }
        Ok(Self::Issuer {
            set: Box::new(credential::key_set(jwks, cx)?),
            consumer_claim: ConsumerClaim::compile(config.consumer_claim.as_ref())?,
        })
    }

    /// The provider of a token, which nobody else may stand in for.
    pub(super) fn issuer(&self, claims: &Claims) -> Result<Option<(usize, &Issuer)>, Fault> {
        let Self::Providers(issuers) = self else { return Ok(None) };
        named(issuers, claims).map(Some)
    }

    /// The key that a token has to be verified with.
    pub(super) fn choose<'k>(
        &'k self,
        header: &Header,
        claims: &Claims,
        consumers: &'k ConsumerIndex,
    ) -> Result<Chosen<'k>, Fault> {
        match self {
            Self::Consumers { key_claim, .. } => {
                let owner = owner(key_claim, claims, consumers)?;
                Ok(Chosen::Own(&consumer_key(owner)?.key))
            }
            Self::Issuer { set, .. } => Ok(Chosen::Own(set.choose(header)?)),
            Self::Providers(issuers) => {
                let (at, issuer) = named(issuers, claims)?;
                let chosen = issuer.provider.choose(header).map_err(|absence| match absence {
                    Absence::Token(fault) => Fault::Token(fault),
                    Absence::Lack(lack, seen) => Fault::Lack { issuer: at, lack, seen },
                });
                chosen.map(Chosen::Shared)
            }
        }
    }
}

impl Keys {
    /// The key of some consumer, to work on for a token that names a key which nobody has, so that
    /// time does not tell. Each such name has one, as if somebody had it.
    pub(super) fn decoy<'k>(
        &self,
        claims: &Claims,
        consumers: &'k ConsumerIndex,
    ) -> Option<&'k ConsumerKey> {
        let Self::Consumers { key_claim, node_key } = self else { return None };
        let name = claims.claim(key_claim)?.as_str()?;
        let digest = node_key.digest("jwt-auth decoy", name.as_bytes());
        let seed = digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        consumers.decoy(JwtAuth::NAME, seed)
    }
}

/// The provider that a token's `iss` names, and where it stands.
fn named<'k>(issuers: &'k [Issuer], claims: &Claims) -> Result<(usize, &'k Issuer), Fault> {
    let name = claims.issuer()?.ok_or(ClaimFault::Missing("iss"))?;
    let is_named = |issuer: &Issuer| issuer.names.iter().any(|own| **own == *name);
    let found = issuers.iter().enumerate().find(|(_, issuer)| is_named(issuer));
    found.ok_or_else(|| ClaimFault::Issuer.into())
}

/// The credential whose key a token names.
pub(super) fn owner<'k>(
    key_claim: &str,
    claims: &Claims,
    consumers: &'k ConsumerIndex,
) -> Result<CredentialRef<'k>, Fault> {
    let name = claims.claim(key_claim).and_then(|name| name.as_str());
    let name = name.ok_or_else(|| Fault::NoKeyName(key_claim.into()))?;
    consumers.find(JwtAuth::NAME, name.as_bytes()).ok_or(Fault::UnknownKey)
}

pub(super) fn consumer_key(owner: CredentialRef<'_>) -> Result<&ConsumerKey, Fault> {
    // The index holds what `credential` made; anything else would be a key of nobody.
    owner.data::<ConsumerKey>().ok_or(Fault::Token(TokenFault::NoKey))
}

fn issuers(
    config: &Config,
    providers: &[config::Provider],
    rules: &ClaimRules,
    cx: &CompileCx<'_>,
) -> Result<Box<[Issuer]>, Invalid> {
    const KEY: &str = "providers";
    let of_each = [
        ("issuers", config.issuers.is_some()),
        ("audiences", config.audiences.is_some()),
        ("consumer_claim", config.consumer_claim.is_some()),
    ];
    if let Some((key, _)) = of_each.into_iter().find(|(_, is_there)| *is_there) {
        return Err(Invalid::at(key, format!("with `{KEY}`, each says so for its own tokens"))
            .with_help("what one provider may say no other should be able to"));
    }
    if providers.is_empty() {
        return Err(Invalid::at(KEY, "the list is empty"));
    }
    let mut issuers: Vec<Issuer> = Vec::with_capacity(providers.len());
    for (index, provider) in providers.iter().enumerate() {
        let at = |fault: Invalid| {
            fault.under(PathStep::Index(index)).under(PathStep::Key(KEY.to_owned()))
        };
        let issuer = issuer(provider, rules, cx).map_err(at)?;
        if issuers.iter().any(|other| other.names == issuer.names) {
            return Err(at(Invalid::at("issuer", "the issuer is there twice")));
        }
        issuers.push(issuer);
    }
    Ok(issuers.into())
}

fn issuer(
    config: &config::Provider,
    rules: &ClaimRules,
    cx: &CompileCx<'_>,
) -> Result<Issuer, Invalid> {
    let settings = settings(config)?;
    let rules = ClaimRules {
        require_exp: true,
        issuers: settings.names(),
        audiences: texts("audiences", Some(&config.audiences), |_| true)?,
        ..rules.clone()
    };
    let consumer_claim = ConsumerClaim::compile(config.consumer_claim.as_ref())?;
    Issuer::of(ProviderTokens { settings, rules, consumer_claim }, cx)
}

fn settings(config: &config::Provider) -> Result<ProviderSettings, Invalid> {
    let hosts = config.jwks_hosts.clone().unwrap_or_default();
    let (key, source, address) = match (&config.jwks_uri, &config.discovery_uri) {
        (Some(_), Some(_)) => {
            return Err(Invalid::at("discovery_uri", "there is also `jwks_uri`, which counts"));
        }
        (Some(_), None) if !hosts.is_empty() => {
            return Err(Invalid::at("jwks_hosts", "there is also `jwks_uri`, which counts"));
        }
        (Some(address), None) => ("jwks_uri", Source::KeySet, address.clone()),
        (None, Some(address)) => ("discovery_uri", Source::Discovery, address.clone()),
        (None, None) => (
            "issuer",
            Source::Discovery,
            well_known(&config.issuer, "write `discovery_uri` or `jwks_uri`")?,
        ),
    };
    let span = |span: Option<Span>, usual| span.map_or(usual, |span| span.0);
    let refresh = within("refresh", span(config.refresh, REFRESH), 60, 86_400)?;
    let stale = within("stale", span(config.stale, STALE.max(refresh)), 60, 604_800)?;
    if stale < refresh {
        return Err(Invalid::at("stale", "is shorter than `refresh`")
            .with_help("keys would end before they are fetched again"));
    }
    Ok(ProviderSettings {
        issuer: config.issuer.clone(),
        aliases: Vec::new(),
        source,
        key,
        address,
        hosts,
        hosts_key: "jwks_hosts",
        ca_certs: config.ca_certs.clone(),
        danger_clear_http: config.danger_clear_http,
        timeout: within("timeout", span(config.timeout, TIMEOUT), 1, 30)?,
        refresh,
        stale,
    })
}
