//! What can be wrong with certificates, keys and handshakes, in words for the operator.

use std::io;
use std::sync::Arc;

use bartizan_core::{PatternError, Timestamp};
use rustls::{CertificateError, Error, PeerIncompatible};
use rustls_pki_types::UnixTime;

/// A certificate resource that cannot be served, and why.
#[derive(Debug, thiserror::Error)]
#[error("ssl `{ssl}`: {fault}")]
pub struct TlsError {
    /// The id of the resource.
    pub ssl: Arc<str>,
    /// What is wrong with it.
    pub fault: TlsFault,
}

/// Something about a certificate resource that works but deserves a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateWarning {
    /// The id of the resource.
    pub ssl: Arc<str>,
    /// What deserves the look.
    pub text: String,
}

/// What is wrong with a certificate, a key or what is said about them.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// The text is longer than [`crate::PEM_MAX`].
    #[error("the PEM text is longer than 1 MiB")]
    TooLarge,
    /// There is no certificate in the text.
    #[error("there is no certificate in the PEM text")]
    NoCertificate,
    /// The certificates are not PEM.
    #[error("the certificate is not valid PEM: {0}")]
    CertificateNotPem(String),
    /// A certificate cannot be read.
    #[error("certificate {position} of the chain cannot be read: {cause}")]
    CertificateUnreadable {
        /// Its place in the chain, from 1.
        position: usize,
        /// What the reader says.
        cause: String,
    },
    /// The chain is longer than [`crate::CHAIN_MAX`].
    #[error("the chain has {count} certificates, at most 10 are served")]
    ChainTooLong {
        /// How many there are.
        count: usize,
    },
    /// A certificate is followed by one that did not issue it.
    #[error(
        "certificate {position} of the chain (`{subject}`) is not the issuer of the one before \
         it, which is `{issuer}`"
    )]
    ChainOutOfOrder {
        /// Its place in the chain, from 1.
        position: usize,
        /// Its subject.
        subject: String,
        /// The issuer that the certificate before it names.
        issuer: String,
    },
    /// The certificate's lifetime is over.
    #[error("the certificate expired on {}", date(*.not_after))]
    Expired {
        /// Its last moment.
        not_after: Timestamp,
    },
    /// The certificate's lifetime has not begun.
    #[error("the certificate is not valid before {}", date(*.not_before))]
    NotYetValid {
        /// Its first moment.
        not_before: Timestamp,
    },
    /// There is no key in the text.
    #[error("there is no private key in the PEM text")]
    NoKey,
    /// There is more than one key in the text.
    #[error("there is more than one private key in the PEM text, so which one counts is ambiguous")]
    SeveralKeys,
    /// The key is not PEM.
    #[error("the private key is not valid PEM: {0}")]
    KeyNotPem(String),
    /// The key is encrypted.
    #[error("the private key is encrypted: store it decrypted, under a secret reference")]
    KeyEncrypted,
    /// The key cannot be used.
    #[error("the private key cannot be used: {0}")]
    KeyUnusable(String),
    /// The key is that of another certificate.
    #[error("the private key is not the key of the certificate `{subject}`")]
    KeyMismatch {
        /// The certificate's subject.
        subject: String,
    },
    /// The RSA key is too short.
    #[error("the RSA key has {bits} bits, at least 2048 are needed")]
    KeyTooShort {
        /// How many bits it has.
        bits: usize,
    },
    /// There is no list of revoked certificates in the text.
    #[error("there is no list of revoked certificates in it, neither PEM nor DER")]
    NoRevocation,
    /// The lists of revoked certificates are not PEM.
    #[error("the list of revoked certificates is not valid PEM: {0}")]
    RevocationNotPem(String),
    /// A list of revoked certificates cannot be read.
    #[error("list {position} of revoked certificates cannot be read: {cause}")]
    RevocationUnreadable {
        /// Its place among all lists, from 1.
        position: usize,
        /// What the reader says.
        cause: String,
    },
    /// A file of lists is longer than [`crate::REVOCATION_MAX`].
    #[error("the file is longer than 16 MiB")]
    RevocationTooLarge,
    /// Nothing tells which of two lists of revoked certificates counts.
    #[error(
        "two different lists of revoked certificates of one authority have the same number and \
         begin at {}; keep the one that counts",
        date(*.begin)
    )]
    RivalRevocations {
        /// When both begin.
        begin: Timestamp,
    },
    /// There are too many lists of revoked certificates.
    #[error("there are {count} lists of revoked certificates, at most 256 are read")]
    TooManyRevocations {
        /// How many there are.
        count: usize,
    },
    /// There is no pair of certificate and key.
    #[error("there is no pair of certificate and key")]
    NoPair,
    /// There are more pairs than [`crate::PAIRS_MAX`].
    #[error("there are {count} pairs of certificate and key, at most 8 are served")]
    TooManyPairs {
        /// How many there are.
        count: usize,
    },
    /// There are no server names, neither written nor in the certificate.
    #[error("there is no server name, neither in `snis` nor in the certificate")]
    NoName,
    /// A server name that TLS cannot carry.
    #[error("`{name}` is not a server name: write `a.example`, `*.example` or `*`")]
    BadName {
        /// The name as written.
        name: String,
    },
    /// Two resources ask for different things of one server name.
    #[error(
        "`{name}` is also a server name of ssl `{other}`, with other client certificates or \
         protocols: which one counts is ambiguous"
    )]
    AmbiguousName {
        /// The name.
        name: String,
        /// The other resource.
        other: Arc<str>,
    },
    /// The declared default certificate does not exist.
    #[error("is declared the default certificate but does not exist")]
    NoSuchDefault,
    /// There is no authority in the text.
    #[error("there is no certificate of an authority in the PEM text")]
    NoAuthority,
    /// There are more authorities than can be.
    #[error("there are {count} authorities, at most 1024 are read")]
    TooManyAuthorities {
        /// How many there are.
        count: usize,
    },
    /// A certificate in the text cannot be an authority.
    #[error("authority {position} cannot be read: {cause}")]
    AuthorityUnreadable {
        /// Its place in the text, from 1.
        position: usize,
        /// What the reader says.
        cause: String,
    },
    /// The system has no authorities.
    #[error("the system's certificate authorities cannot be loaded: {0}")]
    NoSystemAuthorities(String),
    /// Half a client certificate.
    #[error("`client_cert` and `client_key` belong together, one is missing")]
    HalfClientCertificate,
    /// A path pattern that does not compile.
    #[error("`{pattern}` {cause}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// Why.
        cause: PatternError,
    },
    /// More path patterns than can be.
    #[error("there are {count} patterns in `skip_mtls_uri_regex`, at most 64 are read")]
    TooManyPatterns {
        /// How many there are.
        count: usize,
    },
    /// A protocol version that is not served.
    #[error("`{0}` is not served: TLSv1.2 and TLSv1.3 are")]
    UnknownVersion(String),
    /// Only versions below the listener's minimum.
    #[error("only `TLSv1.2` is asked for, and the listener's minimum is TLSv1.3")]
    BelowMinimum,
    /// The TLS library refuses the combination.
    #[error("{0}")]
    Refused(String),
}

