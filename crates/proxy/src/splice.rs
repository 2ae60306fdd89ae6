//! Bodies that pass from socket to socket inside the kernel, through a pipe, without being copied
//! into this process and out of it again.
//!
//! The system moves references to the received pages. What is in a pipe belongs to one answer:
//! a pipe goes back to the others only when it is empty, and an emptied one does so before the
//! task gives way, so that only clients that do not take what waits for them hold one.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Shorter bodies are copied, which costs less than the calls that moving them takes.
pub(crate) const LENGTH_MIN: u64 = 32 * 1_024;

/// What a pipe takes at once, at most: what a client that reads slowly has the system hold.
const HELD_MAX: usize = 256 * 1_024;

/// The size asked for. The system counts a slot of 4 KiB for each piece of memory, whatever its
/// length, and a network card may fill as little as one frame into each.
const SIZE: usize = 256 * 1_024;

/// Pipes that a worker has open, at most; each takes two descriptors.
const OPEN_MAX: usize = 64;

/// Empty pipes that a worker keeps.
const IDLE_MAX: usize = 8;

/// A pipe and how much is in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    held: usize,
    /// The system does not move bytes into it.
    is_unfit: bool,
    _open: Open,
}

/// Counts a pipe while it is open.
#[derive(Debug)]
struct Open(Rc<Cell<usize>>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Pipe {
    /// Bytes that were taken and not yet given on.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// True where the system has refused to move bytes at all, so that they are to be copied.
    pub(crate) fn is_unfit(&self) -> bool {
        self.is_unfit
    }

    /// Takes up to `max` bytes that `source` has received; zero is its end. Only an empty pipe is
    /// filled, since the system says of a full one what it says of a socket without data.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        source: &TcpStream,
        max: u64,
    ) -> Poll<io::Result<usize>> {
        let max = usize::try_from(max).map_or(HELD_MAX, |max| max.min(HELD_MAX));
        loop {
            ready!(source.poll_read_ready(cx))?;
            let filled = source.try_io(Interest::READABLE, || {
                Ok(splice(source, None, &self.into, None, max, SpliceFlags::NONBLOCK)?)
            });
            match filled {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.is_unfit = is_refusal(&error);
                    return Poll::Ready(Err(error));
                }
                Ok(count) => {
                    self.held = self.held.saturating_add(count);
                    return Poll::Ready(Ok(count));
                }
            }
        }
    }

    /// Gives some of what is held to `target`; how much it took.
    pub(crate) fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        target: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(target.poll_write_ready(cx))?;
            let drained = target.try_io(Interest::WRITABLE, || {
                Ok(splice(&self.out, None, target, None, self.held, SpliceFlags::NONBLOCK)?)
            });
            match drained {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.held = self.held.saturating_sub(count);
                    return Poll::Ready(Ok(count));
                }
            }
        }
    }
}

/// The pipes of a worker.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    idle: RefCell<Vec<Pipe>>,
    open: Rc<Cell<usize>>,
    /// The system has refused to move bytes; it is not asked again.
    is_refused: Cell<bool>,
}

impl Pipes {
    /// An empty pipe; `None` where the system or the worker's share gives no more, so that bytes
    /// are to be copied.
    pub(crate) fn take(&self) -> Option<Pipe> {
        if let Some(pipe) = self.idle.borrow_mut().pop() {
            return Some(pipe);
        }
        if self.is_refused.get() || self.open.get() >= OPEN_MAX {
            return None;
        }
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // Where the user's share of pipe memory is used up, a smaller one serves too.
        let _ = fcntl_setpipe_size(&into, SIZE);
        self.open.set(self.open.get().saturating_add(1));
        Some(Pipe { out, into, held: 0, is_unfit: false, _open: Open(self.open.clone()) })
    }

