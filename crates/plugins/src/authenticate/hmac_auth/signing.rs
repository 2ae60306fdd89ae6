//! What is signed, and the keys it is signed with.

use aws_lc_rs::hmac;
use bartizan_config::Invalid;
use bartizan_core::Secret;
use bartizan_wire::Fields;
use schemars::JsonSchema;
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::fault::Fault;
use super::params::{Params, TARGET};

/// Shortest secret: a shorter one than the hash makes signatures weaker than they could be (RFC 2104
/// §3). Of the hashes that a secret may be used with, that of `hmac-sha256` counts.
pub(super) const SECRET_MIN: usize = 32;
/// Longest secret.
const SECRET_MAX: usize = 256;

/// A way to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum MacAlgorithm {
    /// HMAC with SHA-1.
    #[serde(rename = "hmac-sha1")]
    Sha1,
    /// HMAC with SHA-256.
    #[serde(rename = "hmac-sha256")]
    Sha256,
    /// HMAC with SHA-512.
    #[serde(rename = "hmac-sha512")]
    Sha512,
}

impl MacAlgorithm {
    const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// The algorithm of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "hmac-sha1",
            Self::Sha256 => "hmac-sha256",
            Self::Sha512 => "hmac-sha512",
        }
    }

    fn hash(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

/// The keys of a consumer, one for each way to sign.
pub(super) struct MacKeys([hmac::Key; 3]);

impl MacKeys {
    pub(super) fn read(secret: &Secret, danger_weak_secret: bool) -> Result<Self, Invalid> {
        const KEY: &str = "secret_key";
        if secret.is_empty() || secret.len() > SECRET_MAX {
            return Err(Invalid::at(KEY, "a secret has 1 to 256 bytes"));
        }
        if secret.len() < SECRET_MIN && !danger_weak_secret {
            let problem = format!("the secret is shorter than {SECRET_MIN} bytes");
            return Err(Invalid::at(KEY, problem).with_help(
                "use a longer secret (`openssl rand -base64 32`), or say `danger_weak_secret: true`",
            ));
        }
        Ok(Self(MacAlgorithm::ALL.map(|way| hmac::Key::new(way.hash(), secret.expose()))))
    }

    /// Whether the signature is that of the request. Takes as long where it is not.
    pub(super) fn verify(
        &self,
        algorithm: MacAlgorithm,
        params: &Params<'_>,
        signed: &Signed<'_>,
    ) -> Result<bool, Fault> {
        let [sha1, sha256, sha512] = &self.0;
        let key = match algorithm {
            MacAlgorithm::Sha1 => sha1,
            MacAlgorithm::Sha256 => sha256,
            MacAlgorithm::Sha512 => sha512,
        };
        #[cfg(test)]
        crate::work::note();
        let mut context = hmac::Context::with_key(key);
        signed.write(params, |bytes| context.update(bytes))?;
        Ok(context.sign().as_ref().ct_eq(&params.signature).into())
    }
}

/// What of a request can be signed.
pub(super) struct Signed<'r> {
    pub(super) method: &'r str,
    /// The target as the client sent it.
    pub(super) target: &'r [u8],
    pub(super) fields: &'r Fields,
}

impl Signed<'_> {
    /// The text that is signed: the key's name, then a line for each thing in the list.
    pub(super) fn write(
        &self,
        params: &Params<'_>,
        mut write: impl FnMut(&[u8]),
    ) -> Result<(), Fault> {
        write(params.key_id.as_bytes());
        write(b"\n");
        for name in &params.headers {
            if *name == TARGET {
                write(self.method.as_bytes());
                write(b" ");
                write(self.target);
            } else {
                let value = self.fields.single(&name.to_ascii_lowercase());
                let value = value.map_err(|_| Fault::RepeatedHeader)?;
                write(name.as_bytes());
                write(b": ");
                write(value.ok_or(Fault::AbsentHeader)?);
            }
            write(b"\n");
        }
        Ok(())
    }
}
