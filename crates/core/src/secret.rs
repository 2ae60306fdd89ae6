//! Values that must not leak.

use std::fmt;

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes or text that are never shown, compared in constant time and wiped when dropped.
///
/// There is no `Display`, no `PartialEq`, and `Debug` shows nothing of the content.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes possession of a secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The secret itself. Name and grep for every place that looks.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text, if it is UTF-8.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares without telling by its duration where the first difference is.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.ct_eq(candidate).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(text.into_bytes()))
    }
}

/// A secret in a configuration schema is a string marked `x-secret`, so that references resolve in
/// it and reports leave it out.
impl schemars::JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "x-secret": true })
    }
}

/// The node's own key, under which high-entropy credentials are indexed (never stored in clear).
#[derive(Clone)]
pub struct NodeKey(hmac::Key);

impl NodeKey {
    /// A key from at least 32 bytes of secret.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// A key that lives as long as this process.
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        aws_lc_rs::rand::fill(bytes.as_mut()).map_or_else(
            // Without randomness no key is safe: a process that cannot get it must not start.
            |_| panic!("the operating system gave no randomness"),
            |()| Self::new(bytes.as_ref()),
        )
    }

    /// The keyed digest of a credential, separated by `domain` (the plugin's name).
    pub fn digest(&self, domain: &str, credential: &[u8]) -> [u8; 32] {
        self.digest_parts(domain, &[credential])
    }

    /// The keyed digest of parts one after the other, as if they were one; whoever gives them sees
    /// to it that others cannot be the same.
    pub fn digest_parts(&self, domain: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(domain.as_bytes());
        context.update(&[0]);
        for part in parts {
            context.update(part);
        }
        let tag = context.sign();
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.as_ref());
        digest
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_secret() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
        assert_eq!(format!("{:?}", NodeKey::random()), "NodeKey(…)");
    }

    #[test]
    fn secrets_match_only_their_own_bytes() {
        let secret = Secret::new("correct horse");
        assert!(secret.matches(b"correct horse"));
        assert!(!secret.matches(b"correct horsf"));
        assert!(!secret.matches(b"correct"));
    }

    #[test]
    fn digests_differ_by_key_domain_and_credential() {
        let key = NodeKey::new(&[7; 32]);
        let digest = key.digest("key-auth", b"alice");
        assert_eq!(digest, key.digest("key-auth", b"alice"));
        assert_ne!(digest, key.digest("jwt-auth", b"alice"));
        assert_ne!(digest, key.digest("key-auth", b"bob"));
        assert_ne!(digest, NodeKey::new(&[8; 32]).digest("key-auth", b"alice"));
    }
}
