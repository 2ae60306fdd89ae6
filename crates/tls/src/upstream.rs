//! TLS towards upstreams and other servers we call: verified unless told otherwise.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use aws_lc_rs::digest;
use bartizan_core::{Clock, Secret};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::client_auth::anchors;
use crate::fault::describe;
use crate::pair::Pair;
use crate::pem::read_authorities;
use crate::{ApplicationProtocol, TlsFault, WallTime, provider};

/// TLS towards an upstream as configuration writes it.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTlsSettings {
    /// PEM of the authorities that may have signed its certificate; the system's where absent.
    pub ca_certs: Option<String>,
    /// PEM of our certificate and its chain.
    pub client_cert: Option<String>,
    /// PEM of its key.
    pub client_key: Option<Secret>,
    /// The upstream's certificate is not verified: whoever sits between reads and changes all.
    pub danger_verify_off: bool,
    /// HTTP/2 is spoken, and nothing else offered.
    pub http2: bool,
}

impl UpstreamTlsSettings {
    fn id(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        let texts = [
            self.ca_certs.as_deref().map(str::as_bytes),
            self.client_cert.as_deref().map(str::as_bytes),
            self.client_key.as_ref().map(Secret::expose),
        ];
        context.update(&[u8::from(self.danger_verify_off), u8::from(self.http2)]);
        for text in texts {
            context.update(&[u8::from(text.is_some())]);
            let text = text.unwrap_or_default();
            context.update(&text.len().to_be_bytes());
            context.update(text);
        }
        let mut id = [0; 32];
        id.copy_from_slice(context.finish().as_ref());
        id
    }
}

/// Compiles settings for connections to servers.
pub fn client_config(
    settings: &UpstreamTlsSettings,
    clock: &Clock,
) -> Result<Arc<ClientConfig>, TlsFault> {
    let refused = |error: Error| TlsFault::Refused(describe(&error));
    let identity = match (&settings.client_cert, &settings.client_key) {
        (Some(chain), Some(key)) => Some(Pair::read(chain, key, clock.now())?),
        (None, None) => None,
        _ => return Err(TlsFault::HalfClientCertificate),
    };
    let time = Arc::new(WallTime(clock.clone()));
    let builder = ClientConfig::builder_with_details(Arc::clone(provider()), time)
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(verifier(settings)?);
    let mut config = match identity {
        Some(pair) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.key))),
        None => builder.with_no_client_auth(),
    };
    let protocol =
        if settings.http2 { ApplicationProtocol::Http2 } else { ApplicationProtocol::Http1 };
    config.alpn_protocols = vec![protocol.alpn().to_vec()];
    Ok(Arc::new(config))
}

fn verifier(settings: &UpstreamTlsSettings) -> Result<Arc<dyn ServerCertVerifier>, TlsFault> {
    if settings.danger_verify_off {
        return Ok(Arc::new(AnyServer));
    }
    let roots = match &settings.ca_certs {
        Some(text) => Arc::new(anchors(&read_authorities(text)?)?),
        None => system_authorities()?,
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider()))
        .build()
        .map_err(|error| TlsFault::Refused(error.to_string()))?;
    Ok(verifier)
}

/// The system's authorities, loaded when first asked for.
fn system_authorities() -> Result<Arc<RootCertStore>, TlsFault> {
    static ROOTS: OnceLock<Result<Arc<RootCertStore>, String>> = OnceLock::new();
    let load = || {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let cause = found.errors.first();
            return Err(cause.map_or_else(|| "there are none".to_owned(), ToString::to_string));
        }
        Ok(Arc::new(roots))
    };
    ROOTS.get_or_init(load).clone().map_err(TlsFault::NoSystemAuthorities)
}

/// Compiled settings that are shared while someone uses them: upstreams that say the same share
/// authorities and sessions, and keep them, and their idle connections, when other things change.
#[derive(Debug, Default)]
pub struct UpstreamConfigs(Mutex<HashMap<[u8; 32], Weak<ClientConfig>>>);

impl UpstreamConfigs {
    /// The compiled settings, made if nobody holds them.
    pub fn compile(
        &self,
        settings: &UpstreamTlsSettings,
        clock: &Clock,
    ) -> Result<Arc<ClientConfig>, TlsFault> {
        let id = settings.id();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = known.get(&id).and_then(Weak::upgrade) {
            return Ok(config);
        }
        let config = client_config(settings, clock)?;
        known.retain(|_, config| config.strong_count() > 0);
        known.insert(id, Arc::downgrade(&config));
        Ok(config)
    }
}

/// Accepts any certificate whose key the server holds.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
