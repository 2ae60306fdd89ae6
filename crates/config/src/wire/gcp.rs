//! Secret Manager of Google Cloud.

use bartizan_core::{Secret, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::GcpId;
use super::secret::{ManagerTlsWire, refresh, stale_max, timeout};

/// Secret Manager of Google Cloud, that references `$secret://gcp/<id>/<secret>/<key>` are resolved
/// in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Google Cloud Secret Manager")]
#[expect(dead_code, reason = "timestamps have no effect")]
pub(crate) struct GcpWire {
    /// `gcp/` and the id that references name.
    pub(crate) id: GcpId,
    /// The service account. Either this or `auth_file`.
    pub(crate) auth_config: Option<ServiceAccountWire>,
    /// A file of this machine with the service account: what Google gives out as its key, in JSON.
    /// It is read as `$file://` is, and again when it changes.
    #[schemars(extend("minLength" = 1, "maxLength" = 4096))]
    pub(crate) auth_file: Option<String>,
    /// Certificates are verified unless this says otherwise: everyone on the way can then read the
    /// tokens and the secrets.
    #[serde(default = "yes")]
    pub(crate) danger_ssl_verify: bool,
    /// TLS towards it.
    pub(crate) tls: Option<ManagerTlsWire>,
    /// How often values are asked for again.
    #[serde(default = "refresh")]
    pub(crate) refresh: Span,
    /// How long a value is used after it was last seen, while the service does not answer. Then what
    /// refers to it is at fault.
    #[serde(default = "stale_max")]
    pub(crate) stale_max: Span,
    /// Time that the service has for an answer.
    #[serde(default = "timeout")]
    pub(crate) timeout: Span,
    /// Accepts services on other machines that are not `https`: everyone on the way can read the
    /// tokens and the secrets.
    #[serde(default)]
    pub(crate) danger_plaintext: bool,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}

/// A service account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceAccountWire {
    /// Its name, as in `gateway@project.iam.gserviceaccount.com`.
    #[schemars(extend("minLength" = 1, "maxLength" = 320))]
    pub(crate) client_email: String,
    /// PEM of its RSA key.
    pub(crate) private_key: Secret,
    /// The project that keeps the secrets.
    pub(crate) project_id: String,
    /// Where an assertion that the key signs is exchanged for a token.
    #[serde(default = "token_uri")]
    pub(crate) token_uri: String,
    /// Where secrets are read, up to `/projects`.
    #[serde(default = "entries_uri")]
    pub(crate) entries_uri: String,
    /// What tokens are asked for.
    #[serde(default = "scope")]
    #[schemars(extend("minItems" = 1, "maxItems" = 32))]
    pub(crate) scope: Vec<Scope>,
}

/// Something that a token may be good for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Scope(
    #[schemars(extend(
        "pattern" = "^[!#-\\[\\]-~]{1,256}$",
        "x-expects" = "a scope of up to 256 characters without spaces"
    ))]
    pub(crate) String,
);

/// A service account as Google gives it out, of which much is not needed here.
#[derive(Deserialize)]
pub(crate) struct ServiceAccountFile {
    client_email: String,
    private_key: Secret,
    project_id: String,
    #[serde(default = "token_uri")]
    token_uri: String,
    #[serde(default = "entries_uri")]
    entries_uri: String,
    #[serde(default = "scope")]
    scope: Vec<Scope>,
}

impl From<ServiceAccountFile> for ServiceAccountWire {
    fn from(file: ServiceAccountFile) -> Self {
        Self {
            client_email: file.client_email,
            private_key: file.private_key,
            project_id: file.project_id,
            token_uri: file.token_uri,
            entries_uri: file.entries_uri,
            scope: file.scope,
        }
    }
}

fn yes() -> bool {
    true
}

fn token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

fn entries_uri() -> String {
    "https://secretmanager.googleapis.com/v1".to_owned()
}

fn scope() -> Vec<Scope> {
    vec![Scope("https://www.googleapis.com/auth/cloud-platform".to_owned())]
}
