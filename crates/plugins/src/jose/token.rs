//! A token in compact form: split, decoded strictly, its header read. Not yet believed.
//!
//! The encoding is canonical: base64url without padding, whitespace or loose trailing bits
//! (RFC 7515 §2), so that there is one text per token and nothing can be changed in it unseen.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bartizan_core::Reason;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json::{JsonFault, JsonLimits, parse_object};
use super::known::KnownHeader;
use super::{Algorithm, Claims, HEADER_MAX, KID_MAX, TOKEN_MAX};

const HEADER_LIMITS: JsonLimits = JsonLimits { depth: 8, items: 64 };
/// A signature under the largest RSA key, 8192 bits.
const SIGNATURE_MAX: usize = 1024;

/// Why a token is not a valid signed token, whatever it claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It is longer than [`TOKEN_MAX`].
    #[error("the token is longer than {TOKEN_MAX} bytes")]
    TooLong,
    /// It is not three parts with two dots between them.
    #[error("the token does not have three parts")]
    NotThreeParts,
    /// A part is empty; without a signature nothing is signed.
    #[error("the token's {0} is empty")]
    EmptyPart(&'static str),
    /// A part is not canonical base64url.
    #[error("the token's {0} is not canonical base64url")]
    Encoding(&'static str),
    /// A part decodes to more than it may have.
    #[error("the token's {0} is too long")]
    PartTooLong(&'static str),
    /// The header is not strict JSON.
    #[error("the token's header is {0}")]
    Header(JsonFault),
    /// The payload is not strict JSON.
    #[error("the token's payload is {0}")]
    Payload(JsonFault),
    /// A member of the header has the wrong type or length.
    #[error("the token's header has an unusable `{0}`")]
    HeaderMember(&'static str),
    /// A member of the header that would change what is verified, or with which key.
    #[error("the token's header has `{0}`, which is never accepted")]
    ForbiddenMember(&'static str),
    /// `alg` is `none` in some spelling.
    #[error("the token is unsigned")]
    Unsigned,
    /// `alg` names no algorithm of ours.
    #[error("the token's algorithm is not supported")]
    UnknownAlgorithm,
    /// `typ` is not what the route accepts.
    #[error("the token's `typ` is not accepted")]
    Type,
    /// The key is bound to other algorithms than the header says.
    #[error("the token is signed with `{0}`, for which the key is not meant")]
    AlgorithmNotOfKey(Algorithm),
    /// No key has the header's `kid` and algorithm.
    #[error("no key fits the token's `kid` and algorithm")]
    NoKey,
    /// Several keys would fit.
    #[error("more than one key fits the token")]
    AmbiguousKey,
    /// The signature does not verify.
    #[error("the token's signature does not verify")]
    Signature,
}

impl TokenFault {
    /// The public reason. All of them are 401.
    pub fn reason(self) -> Reason {
        match self {
            Self::UnknownAlgorithm
            | Self::Unsigned
            | Self::Type
            | Self::AlgorithmNotOfKey(_)
            | Self::NoKey
            | Self::AmbiguousKey
            | Self::Signature => Reason::InvalidCredential,
            _ => Reason::MalformedCredential,
        }
    }
}

/// What is read of a token's header. Everything else in it is ignored (RFC 7515 §4) or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    algorithm: Algorithm,
    kid: Option<Box<str>>,
    typ: Option<Box<str>>,
}

impl Header {
    /// The algorithm that the token says it is signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The name of the key that the token says it is signed with.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The media type that the token says it is.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    fn parse(text: &[u8]) -> Result<Self, TokenFault> {
        let members = parse_object(text, HEADER_LIMITS).map_err(TokenFault::Header)?.object;
        // Keys and places of keys that the token brings along are the forger's choice (RFC 8725
        // §3.10); `x5c` is only informative and never read. Extensions must be understood or
        // refused (RFC 7515 §4.1.11), and none is. `enc` and `zip` belong to encrypted tokens.
        for name in ["crit", "jwk", "jku", "x5u", "enc", "zip"] {
            // A few names are compared sooner than hashed.
            if members.keys().any(|member| member == name) {
                return Err(TokenFault::ForbiddenMember(name));
            }
        }
        if !matches!(members.get("b64"), None | Some(Value::Bool(true))) {
            return Err(TokenFault::ForbiddenMember("b64"));
        }
        let name = text_of(&members, "alg")?.ok_or(TokenFault::HeaderMember("alg"))?;
        if name.eq_ignore_ascii_case("none") {
            return Err(TokenFault::Unsigned);
        }
        let algorithm = name.parse().map_err(|_| TokenFault::UnknownAlgorithm)?;
        let (kid, typ) = (text_of(&members, "kid")?, text_of(&members, "typ")?);
        Ok(Self { algorithm, kid: kid.map(Into::into), typ: typ.map(Into::into) })
    }
}

fn text_of<'m>(
    members: &'m Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'m str>, TokenFault> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= KID_MAX => Ok(Some(text)),
        Some(_) => Err(TokenFault::HeaderMember(name)),
    }
}

