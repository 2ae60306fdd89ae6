//! A Secret Manager of Google Cloud in a test, and where its tokens are had: it verifies each
//! assertion by its account's public key, and does what the test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use bartizan_core::Clock;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use crate::upstream::{Answer, Seen};

struct State {
    pair: KeyPair,
    /// What an assertion must be meant for, and ask for.
    audience: String,
    scope: String,
    secrets: BTreeMap<String, String>,
    tokens: BTreeSet<String>,
    made: usize,
    lifetime: u64,
    accepts_none: bool,
    /// What is answered to everything, instead of the truth.
    instead: Option<Answer>,
    /// What is answered to whoever reads.
    reads: Option<Answer>,
    seen: Vec<String>,
}

/// A Secret Manager at `/v1` that gives tokens at `/token` to one account.
#[derive(Clone)]
pub struct GcpDouble(Arc<Mutex<State>>);

impl std::fmt::Debug for GcpDouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GcpDouble")
    }
}

impl GcpDouble {
    /// The name of the account.
    pub const ACCOUNT: &str = "gateway@shop.test";

    /// One without secrets; assertions must be for `audience` and ask for `scope`.
    pub fn new(audience: &str, scope: &str) -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        Self(Arc::new(Mutex::new(State {
            pair,
            audience: audience.to_owned(),
            scope: scope.to_owned(),
            secrets: BTreeMap::new(),
            tokens: BTreeSet::new(),
            made: 0,
            lifetime: 3_600,
            accepts_none: false,
            instead: None,
            reads: None,
            seen: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of the account, in PEM.
    pub fn private_key(&self) -> String {
        self.state().pair.serialize_pem()
    }

    /// What an assertion must be for.
    pub fn audience(&self, audience: &str) {
        audience.clone_into(&mut self.state().audience);
    }

    /// Keeps a secret of a project.
    pub fn put(&self, project: &str, name: &str, text: &str) {
        let path = format!("projects/{project}/secrets/{name}");
        self.state().secrets.insert(path, text.to_owned());
    }

    /// Removes a secret of a project.
    pub fn remove(&self, project: &str, name: &str) {
        self.state().secrets.remove(&format!("projects/{project}/secrets/{name}"));
    }

    /// How long tokens last, in seconds.
    pub fn lifetime(&self, seconds: u64) {
        self.state().lifetime = seconds;
    }

    /// Takes back every token.
    pub fn revoke_all(&self) {
        self.state().tokens.clear();
    }

    /// Accepts no token any more, whatever it gave.
    pub fn accept_none(&self, accepts_none: bool) {
        self.state().accepts_none = accepts_none;
    }

    /// Answers this to everything, or the truth again.
    pub fn instead(&self, answer: Option<Answer>) {
        self.state().instead = answer;
    }

    /// Answers this to whoever reads, or the truth again.
    pub fn reads(&self, answer: Option<Answer>) {
        self.state().reads = answer;
    }

    /// What was asked since this was asked last, as in `POST /token`.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.state().seen)
    }

    /// Serves on a free port of this machine, as long as the process lasts.
    pub fn listen(&self) -> u16 {
        let double = self.clone();
        crate::double::listen("gcp", move |seen| double.answer(seen))
    }

    /// What it answers to a request.
    pub fn answer(&self, seen: &Seen) -> Answer {
        let mut state = self.state();
        state.seen.push(format!("{} {}", seen.method, seen.target));
        if let Some(answer) = &state.instead {
            return answer.clone();
        }
        if seen.method == "POST" {
            return if state.is_assertion(seen) { state.grant() } else { invalid_grant() };
        }
        state.reads.clone().unwrap_or_else(|| state.read(seen))
    }
}

fn invalid_grant() -> Answer {
    Answer::json(400, &json!({ "error": "invalid_grant" }).to_string())
}

fn error(status: u16, name: &str) -> Answer {
    let error = json!({ "code": status, "status": name, "message": "not to be repeated" });
    Answer::json(status, &json!({ "error": error }).to_string())
}

impl State {
    fn grant(&mut self) -> Answer {
        self.made += 1;
        let token = format!("ya29.made-{}", self.made);
        self.tokens.insert(token.clone());
        let answer =
            json!({ "access_token": token, "expires_in": self.lifetime, "token_type": "Bearer" });
        Answer::json(200, &answer.to_string())
    }

    fn is_assertion(&self, seen: &Seen) -> bool {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
        let is_form = seen.field("content-type") == Some("application/x-www-form-urlencoded");
        let claims = body.strip_prefix(grant).and_then(|token| self.claims(token));
        let now = Clock::System.now().as_secs();
        let is_good = |claims: Value| {
            let number = |name: &str| claims[name].as_u64().unwrap_or_default();
            claims["iss"] == GcpDouble::ACCOUNT
                && claims["aud"] == self.audience
                && claims["scope"] == self.scope
                && claims.get("sub").is_none()
                && number("iat").abs_diff(now) < 60
                && (1..=3_600).contains(&number("exp").saturating_sub(number("iat")))
        };
        seen.target == "/token" && is_form && claims.is_some_and(is_good)
    }

    /// What a token says, if the account's key signed it.
    fn claims(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        let read = |part: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let own = RsaKeyPair::from_pkcs8(&self.pair.serialize_der()).ok()?;
        let public = own.public_key().as_ref().to_vec();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
        key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        (read(head)?["alg"] == "RS256").then(|| read(claims))?
    }

    fn read(&self, seen: &Seen) -> Answer {
        let token = seen.field("authorization").and_then(|shown| shown.strip_prefix("Bearer "));
        if self.accepts_none || !token.is_some_and(|token| self.tokens.contains(token)) {
            return error(401, "UNAUTHENTICATED");
        }
        let path = seen.target.strip_prefix("/v1/");
        let path = path.and_then(|path| path.strip_suffix("/versions/latest:access"));
        match path.and_then(|path| self.secrets.get(path)) {
            Some(text) if seen.method == "GET" => {
                let payload = json!({ "data": STANDARD.encode(text), "dataCrc32c": "1" });
                Answer::json(200, &json!({ "name": path, "payload": payload }).to_string())
            }
            _ => error(404, "NOT_FOUND"),
        }
    }
}
