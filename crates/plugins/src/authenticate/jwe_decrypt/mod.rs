//! Decrypts a token (JWE) and puts its text into a header for what comes after.
//!
//! A client, or whoever gave it the token, has encrypted a text under a key that it shares with the
//! gateway. The gateway puts the text in the place of the token, so that an upstream, or an
//! authentication plugin that runs later, reads it in clear:
//!
//! ```yaml
//! jwe-decrypt:
//!   header: Authorization
//!   forward_header: X-Claims
//! ```
//!
//! and on the consumer whose key it is:
//!
//! ```yaml
//! jwe-decrypt: {key: partner, secret: $env://PARTNER_KEY, is_base64_encoded: true}
//! ```
//!
//! **It proves nothing about who calls.** A token does not expire and can be sent by whoever has
//! seen it; the consumer only lends the key. So the plugin does not attach the consumer, the route
//! needs authentication and a grant besides, and it cannot stand in `multi-auth`. Of the
//! authentication plugins `key-auth` runs after it, and can take its key from `forward_header`.
//!
//! Tokens are taken in compact form, with or without `Bearer`, with the algorithms `dir` and
//! `A256GCM` and a `kid` that names the key. Everything else is refused: other algorithms,
//! compression, extensions, encodings that are not canonical, and texts that no header can hold.
//!
//! **Nothing but a decrypted text arrives in `forward_header`**: what a client sends there is
//! removed, also with `_` for `-`, and also where `strict: false` lets a request without a token
//! pass. With `strict` (the default) such a request is refused. A token that cannot be decrypted is
//! refused in any case.
//!
//! Refusals are 401 (no token, an unreadable one, an unknown key, a text that was changed); in
//! compatibility mode 403 for no token and 400 for the others, as in Apache APISIX. A token that is
//! sent twice is refused with 400. The token itself is not forwarded, unless `hide_credentials:
//! false` (in compatibility mode it is, unless `true`).
//!
//! # Headers
//!
//! `header` is read and taken out of the request; the upstream and later plugins get
//! `forward_header`, and never from a client.
//!
//! # What it costs
//!
//! One AES-GCM over the token, of 16 KiB at most.
//!
//! # What it cannot do
//!
//! It proves nothing about who calls. A token does not end, and who has seen it can send it again.
//!
//! # How it differs from Apache APISIX
//!
//! The header of a token is authenticated, as RFC 7516 has it; tokens of APISIX's own making, whose
//! header is not, are taken in compatibility mode only. `forward_header` cannot be set by clients.
//! The header is read strictly.

#[cfg(test)]
mod tests;

use bartizan_chain::{
    CompileCx, ConsumerIndex, CredentialEntry, CredentialRef, Flow, IdentityKey, Kinship, Nothing,
    Plugin, RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Secret, Stage, StageSet};
use bartizan_wire::{Fields, is_field_value};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use super::carrier::field_name;
use crate::field_change::{is_framing, is_same_field};
use crate::jose::{Binding, JWE_KEY_LENGTH, Jwe, JweFault, JweKey};

/// Longest name of a key.
const KEY_MAX: usize = 256;

/// The configuration of `jwe-decrypt`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The header that carries the token.
    #[serde(default = "authorization")]
    #[schemars(length(min = 1, max = 256))]
    header: String,
    /// The header that gets the decrypted text.
    #[serde(default = "authorization")]
    #[schemars(length(min = 1, max = 256))]
    forward_header: String,
    /// Whether a request without a token is refused.
    #[serde(default = "yes")]
    strict: bool,
    /// Whether the token is taken out of what the upstream sees, where it is in another header than
    /// the text. Left out, it is; in compatibility mode it is not.
    hide_credentials: Option<bool>,
}

fn authorization() -> String {
    "Authorization".to_owned()
}

fn yes() -> bool {
    true
}

/// The key of a consumer or credential.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerConfig {
    /// The name of the key, which tokens say as `kid`. It belongs to one consumer only.
    #[schemars(length(min = 1, max = KEY_MAX))]
    key: String,
    /// The key itself: 32 bytes.
    secret: Secret,
    /// Whether `secret` is the base64 (standard or URL-safe, padded or not) of the key.
    #[serde(default)]
    is_base64_encoded: bool,
}

/// Compiled `jwe-decrypt`.
pub struct JweDecrypt {
    header: Box<str>,
    forward_header: Box<str>,
    is_strict: bool,
    hides: bool,
    is_apisix: bool,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("no token in the request")]
    Missing,
    #[error("the token occurs more than once")]
    Repeated,
    #[error("the token is not text")]
    NotText,
    #[error("{0}")]
    Form(#[from] JweFault),
    #[error("nobody has a key of the name that the token says")]
    UnknownKey,
    #[error("the token does not open with the key that it names")]
    NotOpened,
    #[error("the text inside of the token is nothing that a header can hold")]
    NoValue,
}

