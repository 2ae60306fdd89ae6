//! Requests that a plugin holds back: never too many, never too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bartizan_chain::CompileCx;
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason};

/// The requests that one plugin of one resource holds back, on all workers.
#[derive(Debug)]
pub(crate) struct Waiters {
    waiting: AtomicU32,
    most: u32,
    /// The longest that one may wait.
    pub(crate) longest: Duration,
}

/// As many requests are held back as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

impl From<Crowded> for Denial {
    fn from(_: Crowded) -> Self {
        Self::new(Reason::TooManyWaiting, Crowded::CAUSE)
    }
}

impl Crowded {
    /// The cause, by the name of the limit.
    pub(crate) const CAUSE: &'static str =
        "as many requests are held back as `limits.delayed` allows";
}

impl Waiters {
    /// Those of the plugin that compiles; they outlive a reload.
    pub(crate) fn of(cx: &CompileCx<'_>) -> Arc<Self> {
        let limits = &cx.node.limits;
        cx.state("waiters", || Self::new(limits.delayed, limits.delay.0))
    }

    fn new(most: u32, longest: Duration) -> Self {
        Self { waiting: AtomicU32::new(0), most, longest }
    }

    /// Refuses a configured wait that is longer than any may be.
    pub(crate) fn admit(&self, wait: Duration) -> Result<Duration, Invalid> {
        if wait <= self.longest {
            return Ok(wait);
        }
        let problem = format!("{wait:?} are more than `limits.delay` allows");
        Err(Invalid::new(problem).with_help(format!("at most {:?}", self.longest)))
    }

    /// Waits, unless too many do so already.
    pub(crate) async fn wait(&self, wait: Duration) -> Result<(), Crowded> {
        if wait.is_zero() {
            return Ok(());
        }
        let _place = self.enter()?;
        // Boxed, so that requests which do not wait carry nothing of it.
        Box::pin(tokio::time::sleep(wait.min(self.longest))).await;
        Ok(())
    }

    /// Holds a request back until `work` ends, but for no longer than `most`; nothing where it did
    /// not end in time.
    pub(crate) async fn hold<T>(
        &self,
        most: Duration,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, Crowded> {
        let _place = self.enter()?;
        Ok(tokio::time::timeout(most.min(self.longest), work).await.ok())
    }

    fn enter(&self) -> Result<Place<'_>, Crowded> {
        let more = |waiting: u32| waiting.checked_add(1).filter(|waiting| *waiting <= self.most);
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map(|_| Place(&self.waiting))
            .map_err(|_| Crowded)
    }
}

/// A place among those who wait; left when this is dropped, also by a client that goes away.
struct Place<'a>(&'a AtomicU32);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_left_again() {
        let waiters = Waiters::new(2, Duration::from_secs(1));
        let (one, two) = (waiters.enter().unwrap(), waiters.enter().unwrap());
        assert_eq!(waiters.enter().err(), Some(Crowded));
        drop(one);
        let three = waiters.enter().unwrap();
        drop((two, three));
        assert_eq!(waiters.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_wait_ends_and_one_that_is_dropped_leaves_its_place() {
        bartizan_testkit::run(async {
            let waiters = Waiters::new(1, Duration::from_secs(5));
            let begin = tokio::time::Instant::now();
            waiters.wait(Duration::from_secs(3)).await.unwrap();
            assert_eq!(begin.elapsed(), Duration::from_secs(3));
            waiters.wait(Duration::from_secs(60)).await.unwrap();
            assert_eq!(begin.elapsed(), Duration::from_secs(8), "never longer than the limit");

            let long = waiters.wait(Duration::from_secs(3));
            assert!(tokio::time::timeout(Duration::from_secs(1), long).await.is_err());
            assert_eq!(waiters.waiting.load(Ordering::Relaxed), 0);
        });
    }
}
