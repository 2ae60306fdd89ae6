//! Handshakes in memory: one law per test.

mod clients;
mod names;
mod renewal;
mod sources;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, ManualClock, Timestamp};
use bartizan_tls::{
    ApplicationProtocol, Authority, CertificateSource, CertificateStore, HandshakeError, Issued,
    KeyKind, Session, StoreSettings, TicketKeys, TlsError, TlsVersion, UpstreamTlsSettings,
    Validity, accept, client_config,
};
use rustls::{ClientConfig, HandshakeKind, NamedGroup};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsConnector, client, server};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// An authority, a clock and ticket keys.
struct Scene {
    authority: Authority,
    manual: ManualClock,
    clock: Clock,
    tickets: TicketKeys,
}

impl Scene {
    fn new() -> Self {
        let manual = ManualClock::at(NOW);
        Self {
            authority: Authority::create("scene", year()).unwrap(),
            clock: Clock::Manual(manual.clone()),
            manual,
            tickets: TicketKeys::new().unwrap(),
        }
    }

    fn settings(&self) -> StoreSettings<'_> {
        StoreSettings {
            minimum: TlsVersion::Tls12,
            alpn: &[ApplicationProtocol::Http2, ApplicationProtocol::Http1],
            default: None,
            refused_names: &[],
            tickets: &self.tickets,
            clock: &self.clock,
            previous: None,
        }
    }

    fn server(&self, names: &[&str]) -> Issued {
        self.authority.issue_server(names, year(), KeyKind::EcP256).unwrap()
    }

    fn store(&self, sources: &[CertificateSource]) -> CertificateStore {
        CertificateStore::build(sources, &self.settings()).unwrap()
    }

    /// A client that trusts the scene's authority, under the scene's clock.
    fn client(&self) -> Arc<ClientConfig> {
        self.client_with(None)
    }

    fn client_with(&self, identity: Option<&Issued>) -> Arc<ClientConfig> {
        let settings = UpstreamTlsSettings {
            ca_certs: Some(self.authority.certificate()),
            client_cert: identity.map(|issued| issued.chain.clone()),
            client_key: identity.map(|issued| issued.key.clone()),
            danger_verify_off: false,
            http2: false,
        };
        client_config(&settings, &self.clock).unwrap()
    }
}

fn year() -> Validity {
    Validity::starting(NOW, 365 * DAY)
}

fn source(id: &str, names: &[&str], issued: &Issued) -> CertificateSource {
    CertificateSource {
        id: id.into(),
        snis: names.iter().map(ToString::to_string).collect(),
        pairs: vec![(issued.chain.clone(), issued.key.clone())],
        client: None,
        protocols: Vec::new(),
    }
}

/// The one error that a set of sources has.
fn only_error(scene: &Scene, sources: &[CertificateSource]) -> TlsError {
    let mut errors = CertificateStore::build(sources, &scene.settings()).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

fn leaf(issued: &Issued) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(issued.chain.as_bytes()).unwrap()
}

/// Both ends of a connection.
struct Pair {
    client: client::TlsStream<DuplexStream>,
    server: server::TlsStream<DuplexStream>,
    session: Session,
}

impl Pair {
    /// The certificate that the client was shown.
    fn shown(&self) -> CertificateDer<'static> {
        self.client.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }

    fn group(&self) -> NamedGroup {
        self.client.get_ref().1.negotiated_key_exchange_group().unwrap().name()
    }

    fn kind(&self) -> HandshakeKind {
        self.server.get_ref().1.handshake_kind().unwrap()
    }

    /// A byte each way; the client has then seen all tickets.
    async fn talk(&mut self) {
        self.server.write_all(b"s").await.unwrap();
        self.server.flush().await.unwrap();
        assert_eq!(self.client.read_u8().await.unwrap(), b's');
        self.client.write_all(b"c").await.unwrap();
        self.client.flush().await.unwrap();
        assert_eq!(self.server.read_u8().await.unwrap(), b'c');
    }
}

/// What came of a handshake: both ends, or what each end says.
async fn try_shake(
    store: &CertificateStore,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<Pair, (HandshakeError, String)> {
    let (near, far) = duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connecting = async {
        let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, near).await?;
        stream.flush().await?;
        Ok::<_, std::io::Error>(stream)
    };
    let (client, server) = tokio::join!(connecting, accept(far, store));
    match server {
        Ok((server, session)) => Ok(Pair { client: client.unwrap(), server, session }),
        Err(error) => {
            // In TLS 1.3 the client learns of a refused certificate with its first read.
            let said = match client {
                Err(error) => bartizan_tls::describe_io(&error),
                Ok(mut stream) => bartizan_tls::describe_io(&stream.read_u8().await.unwrap_err()),
            };
            Err((error, said))
        }
    }
}

async fn shake(store: &CertificateStore, client: &Arc<ClientConfig>, name: &str) -> Pair {
    try_shake(store, client, name)
        .await
        .map_err(|(error, said)| format!("{error} / {said}"))
        .unwrap()
}

async fn refused(
    store: &CertificateStore,
    client: &Arc<ClientConfig>,
    name: &str,
) -> (String, String) {
    match try_shake(store, client, name).await {
        Ok(_) => panic!("the handshake succeeded"),
        Err((error, said)) => (error.to_string(), said),
    }
}

fn without_sni(client: &Arc<ClientConfig>) -> Arc<ClientConfig> {
    let mut client = ClientConfig::clone(client);
    client.enable_sni = false;
    Arc::new(client)
}
