//! The Admin API: what each request means.

mod answer;
mod asked;
mod change;
mod configs;
mod expiry;
mod kept;
mod kinds;
mod making;
mod openapi;
mod own;
mod problems;
mod read;
mod record;
pub(crate) mod references;
mod rows;
mod schemas;
mod seal;
mod seen;
mod table;
#[cfg(test)]
pub(crate) mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::rand;
use bartizan_audit::AuditLog;
use bartizan_core::Clock;
use bartizan_plugins::Catalogue;
use bartizan_store::{Commit, Expect, Key, OWN_COLLECTION, Snapshot, StoreError, Write};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderName, ORIGIN, RETRY_AFTER, VARY,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use self::expiry::Expiries;
use self::kept::Secrets;
use self::seal::Seal;
use self::table::Table;
use crate::coverage::Matrices;
use crate::operators::{Act, Object, Operator, Operators, Verb};
use crate::plane::{Plane, Proposal};

pub(crate) use self::answer::Answer;
pub(crate) use self::asked::{Asked, BODY_MAX, Query};
pub(crate) use self::expiry::LOOK;
pub(crate) use self::kinds::Kind;
pub(crate) use self::seen::cut;

/// The header that a key is shown in.
const KEY: &str = "x-api-key";
/// The header that tells the version of the API.
const VERSION: HeaderName = HeaderName::from_static("x-api-version");

/// What the Admin API is made of.
pub struct ApiSettings {
    /// The node.
    pub plane: Arc<dyn Plane>,
    /// Who may do what.
    pub operators: Operators,
    /// Where changes are recorded.
    pub audit: AuditLog,
    /// Where wall time comes from.
    pub clock: Clock,
    /// The origins whose pages may call from browsers.
    pub cors: Vec<String>,
    /// The dashboard is served beside it.
    pub dashboard: bool,
}

/// What an operator is about to do with which object.
#[derive(Clone, Copy)]
pub(crate) struct What<'a> {
    verb: Verb,
    /// The kind, in the words of paths.
    kind: &'a str,
    id: Option<&'a str>,
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    /// What the object is among, where it is one that serves.
    snapshot: Option<&'a Snapshot>,
    /// Its secrets as it will be, where it is written.
    secrets: Option<&'a Secrets>,
}

impl<'a> What<'a> {
    /// Reading what is no object.
    pub(crate) const fn read(kind: &'a str) -> Self {
        Self {
            verb: Verb::Read,
            kind,
            id: None,
            before: None,
            after: None,
            snapshot: None,
            secrets: None,
        }
    }

    /// Asks something about this act.
    pub(crate) fn judged<T>(&self, ask: impl FnOnce(&Act<'_>) -> T) -> T {
        let hosts = |value: Option<&Value>| match (value, self.snapshot) {
            (Some(value), Some(snapshot)) => references::inherited_hosts(value, snapshot),
            _ => Vec::new(),
        };
        let (hosts_before, hosts_after) = (hosts(self.before), hosts(self.after));
        let owner = self
            .snapshot
            .zip(self.id)
            .and_then(|(snapshot, id)| references::owner(self.kind, id, snapshot));
        let used = match (self.verb, self.after, self.snapshot) {
            (Verb::Write, Some(after), Some(snapshot)) => {
                references::used_anew(self.kind, self.before, after, snapshot)
            }
            _ => Vec::new(),
        };
        ask(&Act {
            verb: self.verb,
            kind: self.kind,
            id: self.id,
            before: self.before.map(|value| Object { value, inherited_hosts: &hosts_before }),
            after: self.after.map(|value| Object { value, inherited_hosts: &hosts_after }),
            owner: owner.as_ref(),
            used: &used,
            kept: self.secrets.map(|secrets| secrets.kept.as_slice()).unwrap_or_default(),
            written: self.secrets.map(|secrets| secrets.written.as_slice()).unwrap_or_default(),
        })
    }

    /// Reading an object.
    fn object(
        kind: &'a str,
        id: &'a str,
        before: Option<&'a Value>,
        snapshot: &'a Snapshot,
    ) -> Self {
        Self { id: Some(id), before, snapshot: Some(snapshot), ..Self::read(kind) }
    }
}

impl Asked {
    /// Whether the operator may do that; if not, it is an event.
    pub(crate) fn allow(&self, what: &What<'_>) -> Result<(), Answer> {
        what.judged(|act| self.operator.may(act))
            .map_err(|forbidden| Answer::forbidden(&forbidden.to_string()))
    }
}

/// The Admin API. Clones are the same.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    plane: Arc<dyn Plane>,
    operators: Operators,
    audit: AuditLog,
    clock: Clock,
    cors: Vec<String>,
    dashboard: bool,
    plugins: Catalogue,
    table: Table,
    seal: OnceCell<Seal>,
    matrices: Matrices,
    expiries: Expiries,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    /// An API for a node.
    pub fn new(settings: ApiSettings) -> Self {
        let ApiSettings { plane, operators, audit, clock, cors, dashboard } = settings;
        Self(Arc::new(Inner {
            plane,
            operators,
            audit,
            clock,
            cors,
            dashboard,
            plugins: Catalogue,
            table: Table::new(),
            seal: OnceCell::new(),
            matrices: Matrices::default(),
            expiries: Expiries::default(),
        }))
    }

