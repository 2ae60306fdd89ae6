//! What is known of the connection a request came on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bartizan_core::Timestamp;
use bartizan_tls::ClientCertificate;
use bartizan_wire::Lines;
use bytes::Bytes;

/// What TLS established about a connection.
#[derive(Debug)]
pub struct TlsFacts {
    /// The server name that was asked for.
    pub sni: Option<Arc<str>>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite, as OpenSSL names it, where that is known.
    pub cipher: Option<&'static str>,
    /// Whether a session was resumed.
    pub is_resumed: bool,
    /// The client's certificate, verified.
    pub client_certificate: Option<Arc<ClientCertificate>>,
}

/// What is known of the connection a request came on.
#[derive(Debug)]
pub struct Peer {
    /// The address at the other end of the connection.
    pub address: SocketAddr,
    /// Our own address.
    pub local: SocketAddr,
    /// What TLS established; `None` for plaintext.
    pub tls: Option<TlsFacts>,
    /// The peer's address and our port as text, written once for all requests of the connection.
    pub texts: PeerTexts,
    /// How the connection began.
    pub begun: Begun,
    requests: AtomicU32,
}

/// How a connection began.
#[derive(Debug)]
pub struct Begun {
    /// Its number in this process.
    pub number: u64,
    /// When, where that is known.
    pub at: Option<Timestamp>,
    /// The name of the machine that accepted it.
    pub machine: Arc<str>,
}

/// Facts of a connection as they stand in fields for the upstream.
#[derive(Debug)]
pub struct PeerTexts {
    /// The peer's address, an IPv4 one in its own form.
    pub address: Bytes,
    /// Our port.
    pub port: Bytes,
    /// What the upstream is told of a client that comes by itself and not through a proxy.
    pub forwarded: Lines,
}

impl PeerTexts {
    fn new(address: SocketAddr, local: SocketAddr, is_tls: bool) -> Self {
        let address = address.ip().to_canonical().to_string();
        let port = local.port().to_string();
        let scheme = if is_tls { "https" } else { "http" };
        let mut forwarded = Lines::default();
        for (name, value) in [
            ("x-forwarded-for", &*address),
            ("x-real-ip", &address),
            ("x-forwarded-proto", scheme),
            ("x-forwarded-port", &port),
        ] {
            // An address and a number are always valid values.
            let pushed = forwarded.push(name, value.as_bytes());
            debug_assert!(pushed.is_ok(), "{name}: {value}");
        }
        Self { address: address.into(), port: port.into(), forwarded }
    }
}

impl Peer {
    /// A connection between two addresses.
    pub fn new(address: SocketAddr, local: SocketAddr, tls: Option<TlsFacts>) -> Self {
        /// Connections of this process.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let texts = PeerTexts::new(address, local, tls.is_some());
        let number = NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
        let begun = Begun { number, at: None, machine: Arc::default() };
        Self { address, local, tls, texts, begun, requests: AtomicU32::new(0) }
    }

    /// The same, accepted then and there.
    #[must_use]
    pub fn accepted(mut self, at: Timestamp, machine: &Arc<str>) -> Self {
        self.begun.at = Some(at);
        self.begun.machine = machine.clone();
        self
    }

    /// Counts a request. A connection is served by one thread: nothing is locked for it.
    pub fn count_request(&self) {
        let count = self.requests.load(Ordering::Relaxed);
        self.requests.store(count.saturating_add(1), Ordering::Relaxed);
    }

    /// How many requests it has carried.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }
}
