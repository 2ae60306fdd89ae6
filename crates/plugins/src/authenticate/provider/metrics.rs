//! What is counted of fetches.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::{Known, Origin, Shared};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    issuer: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IssuerLabels {
    issuer: String,
}

/// What all providers of a node count.
#[derive(Debug, Default)]
pub(super) struct KeyMetrics {
    fetches: Family<FetchLabels, Counter>,
    providers: Mutex<Vec<Weak<Shared>>>,
}

/// What one provider counts.
#[derive(Debug)]
pub(super) struct Counts {
    fetches: Family<FetchLabels, Counter>,
    issuer: String,
}

impl KeyMetrics {
    /// The counters of an issuer.
    pub(super) fn of(&self, issuer: &str) -> Counts {
        Counts { fetches: self.fetches.clone(), issuer: issuer.to_owned() }
    }

    /// Tells the age of a provider's keys for as long as it is there.
    pub(super) fn watch(&self, provider: &Arc<Shared>) {
        let mut providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        providers.retain(|provider| provider.strong_count() > 0);
        providers.push(Arc::downgrade(provider));
    }

    /// What a new provider starts with: the youngest keys that one of the same origin has.
    pub(super) fn known(&self, origin: &Origin, stale: Duration) -> Known {
        let providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        let living = providers.iter().filter_map(Weak::upgrade);
        let bequests = living.filter_map(|provider| provider.bequest(origin, stale));
        bequests.max_by_key(|known| known.fetched).unwrap_or_default()
    }

    /// The age of the oldest keys of each issuer.
    fn ages(&self) -> Family<IssuerLabels, Gauge> {
        let ages = Family::<IssuerLabels, Gauge>::default();
        let providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        for provider in providers.iter().filter_map(Weak::upgrade) {
            let Some(age) = provider.age() else { continue };
            let gauge =
                ages.get_or_create_owned(&IssuerLabels { issuer: provider.origin.issuer.clone() });
            gauge.set(gauge.get().max(i64::try_from(age).unwrap_or(i64::MAX)));
        }
        ages
    }
}

impl Counts {
    /// A fetch has ended.
    pub(super) fn done(&self, result: &'static str) {
        let labels = FetchLabels { issuer: self.issuer.clone(), result };
        self.fetches.get_or_create_owned(&labels).inc();
    }
}

impl Collector for KeyMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = |name, help, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        family(
            "bartizan_jwks_fetches",
            "Fetches of the keys of token issuers, by result",
            &self.fetches,
        )?;
        family(
            "bartizan_jwks_age_seconds",
            "Seconds since the keys of a token issuer were fetched",
            &self.ages(),
        )
    }
}
