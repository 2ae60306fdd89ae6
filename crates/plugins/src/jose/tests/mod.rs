//! The module as a whole: published vectors, attacks, another implementation, properties.

mod attacks;
mod encrypted;
mod key_sets;
mod keys;
mod oracle;
mod properties;
mod vectors;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, RsaKeyPair,
};
use bartizan_core::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{Algorithm, KeyKind, SecretStrength, SigningKey, Token, TokenFault, VerificationKey};

/// One key in every form that it is given in.
struct Pair {
    /// PEM `PRIVATE KEY`, or the secret.
    private: Vec<u8>,
    /// PEM `PUBLIC KEY`, or the secret.
    public: Vec<u8>,
}

impl Pair {
    fn public_pem(&self) -> &str {
        std::str::from_utf8(&self.public).unwrap()
    }

    fn signer(&self, algorithm: Algorithm) -> SigningKey {
        let private = Secret::new(self.private.clone());
        match algorithm.kind() {
            KeyKind::Secret => SigningKey::from_secret(algorithm, &private),
            _ => SigningKey::from_pem(algorithm, &private),
        }
        .unwrap()
    }

    fn verifier(&self, algorithm: Algorithm) -> VerificationKey {
        match algorithm.kind() {
            KeyKind::Secret => {
                let secret = Secret::new(self.public.clone());
                VerificationKey::from_secret(algorithm, &secret, SecretStrength::Full)
            }
            _ => VerificationKey::from_pem(algorithm, self.public_pem()),
        }
        .unwrap()
    }
}

fn b64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(der);
    let lines: Vec<_> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")).into_bytes()
}

/// The RSA key of RFC 7515 A.2.
fn rsa_pair() -> RsaKeyPair {
    RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n: b64(vectors::RSA_N), e: b64("AQAB") },
        d: b64(vectors::RSA_D),
        p: b64(vectors::RSA_P),
        q: b64(vectors::RSA_Q),
        dP: b64(vectors::RSA_DP),
        dQ: b64(vectors::RSA_DQ),
        qInv: b64(vectors::RSA_QI),
    })
    .unwrap()
}

fn pair(kind: KeyKind) -> Pair {
    let ec = |curve: &'static EcdsaSigningAlgorithm| {
        let pair = EcdsaKeyPair::generate(curve).unwrap();
        let private = pair.to_pkcs8v1().unwrap();
        let public = pair.public_key().as_der().unwrap();
        Pair {
            private: pem("PRIVATE KEY", private.as_ref()),
            public: pem("PUBLIC KEY", public.as_ref()),
        }
    };
    match kind {
        KeyKind::Secret => {
            let secret: Vec<u8> = (0..64).collect();
            Pair { private: secret.clone(), public: secret }
        }
        KeyKind::Rsa => {
            let pair = rsa_pair();
            Pair {
                private: pem("PRIVATE KEY", pair.as_der().unwrap().as_ref()),
                public: pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref()),
            }
        }
        KeyKind::P256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
        KeyKind::P384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
        KeyKind::P521 => ec(&ECDSA_P521_SHA512_FIXED_SIGNING),
        KeyKind::Ed25519 => {
            let pair = Ed25519KeyPair::from_seed_unchecked(&b64(vectors::ED_D)).unwrap();
            Pair {
                private: pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()),
                public: pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref()),
            }
        }
    }
}

fn claims() -> Value {
    json!({ "sub": "alice", "exp": 2_000_000_000, "nested": { "list": [1, "zwei", null] } })
}

/// A signed token with [`claims`], and the key that verifies it.
fn token(algorithm: Algorithm) -> (String, VerificationKey) {
    let pair = pair(algorithm.kind());
    let text = pair.signer(algorithm).sign(&Map::new(), &claims()).unwrap();
    (text, pair.verifier(algorithm))
}

fn verify(text: &str, key: &VerificationKey) -> Result<Value, TokenFault> {
    let verified = key.verify(Token::parse(text)?)?;
    Ok(verified.claims().value().clone())
}
