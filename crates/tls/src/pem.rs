//! PEM to DER, with bounds and without guessing.

use bartizan_core::Secret;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::TlsFault;

/// The longest PEM text that is read, in bytes.
pub const PEM_MAX: usize = 1 << 20;
/// The longest certificate chain that is shown to peers. Real ones have two to four.
pub const CHAIN_MAX: usize = 10;
/// The most authorities in one bundle.
const AUTHORITIES_MAX: usize = 1_024;

/// The chain of certificates in `text`, the end entity's first.
pub(crate) fn read_chain(text: &str) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let chain = read_certificates(text)?;
    match chain.len() {
        0 => Err(TlsFault::NoCertificate),
        1..=CHAIN_MAX => Ok(chain),
        count => Err(TlsFault::ChainTooLong { count }),
    }
}

/// The authorities in `text`, of which there is at least one.
pub(crate) fn read_authorities(text: &str) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let bundle = read_certificates(text)?;
    match bundle.len() {
        0 => Err(TlsFault::NoAuthority),
        1..=AUTHORITIES_MAX => Ok(bundle),
        count => Err(TlsFault::TooManyAuthorities { count }),
    }
}

fn read_certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    if text.len() > PEM_MAX {
        return Err(TlsFault::TooLarge);
    }
    CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsFault::CertificateNotPem(error.to_string()))
}

/// The one private key in `text`.
pub(crate) fn read_key(text: &Secret) -> Result<PrivateKeyDer<'static>, TlsFault> {
    if text.len() > PEM_MAX {
        return Err(TlsFault::TooLarge);
    }
    let mut keys = PrivateKeyDer::pem_slice_iter(text.expose());
    let key = match keys.next() {
        Some(Ok(key)) => key,
        Some(Err(error)) => return Err(TlsFault::KeyNotPem(error.to_string())),
        None if is_encrypted(text) => return Err(TlsFault::KeyEncrypted),
        None => return Err(TlsFault::NoKey),
    };
    if keys.next().is_some() {
        return Err(TlsFault::SeveralKeys);
    }
    Ok(key)
}

fn is_encrypted(text: &Secret) -> bool {
    text.expose_str().is_some_and(|text| text.contains("ENCRYPTED"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_a_certificate_is_refused_as_such() {
        assert!(matches!(read_chain("hello"), Err(TlsFault::NoCertificate)));
        assert!(matches!(read_authorities(""), Err(TlsFault::NoAuthority)));
    }

    #[test]
    fn text_beyond_the_limit_is_not_parsed() {
        let long = "x".repeat(PEM_MAX + 1);
        assert!(matches!(read_chain(&long), Err(TlsFault::TooLarge)));
        assert!(matches!(read_key(&Secret::new(long)), Err(TlsFault::TooLarge)));
    }

    #[test]
    fn an_encrypted_key_is_told_from_a_missing_one() {
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(matches!(read_key(&Secret::new(encrypted)), Err(TlsFault::KeyEncrypted)));
        assert!(matches!(read_key(&Secret::new("")), Err(TlsFault::NoKey)));
    }

    #[test]
    fn two_keys_in_one_text_are_ambiguous() {
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let two = Secret::new(format!("{key}{key}"));
        assert!(matches!(read_key(&two), Err(TlsFault::SeveralKeys)));
    }
}
