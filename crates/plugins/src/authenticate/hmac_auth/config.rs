//! What is configured.

use bartizan_chain::{BodyNeed, CompileCx, CredentialEntry};
use bartizan_config::Invalid;
use bartizan_core::{Limits, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::params::{KEY_ID_MAX, is_signable};
use super::signing::{MacAlgorithm, MacKeys};
use crate::authenticate::carrier::Realm;
use crate::authenticate::strength;

/// Most seconds that clocks may differ: a day.
const CLOCK_SKEW_MAX: u32 = 86_400;

/// The configuration of `hmac-auth`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How requests may be signed. Left out, `hmac-sha256` and `hmac-sha512`; in compatibility mode
    /// `hmac-sha1` too.
    #[schemars(length(min = 1))]
    allowed_algorithms: Option<Vec<MacAlgorithm>>,
    /// Seconds by which `Date` may differ from the time here.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 1, max = CLOCK_SKEW_MAX))]
    clock_skew: u32,
    /// Headers that have to be signed besides `date` and `@request-target`.
    #[serde(default)]
    signed_headers: Vec<SignedHeader>,
    /// Takes signatures that do not cover method and target: whoever has seen one can send any
    /// other request with it while it is young.
    #[serde(default)]
    pub(super) danger_unsigned_target: bool,
    /// Whether the body must be the one whose SHA-256 the signed header `Digest` holds.
    #[serde(default)]
    validate_request_body: bool,
    /// The largest body that is validated, in bytes; `limits.inspected_body` if not given. With
    /// `validate_request_body`.
    #[schemars(range(min = 1))]
    max_req_body_size: Option<u64>,
    /// Whether each signature is good for one request only.
    #[serde(default)]
    pub(super) refuse_replays: bool,
    /// Whether the signature is taken out of what the upstream sees. Left out, it is; in
    /// compatibility mode it is not.
    pub(super) hide_credentials: Option<bool>,
    /// The realm that a 401 names; `hmac` if left out.
    pub(super) realm: Option<Realm>,
    /// The consumer that callers without a valid signature become.
    #[schemars(length(min = 1))]
    pub(super) anonymous_consumer: Option<String>,
}

/// The name of a header.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(super) struct SignedHeader(#[schemars(length(min = 1, max = 50))] String);

/// The key of a consumer or credential.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerConfig {
    /// The name of the key, which signatures say. It belongs to one consumer only.
    #[schemars(length(min = 1, max = KEY_ID_MAX))]
    key_id: String,
    /// The secret that requests are signed with: at least the 32 bytes of the hash SHA-256, at most
    /// 256.
    secret_key: Secret,
    /// Accepts a secret that is shorter, or that can be guessed.
    #[serde(default)]
    danger_weak_secret: bool,
}

fn five_minutes() -> u32 {
    300
}

impl Config {
    pub(super) fn clock_skew(&self) -> Result<u32, Invalid> {
        if (1..=CLOCK_SKEW_MAX).contains(&self.clock_skew) {
            return Ok(self.clock_skew);
        }
        Err(Invalid::at("clock_skew", "clocks may differ by 1 second to a day"))
    }

    pub(super) fn algorithms(&self, is_apisix: bool) -> Result<Box<[MacAlgorithm]>, Invalid> {
        use MacAlgorithm::{Sha1, Sha256, Sha512};
        match self.allowed_algorithms.as_deref() {
            Some([]) => Err(Invalid::at("allowed_algorithms", "no signature could be valid")),
            Some(allowed) => Ok(allowed.into()),
            None if is_apisix => Ok([Sha1, Sha256, Sha512].into()),
            None => Ok([Sha256, Sha512].into()),
        }
    }

    pub(super) fn signed_headers(&self) -> Result<Box<[Box<str>]>, Invalid> {
        const KEY: &str = "signed_headers";
        let name = |(index, SignedHeader(name)): (usize, &SignedHeader)| {
            if is_signable(name) {
                return Ok(name.to_ascii_lowercase().into_boxed_str());
            }
            Err(Invalid::at_item(KEY, index, format!("`{name}` is not the name of a header")))
        };
        self.signed_headers.iter().enumerate().map(name).collect()
    }

    pub(super) fn body(&self, limits: &Limits) -> Result<BodyNeed, Invalid> {
        const KEY: &str = "max_req_body_size";
        if !self.validate_request_body {
            return match self.max_req_body_size {
                None => Ok(BodyNeed::None),
                Some(_) => Err(Invalid::at(KEY, "no body is read without `validate_request_body`")),
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

impl ConsumerConfig {
    pub(super) fn entry(self, cx: &CompileCx<'_>) -> Result<CredentialEntry, Invalid> {
        let is_sendable = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if !(1..=KEY_ID_MAX).contains(&self.key_id.len()) || !self.key_id.bytes().all(is_sendable) {
            let problem = "the name of a key has 1 to 256 visible ASCII characters without quotes \
                           and backslashes";
            return Err(Invalid::at("key_id", problem));
        }
        let keys = MacKeys::read(&self.secret_key, self.danger_weak_secret)?;
        let mut names = strength::names(cx);
        names.push(&self.key_id);
        strength::KEY.check(&self.secret_key, "secret_key", &names, self.danger_weak_secret)?;
        Ok(CredentialEntry::new(self.key_id.into_bytes(), keys))
    }
}
