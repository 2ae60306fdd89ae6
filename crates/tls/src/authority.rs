//! A local authority, for trying things out and for tests. It is no public key infrastructure: it
//! keeps no record, and revokes what it is told.

use std::net::IpAddr;
use std::time::Duration;

use bartizan_core::{Secret, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, RsaKeySize, SanType, SerialNumber,
};
use time::OffsetDateTime;

use crate::certificate::serial_number;
use crate::pem::read_chain;

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A name that no certificate can carry.
    #[error("`{0}` is not a host name, address or uri that a certificate can carry")]
    BadName(String),
    /// A time beyond the calendar.
    #[error("the lifetime is beyond the calendar")]
    BadTime,
    /// The library refuses.
    #[error("the certificate cannot be made: {0}")]
    Refused(#[from] rcgen::Error),
}

/// The lifetime of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first moment.
    pub not_before: Timestamp,
    /// Its last moment.
    pub not_after: Timestamp,
}

impl Validity {
    /// From an hour before `now`, for clocks that are behind, to `length` after it.
    pub fn starting(now: Timestamp, length: Duration) -> Self {
        let hour = Duration::from_secs(3_600);
        let since_epoch = Duration::from_nanos(now.as_nanos());
        let before = Timestamp::from_secs(since_epoch.saturating_sub(hour).as_secs());
        Self { not_before: before, not_after: now.plus(length) }
    }
}

/// The kind of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA over P-256.
    #[default]
    EcP256,
    /// RSA of 2048 bits.
    Rsa2048,
}

impl KeyKind {
    fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::EcP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
        }
    }
}

/// A certificate with its chain, and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// PEM of the certificate and of the intermediate authorities, without the root.
    pub chain: String,
    /// PEM of the key.
    pub key: Secret,
}

/// An authority that signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// PEM of this authority and those above it, without the root; empty for the root.
    chain: String,
}

impl Authority {
    /// A new root.
    pub fn create(name: &str, validity: Validity) -> Result<Self, AuthorityError> {
        let issuer = CertifiedIssuer::self_signed(
            authority_params(name, validity)?,
            KeyKind::EcP256.generate()?,
        )?;
        Ok(Self { issuer, chain: String::new() })
    }

    /// A new authority under this one.
    pub fn subordinate(&self, name: &str, validity: Validity) -> Result<Self, AuthorityError> {
        let params = authority_params(name, validity)?;
        let issuer = CertifiedIssuer::signed_by(params, KeyKind::EcP256.generate()?, &self.issuer)?;
        let chain = format!("{}{}", issuer.pem(), self.chain);
        Ok(Self { issuer, chain })
    }

    /// PEM of this authority's certificate.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// PEM of this authority's key.
    pub fn key(&self) -> Secret {
        Secret::new(self.issuer.key().serialize_pem())
    }

    /// A certificate for a server under these names and addresses.
    pub fn issue_server(
        &self,
        names: &[&str],
        validity: Validity,
        kind: KeyKind,
    ) -> Result<Issued, AuthorityError> {
        let common = names.first().copied().unwrap_or("server");
        self.issue(common, names, ExtendedKeyUsagePurpose::ServerAuth, validity, kind)
    }

    /// A certificate for a client called `name`, with `names` beside it: host names, addresses,
    /// URIs (with `://`) and mail addresses (with `@`).
    pub fn issue_client(
        &self,
        name: &str,
        names: &[&str],
        validity: Validity,
    ) -> Result<Issued, AuthorityError> {
        let purpose = ExtendedKeyUsagePurpose::ClientAuth;
        self.issue(name, names, purpose, validity, KeyKind::EcP256)
    }

    /// PEM of a list of revoked certificates: `revoked`, all of them of this authority. It ends with
    /// its validity.
    pub fn revocation_list(
        &self,
        revoked: &[&Issued],
        validity: Validity,
    ) -> Result<String, AuthorityError> {
        let entry = |issued: &&Issued| {
            let unreadable = |_| AuthorityError::BadName("a certificate".to_owned());
            let chain = read_chain(&issued.chain).map_err(|fault| unreadable(fault.to_string()))?;
            let serial = chain.first().map(|leaf| serial_number(leaf)).transpose();
            Ok(RevokedCertParams {
                serial_number: serial.map_err(unreadable)?.unwrap_or_default().into(),
                revocation_time: calendar(validity.not_before)?,
                reason_code: None,
                invalidity_date: None,
            })
        };
        let list = CertificateRevocationListParams {
            this_update: calendar(validity.not_before)?,
            next_update: calendar(validity.not_after)?,
            crl_number: SerialNumber::from(validity.not_before.as_secs()),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect::<Result<_, AuthorityError>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }

    fn issue(
        &self,
        common_name: &str,
        names: &[&str],
        purpose: ExtendedKeyUsagePurpose,
        validity: Validity,
        kind: KeyKind,
    ) -> Result<Issued, AuthorityError> {
        let mut params = params(common_name, validity)?;
        params.subject_alt_names =
            names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        let key = kind.generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            chain: format!("{}{}", certificate.pem(), self.chain),
            key: Secret::new(key.serialize_pem()),
        })
    }
}

fn authority_params(name: &str, validity: Validity) -> Result<CertificateParams, AuthorityError> {
    let mut params = params(name, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn params(common_name: &str, validity: Validity) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = calendar(validity.not_before)?;
    params.not_after = calendar(validity.not_after)?;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn alternative_name(name: &str) -> Result<SanType, AuthorityError> {
    let bad = |_| AuthorityError::BadName(name.to_owned());
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    Ok(if name.contains("://") {
        SanType::URI(name.try_into().map_err(bad)?)
    } else if name.contains('@') {
        SanType::Rfc822Name(name.try_into().map_err(bad)?)
    } else {
        SanType::DnsName(name.try_into().map_err(bad)?)
    })
}

fn calendar(time: Timestamp) -> Result<OffsetDateTime, AuthorityError> {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or(AuthorityError::BadTime)
}
