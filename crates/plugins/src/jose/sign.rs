//! Signing: what upstreams are told of callers, and for the command line and for tests.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{hmac, signature::EcdsaSigningAlgorithm};
use bartizan_core::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::jwk::thumbprint;
use super::key::check_secret;
use super::material::only_section;
use super::{Algorithm, KeyFault, KeyKind, SecretStrength};

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignFault {
    /// The header's `alg` is the key's.
    #[error("`alg` cannot be set: it is the key's")]
    AlgorithmGiven,
    /// Claims are a JSON object.
    #[error("the claims are not a JSON object")]
    NotAnObject,
    /// The library failed to sign.
    #[error("signing failed")]
    Failed,
}

enum Signer {
    Secret(Box<hmac::Key>),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A key that signs tokens with one algorithm.
pub struct SigningKey {
    algorithm: Algorithm,
    signer: Signer,
}

impl SigningKey {
    /// A shared secret, at least as long as the algorithm's hash.
    pub fn from_secret(algorithm: Algorithm, secret: &Secret) -> Result<Self, KeyFault> {
        Self::from_secret_of(algorithm, secret, SecretStrength::Full)
    }

    /// A shared secret of a strength that the caller answers for.
    pub fn from_secret_of(
        algorithm: Algorithm,
        secret: &Secret,
        strength: SecretStrength,
    ) -> Result<Self, KeyFault> {
        check_secret(algorithm, secret, strength)?;
        let kind = algorithm.kind();
        let hmac = algorithm.hmac().ok_or(KeyFault::Kind { algorithm, kind })?;
        let signer = Signer::Secret(Box::new(hmac::Key::new(hmac, secret.expose())));
        Ok(Self { algorithm, signer })
    }

    /// A private key from PEM: `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY` (PKCS#1) or
    /// `EC PRIVATE KEY` (SEC 1), not encrypted. RSA keys have 2048 to 8192 bits.
    pub fn from_pem(algorithm: Algorithm, pem: &Secret) -> Result<Self, KeyFault> {
        const UNREADABLE: KeyFault = KeyFault::Unreadable("private key");
        let section = only_section(pem.expose_str().ok_or(KeyFault::Pem)?)?;
        let (label, der) = (section.label, Secret::new(section.contents));
        let der = der.expose();
        let signer = match (family(algorithm), label.as_str()) {
            (Family::Rsa(encoding), "PRIVATE KEY") => {
                RsaKeyPair::from_pkcs8(der).map(|key| Signer::Rsa(key, encoding))
            }
            (Family::Rsa(encoding), "RSA PRIVATE KEY") => {
                RsaKeyPair::from_der(der).map(|key| Signer::Rsa(key, encoding))
            }
            (Family::Ec(curve), "PRIVATE KEY" | "EC PRIVATE KEY") => {
                EcdsaKeyPair::from_private_key_der(curve, der).map(Signer::Ec)
            }
            (Family::Ed25519, "PRIVATE KEY") => {
                Ed25519KeyPair::from_pkcs8(der).map(Signer::Ed25519)
            }
            _ => return Err(KeyFault::Section(label)),
        };
        Ok(Self { algorithm, signer: signer.map_err(|_| UNREADABLE)? })
    }

