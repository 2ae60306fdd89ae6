//! A chain and its key, checked before they are shown to anyone.

use std::sync::Arc;

use aws_lc_rs::digest;
use bartizan_core::{Secret, Timestamp};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureAlgorithm};
use rustls_pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

use crate::certificate::{self, Reading};
use crate::fault::{date, describe};
use crate::pem::{read_chain, read_key};
use crate::{TlsFault, provider};

const RSA_BITS_MIN: usize = 2_048;

/// The digest of a pair's texts, by which an unchanged pair is recognised.
pub(crate) type PairId = [u8; 32];

/// A chain that is in order, alive, and belongs to its key.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Which texts it was read from.
    pub(crate) id: PairId,
    /// What the handshake shows and signs with.
    pub(crate) key: Arc<CertifiedKey>,
    /// The host names of the certificate.
    pub(crate) dns: Vec<String>,
    /// The certificate's last moment.
    pub(crate) not_after: Timestamp,
    not_before: Timestamp,
    warnings: Vec<String>,
}

impl Pair {
    /// The id of the pair that these texts would make.
    pub(crate) fn id_of(chain: &str, key: &Secret) -> PairId {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&chain.len().to_be_bytes());
        context.update(chain.as_bytes());
        context.update(key.expose());
        let mut id = [0; 32];
        id.copy_from_slice(context.finish().as_ref());
        id
    }

    /// Reads and checks a pair.
    pub(crate) fn read(chain: &str, key: &Secret, now: Timestamp) -> Result<Self, TlsFault> {
        let id = Self::id_of(chain, key);
        let chain = read_chain(chain)?;
        let readings = read_all(&chain)?;
        let leaf = readings.first().ok_or(TlsFault::NoCertificate)?;
        check_order(&readings)?;
        if let Some(bits) = leaf.rsa_bits.filter(|bits| *bits < RSA_BITS_MIN) {
            return Err(TlsFault::KeyTooShort { bits });
        }
        let key = certify(chain, key, leaf)?;
        let warnings = issuers_past_their_end(&readings, now);
        let pair = Self {
            id,
            key: Arc::new(key),
            dns: leaf.dns.clone(),
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            warnings,
        };
        pair.check_lifetime(now)?;
        Ok(pair)
    }

    /// Refuses a certificate outside its lifetime.
    pub(crate) fn check_lifetime(&self, now: Timestamp) -> Result<(), TlsFault> {
        if now > self.not_after {
            return Err(TlsFault::Expired { not_after: self.not_after });
        }
        if now < self.not_before {
            return Err(TlsFault::NotYetValid { not_before: self.not_before });
        }
        Ok(())
    }

    /// What deserves a look.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// True where the key is an RSA key, the last choice of those a client accepts.
    pub(crate) fn is_rsa(&self) -> bool {
        self.key.key.algorithm() == SignatureAlgorithm::RSA
    }

    /// True where a client that verifies would accept the certificate for `name`.
    pub(crate) fn covers(&self, name: &str) -> bool {
        let (Some(leaf), Ok(name)) = (self.key.cert.first(), ServerName::try_from(name)) else {
            return false;
        };
        EndEntityCert::try_from(leaf)
            .is_ok_and(|leaf| leaf.verify_is_valid_for_subject_name(&name).is_ok())
    }
}

fn read_all(chain: &[CertificateDer<'static>]) -> Result<Vec<Reading>, TlsFault> {
    chain
        .iter()
        .enumerate()
        .map(|(i, der)| {
            certificate::read(der)
                .map_err(|cause| TlsFault::CertificateUnreadable { position: i + 1, cause })
        })
        .collect()
}

/// Each certificate must be issued by the next one, or clients cannot build the path.
fn check_order(readings: &[Reading]) -> Result<(), TlsFault> {
    for (i, (issued, issuer)) in readings.iter().zip(readings.iter().skip(1)).enumerate() {
        if issued.raw_issuer != issuer.raw_subject {
            return Err(TlsFault::ChainOutOfOrder {
                position: i + 2,
                subject: issuer.subject.clone(),
                issuer: issued.issuer.clone(),
            });
        }
    }
    Ok(())
}

/// An expired issuer is no error: chains for old clients end in one on purpose.
fn issuers_past_their_end(readings: &[Reading], now: Timestamp) -> Vec<String> {
    readings
        .iter()
        .skip(1)
        .filter(|reading| now > reading.not_after)
        .map(|reading| {
            let (subject, end) = (&reading.subject, date(reading.not_after));
            format!("the issuing certificate `{subject}` in the chain expired on {end}")
        })
        .collect()
}

fn certify(
    chain: Vec<CertificateDer<'static>>,
    key: &Secret,
    leaf: &Reading,
) -> Result<CertifiedKey, TlsFault> {
    let key = provider()
        .key_provider
        .load_private_key(read_key(key)?)
        .map_err(|error| TlsFault::KeyUnusable(describe(&error)))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsFault::KeyMismatch { subject: leaf.subject.clone() }
        }
        other => TlsFault::Refused(describe(&other)),
    })?;
    Ok(certified)
}
