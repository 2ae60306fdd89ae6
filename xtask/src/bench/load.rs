//! The load generator: a process of its own, told what to do on its standard input.
//!
//! A fixed number of requests over a fixed number of connections, each waiting for its answer
//! before it sends the next. Every answer is checked; one wrong answer fails the round.

use std::cell::Cell;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::task::LocalSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::exchange::{
    ClientFiles, Request, Stream, connector_of, exchange, exchange_http2, open, open_http2,
};

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// HTTP/1.1 over connections that stay.
    KeepAlive,
    /// HTTP/1.1, a connection for each request.
    Fresh,
    /// HTTP/2; the connections are shared by eight streams each.
    Http2,
    /// Connections that make one request each and then wait.
    Idle,
}

/// Streams on each connection of HTTP/2.
const STREAMS: usize = 8;

/// Addresses from which idle connections come, so that limits per address do not end them.
const IDLE_ADDRESSES: u8 = 8;

/// The longest time that one run may take.
const TIME_MAX: Duration = Duration::from_secs(180);

/// What to send where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) target: SocketAddr,
    /// The certificate authority; without one, no TLS.
    pub(crate) authority: Option<PathBuf>,
    /// The certificates of clients, which connections show in turn; none without any.
    #[serde(default)]
    pub(crate) clients: Vec<ClientFiles>,
    pub(crate) mode: Mode,
    pub(crate) connections: usize,
    pub(crate) count: usize,
    /// Sent in turn.
    pub(crate) requests: Vec<Request>,
    /// Bytes of the body that each answer has, where they all have as many.
    pub(crate) length: Option<usize>,
}

/// Reads a [`Spec`] from standard input, does it, and prints a line when it is done.
pub(crate) fn run() -> Result<()> {
    let mut spec = String::new();
    std::io::stdin().read_line(&mut spec)?;
    let spec: Spec = serde_json::from_str(&spec).context("the specification is not valid")?;
    ensure!(!spec.requests.is_empty(), "no request is given");
    let local = LocalSet::new();
    let work = async { timeout(TIME_MAX, generate(spec)).await.context("it took too long")? };
    local.block_on(&super::runtime()?, work)
}

/// What all connections of one run share.
struct Load {
    spec: Spec,
    /// None without TLS; one for each client.
    tls: Vec<TlsConnector>,
    encoded: Vec<Bytes>,
    next: Cell<usize>,
    opened: Cell<usize>,
}

impl Load {
    /// The number of the next request in turn; `None` when all are under way.
    fn take(&self) -> Option<usize> {
        let number = self.next.get();
        self.next.set(number + 1);
        (number < self.spec.count).then(|| number % self.spec.requests.len())
    }

    async fn open(&self, from: Option<IpAddr>) -> Result<Box<dyn Stream>> {
        let number = self.opened.get();
        self.opened.set(number + 1);
        let tls = self.tls.get(number % self.tls.len().max(1));
        open(self.spec.target, from, tls).await
    }

    fn expect(&self, answer: &super::exchange::Answer) -> Result<()> {
        let right =
            answer.status == 200 && self.spec.length.is_none_or(|length| length == answer.length);
        ensure!(right, "status {} with {} bytes", answer.status, answer.length);
        Ok(())
    }
}

async fn generate(spec: Spec) -> Result<()> {
    let (mode, connections) = (spec.mode, spec.connections);
    let protocol: &[u8] = if mode == Mode::Http2 { b"h2" } else { b"http/1.1" };
    let tls = connectors(&spec, protocol)?;
    let encoded = spec.requests.iter().map(|r| r.to_bytes(mode == Mode::Fresh)).collect();
    let load = Rc::new(Load { spec, tls, encoded, next: Cell::new(0), opened: Cell::new(0) });
    let mut running = Vec::with_capacity(connections);
    for number in 0..connections {
        let load = Rc::clone(&load);
        running.push(tokio::task::spawn_local(async move {
            match mode {
                Mode::KeepAlive => keep_alive(&load).await.map(|()| None),
                Mode::Fresh => fresh(&load).await.map(|()| None),
                Mode::Http2 => http2(&load).await.map(|()| None),
                Mode::Idle => idle(&load, number).await.map(Some),
            }
        }));
    }
    let mut open = Vec::new();
    for connection in running {
        open.extend(connection.await??);
    }
    println!("done");
    if mode == Mode::Idle {
        // Held until standard input ends.
        std::io::stdin().read_to_end(&mut Vec::new())?;
    }
    Ok(())
}

/// What opens TLS for each of the clients, or for one without a certificate.
fn connectors(spec: &Spec, protocol: &[u8]) -> Result<Vec<TlsConnector>> {
    let Some(authority) = &spec.authority else { return Ok(Vec::new()) };
    let clients: Vec<Option<&ClientFiles>> = match &*spec.clients {
        [] => vec![None],
        clients => clients.iter().map(Some).collect(),
    };
    clients.into_iter().map(|client| connector_of(authority, protocol, client)).collect()
}

async fn keep_alive(load: &Load) -> Result<()> {
    let mut stream = load.open(None).await?;
    let mut buffer = BytesMut::with_capacity(128 * 1024);
    while let Some(number) = load.take() {
        let answer = exchange(&mut *stream, &mut buffer, &load.encoded[number]).await?;
        load.expect(&answer)?;
        if answer.closes {
            stream = load.open(None).await?;
        }
    }
    Ok(())
}

async fn fresh(load: &Load) -> Result<()> {
    let mut buffer = BytesMut::with_capacity(128 * 1024);
    while let Some(number) = load.take() {
        buffer.clear();
        let mut stream = load.open(None).await?;
        let answer = exchange(&mut *stream, &mut buffer, &load.encoded[number]).await?;
        load.expect(&answer)?;
    }
    Ok(())
}

async fn http2(load: &Rc<Load>) -> Result<()> {
    let tls = load.tls.first().context("HTTP/2 needs TLS")?;
    let sender = open_http2(load.spec.target, tls).await?;
    let mut streams = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        let (load, sender) = (Rc::clone(load), sender.clone());
        streams.push(tokio::task::spawn_local(async move {
            while let Some(number) = load.take() {
                load.expect(&exchange_http2(&sender, &load.spec.requests[number]).await?)?;
            }
            anyhow::Ok(())
        }));
    }
    for stream in streams {
        stream.await??;
    }
    Ok(())
}

async fn idle(load: &Load, number: usize) -> Result<Box<dyn Stream>> {
    let last = 2 + u8::try_from(number % usize::from(IDLE_ADDRESSES))?;
    let mut stream = load.open(Some(Ipv4Addr::new(127, 0, 0, last).into())).await?;
    let mut buffer = BytesMut::new();
    let request = &load.encoded[number % load.encoded.len()];
    load.expect(&exchange(&mut *stream, &mut buffer, request).await?)?;
    Ok(stream)
}
