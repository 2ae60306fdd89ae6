//! A gateway without sockets: connections are streams in memory. For tests, and for programs that
//! have the gateway inside them.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bartizan_chain::{Peer, TlsFacts};
use tokio::io::DuplexStream;

use crate::client::{h1, h2};
use crate::decide::Connection;
use crate::gateway::Gateway;
use crate::worker::Worker;

/// Bytes that a stream in memory holds in each direction.
const STREAM_SIZE: usize = 64 * 1_024;

/// A worker of a gateway on the calling thread, inside a `LocalSet`.
pub struct InProcess {
    worker: Rc<Worker>,
}

impl InProcess {
    /// A worker of `gateway`.
    pub fn new(gateway: &Gateway) -> Self {
        Self { worker: gateway.worker(Vec::new()) }
    }

    /// A plaintext HTTP/1 connection from `address`, as a loopback listener would accept it.
    pub fn connect(&self, address: SocketAddr) -> DuplexStream {
        self.connect_with(address, None)
    }

    /// The same, or one whose TLS was ended by the caller, who answers for what it established.
    pub fn connect_with(&self, address: SocketAddr, tls: Option<TlsFacts>) -> DuplexStream {
        let (client, server) = tokio::io::duplex(STREAM_SIZE);
        let connection = self.connection(address, tls);
        tokio::task::spawn_local(h1::serve(server, connection, self.worker.clone()));
        client
    }

    /// A connection of HTTP/2 from `address`, its protocol known beforehand.
    pub fn connect_http2(&self, address: SocketAddr) -> DuplexStream {
        let (client, server) = tokio::io::duplex(STREAM_SIZE);
        let connection = self.connection(address, None);
        tokio::task::spawn_local(h2::serve(server, connection, self.worker.clone()));
        client
    }

    /// Hands over the lines of the access log.
    pub fn flush_access_log(&self) {
        if let Some(access) = &self.worker.access {
            access.borrow_mut().flush();
        }
    }

    fn connection(&self, address: SocketAddr, tls: Option<TlsFacts>) -> Rc<Connection> {
        let local = SocketAddr::from(([127, 0, 0, 1], 9080));
        let node = &self.worker.shared.node;
        let peer = Peer::new(address, local, tls);
        let peer = Arc::new(peer.accepted(node.clock.now(), &node.outside.hostname));
        Rc::new(Connection { peer, session: None, listener: 0, only_redirects: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest future of an HTTP/1 connection: what each idle connection costs at least.
    const FUTURE_MAX: usize = 6 * 1_024;

    #[test]
    fn the_future_of_a_connection_stays_small() {
        fn size<F>(
            _: impl FnOnce(tokio::net::TcpStream, Rc<Connection>, Rc<Worker>) -> F,
        ) -> usize {
            size_of::<F>()
        }
        let bytes = size(h1::serve);
        assert!(bytes <= FUTURE_MAX, "{bytes} bytes");
    }
}
