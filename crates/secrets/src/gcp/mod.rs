//! Secret Manager of Google Cloud: an assertion that the account's key signs is exchanged for a
//! token, with which secrets are read.

mod assertion;

use std::sync::Arc;
use std::time::Duration;

use bartizan_config::{Gcp, SecretManager, ServiceAccount};
use bartizan_core::{Clock, Secret};
use bartizan_net::{Answered, Reach};
use bartizan_wire::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;

use crate::document::Document;
use crate::fault::Fault;
use crate::line::Line;
use assertion::{AccountKey, GRANT};

/// How long before its end a token is not used any more.
const MARGIN: Duration = Duration::from_secs(60);
/// Longest time that a token is used, whatever is said of it.
const TOKEN_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Longest token, in bytes.
const TOKEN_LENGTH_MAX: usize = 16 * 1_024;

/// Secret Manager, entered as one account.
#[derive(Debug)]
pub(crate) struct GcpServer {
    account: ServiceAccount,
    key: AccountKey,
    /// Where tokens are had.
    tokens: Line,
    /// Where secrets are read.
    entries: Line,
    clock: Clock,
    /// Held while a token is fetched, so that it happens once for all who wait.
    token: tokio::sync::Mutex<Option<Token>>,
}

#[derive(Debug)]
struct Token {
    secret: Arc<Secret>,
    ends: Instant,
}

/// The answer to an assertion.
#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
    /// In seconds.
    #[serde(default)]
    expires_in: u64,
    #[serde(default)]
    token_type: String,
}

/// A secret as it is answered.
#[derive(Deserialize)]
struct Accessed {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    data: String,
}

/// An error as it is answered.
#[derive(Deserialize)]
struct Refused {
    error: Cause,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    status: String,
}

impl GcpServer {
    pub(crate) fn new(
        manager: &SecretManager,
        gcp: &Gcp,
        reach: &Arc<dyn Reach>,
        clock: &Clock,
    ) -> Result<Self, Fault> {
        let account = gcp.account.clone();
        let off = gcp.danger_verify_off;
        let line =
            |field, address| Line::new(manager, (field, address), off, Arc::clone(reach), clock);
        Ok(Self {
            key: AccountKey::read(&account.private_key)?,
            tokens: line("token_uri", &account.token_uri)?,
            entries: line("entries_uri", &account.entries_uri)?,
            clock: clock.clone(),
            token: tokio::sync::Mutex::default(),
            account,
        })
    }

    /// Reads the newest version of a secret.
    pub(crate) async fn read(&self, name: &str) -> Result<Document, Fault> {
        let target = format!(
            "{}/projects/{}/secrets/{name}/versions/latest:access",
            self.entries.base(),
            self.account.project_id
        );
        let token = self.token().await?;
        let mut answered = self.ask(&target, &token).await?;
        if answered.status == StatusCode::UNAUTHORIZED {
            // It was taken back before its time.
            self.forget(&token).await;
            let token = self.token().await?;
            answered = self.ask(&target, &token).await?;
        }
        if answered.status != StatusCode::OK {
            let fault = fault_of(answered.status.as_u16(), answered.body());
            self.entries.note(&fault);
            return Err(fault);
        }
        document(answered.body())
    }

    async fn ask(&self, target: &str, token: &Secret) -> Result<Answered, Fault> {
        let mut authorization = b"Bearer ".to_vec();
        authorization.extend_from_slice(token.expose());
        let mut fields = Fields::new();
        fields.append("authorization", authorization);
        fields.append("accept", "application/json");
        self.entries.call(&Method::GET, target, &fields, b"").await
    }

    async fn token(&self) -> Result<Arc<Secret>, Fault> {
        let mut known = self.token.lock().await;
        if let Some(token) = known.as_ref().filter(|token| token.ends > Instant::now()) {
            return Ok(Arc::clone(&token.secret));
        }
        let token = self.enter().await?;
        Ok(Arc::clone(&known.insert(token).secret))
    }

    async fn forget(&self, used: &Arc<Secret>) {
        let mut known = self.token.lock().await;
        if known.as_ref().is_some_and(|token| Arc::ptr_eq(&token.secret, used)) {
            *known = None;
        }
    }

    /// Exchanges an assertion for a token (RFC 7523 §2.1).
    async fn enter(&self) -> Result<Token, Fault> {
        let assertion = self.key.assertion(&self.account, self.clock.now())?;
        // Neither has a character that a form would encode, but for the colons of the grant.
        let grant = GRANT.replace(':', "%3A");
        let body = Secret::new(format!("grant_type={grant}&assertion={assertion}"));
        let mut fields = Fields::new();
        fields.append("content-type", "application/x-www-form-urlencoded");
        fields.append("accept", "application/json");
        let target = if self.tokens.base().is_empty() { "/" } else { self.tokens.base() };
        let answered = self.tokens.call(&Method::POST, target, &fields, body.expose()).await?;
        let status = answered.status.as_u16();
        if answered.status != StatusCode::OK {
            let fault = match Fault::of_status(status) {
                fault if fault.is_of_server() => fault,
                fault @ Fault::Redirected(_) => fault,
                _ => Fault::NotLetIn { method: "service account", status },
            };
            self.tokens.note(&fault);
            return Err(fault);
        }
        granted(answered.body())
    }
}