    /// A new key that lives in memory only, for `ES256` or `EdDSA`.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyFault> {
        const FAILED: KeyFault = KeyFault::Unreadable("random source");
        let signer = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Signer::Ec)
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Signer::Ed25519),
            other => return Err(KeyFault::NoAlgorithm(other.kind())),
        };
        Ok(Self { algorithm, signer: signer.map_err(|_| FAILED)? })
    }

    /// Its public half as a JSON Web Key (RFC 7517), named by its thumbprint (RFC 7638); `None` for
    /// shared secrets and RSA.
    pub fn public_jwk(&self) -> Option<Map<String, Value>> {
        let text = |bytes: &[u8]| Value::from(URL_SAFE_NO_PAD.encode(bytes));
        let members = match &self.signer {
            Signer::Ec(key) => {
                let curve = match self.algorithm.kind() {
                    KeyKind::P256 => "P-256",
                    KeyKind::P384 => "P-384",
                    _ => "P-521",
                };
                // An uncompressed point: a byte 4 and both coordinates (SEC 1 §2.3.3).
                let point = key.public_key().as_ref().get(1..)?;
                let (x, y) = point.split_at_checked(point.len() / 2)?;
                vec![("kty", "EC".into()), ("crv", curve.into()), ("x", text(x)), ("y", text(y))]
            }
            Signer::Ed25519(key) => {
                let x = text(key.public_key().as_ref());
                vec![("kty", "OKP".into()), ("crv", "Ed25519".into()), ("x", x)]
            }
            Signer::Secret(_) | Signer::Rsa(..) => return None,
        };
        let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
        let mut jwk: Map<String, Value> = members.collect();
        jwk.insert("kid".to_owned(), thumbprint(&jwk)?.into());
        jwk.insert("alg".to_owned(), self.algorithm.name().into());
        jwk.insert("use".to_owned(), "sig".into());
        Some(jwk)
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// A token with these claims. The header has `alg`, `typ: JWT` and what `extra` adds or
    /// replaces (`kid`, `typ`); `alg` it cannot.
    pub fn sign(&self, extra: &Map<String, Value>, claims: &Value) -> Result<String, SignFault> {
        if extra.contains_key("alg") {
            return Err(SignFault::AlgorithmGiven);
        }
        if !claims.is_object() {
            return Err(SignFault::NotAnObject);
        }
        let mut header = Map::new();
        header.insert("alg".to_owned(), self.algorithm.name().into());
        header.insert("typ".to_owned(), "JWT".into());
        header.extend(extra.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.sign_text(&Value::Object(header).to_string(), &claims.to_string())
    }

    /// A token of exactly this header and payload, however wrong they are.
    pub fn sign_text(&self, header: &str, payload: &str) -> Result<String, SignFault> {
        let (header, payload) = (URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signed = format!("{header}.{payload}");
        let signature = URL_SAFE_NO_PAD.encode(self.sign_bytes(signed.as_bytes())?);
        Ok(format!("{signed}.{signature}"))
    }

    /// The signature over bytes as they are: ECDSA in the fixed form `r ‖ s`.
    pub fn sign_bytes(&self, signed: &[u8]) -> Result<Vec<u8>, SignFault> {
        let random = SystemRandom::new();
        match &self.signer {
            Signer::Secret(key) => Ok(hmac::sign(key, signed).as_ref().to_vec()),
            Signer::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, signed, &mut signature)
                    .map(|()| signature)
                    .map_err(|_| SignFault::Failed)
            }
            Signer::Ec(key) => key
                .sign(&random, signed)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignFault::Failed),
            Signer::Ed25519(key) => key
                .try_sign(signed)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignFault::Failed),
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

enum Family {
    Secret,
    Rsa(&'static dyn RsaEncoding),
    Ec(&'static EcdsaSigningAlgorithm),
    Ed25519,
}

fn family(algorithm: Algorithm) -> Family {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => Family::Secret,
        Algorithm::Rs256 => Family::Rsa(&RSA_PKCS1_SHA256),
        Algorithm::Rs384 => Family::Rsa(&RSA_PKCS1_SHA384),
        Algorithm::Rs512 => Family::Rsa(&RSA_PKCS1_SHA512),
        Algorithm::Ps256 => Family::Rsa(&RSA_PSS_SHA256),
        Algorithm::Ps384 => Family::Rsa(&RSA_PSS_SHA384),
        Algorithm::Ps512 => Family::Rsa(&RSA_PSS_SHA512),
        Algorithm::Es256 => Family::Ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::Es384 => Family::Ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::Es512 => Family::Ec(&ECDSA_P521_SHA512_FIXED_SIGNING),
        Algorithm::EdDsa => Family::Ed25519,
    }
}
