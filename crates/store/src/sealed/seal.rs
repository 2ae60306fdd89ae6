//! Our form of an encrypted text: `$sealed://<key>/<nonce, text and tag in Base64>`, AES-256-GCM,
//! bound to the object and field that it stands in.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use bartizan_core::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::key::Key;

/// What an encrypted text begins with.
pub const SEALED: &str = "$sealed://";

/// A key that secrets are encrypted with.
pub struct SealingKey {
    id: String,
    key: RandomizedNonceKey,
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealingKey").field(&self.id).finish()
    }
}

impl SealingKey {
    /// A key of 32 bytes, with its name; `None` where it has others.
    pub fn new(id: &str, key: &Secret) -> Option<Self> {
        let is_name = !id.is_empty() && !id.contains('/');
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.expose()).ok()?;
        is_name.then(|| Self { id: id.to_owned(), key })
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn seal(&self, key: &Key, pointer: &str, clear: &str) -> Option<String> {
        let mut bytes = clear.as_bytes().to_vec();
        let bound = bound_to(key, pointer, &self.id);
        let nonce = self.key.seal_in_place_append_tag(Aad::from(bound), &mut bytes).ok()?;
        let mut whole = nonce.as_ref().to_vec();
        whole.extend_from_slice(&bytes);
        Some(format!("{SEALED}{}/{}", self.id, URL_SAFE_NO_PAD.encode(whole)))
    }

    pub(super) fn open(&self, key: &Key, pointer: &str, text: &str) -> Option<String> {
        let (_, body) = text.strip_prefix(SEALED)?.split_once('/')?;
        let whole = URL_SAFE_NO_PAD.decode(body).ok()?;
        let (nonce, sealed) = whole.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let bound = bound_to(key, pointer, &self.id);
        let clear = self.key.open_in_place(nonce, Aad::from(bound), &mut sealed).ok()?;
        String::from_utf8(clear.to_vec()).ok()
    }
}

/// The id of the key of an encrypted text; `None` for other texts.
pub(super) fn key_of(text: &str) -> Option<&str> {
    let (id, _) = text.strip_prefix(SEALED)?.split_once('/')?;
    Some(id)
}

/// Where a text belongs: moved to another object or field it does not open. Keys hold no line ends.
fn bound_to(key: &Key, pointer: &str, id: &str) -> Vec<u8> {
    format!("{key}\n{id}\n{pointer}").into_bytes()
}
