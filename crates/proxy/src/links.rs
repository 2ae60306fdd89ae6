//! HTTP/2 connections to upstreams: many exchanges on each.
//!
//! The frames are those of the `h2` library, driven by a task for each connection. A connection
//! carries one exchange until its upstream has said how many it takes; where all are full another
//! is opened, one at a time and up to a bound, and who finds no place waits for one.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_net::UpstreamIo;
use bytes::Bytes;
use foldhash::fast::RandomState;
use h2::client::{Builder, Connection, SendRequest};
use hashbrown::HashMap;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::ears::Ears;
use crate::upstream::{KeepAlive, Node, Open};

/// Connections of a worker to one node.
pub(crate) const LINKS_MAX: usize = 16;
/// Exchanges on one connection, whatever its upstream takes.
const STREAMS_MAX: usize = 100;
/// Exchanges that wait for a place on a connection to one node.
const WAITING_MAX: usize = 1_024;
/// What of one answer its upstream may send ahead of the client.
const STREAM_WINDOW: u32 = 256 * 1_024;
/// What of one request waits for its upstream.
const SEND_BUFFER: usize = 64 * 1_024;
/// How often an upstream may break the protocol on single streams of a connection.
const FAULTS_MAX: usize = 100;
/// Time for the end of a connection that nobody uses any more.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// What an upstream may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkLimits {
    /// Bytes of a header block, decoded.
    pub(crate) header_list: u32,
    /// Bytes of all answers of a connection, ahead of the clients.
    pub(crate) window: u32,
}

/// A connection.
pub(crate) struct Link {
    requests: RefCell<SendRequest<Bytes>>,
    pub(crate) address: Option<SocketAddr>,
    /// Bytes that came from the upstream.
    heard: Rc<Cell<u64>>,
    streams: Cell<usize>,
    served: Cell<u32>,
    idle_since: Cell<Instant>,
    is_retired: Cell<bool>,
    /// Tells the connection's task that nobody is left.
    _user: oneshot::Sender<()>,
}

impl Link {
    /// True if no further exchange may begin here.
    fn is_over(&self, cx: &mut Context<'_>, keep: KeepAlive, now: Instant) -> bool {
        let is_stale = self.streams.get() == 0 && now >= self.idle_since.get() + keep.idle;
        self.is_retired.get()
            || is_stale
            || self.served.get() >= keep.requests
            || matches!(self.requests.borrow_mut().poll_ready(cx), Poll::Ready(Err(_)))
    }

    fn is_new(&self) -> bool {
        self.heard.get() == 0
    }

    fn has_room(&self) -> bool {
        let taken = || self.requests.borrow().current_max_send_streams().min(STREAMS_MAX);
        self.streams.get() < if self.is_new() { 1 } else { taken() }
    }
}

/// The connections of a worker to one node.
#[derive(Default)]
pub(crate) struct Site {
    links: RefCell<Vec<Rc<Link>>>,
    /// Connections that are open, those included that take no exchange any more.
    open: Cell<usize>,
    is_dialing: Cell<bool>,
    waiting: Cell<usize>,
    /// There may be a place, or leave to make one.
    changed: Notify,
}

/// What there is for an exchange.
pub(crate) enum Found {
    /// A place.
    Place(Ticket),
    /// No place, and leave to open another connection.
    Dial(Dialing),
    /// Neither now.
    Wait(Waiting),
    /// Too many wait already.
    Crowded,
}

impl Site {
    /// A place on a connection that is open, or how to come to one.
    pub(crate) fn find(self: &Rc<Self>, cx: &mut Context<'_>, keep: KeepAlive) -> Found {
        let now = Instant::now();
        let mut links = self.links.borrow_mut();
        links.retain(|link| !link.is_over(cx, keep, now));
        if let Some(link) = links.iter().find(|link| link.has_room()) {
            return Found::Place(Ticket::new(link.clone(), self.clone(), keep, true));
        }
        // What it takes is about to be known.
        let is_one_new = links.iter().any(|link| link.is_new());
        if !is_one_new && !self.is_dialing.get() && self.open.get() < LINKS_MAX {
            self.is_dialing.set(true);
            return Found::Dial(Dialing(self.clone()));
        }
        if self.waiting.get() >= WAITING_MAX {
            return Found::Crowded;
        }
        self.waiting.set(self.waiting.get() + 1);
        Found::Wait(Waiting(self.clone()))
    }

    fn is_unused(&self) -> bool {
        self.links.borrow().is_empty()
            && self.open.get() == 0
            && !self.is_dialing.get()
            && self.waiting.get() == 0
    }

    /// No more than `size` connections without exchanges are kept.
    fn trim(&self, size: usize) {
        let mut links = self.links.borrow_mut();
        let idle = links.iter().filter(|link| link.streams.get() == 0).count();
        let mut excess = idle.saturating_sub(size);
        links.retain(|link| {
            let goes = excess > 0 && link.streams.get() == 0;
            excess -= usize::from(goes);
            !goes
        });
    }
}

/// The right to open a connection.
pub(crate) struct Dialing(Rc<Site>);

