//! HTTP/2 connections to upstreams, each with one exchange at a time, as on HTTP/1.
//!
//! Exchanges that share a connection share its window, what its ends put up with, and its end: a
//! client that reads slowly, or that breaks off call after call, would hold and end those of others
//! (decision 0013). The frames are those of the `h2` library, driven by a task for each connection.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bartizan_net::UpstreamIo;
use bytes::Bytes;
use foldhash::fast::RandomState;
use h2::client::{Builder, Connection, SendRequest};
use hashbrown::HashMap;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::upstream::{KeepAlive, Node, Open};

/// What of an answer its upstream may send ahead of the client.
const STREAM_WINDOW: u32 = 256 * 1_024;
/// What frames of data that were not read yet may fall short of 256 bytes each, together: a window
/// of small messages fits, a window of single bytes does not.
const SMALL_MAX: usize = 4 * 1_024 * 1_024;
/// What of a request waits for its upstream.
const SEND_BUFFER: usize = 64 * 1_024;
/// Frames of data that a connection has in hand while its upstream takes nothing. Each costs some
/// hundred bytes beside its data, which may be a single byte.
const IN_HAND_MAX: u32 = 256;
/// How often an upstream may break the protocol on a stream of a connection.
const FAULTS_MAX: usize = 100;
/// Time for the end of a connection that nobody uses any more.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// What an upstream may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkLimits {
    /// Bytes of a header block, decoded.
    pub(crate) header_list: u32,
    /// Bytes of answers of a connection, ahead of the clients.
    pub(crate) window: u32,
}

/// A connection.
struct Link {
    requests: SendRequest<Bytes>,
    address: Option<SocketAddr>,
    served: u32,
    /// How long it may wait for an exchange.
    until: Instant,
    hand: Rc<Hand>,
    /// Tells the connection's task that nobody is left.
    _user: oneshot::Sender<()>,
}

impl Link {
    /// Whether another exchange may begin here.
    fn is_fit(&mut self, cx: &mut Context<'_>, keep: KeepAlive, now: Instant) -> bool {
        self.served < keep.requests
            && now < self.until
            && matches!(self.requests.poll_ready(cx), Poll::Ready(Ok(())))
    }
}

/// The connections of a worker to one node that wait for an exchange.
#[derive(Default)]
pub(crate) struct Site {
    idle: RefCell<Vec<Link>>,
}

impl Site {
    /// A connection that is open.
    pub(crate) fn take(self: &Rc<Self>, cx: &mut Context<'_>, keep: KeepAlive) -> Option<Ticket> {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        while let Some(mut link) = idle.pop() {
            if link.is_fit(cx, keep, now) {
                return Some(Ticket::new(link, self.clone(), keep, true));
            }
        }
        None
    }

    /// Speaks HTTP/2 on `io`.
    pub(crate) async fn open(
        self: &Rc<Self>,
        io: UpstreamIo,
        limits: LinkLimits,
        keep: KeepAlive,
        gauge: &Gauge,
    ) -> Result<Ticket, h2::Error> {
        let address = io.peer_addr();
        let hand = Rc::new(Hand::default());
        let io = Noted { io, hand: hand.clone() };
        let (requests, connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW.min(limits.window))
            .initial_connection_window_size(limits.window)
            .max_header_list_size(limits.header_list)
            .max_send_buffer_size(SEND_BUFFER)
            .max_local_error_reset_streams(Some(FAULTS_MAX))
            .data_frame_budget(SMALL_MAX)
            .initial_max_send_streams(1)
            .handshake(io)
            .await?;
        let (user, users) = oneshot::channel();
        tokio::task::spawn_local(drive(connection, users, hand.clone(), Open::count(gauge)));
        let until = Instant::now() + keep.idle;
        let link = Link { requests, address, served: 0, until, hand, _user: user };
        Ok(Ticket::new(link, self.clone(), keep, false))
    }
}

