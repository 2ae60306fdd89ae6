//! One Vault: its token, and the calls to it.

mod answers;

use std::sync::Arc;
use std::time::Duration;

use bartizan_config::{KvVersion, SecretManager, Vault, VaultAuth};
use bartizan_core::{Clock, Secret};
use bartizan_net::{Answered, Reach};
use bartizan_wire::Fields;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use crate::document::Document;
use crate::fault::Fault;
use crate::line::Line;
use answers::{
    Login, LookUp, Standing, document, is_new_version, login_target, says_outdated, secret_target,
};

/// After how long a renewal that failed is tried again.
const RENEW_AGAIN: Duration = Duration::from_secs(10);
/// How often a secret is written at most, while others write it too.
const WRITES_MAX: usize = 3;
/// A token that lasts no longer is not worth a renewal.
const LEASE_MIN: Duration = Duration::from_secs(10);

/// A token at work.
#[derive(Clone, Debug)]
struct Token {
    secret: Arc<Secret>,
    /// When it ends; `None` where it does not, or nobody knows.
    ends: Option<Instant>,
    /// When it is to be renewed.
    renew: Option<Instant>,
}

impl Token {
    fn new(secret: Arc<Secret>, seconds: u64, is_renewable: bool) -> Self {
        let lease = Duration::from_secs(seconds.min(u64::from(u32::MAX)));
        if lease.is_zero() {
            return Self { secret, ends: None, renew: None };
        }
        let now = Instant::now();
        // Two thirds leave time for several tries.
        let renew = (is_renewable && lease > LEASE_MIN).then(|| now + lease / 3 * 2);
        Self { secret, ends: Some(now + lease), renew }
    }
}

/// One Vault.
#[derive(Debug)]
pub(crate) struct VaultServer {
    /// The secret manager's id.
    id: Arc<str>,
    vault: Vault,
    line: Line,
    /// Held while a token is made or renewed, so that it happens once for all who wait.
    token: tokio::sync::Mutex<Option<Token>>,
}

impl VaultServer {
    pub(crate) fn new(
        manager: &SecretManager,
        vault: Vault,
        reach: Arc<dyn Reach>,
        clock: &Clock,
    ) -> Result<Self, Fault> {
        let line = Line::new(manager, ("uri", &vault.uri), false, reach, clock)?;
        let id = Arc::clone(&manager.id);
        Ok(Self { id, vault, line, token: tokio::sync::Mutex::default() })
    }

    /// Reads a secret.
    pub(crate) async fn read(&self, path: &str) -> Result<Document, Fault> {
        let target = secret_target(&self.vault, path);
        let answered = succeeded(self.ask_let_in(&Method::GET, &target, b"").await?)?;
        document(self.vault.kv, answered.body())
    }

