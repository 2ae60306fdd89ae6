//! Signatures and digests of cases, made with another implementation than the plugins' own.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::load::to_json;

/// The base64 of the HMAC of a `text` under a `secret`, by `algorithm` (`hmac-sha256` if left out).
pub(super) fn signature(name: &str, yaml: &str) -> String {
    let spec = to_json(yaml);
    let text = |key: &str| spec.get(key).and_then(Value::as_str);
    let need = |key: &str| text(key).unwrap_or_else(|| panic!("`{name}` needs a `{key}`"));
    let algorithm = match text("algorithm").unwrap_or("hmac-sha256") {
        "hmac-sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "hmac-sha256" => hmac::HMAC_SHA256,
        "hmac-sha512" => hmac::HMAC_SHA512,
        other => panic!("no algorithm `{other}`"),
    };
    let key = hmac::Key::new(algorithm, need("secret").as_bytes());
    STANDARD.encode(hmac::sign(&key, need("text").as_bytes()))
}

/// The base64 of the SHA-256 of a text.
pub(super) fn sha256(text: &str) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// A token in compact form: `text` encrypted under `secret` by `dir` and `A256GCM`, with a `header`
/// that says so besides what is given, bound to it unless `is_bound: false`.
pub(super) fn jwe(name: &str, yaml: &str) -> String {
    let spec = to_json(yaml);
    let text = |key: &str| spec.get(key).and_then(Value::as_str);
    let need = |key: &str| text(key).unwrap_or_else(|| panic!("`{name}` needs a `{key}`"));
    let mut header = serde_json::json!({ "alg": "dir", "enc": "A256GCM" });
    for (key, value) in spec.get("header").and_then(Value::as_object).into_iter().flatten() {
        header[key] = value.clone();
    }
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = encoded(header.to_string().as_bytes());
    let is_bound = spec.get("is_bound").and_then(Value::as_bool).unwrap_or(true);
    let bound = if is_bound { header.as_bytes() } else { &[] };
    let key = UnboundKey::new(&AES_256_GCM, need("secret").as_bytes()).expect("32 bytes");
    // The same for every token, so that runs are the same: there is nothing to keep secret here.
    let nonce = *b"of the cases";
    let mut sealed = need("text").as_bytes().to_vec();
    let tag = LessSafeKey::new(key)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bound),
            &mut sealed,
        )
        .expect("a text that is not too long");
    format!("{header}..{}.{}.{}", encoded(&nonce), encoded(&sealed), encoded(tag.as_ref()))
}
