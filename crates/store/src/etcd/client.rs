//! Calls to etcd: which member is asked, with which token, and what its refusals mean.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_core::{Limits, Secret};
use bartizan_net::{Call, CallError, CallLimits, Client as Http, Endpoint, Keep, Reach, Streamed};
use bartizan_wire::Fields;
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{AuthRequest, AuthResponse, ErrorResponse};
use crate::fault::StoreError;

/// Longest answer.
const ANSWER_MAX: usize = 64 * 1_024 * 1_024;

/// Connections are kept for reads only: a write that is sent twice is two writes.
const KEEP: Keep = Keep { size: 4, idle: Duration::from_secs(30) };

/// Codes of gRPC that mean that the token is not accepted.
const UNAUTHENTICATED: u32 = 16;

/// Why etcd did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No member answers.
    #[error("{0}")]
    Unreachable(String),
    /// The user is not let in, or not allowed that.
    #[error("{0}")]
    Refused(String),
    /// The revision is not kept any more.
    #[error("the revision is compacted")]
    Compacted,
    /// The revision has not been reached.
    #[error("the revision is in the future")]
    Future,
    /// The answer is too long.
    #[error("an answer of more than {ANSWER_MAX} bytes")]
    TooLarge,
    /// It held objects and is empty now, without having told that they were removed.
    #[error("it is empty, and older than what was read from it: was it wiped?")]
    Wiped,
    /// An answer that makes no sense.
    #[error("{0}")]
    Broken(String),
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unreachable(cause) => Self::Unreachable(cause),
            Fault::Refused(cause) => Self::Refused(cause),
            other => Self::Broken(other.to_string()),
        }
    }
}

/// Whether a call may be made twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It only reads.
    Freely,
    /// It changes something: only where it certainly was not received.
    IfUnsent,
}

/// The members of a cluster.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    endpoints: Vec<Endpoint>,
    /// The member that is asked first.
    current: AtomicUsize,
    user: Option<(String, Secret)>,
    token: Mutex<Option<Arc<Secret>>>,
    pub(super) time: Duration,
}

impl Client {
    pub(super) fn new(
        reach: Arc<dyn Reach>,
        endpoints: Vec<Endpoint>,
        user: Option<(String, Secret)>,
        time: Duration,
    ) -> Self {
        Self {
            http: Http::new(reach, &Limits::default()),
            endpoints,
            current: AtomicUsize::new(0),
            user,
            token: Mutex::default(),
            time,
        }
    }

    /// The member that is asked first from now on is the next one.
    pub(super) fn move_on(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
        self.forget_token();
    }

