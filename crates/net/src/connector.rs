//! Making a connection: resolve, judge, connect, verify; all within one time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Reason;
use bartizan_tls::{ApplicationProtocol, describe_io};
use bytes::Bytes;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use crate::{EgressDenial, EgressPolicy, ResolveError, Resolver, UpstreamIo};

/// Where to connect, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name or address.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
    /// TLS; in clear where absent.
    pub tls: Option<TargetTls>,
}

/// TLS towards a target.
#[derive(Clone, Debug)]
pub struct TargetTls {
    /// What is trusted and shown.
    pub config: Arc<ClientConfig>,
    /// The name that the certificate must be for, which is also sent as server name.
    pub server_name: ServerName<'static>,
}

impl TargetTls {
    /// TLS under `config` towards a server that proves to be `host`. `None` where no certificate
    /// can be for that.
    pub fn new(config: Arc<ClientConfig>, host: &str) -> Option<Self> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let server_name = ServerName::try_from(bare).ok()?.to_owned();
        Some(Self { config, server_name })
    }
}

/// What a connection attempt was doing when its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectPhase {
    /// Resolving the name.
    Resolve,
    /// Connecting.
    Connect,
    /// Shaking hands.
    Handshake,
}

impl ConnectPhase {
    fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolving its name",
            Self::Connect => "connecting",
            Self::Handshake => "the tls handshake",
        }
    }
}

/// Why there is no connection. Nothing of a request has been sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The address may not be connected to.
    #[error("`{host}` is at {address}, which {denial}")]
    Denied {
        /// The name.
        host: Arc<str>,
        /// Its address.
        address: IpAddr,
        /// Why not.
        denial: EgressDenial,
    },
    /// The connection was refused or broke.
    #[error("`{host}` at {address}: {error}")]
    Io {
        /// The name.
        host: Arc<str>,
        /// Its address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The time was over.
    #[error("`{host}`: {} took longer than {} ms", .phase.name(), .limit.as_millis())]
    Timeout {
        /// The name.
        host: Arc<str>,
        /// What took so long.
        phase: ConnectPhase,
        /// The time that was given.
        limit: Duration,
    },
    /// The handshake failed.
    #[error("`{host}` at {address}: tls: {cause}")]
    Tls {
        /// The name.
        host: Arc<str>,
        /// Its address.
        address: SocketAddr,
        /// What was wrong.
        cause: String,
    },
}

impl ConnectError {
    /// The row of the table of reasons.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Timeout { .. } => Reason::UpstreamTimeout,
            Self::Resolve(_) | Self::Denied { .. } | Self::Io { .. } | Self::Tls { .. } => {
                Reason::UpstreamConnect
            }
        }
    }
}

/// Makes connections.
#[derive(Clone, Debug)]
pub struct Connector {
    resolver: Arc<Resolver>,
    policy: Arc<EgressPolicy>,
}

impl Connector {
    /// A connector that resolves with `resolver` and reaches what `policy` allows.
    pub fn new(resolver: Arc<Resolver>, policy: Arc<EgressPolicy>) -> Self {
        Self { resolver, policy }
    }

    /// Connects to `target` within `limit`, over resolving, connecting and the handshake. The
    /// target's addresses are tried in their order, until one accepts the connection.
    pub async fn connect(
        &self,
        target: &Target,
        limit: Duration,
    ) -> Result<UpstreamIo, ConnectError> {
        let attempt = Attempt { target, limit, deadline: Instant::now() + limit };
        let resolving = self.resolver.resolve(&target.host);
        let addresses = timeout_at(attempt.deadline, resolving)
            .await
            .map_err(|_| attempt.timed_out(ConnectPhase::Resolve))??;
        let mut last = None;
        for (i, ip) in addresses.iter().enumerate() {
            let address = SocketAddr::new(*ip, target.port);
            if let Err(denial) = self.policy.check(address) {
                let host = Arc::clone(&target.host);
                last = Some(ConnectError::Denied { host, address: *ip, denial });
                continue;
            }
            match attempt.reach(address, addresses.len() - i).await {
                Ok(socket) => return attempt.secure(socket, address).await,
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| attempt.timed_out(ConnectPhase::Connect)))
    }

