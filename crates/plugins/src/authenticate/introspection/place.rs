//! Where an issuer answers questions about tokens: at an address that is configured, or where its
//! metadata says (RFC 8414 §2).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_net::{Answered, Call, CallLimits, Client, Endpoint};
use http::{Method, StatusCode};
use tokio::time::Instant;

use super::super::provider::{METADATA_MAX, MetadataFault, Wanted};
use super::{AskFault, KEEP};
use crate::outgoing::json_fields;

/// How long metadata counts.
const REFRESH: Duration = Duration::from_secs(3_600);
/// How long it counts where it cannot be fetched again.
const STALE: Duration = Duration::from_secs(24 * 3_600);
/// Least time between two tries to fetch it while there is some.
const RETRY: Duration = Duration::from_secs(30);

/// A server, and path and query there.
pub(super) type Spot = Arc<(Endpoint, Arc<str>)>;

/// Where it answers.
pub(super) enum Place {
    /// Here.
    Known(Spot),
    /// Where the metadata says.
    Told(Box<Metadata>),
}

/// Where the metadata is, and what it said.
pub(super) struct Metadata {
    pub(super) own: Spot,
    pub(super) issuers: Vec<String>,
    pub(super) hosts: Vec<Arc<str>>,
    /// Whether the place for clients with a certificate is wanted, if there is one.
    pub(super) has_certificate: bool,
    pub(super) found: Mutex<Found>,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    spot: Option<(Spot, Instant)>,
    tried: Option<Instant>,
}

impl Found {
    /// What was found no longer ago than `most`.
    fn within(&self, most: Duration) -> Option<Spot> {
        self.spot.as_ref().filter(|(_, at)| at.elapsed() < most).map(|(spot, _)| spot.clone())
    }

    /// What counts without asking.
    fn known(&self) -> Option<Spot> {
        let was_tried = self.tried.is_some_and(|tried| tried.elapsed() < RETRY);
        self.within(if was_tried { STALE } else { REFRESH })
    }
}

impl Place {
    /// The server whose name metrics tell.
    pub(super) fn server(&self) -> &Arc<str> {
        match self {
            Self::Known(spot) => spot.0.authority(),
            Self::Told(metadata) => metadata.own.0.authority(),
        }
    }

    /// Where it answers; the metadata is fetched by `client` where that is due.
    pub(super) async fn spot(&self, client: &Client, time: Duration) -> Result<Spot, AskFault> {
        match self {
            Self::Known(spot) => Ok(spot.clone()),
            Self::Told(metadata) => metadata.spot(client, time).await,
        }
    }
}

impl Metadata {
    async fn spot(&self, client: &Client, time: Duration) -> Result<Spot, AskFault> {
        if let Some(spot) = self.found().known() {
            return Ok(spot);
        }
        self.found().tried = Some(Instant::now());
        match self.fetch(client, time).await {
            Ok(spot) => {
                let spot: Spot = Arc::new(spot);
                self.found().spot = Some((spot.clone(), Instant::now()));
                Ok(spot)
            }
            Err(fault) => self.found().within(STALE).ok_or(fault),
        }
    }

    async fn fetch(
        &self,
        client: &Client,
        time: Duration,
    ) -> Result<(Endpoint, Arc<str>), AskFault> {
        let (endpoint, target) = &*self.own;
        let call = Call { method: &Method::GET, target, fields: &json_fields(), body: &[] };
        let limits = CallLimits { time, answer: METADATA_MAX, keep: KEEP };
        let answered: Answered = client
            .call(endpoint, &call, &limits)
            .await
            .map_err(|error| AskFault::call("metadata", &error))?;
        if answered.status != StatusCode::OK {
            return Err(AskFault::Status("metadata", answered.status));
        }
        Ok(self.locate(answered.body())?)
    }

    fn locate(&self, metadata: &[u8]) -> Result<(Endpoint, Arc<str>), MetadataFault> {
        let wanted = Wanted {
            issuers: &self.issuers,
            member: "introspection_endpoint",
            hosts: &self.hosts,
            has_certificate: self.has_certificate,
        };
        wanted.locate(metadata, &self.own.0)
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bartizan_net::Url;

    use super::*;

    /// Whether a place counts that was found so many seconds ago, and looked for again `tried`
    /// seconds ago.
    fn is_known(found: u64, tried: Option<u64>) -> bool {
        bartizan_testkit::run(async move {
            let url = Url::parse("http://localhost/introspect").unwrap();
            let spot: Spot = Arc::new((Endpoint::new(&url, None).unwrap(), url.target));
            let start = Instant::now();
            let tried = tried.map(|tried| start + Duration::from_secs(found - tried));
            let found_at = Found { spot: Some((spot, start)), tried };
            tokio::time::advance(Duration::from_secs(found)).await;
            found_at.known().is_some()
        })
    }

    #[test]
    fn a_place_counts_for_an_hour_and_then_is_looked_for_again() {
        let known = [0, 3_599, 3_600, 3_601].map(|age| is_known(age, None));
        assert_eq!(known, [true, true, false, false]);
    }

    #[test]
    fn where_nobody_says_it_again_it_counts_for_a_day() {
        let known = [86_399, 86_400, 86_401].map(|age| is_known(age, Some(1)));
        assert_eq!(known, [true, false, false]);
    }

    #[test]
    fn a_place_is_looked_for_every_half_minute_while_there_is_an_old_one() {
        let known = [0, 29, 30, 31].map(|tried| is_known(4_000, Some(tried)));
        assert_eq!(known, [true, true, false, false]);
    }

    #[test]
    fn a_place_that_was_never_found_is_not_known() {
        let found = Found { spot: None, tried: Some(Instant::now()) };
        assert!(found.known().is_none());
    }
}
