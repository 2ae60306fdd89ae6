//! Keys that verify, each bound to the algorithms it is meant for.
//!
//! The header of a token does not choose how it is verified; it must name what the key is bound to
//! (RFC 8725 §3.1). That closes algorithm confusion by construction: a public key is never bound
//! to an HMAC, and a secret that looks like a public key is refused.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::ParsedPublicKey;
use aws_lc_rs::{digest, hmac};
use bartizan_core::{Secret, Timestamp};

use super::material::Material;
use super::{
    Algorithm, AlgorithmSet, ClaimFault, ClaimRules, Claims, Header, KeyFault, KeyKind, Token,
    TokenFault,
};

/// What is asked of an HMAC secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretStrength {
    /// At least as many bytes as the hash has (RFC 7518 §3.2).
    Full,
    /// Any length but zero. One captured token is enough to guess a short secret offline.
    DangerShort,
}

/// Tells keys apart by everything that decides a verdict: their kind and their material.
///
/// It is the same after a reload that did not change the key, and another one after any change, so
/// that a verdict dies with the key that gave it. It shows nothing: the digest of a weak secret
/// would be enough to guess it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyGeneration([u8; 32]);

impl KeyGeneration {
    fn of(material: &Material) -> Self {
        let bytes = match material {
            Material::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
                return Self::from_digest(hmac::sign(&key, b"bartizan key generation").as_ref());
            }
            Material::Rsa(bytes) | Material::Ec(_, bytes) | Material::Ed25519(bytes) => bytes,
        };
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(material.kind().name().as_bytes());
        context.update(&[0]);
        context.update(bytes);
        Self::from_digest(context.finish().as_ref())
    }

    fn from_digest(digest: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

impl fmt::Debug for KeyGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyGeneration(…)")
    }
}

enum Verifier {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// A key that verifies tokens of the algorithms it is bound to, and of no others.
pub struct VerificationKey {
    kid: Option<Box<str>>,
    kind: KeyKind,
    generation: KeyGeneration,
    verifiers: Box<[(Algorithm, Verifier)]>,
}

impl VerificationKey {
    /// A shared secret for one of the HMAC algorithms.
    pub fn from_secret(
        algorithm: Algorithm,
        secret: &Secret,
        strength: SecretStrength,
    ) -> Result<Self, KeyFault> {
        check_secret(algorithm, secret, strength)?;
        Self::bind(None, &Material::Secret(secret.clone()), algorithm.into())
    }

    /// A public key for one algorithm, from PEM: a public key or a certificate.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, KeyFault> {
        let material = Material::from_pem(pem)?;
        if material.kind() != algorithm.kind() {
            return Err(KeyFault::Kind { algorithm, kind: material.kind() });
        }
        Self::bind(None, &material, algorithm.into())
    }

    /// Binds `material` to those of `algorithms` that its kind can be used with.
    pub(super) fn bind(
        kid: Option<&str>,
        material: &Material,
        algorithms: AlgorithmSet,
    ) -> Result<Self, KeyFault> {
        let kind = material.kind();
        let verifiers = kind
            .algorithms()
            .and(algorithms)
            .iter()
            .map(|algorithm| Ok((algorithm, verifier(algorithm, material)?)))
            .collect::<Result<Box<[_]>, KeyFault>>()?;
        if verifiers.is_empty() {
            return Err(KeyFault::NoAlgorithm(kind));
        }
        let generation = KeyGeneration::of(material);
        Ok(Self { kid: kid.map(Into::into), kind, generation, verifiers })
    }

    /// The name it goes by in a key set.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The algorithms it is bound to.
    pub fn algorithms(&self) -> AlgorithmSet {
        self.verifiers.iter().map(|(algorithm, _)| *algorithm).collect()
    }

