//! One direction of a WebSocket: what one side sends, checked and passed on to the other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bartizan_wire::{FrameFault, FrameFollower, FramesOf, ReservedBits, close_frame};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::outbox::Outbox;
use crate::piece::Scratch;

/// After so many reads, other connections have their turn.
const TURN_MAX: usize = 16;

/// Why a direction may not go on.
pub(super) enum Fault {
    /// Its sender's connection broke.
    Source(io::Error),
    /// Its receiver's connection broke.
    Target(io::Error),
    /// Its sender broke the protocol.
    Frames(FrameFault),
}

/// The two ends of a direction, and what is between them.
pub(super) struct Ends<'a, S, T> {
    pub(super) source: &'a mut S,
    /// What the source has sent already.
    pub(super) received: &'a mut BytesMut,
    /// What the target is still to take.
    pub(super) out: &'a mut Outbox,
    pub(super) target: &'a mut T,
    pub(super) scratch: &'a Scratch,
}

/// How both are told that it is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goodbye {
    pub(super) code: u16,
    pub(super) mask: [u8; 4],
}

/// One direction. More is read only when the receiver has taken what there was, so that one buffer
/// of the worker is the most that ever waits here.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for by name")]
pub(super) struct Way {
    of: FramesOf,
    follower: FrameFollower,
    /// Bytes that were passed on.
    pub(super) passed: u64,
    /// Bytes that were read.
    pub(super) read: u64,
    /// Since when the receiver has taken nothing of this much that waits for it.
    stalled: Option<(Instant, usize)>,
    /// The sender has ended.
    is_ended: bool,
    /// The receiver knows that nothing more comes: what the sender still says is dropped.
    is_told: bool,
    /// The receiver's side of the connection was ended.
    is_shut: bool,
    must_flush: bool,
}

impl Way {
    pub(super) fn new(of: FramesOf, reserved: ReservedBits, max: u64) -> Self {
        Self {
            of,
            follower: FrameFollower::new(of, reserved, max),
            passed: 0,
            read: 0,
            stalled: None,
            is_ended: false,
            is_told: false,
            is_shut: false,
            must_flush: false,
        }
    }

    /// True once the sender has said that it closes.
    pub(super) fn has_closed(&self) -> bool {
        self.follower.has_closed()
    }

    /// True once nothing more can come this way, and the receiver knows.
    pub(super) fn is_over(&self) -> bool {
        self.is_ended && self.is_shut
    }

    /// Since when the receiver has taken nothing, though something waits for it.
    pub(super) fn stalled_since(&mut self, waiting: usize) -> Option<Instant> {
        if waiting == 0 {
            self.stalled = None;
        } else if self.stalled.is_none_or(|(_, before)| before != waiting) {
            self.stalled = Some((Instant::now(), waiting));
        }
        self.stalled.map(|(since, _)| since)
    }

    /// Passes on what there is. With a goodbye, no more than the rest of the present frame.
    pub(super) fn poll<S, T>(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_, S, T>,
        goodbye: Option<Goodbye>,
    ) -> Result<(), Fault>
    where
        S: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        for _ in 0..TURN_MAX {
            if !ends.out.is_empty() {
                self.must_flush = true;
                if ends.out.poll_drain(cx, ends.target).map_err(Fault::Target)?.is_pending() {
                    return Ok(());
                }
            }
            if let Some(goodbye) = goodbye.filter(|_| self.may_tell()) {
                self.is_told = true;
                if !self.follower.has_closed() {
                    let frame = close_frame(self.of, goodbye.code, goodbye.mask);
                    ends.out.bytes().extend_from_slice(&frame);
                    continue;
                }
            }
            if (self.is_ended || self.is_told) && !self.is_shut {
                // Whoever is gone already need not be told.
                if Pin::new(&mut *ends.target).poll_shutdown(cx).is_pending() {
                    return Ok(());
                }
                self.is_shut = true;
            }
            if self.is_ended || self.take(cx, ends, goodbye.is_some())?.is_pending() {
                return self.flush(cx, ends.target);
            }
        }
        // There may be more, after the others.
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// A control frame of ours may stand between two frames only.
    fn may_tell(&self) -> bool {
        !self.is_told && !self.is_ended && self.follower.left() == 0
    }

    /// Takes what the sender has sent.
    fn take<S, T>(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_, S, T>,
        is_ending: bool,
    ) -> Result<Poll<()>, Fault>
    where
        S: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        if !ends.received.is_empty() {
            let data = ends.received.split();
            return self.pass(cx, ends, &data, is_ending).map(Poll::Ready);
        }
        let scratch = ends.scratch;
        let scratch = &mut *scratch.0.borrow_mut();
        let mut buf = ReadBuf::new(scratch);
        match Pin::new(&mut *ends.source).poll_read(cx, &mut buf) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(read) => read.map_err(Fault::Source)?,
        }
        if buf.filled().is_empty() {
            self.is_ended = true;
            return Ok(Poll::Ready(()));
        }
        self.pass(cx, ends, buf.filled(), is_ending).map(Poll::Ready)
    }

    fn pass<S, T>(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_, S, T>,
        data: &[u8],
        is_ending: bool,
    ) -> Result<(), Fault>
    where
        T: AsyncWrite + Unpin,
    {
        self.read = self.read.wrapping_add(data.len() as u64);
        if self.is_told {
            return Ok(());
        }
        let left = usize::try_from(self.follower.left()).unwrap_or(usize::MAX);
        let end = if is_ending { left.min(data.len()) } else { data.len() };
        let data = data.get(..end).unwrap_or_default();
        let followed = self.follower.follow(data);
        let ahead = followed.ahead.as_slice();
        let through = data.get(..followed.through).unwrap_or_default();
        self.passed = self.passed.saturating_add((ahead.len() + through.len()) as u64);
        ends.out.bytes().extend_from_slice(ahead);
        if !through.is_empty() {
            self.must_flush = true;
            ends.out.send(cx, ends.target, through).map_err(Fault::Target)?;
        }
        followed.fault.map_or(Ok(()), |fault| Err(Fault::Frames(fault)))
    }

    fn flush<T: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut T,
    ) -> Result<(), Fault> {
        if self.must_flush && !self.is_shut {
            match Pin::new(target).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.must_flush = false,
                Poll::Ready(Err(error)) => return Err(Fault::Target(error)),
                Poll::Pending => {}
            }
        }
        Ok(())
    }
}
