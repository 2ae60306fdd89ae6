//! What is configured.

use std::time::Duration;

use bartizan_chain::{BodyNeed, CredentialEntry};
use bartizan_config::Invalid;
use bartizan_core::{Limits, Secret, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use super::base::is_component;
use super::structured::is_key;
use crate::authenticate::carrier::Realm;
use crate::authenticate::token::within;
use crate::jose::{Algorithm, KeyFault, SecretStrength, VerificationKey};

/// What must be signed where configuration says nothing: what the request asks for, and of whom.
const COMPONENTS: [&str; 4] = ["@method", "@authority", "@path", "@query"];
pub(super) const KEY_ID_MAX: usize = 256;
/// How old a signature may be, unless configuration says another.
const MAX_AGE: Duration = Duration::from_secs(300);
/// How far in the future it may have been made.
const LEEWAY: Duration = Duration::from_secs(5);
const LABEL_MAX: usize = 64;
const TAG_MAX: usize = 256;

/// The configuration of `http-signature`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "switches that a configuration has by name")]
pub struct Config {
    /// What must be signed: names of fields, and `@method`, `@target-uri`, `@authority`, `@scheme`,
    /// `@request-target`, `@path`, `@query` and `@query-param;name="id"` for the parameter `id` of the
    /// query, its name encoded. What is part of something that is signed counts, and the whole query
    /// for each of its parameters.
    /// `@method`, `@authority`, `@path` and `@query` if left out.
    #[schemars(length(min = 1, max = 32))]
    components: Option<Vec<String>>,
    /// The label of the signature that counts, where clients send several.
    #[schemars(length(min = 1, max = LABEL_MAX))]
    pub(super) label: Option<String>,
    /// The `tag` that a signature must have: what it is for.
    #[schemars(length(min = 1, max = TAG_MAX))]
    pub(super) tag: Option<String>,
    /// How old a signature may be, `1s` to `24h`; `5m` if left out. The node remembers those of all
    /// routes for the greatest of them.
    max_age: Option<Span>,
    /// How far in the future a signature may have been made, `60s` at most; `5s` if left out.
    leeway: Option<Span>,
    /// Whether a signature must say when it expires. What it says counts in any case.
    #[serde(default)]
    pub(super) require_expires: bool,
    /// Whether a signature must have a `nonce`, so that no two requests are signed alike.
    #[serde(default)]
    pub(super) require_nonce: bool,
    /// Whether the body must be the one whose digest is signed in `Content-Digest` (RFC 9530). A
    /// request without a body needs none.
    #[serde(default = "yes")]
    content_digest: bool,
    /// The largest body that is compared, in bytes; `limits.inspected_body` if not given. With
    /// `content_digest`.
    #[schemars(range(min = 1))]
    max_req_body_size: Option<u64>,
    /// Whether each signature is good for one request only.
    #[serde(default = "yes")]
    pub(super) refuse_replays: bool,
    /// Whether the signature is taken out of what the upstream sees.
    #[serde(default = "yes")]
    pub(super) hide_credentials: bool,
    /// The realm that a 401 names; `signature` if left out.
    pub(super) realm: Option<Realm>,
    /// The consumer that callers without a valid signature become.
    #[schemars(length(min = 1))]
    pub(super) anonymous_consumer: Option<String>,
}

fn yes() -> bool {
    true
}

/// A way to sign (RFC 9421 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum SignatureAlgorithm {
    /// HMAC with SHA-256.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// Ed25519.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ecdsa-p256-sha256")]
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384.
    #[serde(rename = "ecdsa-p384-sha384")]
    EcdsaP384,
    /// RSASSA-PSS with SHA-512.
    #[serde(rename = "rsa-pss-sha512")]
    RsaPss,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "rsa-v1_5-sha256")]
    RsaPkcs1,
}

impl SignatureAlgorithm {
    /// The same in JSON web signatures, whose forms of signatures are the same.
    fn jose(self) -> Algorithm {
        match self {
            Self::HmacSha256 => Algorithm::Hs256,
            Self::Ed25519 => Algorithm::EdDsa,
            Self::EcdsaP256 => Algorithm::Es256,
            Self::EcdsaP384 => Algorithm::Es384,
            Self::RsaPss => Algorithm::Ps512,
            Self::RsaPkcs1 => Algorithm::Rs256,
        }
    }

    /// Its name in `alg`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256-sha256",
            Self::EcdsaP384 => "ecdsa-p384-sha384",
            Self::RsaPss => "rsa-pss-sha512",
            Self::RsaPkcs1 => "rsa-v1_5-sha256",
        }
    }
}

/// The key of a consumer or credential.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerConfig {
    /// The name of the key, which signatures say. It belongs to one consumer only.
    #[schemars(length(min = 1, max = KEY_ID_MAX))]
    key_id: String,
    /// How requests are signed. No signature chooses it.
    algorithm: SignatureAlgorithm,
    /// The secret of `hmac-sha256`, at least 32 bytes.
    secret: Option<Secret>,
    /// The public key of the other algorithms, in PEM: a public key or a certificate.
    #[schemars(length(min = 1), extend("x-reference" = true))]
    public_key: Option<String>,
}

/// A key as the credential index holds it.
pub(super) struct SignatureKey {
    key: VerificationKey,
    pub(super) algorithm: SignatureAlgorithm,
}

