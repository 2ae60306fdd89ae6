//! The client of a test.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use bartizan_chain::TlsFacts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use crate::gateway::{Gateway, settle};
use crate::http1::{Inbox, Message, response_length, status};
use crate::reply::Reply;

/// The socket that a test's client connects from, unless it says otherwise.
pub(crate) const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 1], 50_000);

/// The host of requests that name none.
pub(crate) const HOST: &str = "api.test";

/// A request that is being written.
#[must_use = "a request is sent with `send`"]
pub struct Request<'g> {
    gateway: &'g Gateway,
    from: SocketAddr,
    method: String,
    target: String,
    host: Option<String>,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    /// Sent in place of all that.
    raw: Option<Vec<u8>>,
    tls: Option<TlsFacts>,
}

impl<'g> Request<'g> {
    pub(crate) fn new(gateway: &'g Gateway, method: &str, target: &str) -> Self {
        Self {
            gateway,
            from: SocketAddr::from(CLIENT),
            method: method.to_owned(),
            target: target.to_owned(),
            host: Some(HOST.to_owned()),
            fields: Vec::new(),
            body: Vec::new(),
            raw: None,
            tls: None,
        }
    }

    pub(crate) fn raw(gateway: &'g Gateway, bytes: &[u8]) -> Self {
        let method = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
        let method = String::from_utf8_lossy(method).into_owned();
        Self { raw: Some(bytes.to_vec()), ..Self::new(gateway, &method, "") }
    }

    /// Adds a header field; `Host` is replaced.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if name.eq_ignore_ascii_case("host") {
            self.host = Some(value.to_owned());
        } else {
            self.fields.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Adds `Authorization: Bearer …`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Adds `Authorization: Basic …`.
    pub fn basic(self, user: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        self.header("Authorization", &format!("Basic {pair}"))
    }

    /// The body as bytes.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The body as JSON, with its content type.
    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    /// Connects from this address.
    pub fn from(mut self, address: &str) -> Self {
        let ip: IpAddr = address.parse().unwrap_or_else(|_| panic!("`{address}` is no address"));
        self.from = SocketAddr::new(ip, CLIENT.1);
        self
    }

    /// Comes on a connection whose handshake established this.
    pub fn over(mut self, tls: TlsFacts) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The bytes that go over the wire.
    fn encoded(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if let Some(host) = &self.host {
            let _ = write!(head, "Host: {host}\r\n");
        }
        for (name, value) in &self.fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let is_framed = self.fields.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length")
                || name.eq_ignore_ascii_case("transfer-encoding")
        });
        if !is_framed && !self.body.is_empty() {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        let mut out = format!("{head}\r\n").into_bytes();
        out.extend_from_slice(&self.body);
        out
    }

    /// Sends it on a connection of its own and waits until the gateway has closed that, so that
    /// everything which is written about the request is written.
    pub async fn send(mut self) -> Reply {
        let events_before = self.gateway.events().len();
        let seen_before = self.gateway.upstream().requests().len();
        let mut connection = Connection::new(self.gateway.connect(self.from, self.tls.take()));
        let sent = Instant::now();
        connection.write(&self.encoded()).await;
        let message = connection.read(&self.method).await;
        let took = sent.elapsed();
        let rest = connection.close().await;
        settle().await;
        let mut events = self.gateway.events();
        let mut seen = self.gateway.upstream().requests();
        Reply {
            message: message.unwrap_or_default(),
            took,
            rest,
            request: String::from_utf8_lossy(&self.encoded()).into_owned(),
            events: events.split_off(events_before),
            seen: seen.split_off(seen_before),
        }
    }

    /// Sends it and leaves it under way, on the connection that is returned.
    pub async fn hold(mut self) -> Connection {
        let mut connection = Connection::new(self.gateway.connect(self.from, self.tls.take()));
        connection.write(&self.encoded()).await;
        settle().await;
        connection
    }
}

/// A connection to the gateway, for tests that write bytes or keep it open.
pub struct Connection {
    io: DuplexStream,
    inbox: Inbox,
}

impl Connection {
    pub(crate) fn new(io: DuplexStream) -> Self {
        Self { io, inbox: Inbox::new() }
    }

    /// Sends bytes. A gateway that has closed takes none, which is no error here.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.io.write_all(bytes).await;
    }

    /// The next final answer to a request of `method`: its status and body; `None` where the
    /// gateway closed without one.
    pub async fn answer(&mut self, method: &str) -> Option<(u16, Vec<u8>)> {
        self.read(method).await.map(|message| (status(&message), message.body))
    }

    /// The next final answer; interim ones are passed over.
    pub(crate) async fn read(&mut self, method: &str) -> Option<Message> {
        loop {
            let mut message = self.inbox.head(&mut self.io).await?;
            if (100..200).contains(&status(&message)) {
                continue;
            }
            let length = response_length(&message, method);
            let is_complete = self.inbox.body(&mut self.io, &mut message, length).await;
            return is_complete.then_some(message);
        }
    }

    /// Ends the own side and reads to the end; returns what came besides the answers.
    pub async fn close(mut self) -> Vec<u8> {
        // The gateway may have closed already.
        let _ = self.io.shutdown().await;
        while self.inbox.fill(&mut self.io).await {}
        self.inbox.received
    }
}
