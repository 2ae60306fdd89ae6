//! The server's side of a handshake, with the settings chosen by server name.

use std::io;
use std::sync::Arc;

use bartizan_core::Reason;
use rustls::server::Acceptor;
use rustls::{CipherSuite, HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::fault::describe_io;
use crate::{ApplicationProtocol, CertificateStore, ClientCertificate, SessionFacts, TlsVersion};

/// A fatal alert `unrecognized_name` in a record of its own (RFC 6066 §3, RFC 8446 §6.2).
const UNRECOGNIZED_NAME: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70];

/// What a connection negotiated.
#[derive(Debug)]
pub struct Session {
    /// What decides whether a request may come on this connection.
    pub facts: SessionFacts,
    /// The client's certificate, verified.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// What is spoken inside.
    pub protocol: ApplicationProtocol,
    /// The version of TLS.
    pub version: TlsVersion,
    /// The cipher suite, as OpenSSL names it.
    pub cipher: Option<&'static str>,
    /// Whether a session was resumed.
    pub is_resumed: bool,
}

/// Why a handshake failed. The client was told by an alert; there is nothing to answer.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Nothing readable came.
    #[error("the client sent no hello that can be read: {0}")]
    NoHello(String),
    /// The client sent no server name, and there is no default certificate.
    #[error("the client sent no server name, and no default certificate is declared")]
    NoName,
    /// There is no certificate for the server name.
    #[error("there is no certificate for the server name `{0}`")]
    UnknownName(String),
    /// The handshake began and did not succeed.
    #[error("{cause}")]
    Failed {
        /// The server name that the client sent.
        sni: Option<String>,
        /// Why.
        cause: String,
    },
}

impl HandshakeError {
    /// The row of the table of reasons.
    pub const REASON: Reason = Reason::HandshakeFailed;

    /// The server name that the client sent.
    pub fn sni(&self) -> Option<&str> {
        match self {
            Self::NoHello(_) | Self::NoName => None,
            Self::UnknownName(sni) => Some(sni),
            Self::Failed { sni, .. } => sni.as_deref(),
        }
    }

    fn failed(sni: Option<&str>, error: &io::Error) -> Self {
        Self::Failed { sni: sni.map(str::to_owned), cause: describe_io(error) }
    }
}

/// Shakes hands with a client under `store`. The caller bounds the time.
pub async fn accept<IO>(
    io: IO,
    store: &CertificateStore,
) -> Result<(TlsStream<IO>, Session), HandshakeError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut start = LazyConfigAcceptor::new(Acceptor::default(), io)
        .await
        .map_err(|error| HandshakeError::NoHello(describe_io(&error)))?;
    let sni = start.client_hello().server_name().map(str::to_owned);
    let Some(config) = store.server_config(sni.as_deref()).map(Arc::clone) else {
        // That the alert does not arrive changes nothing: the connection ends either way.
        let _ = start.io.write_all(&UNRECOGNIZED_NAME).await;
        let _ = start.io.shutdown().await;
        return Err(sni.map_or(HandshakeError::NoName, HandshakeError::UnknownName));
    };
    let stream = start
        .into_stream(config)
        .await
        .map_err(|error| HandshakeError::failed(sni.as_deref(), &error))?;
    let (_, connection) = stream.get_ref();
    // Where nothing verifies clients, what one may have shown is nothing.
    let shown = connection.peer_certificates().zip(store.client_auth_for(sni.as_deref()));
    let client_certificate = shown.and_then(|(shown, auth)| {
        let mut chain = shown.iter().map(|der| der.clone().into_owned());
        let leaf = chain.next()?;
        let verifier = Arc::clone(&auth.verifier);
        Some(Arc::new(ClientCertificate::verified(leaf, chain.collect(), verifier)))
    });
    let client_authority =
        shown.filter(|_| client_certificate.is_some()).map(|(_, auth)| auth.rule.authority());
    let protocol = match connection.alpn_protocol() {
        Some(b"h2") => ApplicationProtocol::Http2,
        _ => ApplicationProtocol::Http1,
    };
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        _ => TlsVersion::Tls12,
    };
    let suite = connection.negotiated_cipher_suite();
    let cipher = suite.and_then(|suite| openssl_name(suite.suite()));
    let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    let facts = SessionFacts { sni, client_authority };
    let session = Session { facts, client_certificate, protocol, version, cipher, is_resumed };
    Ok((stream, session))
}

/// What OpenSSL, and with it logs and rules of other gateways, calls a cipher suite.
fn openssl_name(suite: CipherSuite) -> Option<&'static str> {
    Some(match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            "ECDHE-ECDSA-CHACHA20-POLY1305"
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return None,
    })
}
