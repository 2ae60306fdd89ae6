//! Vault, where secrets are kept that a configuration refers to as
//! `$secret://vault/<id>/<path>/<key>`.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Secret;

use crate::diagnostic::Place;
use crate::words::quoted;

/// Longest reference, in bytes.
const REFERENCE_MAX: usize = 1_024;

/// Kinds of secret managers of Apache APISIX that are not asked yet.
pub(crate) const NOT_YET: [&str; 2] = ["aws", "gcp"];

/// What is said about them.
pub(crate) const INSTEAD: &str = "keep the secrets in Vault, or use `$env://` or `$file://`";

/// A server of Vault, or of what speaks as it does, with how it is entered.
#[derive(Clone, Debug)]
pub struct Vault {
    /// Its id, without `vault/`.
    pub id: Arc<str>,
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
    /// Whether the other one is asked the same way, wherever it stands.
    pub fn is_like(&self, other: &Self) -> bool {
        self.uri == other.uri
            && self.prefix == other.prefix
            && self.mount == other.mount
            && self.kv == other.kv
            && self.namespace == other.namespace
            && self.auth.is_like(&other.auth)
            && self.ca_certs == other.ca_certs
            && self.refresh == other.refresh
            && self.stale_max == other.stale_max
            && self.timeout == other.timeout
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

/// What a reference names: `$secret://vault/<id>/<path>/<key>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretName {
    /// The id of the Vault.
    pub vault: Arc<str>,
    /// The path of the secret, behind the prefix.
    pub path: Arc<str>,
    /// The key in it.
    pub key: Arc<str>,
}

impl SecretName {
    /// Takes apart what stands behind `$secret://`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "is not of the form `$secret://vault/<id>/<path>/<key>`";
        if text.len() > REFERENCE_MAX {
            return Err(format!("the reference is longer than {REFERENCE_MAX} bytes"));
        }
        let shown = || quoted(&format!("$secret://{text}"));
        let (manager, rest) = text.split_once('/').unwrap_or((text, ""));
        if NOT_YET.contains(&manager) {
            let manager = quoted(manager);
            return Err(format!("the secret manager {manager} is not supported yet: {INSTEAD}"));
        }
        if manager != "vault" {
            return Err(format!("the reference {} {FORM}", shown()));
        }
        let parts = rest.split_once('/').and_then(|(id, rest)| {
            let (path, key) = rest.rsplit_once('/')?;
            Some((id, path, key))
        });
        match parts {
            Some((id, path, key)) if !id.is_empty() && !key.is_empty() && is_path(path) => {
                Ok(Self { vault: id.into(), path: path.into(), key: key.into() })
            }
            _ => Err(format!("the reference {} {FORM}", shown())),
        }
    }
}

/// Whether a path leads somewhere, and only down.
pub(crate) fn is_path(path: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    path.split('/').all(is_part) && !path.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_an_id_a_path_and_a_key() {
        for (text, id, path, key) in [
            ("vault/1/jack/auth-key", "1", "jack", "auth-key"),
            ("vault/main/teams/a b/jack/k", "main", "teams/a b/jack", "k"),
        ] {
            let name = SecretName::parse(text).unwrap();
            assert_eq!((&*name.vault, &*name.path, &*name.key), (id, path, key), "{text}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_no_reference() {
        for text in [
            "",
            "vault",
            "vault/",
            "vault/1",
            "vault/1/key",
            "vault//a/b",
            "vault/1//b",
            "vault/1/a/",
            "vault/1/../sys/b",
            "vault/1/a/./b",
            "vault/1/a\n/b",
            "env/1/a/b",
        ] {
            let problem = SecretName::parse(text).unwrap_err();
            assert!(problem.contains("is not of the form"), "{text}: {problem}");
        }
        for text in ["aws/1/a/b", "gcp/1/a"] {
            assert!(SecretName::parse(text).unwrap_err().contains("not supported yet"), "{text}");
        }
        for (length, is_read) in
            [(REFERENCE_MAX - 1, true), (REFERENCE_MAX, true), (REFERENCE_MAX + 1, false)]
        {
            let text = format!("vault/1/{}/k", "x".repeat(length - "vault/1//k".len()));
            assert_eq!(text.len(), length);
            assert_eq!(SecretName::parse(&text).is_ok(), is_read, "{length}");
        }
    }
}
