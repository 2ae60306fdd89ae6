//! Secret managers: what they have in common, and Vault.

use bartizan_core::{Secret, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use super::aws::AwsWire;
use super::gcp::GcpWire;
use super::scalar::{Pem, ServerUri, VaultId, VaultPath};

/// A secret manager, by its id.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "secret manager")]
#[expect(dead_code, reason = "its schema is all that is used: each form is read by itself")]
pub(crate) enum SecretWire {
    /// A Vault.
    Vault(Box<VaultWire>),
    /// Secrets Manager of AWS.
    Aws(Box<AwsWire>),
    /// Secret Manager of Google Cloud.
    Gcp(Box<GcpWire>),
}

/// A Vault, of `HashiCorp` or `OpenBao`, that references `$secret://vault/<id>/<path>/<key>` are
/// resolved in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Vault")]
#[expect(dead_code, reason = "timestamps have no effect")]
pub(crate) struct VaultWire {
    /// `vault/` and the id that references name.
    pub(crate) id: VaultId,
    /// Where Vault is, as in `https://vault.internal:8200`.
    pub(crate) uri: ServerUri,
    /// What of the path comes before that of a reference: the mount of the key-value engine, and
    /// what all secrets have in common. `kv/apisix` and `$secret://vault/1/jack/auth-key` lead to
    /// the key `auth-key` of `kv/apisix/jack`.
    pub(crate) prefix: VaultPath,
    /// A token. It is renewed as long as Vault lets it be. Either this or `auth`.
    pub(crate) token: Option<Secret>,
    /// Another way in, from which tokens are made as they are needed.
    pub(crate) auth: Option<VaultAuthWire>,
    /// The namespace.
    #[schemars(extend("minLength" = 1, "maxLength" = 256))]
    pub(crate) namespace: Option<String>,
    /// The version of the key-value engine. Absent: 1.
    #[schemars(extend("enum" = [1, 2]))]
    pub(crate) kv_version: Option<u8>,
    /// Where the engine is mounted, if that is more than the first part of `prefix`.
    pub(crate) mount: Option<VaultPath>,
    /// TLS towards it.
    pub(crate) tls: Option<ManagerTlsWire>,
    /// How often values are asked for again, sooner where Vault says that they end sooner.
    #[serde(default = "refresh")]
    pub(crate) refresh: Span,
    /// How long a value is used after it was last seen, while Vault does not answer. Then what
    /// refers to it is at fault.
    #[serde(default = "stale_max")]
    pub(crate) stale_max: Span,
    /// Time that Vault has for an answer.
    #[serde(default = "timeout")]
    pub(crate) timeout: Span,
    /// Accepts a Vault on another machine that is not `https`: everyone on the way can read the
    /// token and the secrets.
    #[serde(default)]
    pub(crate) danger_plaintext: bool,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}

/// A way into Vault.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) enum VaultAuthWire {
    /// As a role of an application.
    #[serde(rename = "approle")]
    AppRole {
        /// The role.
        #[schemars(extend("minLength" = 1))]
        role_id: String,
        /// Its secret.
        #[schemars(extend("minLength" = 1))]
        secret_id: Secret,
        /// Where the method is mounted.
        #[serde(default = "approle")]
        mount: VaultPath,
    },
    /// As the service account of this pod.
    #[serde(rename = "kubernetes")]
    Kubernetes {
        /// The role.
        #[schemars(extend("minLength" = 1))]
        role: String,
        /// The token of the service account:
        /// `$file:///var/run/secrets/kubernetes.io/serviceaccount/token`.
        #[schemars(extend("minLength" = 1))]
        jwt: Secret,
        /// Where the method is mounted.
        #[serde(default = "kubernetes")]
        mount: VaultPath,
    },
}

/// TLS towards a secret manager.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManagerTlsWire {
    /// The authorities that may have signed its certificate. Absent: those of the system.
    pub(crate) ca_certs: Option<Pem>,
}

pub(super) fn refresh() -> Span {
    Span(std::time::Duration::from_secs(300))
}

pub(super) fn stale_max() -> Span {
    Span(std::time::Duration::from_secs(24 * 3_600))
}

pub(super) fn timeout() -> Span {
    Span(std::time::Duration::from_secs(5))
}

fn approle() -> VaultPath {
    VaultPath("approle".to_owned())
}

fn kubernetes() -> VaultPath {
    VaultPath("kubernetes".to_owned())
}
