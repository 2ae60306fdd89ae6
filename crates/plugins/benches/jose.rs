//! What a token costs: parsing, verifying, and being recalled from the cache.

use bartizan_core::Secret;
use bartizan_plugins::jose::{
    Algorithm, SecretStrength, SigningKey, Token, TokenCache, VerificationKey,
};
use divan::{Bencher, black_box};
use serde_json::{Map, json};

fn main() {
    divan::main();
}

/// A token of the size that identity providers issue, about 800 bytes, and its key.
fn token() -> (String, VerificationKey) {
    let secret = Secret::new([7; 32]);
    let signer = SigningKey::from_secret(Algorithm::Hs256, &secret).expect("the secret is long");
    let claims = json!({
        "iss": "https://login.example.com/realms/main",
        "sub": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "aud": ["orders", "invoices"],
        "exp": 2_000_000_000, "nbf": 1_000_000_000, "iat": 1_000_000_000,
        "jti": "0c7cf0a0-6d0d-4f0b-9d3f-4b8a7c9a1f2e",
        "scope": "openid profile orders:read orders:write invoices:read",
        "realm_access": { "roles": ["user", "buyer", "auditor"] },
        "preferred_username": "alice", "email": "alice@example.com", "email_verified": true,
    });
    let text = signer.sign(&Map::new(), &claims).expect("it signs");
    let key = VerificationKey::from_secret(Algorithm::Hs256, &secret, SecretStrength::Full);
    (text, key.expect("the secret is long"))
}

#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let (text, _) = token();
    bencher.bench(|| Token::parse(black_box(&text)).is_ok());
}

#[divan::bench]
fn verify_hs256(bencher: Bencher<'_, '_>) {
    let (text, key) = token();
    bencher.bench(|| Token::parse(black_box(&text)).and_then(|token| key.verify(token)).is_ok());
}

#[divan::bench(threads = [1, 2])]
fn recall(bencher: Bencher<'_, '_>) {
    let (text, key) = token();
    let cache = TokenCache::new();
    let token = Token::parse(&text).expect("it is well-formed");
    cache.verify(token, &key).expect("it verifies");
    bencher.bench(|| cache.recall(black_box(&text), |_, _| Some(&key)).is_some());
}
