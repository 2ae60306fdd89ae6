//! Verdicts on signatures, remembered.
//!
//! A signature that has verified will verify again; a clock, a rule or a consumer may change. So
//! the cache holds signatures' verdicts and nothing else, and its caller judges type, times,
//! issuer, audience, scopes, bindings and the consumer's state on every request, with
//! [`Verified::check`].
//!
//! A verdict counts for the whole token (it is found by the SHA-256 of all its bytes), for the
//! generation of the key that gave it, and for the algorithm. To open one, the caller must name
//! the key that it would verify the token with *now*; a key that was removed, replaced or bound to
//! other algorithms opens nothing. What is remembered has been verified here, in full: there is no
//! way to put in a verdict from elsewhere, and failures are not remembered, so that a client can
//! fill the cache with its own valid tokens only.
//!
//! It is bounded in bytes and in number, and shared by all workers (sharded, reads share a lock).

use std::ops::Deref;
use std::sync::Arc;

use aws_lc_rs::digest;
use foldhash::fast::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::{Claims, Header, TOKEN_MAX, Token, TokenFault, VerificationKey, Verified};

/// Most tokens remembered.
const TOKENS_MAX: usize = 4_096;
/// Most memory for them, about.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a token is found by: the SHA-256 of all its bytes.
pub(crate) type Digest = [u8; digest::SHA256_OUTPUT_LEN];

/// Weighs an entry in bytes, but never so little that more than [`TOKENS_MAX`] would fit.
#[derive(Clone)]
struct Weight {
    least: u64,
}

impl Weighter<Digest, Arc<Verified>> for Weight {
    fn weight(&self, key: &Digest, verified: &Arc<Verified>) -> u64 {
        let bytes = size_of_val(key)
            .saturating_add(size_of::<Verified>())
            .saturating_add(verified.claims().weight());
        u64::try_from(bytes).unwrap_or(u64::MAX).max(self.least)
    }
}

/// A bounded memory of tokens whose signature has verified.
pub struct TokenCache {
    verdicts: Cache<Digest, Arc<Verified>, Weight, RandomState>,
}

impl TokenCache {
    /// An empty cache of the usual size: 4,096 tokens, 16 MiB.
    pub fn new() -> Self {
        Self::with_capacity(TOKENS_MAX, BYTES_MAX)
    }

    /// An empty cache of at most `tokens` tokens and about `bytes` bytes.
    pub fn with_capacity(tokens: usize, bytes: usize) -> Self {
        let (tokens, bytes) = (tokens.max(1), bytes.max(1));
        let capacity = u64::try_from(bytes).unwrap_or(u64::MAX);
        let weight = Weight { least: u64::try_from(bytes.div_ceil(tokens)).unwrap_or(u64::MAX) };
        let lifecycle = DefaultLifecycle::default();
        let random = RandomState::default();
        Self { verdicts: Cache::with(tokens, capacity, weight, random, lifecycle) }
    }

    /// The verdict on this very token, if the key that `choose` names is the one that gave it.
    ///
    /// `choose` sees header and claims and must do what the caller does on a miss; what it is
    /// shown has been verified by some key, but counts only if that is the key it returns.
    pub fn recall<K: Deref<Target = VerificationKey>>(
        &self,
        text: &str,
        choose: impl FnOnce(&Header, &Claims) -> Option<K>,
    ) -> Option<Arc<Verified>> {
        if text.len() > TOKEN_MAX {
            return None;
        }
        let verified = self.verdicts.get(&digest_of(text))?;
        let key = choose(verified.header(), verified.claims())?;
        verified.was_verified_by(&key).then_some(verified)
    }

    /// Verifies a token in full, and remembers it if that succeeds.
    pub fn verify(
        &self,
        token: Token<'_>,
        key: &VerificationKey,
    ) -> Result<Arc<Verified>, TokenFault> {
        let text = token.text;
        let verified = Arc::new(key.verify(token)?);
        self.verdicts.insert(digest_of(text), Arc::clone(&verified));
        Ok(verified)
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.verdicts.len()
    }

