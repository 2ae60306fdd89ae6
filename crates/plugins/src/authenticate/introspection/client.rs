//! How the gateway proves to an issuer that it may ask (RFC 7662 §2.1, RFC 6749 §2.3, RFC 7523
//! §2.2, RFC 8705 §2).

use std::fmt::Write as _;
use std::time::Duration;

use bartizan_config::Invalid;
use bartizan_core::{Secret, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::AskFault;
use crate::jose::{Algorithm, KeyKind, SecretStrength, SigningKey};

/// How long an assertion is good, unless configuration says another time.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);

/// The ways to prove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::authenticate) enum Method {
    /// `client_secret_basic`
    Basic,
    /// `client_secret_post`
    Post,
    /// `client_secret_jwt`
    SecretAssertion,
    /// `private_key_jwt`
    KeyAssertion,
    /// `tls_client_auth`, `self_signed_tls_client_auth`
    Certificate,
}

/// The client as configuration says it.
#[derive(Clone, Debug)]
pub(in crate::authenticate) struct ClientSettings {
    /// Its name at the issuer.
    pub(in crate::authenticate) id: String,
    /// How it proves itself.
    pub(in crate::authenticate) method: Method,
    /// Its secret, and the field that holds it.
    pub(in crate::authenticate) secret: (&'static str, Option<Secret>),
    /// The PEM of its private key, and the field that holds it.
    pub(in crate::authenticate) key: (&'static str, Option<Secret>),
    /// How assertions are signed, and the field that says so.
    pub(in crate::authenticate) algorithm: (&'static str, Option<Algorithm>),
    /// The name of the key, and the field that says it.
    pub(in crate::authenticate) key_id: (&'static str, Option<String>),
    /// Whom assertions are for, and the field that says it.
    pub(in crate::authenticate) audience: (&'static str, Option<String>),
    /// How long an assertion is good, and the field that says so.
    pub(in crate::authenticate) lifetime: (&'static str, Option<Duration>),
    /// Whether there is a certificate of ours, and the field that holds it.
    pub(in crate::authenticate) certificate: (&'static str, bool),
}

impl ClientSettings {
    /// What the method does not use would have no effect, and what it needs must be there.
    fn check(&self) -> Result<(), Invalid> {
        let is_signed = matches!(self.method, Method::SecretAssertion | Method::KeyAssertion);
        let is_secret =
            matches!(self.method, Method::Basic | Method::Post | Method::SecretAssertion);
        let is_key = self.method == Method::KeyAssertion;
        let (certificate, has_certificate) = self.certificate;
        for (key, is_there, is_needed) in [
            (self.secret.0, self.secret.1.is_some(), is_secret),
            (self.key.0, self.key.1.is_some(), is_key),
            (certificate, has_certificate, self.method == Method::Certificate),
        ] {
            match (is_there, is_needed) {
                (true, false) => return Err(unused(key)),
                (false, true) => {
                    return Err(Invalid::new(format!("the client's authentication needs `{key}`")));
                }
                _ => {}
            }
        }
        for (key, is_there, is_used) in [
            (self.algorithm.0, self.algorithm.1.is_some(), is_signed),
            (self.key_id.0, self.key_id.1.is_some(), is_key),
            (self.audience.0, self.audience.1.is_some(), is_signed),
            (self.lifetime.0, self.lifetime.1.is_some(), is_signed),
        ] {
            if is_there && !is_used {
                return Err(unused(key));
            }
        }
        Ok(())
    }
}

fn unused(key: &str) -> Invalid {
    Invalid::at(key, "the client authenticates in a way that does not use it")
}

/// How the client proves itself, ready for use.
pub(super) enum ClientAuth {
    /// The value of `Authorization`.
    Basic(Secret),
    /// What stands in the form besides the token.
    Form(Secret),
    /// A new assertion for every question: servers accept each once.
    Assertion(Box<Assertion>),
}

/// What assertions are made of.
pub(super) struct Assertion {
    key: SigningKey,
    header: Map<String, Value>,
    client: String,
    audience: String,
    lifetime: Duration,
}

impl ClientAuth {
    /// For a client that asks the issuer or the address `audience`, if configuration says no other.
    pub(super) fn compile(settings: &ClientSettings, audience: &str) -> Result<Self, Invalid> {
        settings.check()?;
        let id = form_encoded(settings.id.as_bytes());
        let secret = settings.secret.1.as_ref().map(Secret::expose).unwrap_or_default();
        Ok(match settings.method {
            // The parts are encoded as in a form first (RFC 6749 §2.3.1).
            Method::Basic => {
                let pair = Secret::new(format!("{id}:{}", form_encoded(secret)));
                Self::Basic(Secret::new(format!("Basic {}", STANDARD.encode(pair.expose()))))
            }
            Method::Post => {
                let secret = form_encoded(secret);
                Self::Form(Secret::new(format!("&client_id={id}&client_secret={secret}")))
            }
            Method::Certificate => Self::Form(Secret::new(format!("&client_id={id}"))),
            Method::SecretAssertion | Method::KeyAssertion => {
                let mut header = Map::new();
                if let Some(name) = &settings.key_id.1 {
                    header.insert("kid".to_owned(), name.as_str().into());
                }
                let audience = settings.audience.1.as_deref().unwrap_or(audience).to_owned();
                Self::Assertion(Box::new(Assertion {
                    key: signing_key(settings)?,
                    header,
                    client: settings.id.clone(),
                    audience,
                    lifetime: settings.lifetime.1.unwrap_or(ASSERTION_LIFETIME),
                }))
            }
        })
    }

    /// The form that asks about a token at `now`.
    pub(super) fn form(&self, token: &str, now: Timestamp) -> Result<Secret, AskFault> {
        let mut form =
            format!("token={}&token_type_hint=access_token", form_encoded(token.as_bytes()));
        match self {
            Self::Basic(_) => {}
            Self::Form(more) => form.push_str(more.expose_str().unwrap_or_default()),
            Self::Assertion(assertion) => {
                let signed = assertion.sign(now).ok_or(AskFault::Unsigned)?;
                let client = form_encoded(assertion.client.as_bytes());
                form.extend([
                    "&client_id=",
                    &client,
                    "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A\
                     client-assertion-type%3Ajwt-bearer&client_assertion=",
                    &signed,
                ]);
            }
        }
        Ok(Secret::new(form))
    }

    /// The value of `Authorization`, where that carries the proof.
    pub(super) fn authorization(&self) -> Option<&Secret> {
        match self {
            Self::Basic(value) => Some(value),
            Self::Form(_) | Self::Assertion(_) => None,
        }
    }
}

impl Assertion {
    /// An assertion with a name of its own (RFC 7523 §3).
    fn sign(&self, now: Timestamp) -> Option<String> {
        let mut id = [0_u8; 16];
        aws_lc_rs::rand::fill(&mut id).ok()?;
        let issued = now.as_secs();
        let claims = json!({
            "iss": self.client,
            "sub": self.client,
            "aud": self.audience,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "iat": issued,
            "exp": issued.saturating_add(self.lifetime.as_secs()),
        });
        self.key.sign(&self.header, &claims).ok()
    }
}

fn signing_key(settings: &ClientSettings) -> Result<SigningKey, Invalid> {
    let is_shared = settings.method == Method::SecretAssertion;
    let usual = if is_shared { Algorithm::Hs256 } else { Algorithm::Rs256 };
    let algorithm = settings.algorithm.1.unwrap_or(usual);
    if (algorithm.kind() == KeyKind::Secret) != is_shared {
        let problem = format!("`{}` does not fit this way to authenticate", algorithm.name());
        return Err(Invalid::at(settings.algorithm.0, problem));
    }
    let (field, key) = match (is_shared, &settings.secret, &settings.key) {
        (true, (field, Some(secret)), _) => {
            let strength = SecretStrength::Full;
            (field, SigningKey::from_secret_of(algorithm, secret, strength))
        }
        (false, _, (field, Some(pem))) => (field, SigningKey::from_pem(algorithm, pem)),
        (true, (field, None), _) | (false, _, (field, None)) => {
            return Err(Invalid::new(format!("the client's authentication needs `{field}`")));
        }
    };
    key.map_err(|fault| Invalid::at(field, fault.to_string()))
}

/// Text as it stands in a form: all but what RFC 3986 calls unreserved is percent-encoded.
pub(super) fn form_encoded(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
