//! Proofs that somebody has a private key: signed tokens that bring their public key along (RFC 9449
//! §4.2). They prove nothing by themselves: what counts is whose key it is.

use bartizan_core::Timestamp;
use serde_json::{Map, Value};

use super::json::{JsonFault, JsonLimits, parse_object};
use super::jwk::{parse_key, thumbprint};
use super::token::decode;
use super::{Algorithm, AlgorithmSet, Claims, HEADER_MAX, KeyFault, TokenFault};

/// Longest proof that is looked at.
pub(crate) const PROOF_MAX: usize = 8 * 1024;
const HEADER_LIMITS: JsonLimits = JsonLimits { depth: 4, items: 64 };
const SIGNATURE_MAX: usize = 1024;
/// What a proof says that it is (RFC 9449 §4.2).
const TYPE: &str = "dpop+jwt";
/// Members of a JWK that are nobody else's business (RFC 7518 §6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Members of a header that name keys elsewhere, or change what is signed.
const FORBIDDEN: [&str; 9] = ["crit", "jku", "x5u", "x5c", "x5t", "x5t#S256", "enc", "zip", "b64"];

/// Why something is no proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// It is longer than 8 KiB.
    #[error("the proof is too long")]
    TooLong,
    /// Its form is not that of a signed token.
    #[error("the proof is no signed token: {0}")]
    Form(TokenFault),
    /// Its header is not strict JSON.
    #[error("the proof's header is {0}")]
    Header(JsonFault),
    /// Its payload is not strict JSON.
    #[error("the proof's payload is {0}")]
    Payload(JsonFault),
    /// It is another kind of token.
    #[error("the proof's `typ` is not `dpop+jwt`")]
    Type,
    /// It is unsigned, signed with a secret, or with what is not allowed.
    #[error("the proof's `alg` is not allowed here")]
    Algorithm,
    /// Its header has what no proof may have.
    #[error("the proof's header has `{0}`, which is never accepted")]
    Forbidden(&'static str),
    /// Its key is none, or none that can verify it.
    #[error("the proof's `jwk` cannot be used: {0}")]
    Key(KeyFault),
    /// Its signature is not that of its key.
    #[error("the proof's signature does not verify")]
    Signature,
    /// A claim is missing or has another type.
    #[error("the proof's `{0}` is missing or malformed")]
    Claim(&'static str),
}

/// A proof as it was sent: it says which key it is of, and nobody has verified that.
#[derive(Debug)]
pub struct ShownProof<'t> {
    signed: &'t str,
    signature: &'t str,
    algorithm: Algorithm,
    jwk: Map<String, Value>,
    thumbprint: String,
}

impl<'t> ShownProof<'t> {
    /// Reads the header of a proof, which must bring along a public key for one of `allowed`.
    pub fn read(text: &'t str, allowed: AlgorithmSet) -> Result<Self, ProofFault> {
        if text.len() > PROOF_MAX {
            return Err(ProofFault::TooLong);
        }
        let not_three = || ProofFault::Form(TokenFault::NotThreeParts);
        let (signed, signature) = text.rsplit_once('.').ok_or_else(not_three)?;
        let (header, payload) = signed.split_once('.').ok_or_else(not_three)?;
        if payload.contains('.') {
            return Err(not_three());
        }
        let header = decode(header, "header", HEADER_MAX).map_err(ProofFault::Form)?;
        let header = parse_object(&header, HEADER_LIMITS).map_err(ProofFault::Header)?.object;
        let (algorithm, jwk) = read_header(&header, allowed)?;
        let thumbprint = thumbprint(jwk).ok_or(ProofFault::Key(KeyFault::Member("kty")))?;
        Ok(Self { signed, signature, algorithm, jwk: jwk.clone(), thumbprint })
    }

    /// The thumbprint of the key that it brings along (RFC 7638, SHA-256, base64url).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Verifies it under this key.
    pub fn verify(self) -> Result<Proof, ProofFault> {
        let signature =
            decode(self.signature, "signature", SIGNATURE_MAX).map_err(ProofFault::Form)?;
        let payload = self.signed.split_once('.').map_or("", |(_, payload)| payload);
        let payload = decode(payload, "payload", PROOF_MAX).map_err(ProofFault::Form)?;
        let claims = Claims::parse(&payload).map_err(ProofFault::Payload)?;
        let key = parse_key(&Value::Object(self.jwk), self.algorithm.into());
        let key = key.map_err(ProofFault::Key)?;
        key.verify_signature(self.algorithm, self.signed, &signature)
            .map_err(|_| ProofFault::Signature)?;
        Ok(Proof { claims })
    }
}

/// A proof whose key has signed it. Whose key it is and what the proof was made for is the caller's
/// to judge.
#[derive(Debug)]
pub struct Proof {
    claims: Claims,
}

impl Proof {
    /// A claim that is a text.
    pub fn text(&self, name: &'static str) -> Result<&str, ProofFault> {
        self.claims.claim(name).and_then(Value::as_str).ok_or(ProofFault::Claim(name))
    }

