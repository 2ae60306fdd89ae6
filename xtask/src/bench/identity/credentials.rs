//! What callers show: keys, tokens, proofs of possession, all made when a run starts.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::super::cases::{CONSUMERS, consumer};
use super::super::exchange::Request;
use super::super::keys::{AUDIENCE, ISSUER, pem, public_numbers};
use super::super::upstream::WITHDRAWN;
use super::means::Means;

/// Tokens of each consumer: with those of all, more than a small cache holds.
const TOKENS: usize = 8;
/// Seconds that a token lasts: longer than any run.
const LIFETIME: i64 = 24 * 3_600;
/// What all requests ask for.
pub(super) const PATH: &str = "/orders/1";
/// The target that proofs name.
const TARGET: &str = "https://localhost/orders/1";

/// What signs tokens.
enum Signer {
    Secret(Vec<u8>),
    Rsa(RsaKey),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    fn generate(algorithm: &str) -> Result<Self> {
        Ok(match algorithm {
            "HS256" => Self::Secret(random().into_bytes()),
            "RS256" => Self::Rsa(RsaKey::generate(KeySize::Rsa2048)?),
            "ES256" => Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
            _ => Self::Ed(Ed25519KeyPair::generate()?),
        })
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Secret(_) => "HS256",
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Secret(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text).as_ref().to_vec()
            }
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature)?;
                signature
            }
            Self::Ec(key) => key.sign(&SystemRandom::new(), text)?.as_ref().to_vec(),
            Self::Ed(key) => key.sign(text).as_ref().to_vec(),
        })
    }

    /// The members of the key that others may know; of a secret, all.
    fn jwk(&self) -> Result<Value> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Ok(match self {
            Self::Secret(secret) => json!({"kty": "oct", "k": encode(secret)}),
            Self::Rsa(key) => {
                let (modulus, exponent) = public_numbers(key.public_key().as_ref())?;
                json!({"kty": "RSA", "n": encode(modulus), "e": encode(exponent)})
            }
            Self::Ec(key) => {
                // One byte says that both coordinates follow (SEC 1 §2.3.3).
                let point = key.public_key().as_ref().split_at_checked(33);
                let (x, y) = point.context("a point that is too short")?;
                json!({"crv": "P-256", "kty": "EC", "x": encode(&x[1..]), "y": encode(y)})
            }
            Self::Ed(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref())})
            }
        })
    }

    /// What a file for HAProxy holds, or the secret itself.
    fn public_pem(&self) -> Result<String> {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Secret(secret) => return Ok(String::from_utf8(secret.clone())?),
            Self::Rsa(key) => key.public_key().as_der()?,
            Self::Ec(key) => key.public_key().as_der()?,
            Self::Ed(key) => key.public_key().as_der()?,
        };
        Ok(pem("PUBLIC KEY", der.as_ref()))
    }

    fn token(&self, header: Value, claims: &Value) -> Result<String> {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut header = header;
        header["alg"] = self.algorithm().into();
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())?);
        Ok(format!("{signed}.{signature}"))
    }
}

/// Thirty-two letters that nobody guesses.
fn random() -> String {
    let mut bytes = [0; 24];
    // A key that is not random fails the start of the gateway, which refuses such.
    let _ = fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a token says, for one who is to be refused with something wrong.
#[derive(Clone, Copy)]
pub(super) struct Says<'a> {
    pub(super) subject: &'a str,
    pub(super) issuer: &'a str,
    pub(super) audience: &'a str,
    /// Seconds from now.
    pub(super) expires_in: i64,
    /// Tells tokens of one subject apart.
    pub(super) number: usize,
}

impl<'a> Says<'a> {
    /// What all contenders accept.
    pub(super) fn good(subject: &'a str) -> Self {
        let (issuer, audience) = (ISSUER, AUDIENCE);
        Self { subject, issuer, audience, expires_in: LIFETIME, number: 0 }
    }
}

/// A proof of possession, for one that is to be refused with something wrong.
#[derive(Clone, Copy)]
pub(super) struct Proof<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    /// The token that it is made for.
    pub(super) token: &'a str,
    /// Seconds from now.
    pub(super) made: i64,
}

impl<'a> Proof<'a> {
    /// One that is accepted with its token.
    pub(super) fn good(token: &'a str) -> Self {
        Self { method: "GET", target: TARGET, token, made: 0 }
    }
}

/// The keys of a means, and what they were used for so far.
pub(super) struct Credentials {
    means: Means,
    signer: Option<Signer>,
    holder: Signer,
    thumbprint: String,
    tokens: Vec<String>,
    /// What API keys begin with, or other secrets of consumers.
    secret: String,
}

impl Credentials {
    /// Fresh keys.
    pub(super) fn generate(means: Means) -> Result<Self> {
        let signer = means.algorithm().map(Signer::generate).transpose()?;
        let holder = Signer::generate("ES256")?;
        // The members that count, in the order of their names (RFC 7638 §3).
        let thumbprint =
            URL_SAFE_NO_PAD.encode(digest(&SHA256, holder.jwk()?.to_string().as_bytes()));
        let secret = match &signer {
            Some(Signer::Secret(secret)) => String::from_utf8(secret.clone())?,
            _ => random(),
        };
        let mut this = Self { means, signer, holder, thumbprint, tokens: Vec::new(), secret };
        for number in 0..CONSUMERS * TOKENS {
            let name = consumer(number % CONSUMERS);
            let token = match means {
                Means::Introspection => format!("opaque-{}", random()),
                _ => this.token(Says { number, ..Says::good(&name) })?,
            };
            this.tokens.push(token);
        }
        Ok(this)
    }