    /// Whether the dashboard is served beside it.
    pub(crate) fn has_dashboard(&self) -> bool {
        self.0.dashboard
    }

    /// The operators.
    pub(crate) fn operators(&self) -> &Operators {
        &self.0.operators
    }

    /// Records what somebody did.
    pub(crate) fn tell(&self, event: bartizan_audit::Event) {
        self.0.audit.record(event);
    }

    /// The node.
    pub(crate) fn plane(&self) -> &dyn Plane {
        &*self.0.plane
    }

    /// Who asks, by the key in the header; told before anything of a body is read.
    pub(crate) fn before_body(&self, head: &Parts, peer: IpAddr) -> Result<Operator, Answer> {
        if asked::shows_key_elsewhere(&head.uri, &head.headers) {
            return Err(Answer::unproved("keys are taken from the header X-API-KEY alone"));
        }
        let mut keys = head.headers.get_all(KEY).into_iter();
        let key = match (keys.next(), keys.next()) {
            (key, None) => key.map(http::HeaderValue::as_bytes),
            (_, Some(_)) => return Err(Answer::unproved("wrong apikey")),
        };
        self.0.operators.judge(key, peer).map_err(|refusal| {
            let Some(seconds) = refusal.retry_after() else {
                return Answer::unproved(refusal.description());
            };
            Answer::error(StatusCode::TOO_MANY_REQUESTS, refusal.description())
                .with(RETRY_AFTER, &seconds.to_string())
        })
    }

