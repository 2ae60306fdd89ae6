//! Secrets in what is shown: a sealed value stands for each, and means "unchanged" when it is
//! written back.
//!
//! A sealed value is the secret under AES-256-GCM, bound to the object and the field that it stands
//! in. The nonce is made of the key and what is sealed, so that reading twice shows the same. Only
//! where it equals what the object holds in that very field is it taken; what was copied elsewhere,
//! or is out of date, is refused.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use bartizan_config::{PluginSchemas, secrets_in};
use bartizan_store::{Difference, Key};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// What sealed values begin with.
const MARK: &str = "sealed:v1:";

/// What stands for a secret in a record of a change.
pub(crate) const HIDDEN: &str = "***";

/// The key that secrets are sealed with.
pub(crate) struct Seal {
    key: LessSafeKey,
    nonces: hmac::Key,
}

impl Seal {
    /// A seal of 32 secret bytes.
    pub(crate) fn new(secret: &[u8]) -> Option<Self> {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let key = hmac::sign(&root, b"admin api: seal");
        let nonces = hmac::sign(&root, b"admin api: nonces");
        Some(Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).ok()?),
            nonces: hmac::Key::new(hmac::HMAC_SHA256, nonces.as_ref()),
        })
    }

    /// The object with its secrets sealed.
    pub(crate) fn closed(&self, key: &Key, value: &Value, plugins: &dyn PluginSchemas) -> Value {
        let mut shown = value.clone();
        for pointer in secrets_in(key.collection(), key.id(), value, plugins) {
            if let Some(Value::String(text)) = shown.pointer_mut(&pointer) {
                *text = self.close(&place(key, &pointer), text);
            }
        }
        shown
    }

    /// Puts the secrets that `current` holds in place of sealed values. Says where one stands that
    /// is not of that very field.
    pub(crate) fn opened(
        &self,
        key: &Key,
        value: &mut Value,
        current: Option<&Value>,
        plugins: &dyn PluginSchemas,
    ) -> Result<(), String> {
        let mut sealed = Vec::new();
        find(value, &mut String::new(), &mut sealed);
        if sealed.is_empty() {
            return Ok(());
        }
        let known = current.map(|current| {
            let pointers = secrets_in(key.collection(), key.id(), current, plugins);
            (current, pointers)
        });
        for pointer in sealed {
            let place = place(key, &pointer);
            let text = value.pointer(&pointer).and_then(Value::as_str).unwrap_or_default();
            let secret = self.open(&place, text);
            let is_current = known.as_ref().is_some_and(|(current, pointers)| {
                let fields = pointers.iter().filter(|other| self::place(key, other) == place);
                let mut values = fields.filter_map(|field| current.pointer(field)?.as_str());
                secret.as_deref().is_some_and(|secret| values.any(|value| value == secret))
            });
            match (secret, value.pointer_mut(&pointer)) {
                (Some(secret), Some(slot)) if is_current => *slot = Value::String(secret),
                _ => return Err(pointer),
            }
        }
        Ok(())
    }

    fn close(&self, place: &str, secret: &str) -> String {
        let mut context = hmac::Context::with_key(&self.nonces);
        context.update(place.as_bytes());
        context.update(&[0]);
        context.update(secret.as_bytes());
        let tag = context.sign();
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(tag.as_ref().get(..NONCE_LEN).unwrap_or(&[0; NONCE_LEN]));
        let mut text = secret.as_bytes().to_vec();
        let aad = Aad::from(place.as_bytes());
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        if self.key.seal_in_place_append_tag(nonce_used, aad, &mut text).is_err() {
            // Rather a value that nothing accepts than the secret.
            return format!("{MARK}none");
        }
        let mut whole = nonce.to_vec();
        whole.append(&mut text);
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode(whole))
    }

    fn open(&self, place: &str, text: &str) -> Option<String> {
        let mut whole = URL_SAFE_NO_PAD.decode(text.strip_prefix(MARK)?).ok()?;
        let (nonce, sealed) = whole.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let aad = Aad::from(place.as_bytes());
        let opened = self.key.open_in_place(nonce, aad, sealed).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

/// Object and field, where positions in lists are all the same: an item that moves is the same.
fn place(key: &Key, pointer: &str) -> String {
    let steps = pointer.split('/').map(|step| {
        let is_position = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
        if is_position { "*" } else { step }
    });
    format!("{key}\0{}", steps.collect::<Vec<_>>().join("/"))
}

/// Where sealed values stand.
fn find(value: &Value, pointer: &mut String, found: &mut Vec<String>) {
    let length = pointer.len();
    match value {
        Value::String(text) if text.starts_with(MARK) => found.push(pointer.clone()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                find(item, pointer, found);
                pointer.truncate(length);
            }
        }
        Value::Object(members) => {
            for (key, value) in members {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                find(value, pointer, found);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// Differences without secrets. That one changed is still seen.
pub(crate) fn redacted(
    key: &Key,
    before: Option<&Value>,
    after: Option<&Value>,
    plugins: &dyn PluginSchemas,
) -> Vec<Difference> {
    redacted_but(key, before, after, &[], plugins)
}

/// The same, in which those that were `written` (in order) count as changed, whatever they were.
pub(crate) fn redacted_but(
    key: &Key,
    before: Option<&Value>,
    after: Option<&Value>,
    written: &[String],
    plugins: &dyn PluginSchemas,
) -> Vec<Difference> {
    let hidden = |value: Option<&Value>, mark: &str| {
        value.map(|value| {
            let mut shown = value.clone();
            for pointer in secrets_in(key.collection(), key.id(), value, plugins) {
                let other = before.filter(|_| !mark.is_empty());
                let was = other.and_then(|before| before.pointer(&pointer));
                let is_changed = was.is_some_and(|was| {
                    Some(was) != value.pointer(&pointer) || written.binary_search(&pointer).is_ok()
                });
                if let Some(slot) = shown.pointer_mut(&pointer) {
                    let mark = if is_changed { mark } else { "" };
                    *slot = Value::String(format!("{HIDDEN}{mark}"));
                }
            }
            shown
        })
    };
    bartizan_store::differences(hidden(before, "").as_ref(), hidden(after, " (changed)").as_ref())
}

#[cfg(test)]
mod tests {
    use bartizan_plugins::Catalogue;
    use serde_json::json;

    use super::*;

    fn seal() -> Seal {
        Seal::new(&[7; 32]).unwrap()
    }

    fn consumer(key: &str) -> Value {
        json!({ "username": "jack", "plugins": { "key-auth": { "key": key } } })
    }

    const FIELD: &str = "/plugins/key-auth/key";

    #[test]
    fn a_sealed_value_means_unchanged_in_its_own_field_and_nowhere_else() {
        let (seal, key) = (seal(), Key::parse("consumers/jack").unwrap());
        let stored = consumer("a-long-secret-key");
        let shown = seal.closed(&key, &stored, &Catalogue);
        let text = shown.pointer(FIELD).unwrap().as_str().unwrap();
        assert!(text.starts_with(MARK) && !shown.to_string().contains("a-long-secret-key"));
        assert_eq!(shown, seal.closed(&key, &stored, &Catalogue), "reading twice shows the same");

        let mut back = shown.clone();
        seal.opened(&key, &mut back, Some(&stored), &Catalogue).unwrap();
        assert_eq!(back, stored);

        let other = Key::parse("consumers/jill").unwrap();
        let mut copied = shown.clone();
        assert_eq!(
            seal.opened(&other, &mut copied, Some(&stored), &Catalogue),
            Err(FIELD.to_owned())
        );
        let mut moved = json!({ "username": "jack", "desc": text });
        assert_eq!(
            seal.opened(&key, &mut moved, Some(&stored), &Catalogue),
            Err("/desc".to_owned())
        );
        let mut stale = shown.clone();
        assert!(seal.opened(&key, &mut stale, Some(&consumer("another")), &Catalogue).is_err());
        assert!(seal.opened(&key, &mut shown.clone(), None, &Catalogue).is_err());
        let elsewhere = Seal::new(&[8; 32]).unwrap();
        assert!(elsewhere.opened(&key, &mut shown.clone(), Some(&stored), &Catalogue).is_err());
    }

    #[test]
    fn differences_show_that_a_secret_changed_and_not_what_it_is() {
        let key = Key::parse("consumers/jack").unwrap();
        let (before, after) = (consumer("first-secret"), consumer("second-secret"));
        let found = redacted(&key, Some(&before), Some(&after), &Catalogue);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pointer, FIELD);
        assert_eq!(found[0].after, Some(json!("*** (changed)")));
        assert!(!format!("{found:?}").contains("secret\""));
        assert!(redacted(&key, Some(&before), Some(&before), &Catalogue).is_empty());
        let guessed = redacted_but(&key, Some(&before), Some(&before), &[FIELD.into()], &Catalogue);
        assert_eq!(guessed, found, "who guessed it is not told so");
    }
}
