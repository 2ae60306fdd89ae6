//! Vault, where references `$secret://vault/<id>/<path>/<key>` lead.

use bartizan_core::Secret;

/// A server of Vault, or of what speaks as it does, with how it is entered.
#[derive(Clone, Debug)]
pub struct Vault {
    /// Where it is: scheme, host and port.
    pub uri: String,
    /// What of the path comes before that of a reference, mount included.
    pub prefix: String,
    /// Where the engine is mounted: the beginning of `prefix`.
    pub mount: String,
    /// The version of the engine.
    pub kv: KvVersion,
    /// The namespace, where it has them.
    pub namespace: Option<String>,
    /// How it is entered.
    pub auth: VaultAuth,
}

/// The versions of the key-value engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvVersion {
    /// Without versions of secrets.
    One,
    /// With versions of secrets.
    Two,
}

/// How a Vault is entered.
#[derive(Clone, Debug)]
pub enum VaultAuth {
    /// With a token that someone else made.
    Token(Secret),
    /// As a role of an application.
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// The role.
        role_id: String,
        /// Its secret.
        secret_id: Secret,
    },
    /// As a service account of Kubernetes.
    Kubernetes {
        /// Where the method is mounted.
        mount: String,
        /// The role.
        role: String,
        /// The token of the service account.
        jwt: Secret,
    },
}

impl Vault {
    /// Whether the other one is asked the same way.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.uri == other.uri
            && self.prefix == other.prefix
            && self.mount == other.mount
            && self.kv == other.kv
            && self.namespace == other.namespace
            && self.auth.is_like(&other.auth)
    }
}

impl VaultAuth {
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(one), Self::Token(other)) => one.matches(other.expose()),
            (
                Self::AppRole { mount, role_id, secret_id },
                Self::AppRole { mount: m, role_id: r, secret_id: s },
            ) => mount == m && role_id == r && secret_id.matches(s.expose()),
            (
                Self::Kubernetes { mount, role, jwt },
                Self::Kubernetes { mount: m, role: r, jwt: j },
            ) => mount == m && role == r && jwt.matches(j.expose()),
            _ => false,
        }
    }
}
