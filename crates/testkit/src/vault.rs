//! A Vault in a test: it answers as the real one does, over streams in memory or on a free port,
//! and does what the test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::upstream::{Answer, Seen};

#[derive(Clone, Copy)]
struct Token {
    lease: Option<Duration>,
    ends: Option<Instant>,
    is_renewable: bool,
}

#[derive(Default)]
struct State {
    /// By mount and path, as in `kv/jack`.
    secrets: BTreeMap<String, Value>,
    tokens: BTreeMap<String, Token>,
    /// What a login sends, by its path, and the lease of the token that it gets.
    logins: BTreeMap<String, (Value, Duration)>,
    made: usize,
    is_sealed: bool,
    is_slow: Duration,
    /// What is answered to everything, instead of the truth.
    instead: Option<Answer>,
    lease: u64,
    seen: Vec<String>,
    namespace: Option<String>,
    /// Of secrets of version 2 that were written more than once.
    versions: BTreeMap<String, u64>,
    /// Tokens that may only read.
    readers: BTreeSet<String>,
    /// What somebody else writes just before each of the next so many writes.
    rival: Option<(String, Value, usize)>,
    /// What every write is answered with, instead of the truth.
    refusal: Option<Answer>,
}

/// A Vault with version 1 of the key-value engine at `kv` and version 2 at `kv2`.
#[derive(Clone, Default)]
pub struct VaultDouble(Arc<Mutex<State>>);

impl std::fmt::Debug for VaultDouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VaultDouble")
    }
}

impl VaultDouble {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a secret, as in `kv/jack` or `kv2/jack`.
    pub fn put(&self, path: &str, values: Value) {
        self.state().secrets.insert(path.to_owned(), values);
    }

    /// Removes a secret.
    pub fn remove(&self, path: &str) {
        self.state().secrets.remove(path);
    }

    /// Accepts a token, for so long if it ends.
    pub fn token(&self, token: &str, lease: Option<Duration>, is_renewable: bool) {
        let ends = lease.map(|lease| Instant::now() + lease);
        self.state().tokens.insert(token.to_owned(), Token { lease, ends, is_renewable });
    }

    /// What is kept, as in `kv/jack`.
    pub fn kept(&self, path: &str) -> Option<Value> {
        self.state().secrets.get(path).cloned()
    }

    /// The token may read, and not write.
    pub fn may_only_read(&self, token: &str) {
        self.state().readers.insert(token.to_owned());
    }

    /// Just before each of the next so many writes, somebody else writes that.
    pub fn rival(&self, path: &str, values: Value, times: usize) {
        self.state().rival = Some((path.to_owned(), values, times));
    }

    /// Answers this to every write, or the truth again.
    pub fn refuse_writes(&self, answer: Option<Answer>) {
        self.state().refusal = answer;
    }

    /// Takes back every token.
    pub fn revoke_all(&self) {
        self.state().tokens.clear();
    }

    /// Gives tokens of that lease to who sends this to `auth/<mount>/login`.
    pub fn let_in(&self, mount: &str, body: Value, lease: Duration) {
        let path = format!("/v1/auth/{mount}/login");
        self.state().logins.insert(path, (body, lease));
    }

    /// Is sealed from now on, or works again.
    pub fn seal(&self, is_sealed: bool) {
        self.state().is_sealed = is_sealed;
    }

    /// Waits before it answers.
    pub fn slow(&self, wait: Duration) {
        self.state().is_slow = wait;
    }

    /// Answers this to everything, or the truth again.
    pub fn instead(&self, answer: Option<Answer>) {
        self.state().instead = answer;
    }

    /// How long secrets of version 1 last, in seconds.
    pub fn lease(&self, seconds: u64) {
        self.state().lease = seconds;
    }

    /// Only requests of this namespace are let in.
    pub fn namespace(&self, name: &str) {
        self.state().namespace = Some(name.to_owned());
    }

    /// What was asked since this was asked last, as in `GET /v1/kv/jack`.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.state().seen)
    }

    /// What it answers to a request.
    pub fn answer(&self, seen: &Seen) -> Answer {
        let mut state = self.state();
        state.seen.push(format!("{} {}", seen.method, seen.target));
        let wait = state.is_slow;
        let answer = match &state.instead {
            Some(answer) => answer.clone(),
            None => state.truth(seen),
        };
        if wait.is_zero() { answer } else { answer.after(wait) }
    }

    /// Serves on a free port of this machine, as long as the process lasts.
    pub fn listen(&self) -> u16 {
        let double = self.clone();
        crate::double::listen("vault", move |seen| double.answer(seen))
    }
}

fn refusal(status: u16, errors: &[&str]) -> Answer {
    Answer::json(status, &json!({ "errors": errors }).to_string())
}

