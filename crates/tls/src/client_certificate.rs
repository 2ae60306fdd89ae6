//! The certificate of a client, as conditions, plugins and logs see it.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;
use bartizan_core::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::Error;
use rustls::server::danger::ClientCertVerifier as _;
use rustls_pki_types::CertificateDer;

use crate::certificate::{self, Reading, hex};
use crate::client_auth::{ClientAuth, PathVerifier, unix};
use crate::fault::describe;
use crate::pem::read_chain;
use crate::revocation::{Checked, RevocationDepth, RevocationFault, RevocationLists};
use crate::{ClientSource, TlsFault};

/// A certificate that a client showed and that verified. It is read when something first asks for
/// its content; most connections never do.
pub struct ClientCertificate {
    der: CertificateDer<'static>,
    /// What the client sent besides, in its order; nobody has vouched for it.
    sent: Box<[CertificateDer<'static>]>,
    /// What verified it.
    verifier: Arc<PathVerifier>,
    reading: OnceLock<Option<Reading>>,
    digest: OnceLock<[u8; 32]>,
    fingerprint: OnceLock<String>,
    path: OnceLock<Box<[CertificateDer<'static>]>>,
    checked: Checked,
    memo: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("subject", &self.subject())
            .finish_non_exhaustive()
    }
}

/// The names in a certificate's subject alternative name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlternativeNames<'a> {
    /// Host names.
    pub dns: &'a [String],
    /// URIs; a SPIFFE id is one.
    pub uri: &'a [String],
    /// Mail addresses.
    pub email: &'a [String],
}

impl ClientCertificate {
    /// A certificate that `verifier` has accepted in a handshake, with what else was sent.
    pub(crate) fn verified(
        der: CertificateDer<'static>,
        sent: Box<[CertificateDer<'static>]>,
        verifier: Arc<PathVerifier>,
    ) -> Self {
        Self {
            der,
            sent,
            verifier,
            reading: OnceLock::new(),
            digest: OnceLock::new(),
            fingerprint: OnceLock::new(),
            path: OnceLock::new(),
            checked: Checked::default(),
            memo: OnceLock::new(),
        }
    }

    /// The certificate of a PEM chain, if a handshake at `now` would accept it under `source`: for
    /// whoever ends TLS elsewhere, and for tests.
    pub fn verify(chain: &str, source: &ClientSource, now: Timestamp) -> Result<Self, TlsFault> {
        let mut chain = read_chain(chain)?;
        let der = chain.remove(0);
        let verifier = ClientAuth::compile(source)?.verifier;
        let refused = |error: Error| TlsFault::Refused(describe(&error));
        verifier.verify_client_cert(&der, &chain, unix(now)).map_err(refused)?;
        Ok(Self::verified(der, chain.into(), verifier))
    }

    /// Whether it, and with [`RevocationDepth::Chain`] every certificate between it and the
    /// authority, is known not to be revoked. The verdict is kept until one of the lists ends, and
    /// goes for the same lists wherever they are written.
    pub fn check_revocation(
        &self,
        lists: &RevocationLists,
        depth: RevocationDepth,
        now: Timestamp,
    ) -> Result<(), RevocationFault> {
        self.checked.recall(lists, depth, now, || {
            self.verifier.verify_unrevoked(&self.der, &self.sent, lists, depth, now)
        })
    }

    /// The certificates between this one and the authority, nearest first: those of the path that
    /// verifies, and nothing else that the client may have sent.
    pub fn intermediates(&self, now: Timestamp) -> &[CertificateDer<'static>] {
        self.path.get_or_init(|| self.verifier.path(&self.der, &self.sent, now))
    }

    /// What a plugin makes of it once, for all requests of the connection; `None` where another
    /// type was kept first.
    pub fn memo<T: Any + Send + Sync>(&self, make: impl FnOnce(&Self) -> T) -> Option<Arc<T>> {
        let kept = self.memo.get_or_init(|| Arc::new(make(self)));
        Arc::clone(kept).downcast().ok()
    }

    /// True if its key usage names the bit (RFC 5280 §4.2.1.3), bit 0 first. One that says nothing
    /// names none.
    pub fn has_key_usage(&self, bit: u8) -> bool {
        let flags = self.reading().and_then(|reading| reading.key_usage);
        flags.is_some_and(|flags| flags.checked_shr(bit.into()).is_some_and(|f| f & 1 == 1))
    }

    /// True if its extended key usage names the purpose, an OID with dots. One that says nothing
    /// names none, and `anyExtendedKeyUsage` is one of them only.
    pub fn has_purpose(&self, oid: &str) -> bool {
        let purposes = self.reading().and_then(|reading| reading.purposes.as_ref());
        purposes.is_some_and(|purposes| purposes.iter().any(|purpose| purpose == oid))
    }

    fn reading(&self) -> Option<&Reading> {
        self.reading.get_or_init(|| certificate::read(&self.der).ok()).as_ref()
    }

    /// Its subject as RFC 4514 writes it (`CN=alice,O=Example`), ASCII only.
    pub fn subject(&self) -> Option<&str> {
        self.reading().map(|reading| reading.subject.as_str())
    }

    /// Its issuer as RFC 4514 writes it, ASCII only.
    pub fn issuer(&self) -> Option<&str> {
        self.reading().map(|reading| reading.issuer.as_str())
    }

    /// Its serial number, hexadecimal, upper case.
    pub fn serial(&self) -> Option<&str> {
        self.reading().map(|reading| reading.serial.as_str())
    }

    /// Its first moment.
    pub fn not_before(&self) -> Option<Timestamp> {
        self.reading().map(|reading| reading.not_before)
    }

    /// Its last moment.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.reading().map(|reading| reading.not_after)
    }

    /// Its alternative names.
    pub fn alternative_names(&self) -> Option<AlternativeNames<'_>> {
        self.reading().map(|reading| AlternativeNames {
            dns: &reading.dns,
            uri: &reading.uri,
            email: &reading.email,
        })
    }

    /// The SHA-256 of the certificate, hexadecimal, lower case.
    pub fn fingerprint(&self) -> &str {
        self.fingerprint.get_or_init(|| hex(self.digest(), b"0123456789abcdef"))
    }

    /// The SHA-256 of the certificate (`x5t#S256` of RFC 8705 §3.1 is this in base64url), made once
    /// for the connection.
    pub fn digest(&self) -> &[u8; 32] {
        self.digest.get_or_init(|| {
            let digest = digest::digest(&digest::SHA256, &self.der);
            digest.as_ref().first_chunk().copied().unwrap_or_default()
        })
    }

    /// The certificate itself.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        let text = STANDARD.encode(&self.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at_checked(64).unwrap_or((rest, ""));
            pem.push_str(line);
            pem.push('\n');
            rest = tail;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }
}
