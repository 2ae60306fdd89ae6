//! Series by their labels: found without formatting a label, bounded in number.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

const SHARDS: usize = 16;

/// Upper bounds of the latency buckets in milliseconds, as Apache APISIX has them.
pub(super) const BUCKETS: [f64; 15] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0,
    30_000.0, 60_000.0,
];

/// The labels of a series, as a request has them at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Labels<'a> {
    /// Zero where the status is no label.
    pub(super) code: u16,
    pub(super) route: &'a str,
    pub(super) matched_uri: &'a str,
    pub(super) matched_host: &'a str,
    pub(super) service: &'a str,
    pub(super) consumer: &'a str,
    pub(super) node: Option<IpAddr>,
    pub(super) from_upstream: bool,
}

/// The labels of a series, kept.
#[derive(Debug)]
pub(super) struct OwnLabels {
    code: u16,
    texts: [Box<str>; 5],
    node: Option<IpAddr>,
    from_upstream: bool,
}

impl OwnLabels {
    fn of(labels: &Labels<'_>) -> Self {
        let Labels { code, route, matched_uri, matched_host, service, consumer, .. } = *labels;
        Self {
            code,
            texts: [route, matched_uri, matched_host, service, consumer].map(Into::into),
            node: labels.node,
            from_upstream: labels.from_upstream,
        }
    }

    pub(super) fn borrow(&self) -> Labels<'_> {
        let [route, matched_uri, matched_host, service, consumer] = &self.texts;
        Labels {
            code: self.code,
            route,
            matched_uri,
            matched_host,
            service,
            consumer,
            node: self.node,
            from_upstream: self.from_upstream,
        }
    }
}

/// One series or a few that share their labels.
#[derive(Debug)]
pub(super) struct Series<T> {
    pub(super) labels: OwnLabels,
    pub(super) values: T,
}

type Shard<T> = Mutex<HashTable<Arc<Series<T>>>>;

/// All series of some kind.
#[derive(Debug)]
pub(super) struct SeriesTable<T> {
    shards: Box<[Shard<T>]>,
    hasher: RandomState,
    series_max: usize,
}

impl<T: Default> SeriesTable<T> {
    /// No series yet, and never more than about `series_max`.
    pub(super) fn new(series_max: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            hasher: RandomState::default(),
            series_max: series_max.div_ceil(SHARDS),
        }
    }

    /// Records in the series of these labels; false where it would be one too many.
    pub(super) fn record(&self, labels: &Labels<'_>, work: impl FnOnce(&T)) -> bool {
        let hash = self.hasher.hash_one(labels);
        // The upper bits choose the shard, since the lower ones choose the place in it.
        let index = usize::try_from(hash >> 60).unwrap_or_default() % SHARDS;
        let Some(shard) = self.shards.get(index) else { return false };
        let mut table = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = table.find(hash, |series| series.labels.borrow() == *labels) {
            work(&series.values);
            return true;
        }
        if table.len() >= self.series_max {
            return false;
        }
        let series = Arc::new(Series { labels: OwnLabels::of(labels), values: T::default() });
        work(&series.values);
        table.insert_unique(hash, series, |series| self.hasher.hash_one(series.labels.borrow()));
        true
    }

    /// Every series, to be read without holding anybody up.
    pub(super) fn all(&self) -> Vec<Arc<Series<T>>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        }
        all
    }
}

/// How long something took, in buckets.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    counts: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, duration: Duration) {
        let ms = duration.as_secs_f64() * 1_000.0;
        let index = BUCKETS.iter().position(|bound| ms <= *bound).unwrap_or(BUCKETS.len());
        if let Some(count) = self.counts.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The sum in milliseconds, the number, and the number of each bucket.
    pub(super) fn read(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let number = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_micros(self.micros.load(Ordering::Relaxed));
        (sum.as_secs_f64() * 1_000.0, number, buckets)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_that_differ_anywhere_are_other_series() {
        let table = SeriesTable::<AtomicU64>::new(1_000);
        let base = Labels { code: 200, route: "r", ..Labels::default() };
        let all = [
            base,
            Labels { code: 404, ..base },
            Labels { route: "s", ..base },
            Labels { route: "", service: "r", ..base },
            Labels { node: Some([192, 0, 2, 1].into()), ..base },
            Labels { from_upstream: true, ..base },
        ];
        for labels in all.iter().chain(&all) {
            assert!(table.record(labels, |n| {
                n.fetch_add(1, Ordering::Relaxed);
            }));
        }
        let series = table.all();
        assert_eq!(series.len(), all.len());
        assert!(series.iter().all(|series| series.values.load(Ordering::Relaxed) == 2));
    }

    #[test]
    fn the_number_of_series_is_bounded_and_known_ones_go_on() {
        let table = SeriesTable::<AtomicU64>::new(160);
        let names: Vec<String> = (0..2_000).map(|n| n.to_string()).collect();
        let record =
            |name: &str| table.record(&Labels { consumer: name, ..Labels::default() }, |_| {});
        assert!(names.iter().filter(|name| record(name)).count() <= 160);
        assert!(record(&names[0]));
    }

    proptest! {
        #[test]
        fn every_duration_falls_into_one_bucket(
            micros in prop::collection::vec(0_u32..100_000_000, 0..50),
        ) {
            let histogram = Histogram::default();
            for m in &micros {
                histogram.observe(Duration::from_micros((*m).into()));
            }
            let (sum, number, buckets) = histogram.read();
            prop_assert_eq!(number, micros.len() as u64);
            let ms = |m: &u32| f64::from(*m) / 1_000.0;
            prop_assert!((sum - micros.iter().map(ms).sum::<f64>()).abs() < 1e-3);
            let mut below = 0;
            for (bound, count) in buckets {
                below += count;
                let naive = micros.iter().filter(|m| ms(m) <= bound).count();
                prop_assert_eq!(below, naive as u64);
            }
        }
    }
}