impl SignatureKey {
    /// Whether the signature is that of the text.
    pub(super) fn verifies(&self, base: &str, signature: &[u8]) -> bool {
        self.key.verify_signature(self.algorithm.jose(), base, signature).is_ok()
    }
}

impl ConsumerConfig {
    pub(super) fn entry(self) -> Result<CredentialEntry, Invalid> {
        let is_sendable = |byte: u8| matches!(byte, b' '..=b'~');
        if !(1..=KEY_ID_MAX).contains(&self.key_id.len()) || !self.key_id.bytes().all(is_sendable) {
            let problem = "the name of a key has 1 to 256 visible ASCII characters";
            return Err(Invalid::at("key_id", problem));
        }
        let (algorithm, name) = (self.algorithm.jose(), self.algorithm.name());
        let is_shared = self.algorithm == SignatureAlgorithm::HmacSha256;
        let (unused, is_there) = if is_shared {
            ("public_key", self.public_key.is_some())
        } else {
            ("secret", self.secret.is_some())
        };
        if is_there {
            return Err(Invalid::at(unused, format!("`{name}` has no use for `{unused}`"))
                .with_help("remove it, or choose the `algorithm` that it belongs to"));
        }
        let key = match (&self.secret, &self.public_key) {
            (Some(secret), _) => {
                VerificationKey::from_secret(algorithm, secret, SecretStrength::Full)
                    .map_err(|fault| secret_fault(&fault))
            }
            (None, Some(pem)) => VerificationKey::from_pem(algorithm, pem)
                .map_err(|fault| Invalid::at("public_key", fault.to_string())),
            (None, None) => {
                let needed = if is_shared { "secret" } else { "public_key" };
                Err(Invalid::new(format!("`{name}` needs a `{needed}`")))
            }
        };
        let data = SignatureKey { key: key?, algorithm: self.algorithm };
        Ok(CredentialEntry::new(self.key_id.into_bytes(), data))
    }
}

fn secret_fault(fault: &KeyFault) -> Invalid {
    Invalid::at("secret", fault.to_string()).with_help("`openssl rand -base64 48` makes a good one")
}

impl Config {
    pub(super) fn components(&self) -> Result<Box<[Box<str>]>, Invalid> {
        const KEY: &str = "components";
        let Some(named) = &self.components else {
            return Ok(COMPONENTS.map(Into::into).into());
        };
        if named.is_empty() {
            return Err(Invalid::at(KEY, "a signature over nothing would be good for everything"));
        }
        let wrong = named.iter().enumerate().find(|(_, name)| !is_component(name));
        if let Some((index, name)) = wrong {
            return Err(Invalid::at_item(KEY, index, format!("`{name}` cannot be signed"))
                .with_help(
                    "names of fields are in lower case; a parameter of the query is written \
                     `@query-param;name=\"id\"`, encoded as it is signed",
                ));
        }
        Ok(named.iter().map(|name| name.as_str().into()).collect())
    }

    /// The most that a signature may be old, and in the future.
    pub(super) fn times(&self) -> Result<(Duration, Duration), Invalid> {
        let max_age = self.max_age.map_or(MAX_AGE, |span| span.0);
        let leeway = self.leeway.map_or(LEEWAY, |span| span.0);
        Ok((within("max_age", max_age, 1, 86_400)?, within("leeway", leeway, 0, 60)?))
    }

    /// The label of the signature that counts, in the one form that clients can send.
    pub(super) fn label(&self) -> Result<Option<Box<str>>, Invalid> {
        let Some(label) = &self.label else { return Ok(None) };
        if !(1..=LABEL_MAX).contains(&label.len()) || !is_key(label) {
            let problem = format!("`{label}` is no label that a signature can have");
            return Err(Invalid::at("label", problem).with_help(
                "at most 64 of lower-case letters, digits, `_`, `-`, `.` and `*`, a letter or `*` \
                 first (RFC 9651 §3.2)",
            ));
        }
        Ok(Some(label.as_str().into()))
    }

    /// What a signature must be for.
    pub(super) fn tag(&self) -> Result<Option<Box<str>>, Invalid> {
        let Some(tag) = &self.tag else { return Ok(None) };
        let is_text = tag.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !(1..=TAG_MAX).contains(&tag.len()) || !is_text {
            return Err(Invalid::at("tag", "a tag has 1 to 256 visible ASCII characters")
                .with_help("no signature could have this one"));
        }
        Ok(Some(tag.as_str().into()))
    }

    pub(super) fn body(&self, limits: &Limits) -> Result<BodyNeed, Invalid> {
        const KEY: &str = "max_req_body_size";
        if !self.content_digest {
            return match self.max_req_body_size {
                None => Ok(BodyNeed::None),
                Some(_) => Err(Invalid::at(KEY, "no body is read without `content_digest`")),
            };
        }
        let max = self.max_req_body_size.unwrap_or(limits.inspected_body.0);
        if max > limits.body_max.0 {
            let problem = format!("{max} bytes are more than `limits.body_max` allows");
            return Err(Invalid::at(KEY, problem).with_help(format!("at most {}", limits.body_max)));
        }
        Ok(BodyNeed::Bytes { max: usize::try_from(max).unwrap_or(usize::MAX) })
    }
}