impl State {
    fn truth(&mut self, seen: &Seen) -> Answer {
        if self.is_sealed {
            return refusal(503, &["Vault is sealed"]);
        }
        let namespace = seen.field("x-vault-namespace").map(str::to_owned);
        if namespace != self.namespace || seen.field("x-vault-request") != Some("true") {
            return refusal(404, &["no handler for route"]);
        }
        if let Some((body, lease)) = self.logins.get(&seen.target).cloned() {
            let sent: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
            if seen.method != "POST" || sent != body {
                return refusal(400, &["invalid role or secret ID"]);
            }
            self.made += 1;
            let name = format!("made-{}", self.made);
            let ends = Some(Instant::now() + lease);
            let token = Token { lease: Some(lease), ends, is_renewable: true };
            self.tokens.insert(name.clone(), token);
            return Answer::json(200, &auth(&name, token).to_string());
        }
        let name = seen.field("x-vault-token").unwrap_or_default().to_owned();
        let now = Instant::now();
        let token = self.tokens.get(&name).copied();
        let Some(token) = token.filter(|token| token.ends.is_none_or(|ends| ends > now)) else {
            return refusal(403, &["permission denied"]);
        };
        match (&*seen.method, &*seen.target) {
            ("GET", "/v1/auth/token/lookup-self") => {
                let left = token.ends.map_or(0, |ends| (ends - now).as_secs());
                let data = json!({ "ttl": left, "renewable": token.is_renewable });
                Answer::json(200, &json!({ "data": data }).to_string())
            }
            ("POST", "/v1/auth/token/renew-self") if token.is_renewable => {
                let renewed = Token { ends: token.lease.map(|lease| now + lease), ..token };
                self.tokens.insert(name.clone(), renewed);
                Answer::json(200, &auth(&name, renewed).to_string())
            }
            ("POST", "/v1/auth/token/revoke-self") => {
                self.tokens.remove(&name);
                Answer::status(204)
            }
            ("POST", "/v1/auth/token/renew-self") => refusal(400, &["lease is not renewable"]),
            ("GET", target) => self.secret(target),
            ("POST", _) if self.readers.contains(&name) => refusal(403, &["permission denied"]),
            ("POST", target) => self.write(target, &seen.body),
            _ => refusal(405, &["unsupported operation"]),
        }
    }

    fn secret(&self, target: &str) -> Answer {
        let path = target.trim_start_matches("/v1/");
        let found = if let Some(path) = path.strip_prefix("kv2/data/") {
            let values = self.secrets.get(&format!("kv2/{path}"));
            values.map(|values| {
                let version = self.version(&format!("kv2/{path}"));
                let data = json!({ "data": values, "metadata": { "version": version } });
                json!({ "lease_id": "", "lease_duration": 0, "data": data })
            })
        } else if path.starts_with("kv/") {
            let values = self.secrets.get(path);
            values.map(
                |values| json!({ "lease_id": "", "lease_duration": self.lease, "data": values }),
            )
        } else {
            None
        };
        let removed = || {
            let version = self.versions.get(&path.replacen("kv2/data/", "kv2/", 1))?;
            let data = json!({ "data": null, "metadata": { "version": version } });
            Some(Answer::json(404, &json!({ "data": data }).to_string()))
        };
        match found {
            Some(found) => Answer::json(200, &found.to_string()),
            None => removed().unwrap_or_else(|| refusal(404, &[])),
        }
    }
}

impl State {
    fn version(&self, path: &str) -> u64 {
        let is_there = self.secrets.contains_key(path);
        self.versions.get(path).copied().unwrap_or(u64::from(is_there))
    }

    fn write(&mut self, target: &str, body: &[u8]) -> Answer {
        if let Some(answer) = &self.refusal {
            return answer.clone();
        }
        if let Some((path, values, times)) = self.rival.take().filter(|(.., times)| *times > 0) {
            self.rival = Some((path.clone(), values.clone(), times - 1));
            let version = self.version(&path) + 1;
            self.versions.insert(path.clone(), version);
            self.secrets.insert(path, values);
        }
        let path = target.trim_start_matches("/v1/");
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(path) = path.strip_prefix("kv2/data/") {
            let path = format!("kv2/{path}");
            let version = self.version(&path);
            let cas = sent.pointer("/options/cas").and_then(Value::as_u64);
            let Some(values) = sent.get("data").filter(|values| values.is_object()) else {
                return refusal(400, &["no data provided"]);
            };
            if cas.is_some_and(|cas| cas != version) {
                let why = "check-and-set parameter did not match the current version";
                return refusal(400, &[why]);
            }
            self.versions.insert(path.clone(), version + 1);
            self.secrets.insert(path, values.clone());
            let data = json!({ "data": { "version": version + 1 } });
            return Answer::json(200, &data.to_string());
        }
        if !path.starts_with("kv/") || !sent.is_object() {
            return refusal(404, &["no handler for route"]);
        }
        self.secrets.insert(path.to_owned(), sent);
        Answer::status(204)
    }
}

fn auth(name: &str, token: Token) -> Value {
    let lease = token.lease.map_or(0, |lease| lease.as_secs());
    json!({ "auth": {
        "client_token": name,
        "lease_duration": lease,
        "renewable": token.is_renewable,
    }})
}