    /// True if it is bound to `algorithm`.
    pub fn permits(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(bound, _)| *bound == algorithm)
    }

    /// What tells it from other keys.
    pub fn generation(&self) -> KeyGeneration {
        self.generation
    }

    /// Verifies the signature and reads the claims. Times, issuer, audience and the rest are not
    /// judged here: that is [`Verified::check`], on every use.
    pub fn verify(&self, token: Token<'_>) -> Result<Verified, TokenFault> {
        self.verify_signature(token.header.algorithm(), token.signed, &token.signature)?;
        let (header, claims) = token.into_parts()?;
        Ok(Verified { header, claims, generation: self.generation })
    }

    /// Whether the signature over a text that is no token is that of this key, by an algorithm that
    /// it is bound to.
    pub(crate) fn verify_signature(
        &self,
        algorithm: Algorithm,
        signed: &str,
        signature: &[u8],
    ) -> Result<(), TokenFault> {
        let (_, verifier) = self
            .verifiers
            .iter()
            .find(|(bound, _)| *bound == algorithm)
            .ok_or(TokenFault::AlgorithmNotOfKey(algorithm))?;
        #[cfg(test)]
        crate::work::note();
        match verifier {
            // Constant time, and the whole tag: a truncated one does not verify.
            Verifier::Secret(key) => hmac::verify(key, signed.as_bytes(), signature),
            Verifier::Public(key) => key.verify_sig(signed.as_bytes(), signature),
        }
        .map_err(|_| TokenFault::Signature)
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("kid", &self.kid)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

fn verifier(algorithm: Algorithm, material: &Material) -> Result<Verifier, KeyFault> {
    let parse = |bytes: &[u8]| {
        let kind = material.kind();
        let verification = algorithm.public().ok_or(KeyFault::Kind { algorithm, kind })?;
        ParsedPublicKey::new(verification, bytes)
            .map(Verifier::Public)
            .map_err(|_| KeyFault::Unreadable("public key"))
    };
    match material {
        Material::Secret(secret) => {
            check_secret(algorithm, secret, SecretStrength::DangerShort)?;
            let hmac = algorithm.hmac().ok_or(KeyFault::NoAlgorithm(KeyKind::Secret))?;
            Ok(Verifier::Secret(Box::new(hmac::Key::new(hmac, secret.expose()))))
        }
        Material::Rsa(bytes) | Material::Ec(_, bytes) | Material::Ed25519(bytes) => parse(bytes),
    }
}

/// What must hold of a secret before anything is signed or verified with it.
pub(super) fn check_secret(
    algorithm: Algorithm,
    secret: &Secret,
    strength: SecretStrength,
) -> Result<(), KeyFault> {
    if algorithm.kind() != KeyKind::Secret {
        return Err(KeyFault::Kind { algorithm, kind: KeyKind::Secret });
    }
    let least = match strength {
        SecretStrength::Full => algorithm.secret_len_min(),
        SecretStrength::DangerShort => 1,
    };
    if secret.len() < least {
        return Err(KeyFault::SecretTooShort { algorithm, least, actual: secret.len() });
    }
    // CVE-2026-39999: the published RS256 key of a service used as the secret of HS256.
    let mark = b"-----BEGIN ";
    if secret.expose().windows(mark.len()).any(|window| window == mark) {
        return Err(KeyFault::SecretIsPem);
    }
    Ok(())
}

/// A token whose signature a key has verified: the only proof there is. No other way leads here.
///
/// It proves who signed, not that it is still valid or meant for us: [`Verified::check`] judges
/// that, and must do so on every request.
#[derive(Clone, Debug)]
pub struct Verified {
    header: Arc<Header>,
    claims: Claims,
    generation: KeyGeneration,
}

impl Verified {
    /// The header, which was signed too.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The claims.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// True if `key` is the key that verified it, and is still meant for the token's algorithm.
    pub fn was_verified_by(&self, key: &VerificationKey) -> bool {
        self.generation == key.generation && key.permits(self.header.algorithm())
    }

    /// Judges type and claims as of `now`.
    pub fn check(&self, rules: &ClaimRules, now: Timestamp) -> Result<(), ClaimFault> {
        if !rules.token_type.admits(self.header.typ()) {
            return Err(ClaimFault::Type);
        }
        rules.check(&self.claims, now)
    }
}
