//! Keys and tokens for tests, made at run time.

use bartizan_core::{IdSource, Secret};
use bartizan_plugins::jose::{Algorithm, KeyKind, SecretStrength, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, RsaKeySize};
use serde_json::{Map, Value, json};

use crate::gateway::START;

/// A key that signs tokens, with what verifies them.
#[derive(Debug)]
pub struct TokenKey {
    signing: SigningKey,
    secret: Option<String>,
    pair: Option<KeyPair>,
}

impl TokenKey {
    /// A new key.
    pub fn generate(algorithm: Algorithm) -> Self {
        let kind = match algorithm.kind() {
            KeyKind::Secret => {
                let ids = IdSource::new();
                let secret: String = (0..3).map(|_| ids.next(START).to_string()).collect();
                return Self::from_secret(algorithm, secret.as_bytes());
            }
            KeyKind::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyKind::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyKind::P521 => &rcgen::PKCS_ECDSA_P521_SHA512,
            KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
            KeyKind::Rsa => &rcgen::PKCS_RSA_SHA256,
        };
        let pair = match algorithm.kind() {
            KeyKind::Rsa => KeyPair::generate_rsa_for(kind, RsaKeySize::_2048),
            _ => KeyPair::generate_for(kind),
        };
        let pair = pair.expect("a key");
        let pem = Secret::new(pair.serialize_pem());
        let signing = SigningKey::from_pem(algorithm, &pem).expect("a key of this algorithm");
        Self { signing, secret: None, pair: Some(pair) }
    }

    /// A shared secret of any length.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Self {
        let strength = SecretStrength::DangerShort;
        let bytes = Secret::new(secret);
        let signing = SigningKey::from_secret_of(algorithm, &bytes, strength).expect("a secret");
        let secret = String::from_utf8_lossy(secret).into_owned();
        Self { signing, secret: Some(secret), pair: None }
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.signing.algorithm()
    }

    /// A token of these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&Map::new(), claims)
    }

    /// A token of these claims, with more in its header.
    pub fn sign_with(&self, header: &Map<String, Value>, claims: &Value) -> String {
        self.signing.sign(header, claims).expect("claims that are an object")
    }

    /// A token of exactly this header and payload.
    pub fn sign_text(&self, header: &str, payload: &str) -> String {
        self.signing.sign_text(header, payload).expect("a signature")
    }

    /// The signature over bytes as they are.
    pub fn sign_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.signing.sign_bytes(bytes).expect("a signature")
    }

    /// The shared secret; panics where there is none.
    pub fn secret(&self) -> &str {
        self.secret.as_deref().expect("a key that is shared")
    }

    /// PEM of the private key; panics where it is a shared secret.
    pub fn private_key(&self) -> String {
        self.pair().serialize_pem()
    }

    /// PEM of the public key; panics where there is none.
    pub fn public_key(&self) -> String {
        self.pair().public_key_pem()
    }

    fn pair(&self) -> &KeyPair {
        self.pair.as_ref().expect("a key with a public half")
    }

    /// The public key as a JSON web key of this name (RFC 7517).
    pub fn jwk(&self, kid: &str) -> Value {
        let raw = self.pair().public_key_raw();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self.signing.algorithm().kind() {
            KeyKind::Rsa => {
                let (modulus, exponent) = rsa_numbers(raw);
                json!({"kty": "RSA", "n": text(modulus), "e": text(exponent)})
            }
            KeyKind::Ed25519 => json!({"kty": "OKP", "crv": "Ed25519", "x": text(raw)}),
            kind => {
                let curve = match kind {
                    KeyKind::P256 => "P-256",
                    KeyKind::P384 => "P-384",
                    _ => "P-521",
                };
                // An uncompressed point: a byte 4 and both coordinates (SEC 1 §2.3.3).
                let (x, y) = raw[1..].split_at((raw.len() - 1) / 2);
                json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y)})
            }
        };
        jwk["kid"] = kid.into();
        jwk["alg"] = self.signing.algorithm().name().into();
        jwk
    }
}

/// Modulus and exponent of an `RSAPublicKey` in DER (RFC 8017 §A.1.1).
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = der_value(der);
    let (modulus, rest) = der_value(sequence);
    let (exponent, _) = der_value(rest);
    // A zero byte keeps a number positive and is no part of it.
    (modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent)
}

/// The content of the first value, and what follows it.
fn der_value(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        long @ 0x80.. => {
            let count = usize::from(long & 0x7f);
            let bytes = &der[2..2 + count];
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + count)
        }
        short => (usize::from(short), 2),
    };
    der[start..].split_at(length)
}

/// A token of these claims under a shared secret, signed with `HS256`.
pub fn token(secret: &str, claims: &Value) -> String {
    TokenKey::from_secret(Algorithm::Hs256, secret.as_bytes()).sign(claims)
}
