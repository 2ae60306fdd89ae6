//! Tokens that nobody would issue, for cases that attack.
//!
//! A section `forgery` says what is different from a token that is good:
//!
//! - `like`: the token, by the name of its section
//! - `header`, `claims`: members that are others, or the whole text as it is
//! - `without`: claims that are not there
//! - `key`: the key that signs in place of the token's own; or `secret`, with which an HMAC of
//!   `hash` (`SHA-256` if left out) is made, whatever secret that is; or `signature` as it is
//! - `encoding`: how `header`, `payload` and `signature` are encoded: `padded`, in the `standard`
//!   alphabet, or with `loose` bits at the end. What is signed is the text as it is sent.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::tokens::TokenKey;

/// A token that is good: what it says, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) signer: Arc<TokenKey>,
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
}

/// What signs a forgery, if it is another than its model's.
pub(super) type FindKey<'f> = &'f dyn Fn(&str) -> Arc<TokenKey>;

/// The forgery of a section. Panics where the section is not of the format.
pub(super) fn forged(name: &str, spec: &Value, model: &Model, key: FindKey<'_>) -> String {
    let known = ["like", "header", "claims", "without", "key", "secret", "hash", "signature"];
    let members = spec.as_object().into_iter().flatten();
    for (member, _) in members {
        let is_known = known.contains(&member.as_str()) || member == "encoding";
        assert!(is_known, "the forgery `{name}` has an unknown `{member}`");
    }
    let text = |member: &str| spec.get(member).and_then(Value::as_str);
    let way = |part: &str| spec.pointer(&format!("/encoding/{part}")).and_then(Value::as_str);
    let signer = text("key").map_or_else(|| model.signer.clone(), key);
    let mut header = Map::new();
    header.insert("alg".to_owned(), model.signer.algorithm().name().into());
    header.insert("typ".to_owned(), "JWT".into());
    header.extend(model.header.clone());
    let without = spec.get("without").and_then(Value::as_array).into_iter().flatten();
    let mut claims = model.claims.clone();
    claims.retain(|claim, _| !without.clone().any(|gone| gone == claim));
    let header = encoded(changed(header, spec.get("header")), way("header"));
    let payload = encoded(changed(claims, spec.get("claims")), way("payload"));
    let signed = format!("{header}.{payload}");
    let signature = match (text("signature"), text("secret")) {
        (Some(signature), None) => return format!("{signed}.{signature}"),
        (None, Some(secret)) => {
            let hash = match text("hash").unwrap_or("SHA-256") {
                "SHA-256" => hmac::HMAC_SHA256,
                "SHA-384" => hmac::HMAC_SHA384,
                "SHA-512" => hmac::HMAC_SHA512,
                other => panic!("no hash `{other}`"),
            };
            let key = hmac::Key::new(hash, secret.as_bytes());
            hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
        }
        (None, None) => signer.sign_bytes(signed.as_bytes()),
        (Some(_), Some(_)) => panic!("the forgery `{name}` has a `secret` and a `signature`"),
    };
    format!("{signed}.{}", encode(signature, way("signature")))
}

/// The text of an object with other members, or what stands in its place.
fn changed(mut object: Map<String, Value>, change: Option<&Value>) -> String {
    match change {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(more)) => {
            object.extend(more.clone());
            Value::Object(object).to_string()
        }
        None => Value::Object(object).to_string(),
        Some(other) => panic!("neither members nor a text: {other}"),
    }
}

/// A text in base64; with a space more where it would have no bits to spare, or no end to fill.
fn encoded(mut text: String, way: Option<&str>) -> String {
    if way.is_some_and(|way| way != "standard") && text.len().is_multiple_of(3) {
        text.push(' ');
    }
    encode(text.into_bytes(), way)
}

fn encode(bytes: Vec<u8>, way: Option<&str>) -> String {
    let usual = URL_SAFE_NO_PAD.encode(&bytes);
    let other = match way {
        None => return usual,
        Some("padded") => URL_SAFE.encode(bytes),
        Some("standard") => STANDARD_NO_PAD.encode(bytes),
        Some("loose") => loose(&usual),
        Some(other) => panic!("no encoding `{other}`"),
    };
    assert_ne!(other, usual, "nothing is different in this encoding");
    other
}

/// The same with the last bit set, which stands for nothing.
fn loose(text: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert!(!text.len().is_multiple_of(4), "every bit stands for something");
    let (rest, last) = text.split_at(text.len() - 1);
    let at = ALPHABET.find(last).expect("a letter of the alphabet");
    format!("{rest}{}", &ALPHABET[at + 1..at + 2])
}

#[cfg(test)]
mod tests {
    use bartizan_plugins::jose::Algorithm;
    use serde_json::json;

    use super::*;

    const SECRET: &[u8] = b"an example of thirty-two bytes!!";

    fn forge(spec: &Value) -> String {
        let object = |value: Value| value.as_object().unwrap().clone();
        let model = Model {
            signer: Arc::new(TokenKey::from_secret(Algorithm::Hs256, SECRET)),
            header: object(json!({ "kid": "a" })),
            claims: object(json!({ "sub": "u???>", "exp": 9 })),
        };
        forged("x", spec, &model, &|_| panic!("no other key is asked for"))
    }

    fn parts(spec: &Value) -> [String; 3] {
        let token = forge(spec);
        let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        parts.try_into().unwrap()
    }

    fn read(part: &str) -> String {
        String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn a_forgery_without_a_difference_is_the_token() {
        let key = TokenKey::from_secret(Algorithm::Hs256, SECRET);
        let header = json!({ "kid": "a" });
        let claims = json!({ "sub": "u???>", "exp": 9 });
        let token = key.sign_with(header.as_object().unwrap(), &claims);
        assert_eq!(forge(&json!({})), token);
    }

    #[test]
    fn members_are_others_or_gone_and_texts_stand_as_they_are() {
        let [header, payload, signature] = parts(&json!({
            "header": { "alg": "none" }, "claims": { "exp": null }, "without": ["sub"],
            "signature": "",
        }));
        let json = |part: &str| serde_json::from_str::<Value>(&read(part)).unwrap();
        assert_eq!(json(&header), json!({ "alg": "none", "kid": "a", "typ": "JWT" }));
        assert_eq!(json(&payload), json!({ "exp": null }));
        assert_eq!(signature, "");
        let [header, payload, _] = parts(&json!({ "header": "{", "claims": "[]" }));
        assert_eq!((read(&header), read(&payload)), ("{".to_owned(), "[]".to_owned()));
    }

    #[test]
    fn encodings_are_those_that_are_said() {
        let usual = parts(&json!({}));
        let padded = parts(&json!({ "encoding": { "payload": "padded" } }));
        assert!(padded[1].ends_with('='), "{padded:?}");
        let standard = parts(&json!({ "encoding": { "payload": "standard" } }));
        assert_eq!(standard[1].replace('+', "-").replace('/', "_"), usual[1]);
        let loose = parts(&json!({ "encoding": { "signature": "loose" } }));
        assert_eq!(loose[..2], usual[..2]);
        assert_ne!(loose[2], usual[2]);
        assert!(URL_SAFE_NO_PAD.decode(&loose[2]).is_err());
    }
}