    /// Replaces a value in a secret, or makes it; what else is in it stays.
    pub(crate) async fn write(&self, path: &str, key: &str, value: &str) -> Result<(), Fault> {
        let (kv, target) = (self.vault.kv, secret_target(&self.vault, path));
        let mut nth = 0;
        loop {
            nth += 1;
            let answered = self.ask_let_in(&Method::GET, &target, b"").await?;
            let is_there = answered.status != StatusCode::NOT_FOUND;
            let answered = if is_there { succeeded(answered)? } else { answered };
            let body = Standing::read(kv, is_there, answered.body())?.with(key, value);
            let answered = self.ask_let_in(&Method::POST, &target, &body).await?;
            let is_outdated = answered.status == StatusCode::BAD_REQUEST
                && kv == KvVersion::Two
                && says_outdated(answered.body());
            match succeeded(answered) {
                Ok(answered) if kv == KvVersion::Two && !is_new_version(answered.body()) => {
                    return Err(Fault::Broken("of version 1 of the engine: write `kv_version: 1`"));
                }
                Ok(_) => return Ok(()),
                Err(Fault::Denied) => return Err(Fault::MayNotWrite),
                // Somebody else has written meanwhile.
                Err(_) if is_outdated && nth < WRITES_MAX => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Takes back the token that was made for the gateway, if one was.
    pub(crate) async fn leave(&self) {
        let known = self.token.lock().await.take();
        let Some(token) = known.filter(|token| self.can_log_in() && !is_over(token.ends)) else {
            return;
        };
        let target = "/v1/auth/token/revoke-self";
        // What comes of it changes nothing: the token ends by itself, too.
        let _ = self.ask(&Method::POST, target, b"{}", Some(&token.secret)).await;
    }

    /// Asks with the token; with another one, where that was taken back before its time.
    async fn ask_let_in(
        &self,
        method: &Method,
        target: &str,
        body: &[u8],
    ) -> Result<Answered, Fault> {
        let token = self.token().await?;
        let answered = self.call(method, target, body, Some(&token)).await?;
        if answered.status != StatusCode::FORBIDDEN || !self.can_log_in() {
            return Ok(answered);
        }
        self.forget(&token).await;
        let token = self.token().await?;
        self.call(method, target, body, Some(&token)).await
    }

    /// When the token is to be renewed.
    pub(crate) async fn renewal(&self) -> Option<Instant> {
        self.token.lock().await.as_ref().and_then(|token| token.renew)
    }

    /// Renews the token where that is due. What goes wrong shows where the token is used.
    pub(crate) async fn renew_if_due(&self) {
        let mut known = self.token.lock().await;
        if let Some(token) = known.as_mut().filter(|token| is_over(token.renew)) {
            self.renew(token).await;
        }
    }

    fn can_log_in(&self) -> bool {
        !matches!(self.vault.auth, VaultAuth::Token(_))
    }

    async fn token(&self) -> Result<Arc<Secret>, Fault> {
        let mut known = self.token.lock().await;
        if let Some(fault) = self.line.why_down() {
            return Err(fault);
        }
        if let Some(token) = known.as_mut() {
            if is_over(token.renew) {
                self.renew(token).await;
            }
            if !is_over(token.ends) || !self.can_log_in() {
                return Ok(token.secret.clone());
            }
        }
        let token = self.enter().await?;
        Ok(known.insert(token).secret.clone())
    }

    async fn forget(&self, used: &Arc<Secret>) {
        let mut known = self.token.lock().await;
        if known.as_ref().is_some_and(|token| Arc::ptr_eq(&token.secret, used)) {
            *known = None;
        }
    }

    /// Makes a token, or looks at the one that is given.
    async fn enter(&self) -> Result<Token, Fault> {
        let text = |secret: &Secret| secret.expose_str().unwrap_or_default().to_owned();
        let (method, mount, body) = match &self.vault.auth {
            VaultAuth::Token(token) => return self.look_up(Arc::new(token.clone())).await,
            VaultAuth::AppRole { mount, role_id, secret_id } => {
                ("approle", mount, json!({ "role_id": role_id, "secret_id": text(secret_id) }))
            }
            VaultAuth::Kubernetes { mount, role, jwt } => {
                ("kubernetes", mount, json!({ "role": role, "jwt": text(jwt) }))
            }
        };
        let target = login_target(mount);
        let outcome = self.ask(&Method::POST, &target, body.to_string().as_bytes(), None).await;
        let not_let_in = |status| {
            let fault = Fault::NotLetIn { method, status };
            self.line.note(&fault);
            fault
        };
        let answered = outcome.map_err(|fault| match fault {
            Fault::Denied => not_let_in(403),
            Fault::Absent(_) => not_let_in(404),
            Fault::Status(status) => not_let_in(status),
            fault => fault,
        })?;
        let login: Login =
            serde_json::from_slice(answered.body()).map_err(|_| Fault::Broken("not Vault's"))?;
        let auth = login.auth;
        let secret = Arc::new(Secret::new(auth.client_token));
        Ok(Token::new(secret, auth.lease_duration, auth.renewable))
    }

    /// Asks how long a token lasts. One that may not ask that is taken as it is.
    async fn look_up(&self, secret: Arc<Secret>) -> Result<Token, Fault> {
        let target = "/v1/auth/token/lookup-self";
        match self.ask(&Method::GET, target, b"", Some(&secret)).await {
            Ok(answered) => {
                let facts: LookUp = serde_json::from_slice(answered.body())
                    .map_err(|_| Fault::Broken("not Vault's"))?;
                Ok(Token::new(secret, facts.data.ttl, facts.data.renewable))
            }
            Err(fault) if fault.is_of_server() => Err(fault),
            Err(_) => Ok(Token::new(secret, 0, false)),
        }
    }

    async fn renew(&self, token: &mut Token) {
        let target = "/v1/auth/token/renew-self";
        let outcome = self.ask(&Method::POST, target, b"{}", Some(&token.secret)).await;
        let renewed = outcome.and_then(|answered| {
            serde_json::from_slice::<Login>(answered.body())
                .map_err(|_| Fault::Broken("not Vault's"))
        });
        match renewed {
            Ok(Login { auth }) => {
                *token = Token::new(token.secret.clone(), auth.lease_duration, auth.renewable);
            }
            Err(fault) if fault.is_of_server() => {
                token.renew = Some(Instant::now() + RENEW_AGAIN);
            }
            Err(fault) => {
                let id = &*self.id;
                tracing::warn!("the token for the secret manager `{id}` is not renewed: {fault}");
                // Where a new one can be made, this one is done with.
                token.renew = None;
                token.ends = if self.can_log_in() { Some(Instant::now()) } else { token.ends };
            }
        }
    }

    async fn ask(
        &self,
        method: &Method,
        target: &str,
        body: &[u8],
        token: Option<&Secret>,
    ) -> Result<Answered, Fault> {
        self.call(method, target, body, token).await.and_then(succeeded)
    }

    /// The answer, whatever its status.
    async fn call(
        &self,
        method: &Method,
        target: &str,
        body: &[u8],
        token: Option<&Secret>,
    ) -> Result<Answered, Fault> {
        let mut fields = Fields::new();
        fields.append("x-vault-request", "true");
        if let Some(namespace) = &self.vault.namespace {
            fields.append("x-vault-namespace", namespace.as_bytes().to_vec());
        }
        if let Some(token) = token {
            fields.append("x-vault-token", token.expose().to_vec());
        }
        if !body.is_empty() {
            fields.append("content-type", "application/json");
        }
        let outcome = self.line.call(method, target, &fields, body).await;
        if let Some(fault) = outcome.as_ref().ok().and_then(|answered| fault_of(answered.status)) {
            self.line.note(&fault);
        }
        outcome
    }
}

/// What a status means, unless it is of success.
fn fault_of(status: StatusCode) -> Option<Fault> {
    let is_success = matches!(status, StatusCode::OK | StatusCode::NO_CONTENT);
    (!is_success).then(|| Fault::of_status(status.as_u16()))
}

fn succeeded(answered: Answered) -> Result<Answered, Fault> {
    fault_of(answered.status).map_or(Ok(answered), Err)
}

fn is_over(at: Option<Instant>) -> bool {
    at.is_some_and(|at| at <= Instant::now())
}
