//! Certificates.

use bartizan_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{Desc, Id, Labels, Pem};

/// A certificate, for clients by server name or for upstreams.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "ssl")]
#[expect(dead_code, reason = "texts for people and timestamps have no effect")]
pub(crate) struct SslWire {
    /// The id. Absent: the position in the list, from 1.
    pub(crate) id: Option<Id>,
    /// What it is for.
    pub(crate) desc: Option<Desc>,
    /// Labels.
    pub(crate) labels: Option<Labels>,
    /// Who is shown the certificate.
    #[serde(default, rename = "type")]
    pub(crate) ssl_type: SslTypeWire,
    /// The server name: a name, `*.` and a suffix for one label, or `*` for all.
    pub(crate) sni: Option<String>,
    /// Several server names.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub(crate) snis: Option<Vec<String>>,
    /// The chain, leaf first.
    pub(crate) cert: Pem,
    /// Its key.
    #[schemars(extend("minLength" = 64, "maxLength" = 65536))]
    pub(crate) key: Secret,
    /// Further chains, for instance of another algorithm.
    #[serde(default)]
    pub(crate) certs: Vec<Pem>,
    /// The keys of `certs`, in the same order.
    #[serde(default)]
    pub(crate) keys: Vec<Secret>,
    /// Asks clients for certificates.
    pub(crate) client: Option<SslClientWire>,
    /// Versions of TLS. Absent: those of the listener.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    pub(crate) ssl_protocols: Vec<SslProtocol>,
    /// 0 takes the certificate out of service.
    #[schemars(extend("enum" = [0, 1]))]
    pub(crate) status: Option<u8>,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}

/// Who is shown a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum SslTypeWire {
    /// Clients.
    #[default]
    Server,
    /// Upstreams.
    Client,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline, extend("x-answers" = { "TLSv1.1": "is refused: versions before 1.2 are broken" }))]
pub(crate) enum SslProtocol {
    /// TLS 1.2.
    #[serde(rename = "TLSv1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "TLSv1.3")]
    V1_3,
}

/// Certificates of clients.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SslClientWire {
    /// The authorities whose certificates are accepted.
    pub(crate) ca: Pem,
    /// Intermediate certificates allowed between a client's certificate and the authority.
    #[serde(default = "one")]
    pub(crate) depth: u8,
    /// Paths that may be requested without a certificate.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    pub(crate) skip_mtls_uri_regex: Vec<String>,
}

fn one() -> u8 {
    1
}
