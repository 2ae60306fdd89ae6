//! Upstreams inside the test: they note what they are sent, and answer as they are told.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_net::{ConnectError, Target, UpstreamIo};
use bartizan_proxy::Dial;
use tokio::io::{AsyncWriteExt, DuplexStream};

use crate::http1::{Inbox, Message, request_length};

/// Bytes that a connection holds in each direction.
const STREAM_SIZE: usize = 64 * 1024;

/// A request as an upstream saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The node that the gateway meant, `host:port`.
    pub node: String,
    /// The number of the connection, from 1.
    pub connection: usize,
    /// The method.
    pub method: String,
    /// The request target.
    pub target: String,
    /// The header fields in their order, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The trailer fields.
    pub trailers: Vec<(String, String)>,
    /// The head, byte by byte.
    pub head: Vec<u8>,
    /// False where the gateway closed before the body was complete.
    pub is_complete: bool,
}

impl Seen {
    /// A request on connection `number` of `node`.
    pub(crate) fn of(message: Message, node: &str, connection: usize, is_complete: bool) -> Self {
        let mut parts = message.start.split(' ').map(str::to_owned);
        Self {
            node: node.to_owned(),
            connection,
            method: parts.next().unwrap_or_default(),
            target: parts.next().unwrap_or_default(),
            fields: message.fields,
            body: message.body,
            trailers: message.trailers,
            head: message.head,
            is_complete,
        }
    }

    /// A request without its body, as it came over HTTP/2.
    fn of_http2(head: &http::request::Parts, node: &str, connection: usize) -> Self {
        let host = head.uri.authority().map(ToString::to_string).unwrap_or_default();
        let fields = head.headers.iter();
        let fields = fields.map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        Self {
            node: node.to_owned(),
            connection,
            method: head.method.to_string(),
            target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            fields: std::iter::once(("host".to_owned(), host)).chain(fields).collect(),
            body: Vec::new(),
            trailers: Vec::new(),
            head: Vec::new(),
            is_complete: true,
        }
    }

    /// The value of a field; panics where it occurs more than once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "`{name}` occurs more than once: {:?}", self.fields);
        first
    }
}

/// One thing that a server does to answer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    Close,
}

/// What an upstream answers.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    before: Vec<Step>,
    raw: Option<Vec<u8>>,
    closes: bool,
    /// Sent behind the body, over HTTP/2.
    trailers: Option<Vec<(String, String)>>,
}

impl Default for Answer {
    fn default() -> Self {
        Self::json(200, r#"{"ok":true}"#)
    }
}

impl Answer {
    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: Vec::new(),
            before: Vec::new(),
            raw: None,
            closes: false,
            trailers: None,
        }
    }

    /// A status with a JSON body.
    pub fn json(status: u16, body: &str) -> Self {
        Self::status(status).header("Content-Type", "application/json").body(body)
    }

    /// Exactly these bytes.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: Some(bytes.into()), ..Self::status(0) }
    }

    /// Nothing at all, and the end of the connection.
    pub fn close() -> Self {
        Self::raw(Vec::new()).then_close()
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a field behind the body, for an upstream that is asked over HTTP/2.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.get_or_insert_default().push((name.to_owned(), value.to_owned()));
        self
    }

    /// Waits before it answers.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.before.push(Step::Wait(wait));
        self
    }

    /// Closes the connection behind the answer.
    #[must_use]
    pub fn then_close(mut self) -> Self {
        self.closes = true;
        self
    }

    /// What happens, for a request of this method.
    pub(crate) fn steps(&self, method: &str) -> Vec<Step> {
        let mut steps = self.before.clone();
        steps.push(Step::Send(self.raw.clone().unwrap_or_else(|| self.encoded(method))));
        if self.closes {
            steps.push(Step::Close);
        }
        steps
    }

    fn send_http2(self, respond: &mut h2::server::SendResponse<bytes::Bytes>) {
        let mut head = http::Response::builder().status(self.status);
        for (name, value) in &self.fields {
            head = head.header(name, value);
        }
        let head = head.body(()).expect("an answer that HTTP/2 carries");
        let is_last = self.body.is_empty() && self.trailers.is_none();
        // The gateway may have gone away.
        let Ok(mut stream) = respond.send_response(head, is_last) else { return };
        if is_last {
            return;
        }
        let _ = stream.send_data(self.body.into(), self.trailers.is_none());
        let Some(trailers) = self.trailers else { return };
        let mut map = http::HeaderMap::new();
        for (name, value) in &trailers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
            map.append(name, value.parse().expect("a value"));
        }
        let _ = stream.send_trailers(map);
    }

    fn encoded(&self, method: &str) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} Said\r\n", self.status);
        let is_framed = self.fields.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length")
                || name.eq_ignore_ascii_case("transfer-encoding")
        });
        for (name, value) in &self.fields {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        let has_body = !matches!(self.status, 100..=199 | 204 | 304);
        if !is_framed && has_body {
            let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        }
        let mut out = format!("{out}\r\n").into_bytes();
        if method != "HEAD" {
            out.extend_from_slice(&self.body);
        }
        out
    }
}

type Respond = Box<dyn FnMut(&Seen) -> Answer + Send>;

/// Serves a connection, the number of which is given, in place of the server here.
type TakeOver = Arc<dyn Fn(DuplexStream, usize) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync>;

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    /// Bytes that did not become a request.
    unread: Vec<u8>,
    connections: usize,
    refuses: bool,
    next: VecDeque<Answer>,
    always: Answer,
    respond: Option<Respond>,
    take_over: Option<TakeOver>,
    speaks_http2: bool,
}

/// All upstreams of a gateway: every node that it connects to is this one.
#[derive(Clone, Default)]
pub struct Upstream(Arc<Mutex<State>>);

