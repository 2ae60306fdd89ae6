//! What a worker counts by itself, so that workers do not write to each other's memory for every
//! request; handed over to the node's metrics when the worker is idle and at every tick.

use std::cell::Cell;

use bartizan_core::metrics::NodeMetrics;

/// One request in so many is measured plugin by plugin: the clock costs more than most plugins.
const MEASURED_EVERY: u64 = 64;

/// Counts that were not handed over yet.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    begun: Cell<u64>,
    requests: Cell<u64>,
    reuses: Cell<u64>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
}

fn add(cell: &Cell<u64>, count: u64) {
    cell.set(cell.get().saturating_add(count));
}

impl Tally {
    /// A request begins.
    pub(crate) fn begin(&self) {
        add(&self.begun, 1);
        add(&self.requests, 1);
    }

    /// Whether the request that began last is one whose plugins are timed.
    pub(crate) fn is_measured(&self) -> bool {
        self.begun.get() % MEASURED_EVERY == 1
    }

    /// An exchange reuses an upstream connection.
    pub(crate) fn reuse(&self) {
        add(&self.reuses, 1);
    }

    /// A request has ended.
    pub(crate) fn end(&self, bytes_in: u64, bytes_out: u64) {
        add(&self.bytes_in, bytes_in);
        add(&self.bytes_out, bytes_out);
    }

    /// Hands everything over.
    pub(crate) fn flush(&self, metrics: &NodeMetrics) {
        metrics.requests.inc_by(self.requests.take());
        metrics.upstream_reuses.inc_by(self.reuses.take());
        metrics.bytes_in.inc_by(self.bytes_in.take());
        metrics.bytes_out.inc_by(self.bytes_out.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_is_counted_once() {
        let (tally, metrics) = (Tally::default(), NodeMetrics::default());
        tally.begin();
        tally.reuse();
        tally.end(7, 9);
        for _ in 0..2 {
            tally.flush(&metrics);
            assert_eq!(metrics.requests.get(), 1);
            assert_eq!(metrics.upstream_reuses.get(), 1);
            assert_eq!((metrics.bytes_in.get(), metrics.bytes_out.get()), (7, 9));
        }
    }

    #[test]
    fn the_first_request_is_measured_and_then_one_in_64() {
        let tally = Tally::default();
        let measured = (1..=129).filter(|_| {
            tally.begin();
            tally.is_measured()
        });
        assert_eq!(measured.collect::<Vec<_>>(), [1, 65, 129]);
    }
}
