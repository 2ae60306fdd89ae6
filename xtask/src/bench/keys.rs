//! What all compared proxies share: one certificate, one key set, one set of tokens.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use time::OffsetDateTime;

/// Who issues the tokens.
pub(crate) const ISSUER: &str = "https://id.example.com";
/// Whom they are for.
pub(crate) const AUDIENCE: &str = "orders-api";
/// What they allow.
pub(crate) const SCOPE: &str = "profile orders:read";

/// Seconds that a token lasts: longer than any run.
const LIFETIME: i64 = 24 * 3600;

/// Writes `ca.pem`, `cert.pem`, `key.pem` and `both.pem`: a P-256 certificate for `localhost`.
pub(crate) fn write_certificate(folder: &Path) -> Result<()> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "bench authority");
    let key = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let authority = CertifiedIssuer::self_signed(authority, key)?;

    let server = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let key = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = server.signed_by(&key, &authority)?;

    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    fs::write(folder.join("ca.pem"), authority.pem())?;
    fs::write(folder.join("cert.pem"), &certificate)?;
    fs::write(folder.join("key.pem"), &key)?;
    fs::write(folder.join("both.pem"), format!("{certificate}{key}"))?;
    Ok(())
}

/// The identity provider of the secured route.
pub(crate) struct Issuer {
    key: RsaKey,
}

/// What a token says that can be wrong.
#[derive(Clone, Copy)]
pub(crate) struct Claims<'a> {
    pub(crate) subject: &'a str,
    pub(crate) audience: &'a str,
    pub(crate) scope: &'a str,
    /// Seconds from now.
    pub(crate) expires_in: i64,
}

impl<'a> Claims<'a> {
    /// Claims that the secured route accepts.
    pub(crate) fn good(subject: &'a str) -> Self {
        Self { subject, audience: AUDIENCE, scope: SCOPE, expires_in: LIFETIME }
    }
}

impl Issuer {
    /// Makes a key of 2048 bits.
    pub(crate) fn generate() -> Result<Self> {
        Ok(Self { key: RsaKey::generate(KeySize::Rsa2048).context("cannot make an RSA key")? })
    }

    /// Writes `jwks.json`, `public.pem` and `private.pem`.
    pub(crate) fn write_keys(&self, folder: &Path) -> Result<()> {
        let public: PublicKeyX509Der<'_> = self.key.public_key().as_der()?;
        fs::write(folder.join("public.pem"), pem("PUBLIC KEY", public.as_ref()))?;
        let private: Pkcs8V1Der<'_> = self.key.as_der()?;
        fs::write(folder.join("private.pem"), pem("PRIVATE KEY", private.as_ref()))?;
        let (modulus, exponent) = public_numbers(self.key.public_key().as_ref())?;
        let keys = json!({"keys": [{
            "kty": "RSA", "kid": "bench", "use": "sig", "alg": "RS256",
            "n": URL_SAFE_NO_PAD.encode(modulus), "e": URL_SAFE_NO_PAD.encode(exponent),
        }]});
        fs::write(folder.join("jwks.json"), keys.to_string())?;
        Ok(())
    }

    /// Signs a token.
    pub(crate) fn token(&self, claims: Claims<'_>) -> Result<String> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": "bench"});
        let payload = json!({
            "iss": ISSUER, "aud": claims.audience, "sub": claims.subject, "scope": claims.scope,
            "iat": now, "exp": now + claims.expires_in,
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&payload));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .context("cannot sign")?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Modulus and exponent in an `RSAPublicKey` (RFC 8017 §A.1.1) of 2048 bits and exponent 65537,
/// whose lengths are fixed.
pub(super) fn public_numbers(der: &[u8]) -> Result<(&[u8], &[u8])> {
    let starts = der.starts_with(&[0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00]);
    ensure!(starts && der.len() == 270, "an RSA key that is not of the usual form");
    Ok((&der[9..265], &der[267..270]))
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap_or_default())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_its_numbers() {
        let issuer = Issuer::generate().unwrap();
        let (modulus, exponent) = public_numbers(issuer.key.public_key().as_ref()).unwrap();
        assert_eq!((modulus.len(), exponent), (256, &[1, 0, 1][..]));
    }

    #[test]
    fn tokens_have_three_parts_and_say_who() {
        let token = Issuer::generate().unwrap().token(Claims::good("consumer-01")).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3);
        let payload = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
        assert!(String::from_utf8(payload).unwrap().contains(r#""sub":"consumer-01""#));
    }
}