    /// The secret that the consumers' own begin with.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// Writes `key-….jwks` and `key-….pem`, where tokens are signed.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let Some(signer) = &self.signer else { return Ok(()) };
        let mut jwk = signer.jwk()?;
        for (name, value) in [("kid", "bench"), ("use", "sig"), ("alg", signer.algorithm())] {
            jwk[name] = value.into();
        }
        let name = |ending: &str| folder.join(format!("key-{:?}.{ending}", self.means));
        fs::write(name("jwks"), json!({"keys": [jwk]}).to_string())?;
        fs::write(name("pem"), signer.public_pem()?)?;
        Ok(())
    }

    /// A token that says this; empty where there are none.
    pub(super) fn token(&self, says: Says<'_>) -> Result<String> {
        let Some(signer) = &self.signer else { return Ok(String::new()) };
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut claims = json!({
            "iss": says.issuer, "aud": says.audience, "sub": says.subject,
            "scope": "profile orders:read", "iat": now, "exp": now + says.expires_in,
            "jti": format!("{:08}", says.number),
        });
        if self.means == Means::Dpop {
            claims["cnf"] = json!({"jkt": self.thumbprint});
        }
        signer.token(json!({"typ": "JWT", "kid": "bench"}), &claims)
    }

    /// A proof of possession, as no other is.
    pub(super) fn proof(&self, proof: Proof<'_>) -> Result<String> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let hash = digest(&SHA256, proof.token.as_bytes());
        let header = json!({"typ": "dpop+jwt", "jwk": self.holder.jwk()?});
        let claims = json!({
            "jti": random(), "htm": proof.method, "htu": proof.target, "iat": now + proof.made,
            "ath": URL_SAFE_NO_PAD.encode(hash),
        });
        self.holder.token(header, &claims)
    }

    /// The requests of a round, sent in turn. Of those with proofs there are as many as are sent,
    /// for each is good once.
    pub(super) fn requests(&self, count: usize) -> Result<Vec<Request>> {
        match self.means {
            Means::Mtls | Means::MtlsNew => Ok(vec![Request::get(PATH)]),
            Means::ApiKey => {
                Ok((0..CONSUMERS).map(|n| with_key(&self.api_key(&consumer(n)))).collect())
            }
            Means::Dpop => {
                let tokens = self.tokens.iter().cycle().take(count);
                tokens.map(|token| self.with_proof(token, Proof::good(token))).collect()
            }
            _ => Ok(self.tokens.iter().map(|token| with_token("Bearer", token)).collect()),
        }
    }

    /// A request with a token and a proof.
    pub(super) fn with_proof(&self, token: &str, proof: Proof<'_>) -> Result<Request> {
        let mut request = with_token("DPoP", token);
        request.headers.push(("DPoP".into(), self.proof(proof)?));
        Ok(request)
    }

    /// The key of a consumer.
    pub(super) fn api_key(&self, consumer: &str) -> String {
        format!("{}{consumer}", self.secret)
    }

    /// A good token.
    pub(super) fn good(&self) -> &str {
        self.tokens.first().map_or("", String::as_str)
    }
}

/// A request with a token.
pub(super) fn with_token(scheme: &str, token: &str) -> Request {
    let mut request = Request::get(PATH);
    request.headers.push(("Authorization".into(), format!("{scheme} {token}")));
    request
}

/// A request with an API key.
pub(super) fn with_key(key: &str) -> Request {
    let mut request = Request::get(PATH);
    request.headers.push(("apikey".into(), key.to_owned()));
    request
}

/// A request with the opaque token that the issuer withdrew.
pub(super) fn withdrawn() -> Request {
    with_token("Bearer", WITHDRAWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(token: &str) -> Value {
        let payload = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }

    #[test]
    fn no_two_tokens_are_the_same_and_each_consumer_has_some() {
        let made = Credentials::generate(Means::Es256).unwrap();
        let distinct: std::collections::BTreeSet<&String> = made.tokens.iter().collect();
        assert_eq!(distinct.len(), CONSUMERS * TOKENS);
        let subjects: std::collections::BTreeSet<String> =
            made.tokens.iter().map(|token| claims(token)["sub"].to_string()).collect();
        assert_eq!(subjects.len(), CONSUMERS);
    }

    #[test]
    fn each_request_has_a_proof_of_its_own_for_its_own_token() {
        let made = Credentials::generate(Means::Dpop).unwrap();
        let requests = made.requests(3).unwrap();
        let field = |request: &Request, name: &str| {
            let found = request.headers.iter().find(|(own, _)| own == name);
            found.map(|(_, value)| value.clone()).unwrap()
        };
        let ids: std::collections::BTreeSet<String> = requests
            .iter()
            .map(|request| claims(&field(request, "DPoP"))["jti"].to_string())
            .collect();
        assert_eq!(ids.len(), 3);
        for request in &requests {
            let token = field(request, "Authorization").replace("DPoP ", "");
            let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
            assert_eq!(claims(&field(request, "DPoP"))["ath"], hash);
            assert_eq!(claims(&token)["cnf"]["jkt"], made.thumbprint);
        }
    }

    #[test]
    fn keys_are_told_in_the_forms_that_proxies_read() {
        for algorithm in ["RS256", "ES256", "EdDSA"] {
            let signer = Signer::generate(algorithm).unwrap();
            assert_eq!(signer.algorithm(), algorithm);
            assert!(signer.public_pem().unwrap().starts_with("-----BEGIN PUBLIC KEY-----"));
            assert!(signer.jwk().unwrap().get("k").is_none(), "{algorithm}");
        }
        let secret = Signer::generate("HS256").unwrap();
        assert_eq!(secret.public_pem().unwrap().len(), 32);
    }
}