/// A day and time that people read: `2026-11-23T20:52:46Z`.
pub(crate) fn date(time: Timestamp) -> String {
    let text = time.to_rfc3339();
    format!("{}Z", text.get(..19).unwrap_or_default())
}

fn unix_date(time: UnixTime) -> String {
    date(Timestamp::from_secs(time.as_secs()))
}

/// The cause of a failed handshake inside an I/O error, in words.
pub fn describe_io(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => describe(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the peer closed the connection during the handshake".to_owned()
        }
        None => error.to_string(),
    }
}

/// The cause of a failed handshake in words: what was expected, and what came.
pub fn describe(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(cause) => describe_certificate(cause),
        Error::NoCertificatesPresented => "the peer presented no certificate".to_owned(),
        Error::AlertReceived(alert) => {
            format!("the peer ended the handshake with the alert `{}`", words(alert))
        }
        Error::PeerIncompatible(cause) => describe_incompatible(cause),
        Error::PeerMisbehaved(cause) => format!("the peer broke the protocol: {}", words(cause)),
        Error::InvalidMessage(cause) => format!("the peer does not speak TLS: {}", words(cause)),
        Error::NoApplicationProtocol => {
            "the peer offers no application protocol that is served".to_owned()
        }
        Error::DecryptError => "a record does not decrypt".to_owned(),
        Error::General(cause) => cause.clone(),
        other => other.to_string(),
    }
}

