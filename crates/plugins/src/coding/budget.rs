//! The memory of compressors, counted over the whole node.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// What compressors hold, and how often there was no room for another.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    used: AtomicU64,
    skipped: AtomicU64,
}

/// The memory of one compressor; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// Room for one more, unless all of them would hold more than `most`.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64, most: u64) -> Option<Place> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let place = Place { budget: self.clone(), bytes };
        if before.saturating_add(bytes) > most {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Collector for Budget {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let skipped = ConstCounter::new(self.skipped.load(Ordering::Relaxed));
        let metric = encoder.encode_descriptor(
            "bartizan_compression_skipped",
            "Answers sent as they are because compressors hold `limits.compression_memory`",
            None,
            skipped.metric_type(),
        )?;
        skipped.encode(metric)?;
        let used = i64::try_from(self.used.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        let used = ConstGauge::new(used);
        let metric = encoder.encode_descriptor(
            "bartizan_compression_memory_bytes",
            "Memory that compressors hold",
            None,
            used.metric_type(),
        )?;
        used.encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back() {
        let budget = Arc::new(Budget::default());
        let one = budget.take(60, 100).unwrap();
        assert!(budget.take(60, 100).is_none());
        let other = budget.take(40, 100).unwrap();
        drop(one);
        assert!(budget.take(60, 100).is_some());
        drop(other);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
        assert_eq!(budget.skipped.load(Ordering::Relaxed), 1);
    }
}