/// A token whose form is right. What it says is hearsay until a key has verified it.
#[derive(Debug)]
pub struct Token<'t> {
    pub(super) text: &'t str,
    pub(super) signed: &'t str,
    pub(super) header: Arc<Header>,
    header_text: &'t str,
    known: Option<&'t KnownHeader>,
    pub(super) signature: Vec<u8>,
    payload: &'t str,
    claims: Option<Claims>,
}

impl<'t> Token<'t> {
    /// Reads a token, without any `Bearer` before it.
    pub fn parse(text: &'t str) -> Result<Self, TokenFault> {
        Self::read(text, None)
    }

    /// The same; a header that is known already is not read again.
    pub fn parse_knowing(text: &'t str, known: &'t KnownHeader) -> Result<Self, TokenFault> {
        Self::read(text, Some(known))
    }

    fn read(text: &'t str, known: Option<&'t KnownHeader>) -> Result<Self, TokenFault> {
        if text.len() > TOKEN_MAX {
            return Err(TokenFault::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenFault::NotThreeParts)?;
        let (header_text, payload) = signed.split_once('.').ok_or(TokenFault::NotThreeParts)?;
        if payload.contains('.') {
            return Err(TokenFault::NotThreeParts);
        }
        let header = match known.and_then(|known| known.of(header_text)) {
            Some(header) => header,
            None => Arc::new(Header::parse(&decode(header_text, "header", HEADER_MAX)?)?),
        };
        if payload.is_empty() {
            return Err(TokenFault::EmptyPart("payload"));
        }
        let signature = decode(signature, "signature", SIGNATURE_MAX)?;
        Ok(Self { text, signed, header, header_text, known, signature, payload, claims: None })
    }

    /// The header, which nobody has vouched for.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The claims, which nobody has vouched for: to find the key by, and for nothing else.
    pub fn unverified_claims(&mut self) -> Result<&Claims, TokenFault> {
        let claims = match self.claims.take() {
            Some(claims) => claims,
            None => self.read_claims()?,
        };
        Ok(self.claims.insert(claims))
    }

    /// Header and claims, which nobody has vouched for: to find the key by, and for nothing else.
    pub fn unverified(&mut self) -> Result<(&Header, &Claims), TokenFault> {
        self.unverified_claims()?;
        let claims = self.claims.as_ref().ok_or(TokenFault::EmptyPart("payload"))?;
        Ok((&self.header, claims))
    }

    /// Header and claims, for the key that has verified the signature.
    pub(super) fn into_parts(mut self) -> Result<(Arc<Header>, Claims), TokenFault> {
        let claims = match self.claims.take() {
            Some(claims) => claims,
            None => self.read_claims()?,
        };
        if let Some(known) = self.known {
            known.learn(self.header_text, &self.header);
        }
        Ok((self.header, claims))
    }

    fn read_claims(&self) -> Result<Claims, TokenFault> {
        let payload = decode(self.payload, "payload", TOKEN_MAX)?;
        Claims::parse(&payload).map_err(TokenFault::Payload)
    }
}

/// Decodes canonical base64url of at least one and at most `max` bytes.
pub(super) fn decode(text: &str, part: &'static str, max: usize) -> Result<Vec<u8>, TokenFault> {
    if text.is_empty() {
        return Err(TokenFault::EmptyPart(part));
    }
    // Four characters carry three bytes, and what remains of them as much as its bits do.
    if text.len().saturating_mul(3) / 4 > max {
        return Err(TokenFault::PartTooLong(part));
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenFault::Encoding(part))
}
