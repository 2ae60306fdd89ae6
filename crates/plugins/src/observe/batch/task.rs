//! The task of a sink: batch after batch, beside the requests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::{Deliver, Shared, Undelivered};

/// A sink that fails, or drops, says so no more often than this.
const TELL: Duration = Duration::from_secs(10);

/// What was told, so that a sink that is down for a day does not fill the log.
#[derive(Default)]
struct Told {
    at: Option<Instant>,
    dropped: (u64, u64),
    is_failing: bool,
}

/// Says that the task has ended, also where it panicked.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let lost = self.0.queue.give_up();
        self.0.counts.closed(lost);
        self.0.counts.waiting(0);
        self.0.queue.end();
        if lost > 0 {
            let Shared { plugin, name, .. } = &*self.0;
            tracing::error!(plugin, sink = name, lost, "entries of a log were lost at the end");
        }
    }
}

pub(super) async fn run(shared: Arc<Shared>, mut deliver: Box<dyn Deliver>) {
    let end = End(shared.clone());
    let mut told = Told::default();
    while let Some(batch) = shared.queue.next().await {
        if shared.queue.is_cut() {
            shared.counts.closed(batch.len());
            break;
        }
        if shared.queue.takes_reopen() {
            deliver.reopen();
        }
        tokio::select! {
            () = hand_over(&shared, &mut *deliver, &batch, &mut told) => {}
            () = shared.queue.cut_off() => {
                // How much of it has arrived is not known.
                shared.counts.closed(batch.len());
            }
        }
        shared.queue.gone();
        shared.counts.waiting(shared.queue.len());
        told.drops(&shared);
    }
    drop(end);
}

async fn hand_over(shared: &Shared, deliver: &mut dyn Deliver, batch: &[Bytes], told: &mut Told) {
    shared.counts.waiting(shared.queue.len());
    let mut rest = batch;
    let mut tries = 0_u32;
    while !rest.is_empty() {
        match deliver.deliver(rest).await {
            Ok(left_out) => {
                shared.counts.delivered(rest.len().saturating_sub(left_out));
                shared.counts.failed(left_out);
                told.works(shared);
                return;
            }
            Err(Undelivered { cause, done }) => {
                shared.counts.delivered(done.min(rest.len()));
                rest = rest.get(done..).unwrap_or_default();
                told.fails(shared, &cause);
            }
        }
        if tries >= shared.settings.retries {
            shared.counts.failed(rest.len());
            return;
        }
        tries = tries.saturating_add(1);
        sleep(shared.settings.retry_delay).await;
        if shared.queue.takes_reopen() {
            deliver.reopen();
        }
        told.drops(shared);
    }
}

impl Told {
    fn fails(&mut self, shared: &Shared, cause: &str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let Shared { plugin, name, .. } = shared;
            tracing::warn!(plugin, sink = name, cause, "the sink of a log cannot be reached");
        }
    }

    fn works(&mut self, shared: &Shared) {
        if std::mem::take(&mut self.is_failing) {
            let Shared { plugin, name, .. } = shared;
            tracing::info!(plugin, sink = name, "the sink of a log takes entries again");
        }
    }

    fn drops(&mut self, shared: &Shared) {
        let now = shared.counts.dropped();
        let is_early = self.at.is_some_and(|at| at.elapsed() < TELL);
        if now == self.dropped || is_early {
            return;
        }
        let full = now.0.saturating_sub(self.dropped.0);
        let failed = now.1.saturating_sub(self.dropped.1);
        let Shared { plugin, name, .. } = shared;
        tracing::warn!(plugin, sink = name, full, failed, "entries of a log were dropped");
        self.dropped = now;
        self.at = Some(Instant::now());
    }
}