fn describe_incompatible(cause: &PeerIncompatible) -> String {
    use PeerIncompatible as P;
    match cause {
        P::SupportedVersionsExtensionRequired
        | P::Tls12NotOfferedOrEnabled
        | P::Tls12NotOffered
        | P::Tls13RequiredForQuic
        | P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig => {
            "no protocol version in common: the peer's are below the minimum".to_owned()
        }
        other => format!("the peer cannot meet the settings: {}", words(other)),
    }
}

fn describe_certificate(cause: &CertificateError) -> String {
    use CertificateError as C;
    match cause {
        C::ExpiredContext { not_after, .. } => {
            format!("the certificate expired on {}", unix_date(*not_after))
        }
        C::Expired => "the certificate has expired".to_owned(),
        C::NotValidYetContext { not_before, .. } => {
            format!("the certificate is not valid before {}", unix_date(*not_before))
        }
        C::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| bare_name(name)).collect();
            let whose = if names.is_empty() {
                "names no host".to_owned()
            } else {
                format!("is for `{}`", names.join("`, `"))
            };
            format!("the certificate {whose}, not for `{}`", expected.to_str())
        }
        C::UnknownIssuer => {
            "the certificate is not signed by an authority that is trusted here".to_owned()
        }
        C::BadEncoding => "the certificate cannot be read".to_owned(),
        C::BadSignature => "a signature of the certificate does not verify".to_owned(),
        C::Revoked => "the certificate is revoked".to_owned(),
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
            "the certificate is not meant for this side of a connection (extended key usage)"
                .to_owned()
        }
        C::Other(cause) => describe_other(&cause.to_string()),
        other => other.to_string(),
    }
}

fn describe_other(cause: &str) -> String {
    match cause {
        "CaUsedAsEndEntity" => {
            "the certificate is that of an authority, and must not be used by a host".to_owned()
        }
        "UnsupportedCertVersion" => {
            "the certificate is not X.509 version 3, which has no room for host names".to_owned()
        }
        other if other.contains(' ') => other.to_owned(),
        other => format!("the certificate is not acceptable: {}", words(&other)),
    }
}

/// `DnsName("a.example")` as `a.example`.
fn bare_name(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, inner)| inner.trim_end_matches(')')).trim_matches('"')
}

/// A variant's name as words: `NoCipherSuitesInCommon` as `no cipher suites in common`.
fn words(variant: &(impl std::fmt::Debug + ?Sized)) -> String {
    let mut text = String::new();
    let name = format!("{variant:?}");
    let name = name.trim_matches('"');
    let mut was_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && was_lower {
            text.push(' ');
        }
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        text.push(c.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;

    use super::*;

    #[test]
    fn variants_read_as_words() {
        let alert = Error::AlertReceived(AlertDescription::HandshakeFailure);
        assert_eq!(
            describe(&alert),
            "the peer ended the handshake with the alert `handshake failure`"
        );
        let incompatible = Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon);
        assert_eq!(
            describe(&incompatible),
            "the peer cannot meet the settings: no cipher suites in common"
        );
    }

    #[test]
    fn a_wrong_name_is_told_with_the_right_ones() {
        let error = Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            expected: "a.example".try_into().unwrap(),
            presented: vec!["DnsName(\"b.example\")".to_owned(), "DnsName(\"c\")".to_owned()],
        });
        assert_eq!(
            describe(&error),
            "the certificate is for `b.example`, `c`, not for `a.example`"
        );
    }

    #[test]
    fn expiry_is_told_with_its_date() {
        let not_after = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_700_000_000));
        let error = Error::InvalidCertificate(CertificateError::ExpiredContext {
            time: not_after,
            not_after,
        });
        assert_eq!(describe(&error), "the certificate expired on 2023-11-14T22:13:20Z");
    }

    #[test]
    fn an_io_error_gives_its_inner_cause() {
        let error = io::Error::new(io::ErrorKind::InvalidData, Error::NoApplicationProtocol);
        assert_eq!(describe_io(&error), "the peer offers no application protocol that is served");
    }
}