impl Drop for Dialing {
    fn drop(&mut self) {
        self.0.is_dialing.set(false);
        self.0.changed.notify_waiters();
    }
}

impl Dialing {
    /// Speaks HTTP/2 on `io` and takes the first place there.
    pub(crate) async fn open(
        self,
        io: UpstreamIo,
        limits: LinkLimits,
        keep: KeepAlive,
        gauge: &Gauge,
    ) -> Result<Ticket, h2::Error> {
        let address = io.peer_addr();
        let heard = Rc::<Cell<u64>>::default();
        let ears = Ears::new(io, heard.clone());
        let (requests, connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW.min(limits.window))
            .initial_connection_window_size(limits.window)
            .max_header_list_size(limits.header_list)
            .max_send_buffer_size(SEND_BUFFER)
            .max_local_error_reset_streams(Some(FAULTS_MAX))
            .initial_max_send_streams(STREAMS_MAX)
            .handshake(ears)
            .await?;
        let (user, users) = oneshot::channel();
        let open = Counted::new(self.0.clone(), Open::count(gauge));
        tokio::task::spawn_local(drive(connection, heard.clone(), users, open));
        let link = Rc::new(Link {
            requests: RefCell::new(requests),
            address,
            heard,
            streams: Cell::new(0),
            served: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            is_retired: Cell::new(false),
            _user: user,
        });
        self.0.links.borrow_mut().push(link.clone());
        Ok(Ticket::new(link, self.0.clone(), keep, false))
    }
}

/// Counts a connection while its task runs.
struct Counted {
    site: Rc<Site>,
    _open: Open,
}

impl Counted {
    fn new(site: Rc<Site>, open: Open) -> Self {
        site.open.set(site.open.get() + 1);
        Self { site, _open: open }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.site.open.set(self.site.open.get().saturating_sub(1));
        self.site.changed.notify_waiters();
    }
}

/// Drives a connection to its end.
async fn drive(
    connection: Connection<Ears<UpstreamIo>, Bytes>,
    heard: Rc<Cell<u64>>,
    mut users: oneshot::Receiver<()>,
    open: Counted,
) {
    let mut connection = pin!(connection);
    let mut has_heard = false;
    let mut leave: Option<Pin<Box<tokio::time::Sleep>>> = None;
    std::future::poll_fn(|cx| {
        // How it ended is told to each exchange.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !has_heard && heard.get() > 0 {
            has_heard = true;
            open.site.changed.notify_waiters();
        }
        if leave.is_none() && Pin::new(&mut users).poll(cx).is_ready() {
            leave = Some(Box::pin(tokio::time::sleep(LINGER_TIME)));
        }
        leave.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    })
    .await;
}

/// Waits for a place.
pub(crate) struct Waiting(Rc<Site>);

impl Waiting {
    /// Ready when it is worth to look again.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
    }
}

/// The place of one exchange on a connection; given back when dropped.
pub(crate) struct Ticket {
    link: Rc<Link>,
    site: Rc<Site>,
    keep: KeepAlive,
    /// Others have had exchanges here.
    pub(crate) is_reused: bool,
    /// What was heard when the exchange began.
    heard: u64,
}

impl Ticket {
    fn new(link: Rc<Link>, site: Rc<Site>, keep: KeepAlive, is_reused: bool) -> Self {
        link.streams.set(link.streams.get() + 1);
        link.served.set(link.served.get().saturating_add(1));
        let heard = link.heard.get();
        Self { link, site, keep, is_reused, heard }
    }

    /// Where requests are sent from.
    pub(crate) fn requests(&self) -> SendRequest<Bytes> {
        self.link.requests.borrow().clone()
    }

    /// The address at the other end.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.link.address
    }

    /// The exchange timed out. Where nothing at all was heard meanwhile, nobody is there.
    pub(crate) fn note_silence(&self) {
        if self.link.heard.get() == self.heard {
            self.link.is_retired.set(true);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let left = self.link.streams.get().saturating_sub(1);
        self.link.streams.set(left);
        if left == 0 {
            self.link.idle_since.set(Instant::now());
            self.site.trim(self.keep.size);
        }
        self.site.changed.notify_one();
    }
}

/// The connections of a worker.
#[derive(Default)]
pub(crate) struct Links {
    sites: RefCell<HashMap<u64, (Rc<Site>, Duration), RandomState>>,
}

impl Links {
    /// The connections to one node.
    pub(crate) fn site(&self, node: &Node, keep: KeepAlive) -> Rc<Site> {
        let mut sites = self.sites.borrow_mut();
        let (site, idle) = sites.entry(node.pool.id()).or_default();
        *idle = keep.idle;
        site.clone()
    }

    /// Closes what has been idle too long.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.sites.borrow_mut().retain(|_, (site, idle)| {
            site.links.borrow_mut().retain(|link| {
                let is_idle = link.streams.get() == 0;
                let is_stale = is_idle && now >= link.idle_since.get() + *idle;
                !is_stale && !link.is_retired.get()
            });
            !site.is_unused()
        });
    }
}