/// Reads the answer to an assertion.
fn granted(body: &[u8]) -> Result<Token, Fault> {
    const BROKEN: Fault = Fault::Broken("no token that can be used");
    let granted: Granted = serde_json::from_slice(body).map_err(|_| BROKEN)?;
    let token = granted.access_token;
    let is_sendable = (1..=TOKEN_LENGTH_MAX).contains(&token.len())
        && token.expose().iter().all(u8::is_ascii_graphic);
    let is_bearer = matches!(granted.token_type.to_ascii_lowercase().as_str(), "" | "bearer");
    if !is_sendable || !is_bearer {
        return Err(BROKEN);
    }
    let time = Duration::from_secs(granted.expires_in).min(TOKEN_MAX);
    // One that is as short as that is used once.
    Ok(Token { secret: Arc::new(token), ends: Instant::now() + time.saturating_sub(MARGIN) })
}

/// Reads a secret.
fn document(body: &[u8]) -> Result<Document, Fault> {
    let accessed: Accessed =
        serde_json::from_slice(body).map_err(|_| Fault::Broken("not that of Secret Manager"))?;
    let data = STANDARD.decode(accessed.payload.data.as_bytes());
    let data = data.map_err(|_| Fault::Broken("not that of Secret Manager"))?;
    let text = String::from_utf8(data).map_err(|_| Fault::Broken("of a secret that is no text"))?;
    Ok(Document::of_text(text))
}

/// What an error means.
fn fault_of(status: u16, body: &[u8]) -> Fault {
    let refused: Option<Refused> = serde_json::from_slice(body).ok();
    let name = refused.map(|refused| refused.error.status).unwrap_or_default();
    match (status, name.as_str()) {
        (404, "NOT_FOUND") => Fault::Absent(""),
        // An address that is not that of the service says nothing of the secret.
        (404, _) => Fault::Status(404),
        (400, "FAILED_PRECONDITION") => {
            Fault::Absent(": its newest version is disabled or was destroyed")
        }
        (401, _) => Fault::NotAccepted("the token that it was given"),
        (403, _) => Fault::MayNotRead(403),
        (other, _) => Fault::of_status(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_whether_there_is_a_secret() {
        for (status, body, expected) in [
            (404, r#"{"error":{"status":"NOT_FOUND"}}"#, Fault::Absent("")),
            (404, "<html>", Fault::Status(404)),
            (
                400,
                r#"{"error":{"status":"FAILED_PRECONDITION"}}"#,
                Fault::Absent(": its newest version is disabled or was destroyed"),
            ),
            (400, r#"{"error":{"status":"INVALID_ARGUMENT"}}"#, Fault::Status(400)),
            (403, r#"{"error":{"status":"PERMISSION_DENIED"}}"#, Fault::MayNotRead(403)),
            (401, "", Fault::NotAccepted("the token that it was given")),
            (429, "", Fault::TooOften),
            (503, "", Fault::OutOfOrder(503)),
        ] {
            assert_eq!(fault_of(status, body.as_bytes()), expected, "{status} {body}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_used_until_shortly_before_its_end() {
        for (body, left) in [
            (r#"{"access_token":"t","expires_in":3600,"token_type":"Bearer"}"#, Some(3_540)),
            (r#"{"access_token":"t","expires_in":61}"#, Some(1)),
            (r#"{"access_token":"t","expires_in":60}"#, Some(0)),
            (r#"{"access_token":"t"}"#, Some(0)),
            (r#"{"access_token":"t","expires_in":18446744073709551615}"#, Some(86_340)),
            (r#"{"access_token":"t","expires_in":3600,"token_type":"mac"}"#, None),
            (r#"{"access_token":"","expires_in":3600}"#, None),
            (r#"{"access_token":"a b","expires_in":3600}"#, None),
            (r#"{"expires_in":3600}"#, None),
            ("<html>", None),
        ] {
            let token = granted(body.as_bytes()).ok();
            let ends = token.map(|token| (token.ends - Instant::now()).as_secs());
            assert_eq!(ends, left, "{body}");
        }
        for (length, is_taken) in [(TOKEN_LENGTH_MAX, true), (TOKEN_LENGTH_MAX + 1, false)] {
            let body = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(length));
            assert_eq!(granted(body.as_bytes()).is_ok(), is_taken, "{length}");
        }
    }

    #[test]
    fn what_is_no_secret_says_so() {
        for (body, words) in [
            ("<html>", "not that of Secret Manager"),
            (r#"{"payload":{}}"#, "not that of Secret Manager"),
            (r#"{"payload":{"data":"%"}}"#, "not that of Secret Manager"),
            (r#"{"payload":{"data":"/w=="}}"#, "no text"),
        ] {
            let fault = document(body.as_bytes()).map(|_| ()).unwrap_err();
            assert!(fault.to_string().contains(words), "{body}: {fault}");
        }
    }
}
