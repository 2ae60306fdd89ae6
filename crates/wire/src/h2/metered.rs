//! The stream beneath HTTP/2, with the meters on it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::meter::{ClientMeter, Flood, MeterLimits, ServerMeter};

/// Tells, after a connection has ended, whether and by what it was flooded: the HTTP/2 library
/// takes the stream and gives back an error that does not say.
#[derive(Clone, Debug, Default)]
pub struct FloodWatch(Arc<OnceLock<Flood>>);

impl FloodWatch {
    /// The flood that ended the connection, if one did.
    pub fn flood(&self) -> Option<Flood> {
        self.0.get().copied()
    }
}

/// A server's stream that fails, for good, at the first frame over a limit. The error carries the
/// [`Flood`]; frames before it in the same read are lost with the connection.
#[derive(Debug)]
pub struct MeteredIo<T> {
    io: T,
    meters: Meters,
}

#[derive(Debug)]
struct Meters {
    start: Instant,
    client: ClientMeter,
    server: ServerMeter,
    watch: FloodWatch,
}

impl<T> MeteredIo<T> {
    /// Puts the meters on a stream from which nothing has been read yet.
    pub fn new(io: T, limits: MeterLimits) -> Self {
        let meters = Meters {
            start: Instant::now(),
            client: ClientMeter::new(limits),
            server: ServerMeter::new(limits),
            watch: FloodWatch::default(),
        };
        Self { io, meters }
    }

    /// What tells afterwards whether there was a flood.
    pub fn watch(&self) -> FloodWatch {
        self.meters.watch.clone()
    }
}

impl Meters {
    fn check(&self) -> io::Result<()> {
        self.watch.flood().map_or(Ok(()), |flood| Err(flood_error(flood)))
    }

    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fed = self.client.feed(bytes, elapsed(self.start));
        self.judge(fed)
    }

    /// The server's bytes that were accepted, which may be cut anywhere among the slices.
    fn wrote(&mut self, slices: &[IoSlice<'_>], mut accepted: usize) -> io::Result<()> {
        for slice in slices {
            let bytes = slice.get(..accepted).unwrap_or(slice);
            accepted -= bytes.len();
            let fed = self.server.feed(bytes, elapsed(self.start));
            self.judge(fed)?;
        }
        Ok(())
    }

    fn judge(&self, fed: Result<(), Flood>) -> io::Result<()> {
        fed.map_err(|flood| {
            // The first flood is the one that counts.
            let _ = self.watch.0.set(flood);
            flood_error(flood)
        })
    }
}

fn elapsed(start: Instant) -> impl Fn() -> Duration {
    move || start.elapsed()
}

fn flood_error(flood: Flood) -> io::Error {
    io::Error::other(flood)
}

impl<T: AsyncRead + Unpin> AsyncRead for MeteredIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.meters.check()?;
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        Poll::Ready(self.meters.read(new))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for MeteredIo<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.meters.check()?;
        let io = Pin::new(&mut self.io);
        let written = match bufs {
            [one] => ready!(io.poll_write(cx, one))?,
            several => ready!(io.poll_write_vectored(cx, several))?,
        };
        self.meters.wrote(bufs, written)?;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