impl Upstream {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the next request with this, before what [`Upstream::always`] and
    /// [`Upstream::respond`] say.
    pub fn answer(&self, answer: Answer) {
        self.state().next.push_back(answer);
    }

    /// Answers every request with this.
    pub fn always(&self, answer: Answer) {
        self.state().always = answer;
    }

    /// Answers every request with what `respond` makes of it.
    pub fn respond(&self, respond: impl FnMut(&Seen) -> Answer + Send + 'static) {
        self.state().respond = Some(Box::new(respond));
    }

    /// Serves every connection from now on with this, which speaks what it will.
    pub fn take_over<F>(&self, serve: impl Fn(DuplexStream, usize) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        self.state().take_over = Some(Arc::new(move |io, number| Box::pin(serve(io, number))));
    }

    /// Speaks HTTP/2 on every connection from now on.
    pub fn speak_http2(&self) {
        self.state().speaks_http2 = true;
    }

    /// Refuses connections from now on, or takes them again.
    pub fn refuse(&self, refuses: bool) {
        self.state().refuses = refuses;
    }

    /// What was seen so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// The request that came last; panics if there was none.
    pub fn last(&self) -> Seen {
        self.state().seen.last().cloned().expect("the upstream saw nothing")
    }

    /// Panics unless exactly `count` requests were seen.
    pub fn saw(&self, count: usize) {
        let state = self.state();
        let lines: Vec<String> =
            state.seen.iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
        assert_eq!(state.seen.len(), count, "the upstream saw {lines:?}");
    }

    /// Panics if a byte of any request was seen.
    pub fn saw_nothing(&self) {
        self.saw(0);
        let unread = String::from_utf8_lossy(&self.state().unread).into_owned();
        assert!(unread.is_empty(), "the upstream saw a part of a request: {unread:?}");
    }

    /// Forgets what was seen.
    pub fn forget(&self) {
        let mut state = self.state();
        state.seen.clear();
        state.unread.clear();
    }

    /// Serves a connection over HTTP/2, one request after the other.
    async fn serve_http2(self, io: DuplexStream, node: String, connection: usize) {
        let Ok(mut calls) = h2::server::handshake(io).await else { return };
        while let Some(Ok((request, mut respond))) = calls.accept().await {
            let (this, node) = (self.clone(), node.clone());
            tokio::task::spawn_local(async move {
                let (head, mut body) = request.into_parts();
                let mut seen = Seen::of_http2(&head, &node, connection);
                while let Some(Ok(data)) = body.data().await {
                    // The connection may be gone; then nobody waits for an answer.
                    let _ = body.flow_control().release_capacity(data.len());
                    seen.body.extend_from_slice(&data);
                }
                let answer = this.chosen(seen);
                for step in &answer.before {
                    if let Step::Wait(wait) = step {
                        tokio::time::sleep(*wait).await;
                    }
                }
                answer.send_http2(&mut respond);
            });
        }
    }

    async fn serve(self, mut io: DuplexStream, node: String, connection: usize) {
        let mut inbox = Inbox::new();
        while let Some(mut message) = inbox.head(&mut io).await {
            // An upstream that answers before the body has come is made with `Answer::raw`.
            let length = request_length(&message);
            let is_complete = inbox.body(&mut io, &mut message, length).await;
            let steps = self.note(message, &node, connection, is_complete);
            for step in steps.into_iter().filter(|_| is_complete) {
                match step {
                    Step::Send(bytes) => {
                        // A gateway that went away needs no answer.
                        let _ = io.write_all(&bytes).await;
                    }
                    Step::Wait(wait) => tokio::time::sleep(wait).await,
                    Step::Close => return,
                }
            }
        }
        self.state().unread.append(&mut inbox.received);
    }

    fn note(
        &self,
        message: Message,
        node: &str,
        connection: usize,
        is_complete: bool,
    ) -> Vec<Step> {
        let seen = Seen::of(message, node, connection, is_complete);
        let method = seen.method.clone();
        self.chosen(seen).steps(&method)
    }

    /// Notes a request, and says what it is answered with.
    fn chosen(&self, seen: Seen) -> Answer {
        let mut state = self.state();
        let answer = match (state.next.pop_front(), &mut state.respond) {
            (Some(answer), _) => answer,
            (None, Some(respond)) => respond(&seen),
            (None, None) => state.always.clone(),
        };
        state.seen.push(seen);
        answer
    }
}

/// What a worker connects with.
pub(crate) struct Dialer(pub(crate) Upstream);

impl Dial for Dialer {
    fn dial<'a>(
        &'a self,
        target: &'a Target,
        _timeout: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<UpstreamIo, ConnectError>> + 'a>> {
        let upstream = self.0.clone();
        let mut state = upstream.state();
        if state.refuses {
            let error = ConnectError::Io {
                host: target.host.clone(),
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, target.port)),
                error: io::ErrorKind::ConnectionRefused.into(),
            };
            return Box::pin(std::future::ready(Err(error)));
        }
        state.connections += 1;
        let number = state.connections;
        let (take_over, speaks_http2) = (state.take_over.clone(), state.speaks_http2);
        drop(state);
        let (near, far) = tokio::io::duplex(STREAM_SIZE);
        let node = format!("{}:{}", target.host, target.port);
        match take_over {
            Some(serve) => tokio::task::spawn_local(serve(far, number)),
            None if speaks_http2 => {
                tokio::task::spawn_local(upstream.serve_http2(far, node, number))
            }
            None => tokio::task::spawn_local(upstream.serve(far, node, number)),
        };
        Box::pin(std::future::ready(Ok(UpstreamIo::Virtual(near))))
    }
}
