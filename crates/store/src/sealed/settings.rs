//! How the secrets of a store are encrypted.

use super::{ApisixKeyring, SealingKey};
use crate::fault::OpenError;

/// How secrets are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SealAs {
    /// As they are.
    #[default]
    Clear,
    /// With the first key, bound to object and field.
    Sealed,
    /// As Apache APISIX does.
    Apisix,
}

/// What secrets are encrypted with.
#[derive(Debug, Default)]
pub struct SealedSettings {
    /// The first encrypts; all decrypt.
    pub keys: Vec<SealingKey>,
    /// The first encrypts; all decrypt.
    pub keyring: ApisixKeyring,
    /// How secrets are written.
    pub seal_as: SealAs,
    /// Others write to the store too: what they wrote is not encrypted anew.
    pub is_shared: bool,
    /// A secret that is read and not encrypted with one of the keys counts as one that cannot be
    /// read.
    pub is_required: bool,
}

impl SealedSettings {
    /// Fails where what is asked for cannot be done with these keys.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        let is_missing = match self.seal_as {
            SealAs::Clear => false,
            SealAs::Sealed => self.keys.is_empty(),
            SealAs::Apisix => self.keyring.is_empty(),
        };
        if is_missing {
            Err(OpenError::new("there is no key to encrypt secrets with"))
        } else if self.is_required && (self.seal_as != SealAs::Sealed || !self.keyring.is_empty()) {
            Err(OpenError::new(
                "secrets that have to be encrypted are so with keys of this gateway",
            ))
        } else {
            Ok(())
        }
    }
}
