//! What ends a call of gRPC that moves.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bartizan_core::{Clock, Denial, Reason, Timestamp};
use tokio::time::Instant;

use super::Exchange;
use crate::timer::Timer;

/// The caller's own time was over.
const OVER_GRPC_TIMEOUT: &str = "the exchange took longer than `grpc-timeout` says";

/// The node's was.
const OVER_GRPC_TIME: &str = "the call took longer than `limits.grpc_time`";

/// How often the wall clock is asked whether the credential has ended: it may be set, and stands
/// still where a machine sleeps.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// How long a call may go on, whatever its caller says of it.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// When it has lasted as long as any may.
    end: Instant,
    /// When the credential ends that it was made with.
    until: Option<Timestamp>,
    /// When that is looked at again; the end where there is nothing to look at.
    look: Instant,
    clock: Clock,
}

impl Bounds {
    pub(super) fn new(end: Instant, until: Option<Timestamp>, clock: &Clock) -> Self {
        let mut bounds = Self { end, until, look: end, clock: clock.clone() };
        bounds.look_again();
        bounds
    }

    fn look_again(&mut self) {
        let Some(until) = self.until else { return };
        // A millisecond more, so that a look is not before its time.
        let left = until.since(self.clock.now()) + Duration::from_millis(1);
        self.look = Instant::now() + left.min(LOOK_MAX);
    }

    fn has_expired(&self) -> bool {
        self.until.is_some_and(|until| self.clock.now() >= until)
    }
}

impl Exchange {
    /// Ready with the reason once the exchange must be over, whatever moves on it.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>, timer: &mut Timer) -> Poll<Denial> {
        loop {
            let Some(bounds) = &self.bounds else { return Poll::Pending };
            let due = self.deadline.into_iter().fold(bounds.end.min(bounds.look), Instant::min);
            ready!(timer.poll(cx, due));
            if let Some(denial) = self.ended() {
                return Poll::Ready(denial);
            }
        }
    }

    fn ended(&mut self) -> Option<Denial> {
        let bounds = self.bounds.as_mut()?;
        if bounds.has_expired() {
            let detail = "the credential that the call was made with has ended";
            return Some(Denial::new(Reason::ExpiredCredential, detail));
        }
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return Some(Denial::new(Reason::RequestTimeout, OVER_GRPC_TIMEOUT));
        }
        if now >= bounds.end {
            return Some(Denial::new(Reason::RequestTimeout, OVER_GRPC_TIME));
        }
        bounds.look_again();
        None
    }
}
