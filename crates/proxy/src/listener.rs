//! Accepting connections.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bartizan_audit::{Event, EventKind};
use bartizan_chain::{Peer, TlsFacts};
use bartizan_core::Reason;
use bartizan_tls::{ApplicationProtocol, CertificateStore, HandshakeError, Session, TlsVersion};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use crate::client::{h1, h2};
use crate::decide::Connection;
use crate::worker::Worker;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;
/// The answer on a connection that is one too many.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";
/// What a worker waits when the system gives it no descriptor.
const STARVED: Duration = Duration::from_millis(50);

/// A listener of the node file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenerSpec {
    pub(crate) address: SocketAddr,
    pub(crate) is_tls: bool,
    pub(crate) danger_plaintext: bool,
}

impl ListenerSpec {
    /// Plaintext that anyone but this machine could read only redirects.
    fn only_redirects(&self) -> bool {
        !self.is_tls && !self.danger_plaintext && !self.address.ip().to_canonical().is_loopback()
    }
}

/// Binds a socket that several workers can share, each with a queue of its own.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// True if some socket, of any process, listens there already. With `SO_REUSEPORT` a second
/// process of the same user would be let in silently and share the connections.
pub(crate) fn is_taken(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

/// Accepts until the task is dropped.
pub(crate) async fn accept(
    listener: std::net::TcpListener,
    index: usize,
    spec: ListenerSpec,
    worker: Rc<Worker>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((socket, address)) => {
                let worker = worker.clone();
                tokio::task::spawn_local(serve(socket, address, index, spec, worker));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(STARVED).await;
            }
        }
    }
}

async fn serve(
    socket: TcpStream,
    address: SocketAddr,
    index: usize,
    spec: ListenerSpec,
    worker: Rc<Worker>,
) {
    let shared = worker.shared.clone();
    let _place = match shared.admission.admit(address.ip()) {
        Ok(place) => place,
        Err((reason, limit)) => {
            shared.metrics.limit_hit(limit);
            tell(&worker, address, reason, format!("over `limits.{limit}`"), None);
            if !spec.is_tls {
                // A new socket takes this much at once; under TLS there is no one to tell yet.
                let ready = tokio::time::timeout(STARVED, socket.writable()).await;
                let _ = ready.map(|_| socket.try_write(TOO_MANY));
            }
            return;
        }
    };
    shared.metrics.connections.inc();
    let _count = Counted(&shared.metrics.connections);
    // Without it answers would wait for the client's acknowledgements.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let Ok(local) = socket.local_addr() else { return };
    if !spec.is_tls {
        let peer = Arc::new(peer(&worker, address, local, None));
        let only_redirects = spec.only_redirects();
        let connection = Connection { peer, session: None, listener: index, only_redirects };
        // Each protocol in an allocation of its own size: in one future, every connection would
        // be as large as the largest of them.
        return Box::pin(h1::serve(socket, Rc::new(connection), worker)).await;
    }
    let store = shared.snapshot.load().as_ref().and_then(|s| s.tls.get(index).cloned()).flatten();
    let Some(store) = store else { return };
    let secured = Box::pin(secure(socket, address, local, index, &store, &worker)).await;
    let Some((stream, connection, protocol)) = secured else { return };
    drop(store);
    match protocol {
        ApplicationProtocol::Http2 => Box::pin(h2::serve(stream, connection, worker)).await,
        ApplicationProtocol::Http1 => Box::pin(h1::serve(stream, connection, worker)).await,
    }
}

/// A connection after its handshake, and what is spoken on it.
type Secured = (TlsStream<TcpStream>, Rc<Connection>, ApplicationProtocol);

/// Shakes hands; `None` where that came to nothing, which is recorded.
async fn secure(
    socket: TcpStream,
    address: SocketAddr,
    local: SocketAddr,
    listener: usize,
    store: &CertificateStore,
    worker: &Worker,
) -> Option<Secured> {
    let limit = worker.shared.node.limits.handshake.0;
    let shaken = tokio::time::timeout(limit, bartizan_tls::accept(socket, store)).await;
    let (stream, session) = match shaken {
        Ok(Ok(shaken)) => shaken,
        Ok(Err(error)) => {
            let sni = error.sni().map(Arc::from);
            tell(worker, address, HandshakeError::REASON, error.to_string(), sni);
            return None;
        }
        Err(_) => {
            worker.shared.metrics.limit_hit("handshake");
            let detail = format!("not finished within {} ms", limit.as_millis());
            tell(worker, address, HandshakeError::REASON, detail, None);
            return None;
        }
    };
    let Session { facts, client_certificate, protocol, version, cipher, is_resumed } = session;
    let tls = TlsFacts {
        sni: facts.sni.as_deref().map(Arc::from),
        version: match version {
            TlsVersion::Tls12 => "TLSv1.2",
            TlsVersion::Tls13 => "TLSv1.3",
        },
        cipher,
        is_resumed,
        client_certificate,
    };
    let peer = Arc::new(peer(worker, address, local, Some(tls)));
    let connection =
        Rc::new(Connection { peer, session: Some(facts), listener, only_redirects: false });
    Some((stream, connection, protocol))
}

/// The connection, as variables and logs see it.
fn peer(worker: &Worker, address: SocketAddr, local: SocketAddr, tls: Option<TlsFacts>) -> Peer {
    let node = &worker.shared.node;
    Peer::new(address, local, tls).accepted(node.clock.now(), &node.outside.hostname)
}

/// Records a connection that came to nothing.
fn tell(
    worker: &Worker,
    address: SocketAddr,
    reason: Reason,
    detail: String,
    sni: Option<Arc<str>>,
) {
    let shared = &worker.shared;
    shared.metrics.denied(reason);
    let mut event = Event::new(EventKind::Connection, shared.node.clock.now());
    event.reason = Some(reason);
    event.detail = Some(detail.into());
    event.peer = Some(address);
    event.client = Some(address.ip().to_canonical());
    event.sni = sni;
    shared.audit.record(event);
}

struct Counted<'a>(&'a prometheus_client::metrics::gauge::Gauge);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