impl Plugin for JweDecrypt {
    const NAME: &'static str = "jwe-decrypt";
    const PRIORITY: i32 = 2509;
    const KINSHIP: Kinship = Kinship::Different(
        "proves nothing, so the route needs authentication; what cannot be decrypted is \
         refused",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate]);
    const IS_AUTHENTICATION: bool = true;

    type Config = Config;
    type ConsumerConfig = ConsumerConfig;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let is_apisix = cx.compatibility().is_apisix();
        let forward_header = field_name("forward_header", &config.forward_header)?;
        if &*forward_header == "host" || is_framing(&forward_header) {
            let problem =
                format!("`{forward_header}` belongs to the connection, which the gateway keeps");
            return Err(Invalid::at("forward_header", problem));
        }
        Ok(Self {
            header: field_name("header", &config.header)?,
            forward_header,
            is_strict: config.strict,
            hides: config.hide_credentials.unwrap_or(!is_apisix),
            is_apisix,
        })
    }

    /// It proves nothing.
    fn traits(&self) -> Traits {
        Traits::in_stages(&[Stage::Authenticate])
    }

    fn credential(
        config: ConsumerConfig,
        _cx: &mut CompileCx<'_>,
    ) -> Result<CredentialEntry, Invalid> {
        if !(1..=KEY_MAX).contains(&config.key.len()) {
            return Err(Invalid::at("key", "the name of a key has 1 to 256 bytes"));
        }
        let secret = if config.is_base64_encoded {
            decoded(&config.secret).ok_or_else(|| Invalid::at("secret", "it is not base64"))?
        } else {
            config.secret
        };
        let key = JweKey::new(&secret).ok_or_else(|| {
            let problem =
                format!("a key has {JWE_KEY_LENGTH} bytes, this one has {}", secret.len());
            Invalid::at("secret", problem)
                .with_help("`openssl rand -base64 32`, with `is_base64_encoded: true`")
        })?;
        Ok(CredentialEntry::new(config.key.into_bytes(), key))
    }

    async fn authenticate(
        &self,
        cx: &mut RequestCx,
        _key: &IdentityKey,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let text = match self.decrypted(&cx.fields, cx.consumers()) {
            Ok(text) => Some(text),
            Err(Fault::Missing) if !self.is_strict => None,
            Err(fault) => return Err(self.denial(fault)),
        };
        self.forward(text, &mut cx.fields);
        Ok(Flow::Continue)
    }
}

impl JweDecrypt {
    /// The text inside of the request's token.
    fn decrypted(&self, fields: &Fields, consumers: &ConsumerIndex) -> Result<Bytes, Fault> {
        let field = fields.single(&self.header).map_err(|_| Fault::Repeated)?;
        let field = std::str::from_utf8(field.ok_or(Fault::Missing)?);
        let token = Jwe::parse(without_scheme(field.map_err(|_| Fault::NotText)?))?;
        let found = consumers.find(Self::NAME, token.kid().as_bytes());
        let own = found.as_ref().and_then(CredentialRef::data::<JweKey>);
        // Work on somebody's key where there is none of the name, so that time does not tell.
        let key = own.or_else(|| consumers.decoy::<JweKey>(Self::NAME, 0));
        let opened = self.open(&token, key.ok_or(Fault::UnknownKey)?);
        let text = match own {
            Some(_) => opened.ok_or(Fault::NotOpened)?,
            None => return Err(Fault::UnknownKey),
        };
        if text.is_empty() || !is_field_value(&text) {
            return Err(Fault::NoValue);
        }
        Ok(Bytes::from(text))
    }

    fn open(&self, token: &Jwe<'_>, key: &JweKey) -> Option<Vec<u8>> {
        let opened = token.open(key, Binding::Header);
        if opened.is_none() && self.is_apisix {
            return token.open(key, Binding::Nothing);
        }
        opened
    }

    /// Puts the text into its header, and nothing else.
    fn forward(&self, text: Option<Bytes>, fields: &mut Fields) {
        let is_token = |name: &[u8]| name == self.header.as_bytes();
        let is_target = |name: &[u8]| is_same_field(name, self.forward_header.as_bytes());
        fields.retain(|field| !(is_target(field.name) || self.hides && is_token(field.name)));
        if let Some(text) = text {
            fields.append(Bytes::copy_from_slice(self.forward_header.as_bytes()), text);
        }
    }

    fn denial(&self, fault: Fault) -> Denial {
        let (reason, status, message) = match fault {
            Fault::Repeated => {
                return Denial::new(Reason::AmbiguousCredential, fault.to_string());
            }
            Fault::Missing => (Reason::MissingCredential, 403, "missing JWE token in request"),
            Fault::Form(JweFault::NoKid) => {
                (Reason::MalformedCredential, 400, "missing kid in JWE token")
            }
            Fault::Form(_) | Fault::NotText => {
                (Reason::MalformedCredential, 400, "JWE token invalid")
            }
            Fault::UnknownKey => (Reason::InvalidCredential, 400, "invalid kid in JWE token"),
            Fault::NotOpened => (Reason::InvalidCredential, 400, "failed to decrypt JWE token"),
            Fault::NoValue => (Reason::MalformedCredential, 400, "failed to decrypt JWE token"),
        };
        let denial = Denial::new(reason, fault.to_string()).with_apisix_message(message);
        if self.is_apisix {
            denial.with_status(status)
        } else {
            denial.with_field("www-authenticate", "Bearer realm=\"jwe\"".to_owned())
        }
    }
}

/// A token without the `Bearer` before it.
fn without_scheme(field: &str) -> &str {
    match field.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_matches(' '),
        _ => field,
    }
}

fn decoded(secret: &Secret) -> Option<Secret> {
    let any = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [alphabet::URL_SAFE, alphabet::STANDARD]
        .iter()
        .find_map(|letters| GeneralPurpose::new(letters, any).decode(secret.expose()).ok())
        .map(Secret::new)
}