    /// What needs no key: whether the API lives, and the preflights of listed origins.
    pub(crate) fn open_answer(&self, head: &Parts) -> Option<Answer> {
        let path = head.uri.path();
        let is_root = matches!(path, "/apisix/admin" | "/apisix/admin/");
        if head.method == Method::HEAD && is_root {
            return Some(Answer::empty(StatusCode::OK));
        }
        let is_listed = head.method == Method::OPTIONS && self.origin(head).is_some();
        is_listed.then(|| {
            Answer::empty(StatusCode::NO_CONTENT)
                .with(ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, PUT, POST, PATCH, DELETE")
                .with(
                    ACCESS_CONTROL_ALLOW_HEADERS,
                    "X-API-KEY, Content-Type, If-Match, If-None-Match, X-Digest",
                )
                .with(ACCESS_CONTROL_MAX_AGE, "600")
        })
    }

    /// Answers a request of an operator.
    pub(crate) async fn answer(&self, head: Parts, body: Bytes, operator: Operator) -> Answer {
        let segments = asked::segments(head.uri.path());
        let query = Query::read(head.uri.query().unwrap_or_default());
        let (Some(segments), Some(query)) = (segments, query) else {
            return Answer::bad("the path or the query cannot be read");
        };
        let Parts { method, headers: fields, .. } = head;
        let asked = Asked { method, segments, query, fields, body, operator };
        let done = self.dispatch(&asked).await;
        done.unwrap_or_else(|answer| answer)
    }

    /// Adds what every answer has, and to browsers of listed origins that they may read it.
    pub(crate) fn finish(&self, head: &Parts, answer: Answer) -> Response<Full<Bytes>> {
        let mut answer = answer.with(VERSION, "v3");
        if !self.0.cors.is_empty() {
            answer = answer.with(VARY, "Origin");
        }
        if let Some(origin) = self.origin(head) {
            answer = answer
                .with(ACCESS_CONTROL_ALLOW_ORIGIN, origin)
                .with(ACCESS_CONTROL_EXPOSE_HEADERS, "ETag, X-API-VERSION, X-Digest");
        }
        answer.into_response(head.method == Method::HEAD)
    }

    /// The origin of a request, if it is listed.
    fn origin<'h>(&self, head: &'h Parts) -> Option<&'h str> {
        let origin = head.headers.get(ORIGIN)?.to_str().ok()?;
        self.0.cors.iter().any(|known| known == origin).then_some(origin)
    }

    /// Whether the store can be written here; if not, how it is.
    fn writable(&self) -> Result<(), Answer> {
        let store = self.0.plane.store();
        store.read_only.map_or(Ok(()), |how| {
            Err(Answer::of_store(&StoreError::ReadOnly { store: store.kind, how }))
        })
    }

    async fn snapshot(&self) -> Result<Snapshot, Answer> {
        self.sealed().await?;
        self.0.plane.snapshot().await.map_err(|error| Answer::of_store(&error))
    }

    /// The key of an object as tools know it.
    fn shown_key(&self, key: &Key) -> String {
        format!("{}/{key}", self.0.plane.store().prefix)
    }

    /// An object as this operator may see it.
    fn shown(&self, asked: &Asked, key: &Key, value: &Value, snapshot: &Snapshot) -> Value {
        let kind = Kind::of(key).map_or("unknown", |kind| kind.segment);
        let what = What::object(kind, key.id(), Some(value), snapshot);
        if what.judged(|act| asked.operator.reveals(act)) {
            self.record_reading(asked, key, value);
            return value.clone();
        }
        // Without a seal nothing can be shown; there is one wherever the store was read.
        self.0.seal.get().map_or(Value::Null, |seal| seal.closed(key, value, &self.0.plugins))
    }

    /// Puts back the secrets that sealed values stand for.
    fn unsealed(
        &self,
        key: &Key,
        value: &mut Value,
        current: Option<&Value>,
    ) -> Result<(), Answer> {
        let Some(seal) = self.0.seal.get() else { return Ok(()) };
        seal.opened(key, value, current, &self.0.plugins).map_err(|pointer| {
            Answer::bad(format!(
                "invalid configuration: `{pointer}` holds a sealed value, which stands for a \
                 secret of another object or field, or for an earlier one; write the secret itself"
            ))
        })
    }

    /// Sees to it that there is a seal. Its key is in the store, so that what is sealed stays good
    /// over restarts and on other nodes; where nothing can be written, it lives with the process.
    async fn sealed(&self) -> Result<&Seal, Answer> {
        self.0
            .seal
            .get_or_try_init(|| async {
                let broken = |what: &str| Answer::error(StatusCode::SERVICE_UNAVAILABLE, what);
                let key = Key::new(OWN_COLLECTION, "seal").map_err(|_| broken("no key"))?;
                for _ in 0..2 {
                    let snapshot = self.0.plane.snapshot().await;
                    let snapshot = snapshot.map_err(|error| Answer::of_store(&error))?;
                    if let Some(object) = snapshot.get(&key) {
                        let value = object.value();
                        let text = value.as_ref().and_then(|value| value.get("key")?.as_str());
                        let secret = text.and_then(|text| STANDARD.decode(text).ok());
                        let secret = secret.filter(|secret| secret.len() == 32);
                        return secret
                            .and_then(|secret| Seal::new(&secret))
                            .ok_or_else(|| broken("the key of the seal in the store is damaged"));
                    }
                    let mut secret = [0; 32];
                    rand::fill(&mut secret).map_err(|_| broken("no random bytes"))?;
                    if self.0.plane.store().read_only.is_some() {
                        return Seal::new(&secret).ok_or_else(|| broken("no seal"));
                    }
                    let content = json!({ "key": STANDARD.encode(secret) }).to_string();
                    let content = Some(content.into_bytes().into());
                    let write = Write { key: key.clone(), content, expect: Expect::Absent };
                    let commit = Commit { author: "the node".into(), writes: vec![write] };
                    let proposal = Proposal { commit, is_dry: false, is_forced: true };
                    // Where another node was faster, its key is read.
                    if let Err(refused) = self.0.plane.propose(proposal).await {
                        tracing::info!("the key of the seal is not written: {refused:?}");
                    }
                }
                Err(broken("the key of the seal cannot be kept in the store"))
            })
            .await
    }
}

/// What is answered to a body that is too long, too slow or broken.
pub(crate) fn body_refused() -> Answer {
    Answer::bad("invalid request body: it is longer than 1.5 MiB, or did not come in time")
}
