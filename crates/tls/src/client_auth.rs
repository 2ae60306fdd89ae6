//! Client certificates of a server name: who may sign them, how long the path may be, and which
//! paths go without.
//!
//! A certificate that is shown must verify, always. Whether one must be shown is the handshake's
//! business where no path goes without, and the request's where some do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use bartizan_core::{Timestamp, compile_pattern};
use regex_automata::meta::Regex;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, RevocationOptions, VerifiedPath};

use crate::certificate::hex;
use crate::fault::describe;
use crate::pem::read_authorities;
use crate::revocation::{RevocationDepth, RevocationFault, RevocationLists};
use crate::{TlsFault, provider};

const PATTERNS_MAX: usize = 64;

/// The names of authorities are a courtesy that helps clients choose. Beyond this many bytes they
/// are left out, as the message that carries them has no room for more than 64 KiB.
const HINTS_MAX: usize = 8_192;

/// Client certificates as configuration writes them.
#[derive(Clone, Debug)]
pub struct ClientSource {
    /// PEM of the authorities whose certificates are accepted.
    pub ca: String,
    /// Intermediate certificates allowed between a client's certificate and the authority.
    pub depth: u8,
    /// Paths that may be requested without a certificate; empty means none.
    pub skip_mtls_uri_regex: Vec<String>,
}

/// The name of one set of authorities and depth. A certificate verified under one proves nothing
/// under another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientAuthority([u8; 32]);

impl fmt::Debug for ClientAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientAuthority({})", hex(&self.0, b"0123456789abcdef"))
    }
}

/// What a server name asks of clients.
#[derive(Clone, Debug)]
pub enum ClientPolicy {
    /// Nothing.
    None,
    /// A certificate.
    Required(Arc<ClientRule>),
    /// The name's own configuration is broken, so that what it asks is not known.
    Unknown,
}

/// Whose certificates a server name accepts and which paths go without.
#[derive(Debug)]
pub struct ClientRule {
    authority: ClientAuthority,
    skip: Box<[Regex]>,
    patterns: Vec<String>,
}

impl ClientRule {
    /// The authorities whose certificates are accepted.
    pub fn authority(&self) -> ClientAuthority {
        self.authority
    }

    /// True where `path` may be requested without a certificate. A pattern matches anywhere in
    /// the path unless it is anchored.
    pub fn skips(&self, path: &str) -> bool {
        self.skip.iter().any(|pattern| pattern.is_match(path))
    }

    /// True where the handshake itself insists on a certificate.
    pub(crate) fn is_mandatory(&self) -> bool {
        self.skip.is_empty()
    }

    /// True where the other rule asks for the very same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.authority == other.authority && self.patterns == other.patterns
    }
}

/// A rule and the verifier that the handshake needs for it.
#[derive(Clone, Debug)]
pub(crate) struct ClientAuth {
    pub(crate) rule: Arc<ClientRule>,
    pub(crate) verifier: Arc<PathVerifier>,
}

impl ClientAuth {
    /// Compiles what configuration writes.
    pub(crate) fn compile(source: &ClientSource) -> Result<Self, TlsFault> {
        let authorities = read_authorities(&source.ca)?;
        let roots = anchors(&authorities)?;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&[source.depth]);
        for authority in &authorities {
            context.update(&authority.len().to_be_bytes());
            context.update(authority);
        }
        let mut id = [0; 32];
        id.copy_from_slice(context.finish().as_ref());
        let rule = ClientRule {
            authority: ClientAuthority(id),
            skip: compile_patterns(&source.skip_mtls_uri_regex)?,
            patterns: source.skip_mtls_uri_regex.clone(),
        };
        let verifier = PathVerifier {
            hints: hints(&roots),
            roots,
            depth: usize::from(source.depth),
            is_mandatory: rule.is_mandatory(),
        };
        Ok(Self { rule: Arc::new(rule), verifier: Arc::new(verifier) })
    }
}

