//! Secret managers, where secrets are kept that a configuration refers to as `$secret://…`.

mod aws;
mod gcp;
mod name;
mod vault;

use std::sync::Arc;
use std::time::Duration;

pub use aws::Aws;
pub use gcp::{Gcp, ServiceAccount};
pub use name::SecretName;
pub(crate) use name::is_path;
pub use vault::{KvVersion, Vault, VaultAuth};

use crate::diagnostic::Place;

/// A secret manager: how it is asked, and what becomes of its answers.
#[derive(Clone, Debug)]
pub struct SecretManager {
    /// Its id, as in `vault/1`: what it is, and the name that references use.
    pub id: Arc<str>,
    /// What it is, and how it is entered.
    pub keeper: Keeper,
    /// PEM of the authorities that may have signed its certificate; the system's where absent.
    pub ca_certs: Option<String>,
    /// How often values are asked for again.
    pub refresh: Duration,
    /// How long a value is used while it cannot be asked for again.
    pub stale_max: Duration,
    /// Time that it has for an answer.
    pub timeout: Duration,
    /// Where it stands.
    pub place: Place,
}

/// What keeps secrets.
#[derive(Clone, Debug)]
pub enum Keeper {
    /// A Vault, of `HashiCorp` or `OpenBao`.
    Vault(Vault),
    /// Secrets Manager of Amazon Web Services.
    Aws(Aws),
    /// Secret Manager of Google Cloud.
    Gcp(Gcp),
}

impl SecretManager {
    /// Whether the other one is asked the same way, wherever it stands.
    pub fn is_like(&self, other: &Self) -> bool {
        let is_same = match (&self.keeper, &other.keeper) {
            (Keeper::Vault(one), Keeper::Vault(other)) => one.is_like(other),
            (Keeper::Aws(one), Keeper::Aws(other)) => one.is_like(other),
            (Keeper::Gcp(one), Keeper::Gcp(other)) => one.is_like(other),
            _ => false,
        };
        is_same
            && self.ca_certs == other.ca_certs
            && self.refresh == other.refresh
            && self.stale_max == other.stale_max
            && self.timeout == other.timeout
    }

    /// Where its secrets are read, for people.
    pub fn address(&self) -> &str {
        match &self.keeper {
            Keeper::Vault(vault) => &vault.uri,
            Keeper::Aws(aws) => &aws.endpoint,
            Keeper::Gcp(gcp) => &gcp.account.entries_uri,
        }
    }

    /// The Vault that it is, if it is one.
    pub fn vault(&self) -> Option<&Vault> {
        match &self.keeper {
            Keeper::Vault(vault) => Some(vault),
            Keeper::Aws(_) | Keeper::Gcp(_) => None,
        }
    }
}
