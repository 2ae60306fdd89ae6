//! What a key looks like: a prefix such as `btz_admin`, eight characters that name it, and 256 random
//! bits. Keys of operators and of callers differ by the prefix.
//!
//! The beginning is there for people and for scanners of repositories and logs, the checksum at
//! the end so that those do not call everything a key that begins so. The alphabet is Crockford's
//! base 32, in lower case: a double click takes all of it, and no letter looks like a digit.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use bartizan_core::Secret;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ID_LENGTH: usize = 8;
/// 256 bits, at five for each character.
const SECRET_LENGTH: usize = 52;
const CHECK_LENGTH: usize = 6;

/// The name of a key: public, unlike the rest of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; ID_LENGTH]);

impl KeyId {
    /// Reads an id, with or without what stands before it in a key.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.rsplit_once('_').map_or(text, |(_, id)| id);
        let bytes: [u8; ID_LENGTH] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(|byte| ALPHABET.contains(byte)).then_some(Self(bytes))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl serde::Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no id of a key"))
    }
}

/// A key that was just made.
pub(crate) struct NewKey {
    pub(crate) id: KeyId,
    pub(crate) text: Secret,
}

/// Length of a key of a prefix, in bytes.
pub(crate) const fn length(prefix: &str) -> usize {
    prefix.len() + 1 + ID_LENGTH + 1 + SECRET_LENGTH + CHECK_LENGTH
}

/// The system gives no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct NoRandomness;

impl NewKey {
    /// A key that nobody has.
    pub(crate) fn random(prefix: &str) -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0_u8; ID_LENGTH + SECRET_LENGTH]);
        rand::fill(bytes.as_mut()).map_err(|_| NoRandomness)?;
        let (id, secret) = bytes.split_at(ID_LENGTH);
        let mut text = Zeroizing::new(Vec::with_capacity(length(prefix)));
        text.extend_from_slice(prefix.as_bytes());
        text.push(b'_');
        let start = text.len();
        text.extend(id.iter().copied().map(letter));
        text.push(b'_');
        text.extend(secret.iter().copied().map(letter));
        let check = checksum(&text);
        text.extend_from_slice(&check);
        let id = text.get(start..start + ID_LENGTH).and_then(|id| id.try_into().ok());
        let id = KeyId(id.ok_or(NoRandomness)?);
        Ok(Self { id, text: Secret::new(text.to_vec()) })
    }
}

/// The id of what has the form of a key, and the right checksum. Says nothing of whether there is
/// such a key.
pub(crate) fn id_of(prefix: &str, key: &[u8]) -> Option<KeyId> {
    let (body, check) = key.split_at_checked(length(prefix) - CHECK_LENGTH)?;
    let rest = body.strip_prefix(prefix.as_bytes())?.strip_prefix(b"_")?;
    let (id, secret) = rest.split_at_checked(ID_LENGTH)?;
    let secret = secret.strip_prefix(b"_")?;
    let is_plain = |part: &[u8]| part.iter().all(|byte| ALPHABET.contains(byte));
    let is_whole = is_plain(id) && is_plain(secret) && check == checksum(body);
    is_whole.then(|| id.try_into().ok().map(KeyId)).flatten()
}

/// One of 32 letters, each as likely as the others.
fn letter(byte: u8) -> u8 {
    ALPHABET.get(usize::from(byte & 31)).copied().unwrap_or(b'0')
}

fn checksum(text: &[u8]) -> [u8; CHECK_LENGTH] {
    let digest = digest(&SHA256, text);
    let mut check = [b'0'; CHECK_LENGTH];
    for (letter_of_check, byte) in check.iter_mut().zip(digest.as_ref()) {
        *letter_of_check = letter(*byte);
    }
    check
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const PREFIX: &str = "btz_admin";

    #[test]
    fn a_key_tells_its_id_and_no_two_are_alike() {
        let mut seen = HashSet::new();
        for _ in 0..200 {
            let key = NewKey::random(PREFIX).unwrap();
            let text = key.text.expose_str().unwrap().to_owned();
            assert_eq!(text.len(), length(PREFIX));
            assert!(text.starts_with(&format!("{PREFIX}_{}_", key.id)), "{text}");
            assert_eq!(id_of(PREFIX, text.as_bytes()), Some(key.id));
            assert_eq!(id_of("btz", text.as_bytes()), None);
            assert!(seen.insert(text));
        }
    }

    #[test]
    fn every_letter_of_a_key_counts() {
        let key = NewKey::random(PREFIX).unwrap();
        let text = key.text.expose().to_vec();
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            assert_ne!(id_of(PREFIX, &other), Some(key.id), "{at}");
            assert_eq!(id_of(PREFIX, &text[..at]), None);
        }
        assert_eq!(id_of(PREFIX, &[&text[..], b"0"].concat()), None);
        assert_eq!(id_of(PREFIX, &text.to_ascii_uppercase()), None);
        assert_eq!(id_of(PREFIX, b""), None);
    }

    #[test]
    fn an_id_is_read_with_and_without_its_beginning() {
        assert_eq!(KeyId::parse("k7f2m9qa").unwrap().as_str(), "k7f2m9qa");
        assert_eq!(KeyId::parse("btz_admin_k7f2m9qa"), KeyId::parse("k7f2m9qa"));
        for text in ["", "k7f2m9q", "k7f2m9qaa", "K7F2M9QA", "k7f2m9ql", "../../..", "k7f2m9qé"] {
            assert_eq!(KeyId::parse(text), None, "{text}");
        }
    }
}
