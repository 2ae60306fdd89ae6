//! The task that keeps the keys of a provider: fetch after fetch, beside the requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::fetch::{FetchFault, Fetched, Fetcher};
use super::{Known, REFETCH_EVERY, Shared};
use crate::jose::KeySetFault;

/// Least time for which fetched keys are taken to hold, whatever the provider says.
pub(super) const REFRESH_LEAST: Duration = Duration::from_secs(60);
/// After a first failure; then twice as long after each.
const RETRY_LEAST: Duration = Duration::from_secs(1);
/// Longest time between a failure and the next fetch.
const RETRY_MOST: Duration = Duration::from_secs(30);

/// Fetches until the provider is closed.
pub(super) async fn run(shared: Arc<Shared>, fetcher: Fetcher) {
    let mut failures = 0_u32;
    loop {
        let began = Instant::now();
        shared.known.send_modify(|known| {
            known.is_fetching = true;
            known.began = Some(began);
        });
        let fetched = tokio::select! {
            biased;
            () = shared.closed.notified() => return,
            fetched = fetcher.fetch() => fetched,
        };
        let pause = shared.take(fetched, began, &mut failures);
        if shared.rest(began, pause).await.is_none() {
            return;
        }
    }
}

impl Shared {
    /// Puts into force what a fetch brought; the time until the next one.
    fn take(
        &self,
        fetched: Result<Fetched, FetchFault>,
        began: Instant,
        failures: &mut u32,
    ) -> Duration {
        match fetched {
            Ok(Fetched { keys, fresh }) => {
                if std::mem::take(failures) > 0 {
                    tracing::info!(
                        issuer = self.origin.issuer,
                        "the keys of a token issuer are there"
                    );
                }
                self.counts.done("ok");
                self.known.send_modify(|known| {
                    known.keys = Some(Arc::new(keys));
                    known.fetched = Some(began);
                    known.end(false);
                });
                until_refresh(fresh, self.refresh)
            }
            Err(fault) => {
                if *failures == 0 {
                    let (issuer, cause) = (&self.origin.issuer, fault.to_string());
                    tracing::warn!(issuer, cause, "the keys of a token issuer cannot be fetched");
                }
                *failures = failures.saturating_add(1);
                self.counts.done(fault.label());
                // A set without a key of use is an answer: those that were in it are withdrawn.
                let is_withdrawn = matches!(fault, FetchFault::KeySet(KeySetFault::NoneUsable(_)));
                self.known.send_modify(|known| {
                    if is_withdrawn {
                        known.keys = None;
                        known.fetched = None;
                    }
                    known.end(true);
                });
                until_retry(*failures)
            }
        }
    }

    /// Waits for the time of the next fetch, or until a token wants one and it is not too early;
    /// nothing once the provider is closed.
    async fn rest(&self, began: Instant, pause: Duration) -> Option<()> {
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                biased;
                () = self.closed.notified() => return None,
                () = sleep_until(until) => return Some(()),
                () = self.wanted.notified() => {
                    if began.elapsed() >= REFETCH_EVERY {
                        return Some(());
                    }
                }
            }
        }
    }
}

impl Known {
    /// True where the provider may have more keys than are known: it was not asked yet, is being
    /// asked, or could not be asked.
    pub(super) fn is_behind(&self) -> bool {
        self.ended == 0 || self.is_fetching || self.is_failing
    }

    fn end(&mut self, is_failing: bool) {
        self.ended = self.ended.saturating_add(1);
        self.is_fetching = false;
        self.is_failing = is_failing;
    }
}

/// Nine tenths of the time for which keys hold: what the provider says, between
/// [`REFRESH_LEAST`] and `most`.
pub(super) fn until_refresh(fresh: Option<Duration>, most: Duration) -> Duration {
    let holds = fresh.unwrap_or(most).max(REFRESH_LEAST).min(most);
    holds.saturating_sub(holds / 10)
}

/// The time from the latest of so many failures to the next fetch.
pub(super) fn until_retry(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1).min(16)).unwrap_or(u32::MAX);
    RETRY_LEAST.saturating_mul(doubled).min(RETRY_MOST)
}
