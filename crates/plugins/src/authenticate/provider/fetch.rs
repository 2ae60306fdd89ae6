//! One fetch of a provider's keys: its metadata, where keys are found by it, and the key set.
//!
//! A provider is believed as little as anybody else. Its answers are bounded, redirects are not
//! followed.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Limits;
use bartizan_net::{Answered, Call, CallError, CallLimits, Client, Endpoint, Keep, Reach};
use bartizan_wire::Fields;
use http::{Method, StatusCode};

use super::metadata::{METADATA_MAX, MetadataFault, Wanted};
use super::{ProviderSettings, Source};
use crate::jose::{AlgorithmSet, KeySet, KeySetFault};
use crate::outgoing::json_fields;

/// Longest key set that is fetched. Real ones have some thousand bytes, with certificates some ten
/// thousand.
pub(super) const FETCHED_MAX: usize = 512 * 1024;
/// One connection for metadata and keys; it ends with the fetch, whose client holds it.
const KEEP: Keep = Keep { size: 1, idle: Duration::from_secs(10) };

/// Why a fetch brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchFault {
    #[error("{0}: {1}")]
    Call(&'static str, CallError),
    #[error("{0}: the provider answers {1}")]
    Status(&'static str, StatusCode),
    #[error(transparent)]
    Metadata(#[from] MetadataFault),
    #[error(transparent)]
    KeySet(#[from] KeySetFault),
}

impl FetchFault {
    /// The result as the metric tells it.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Call(_, CallError::TooLarge(_)) => "too_large",
            Self::Call(..) => "unreachable",
            Self::Status(..) => "status",
            Self::Metadata(fault) => fault.label(),
            Self::KeySet(KeySetFault::NoneUsable(_)) => "no_keys",
            Self::KeySet(_) => "key_set",
        }
    }
}

/// What a fetch brought.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    /// How long the provider says that it holds.
    pub(super) fresh: Option<Duration>,
}

/// Fetches the keys of one provider.
pub(super) struct Fetcher {
    reach: Arc<dyn Reach>,
    limits: Limits,
    issuers: Vec<String>,
    source: Source,
    endpoint: Endpoint,
    target: Arc<str>,
    /// The server of the address, and others that metadata may point to.
    hosts: Vec<Arc<str>>,
    time: Duration,
    fields: Fields,
}

impl Fetcher {
    pub(super) fn new(
        settings: &ProviderSettings,
        endpoint: Endpoint,
        target: Arc<str>,
        mut hosts: Vec<Arc<str>>,
        reach: &Arc<dyn Reach>,
        limits: &Limits,
    ) -> Self {
        hosts.push(endpoint.authority().clone());
        Self {
            reach: reach.clone(),
            limits: limits.clone(),
            issuers: settings.names(),
            source: settings.source,
            endpoint,
            target,
            hosts,
            time: settings.timeout,
            fields: json_fields(),
        }
    }

    /// Fetches the keys.
    pub(super) async fn fetch(&self) -> Result<Fetched, FetchFault> {
        let client = Client::new(self.reach.clone(), &self.limits);
        let own = (&self.endpoint, &*self.target);
        let answered = match self.source {
            Source::KeySet => self.get(&client, "keys", own, FETCHED_MAX).await?,
            Source::Discovery => {
                let metadata = self.get(&client, "metadata", own, METADATA_MAX).await?;
                let (endpoint, target) = self.locate(metadata.body())?;
                self.get(&client, "keys", (&endpoint, &*target), FETCHED_MAX).await?
            }
        };
        let keys = KeySet::parse(answered.body(), AlgorithmSet::asymmetric())?;
        Ok(Fetched { keys, fresh: fresh(&answered.fields) })
    }

    async fn get(
        &self,
        client: &Client,
        what: &'static str,
        (endpoint, target): (&Endpoint, &str),
        answer: usize,
    ) -> Result<Answered, FetchFault> {
        let call = Call { method: &Method::GET, target, fields: &self.fields, body: &[] };
        let limits = CallLimits { time: self.time, answer, keep: KEEP };
        let answered = client.call(endpoint, &call, &limits).await;
        let answered = answered.map_err(|error| FetchFault::Call(what, error))?;
        match answered.status {
            StatusCode::OK => Ok(answered),
            status => Err(FetchFault::Status(what, status)),
        }
    }

    fn locate(&self, metadata: &[u8]) -> Result<(Endpoint, Arc<str>), MetadataFault> {
        let wanted = Wanted {
            issuers: &self.issuers,
            member: "jwks_uri",
            hosts: &self.hosts,
            has_certificate: false,
        };
        wanted.locate(metadata, &self.endpoint)
    }
}

/// How long an answer holds (RFC 9111 §4.2.1): `max-age` less `Age`; not at all where it says so or
/// says what cannot be read. Nothing where it says nothing.
pub(super) fn fresh(fields: &Fields) -> Option<Duration> {
    let mut least: Option<u64> = None;
    let values = fields.all("cache-control");
    let directives = values.flat_map(|value| value.split(|byte| *byte == b','));
    for directive in directives.map(<[u8]>::trim_ascii) {
        let at = directive.iter().position(|byte| *byte == b'=').unwrap_or(directive.len());
        let (name, value) = directive.split_at_checked(at).unwrap_or((directive, &[]));
        let seconds = match name.trim_ascii() {
            name if name.eq_ignore_ascii_case(b"max-age") => number(value).unwrap_or(0),
            name if name.eq_ignore_ascii_case(b"no-store") => 0,
            name if name.eq_ignore_ascii_case(b"no-cache") => 0,
            _ => continue,
        };
        least = Some(least.map_or(seconds, |least| least.min(seconds)));
    }
    let age = fields.all("age").next().and_then(number).unwrap_or(0);
    least.map(|seconds| Duration::from_secs(seconds.saturating_sub(age)))
}

/// The number behind an `=`, quoted or not.
fn number(value: &[u8]) -> Option<u64> {
    let value = value.strip_prefix(b"=").unwrap_or(value).trim_ascii();
    let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
    std::str::from_utf8(value).ok()?.parse().ok()
}
