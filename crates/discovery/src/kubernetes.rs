//! Servers found in Kubernetes: the endpoints of a service that are ready.
//!
//! The slices of endpoints of a service are listed once and then watched, from the version of the
//! list on, so that a change is known as soon as it happens. Where the server has forgotten that
//! version they are listed anew.

mod slices;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::{KubernetesDiscovery, read_file_up_to};
use bartizan_core::{Secret, jittered};
use bartizan_net::{Reach, Streamed, Turns};
use bartizan_wire::Fields;
use bytes::BytesMut;
use http::{Method, StatusCode};
use rustls::ClientConfig;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::fault::Fault;
use crate::follow::Answer;
use crate::found::{FOUND_MAX, Found};
use crate::http::{ANSWER_MAX, Servers, encoded, succeeded};
use crate::read::Name;
use slices::{Change, Event, Slice, event, list};

/// How long a watch is asked to last.
const WATCH: Duration = Duration::from_secs(300);
/// The wait between two watches.
const PAUSE: Duration = Duration::from_secs(1);
/// The least time between two changes that are told; what comes meanwhile is told together.
const BREATH: Duration = Duration::from_secs(1);
/// The most slices of one service.
const SLICES_MAX: usize = 1_024;
/// The longest token.
const TOKEN_MAX: u64 = 16 * 1_024;

/// The API server of a cluster.
#[derive(Debug)]
pub(crate) struct Registry {
    servers: Servers,
    token: Token,
    weight: u32,
    time: Duration,
    turns: Turns,
    reach: Arc<dyn Reach>,
}

#[derive(Debug)]
enum Token {
    Given(Secret),
    /// The file is read at each call: Kubernetes writes a new token into it every hour.
    File(PathBuf),
}

impl Registry {
    pub(crate) fn new(
        settings: &KubernetesDiscovery,
        tls: Option<&Arc<ClientConfig>>,
        reach: Arc<dyn Reach>,
        turns: &Turns,
    ) -> Result<Self, (usize, String)> {
        let urls = std::slice::from_ref(&settings.server);
        let servers = Servers::new(urls, tls, reach.clone(), turns)?;
        let token = match &settings.token {
            Some(token) => Token::Given(token.clone()),
            None => Token::File(settings.token_file.clone()),
        };
        let (weight, time, turns) = (settings.weight, settings.timeout.0, turns.clone());
        Ok(Self { servers, token, weight, time, turns, reach })
    }

    /// What is asked for a service, `namespace/name:port`, whose port is a name or a number.
    pub(crate) fn session(self: &Arc<Self>, service: &str) -> Result<Session, String> {
        let form = || format!("`{service}` is not of the form `namespace/name:port`");
        let (namespace, rest) = service.split_once('/').ok_or_else(form)?;
        let (name, port) = rest.split_once(':').ok_or_else(form)?;
        if ![namespace, name, port].into_iter().all(is_label) {
            return Err(form());
        }
        let selector = encoded(&format!("kubernetes.io/service-name={name}"));
        let path = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector={selector}"
        );
        Ok(Session {
            registry: self.clone(),
            path,
            port: port.to_owned(),
            slices: BTreeMap::new(),
            version: None,
            watch: None,
            told: None,
        })
    }

    async fn fields(&self) -> Result<Fields, Fault> {
        let mut value = b"Bearer ".to_vec();
        match &self.token {
            Token::Given(token) => value.extend_from_slice(token.expose()),
            Token::File(path) => {
                let (tell, told) = oneshot::channel();
                let path = path.clone();
                let read = move || drop(tell.send(read_token(&path)));
                let read = async {
                    self.reach.run_blocking(Box::new(read)).await;
                    told.await.unwrap_or_else(|_| Err("it was not read".to_owned()))
                };
                let late = |_| Err(format!("it was not read within {} ms", self.time.as_millis()));
                let token = timeout(self.time, read).await.unwrap_or_else(late);
                let token = token.map_err(|problem| {
                    Fault::Refused(format!("nothing: it was not asked: the token: {problem}"))
                })?;
                value.extend_from_slice(token.expose());
            }
        }
        let mut fields = Fields::new();
        fields.append("authorization", value);
        fields.append("accept", "application/json");
        Ok(fields)
    }
}

/// A label of a name (RFC 1123), which needs no encoding.
fn is_label(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=253).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn read_token(path: &std::path::Path) -> Result<Secret, String> {
    let read = read_file_up_to(path, TOKEN_MAX);
    let secret = Secret::new(read.map_err(|error| format!("`{}`: {error}", path.display()))?);
    let text = secret.expose_str().map(str::trim_ascii).unwrap_or_default();
    let is_sound = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || !is_sound || secret.len() as u64 > TOKEN_MAX {
        return Err(format!("`{}` holds none", path.display()));
    }
    Ok(Secret::new(text.to_owned()))
}

/// A watch under way.
struct Watch {
    stream: Streamed,
    received: BytesMut,
}

/// A line of a watch. A long one is held as long as its turn is.
struct Line {
    text: BytesMut,
    _turn: Option<OwnedSemaphorePermit>,
}

