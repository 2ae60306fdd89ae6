//! What stands for the credentials of `alice` in the entries. Keys are made at run time.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use bartizan_core::Clock;
use bartizan_plugins::jose::Algorithm;
use bartizan_testkit::TokenKey;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

/// What signs and encrypts: 32 bytes, as AES-256 needs.
const SECRET: &str = "an example of thirty-two bytes!!";
/// A body of 1 KiB.
const ORDER: &str = include_str!("../../../../bench/order.json");
/// Its schema, of 20 fields.
const SCHEMA: &str = include_str!("../../../../bench/order.schema.json");
/// How long the token is good.
const LIFETIME: u64 = 24 * 3_600;

/// The credentials.
pub(crate) struct Credentials {
    date: String,
    created: u64,
    jwk: Value,
    token: String,
    sealed: String,
}

impl Credentials {
    pub(crate) fn new() -> Self {
        let now = Clock::System.now().as_secs();
        let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(now);
        let key = TokenKey::generate(Algorithm::Rs256);
        let claims = json!({
            "iss": "https://id.example.com", "aud": "orders", "sub": "alice",
            "scope": "openid profile orders:read orders:write", "iat": now, "exp": now + LIFETIME,
            "jti": "0c7cf0a0-6d0d-4f0b-9d3f-4b8a7c9a1f2e",
        });
        let header = [("kid".to_owned(), json!("bench"))].into_iter().collect();
        Self {
            date: httpdate::fmt_http_date(date),
            created: now,
            jwk: key.jwk("bench"),
            token: key.sign_with(&header, &claims),
            sealed: sealed(),
        }
    }

    /// The words of a request for `target` below `prefix`.
    pub(crate) fn words(&self, prefix: &str, target: &str) -> Map<String, Value> {
        let mut words = Map::new();
        let mut set = |word: &str, value: Value| drop(words.insert(word.to_owned(), value));
        set("prefix", json!(prefix));
        set("secret", json!(SECRET));
        set("basic", json!(STANDARD.encode("alice:correct horse battery staple")));
        set("date", json!(self.date));
        set("jwk", self.jwk.clone());
        set("token", json!(self.token));
        set("sealed", json!(self.sealed));
        let written = |text| serde_json::from_str(text).expect("a JSON file");
        set("order", written(ORDER));
        set("schema", written(SCHEMA));
        let target = target.replace("${prefix}", prefix);
        set("signature", json!(self.signature(&target)));
        set("created", json!(self.created.to_string()));
        set("http_signature", json!(self.http_signature(&target)));
        words
    }

    fn signature(&self, target: &str) -> String {
        let text = format!("alice\nGET {target}\nhost: localhost\ndate: {}\n", self.date);
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        STANDARD.encode(hmac::sign(&key, text.as_bytes()))
    }
}

impl Credentials {
    /// A signature over method, host, path and query (RFC 9421).
    fn http_signature(&self, target: &str) -> String {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = format!(
            "\"@method\": GET\n\"@authority\": localhost\n\"@path\": {path}\n\"@query\": ?{query}\n\
             \"@signature-params\": (\"@method\" \"@authority\" \"@path\" \"@query\");created={};\
             keyid=\"alice\"",
            self.created
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        STANDARD.encode(hmac::sign(&key, text.as_bytes()))
    }
}

/// A token in compact form (RFC 7516), by `dir` and `A256GCM`.
fn sealed() -> String {
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = json!({"alg": "dir", "enc": "A256GCM", "kid": "alice"}).to_string();
    let header = encoded(header.as_bytes());
    let key = UnboundKey::new(&AES_256_GCM, SECRET.as_bytes()).expect("32 bytes");
    let nonce = *b"of the bench";
    let mut text = br#"{"sub":"alice","tenant":"acme","role":"reader"}"#.to_vec();
    let tag = LessSafeKey::new(key)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(header.as_bytes()),
            &mut text,
        )
        .expect("a text that is not too long");
    format!("{header}..{}.{}.{}", encoded(&nonce), encoded(&text), encoded(tag.as_ref()))
}
