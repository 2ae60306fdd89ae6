//! Signatures and digests of cases, made with another implementation than the plugins' own.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
