//! Encrypted tokens in compact form (JWE; RFC 7516), of the one kind that is taken: a shared key
//! used directly (`dir`) with AES-256-GCM (`A256GCM`; RFC 7518 §4.5, §5.3).
//!
//! The algorithms belong to the key and the header may only agree with them, so that a token cannot
//! ask for a weaker one. What would change how it is read is refused: compression (a small token
//! could become a large one), extensions, keys that the token brings along.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bartizan_core::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::json::{JsonFault, JsonLimits, parse_object};
use super::{HEADER_MAX, KID_MAX, TOKEN_MAX};

const HEADER_LIMITS: JsonLimits = JsonLimits { depth: 8, items: 64 };
/// Bytes of a key.
pub const JWE_KEY_LENGTH: usize = 32;
const TAG_LENGTH: usize = 16;

/// Why a token cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JweFault {
    /// It is longer than [`TOKEN_MAX`].
    #[error("the token is longer than {TOKEN_MAX} bytes")]
    TooLong,
    /// It is not five parts with four dots between them.
    #[error("the token does not have five parts")]
    NotFiveParts,
    /// A part is not canonical base64url.
    #[error("the token's {0} is not canonical base64url")]
    Encoding(&'static str),
    /// A part does not have the length that the algorithm needs.
    #[error("the token's {0} has a wrong length")]
    Length(&'static str),
    /// The header is not strict JSON.
    #[error("the token's header is {0}")]
    Header(JsonFault),
    /// A member of the header has the wrong type or length.
    #[error("the token's header has an unusable `{0}`")]
    HeaderMember(&'static str),
    /// A member of the header that would change how the token is read.
    #[error("the token's header has `{0}`, which is never accepted")]
    ForbiddenMember(&'static str),
    /// `alg` or `enc` is another one.
    #[error("the token is not encrypted with `dir` and `A256GCM`")]
    Algorithm,
    /// The header names no key.
    #[error("the token's header names no key")]
    NoKid,
}

/// What the header is bound by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The header is authenticated with the text, as RFC 7516 §5.1 has it.
    Header,
    /// Nothing but the text is, as Apache APISIX makes tokens. The header decides nothing but
    /// which key is tried, so that a changed one opens nothing.
    Nothing,
}

/// A shared key.
pub struct JweKey(LessSafeKey);

impl JweKey {
    /// A key of 32 bytes; `None` for another length.
    pub fn new(secret: &Secret) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, secret.expose()).ok()?;
        (secret.len() == JWE_KEY_LENGTH).then(|| Self(LessSafeKey::new(key)))
    }
}

impl std::fmt::Debug for JweKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JweKey(…)")
    }
}

/// A token whose form is right. Nothing of it is believed before it has been opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Jwe<'t> {
    header: &'t str,
    kid: String,
    nonce: [u8; NONCE_LEN],
    /// The encrypted text, and the tag behind it.
    sealed: Vec<u8>,
}

impl<'t> Jwe<'t> {
    /// Reads a token, without any `Bearer` before it.
    pub fn parse(text: &'t str) -> Result<Self, JweFault> {
        if text.len() > TOKEN_MAX {
            return Err(JweFault::TooLong);
        }
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(JweFault::NotFiveParts);
        let (header, key, nonce, sealed, tag) = (part()?, part()?, part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(JweFault::NotFiveParts);
        }
        let kid = kid(header)?;
        // With `dir` there is no key inside (RFC 7516 §5.2, step 10).
        if !key.is_empty() {
            return Err(JweFault::Length("encrypted key"));
        }
        let nonce = decode(nonce, "initialisation vector")?;
        let nonce = nonce.try_into().map_err(|_| JweFault::Length("initialisation vector"))?;
        let (mut sealed, tag) = (decode(sealed, "ciphertext")?, decode(tag, "tag")?);
        if tag.len() != TAG_LENGTH {
            return Err(JweFault::Length("tag"));
        }
        sealed.extend_from_slice(&tag);
        Ok(Self { header, kid, nonce, sealed })
    }

    /// The name of the key that the token says it is encrypted with.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The text inside, if this key and nobody else's made the token.
    pub fn open(&self, key: &JweKey, binding: Binding) -> Option<Vec<u8>> {
        let bound = match binding {
            Binding::Header => self.header.as_bytes(),
            Binding::Nothing => &[],
        };
        let mut buffer = self.sealed.clone();
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let opened = key.0.open_in_place(nonce, Aad::from(bound), &mut buffer).ok()?.len();
        buffer.truncate(opened);
        Some(buffer)
    }
}

fn kid(header: &str) -> Result<String, JweFault> {
    if header.len() > HEADER_MAX {
        return Err(JweFault::Length("header"));
    }
    let mut members =
        parse_object(&decode(header, "header")?, HEADER_LIMITS).map_err(JweFault::Header)?.object;
    for name in ["crit", "zip", "jwk", "jku", "x5u", "epk", "apu", "apv", "p2s", "p2c"] {
        if members.contains_key(name) {
            return Err(JweFault::ForbiddenMember(name));
        }
    }
    let is = |name: &'static str, wanted: &str| match members.get(name) {
        Some(Value::String(text)) => Ok(text == wanted),
        _ => Err(JweFault::HeaderMember(name)),
    };
    if !(is("alg", "dir")? && is("enc", "A256GCM")?) {
        return Err(JweFault::Algorithm);
    }
    match members.remove("kid") {
        None => Err(JweFault::NoKid),
        Some(Value::String(kid)) if (1..=KID_MAX).contains(&kid.len()) => Ok(kid),
        Some(_) => Err(JweFault::HeaderMember("kid")),
    }
}

fn decode(text: &str, part: &'static str) -> Result<Vec<u8>, JweFault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JweFault::Encoding(part))
}

/// What must hold for every input; called by the fuzzer and by the replay of its corpus.
pub(crate) fn law(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(token) = Jwe::parse(text) else { return };
    assert!((1..=KID_MAX).contains(&token.kid.len()), "a key without a name");
    assert!(token.sealed.len() >= TAG_LENGTH, "nothing to open");
    // There is one text for a token.
    let end = token.sealed.len() - TAG_LENGTH;
    let (sealed, tag) = token.sealed.split_at_checked(end).unwrap_or_default();
    let [nonce, sealed, tag] = [&token.nonce, sealed, tag].map(|part| URL_SAFE_NO_PAD.encode(part));
    assert_eq!(format!("{}..{nonce}.{sealed}.{tag}", token.header), text, "two texts");
    // Nobody has made a token of random bytes with this key.
    if let Some(key) = JweKey::new(&Secret::new([7; JWE_KEY_LENGTH])) {
        for binding in [Binding::Header, Binding::Nothing] {
            assert_eq!(token.open(&key, binding), None, "it opens");
        }
    }
}