/// A service that is followed.
pub(crate) struct Session {
    registry: Arc<Registry>,
    path: String,
    port: String,
    /// The slices that are known, by name.
    slices: BTreeMap<Name, Vec<Found>>,
    /// The version of what is known; `None` where it must be listed.
    version: Option<Name>,
    watch: Option<Watch>,
    /// When the servers were last told.
    told: Option<Instant>,
}

impl Session {
    pub(crate) async fn next(&mut self) -> Result<Answer, Fault> {
        let answer = self.advance().await;
        if answer.is_err() {
            // What was missed meanwhile is in a list.
            self.version = None;
            self.watch = None;
        }
        answer
    }

    async fn advance(&mut self) -> Result<Answer, Fault> {
        let Some(version) = self.version.clone() else {
            self.list().await?;
            return Ok(self.answer(Duration::ZERO));
        };
        // When there is something to tell: when that may be done.
        let mut due: Option<Instant> = None;
        loop {
            let Some(watch) = &mut self.watch else {
                self.watch = Some(self.open(&version).await?);
                continue;
            };
            let line = watch.line(&self.registry);
            let line = match due {
                Some(due) => match timeout_at(due, line).await {
                    Ok(line) => line,
                    Err(_) => return Ok(self.answer(Duration::ZERO)),
                },
                None => line.await,
            };
            let Some(line) = line? else {
                // Watches end by themselves; the next one goes on where this one was.
                self.watch = None;
                return Ok(self.answer(jittered(PAUSE)));
            };
            if self.apply(&line.text)? {
                let now = Instant::now();
                let may = self.told.map_or(now, |told| told + BREATH);
                if may <= now {
                    return Ok(self.answer(Duration::ZERO));
                }
                due = Some(may);
            }
        }
    }

    async fn list(&mut self) -> Result<(), Fault> {
        let Registry { servers, time, .. } = &*self.registry;
        let fields = self.registry.fields().await?;
        let answered = servers.call(&Method::GET, &self.path, &fields, b"", *time).await?;
        let listed = list(succeeded(answered)?.body())?;
        self.slices.clear();
        for slice in listed.items.0 {
            self.put(slice)?;
        }
        self.version = Some(listed.version);
        Ok(())
    }

    async fn open(&self, version: &Name) -> Result<Watch, Fault> {
        let Registry { servers, time, .. } = &*self.registry;
        let path = format!(
            "{}&watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
            self.path,
            encoded(&version.0),
            WATCH.as_secs()
        );
        let fields = self.registry.fields().await?;
        let stream = servers.open(&path, &fields, *time).await?;
        if stream.status() != StatusCode::OK {
            return Err(Fault::Refused(stream.status().to_string()));
        }
        Ok(Watch { stream, received: BytesMut::new() })
    }

    /// Takes in an event; says whether the servers may be others.
    fn apply(&mut self, line: &[u8]) -> Result<bool, Fault> {
        let Event { change, version } = event(line)?;
        let changed = match change {
            Change::Put(slice) => {
                self.put(slice)?;
                true
            }
            Change::Gone(name) => self.slices.remove(&name).is_some(),
            Change::Nothing => false,
        };
        self.version = Some(version);
        Ok(changed)
    }

    fn put(&mut self, slice: Slice) -> Result<(), Fault> {
        let (name, found) = slice.servers(&self.port, self.registry.weight);
        self.slices.insert(name, found);
        let count = self.slices.values().map(Vec::len).sum();
        if count > FOUND_MAX {
            return Err(Fault::TooMany(count));
        }
        if self.slices.len() > SLICES_MAX {
            return Err(Fault::Malformed(format!("more than {SLICES_MAX} slices")));
        }
        Ok(())
    }

    fn answer(&mut self, hold: Duration) -> Answer {
        self.told = Some(Instant::now());
        Answer { found: self.slices.values().flatten().cloned().collect(), hold }
    }
}

impl Watch {
    /// The next line; `None` at the end. One that is silent for longer than the watch was to last
    /// is given up, and so is a long line that takes longer than an answer may.
    async fn line(&mut self, registry: &Registry) -> Result<Option<Line>, Fault> {
        let (mut searched, mut turn) = (0, None);
        let mut limit = WATCH + registry.time;
        let mut deadline = None;
        loop {
            let new = self.received.get(searched..).unwrap_or_default();
            if let Some(at) = new.iter().position(|byte| *byte == b'\n') {
                let mut text = self.received.split_to(searched + at + 1);
                text.truncate(searched + at);
                // What is behind it must not keep the memory of all of it.
                self.received = BytesMut::from(&*self.received);
                return Ok(Some(Line { text, _turn: turn }));
            }
            searched = self.received.len();
            if searched > ANSWER_MAX {
                return Err(Fault::Malformed(format!("an event of more than {ANSWER_MAX} bytes")));
            }
            if searched > registry.turns.free && turn.is_none() {
                limit = registry.time;
                deadline = Some(Instant::now() + limit);
                let next = timeout(limit, registry.turns.next()).await;
                turn = Some(next.map_err(|_| Fault::Timeout(limit))?.map_err(Fault::Call)?);
            }
            let part =
                timeout_at(deadline.unwrap_or_else(|| Instant::now() + limit), self.stream.next());
            let part = part.await.map_err(|_| Fault::Timeout(limit))?.map_err(Fault::Call)?;
            match part {
                Some(part) => self.received.extend_from_slice(&part),
                None => return Ok(None),
            }
        }
    }
}