    /// Takes a pipe back. One that holds something is closed, and with it what it holds is gone.
    pub(crate) fn give(&self, pipe: Pipe) {
        if pipe.is_unfit {
            self.is_refused.set(true);
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if pipe.held == 0 && idle.len() < IDLE_MAX {
            idle.push(pipe);
        }
    }
}

/// True of what a system says that does not move bytes between sockets, or that may not.
fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::OPNOTSUPP];
    refusals.iter().any(|refusal| error.raw_os_error() == Some(refusal.raw_os_error()))
}

/// Whether something follows what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// It leaves as it is.
    Nothing,
    /// It waits for what follows, so that both leave together.
    AtOnce,
}

/// Sends `data` on a socket.
pub(crate) fn poll_send(
    cx: &mut Context<'_>,
    target: &TcpStream,
    data: &[u8],
    follows: Follows,
) -> Poll<io::Result<usize>> {
    let mut flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    flags.set(SendFlags::MORE, follows == Follows::AtOnce);
    loop {
        ready!(target.poll_write_ready(cx))?;
        let sent =
            target.try_io(Interest::WRITABLE, || Ok(rustix::net::send(target, data, flags)?));
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return Poll::Ready(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Two ends of one connection.
    async fn ends() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn no_more_is_taken_than_was_asked_for_and_it_arrives_in_order() {
        let ((mut upstream, mut source), (target, mut client)) = (ends().await, ends().await);
        let pipes = Pipes::default();
        let mut pipe = pipes.take().unwrap();
        upstream.write_all(b"a body and the next").await.unwrap();
        assert_eq!(poll_fn(|cx| pipe.poll_fill(cx, &source, 6)).await.unwrap(), 6);
        assert_eq!(pipe.held(), 6);
        let head = b"head ";
        let sent = poll_fn(|cx| poll_send(cx, &target, head, Follows::AtOnce)).await.unwrap();
        assert_eq!(sent, head.len());
        assert_eq!(poll_fn(|cx| pipe.poll_drain(cx, &target)).await.unwrap(), 6);
        assert_eq!(pipe.held(), 0);
        let mut received = [0; 11];
        client.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"head a body");
        drop(upstream);
        let mut rest = String::new();
        source.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, " and the next");
    }

    #[tokio::test]
    async fn the_end_of_the_source_is_none_of_its_bytes() {
        let (upstream, source) = ends().await;
        drop(upstream);
        let pipes = Pipes::default();
        let mut pipe = pipes.take().unwrap();
        assert_eq!(poll_fn(|cx| pipe.poll_fill(cx, &source, 100)).await.unwrap(), 0);
        assert_eq!((pipe.held(), pipe.is_unfit()), (0, false));
    }

    #[test]
    fn open_pipes_and_kept_ones_are_bounded_and_a_closed_one_makes_room() {
        let pipes = Pipes::default();
        let mut taken: Vec<Pipe> = std::iter::from_fn(|| pipes.take()).collect();
        assert_eq!((taken.len(), pipes.open.get()), (OPEN_MAX, OPEN_MAX));
        drop(taken.pop());
        taken.push(pipes.take().unwrap());
        for pipe in taken {
            pipes.give(pipe);
        }
        assert_eq!(pipes.open.get(), IDLE_MAX);
    }

    #[test]
    fn a_pipe_with_something_in_it_is_not_kept() {
        let pipes = Pipes::default();
        let mut pipe = pipes.take().unwrap();
        pipe.held = 1;
        pipes.give(pipe);
        assert_eq!((pipes.open.get(), pipes.idle.borrow().len()), (0, 0));
    }

    #[test]
    fn a_system_that_refuses_is_not_asked_again_and_a_broken_connection_is_no_refusal() {
        for (errno, refuses) in [
            (Errno::INVAL, true),
            (Errno::NOSYS, true),
            (Errno::CONNRESET, false),
            (Errno::AGAIN, false),
        ] {
            assert_eq!(is_refusal(&io::Error::from(errno)), refuses, "{errno}");
        }
        let pipes = Pipes::default();
        let mut pipe = pipes.take().unwrap();
        pipe.is_unfit = true;
        pipes.give(pipe);
        assert!(pipes.take().is_none());
    }
}
