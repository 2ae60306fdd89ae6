//! JSON Web Keys and sets of them (RFC 7517, RFC 7518 §6, RFC 8037 §2).
//!
//! A set is read as a whole. What in it is not a key of use here (unknown types, keys for
//! encryption, weak keys) is skipped with its cause (RFC 7517 §5); what makes the set ambiguous is
//! an error: members that occur twice, and two keys of one name for one algorithm.

use std::sync::Arc;

use aws_lc_rs::digest;
use bartizan_core::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json::{JsonFault, JsonLimits, parse_object};
use super::key::check_secret;
use super::material::Material;
use super::{
    Algorithm, AlgorithmSet, Header, KEY_SET_MAX, KEYS_MAX, KID_MAX, KeyFault, KeyKind,
    SecretStrength, TokenFault, VerificationKey,
};

const LIMITS: JsonLimits = JsonLimits { depth: 8, items: 10_000 };

/// Why a text is not a key set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetFault {
    /// It is longer than [`KEY_SET_MAX`].
    #[error("the key set is longer than {KEY_SET_MAX} bytes")]
    TooLong,
    /// It is not strict JSON.
    #[error("the key set is {0}")]
    Json(JsonFault),
    /// It has no list `keys`.
    #[error("the key set has no list `keys`")]
    NoKeys,
    /// It has more than [`KEYS_MAX`] keys.
    #[error("the key set has more than {KEYS_MAX} keys")]
    TooMany,
    /// Two keys would fit one token.
    #[error("two keys are called `{0}`")]
    Duplicate(String),
    /// Nothing in it can verify a token.
    #[error("the key set has no usable key{}", first_cause(.0))]
    NoneUsable(Vec<SkippedKey>),
}

fn first_cause(skipped: &[SkippedKey]) -> String {
    skipped.first().map(|key| format!(": key {}: {}", key.position, key.cause)).unwrap_or_default()
}

/// A member of a key set that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Where it stands in `keys`, from zero.
    pub position: usize,
    /// Its name, if it has a usable one.
    pub kid: Option<String>,
    /// Why it is not used.
    pub cause: KeyFault,
}

/// Keys to choose from by a token's header.
#[derive(Debug)]
pub struct KeySet {
    keys: Box<[Arc<VerificationKey>]>,
    skipped: Box<[SkippedKey]>,
}

impl KeySet {
    /// Reads a JWK set. A key that names no `alg` is bound to those of `allowed` that fit it; one
    /// that does is bound to that one, if allowed.
    pub fn parse(json: &[u8], allowed: AlgorithmSet) -> Result<Self, KeySetFault> {
        if json.len() > KEY_SET_MAX {
            return Err(KeySetFault::TooLong);
        }
        let set = parse_object(json, LIMITS).map_err(KeySetFault::Json)?.object;
        let Some(Value::Array(members)) = set.get("keys") else {
            return Err(KeySetFault::NoKeys);
        };
        if members.len() > KEYS_MAX {
            return Err(KeySetFault::TooMany);
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (position, member) in members.iter().enumerate() {
            match parse_key(member, allowed) {
                Ok(key) => keys.push(Arc::new(key)),
                Err(cause) => {
                    let kid = member.get("kid").and_then(Value::as_str);
                    let kid = kid.filter(|kid| kid.len() <= KID_MAX).map(str::to_owned);
                    skipped.push(SkippedKey { position, kid, cause });
                }
            }
        }
        if keys.is_empty() {
            return Err(KeySetFault::NoneUsable(skipped));
        }
        for (at, key) in keys.iter().enumerate() {
            let twin = |other: &&Arc<VerificationKey>| {
                key.kid().is_some()
                    && key.kid() == other.kid()
                    && !key.algorithms().and(other.algorithms()).is_empty()
            };
            if keys.iter().skip(at.saturating_add(1)).any(|other| twin(&other)) {
                return Err(KeySetFault::Duplicate(key.kid().unwrap_or_default().to_owned()));
            }
        }
        Ok(Self { keys: keys.into(), skipped: skipped.into() })
    }

    /// The one key that a token with this header can have been signed with: of its `kid` and
    /// algorithm; or, where the token or the key has no name, the only one of its algorithm.
    ///
    /// Keys are never tried one after the other, which would let a client choose how much
    /// cryptography its request costs.
    pub fn choose(&self, header: &Header) -> Result<&Arc<VerificationKey>, TokenFault> {
        let fitting = || self.keys.iter().filter(|key| key.permits(header.algorithm()));
        match header.kid() {
            Some(kid) => match only(fitting().filter(|key| key.kid() == Some(kid))) {
                Err(TokenFault::NoKey) => only(fitting().filter(|key| key.kid().is_none())),
                found => found,
            },
            None => only(fitting()),
        }
    }

    /// The keys that can be chosen.
    pub fn keys(&self) -> &[Arc<VerificationKey>] {
        &self.keys
    }

    /// What the set has besides, and why it is not used.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }
}

fn only<'k>(
    mut keys: impl Iterator<Item = &'k Arc<VerificationKey>>,
) -> Result<&'k Arc<VerificationKey>, TokenFault> {
    let key = keys.next().ok_or(TokenFault::NoKey)?;
    if keys.next().is_some() { Err(TokenFault::AmbiguousKey) } else { Ok(key) }
}

