//! Keys of consumers, and key sets of issuers, out of configuration.

use std::time::Duration;

use bartizan_chain::{CompileCx, CredentialEntry};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::Secret;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::config::{ConsumerConfig, Jwks};
use crate::authenticate::strength;
use crate::jose::{
    AlgorithmSet, KEY_SET_MAX, KeyFault, KeyKind, KeySet, SecretStrength, VerificationKey,
};
use crate::small_file::read_file;

/// The key of a consumer, as the credential index holds it.
#[derive(Debug)]
pub(super) struct ConsumerKey {
    pub(super) key: VerificationKey,
    pub(super) leeway: Duration,
}

/// The entry of a consumer's configuration in the credential index, found by the key's name.
pub(super) fn entry(
    config: ConsumerConfig,
    cx: &CompileCx<'_>,
) -> Result<CredentialEntry, Invalid> {
    if config.exp.is_some() && !cx.compatibility().is_apisix() {
        return Err(Invalid::at("exp", "nothing is signed here, so `exp` means nothing")
            .with_help("remove it; who signs the tokens decides how long they live"));
    }
    if config.key.is_empty() {
        return Err(Invalid::at("key", "the key has no name"));
    }
    let leeway = Duration::from_secs(config.lifetime_grace_period.into());
    let key = match config.algorithm.kind() {
        KeyKind::Secret => shared(&config, cx)?,
        _ => public(&config)?,
    };
    Ok(CredentialEntry::new(config.key.into_bytes(), ConsumerKey { key, leeway }))
}

fn shared(config: &ConsumerConfig, cx: &CompileCx<'_>) -> Result<VerificationKey, Invalid> {
    if config.public_key.is_some() {
        return Err(unused("public_key", config));
    }
    let Some(secret) = &config.secret else {
        return Err(Invalid::new("property \"secret\" is required when using HS based algorithms"));
    };
    let secret = if config.base64_secret { decoded(secret)? } else { secret.clone() };
    let strength =
        if config.danger_weak_secret { SecretStrength::DangerShort } else { SecretStrength::Full };
    let key = VerificationKey::from_secret(config.algorithm, &secret, strength).map_err(|fault| {
        let invalid = Invalid::at("secret", fault.to_string());
        match fault {
            KeyFault::SecretTooShort { .. } => invalid.with_help(
                "use a longer secret (`openssl rand -base64 48`), or say `danger_weak_secret: true`",
            ),
            _ => invalid,
        }
    })?;
    let mut names = strength::names(cx);
    names.push(&config.key);
    strength::KEY.check(&secret, "secret", &names, config.danger_weak_secret)?;
    Ok(key)
}

fn public(config: &ConsumerConfig) -> Result<VerificationKey, Invalid> {
    let unwanted = [
        ("secret", config.secret.is_some()),
        ("base64_secret", config.base64_secret),
        ("danger_weak_secret", config.danger_weak_secret),
    ];
    if let Some((key, _)) = unwanted.into_iter().find(|(_, is_there)| *is_there) {
        return Err(unused(key, config));
    }
    let Some(pem) = &config.public_key else {
        return Err(Invalid::new("missing valid public key")
            .with_help(format!("`{}` needs a `public_key` in PEM", config.algorithm)));
    };
    VerificationKey::from_pem(config.algorithm, pem)
        .map_err(|fault| Invalid::at("public_key", fault.to_string()))
}

fn unused(key: &str, config: &ConsumerConfig) -> Invalid {
    Invalid::at(key, format!("`{}` has no use for `{key}`", config.algorithm))
        .with_help("remove it, or choose the `algorithm` that it belongs to")
}

/// Standard base64, padded or not, as other gateways accept it.
fn decoded(secret: &Secret) -> Result<Secret, Invalid> {
    let padding = DecodePaddingMode::Indifferent;
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(padding);
    GeneralPurpose::new(&STANDARD, config)
        .decode(secret.expose())
        .map(Secret::new)
        .map_err(|_| Invalid::at("secret", "the secret is not base64"))
}

/// Reads the key set of an issuer. A shared secret in it is never used.
pub(super) fn key_set(jwks: &Jwks, cx: &CompileCx<'_>) -> Result<KeySet, Invalid> {
    let under = |fault: Invalid| fault.under(PathStep::Key("jwks".to_owned()));
    let (key, text) = match (&jwks.file, &jwks.inline) {
        (Some(path), None) => ("file", read_capped(path, cx).map_err(under)?),
        (None, Some(set)) => {
            let text = serde_json::to_vec(set);
            ("inline", text.map_err(|error| under(Invalid::at("inline", error.to_string())))?)
        }
        _ => return Err(Invalid::at("jwks", "needs one of `file` and `inline`")),
    };
    KeySet::parse(&text, AlgorithmSet::asymmetric())
        .map_err(|fault| under(Invalid::at(key, fault.to_string())))
}

fn read_capped(path: &str, cx: &CompileCx<'_>) -> Result<Vec<u8>, Invalid> {
    read_file(path, KEY_SET_MAX, cx).map_err(|why| Invalid::at("file", format!("`{path}` {why}")))
}
