//! JSON web signatures: tokens, keys, key sets, claims and the cache of verdicts; and encrypted
//! tokens of one kind ([`Jwe`]).
//!
//! Compact JWS (RFC 7515) with a JSON payload (RFC 7519), verified directly on aws-lc-rs under the
//! rules of the best current practice (RFC 8725). What is not needed is not here: no JSON
//! serialisation, no unsigned tokens, no keys taken from the token itself.
//!
//! The path of a token:
//!
//! 1. [`Token::parse`] splits it, decodes strictly and reads the header. Nothing is believed yet.
//! 2. The caller chooses a key: [`KeySet::choose`] by the header, or by a claim that
//!    [`Token::unverified_claims`] shows. The algorithm belongs to the key (RFC 8725 §3.1); the
//!    header may only agree with it.
//! 3. [`VerificationKey::verify`] turns the token into a [`Verified`], the only proof there is.
//! 4. [`ClaimRules`] judge type, times, issuer, audience, scopes and claims, on every request.
//!
//! [`TokenCache`] remembers the third step only: a verdict on a signature, which cannot change.
//!
//! ```
//! use bartizan_core::{Secret, Timestamp};
//! use bartizan_plugins::jose::{
//!     Algorithm, ClaimRules, SecretStrength, SigningKey, Token, VerificationKey,
//! };
//!
//! let secret = Secret::new(*b"an example of thirty-two bytes!!");
//! let signer = SigningKey::from_secret(Algorithm::Hs256, &secret)?;
//! let claims = serde_json::json!({ "sub": "alice", "exp": 2_000_000_000 });
//! let text = signer.sign(&serde_json::Map::new(), &claims)?;
//!
//! let key = VerificationKey::from_secret(Algorithm::Hs256, &secret, SecretStrength::Full)?;
//! let verified = key.verify(Token::parse(&text)?)?;
//! verified.check(&ClaimRules::default(), Timestamp::from_secs(1_900_000_000))?;
//! assert_eq!(verified.claims().subject(), Some("alice"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A signature is not a name: anyone can turn a valid ECDSA signature `(r, s)` into `(r, n - s)`,
//! which is valid too. Revoke and count tokens by `jti`, never by their bytes.

mod algorithm;
mod cache;
mod claims;
mod json;
mod jwe;
mod jwk;
mod key;
mod known;
mod law;
mod material;
mod proof;
mod rules;
mod sign;
#[cfg(test)]
mod tests;
mod token;

pub use algorithm::{Algorithm, AlgorithmSet, KeyKind, UnknownAlgorithm};
pub use cache::TokenCache;
pub use claims::{ClaimPath, ClaimPathError, Claims};
pub use json::JsonFault;
pub use jwe::{Binding, JWE_KEY_LENGTH, Jwe, JweFault, JweKey};
pub use jwk::{KeySet, KeySetFault, SkippedKey};
pub use key::{KeyGeneration, SecretStrength, VerificationKey, Verified};
pub use known::KnownHeader;
pub use material::KeyFault;
pub use proof::{Proof, ProofFault, ShownProof};
pub use rules::{ClaimFault, ClaimRules, RequiredClaim, RequiredClaimError, TypeRule};
pub use sign::{SignFault, SigningKey};
pub use token::{Header, Token, TokenFault};

pub(crate) use cache::{Digest, digest_of};
pub(crate) use json::{JsonLimits, parse_object};
pub(crate) use jwe::law as fuzz_jwe;
pub(crate) use law::law as fuzz_jwt;

/// Longest token that is looked at.
pub const TOKEN_MAX: usize = 16 * 1024;
/// Longest decoded header. A real one has about a hundred bytes, with certificates some thousands.
pub const HEADER_MAX: usize = 8 * 1024;
/// Longest key name in a header or key set.
pub const KID_MAX: usize = 256;
/// Deepest nesting of a payload, the payload itself being the first level.
pub const CLAIM_DEPTH_MAX: u32 = 16;
/// Most members and items of a payload in all.
pub const CLAIM_ITEMS_MAX: u32 = 1_024;
/// Largest key set.
pub const KEY_SET_MAX: usize = 1024 * 1024;
/// Most keys of a set.
pub const KEYS_MAX: usize = 100;