/// The authorities as trust anchors; one that cannot be an anchor is an error.
pub(crate) fn anchors(authorities: &[CertificateDer<'_>]) -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    for (i, authority) in authorities.iter().enumerate() {
        roots.add(authority.clone()).map_err(|error| TlsFault::AuthorityUnreadable {
            position: i + 1,
            cause: describe(&error),
        })?;
    }
    Ok(roots)
}

fn compile_patterns(patterns: &[String]) -> Result<Box<[Regex]>, TlsFault> {
    if patterns.len() > PATTERNS_MAX {
        return Err(TlsFault::TooManyPatterns { count: patterns.len() });
    }
    patterns
        .iter()
        .map(|pattern| {
            compile_pattern(pattern, false)
                .map_err(|cause| TlsFault::BadPattern { pattern: pattern.clone(), cause })
        })
        .collect()
}

fn hints(roots: &RootCertStore) -> Vec<DistinguishedName> {
    let subjects = roots.subjects();
    let size: usize = subjects.iter().map(|name| name.as_ref().len()).sum();
    if size > HINTS_MAX { Vec::new() } else { subjects }
}

/// Verifies clients' certificates: signed by one of the authorities, over no more intermediate
/// certificates than allowed, alive, and meant for clients.
#[derive(Debug)]
pub(crate) struct PathVerifier {
    roots: RootCertStore,
    hints: Vec<DistinguishedName>,
    depth: usize,
    is_mandatory: bool,
}

impl PathVerifier {
    /// Walks to an authority, as a handshake does, and further where lists of revoked certificates
    /// are given.
    fn walk(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        revocation: Option<RevocationOptions<'_>>,
        now: UnixTime,
    ) -> Result<Box<[CertificateDer<'static>]>, webpki::Error> {
        let certificate = EndEntityCert::try_from(end_entity)?;
        let within_depth = |path: &VerifiedPath<'_>| {
            if path.intermediate_certificates().count() > self.depth {
                return Err(webpki::Error::MaximumPathDepthExceeded);
            }
            Ok(())
        };
        let path = certificate.verify_for_usage(
            provider().signature_verification_algorithms.all,
            &self.roots.roots,
            intermediates,
            now,
            KeyUsage::client_auth(),
            revocation,
            Some(&within_depth),
        )?;
        Ok(path.intermediate_certificates().map(|cert| cert.der().into_owned()).collect())
    }

    /// The certificates of the path from the next one to the authority; none where there is no path
    /// any more.
    pub(crate) fn path(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Box<[CertificateDer<'static>]> {
        self.walk(end_entity, intermediates, None, unix(now)).unwrap_or_default()
    }

    /// Verifies as a handshake does, and that nothing on the path is revoked.
    pub(crate) fn verify_unrevoked(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        lists: &RevocationLists,
        depth: RevocationDepth,
        now: Timestamp,
    ) -> Result<(), RevocationFault> {
        lists.with_options(depth, |options| {
            self.walk(end_entity, intermediates, Some(options), unix(now)).map(drop)
        })
    }
}

/// The moment as the verifier takes it.
pub(crate) fn unix(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()))
}

impl ClientCertVerifier for PathVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.walk(end_entity, intermediates, None, now)
            .map(|_| ClientCertVerified::assertion())
            .map_err(|error| refused(error, self.depth))
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

/// The path is longer than the server name allows.
#[derive(Debug, thiserror::Error)]
#[error(
    "the path from the certificate to an authority has more than {0} intermediate certificates"
)]
struct PathTooLong(usize);

/// The verifier's error as the one that picks the right alert.
fn refused(error: webpki::Error, depth: usize) -> Error {
    use webpki::Error as W;
    let cause = match error {
        W::BadDer | W::BadDerTime | W::TrailingData(_) => CertificateError::BadEncoding,
        W::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        W::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        W::InvalidCertValidity => CertificateError::Expired,
        W::UnknownIssuer => CertificateError::UnknownIssuer,
        W::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        W::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        W::MaximumPathDepthExceeded => {
            CertificateError::Other(OtherError(Arc::new(PathTooLong(depth))))
        }
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    Error::InvalidCertificate(cause)
}
