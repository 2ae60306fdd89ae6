//! What keys are made of: secrets, RSA moduli, points on curves; read from PEM and checked.
//!
//! Accepted PEM: `PUBLIC KEY` (SPKI, RFC 5280), `RSA PUBLIC KEY` (PKCS#1, RFC 8017) and
//! `CERTIFICATE`, of which only the key is used: validity, names and issuer are not looked at.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{RsaParameters, RsaPublicKeyComponents, RsaSubjectPublicKey};
use bartizan_core::Secret;
use x509_parser::der_parser::oid::Oid;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Algorithm, KeyKind};

/// Longest PEM text. A key of 8192 bits has about 1.5 KiB, a certificate rarely more than 8 KiB.
const PEM_MAX: usize = 64 * 1024;

/// Why something is not a key that tokens can be verified or signed with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The key is of another kind than the algorithm needs.
    #[error("`{algorithm}` needs a key of kind {}, this one is {kind}", algorithm.kind())]
    Kind {
        /// The algorithm that was asked for.
        algorithm: Algorithm,
        /// The kind of the key that was given.
        kind: KeyKind,
    },
    /// None of the algorithms that are allowed fits the key.
    #[error("none of the allowed algorithms can be used with this {0} key")]
    NoAlgorithm(KeyKind),
    /// The secret is shorter than the hash (RFC 7518 §3.2).
    #[error("`{algorithm}` needs a secret of at least {least} bytes, this one has {actual}")]
    SecretTooShort {
        /// The algorithm that was asked for.
        algorithm: Algorithm,
        /// Bytes that it must have.
        least: usize,
        /// Bytes that it has.
        actual: usize,
    },
    /// The secret is a PEM text: a public key, most likely, which is no secret.
    #[error("the secret is a PEM text; a key that others know is no secret")]
    SecretIsPem,
    /// There is no PEM section, or a broken one.
    #[error("no readable PEM section")]
    Pem,
    /// There is more than one PEM section, so which one counts is unclear.
    #[error("more than one PEM section")]
    SeveralSections,
    /// A section of a kind that holds no key of use here.
    #[error("a PEM section `{0}` is not accepted here")]
    Section(String),
    /// A private key where a public key belongs.
    #[error("this is a private key; verification needs the public key only")]
    PrivateKey,
    /// The text is not what its label says.
    #[error("the {0} cannot be read")]
    Unreadable(&'static str),
    /// A kind of key or curve that no supported algorithm uses.
    #[error("keys of type `{0}` are not supported")]
    Unsupported(String),
    /// RSA keys have 2048 to 8192 bits.
    #[error("RSA keys have 2048 to 8192 bits, this one has {0}")]
    RsaSize(u32),
    /// A point of small order: signatures for it can be made up without any key.
    #[error("the Ed25519 key is a point of small order, for which anyone can sign")]
    SmallOrder,
    /// A member of a JWK is missing or has the wrong form.
    #[error("the JWK's `{0}` is missing or malformed")]
    Member(&'static str),
    /// The JWK is meant for something else than verifying signatures.
    #[error("the JWK's `{0}` says that it is not for verifying signatures")]
    NotForVerifying(&'static str),
    /// The JWK's `alg` is not allowed, not known, or not for this kind of key.
    #[error("the JWK's `alg` is not allowed for this key")]
    Algorithm,
}

/// A checked key that is not bound to algorithms yet.
pub(super) enum Material {
    Secret(Secret),
    /// The canonical `RSAPublicKey` (RFC 8017).
    Rsa(Vec<u8>),
    /// An uncompressed or compressed point (SEC 1), whether on the curve the library checks.
    Ec(KeyKind, Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Material {
    pub(super) fn kind(&self) -> KeyKind {
        match self {
            Self::Secret(_) => KeyKind::Secret,
            Self::Rsa(_) => KeyKind::Rsa,
            Self::Ec(kind, _) => *kind,
            Self::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// A public key from PEM.
    pub(super) fn from_pem(pem: &str) -> Result<Self, KeyFault> {
        let section = only_section(pem)?;
        match section.label.as_str() {
            "PUBLIC KEY" => Self::from_spki(&section.contents),
            "RSA PUBLIC KEY" => Self::rsa(&section.contents),
            "CERTIFICATE" => {
                let (rest, certificate) = X509Certificate::from_der(&section.contents)
                    .map_err(|_| KeyFault::Unreadable("certificate"))?;
                if !rest.is_empty() {
                    return Err(KeyFault::Unreadable("certificate"));
                }
                Self::from_spki(certificate.tbs_certificate.subject_pki.raw)
            }
            label if label.ends_with("PRIVATE KEY") => Err(KeyFault::PrivateKey),
            label => Err(KeyFault::Section(label.to_owned())),
        }
    }

    /// A public key from a `SubjectPublicKeyInfo`. Its algorithm decides, not its length.
    fn from_spki(der: &[u8]) -> Result<Self, KeyFault> {
        const UNREADABLE: KeyFault = KeyFault::Unreadable("public key");
        let (rest, spki) = SubjectPublicKeyInfo::from_der(der).map_err(|_| UNREADABLE)?;
        if !rest.is_empty() || spki.subject_public_key.unused_bits != 0 {
            return Err(UNREADABLE);
        }
        let key: &[u8] = &spki.subject_public_key.data;
        let oid = &spki.algorithm.algorithm;
        if *oid == OID_PKCS1_RSAENCRYPTION {
            return Self::rsa(key);
        }
        if *oid == OID_SIG_ED25519 {
            return Self::ed25519(key);
        }
        if *oid == OID_KEY_TYPE_EC_PUBLIC_KEY {
            let curve = spki.algorithm.parameters.as_ref().ok_or(UNREADABLE)?;
            let curve = curve.as_oid().map_err(|_| UNREADABLE)?;
            return match key.first() {
                Some(2..=4) => Ok(Self::Ec(curve_of(&curve)?, key.to_vec())),
                _ => Err(UNREADABLE),
            };
        }
        Err(KeyFault::Unsupported(oid.to_id_string()))
    }

    /// An RSA key from its PKCS#1 form.
    pub(super) fn rsa(der: &[u8]) -> Result<Self, KeyFault> {
        const UNREADABLE: KeyFault = KeyFault::Unreadable("RSA key");
        let key = RsaSubjectPublicKey::from_der(der).map_err(|_| UNREADABLE)?;
        let bits = RsaParameters::public_modulus_len(key.as_ref()).map_err(|_| UNREADABLE)?;
        if !(2048..=8192).contains(&bits) {
            return Err(KeyFault::RsaSize(bits));
        }
        Ok(Self::Rsa(key.as_ref().to_vec()))
    }

    /// An RSA key from modulus and exponent, big-endian without leading zeros.
    pub(super) fn rsa_components(n: &[u8], e: &[u8]) -> Result<Self, KeyFault> {
        let der = RsaPublicKeyComponents { n, e }
            .as_der()
            .map_err(|_| KeyFault::Unreadable("RSA key"))?;
        Self::rsa(der.as_ref())
    }

    /// An Ed25519 key from its 32 bytes.
    pub(super) fn ed25519(key: &[u8]) -> Result<Self, KeyFault> {
        let unreadable = |_| KeyFault::Unreadable("Ed25519 key");
        let mut positive: [u8; 32] = key.try_into().map_err(unreadable)?;
        // The top bit is the sign of x; the points below have small order with either sign.
        if let Some(last) = positive.last_mut() {
            *last &= 0x7f;
        }
        if SMALL_ORDER.contains(&positive) {
            return Err(KeyFault::SmallOrder);
        }
        Ok(Self::Ed25519(key.to_vec()))
    }
}

/// The y coordinates of the points whose order divides eight, also in their non-canonical
/// encodings. A test signs for each of them without a key.
#[rustfmt::skip]
pub(super) const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    *b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
       \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\
       \xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
    *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\
       \x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
    *b"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
       \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    *b"\xed\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
       \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    *b"\xee\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
       \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
];

fn curve_of(oid: &Oid<'_>) -> Result<KeyKind, KeyFault> {
    if *oid == OID_EC_P256 {
        Ok(KeyKind::P256)
    } else if *oid == OID_NIST_EC_P384 {
        Ok(KeyKind::P384)
    } else if *oid == OID_NIST_EC_P521 {
        Ok(KeyKind::P521)
    } else {
        Err(KeyFault::Unsupported(oid.to_id_string()))
    }
}

/// The one section of a PEM text. The parameters that OpenSSL writes before an EC key say nothing
/// that the key does not say, and are passed over.
pub(super) fn only_section(pem: &str) -> Result<Pem, KeyFault> {
    if pem.len() > PEM_MAX {
        return Err(KeyFault::Pem);
    }
    let mut found = None;
    for section in Pem::iter_from_buffer(pem.as_bytes()) {
        let section = section.map_err(|_| KeyFault::Pem)?;
        if section.label == "EC PARAMETERS" {
            continue;
        }
        if found.replace(section).is_some() {
            return Err(KeyFault::SeveralSections);
        }
    }
    found.ok_or(KeyFault::Pem)
}
