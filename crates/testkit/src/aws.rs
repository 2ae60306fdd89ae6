//! A Secrets Manager of AWS in a test: it verifies each signature by what it received, and does what
//! the test says.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use bartizan_core::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::upstream::{Answer, Seen};

/// How far the time of a request may be from that of the service.
const SKEW_MAX: Duration = Duration::from_secs(300);

#[derive(Default)]
struct State {
    region: String,
    secrets: BTreeMap<String, String>,
    token: Option<String>,
    slow: Duration,
    instead: Option<Answer>,
    /// The error that every request is answered with.
    refusal: Option<String>,
    seen: Vec<String>,
}

/// A Secrets Manager of one region that knows one key.
#[derive(Clone, Default)]
pub struct AwsDouble(Arc<Mutex<State>>);

impl std::fmt::Debug for AwsDouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AwsDouble")
    }
}

impl AwsDouble {
    /// The name of the key.
    pub const KEY_ID: &str = "AKIDTEST";
    /// The key.
    pub const KEY: &str = "a-key/that+signs";

    /// One without secrets.
    pub fn new(region: &str) -> Self {
        let double = Self::default();
        region.clone_into(&mut double.state().region);
        double
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its region.
    pub fn region(&self) -> String {
        self.state().region.clone()
    }

    /// Keeps a secret.
    pub fn put(&self, name: &str, text: &str) {
        self.state().secrets.insert(name.to_owned(), text.to_owned());
    }

    /// Removes a secret.
    pub fn remove(&self, name: &str) {
        self.state().secrets.remove(name);
    }

    /// The token that must come with the key.
    pub fn wants_token(&self, token: Option<&str>) {
        self.state().token = token.map(str::to_owned);
    }

    /// Answers every request whose signature holds with this error.
    pub fn refuse(&self, name: &str) {
        self.state().refusal = Some(name.to_owned());
    }

    /// Answers this to everything, or the truth again.
    pub fn instead(&self, answer: Option<Answer>) {
        self.state().instead = answer;
    }

    /// Waits before it answers.
    pub fn slow(&self, wait: Duration) {
        self.state().slow = wait;
    }

    /// The secrets that were asked for since this was asked last.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.state().seen)
    }

    /// Serves on a free port of this machine, as long as the process lasts.
    pub fn listen(&self) -> u16 {
        let double = self.clone();
        crate::double::listen("aws", move |seen| double.answer(seen))
    }

    /// What it answers to a request.
    pub fn answer(&self, seen: &Seen) -> Answer {
        let mut state = self.state();
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        state.seen.push(body["SecretId"].as_str().unwrap_or_default().to_owned());
        let wait = state.slow;
        let answer = state.instead.clone().unwrap_or_else(|| match state.truth(seen, &body) {
            Ok(answer) => answer,
            Err(name) => {
                let text = json!({ "__type": name, "message": "not to be repeated" });
                Answer::json(400, &text.to_string())
            }
        });
        if wait.is_zero() { answer } else { answer.after(wait) }
    }
}

impl State {
    fn truth(&self, seen: &Seen, body: &Value) -> Result<Answer, String> {
        self.verify(seen).map_err(str::to_owned)?;
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let is_known = seen.method == "POST"
            && seen.field("x-amz-target") == Some("secretsmanager.GetSecretValue")
            && seen.field("content-type") == Some("application/x-amz-json-1.1");
        if !is_known {
            return Err("UnknownOperationException".to_owned());
        }
        let name = body["SecretId"].as_str().ok_or("InvalidParameterException")?;
        let text = self.secrets.get(name).ok_or("ResourceNotFoundException")?;
        let answer = json!({ "Name": name, "SecretString": text, "VersionStages": ["AWSCURRENT"] });
        Ok(Answer::json(200, &answer.to_string()))
    }

    /// Signs what was received once more.
    fn verify(&self, seen: &Seen) -> Result<(), &'static str> {
        let shown = seen.field("authorization").ok_or("MissingAuthenticationTokenException")?;
        let parts =
            shown.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("IncompleteSignatureException")?;
        let part = |name: &str| {
            let found =
                parts.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            found.ok_or("IncompleteSignatureException")
        };
        let (credential, names) = (part("Credential")?, part("SignedHeaders")?);
        let date = seen.field("x-amz-date").ok_or("IncompleteSignatureException")?;
        let sent = read_time(date).ok_or("IncompleteSignatureException")?;
        let now = Duration::from_secs(Clock::System.now().as_secs());
        if now.abs_diff(sent) > SKEW_MAX {
            return Err("InvalidSignatureException");
        }
        let day = &date[..8];
        let scope = format!("{day}/{}/secretsmanager/aws4_request", self.region);
        let (key, named) = credential.split_once('/').ok_or("IncompleteSignatureException")?;
        if key != AwsDouble::KEY_ID {
            return Err("UnrecognizedClientException");
        }
        let token = seen.field("x-amz-security-token");
        if token != self.token.as_deref() {
            return Err("UnrecognizedClientException");
        }
        let all: Vec<&str> = names.split(';').collect();
        let mut wanted = vec!["content-type", "host", "x-amz-date", "x-amz-target"];
        wanted.extend(token.map(|_| "x-amz-security-token"));
        if named != scope || !all.is_sorted() || !wanted.iter().all(|name| all.contains(name)) {
            return Err("InvalidSignatureException");
        }
        let mut request = format!("{}\n{}\n\n", seen.method, seen.target);
        for name in &all {
            let value = seen.field(name).ok_or("InvalidSignatureException")?;
            writeln!(request, "{name}:{}", value.trim()).expect("text");
        }
        write!(request, "\n{names}\n{}", sha256(&seen.body)).expect("text");
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(request.as_bytes()));
        let mut key = format!("AWS4{}", AwsDouble::KEY).into_bytes();
        for step in scope.split('/').chain([text.as_str()]) {
            key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), step.as_bytes())
                .as_ref()
                .to_vec();
        }
        (part("Signature")? == hex(&key)).then_some(()).ok_or("InvalidSignatureException")
    }
}

/// The time since the epoch of `20150830T123600Z`.
fn read_time(text: &str) -> Option<Duration> {
    let (day, time) = text.split_once('T')?;
    if day.len() != 8 || time.len() != 7 {
        return None;
    }
    let (year, month, date) = (day.get(..4)?, day.get(4..6)?, day.get(6..)?);
    let (hour, minute, rest) = (time.get(..2)?, time.get(2..4)?, time.get(4..)?);
    let text = format!("{year}-{month}-{date}T{hour}:{minute}:{rest}");
    Some(Duration::from_secs(Timestamp::from_rfc3339(&text)?.as_secs()))
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text");
        text
    })
}
