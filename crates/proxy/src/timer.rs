//! One timer per connection, moved lazily.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep};

/// A timer that is armed once and looked at again when it fires, so that progress costs no timer
/// operation.
#[derive(Debug)]
pub(crate) struct Timer(Pin<Box<Sleep>>);

impl Timer {
    pub(crate) fn new(due: Instant) -> Self {
        Self(Box::pin(tokio::time::sleep_until(due)))
    }

    /// Ready once `due` has passed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        if self.0.deadline() > due {
            self.0.as_mut().reset(due);
        }
        loop {
            // Outside of the task's budget: who sends without a pause must not stop the clock.
            ready!(pin!(unconstrained(self.0.as_mut())).poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(due);
        }
    }

    /// Runs `future` until it is done or `due` has passed.
    pub(crate) async fn bound<F: Future>(&mut self, due: Instant, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            self.poll(cx, due).map(|()| None)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_fires_when_its_last_due_time_has_passed() {
        let start = Instant::now();
        let mut timer = Timer::new(start + Duration::from_secs(60));
        let never = std::future::pending::<()>;
        assert!(timer.bound(start + Duration::from_secs(10), never()).await.is_none());
        assert_eq!(start.elapsed().as_secs(), 10);
        assert!(timer.bound(start + Duration::from_secs(90), never()).await.is_none());
        assert_eq!(start.elapsed().as_secs(), 90);
        assert_eq!(timer.bound(start + Duration::from_secs(91), async { 7 }).await, Some(7));
    }
}
