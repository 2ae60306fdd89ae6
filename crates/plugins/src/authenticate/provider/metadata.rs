//! What a provider says of itself: its metadata (OpenID Connect Discovery 1.0 §3, RFC 8414 §2).
//!
//! Metadata of another issuer counts for nothing, and metadata cannot send us to a server that the
//! configuration does not name.

use std::sync::Arc;

use bartizan_config::Invalid;
use bartizan_net::{Endpoint, Url};
use serde_json::{Map, Value};

use crate::jose::{JsonFault, JsonLimits, parse_object};
use crate::outgoing::without_userinfo;

/// Longest metadata of a provider. Real ones have some thousand bytes.
pub(in crate::authenticate) const METADATA_MAX: usize = 128 * 1024;
/// How much metadata may say.
const LIMITS: JsonLimits = JsonLimits { depth: 16, items: 10_000 };
/// Where metadata of an issuer is (OpenID Connect Discovery 1.0 §4).
pub(in crate::authenticate) const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// Why metadata does not say where something is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::authenticate) enum MetadataFault {
    #[error("the provider's metadata is {0}")]
    Json(JsonFault),
    #[error("the provider's metadata has no `{0}` of use")]
    Member(&'static str),
    #[error("the provider's metadata is that of another issuer")]
    Issuer,
    #[error("the provider's metadata has `{0}` at `{1}`, which the configuration does not name")]
    Foreign(&'static str, Arc<str>),
    #[error(
        "the provider's metadata comes in clear, or says that the rest does, or names a server \
         that no certificate can be for"
    )]
    Insecure,
}

impl MetadataFault {
    /// The result as metrics tell it.
    pub(in crate::authenticate) fn label(&self) -> &'static str {
        match self {
            Self::Json(_) | Self::Member(_) => "metadata",
            Self::Issuer => "issuer",
            Self::Foreign(..) => "foreign",
            Self::Insecure => "insecure",
        }
    }
}

/// What is looked for in metadata.
pub(in crate::authenticate) struct Wanted<'w> {
    /// The names of the issuer whose metadata it must be.
    pub(in crate::authenticate) issuers: &'w [String],
    /// The member that says where it is.
    pub(in crate::authenticate) member: &'static str,
    /// The servers that it may be at.
    pub(in crate::authenticate) hosts: &'w [Arc<str>],
    /// Whether we come with a certificate: then the place for those counts, where there is one
    /// (RFC 8705 §5).
    pub(in crate::authenticate) has_certificate: bool,
}

impl Wanted<'_> {
    /// Where metadata that came from `own` says that it is.
    pub(in crate::authenticate) fn locate(
        &self,
        metadata: &[u8],
        own: &Endpoint,
    ) -> Result<(Endpoint, Arc<str>), MetadataFault> {
        let metadata = parse_object(metadata, LIMITS).map_err(MetadataFault::Json)?.object;
        let issuer = text_of(&metadata, "issuer")?;
        if !self.issuers.iter().any(|known| known == issuer) {
            return Err(MetadataFault::Issuer);
        }
        let aliases = metadata.get("mtls_endpoint_aliases").and_then(Value::as_object);
        let alias =
            aliases.filter(|_| self.has_certificate).filter(|all| all.contains_key(self.member));
        let url = Url::parse(text_of(alias.unwrap_or(&metadata), self.member)?);
        let url = url.map_err(|_| MetadataFault::Member(self.member))?;
        if !self.hosts.contains(&url.authority) {
            return Err(MetadataFault::Foreign(self.member, url.authority));
        }
        let own = own.target();
        let tls = own.tls.as_ref().map(|tls| tls.config.clone());
        // In clear only where the metadata came in clear, from the very same server.
        if url.is_tls != tls.is_some() || !url.is_tls && url.host != own.host {
            return Err(MetadataFault::Insecure);
        }
        let endpoint = Endpoint::new(&url, tls).ok_or(MetadataFault::Insecure)?;
        Ok((endpoint, url.target))
    }
}

fn text_of<'m>(
    members: &'m Map<String, Value>,
    name: &'static str,
) -> Result<&'m str, MetadataFault> {
    members.get(name).and_then(Value::as_str).ok_or(MetadataFault::Member(name))
}

/// Where the metadata of an issuer is by rule.
pub(in crate::authenticate) fn well_known(issuer: &str, help: &str) -> Result<String, Invalid> {
    if issuer.contains(['?', '#']) {
        return Err(Invalid::at("issuer", "no address of metadata follows from it").with_help(help));
    }
    Ok(format!("{}{WELL_KNOWN}", issuer.strip_suffix('/').unwrap_or(issuer)))
}

/// The servers that metadata may point to, as the list under `key` names them.
pub(in crate::authenticate) fn servers(
    key: &str,
    hosts: &[String],
) -> Result<Vec<Arc<str>>, Invalid> {
    let read = |(index, host): (usize, &String)| {
        authority(host).ok_or_else(|| {
            let host = without_userinfo(host);
            let problem = format!("`{host}` is no server such as `keys.example:8443`");
            Invalid::at_item(key, index, problem)
        })
    };
    hosts.iter().enumerate().map(read).collect()
}

/// A server as a URL names it: in lower case, without the usual port.
pub(super) fn authority(text: &str) -> Option<Arc<str>> {
    let url = Url::parse(&format!("https://{text}/")).ok()?;
    (&*url.target == "/").then_some(url.authority)
}