    /// True if there is a claim of this name, whatever it is.
    pub fn has(&self, name: &str) -> bool {
        self.claims.claim(name).is_some()
    }

    /// When it was made.
    pub fn issued(&self) -> Result<Timestamp, ProofFault> {
        self.claims.issued().ok().flatten().ok_or(ProofFault::Claim("iat"))
    }
}

fn read_header(
    header: &Map<String, Value>,
    allowed: AlgorithmSet,
) -> Result<(Algorithm, &Map<String, Value>), ProofFault> {
    if let Some(name) = FORBIDDEN.into_iter().find(|name| header.contains_key(*name)) {
        return Err(ProofFault::Forbidden(name));
    }
    if header.get("typ").and_then(Value::as_str) != Some(TYPE) {
        return Err(ProofFault::Type);
    }
    let name = header.get("alg").and_then(Value::as_str);
    let algorithm: Option<Algorithm> = name.and_then(|name| name.parse().ok());
    // Whatever is allowed, a secret that both sides know proves nothing.
    let allowed = allowed.and(AlgorithmSet::asymmetric());
    let algorithm = algorithm.filter(|algorithm| allowed.contains(*algorithm));
    let algorithm = algorithm.ok_or(ProofFault::Algorithm)?;
    let jwk = header.get("jwk").and_then(Value::as_object);
    let jwk = jwk.ok_or(ProofFault::Key(KeyFault::Member("jwk")))?;
    if PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
        return Err(ProofFault::Key(KeyFault::PrivateKey));
    }
    Ok((algorithm, jwk))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_the_standard() {
        // The example of RFC 7638 §3.1.
        let jwk = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        });
        let made = thumbprint(jwk.as_object().unwrap()).unwrap();
        assert_eq!(made, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_example_of_the_standard_verifies() {
        // RFC 9449 §4.1, figure 2.
        let text = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
        let shown = ShownProof::read(text, AlgorithmSet::asymmetric()).unwrap();
        assert_eq!(shown.thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
        let proof = shown.verify().unwrap();
        assert_eq!(proof.text("htm"), Ok("POST"));
        assert_eq!(proof.issued(), Ok(Timestamp::from_secs(1_562_262_616)));
        assert_eq!(proof.text("ath"), Err(ProofFault::Claim("ath")));
        let none = ShownProof::read(text, Algorithm::EdDsa.into());
        assert_eq!(none.err(), Some(ProofFault::Algorithm));
    }

    #[test]
    fn headers_that_no_proof_may_have_are_refused_before_any_cryptography() {
        let jwk = r#"{"kty":"EC","crv":"P-256","x":"x","y":"y"}"#;
        let with = |header: String| {
            let text = format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header));
            ShownProof::read(&text, AlgorithmSet::asymmetric()).unwrap_err()
        };
        for name in FORBIDDEN {
            let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{jwk},"{name}":1}}"#);
            assert_eq!(with(header), ProofFault::Forbidden(name));
        }
        for typ in ["jwt", "JWT", "at+jwt", "DPOP+JWT", "application/dpop+jwt", ""] {
            let header = format!(r#"{{"typ":"{typ}","alg":"ES256","jwk":{jwk}}}"#);
            assert_eq!(with(header), ProofFault::Type, "{typ}");
        }
        for alg in ["none", "None", "HS256", "HS512", "es256", "ES256K", ""] {
            let header = format!(r#"{{"typ":"dpop+jwt","alg":"{alg}","jwk":{jwk}}}"#);
            assert_eq!(with(header), ProofFault::Algorithm, "{alg}");
        }
        for name in PRIVATE {
            let jwk = format!(r#"{{"kty":"EC","crv":"P-256","x":"x","y":"y","{name}":"AA"}}"#);
            let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{jwk}}}"#);
            assert_eq!(with(header), ProofFault::Key(KeyFault::PrivateKey), "{name}");
        }
        let header = r#"{"typ":"dpop+jwt","alg":"ES256"}"#.to_owned();
        assert_eq!(with(header), ProofFault::Key(KeyFault::Member("jwk")));
    }

    #[test]
    fn a_proof_of_the_greatest_length_is_read_and_no_longer_one() {
        let header =
            r#"{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"x","y":"y"}}"#;
        let header = URL_SAFE_NO_PAD.encode(header);
        for (length, is_read) in [(PROOF_MAX - 1, true), (PROOF_MAX, true), (PROOF_MAX + 1, false)]
        {
            let payload = "A".repeat(length - header.len() - ".".len() - ".AAAA".len());
            let text = format!("{header}.{payload}.AAAA");
            let told = ShownProof::read(&text, AlgorithmSet::asymmetric()).map(drop);
            let expected = if is_read { Ok(()) } else { Err(ProofFault::TooLong) };
            assert_eq!((text.len(), told), (length, expected));
        }
    }
}
