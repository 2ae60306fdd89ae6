//! Bytes on their way out of a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use crate::splice::{Follows, poll_send};

/// What is kept of an emptied outbox, so that idle connections hold no buffers.
const KEPT_MAX: usize = 4_096;

/// What was sent is dropped when there is this much of it, though more waits.
const SENT_MAX: usize = 65_536;

/// Up to this much is copied behind what waits, rather than sent beside it.
const COPIED_MAX: usize = 4_096;

/// Bytes that a connection has still to send, after which more may follow directly.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    /// Whether anything of the present answer has left.
    has_begun: bool,
}

impl Outbox {
    /// True if nothing of the present answer has left.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.has_begun
    }

    /// What was sent so far is no part of the next answer.
    pub(crate) fn renew(&mut self) {
        self.has_begun = false;
    }

    /// Forgets what has not left.
    pub(crate) fn discard(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }

    /// Where to append.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Bytes still to send.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    fn pending(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.has_begun |= count > 0;
        self.sent = (self.sent + count).min(self.bytes.len());
        if self.is_empty() {
            self.sent = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT_MAX {
                self.bytes = Vec::new();
            }
        } else if self.sent >= SENT_MAX && self.sent >= self.len() {
            // A slow reader may never empty the outbox: what it has read is not kept for it. More
            // is dropped than is moved, so that a byte is moved once on average.
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Sends what waits.
    pub(crate) fn poll_drain<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut W,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let count = ready!(Pin::new(&mut *io).poll_write(cx, self.pending()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what waits on a socket.
    pub(crate) fn poll_drain_socket(
        &mut self,
        cx: &mut Context<'_>,
        target: &TcpStream,
        follows: Follows,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let count = ready!(poll_send(cx, target, self.pending(), follows))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what waits and then `data`, without copying more of it than the peer will not take
    /// now. All of `data` is dealt with when this returns, sent or put into the outbox.
    pub(crate) fn send<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut W,
        data: &[u8],
    ) -> io::Result<()> {
        if !self.is_empty() && data.len() <= COPIED_MAX {
            // One plain write of one buffer costs less than gathering two.
            self.bytes.extend_from_slice(data);
            return match self.poll_drain(cx, io) {
                Poll::Ready(Err(error)) => Err(error),
                _ => Ok(()),
            };
        }
        let taken = {
            let slices = [IoSlice::new(self.pending()), IoSlice::new(data)];
            let slices = if self.is_empty() { slices.get(1..) } else { slices.get(..) };
            match Pin::new(&mut *io).poll_write_vectored(cx, slices.unwrap_or_default()) {
                Poll::Ready(Ok(0)) if !data.is_empty() => {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                Poll::Ready(Ok(count)) => count,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => 0,
            }
        };
        let waiting = self.len();
        self.has_begun |= taken > 0;
        self.advance(taken.min(waiting));
        let rest = data.get(taken.saturating_sub(waiting)..).unwrap_or_default();
        self.bytes.extend_from_slice(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_a_slow_reader_has_taken_is_not_kept() {
        let (mut near, mut far) = tokio::io::duplex(1_000);
        let mut outbox = Outbox::default();
        outbox.bytes().extend(std::iter::repeat_n(7, 200_000));
        let mut taken = [0; 1_000];
        for _ in 0..2_000 {
            let _ = std::future::poll_fn(|cx| Poll::Ready(outbox.poll_drain(cx, &mut near))).await;
            far.read_exact(&mut taken).await.unwrap();
            outbox.bytes().extend_from_slice(&[7; 1_000]);
            // Gives the task its budget back, without which a write may be put off for ever.
            tokio::task::yield_now().await;
        }
        assert!(outbox.bytes.len() < 600_000, "{} bytes are held", outbox.bytes.len());
    }

    #[tokio::test]
    async fn order_is_kept_whatever_the_peer_takes_at_once() {
        let (mut near, mut far) = tokio::io::duplex(7);
        let mut outbox = Outbox::default();
        outbox.bytes().extend_from_slice(b"head ");
        let sending = async {
            std::future::poll_fn(|cx| {
                outbox.send(cx, &mut near, b"and a longer body")?;
                Poll::Ready(Ok::<_, io::Error>(()))
            })
            .await
            .unwrap();
            std::future::poll_fn(|cx| outbox.poll_drain(cx, &mut near)).await.unwrap();
            drop(near);
        };
        let mut received = String::new();
        let receiving = far.read_to_string(&mut received);
        let ((), read) = tokio::join!(sending, receiving);
        read.unwrap();
        assert_eq!(received, "head and a longer body");
        assert!(outbox.is_empty());
    }
}
