//! A panic ends one request, not the worker.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// The future panicked.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Runs a future; a panic inside it comes out as an error.
///
/// The future is pinned by the caller: it is large, and moving it here would copy it. What it borrowed may be half changed. The caller uses only what it can judge anew, and
/// closes the connection.
pub(crate) async fn contain<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, Panicked> {
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_nothing_else() {
        assert!(contain(pin!(async { panic!("contained") })).await.is_err());
        assert_eq!(contain(pin!(async { 7 })).await.unwrap(), 7);
    }
}