pub(super) fn parse_key(
    member: &Value,
    allowed: AlgorithmSet,
) -> Result<VerificationKey, KeyFault> {
    let jwk = member.as_object().ok_or(KeyFault::Member("kty"))?;
    let kty = text_of(jwk, "kty")?.ok_or(KeyFault::Member("kty"))?;
    let kid = text_of(jwk, "kid")?;
    if kid.is_some_and(|kid| kid.is_empty() || kid.len() > KID_MAX) {
        return Err(KeyFault::Member("kid"));
    }
    check_purpose(jwk)?;
    let allowed = match text_of(jwk, "alg")? {
        None => allowed,
        Some(name) => {
            let named: Algorithm = name.parse().map_err(|_| KeyFault::Algorithm)?;
            allowed.and(named.into())
        }
    };
    let material = match kty {
        "RSA" | "EC" | "OKP" if jwk.contains_key("d") => return Err(KeyFault::PrivateKey),
        "RSA" => Material::rsa_components(&bytes_of(jwk, "n")?, &bytes_of(jwk, "e")?)?,
        "EC" => ec_point(jwk)?,
        "OKP" => match text_of(jwk, "crv")? {
            Some("Ed25519") => Material::ed25519(&bytes_of(jwk, "x")?)?,
            curve => return Err(unsupported_curve(curve)),
        },
        "oct" => Material::Secret(Secret::new(bytes_of(jwk, "k")?)),
        other => return Err(KeyFault::Unsupported(shown(other))),
    };
    let fitting = material.kind().algorithms().and(allowed);
    if fitting.is_empty() && jwk.contains_key("alg") {
        return Err(KeyFault::Algorithm);
    }
    if let Material::Secret(secret) = &material {
        for algorithm in fitting.iter() {
            check_secret(algorithm, secret, SecretStrength::Full)?;
        }
    }
    VerificationKey::bind(kid, &material, fitting)
}

/// `use` and `key_ops`, where present, must include verifying (RFC 7517 §4.2, §4.3).
fn check_purpose(jwk: &Map<String, Value>) -> Result<(), KeyFault> {
    match text_of(jwk, "use")? {
        None | Some("sig") => {}
        Some(_) => return Err(KeyFault::NotForVerifying("use")),
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(ops)) if ops.iter().any(|op| op == "verify") => Ok(()),
        Some(Value::Array(_)) => Err(KeyFault::NotForVerifying("key_ops")),
        Some(_) => Err(KeyFault::Member("key_ops")),
    }
}

/// Coordinates have the full length of the field (RFC 7518 §6.2.1.2).
fn ec_point(jwk: &Map<String, Value>) -> Result<Material, KeyFault> {
    let (kind, len) = match text_of(jwk, "crv")? {
        Some("P-256") => (KeyKind::P256, 32),
        Some("P-384") => (KeyKind::P384, 48),
        Some("P-521") => (KeyKind::P521, 66),
        curve => return Err(unsupported_curve(curve)),
    };
    let mut point = vec![4];
    for name in ["x", "y"] {
        let coordinate = bytes_of(jwk, name)?;
        if coordinate.len() != len {
            return Err(KeyFault::Member(name));
        }
        point.extend_from_slice(&coordinate);
    }
    Ok(Material::Ec(kind, point))
}

fn unsupported_curve(curve: Option<&str>) -> KeyFault {
    curve.map_or(KeyFault::Member("crv"), |curve| KeyFault::Unsupported(shown(curve)))
}

/// Text of a key set in a message: short, and without line breaks.
fn shown(text: &str) -> String {
    text.chars().take(32).flat_map(char::escape_debug).collect()
}

/// The thumbprint of a public key (RFC 7638 §3): the base64url of the SHA-256 of the members that
/// make it up. For a key that [`parse_key`] has read, whose members hold nothing to be escaped.
pub(super) fn thumbprint(jwk: &Map<String, Value>) -> Option<String> {
    let names: &[&'static str] = match text_of(jwk, "kty").ok()?? {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    let mut context = digest::Context::new(&digest::SHA256);
    for (index, name) in names.iter().enumerate() {
        let value = text_of(jwk, name).ok()??;
        for part in [if index == 0 { "{\"" } else { ",\"" }, name, "\":\"", value, "\""] {
            context.update(part.as_bytes());
        }
    }
    context.update(b"}");
    Some(URL_SAFE_NO_PAD.encode(context.finish()))
}

fn text_of<'j>(
    jwk: &'j Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'j str>, KeyFault> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyFault::Member(name)),
    }
}

fn bytes_of(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyFault> {
    let text = text_of(jwk, name)?.filter(|text| !text.is_empty());
    let text = text.ok_or(KeyFault::Member(name))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyFault::Member(name))
}
