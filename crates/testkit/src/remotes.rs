//! The world outside of a gateway in a test: servers that plugins ask, and sinks of logs. Each is
//! there as soon as somebody connects to it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_net::{ConnectError, ConnectPhase, Reach, Target, Task, UpstreamIo};
use bytes::Bytes;
use tokio::io::{AsyncWriteExt, DuplexStream};

use crate::dns::DnsDouble;
use crate::http1::{Inbox, request_length};
use crate::upstream::{Answer, Seen, Step};

/// Bytes that a connection holds in each direction.
const STREAM_SIZE: usize = 64 * 1024;

/// Something that was sent to a server outside.
#[derive(Clone, Debug)]
pub enum Sent {
    /// A request over HTTP.
    Request {
        /// Whether the server is reached by TLS.
        is_tls: bool,
        /// Whether it came on a connection that had served one before.
        is_kept: bool,
        /// What it saw.
        seen: Seen,
    },
    /// Everything that was sent on a connection which is not HTTP.
    Stream {
        /// The server, `host:port`.
        node: String,
        /// The name that its certificate must be for; nothing in clear.
        tls: Option<String>,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A datagram.
    Datagram {
        /// The server, `host:port`.
        node: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// What a server makes of a request.
type Respond = Box<dyn FnMut(&Seen) -> Answer + Send>;

#[derive(Default)]
struct Server {
    next: Vec<Answer>,
    respond: Option<Respond>,
    refuses: bool,
    /// It speaks DNS.
    dns: Option<DnsDouble>,
    /// How long it takes to be reached.
    slow: Duration,
}

#[derive(Default)]
struct State {
    servers: BTreeMap<String, Server>,
    sent: Vec<Sent>,
    connections: usize,
    names: Vec<String>,
}

/// All servers outside.
#[derive(Clone, Default)]
pub struct Remotes(Arc<Mutex<State>>);

impl fmt::Debug for Remotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remotes")
    }
}

impl Remotes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the server at `host:port` answers to the next request that has no answer yet; 200
    /// without a body otherwise.
    pub fn answer(&self, node: &str, answer: Answer) {
        self.state().servers.entry(node.to_owned()).or_default().next.push(answer);
    }

    /// What the server at `host:port` answers to every request for which no answer is given.
    pub fn respond(&self, node: &str, respond: impl FnMut(&Seen) -> Answer + Send + 'static) {
        let mut state = self.state();
        state.servers.entry(node.to_owned()).or_default().respond = Some(Box::new(respond));
    }

    /// The names that certificates had to be for, one for each connection under TLS.
    pub fn tls_names(&self) -> Vec<String> {
        self.state().names.clone()
    }

    /// The server at `host:port` refuses connections from now on, or takes them again.
    pub fn refuse(&self, node: &str, refuses: bool) {
        self.state().servers.entry(node.to_owned()).or_default().refuses = refuses;
    }

    /// The server at `host:port` is a DNS server.
    pub fn dns(&self, node: &str, dns: &DnsDouble) {
        self.state().servers.entry(node.to_owned()).or_default().dns = Some(dns.clone());
    }

    /// The server at `host:port` takes so long to be reached from now on.
    pub fn slow(&self, node: &str, slow: Duration) {
        self.state().servers.entry(node.to_owned()).or_default().slow = slow;
    }

    /// Connections so far, to any server.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// What was sent since this was asked last.
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.state().sent)
    }

    async fn serve(self, mut io: DuplexStream, node: String, tls: Option<String>, number: usize) {
        let dns = self.state().servers.get(&node).and_then(|server| server.dns.clone());
        if let Some(dns) = dns {
            return dns.serve(io).await;
        }
        let mut inbox = Inbox::new();
        if !inbox.fill(&mut io).await {
            return;
        }
        // A request begins with its method; lines of logs do not begin with three capitals.
        let is_http = inbox.received.iter().take(3).all(u8::is_ascii_uppercase);
        if !is_http {
            while inbox.fill(&mut io).await {}
            self.state().sent.push(Sent::Stream { node, tls, bytes: inbox.received });
            return;
        }
        let mut is_kept = false;
        while let Some(mut message) = inbox.head(&mut io).await {
            let length = request_length(&message);
            let is_complete = inbox.body(&mut io, &mut message, length).await;
            // Whoever refuses connections has none left.
            if self.state().servers.get(&node).is_some_and(|server| server.refuses) {
                return;
            }
            let seen = Seen::of(message, &node, number, is_complete);
            let steps = self.note(&node, tls.is_some(), is_kept, seen);
            is_kept = true;
            for step in steps.into_iter().filter(|_| is_complete) {
                match step {
                    Step::Send(bytes) => drop(io.write_all(&bytes).await),
                    Step::Wait(wait) => tokio::time::sleep(wait).await,
                    Step::Close => return,
                }
            }
        }
    }

    fn note(&self, node: &str, is_tls: bool, is_kept: bool, seen: Seen) -> Vec<Step> {
        let mut state = self.state();
        let server = state.servers.entry(node.to_owned()).or_default();
        let answer = match (&mut server.respond, server.next.is_empty()) {
            (_, false) => server.next.remove(0),
            (Some(respond), true) => respond(&seen),
            (None, true) => Answer::status(200),
        };
        let steps = answer.steps(&seen.method);
        state.sent.push(Sent::Request { is_tls, is_kept, seen });
        steps
    }

    /// Reaches a server, or not.
    async fn reach(&self, target: &Target, limit: Duration) -> Result<String, ConnectError> {
        let node = format!("{}:{}", target.host, target.port);
        let (refuses, slow) = {
            let state = self.state();
            let server = state.servers.get(&node);
            server.map_or((false, Duration::ZERO), |server| (server.refuses, server.slow))
        };
        if !slow.is_zero() {
            tokio::time::sleep(slow.min(limit)).await;
        }
        let host = target.host.clone();
        if slow > limit {
            return Err(ConnectError::Timeout { host, phase: ConnectPhase::Connect, limit });
        }
        if refuses {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, target.port));
            let error = io::ErrorKind::ConnectionRefused.into();
            return Err(ConnectError::Io { host, address, error });
        }
        Ok(node)
    }
}

impl Reach for Remotes {
    fn connect<'a>(
        &'a self,
        target: &'a Target,
        limit: Duration,
    ) -> Task<'a, Result<UpstreamIo, ConnectError>> {
        Box::pin(async move {
            let node = self.reach(target, limit).await?;
            let number = {
                let mut state = self.state();
                state.connections += 1;
                state.connections
            };
            let tls = target.tls.as_ref().map(|tls| tls.server_name.to_str().into_owned());
            self.state().names.extend(tls.clone());
            let (near, far) = tokio::io::duplex(STREAM_SIZE);
            tokio::spawn(self.clone().serve(far, node, tls, number));
            Ok(UpstreamIo::Virtual(near))
        })
    }

    fn send_datagrams<'a>(
        &'a self,
        target: &'a Target,
        datagrams: &'a [Bytes],
        limit: Duration,
    ) -> Task<'a, Result<(), ConnectError>> {
        Box::pin(async move {
            let node = self.reach(target, limit).await?;
            let sent = datagrams
                .iter()
                .map(|bytes| Sent::Datagram { node: node.clone(), bytes: bytes.to_vec() });
            self.state().sent.extend(sent);
            Ok(())
        })
    }

    fn spawn(&self, task: Task<'static, ()>) {
        tokio::task::spawn_local(task);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task<'static, ()> {
        work();
        Box::pin(std::future::ready(()))
    }
}
