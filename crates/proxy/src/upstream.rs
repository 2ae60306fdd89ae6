//! Connections to upstreams: how a node is reached, and the connections a worker keeps.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_net::{ConnectError, Target, UpstreamIo};
use bartizan_wire::HeadScan;
use bytes::BytesMut;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use crate::health::Standing;
use crate::outbox::Outbox;
use crate::snapshot::PoolNumber;

/// Opens connections; the network's connector, or a test's.
pub trait Dial {
    /// Opens a connection to `target` within `timeout`.
    fn dial<'a>(
        &'a self,
        target: &'a Target,
        timeout: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<UpstreamIo, ConnectError>> + 'a>>;
}

/// A server of an upstream, as requests use it.
#[derive(Debug)]
pub(crate) struct Node {
    /// `host:port`, for logs.
    pub(crate) label: Arc<str>,
    /// Its name as a Host.
    pub(crate) host: Arc<str>,
    pub(crate) target: Target,
    /// Connections with the same number are interchangeable: same address, same TLS.
    pub(crate) pool: Arc<PoolNumber>,
    /// How it stands, where its upstream has checks.
    pub(crate) standing: Option<Arc<Standing>>,
}

/// How long and how many idle connections are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive {
    pub(crate) size: usize,
    pub(crate) idle: Duration,
    pub(crate) requests: u32,
}

/// An open connection to a node.
#[derive(Debug)]
pub(crate) struct UpstreamConnection {
    pub(crate) io: UpstreamIo,
    /// The address at the other end.
    pub(crate) address: Option<SocketAddr>,
    /// Received and not yet dealt with.
    pub(crate) received: BytesMut,
    pub(crate) out: Outbox,
    /// How far the head of the next answer was read.
    pub(crate) scan: HeadScan,
    /// Exchanges that it has served.
    pub(crate) served: u32,
    /// The body of its last answer passed inside the kernel, and that of the next may be like it.
    pub(crate) passes: bool,
    _open: Open,
}

/// Counts a connection while it is open.
#[derive(Debug)]
pub(crate) struct Open(Gauge);

impl Open {
    /// Counts one more.
    pub(crate) fn count(open: &Gauge) -> Self {
        open.inc();
        Self(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl UpstreamConnection {
    /// Boxed from the beginning: it goes from hand to hand with every exchange.
    pub(crate) fn new(io: UpstreamIo, open: &Gauge) -> Box<Self> {
        let open = Open::count(open);
        let address = io.peer_addr();
        Box::new(Self {
            io,
            address,
            received: BytesMut::new(),
            out: Outbox::default(),
            scan: HeadScan::default(),
            served: 0,
            passes: false,
            _open: open,
        })
    }

    /// True if the upstream has neither closed nor sent anything unasked.
    fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0_u8; 1];
        let mut buf = ReadBuf::new(&mut byte);
        Pin::new(&mut self.io).poll_read(cx, &mut buf).is_pending()
    }

    /// Reads into `scratch`; zero is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(scratch);
        Pin::new(&mut self.io).poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
    }
}

struct Idle {
    connection: Box<UpstreamConnection>,
    until: Instant,
}

/// The idle connections of a worker, the youngest used first.
#[derive(Default)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<u64, VecDeque<Idle>, RandomState>>,
}

impl Pool {
    /// An idle connection that is still alive.
    pub(crate) fn take(
        &self,
        node: &Node,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Option<Box<UpstreamConnection>> {
        let mut idle = self.idle.borrow_mut();
        let connections = idle.get_mut(&node.pool.id())?;
        while let Some(mut entry) = connections.pop_back() {
            if entry.until > now && entry.connection.is_quiet(cx) {
                return Some(entry.connection);
            }
        }
        None
    }

    /// Keeps a connection for later, if there is room.
    pub(crate) fn put(
        &self,
        node: &Node,
        mut connection: Box<UpstreamConnection>,
        keep: KeepAlive,
        now: Instant,
    ) {
        let is_clean = connection.received.is_empty() && connection.out.is_empty();
        if !is_clean || connection.served >= keep.requests || keep.size == 0 {
            return;
        }
        connection.received = BytesMut::new();
        let mut idle = self.idle.borrow_mut();
        let connections = idle.entry(node.pool.id()).or_default();
        if connections.len() >= keep.size {
            connections.pop_front();
        }
        connections.push_back(Idle { connection, until: now + keep.idle });
    }

    /// Closes what has been idle too long.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.idle.borrow_mut().retain(|_, connections| {
            connections.retain(|entry| entry.until > now);
            !connections.is_empty()
        });
    }
}