/// Drives a connection to its end.
async fn drive(
    connection: Connection<Noted, Bytes>,
    mut users: oneshot::Receiver<()>,
    hand: Rc<Hand>,
    _open: Open,
) {
    let mut connection = pin!(connection);
    let mut leave: Option<Pin<Box<tokio::time::Sleep>>> = None;
    std::future::poll_fn(|cx| {
        // How it ended is told to the exchange.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !hand.is_stuck.get() {
            hand.empty();
        }
        if leave.is_none() && Pin::new(&mut users).poll(cx).is_ready() {
            leave = Some(Box::pin(tokio::time::sleep(LINGER_TIME)));
        }
        leave.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    })
    .await;
    hand.empty();
}

/// What a connection was given to send and may not have sent.
#[derive(Default)]
struct Hand {
    frames: Cell<u32>,
    /// The upstream took nothing of what it was last sent.
    is_stuck: Cell<bool>,
    /// Who waits until there is room.
    waiter: Cell<Option<Waker>>,
}

impl Hand {
    fn empty(&self) {
        self.frames.set(0);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }
}

/// A connection's bytes, and whether its upstream takes them.
struct Noted {
    io: UpstreamIo,
    hand: Rc<Hand>,
}

impl AsyncRead for Noted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Noted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { io, hand } = self.get_mut();
        let written = Pin::new(io).poll_write(cx, data);
        hand.is_stuck.set(written.is_pending());
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { io, hand } = self.get_mut();
        let written = Pin::new(io).poll_write_vectored(cx, data);
        hand.is_stuck.set(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// A connection while an exchange has it; it ends with one that is not at its end.
pub(crate) struct Ticket {
    link: Option<Link>,
    site: Rc<Site>,
    keep: KeepAlive,
    /// Others have had exchanges here.
    pub(crate) is_reused: bool,
    end: End,
}

/// How an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Done,
    Failed,
}

impl Ticket {
    fn new(mut link: Link, site: Rc<Site>, keep: KeepAlive, is_reused: bool) -> Self {
        link.served = link.served.saturating_add(1);
        Self { link: Some(link), site, keep, is_reused, end: End::Open }
    }

    /// Where requests are sent from.
    pub(crate) fn requests(&self) -> Option<SendRequest<Bytes>> {
        self.link.as_ref().map(|link| link.requests.clone())
    }

    /// The address at the other end.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.link.as_ref()?.address
    }

    /// Ready once the connection may be given another frame of data.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let Some(Link { hand, .. }) = &self.link else { return Poll::Ready(()) };
        if hand.frames.get() < IN_HAND_MAX {
            return Poll::Ready(());
        }
        hand.waiter.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Counts a frame that the connection is given.
    pub(crate) fn hand_over(&self) {
        if let Some(Link { hand, .. }) = &self.link {
            hand.frames.set(hand.frames.get().saturating_add(1));
        }
    }

    /// The exchange is at its end on both sides.
    pub(crate) fn done(&mut self) {
        if self.end == End::Open {
            self.end = End::Done;
        }
    }

    /// The exchange is over, and the connection with it.
    pub(crate) fn fail(&mut self) {
        self.end = End::Failed;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(mut link) = self.link.take().filter(|_| self.end == End::Done) else { return };
        if self.keep.size == 0 || link.served >= self.keep.requests {
            return;
        }
        link.until = Instant::now() + self.keep.idle;
        let mut idle = self.site.idle.borrow_mut();
        idle.push(link);
        // Those that were used last are used next: the others may have been closed long ago.
        let surplus = idle.len().saturating_sub(self.keep.size);
        idle.drain(..surplus);
    }
}

/// The connections of a worker.
#[derive(Default)]
pub(crate) struct Links {
    sites: RefCell<HashMap<u64, Rc<Site>, RandomState>>,
}

impl Links {
    /// The connections to one node.
    pub(crate) fn site(&self, node: &Node) -> Rc<Site> {
        self.sites.borrow_mut().entry(node.pool.id()).or_default().clone()
    }

    /// Closes what has been idle too long.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.sites.borrow_mut().retain(|_, site| {
            site.idle.borrow_mut().retain(|link| now < link.until);
            Rc::strong_count(site) > 1 || !site.idle.borrow().is_empty()
        });
    }
}
