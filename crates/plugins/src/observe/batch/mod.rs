//! One batching sink for all loggers: entries wait in a bounded queue and leave in batches, beside
//! the requests.
//!
//! Whoever finishes a request puts an entry into the queue and goes on: a short lock, and seldom a
//! wake-up (for the first entry of a batch, and for the one that fills it). What there is no room
//! for is dropped, counted and told. A task on the control runtime hands batches over, as soon as
//! one is full, as its first entry is `buffer_duration` old, or as nothing came for
//! `inactive_timeout`. What cannot be handed over is tried again as often as the logger says, and
//! then dropped and counted.
//!
//! The task begins with the first entry, so that compiling a configuration opens nothing. It
//! belongs to the registry of state: a reload that leaves the sink's settings alone leaves the sink
//! alone, and one that changes or removes it lets it hand over what it has. When the node ends it
//! has a few seconds for that.

mod metrics;
mod queue;
mod slab;
mod task;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bartizan_chain::{CompileCx, Outside, Sink};
use bartizan_net::{Reach, Task};
use bytes::Bytes;

use crate::node_state::shared_metrics;
use metrics::Counts;
pub(crate) use metrics::SinkMetrics;
use queue::{Push, Queue};

/// When entries leave, and how many may wait.
#[derive(Clone, Debug)]
pub(crate) struct BatchSettings {
    /// Entries of a full batch.
    pub(crate) entries: usize,
    /// Bytes of a full batch.
    pub(crate) bytes: usize,
    /// A batch leaves where nothing came for so long.
    pub(crate) inactive: Duration,
    /// A batch leaves when its first entry is so old.
    pub(crate) oldest: Duration,
    /// How often a batch is tried again.
    pub(crate) retries: u32,
    /// How long after a failure.
    pub(crate) retry_delay: Duration,
    /// Entries that may wait, those on their way included.
    pub(crate) pending: usize,
    /// Bytes that may wait.
    pub(crate) pending_bytes: usize,
}

/// Why a batch was not handed over.
#[derive(Debug)]
pub(crate) struct Undelivered {
    /// For the log.
    pub(crate) cause: String,
    /// How many of its first entries need not be sent again.
    pub(crate) done: usize,
}

impl Undelivered {
    /// Nothing of it was handed over.
    pub(crate) fn new(cause: &impl ToString) -> Self {
        Self { cause: cause.to_string(), done: 0 }
    }
}

/// Hands batches over, one after the other.
pub(crate) trait Deliver: Send + 'static {
    /// Hands over a batch; gives back how many of its entries were left out for good, such as those
    /// that are too long.
    fn deliver<'a>(&'a mut self, batch: &'a [Bytes]) -> Task<'a, Result<usize, Undelivered>>;

    /// Opens its file anew before the next batch.
    fn reopen(&mut self) {}
}

/// A sink at work. When its last handle is gone it hands over what it has, and ends.
pub(crate) struct Batch {
    shared: Arc<Shared>,
    reach: Arc<dyn Reach>,
    make: Box<dyn Fn() -> Box<dyn Deliver> + Send + Sync>,
}

/// What the handle, the task and the node share.
pub(crate) struct Shared {
    queue: Queue,
    settings: BatchSettings,
    counts: Counts,
    /// The logger, and its name in the configuration.
    plugin: &'static str,
    name: String,
}

impl Batch {
    /// The metrics of all sinks of the node: asked for first, since both come from one registry.
    pub(crate) fn metrics(cx: &CompileCx<'_>) -> Arc<SinkMetrics> {
        shared_metrics(cx, "sinks", SinkMetrics::default)
    }

    /// A sink for the plugin that compiles, called `name` of `resource` in metrics and in the log.
    /// `make` makes what hands batches over, when the first entry is there.
    pub(crate) fn new(
        cx: &CompileCx<'_>,
        metrics: &SinkMetrics,
        name: &str,
        resource: &str,
        settings: BatchSettings,
        make: impl Fn() -> Box<dyn Deliver> + Send + Sync + 'static,
    ) -> Self {
        let Outside { reach, sinks, .. } = &cx.node.outside;
        let shared = Arc::new(Shared {
            queue: Queue::new(&settings),
            settings,
            counts: metrics.of(cx.plugin, name, resource),
            plugin: cx.plugin,
            name: name.to_owned(),
        });
        sinks.add(&shared);
        Self { shared, reach: reach.clone(), make: Box::new(make) }
    }

    /// Lets a copy of an entry wait for its batch, or drops and counts it.
    pub(crate) fn push(&self, entry: &[u8]) {
        match self.shared.queue.push(entry) {
            Push::Waits => {}
            Push::First => {
                let run = task::run(self.shared.clone(), (self.make)());
                self.reach.spawn(Box::pin(run));
            }
            Push::Full => self.shared.counts.full(1),
            Push::Closed => self.shared.counts.closed(1),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Sink for Shared {
    fn reopen(&self) {
        self.queue.reopen();
    }

    fn close(&self) {
        self.queue.close();
    }

    fn wait(&self, until: Instant) -> bool {
        self.queue.wait_for_end(until)
    }

    fn cut(&self) {
        self.queue.cut();
    }
}

#[cfg(test)]
mod tests;
