//! Entries over TCP, TLS and UDP.

use std::sync::Arc;
use std::time::Duration;

use bartizan_net::{ConnectError, Reach, Target, Task, UpstreamIo};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use crate::observe::batch::{Deliver, Undelivered};

/// The longest datagram (RFC 768: the length is 16 bits, less the headers of UDP and IPv4).
const DATAGRAM_MAX: usize = 65_507;

/// How the receiver knows where an entry ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// At the end of its line; no entry has a line end in it.
    Line,
    /// By its length in front of it (RFC 6587 §3.4.1).
    Counted,
}

/// Sends each batch on a connection of its own, so that nothing is written to one that the receiver
/// has closed long ago.
pub(crate) struct Stream {
    pub(crate) reach: Arc<dyn Reach>,
    pub(crate) target: Target,
    pub(crate) timeout: Duration,
    pub(crate) framing: Framing,
}

impl Stream {
    async fn send(&self, batch: &[Bytes]) -> Result<(), Undelivered> {
        let deadline = Instant::now() + self.timeout;
        let mut io = self
            .reach
            .connect(&self.target, self.timeout)
            .await
            .map_err(|error| Undelivered::new(&error))?;
        timeout_at(deadline, write(&mut io, batch, self.framing))
            .await
            .map_err(|_| Undelivered::new(&format!("{} takes nothing", self.target.host)))?
            .map_err(|error| Undelivered::new(&error))
    }
}

async fn write(io: &mut UpstreamIo, batch: &[Bytes], framing: Framing) -> std::io::Result<()> {
    let mut out = Vec::with_capacity(batch.iter().map(|entry| entry.len() + 8).sum());
    for entry in batch {
        if framing == Framing::Counted {
            out.extend_from_slice(entry.len().to_string().as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(entry);
        if framing == Framing::Line {
            out.push(b'\n');
        }
    }
    io.write_all(&out).await?;
    io.flush().await?;
    io.shutdown().await
}

impl Deliver for Stream {
    fn deliver<'a>(&'a mut self, batch: &'a [Bytes]) -> Task<'a, Result<usize, Undelivered>> {
        Box::pin(async move { self.send(batch).await.map(|()| 0) })
    }
}

/// Sends each entry as a datagram. What is longer than one can be is left out.
pub(crate) struct Datagrams {
    pub(crate) reach: Arc<dyn Reach>,
    pub(crate) target: Target,
    pub(crate) timeout: Duration,
}

impl Deliver for Datagrams {
    fn deliver<'a>(&'a mut self, batch: &'a [Bytes]) -> Task<'a, Result<usize, Undelivered>> {
        Box::pin(async move {
            let fits = |entry: &&Bytes| entry.len() <= DATAGRAM_MAX;
            let fitting: Vec<Bytes> = batch.iter().filter(fits).cloned().collect();
            let sent: Result<(), ConnectError> =
                self.reach.send_datagrams(&self.target, &fitting, self.timeout).await;
            sent.map(|()| batch.len() - fitting.len()).map_err(|error| Undelivered::new(&error))
        })
    }
}
