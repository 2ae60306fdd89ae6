//! The certificate of a client, as conditions, plugins and logs see it.

use std::sync::OnceLock;

use aws_lc_rs::digest;
use bartizan_core::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;

use crate::certificate::{self, Reading, hex};

/// A certificate that a client showed and that verified. It is read when something first asks for
/// its content; most connections never do.
#[derive(Debug)]
pub struct ClientCertificate {
    der: CertificateDer<'static>,
    reading: OnceLock<Option<Reading>>,
    fingerprint: OnceLock<String>,
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
    /// A certificate that the handshake verified.
    pub fn new(der: CertificateDer<'static>) -> Self {
        Self { der, reading: OnceLock::new(), fingerprint: OnceLock::new() }
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
        self.fingerprint.get_or_init(|| {
            hex(digest::digest(&digest::SHA256, &self.der).as_ref(), b"0123456789abcdef")
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
