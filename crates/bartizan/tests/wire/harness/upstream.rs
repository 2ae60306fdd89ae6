//! Upstreams that note what they are sent and answer as a test says, byte by byte.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::PATIENCE;
use super::client::{Stream, find};
use super::tls::ServerTls;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The number of its connection, from 1.
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Lines behind the last chunk.
    pub(crate) trailers: Vec<String>,
    /// False where the sender closed before the body was over.
    pub(crate) is_complete: bool,
}

impl Seen {
    /// The only value of a field.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let named = |line: &str| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        let values: Vec<String> = self.head.split("\r\n").filter_map(named).collect();
        assert!(values.len() < 2, "`{name}` twice: {}", self.head);
        values.into_iter().next()
    }
}

/// The gateway's end of a connection.
pub(crate) struct Peer {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

impl Peer {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The gateway may have turned away; what it made of it is looked at on its other side.
        let _ = self.stream.write_all(bytes.as_ref());
        let _ = self.stream.flush();
    }

    /// Sends, and says whether the gateway takes it.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// A complete answer.
    pub(crate) fn answer(&mut self, status: u16, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let mut out = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n", body.len())
            .into_bytes();
        out.extend_from_slice(body);
        self.send(out);
    }

    /// The next bytes; fewer where the gateway ends before.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count && self.fill() {}
        let end = count.min(self.received.len());
        self.received.drain(..end).collect()
    }

    /// What comes until the gateway ends its side.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.received)
    }

    /// Waits until the gateway closes.
    pub(crate) fn wait_for_end(&mut self) {
        while self.fill() {}
    }

    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).unwrap_or(0);
        self.received.extend_from_slice(&buffer[..count]);
        count > 0
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.received, b"\r\n") {
                let line: Vec<u8> = self.received.drain(..end + 2).take(end).collect();
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn head(&mut self) -> Option<String> {
        while find(&self.received, b"\r\n\r\n").is_none() {
            if !self.fill() {
                return None;
            }
        }
        let end = find(&self.received, b"\r\n\r\n")? + 4;
        let head: Vec<u8> = self.received.drain(..end).collect();
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    fn body(&mut self, seen: &mut Seen) {
        if let Some(length) = seen.field("content-length") {
            let length: usize = length.parse().expect("a length");
            while self.received.len() < length && self.fill() {}
            let end = length.min(self.received.len());
            seen.body = self.received.drain(..end).collect();
            seen.is_complete = end == length;
        } else if seen.field("transfer-encoding").is_some() {
            seen.is_complete = self.chunks(seen).is_some();
        }
    }

    fn chunks(&mut self, seen: &mut Seen) -> Option<()> {
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).expect("a chunk's size");
            if size == 0 {
                break;
            }
            while self.received.len() < size + 2 {
                if !self.fill() {
                    return None;
                }
            }
            seen.body.extend(self.received.drain(..size));
            assert_eq!(self.line()?, "", "the end of a chunk");
        }
        loop {
            match self.line()? {
                line if line.is_empty() => return Some(()),
                line => seen.trailers.push(line),
            }
        }
    }
}

/// An upstream; it serves until the test's process ends.
#[derive(Clone)]
pub(crate) struct Upstream {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    /// An upstream that does this with each request, and keeps the connection while it says true.
    pub(crate) fn start(serve: impl Fn(&mut Peer, &Seen) -> bool + Send + Sync + 'static) -> Self {
        Self::listen(None, serve)
    }

    /// The same behind TLS.
    pub(crate) fn start_tls(
        tls: ServerTls,
        serve: impl Fn(&mut Peer, &Seen) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(tls), serve)
    }

    /// An upstream that answers 200 with the request's target.
    pub(crate) fn plain() -> Self {
        Self::start(|peer, seen| {
            peer.answer(200, &seen.target);
            true
        })
    }

    /// An upstream that answers 200 with what it was sent.
    pub(crate) fn echo() -> Self {
        Self::start(|peer, seen| {
            peer.answer(200, &seen.body);
            true
        })
    }

    /// An address where nobody listens.
    pub(crate) fn nowhere() -> SocketAddr {
        // The port stays bound to nothing: another test gets another from the system.
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        socket.local_addr().expect("an address")
    }

    fn listen(
        tls: Option<ServerTls>,
        serve: impl Fn(&mut Peer, &Seen) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let upstream = Self {
            address: listener.local_addr().expect("an address"),
            connections: Arc::default(),
            seen: Arc::default(),
        };
        let own = upstream.clone();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(socket) = socket else { return };
                let number = own.connections.fetch_add(1, Ordering::SeqCst) + 1;
                let (own, serve, tls) = (own.clone(), serve.clone(), tls.clone());
                std::thread::spawn(move || own.serve(socket, number, tls, &*serve));
            }
        });
        upstream
    }

    fn serve(
        &self,
        socket: TcpStream,
        number: usize,
        tls: Option<ServerTls>,
        serve: &(impl Fn(&mut Peer, &Seen) -> bool + ?Sized),
    ) {
        // Kept connections are idle as long as the test wants.
        socket.set_read_timeout(Some(PATIENCE * 6)).expect("a timeout");
        socket.set_nodelay(true).expect("no delay");
        let stream: Box<dyn Stream> = match tls {
            Some(tls) => Box::new(tls.accept(socket)),
            None => Box::new(socket),
        };
        let mut peer = Peer { stream, received: Vec::new() };
        while let Some(head) = peer.head() {
            let mut words = head.split(' ');
            let mut seen = Seen {
                connection: number,
                method: words.next().unwrap_or_default().to_owned(),
                target: words.next().unwrap_or_default().to_owned(),
                head: head.clone(),
                body: Vec::new(),
                trailers: Vec::new(),
                is_complete: true,
            };
            peer.body(&mut seen);
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
            if !seen.is_complete || !serve(&mut peer, &seen) {
                return;
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The requests that arrived whole.
    pub(crate) fn complete(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.is_complete).collect()
    }
}
