//! The signature algorithms of RFC 7518 §3 and RFC 8037, and the kinds of key they need.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    VerificationAlgorithm,
};
use aws_lc_rs::{digest, hmac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! algorithms {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal, $kind:expr; )+) => {
        /// How a token is signed. There is no `none`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Deserialize, Serialize, JsonSchema)]
        #[repr(u8)]
        pub enum Algorithm { $( $(#[doc = $doc])+ #[serde(rename = $name)] $variant, )+ }

        impl Algorithm {
            /// Every algorithm.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// The name in a token's header and in configuration.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }

            /// The only kind of key it may be used with.
            pub const fn kind(self) -> KeyKind {
                match self { $( Self::$variant => $kind, )+ }
            }
        }
    };
}

algorithms! {
    /// HMAC with SHA-256.
    Hs256 = "HS256", KeyKind::Secret;
    /// HMAC with SHA-384.
    Hs384 = "HS384", KeyKind::Secret;
    /// HMAC with SHA-512.
    Hs512 = "HS512", KeyKind::Secret;
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256 = "RS256", KeyKind::Rsa;
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384 = "RS384", KeyKind::Rsa;
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512 = "RS512", KeyKind::Rsa;
    /// RSASSA-PSS with SHA-256, the salt as long as the hash.
    Ps256 = "PS256", KeyKind::Rsa;
    /// RSASSA-PSS with SHA-384, the salt as long as the hash.
    Ps384 = "PS384", KeyKind::Rsa;
    /// RSASSA-PSS with SHA-512, the salt as long as the hash.
    Ps512 = "PS512", KeyKind::Rsa;
    /// ECDSA on P-256 with SHA-256.
    Es256 = "ES256", KeyKind::P256;
    /// ECDSA on P-384 with SHA-384.
    Es384 = "ES384", KeyKind::P384;
    /// ECDSA on P-521 with SHA-512.
    Es512 = "ES512", KeyKind::P521;
    /// Ed25519 (RFC 8037).
    EdDsa = "EdDSA", KeyKind::Ed25519;
}

impl Algorithm {
    /// The HMAC, where the key is a secret.
    pub(super) fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::Hs256 => Some(hmac::HMAC_SHA256),
            Self::Hs384 => Some(hmac::HMAC_SHA384),
            Self::Hs512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    /// The verification, where the key is public. ECDSA signatures have the fixed form `r ‖ s` of
    /// RFC 7518 §3.4, RSA moduli 2048 to 8192 bits.
    pub(super) fn public(self) -> Option<&'static dyn VerificationAlgorithm> {
        match self {
            Self::Hs256 | Self::Hs384 | Self::Hs512 => None,
            Self::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
            Self::Es256 => Some(&ECDSA_P256_SHA256_FIXED),
            Self::Es384 => Some(&ECDSA_P384_SHA384_FIXED),
            Self::Es512 => Some(&ECDSA_P521_SHA512_FIXED),
            Self::EdDsa => Some(&ED25519),
        }
    }

    /// Fewest bytes of a secret: as many as the hash has (RFC 7518 §3.2).
    pub(super) fn secret_len_min(self) -> usize {
        match self {
            Self::Hs384 => digest::SHA384_OUTPUT_LEN,
            Self::Hs512 => digest::SHA512_OUTPUT_LEN,
            _ => digest::SHA256_OUTPUT_LEN,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is none of the algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signature algorithm that is supported")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Exact, as names of algorithms are case-sensitive (RFC 7515 §4.1.1).
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.iter().copied().find(|a| a.name() == name).ok_or(UnknownAlgorithm)
    }
}

/// The kinds of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// A shared secret.
    Secret,
    /// An RSA public key.
    Rsa,
    /// A point on P-256.
    P256,
    /// A point on P-384.
    P384,
    /// A point on P-521.
    P521,
    /// An Ed25519 public key.
    Ed25519,
}

impl KeyKind {
    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Rsa => "RSA",
            Self::P256 => "EC P-256",
            Self::P384 => "EC P-384",
            Self::P521 => "EC P-521",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// The algorithms that a key of this kind can be used with.
    pub fn algorithms(self) -> AlgorithmSet {
        Algorithm::ALL.iter().copied().filter(|a| a.kind() == self).collect()
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Some of the algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AlgorithmSet(u16);

impl AlgorithmSet {
    /// None of them.
    pub const EMPTY: Self = Self(0);

    /// Those whose keys may be published: all but HMAC. What a key set should be read with.
    pub fn asymmetric() -> Self {
        Algorithm::ALL.iter().copied().filter(|a| a.kind() != KeyKind::Secret).collect()
    }

    /// True if `algorithm` is among them.
    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & Self::bit(algorithm) != 0
    }

    /// True if there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.iter().copied().filter(move |a| self.contains(*a))
    }

    fn bit(algorithm: Algorithm) -> u16 {
        1 << (algorithm as u8)
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |set, a| set | Self::bit(a)))
    }
}

impl From<Algorithm> for AlgorithmSet {
    fn from(algorithm: Algorithm) -> Self {
        Self(Self::bit(algorithm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for &algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(algorithm.name().to_lowercase().parse::<Algorithm>(), Err(UnknownAlgorithm));
            let json = serde_json::to_value(algorithm).unwrap();
            assert_eq!(json, algorithm.name());
        }
        for name in ["none", "None", "NONE", "nOnE", "", " HS256", "HS256 ", "HS1", "ES256K"] {
            assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm), "{name}");
        }
    }

    #[test]
    fn an_algorithm_is_either_secret_or_public() {
        for &algorithm in Algorithm::ALL {
            assert_ne!(algorithm.hmac().is_some(), algorithm.public().is_some(), "{algorithm}");
            assert_eq!(algorithm.hmac().is_some(), algorithm.kind() == KeyKind::Secret);
        }
    }

    #[test]
    fn no_algorithm_belongs_to_two_kinds_of_key() {
        let kinds = [
            KeyKind::Secret,
            KeyKind::Rsa,
            KeyKind::P256,
            KeyKind::P384,
            KeyKind::P521,
            KeyKind::Ed25519,
        ];
        let all: Vec<_> = kinds.iter().flat_map(|kind| kind.algorithms().iter()).collect();
        assert_eq!(all, Algorithm::ALL);
        assert!(
            kinds
                .iter()
                .skip(1)
                .all(|k| k.algorithms().and(AlgorithmSet::asymmetric()) == k.algorithms())
        );
        assert!(KeyKind::Secret.algorithms().and(AlgorithmSet::asymmetric()).is_empty());
    }
}
