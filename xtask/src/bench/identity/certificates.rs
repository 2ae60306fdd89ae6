//! The certificates of clients: one for each consumer, and those that nobody may accept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
};
use time::{Duration, OffsetDateTime};

use super::super::cases::{CONSUMERS, consumer};
use super::super::exchange::ClientFiles;

/// The certificates of clients, by their files.
pub(super) struct Clients {
    /// One for each consumer.
    pub(super) good: Vec<ClientFiles>,
    /// The authority's, for somebody who is no consumer.
    pub(super) stranger: ClientFiles,
    /// Of another authority.
    pub(super) forged: ClientFiles,
    /// One that has ended.
    pub(super) ended: ClientFiles,
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

impl Clients {
    /// Makes them, and writes the authority to `clients.pem`.
    pub(super) fn write(folder: &Path) -> Result<Self> {
        let (authority, other) = (authority("bench clients")?, authority("bench clients")?);
        fs::write(folder.join("clients.pem"), authority.pem())?;
        let good = (0..CONSUMERS).map(|number| {
            let name = consumer(number);
            issue(folder, &authority, &name, &name, Duration::days(30))
        });
        let first = consumer(0);
        Ok(Self {
            good: good.collect::<Result<_>>()?,
            stranger: issue(folder, &authority, "stranger", "nobody-we-know", Duration::days(30))?,
            forged: issue(folder, &other, "forged", &first, Duration::days(30))?,
            ended: issue(folder, &authority, "ended", &first, -Duration::days(1))?,
        })
    }
}

fn authority(name: &str) -> Result<Issuer> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name = named(name);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok(CertifiedIssuer::self_signed(authority, key)?)
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn issue(
    folder: &Path,
    authority: &Issuer,
    file: &str,
    name: &str,
    lasts: Duration,
) -> Result<ClientFiles> {
    let now = OffsetDateTime::now_utc();
    let mut client = CertificateParams::new(Vec::new())?;
    client.distinguished_name = named(name);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    client.not_before = now - Duration::days(30);
    client.not_after = now + lasts;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = client.signed_by(&key, authority)?;
    let path = |ending: &str| -> PathBuf { folder.join(format!("client-{file}.{ending}")) };
    let files = ClientFiles { certificate: path("pem"), key: path("key") };
    fs::write(&files.certificate, certificate.pem())?;
    fs::write(&files.key, key.serialize_pem())?;
    Ok(files)
}
