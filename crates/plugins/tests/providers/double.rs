//! A provider of tokens in a test: it has keys, publishes some of them, and answers as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bartizan_plugins::jose::Algorithm;
use bartizan_testkit::{Answer, Gateway, START, Seen, Sent, TokenKey};
use serde_json::{Value, json};

/// What the double answers, by path.
pub(crate) type Pages = Arc<Mutex<BTreeMap<String, Answer>>>;

/// A provider at `https://id.test`, with keys called `one` and `two`.
pub(crate) struct Provider {
    pub(crate) one: TokenKey,
    pub(crate) two: TokenKey,
    pages: Pages,
}

pub(crate) const ISSUER: &str = "https://id.test";
pub(crate) const NODE: &str = "id.test:443";
pub(crate) const METADATA: &str = "/.well-known/openid-configuration";
pub(crate) const KEYS: &str = "/keys";

impl Provider {
    /// A provider that publishes the key `one`, in place of what the gateway would find there.
    pub(crate) fn of(gateway: &Gateway) -> Self {
        let provider = Self {
            one: TokenKey::generate(Algorithm::Es256),
            two: TokenKey::generate(Algorithm::Es256),
            pages: Pages::default(),
        };
        let metadata = json!({"issuer": ISSUER, "jwks_uri": "https://id.test/keys"});
        provider.says(METADATA, Answer::json(200, &metadata.to_string()));
        provider.publishes(&[("one", &provider.one)]);
        serve(gateway, NODE, &provider.pages);
        provider
    }

    /// What it answers at a path from now on.
    pub(crate) fn says(&self, path: &str, answer: Answer) {
        self.pages.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// The keys that it publishes from now on.
    pub(crate) fn publishes(&self, keys: &[(&str, &TokenKey)]) {
        self.says(KEYS, key_set(keys));
    }
}

/// An answer with a set of keys.
pub(crate) fn key_set(keys: &[(&str, &TokenKey)]) -> Answer {
    let keys: Vec<Value> = keys.iter().map(|(kid, key)| key.jwk(kid)).collect();
    Answer::json(200, &json!({ "keys": keys }).to_string())
}

/// Puts pages at a server.
pub(crate) fn serve(gateway: &Gateway, node: &str, pages: &Pages) {
    let pages = pages.clone();
    gateway.remotes().respond(node, move |seen: &Seen| {
        let pages = pages.lock().unwrap();
        pages.get(&seen.target).cloned().unwrap_or_else(|| Answer::status(404))
    });
}

/// A token of the issuer for `orders` that lives for a week.
pub(crate) fn token(key: &TokenKey, kid: &str) -> String {
    let claims =
        json!({"iss": ISSUER, "aud": "orders", "sub": "u", "exp": START.as_secs() + 604_800});
    signed(key, &json!({ "kid": kid }), &claims)
}

/// A token with this header and these claims.
pub(crate) fn signed(key: &TokenKey, header: &Value, claims: &Value) -> String {
    key.sign_with(header.as_object().unwrap(), claims)
}

/// The paths that were asked for at providers since this was asked last.
pub(crate) fn asked(gateway: &Gateway) -> Vec<String> {
    let requests = gateway.remotes().take().into_iter().filter_map(|sent| match sent {
        Sent::Request { seen, .. } => Some(seen.target),
        _ => None,
    });
    requests.collect()
}
