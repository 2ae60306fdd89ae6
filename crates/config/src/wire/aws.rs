//! Secrets Manager of AWS.

use bartizan_core::{Secret, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{AwsId, ServerUri};
use super::secret::{ManagerTlsWire, refresh, stale_max, timeout};

/// Secrets Manager of Amazon Web Services, that references `$secret://aws/<id>/<secret>/<key>` are
/// resolved in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "AWS Secrets Manager")]
#[expect(dead_code, reason = "timestamps have no effect")]
pub(crate) struct AwsWire {
    /// `aws/` and the id that references name.
    pub(crate) id: AwsId,
    /// The name of the key that requests are signed with.
    #[schemars(extend("minLength" = 1))]
    pub(crate) access_key_id: Secret,
    /// The key that requests are signed with. It is never sent.
    #[schemars(extend("minLength" = 1))]
    pub(crate) secret_access_key: Secret,
    /// What goes with a key that ends by itself. It is sent with each request.
    #[schemars(extend("minLength" = 1))]
    pub(crate) session_token: Option<Secret>,
    /// The region that keeps the secrets.
    #[serde(default = "region")]
    #[schemars(extend(
        "pattern" = "^[a-z0-9-]{1,64}$",
        "x-expects" = "a region such as `eu-central-1`"
    ))]
    pub(crate) region: String,
    /// Where the service is, if not where that of the region is: an endpoint of a private network.
    pub(crate) endpoint_url: Option<ServerUri>,
    /// TLS towards it; its certificate is always verified.
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
    /// Accepts a service on another machine that is not `https`: everyone on the way can read the
    /// secrets.
    #[serde(default)]
    pub(crate) danger_plaintext: bool,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}

fn region() -> String {
    "us-east-1".to_owned()
}
