//! Authorities and certificates of a test, and TLS on both of its ends.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Clock;
use bartizan_tls::{Authority, Issued, KeyKind, Validity, provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};

use super::client::{Client, socket};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// An authority.
pub(crate) struct Pki(Authority);

/// What an upstream shows.
#[derive(Clone)]
pub(crate) struct ServerTls(Arc<ServerConfig>);

impl Pki {
    pub(crate) fn new(name: &str) -> Self {
        Self(Authority::create(name, Validity::starting(Clock::System.now(), DAY)).expect("a root"))
    }

    /// PEM of the root.
    pub(crate) fn root(&self) -> String {
        self.0.certificate()
    }

    pub(crate) fn server(&self, names: &[&str]) -> Issued {
        self.issue(names, Validity::starting(Clock::System.now(), DAY))
    }

    /// A certificate whose time was over yesterday.
    pub(crate) fn expired(&self, names: &[&str]) -> Issued {
        let now = Clock::System.now().as_secs();
        let at = |days: u64| bartizan_core::Timestamp::from_secs(now - days * DAY.as_secs());
        self.issue(names, Validity { not_before: at(3), not_after: at(1) })
    }

    fn issue(&self, names: &[&str], validity: Validity) -> Issued {
        self.0.issue_server(names, validity, KeyKind::EcP256).expect("a certificate")
    }

    pub(crate) fn client(&self, name: &str) -> Issued {
        let validity = Validity::starting(Clock::System.now(), DAY);
        self.0.issue_client(name, &[], validity).expect("a certificate")
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.root().as_bytes()).expect("a root");
        roots.add(root).expect("a root");
        roots
    }

    /// A client that trusts this authority.
    pub(crate) fn trusting(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(provider().clone())
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// A client that trusts this authority and shows a certificate.
    pub(crate) fn presenting(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> ClientConfig {
        ClientConfig::builder_with_provider(provider().clone())
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .expect("versions")
            .with_root_certificates(self.roots())
            .with_client_auth_cert(chain, key)
            .expect("a pair")
    }

    /// A connection to `name` that speaks one of these protocols.
    pub(crate) fn connect(&self, address: SocketAddr, name: &str, protocols: &[&str]) -> Client {
        let config = self.trusting(rustls::ALL_VERSIONS, protocols);
        Self::connect_with(config, address, name)
    }

    pub(crate) fn connect_with(config: ClientConfig, address: SocketAddr, name: &str) -> Client {
        let (stream, socket) = Self::shake(config, address, name);
        Client::over(Box::new(stream), socket)
    }

    /// A finished handshake, to look at.
    pub(crate) fn shake(
        config: ClientConfig,
        address: SocketAddr,
        name: &str,
    ) -> (StreamOwned<ClientConnection, TcpStream>, TcpStream) {
        let mut socket = socket(address);
        let second = socket.try_clone().expect("a second handle");
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).expect("a handshake");
        }
        (StreamOwned::new(connection, socket), second)
    }
}

impl ServerTls {
    pub(crate) fn showing(issued: &Issued) -> Self {
        Self::judging(issued, WebPkiClientVerifier::no_client_auth())
    }

    /// The same, of a server that serves clients of this authority only.
    pub(crate) fn asking(issued: &Issued, clients: &Pki) -> Self {
        let roots = Arc::new(clients.roots());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider().clone());
        Self::judging(issued, verifier.build().expect("a verifier"))
    }

    fn judging(issued: &Issued, clients: Arc<dyn ClientCertVerifier>) -> Self {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(issued.chain.as_bytes())
                .collect::<Result<_, _>>()
                .expect("a chain");
        let key = PrivateKeyDer::from_pem_slice(issued.key.expose()).expect("a key");
        let config = ServerConfig::builder_with_provider(provider().clone())
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .expect("versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .expect("a pair");
        Self(Arc::new(config))
    }

    pub(crate) fn accept(self, socket: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
        StreamOwned::new(ServerConnection::new(self.0).expect("a server"), socket)
    }
}

/// The key exchange that resists quantum computers, as connections name it.
pub(crate) fn hybrid_key_exchange() -> rustls::NamedGroup {
    rustls::NamedGroup::X25519MLKEM768
}