    /// Sends datagrams to the first address of `target` that may be reached. They are sent from a
    /// port of their own; that nobody listens is known only where the system was told so in time.
    pub async fn send_datagrams(
        &self,
        target: &Target,
        datagrams: &[Bytes],
        limit: Duration,
    ) -> Result<(), ConnectError> {
        let attempt = Attempt { target, limit, deadline: Instant::now() + limit };
        let resolving = self.resolver.resolve(&target.host);
        let addresses = timeout_at(attempt.deadline, resolving)
            .await
            .map_err(|_| attempt.timed_out(ConnectPhase::Resolve))??;
        let mut last = None;
        for ip in addresses.iter() {
            let address = SocketAddr::new(*ip, target.port);
            match self.policy.check_datagram(*ip) {
                Ok(()) => {
                    return timeout_at(attempt.deadline, send(address, datagrams))
                        .await
                        .map_err(|_| attempt.timed_out(ConnectPhase::Connect))?
                        .map_err(|error| attempt.broken(address, error));
                }
                Err(denial) => {
                    let host = Arc::clone(&target.host);
                    last = Some(ConnectError::Denied { host, address: *ip, denial });
                }
            }
        }
        Err(last.unwrap_or_else(|| attempt.timed_out(ConnectPhase::Resolve)))
    }
}

async fn send(to: SocketAddr, datagrams: &[Bytes]) -> io::Result<()> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    for datagram in datagrams {
        socket.send(datagram).await?;
    }
    Ok(())
}

/// One connection in the making.
struct Attempt<'a> {
    target: &'a Target,
    limit: Duration,
    deadline: Instant,
}

impl Attempt<'_> {
    fn timed_out(&self, phase: ConnectPhase) -> ConnectError {
        ConnectError::Timeout { host: Arc::clone(&self.target.host), phase, limit: self.limit }
    }

    fn broken(&self, address: SocketAddr, error: io::Error) -> ConnectError {
        ConnectError::Io { host: Arc::clone(&self.target.host), address, error }
    }

    /// Connects to one address. The time that remains is shared with the addresses still to be
    /// tried, so that one that swallows packets does not spend all of it.
    async fn reach(&self, address: SocketAddr, left: usize) -> Result<TcpStream, ConnectError> {
        let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
        let share = self.deadline.saturating_duration_since(Instant::now()) / left;
        let socket = timeout(share, TcpStream::connect(address))
            .await
            .map_err(|_| self.timed_out(ConnectPhase::Connect))?
            .map_err(|error| self.broken(address, error))?;
        socket.set_nodelay(true).map_err(|error| self.broken(address, error))?;
        // Where nobody listens on a local port of the ephemeral range, the kernel can connect a
        // socket to itself, and we would read our own request as the answer.
        if socket.local_addr().is_ok_and(|own| own == address) {
            return Err(self.broken(address, io::ErrorKind::ConnectionRefused.into()));
        }
        Ok(socket)
    }

    async fn secure(
        &self,
        socket: TcpStream,
        address: SocketAddr,
    ) -> Result<UpstreamIo, ConnectError> {
        let Some(tls) = &self.target.tls else { return Ok(UpstreamIo::Plain(socket)) };
        let connector = TlsConnector::from(Arc::clone(&tls.config));
        let handshake = connector.connect(tls.server_name.clone(), socket);
        match timeout_at(self.deadline, handshake).await {
            Ok(Ok(stream)) if speaks_what_it_must(tls, stream.get_ref().1.alpn_protocol()) => {
                Ok(UpstreamIo::Tls(Box::new(stream)))
            }
            Ok(Ok(_)) => Err(ConnectError::Tls {
                host: Arc::clone(&self.target.host),
                address,
                cause: "the server does not agree to HTTP/2 (ALPN `h2`)".to_owned(),
            }),
            Ok(Err(error)) => Err(ConnectError::Tls {
                host: Arc::clone(&self.target.host),
                address,
                cause: describe_io(&error),
            }),
            Err(_) => Err(self.timed_out(ConnectPhase::Handshake)),
        }
    }
}

/// HTTP/2 is spoken only to a server that agreed to it (RFC 9113 §3.2); HTTP/1.1 needs no word.
fn speaks_what_it_must(tls: &TargetTls, agreed: Option<&[u8]>) -> bool {
    let http2 = ApplicationProtocol::Http2.alpn();
    tls.config.alpn_protocols.iter().all(|offered| offered != http2) || agreed == Some(http2)
}