    /// Asks the members, one after the other, until one answers.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        target: &str,
        request: &impl Serialize,
        repeat: Repeat,
    ) -> Result<T, Fault> {
        let body = to_json(request)?;
        let first = self.current.load(Ordering::Relaxed);
        let mut last = Fault::Unreachable("there are no endpoints".to_owned());
        for turn in 0..self.endpoints.len() {
            let at = first.wrapping_add(turn);
            match self.ask_as_user(at, target, &body, repeat).await {
                Ok(answer) => {
                    if turn > 0 {
                        self.current.store(at, Ordering::Relaxed);
                    }
                    return from_json(&answer);
                }
                Err((fault @ Fault::Unreachable(_), may_go_on)) => {
                    last = fault;
                    if !may_go_on {
                        break;
                    }
                }
                Err((fault, _)) => return Err(fault),
            }
        }
        Err(last)
    }

    /// Asks the first member only, which is the one that is followed.
    pub(super) async fn ask_first<T: DeserializeOwned>(
        &self,
        target: &str,
        request: &impl Serialize,
    ) -> Result<T, Fault> {
        let body = to_json(request)?;
        let at = self.current.load(Ordering::Relaxed);
        let answer = self.ask_as_user(at, target, &body, Repeat::Freely).await;
        from_json(&answer.map_err(|(fault, _)| fault)?)
    }

    /// Opens a stream from the first member.
    pub(super) async fn open(
        &self,
        target: &str,
        request: &impl Serialize,
    ) -> Result<Streamed, Fault> {
        let body = to_json(request)?;
        let endpoint = self.endpoint(self.current.load(Ordering::Relaxed))?;
        let fields = fields(self.token(endpoint).await?.as_deref());
        let call = Call { method: &Method::POST, target, fields: &fields, body: &body };
        let streamed = self.http.open(endpoint, &call, self.time).await;
        let streamed = streamed.map_err(|error| unreachable(endpoint, &error))?;
        if streamed.status() == StatusCode::OK {
            return Ok(streamed);
        }
        self.forget_token();
        Err(Fault::Refused(format!("the watch was answered with {}", streamed.status())))
    }

    /// One call to one member; a token that is not accepted any more is replaced once. Says too
    /// whether another member may be asked.
    async fn ask_as_user(
        &self,
        at: usize,
        target: &str,
        body: &[u8],
        repeat: Repeat,
    ) -> Result<bytes::Bytes, (Fault, bool)> {
        let endpoint = self.endpoint(at).map_err(|fault| (fault, false))?;
        let mut is_new = false;
        loop {
            let token = self.token(endpoint).await.map_err(|fault| (fault, true))?;
            let outcome = self.exchange(endpoint, target, body, token.as_deref(), repeat).await?;
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(error) if is_stale(&error) && self.user.is_some() && !is_new => {
                    self.forget_token();
                    is_new = true;
                }
                Err(error) => return Err((refusal(&error), repeat == Repeat::Freely)),
            }
        }
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        target: &str,
        body: &[u8],
        token: Option<&Secret>,
        repeat: Repeat,
    ) -> Result<Result<bytes::Bytes, ErrorResponse>, (Fault, bool)> {
        let keep = match repeat {
            Repeat::Freely => KEEP,
            Repeat::IfUnsent => Keep { size: 0, ..KEEP },
        };
        let limits = CallLimits { time: self.time, answer: ANSWER_MAX, keep };
        let fields = fields(token);
        let call = Call { method: &Method::POST, target, fields: &fields, body };
        let answered = match self.http.call(endpoint, &call, &limits).await {
            Ok(answered) => answered,
            Err(CallError::TooLarge(_)) => return Err((Fault::TooLarge, false)),
            Err(error) => {
                let is_unsent = matches!(error, CallError::Connect(_));
                let may_go_on = is_unsent || repeat == Repeat::Freely;
                return Err((unreachable(endpoint, &error), may_go_on));
            }
        };
        if answered.status == StatusCode::OK {
            return Ok(Ok(answered.body().clone()));
        }
        let error: ErrorResponse = serde_json::from_slice(answered.body()).unwrap_or_default();
        if error.message.is_empty() && error.error.is_empty() {
            let problem = format!("`{}` answered with {}", name(endpoint), answered.status);
            return Err((Fault::Unreachable(problem), repeat == Repeat::Freely));
        }
        Ok(Err(error))
    }

    /// The token of the user, made where there is none yet.
    async fn token(&self, endpoint: &Endpoint) -> Result<Option<Arc<Secret>>, Fault> {
        let Some((name, password)) = &self.user else { return Ok(None) };
        let known = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.is_some() {
            return Ok(known);
        }
        let password = password.expose_str().unwrap_or_default();
        let body = to_json(&AuthRequest { name, password })?;
        let target = "/v3/auth/authenticate";
        let outcome = self.exchange(endpoint, target, &body, None, Repeat::Freely).await;
        let answer = outcome.map_err(|(fault, _)| fault)?.map_err(|error| refusal(&error))?;
        let token = Arc::new(Secret::new(from_json::<AuthResponse>(&answer)?.token));
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(Some(token))
    }

    pub(super) fn forget_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn endpoint(&self, at: usize) -> Result<&Endpoint, Fault> {
        let count = self.endpoints.len().max(1);
        let none = || Fault::Unreachable("there are no endpoints".to_owned());
        self.endpoints.get(at % count).ok_or_else(none)
    }
}

fn fields(token: Option<&Secret>) -> Fields {
    let mut fields = Fields::new();
    fields.append("content-type", "application/json");
    if let Some(token) = token {
        fields.append("authorization", token.expose().to_vec());
    }
    fields
}

fn is_stale(error: &ErrorResponse) -> bool {
    error.code == UNAUTHENTICATED || text(error).contains("auth store is old")
}

fn text(error: &ErrorResponse) -> &str {
    if error.message.is_empty() { &error.error } else { &error.message }
}

fn refusal(error: &ErrorResponse) -> Fault {
    let text = text(error);
    if text.contains("has been compacted") {
        return Fault::Compacted;
    }
    if text.contains("future revision") {
        return Fault::Future;
    }
    let is_access = error.code == UNAUTHENTICATED
        || ["permission denied", "authentication failed", "user name is empty", "auth token"]
            .iter()
            .any(|known| text.contains(known));
    if is_access {
        return Fault::Refused(text.to_owned());
    }
    // No leader, too many requests, out of space: it may be better later.
    Fault::Unreachable(text.to_owned())
}

fn name(endpoint: &Endpoint) -> String {
    let target = endpoint.target();
    format!("{}:{}", target.host, target.port)
}

fn unreachable(endpoint: &Endpoint, error: &CallError) -> Fault {
    Fault::Unreachable(format!("`{}`: {error}", name(endpoint)))
}

fn to_json(request: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(request).map_err(|error| Fault::Broken(error.to_string()))
}

fn from_json<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(answer)
        .map_err(|error| Fault::Broken(format!("an answer that is not etcd's: {error}")))
}