    /// True if none is.
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The digest of a token.
pub(crate) fn digest_of(text: &str) -> Digest {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
mod tests {
    use bartizan_core::{Secret, Timestamp};
    use serde_json::{Map, json};

    use super::*;
    use crate::jose::{Algorithm, ClaimFault, ClaimRules, SecretStrength, SigningKey};

    fn secret(byte: u8) -> Secret {
        Secret::new([byte; 64])
    }

    fn key(algorithm: Algorithm, byte: u8) -> VerificationKey {
        VerificationKey::from_secret(algorithm, &secret(byte), SecretStrength::Full).unwrap()
    }

    fn token(byte: u8, subject: &str) -> String {
        let signer = SigningKey::from_secret(Algorithm::Hs256, &secret(byte)).unwrap();
        signer.sign(&Map::new(), &json!({ "sub": subject, "exp": 1_000 })).unwrap()
    }

    fn remember(cache: &TokenCache, text: &str, key: &VerificationKey) {
        cache.verify(Token::parse(text).unwrap(), key).unwrap();
    }

    #[test]
    fn a_verdict_is_recalled_for_the_same_token_and_key() {
        let (cache, key, text) = (TokenCache::new(), key(Algorithm::Hs256, 1), token(1, "alice"));
        assert!(cache.recall(&text, |_, _| Some(&key)).is_none());
        remember(&cache, &text, &key);
        let verified = cache.recall(&text, |_, _| Some(&key)).unwrap();
        assert_eq!(verified.claims().subject(), Some("alice"));
        assert!(cache.recall(&token(1, "bob"), |_, _| Some(&key)).is_none());
        assert!(cache.recall(&format!("{text}A"), |_, _| Some(&key)).is_none());
    }

    #[test]
    fn the_key_is_chosen_by_what_the_token_says() {
        let (cache, key, text) = (TokenCache::new(), key(Algorithm::Hs256, 1), token(1, "alice"));
        remember(&cache, &text, &key);
        let by_claim = |wanted: &str| {
            cache.recall(&text, |header, claims| {
                assert_eq!(header.algorithm(), Algorithm::Hs256);
                (claims.subject() == Some(wanted)).then_some(&key)
            })
        };
        assert!(by_claim("alice").is_some());
        assert!(by_claim("bob").is_none());
    }

    #[test]
    fn a_verdict_dies_with_its_key() {
        let (cache, old, text) = (TokenCache::new(), key(Algorithm::Hs256, 1), token(1, "alice"));
        remember(&cache, &text, &old);
        let replaced = key(Algorithm::Hs256, 2);
        assert!(cache.recall(&text, |_, _| Some(&replaced)).is_none());
        assert!(cache.recall(&text, |_, _| None::<&VerificationKey>).is_none());
        let rebound = key(Algorithm::Hs512, 1);
        assert_eq!(rebound.generation(), old.generation());
        assert!(cache.recall(&text, |_, _| Some(&rebound)).is_none());
    }

    #[test]
    fn a_verdict_survives_a_reload_that_does_not_change_the_key() {
        let (cache, text) = (TokenCache::new(), token(1, "alice"));
        remember(&cache, &text, &key(Algorithm::Hs256, 1));
        let reloaded = key(Algorithm::Hs256, 1);
        assert!(cache.recall(&text, |_, _| Some(&reloaded)).is_some());
    }

    #[test]
    fn a_verdict_is_not_a_judgement_of_the_claims() {
        let (cache, key, text) = (TokenCache::new(), key(Algorithm::Hs256, 1), token(1, "alice"));
        remember(&cache, &text, &key);
        let verified = cache.recall(&text, |_, _| Some(&key)).unwrap();
        let check = |secs| verified.check(&ClaimRules::default(), Timestamp::from_secs(secs));
        assert_eq!(check(999), Ok(()));
        assert_eq!(check(1_000), Err(ClaimFault::Expired));
    }

    #[test]
    fn failures_are_not_remembered() {
        let (cache, other, text) = (TokenCache::new(), key(Algorithm::Hs256, 2), token(1, "a"));
        let fault = cache.verify(Token::parse(&text).unwrap(), &other).err();
        assert_eq!(fault, Some(TokenFault::Signature));
        assert!(cache.is_empty());
    }

    #[test]
    fn number_and_memory_are_bounded() {
        let key = key(Algorithm::Hs256, 1);
        let by_number = TokenCache::with_capacity(64, 1024 * 1024);
        let by_bytes = TokenCache::with_capacity(1_024, 256 * 1024);
        for n in 0..1_000 {
            let text = token(1, &n.to_string());
            remember(&by_number, &text, &key);
            remember(&by_bytes, &text, &key);
        }
        assert!((1..=64).contains(&by_number.len()), "{}", by_number.len());
        assert!((1..1_000).contains(&by_bytes.len()), "{}", by_bytes.len());
        assert!(by_bytes.verdicts.weight() <= 256 * 1024);
    }

    #[test]
    fn a_token_that_is_too_long_is_not_even_hashed() {
        let cache = TokenCache::new();
        let text = "a".repeat(TOKEN_MAX + 1);
        assert!(
            cache
                .recall(&text, |_, _| -> Option<&VerificationKey> {
                    unreachable!("nothing is known")
                })
                .is_none()
        );
    }
}
