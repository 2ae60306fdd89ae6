//! The servers that plugins ask and send to, in this process: the costs of an exchange with one
//! are those of both sides, without a system call.

use std::time::Duration;

use bartizan_net::{ConnectError, Reach, Target, Task, UpstreamIo};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Where the server is, for entries that name one.
pub(crate) const SERVER: &str = "127.0.0.1:9";
/// The port of what takes everything.
pub(crate) const SINK: &str = "9";

/// Bytes that a stream holds in each direction.
const STREAM_SIZE: usize = 64 * 1_024;
/// What every request is answered: it allows, and every token is good.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-User: alice\r\n\
    Content-Length: 54\r\n\r\n{\"active\":true,\"aud\":\"orders\",\"result\":{\"allow\":true}}";

/// Everything is near.
#[derive(Debug)]
pub(crate) struct Near;

/// Answers requests; of other streams it takes what comes.
async fn serve(mut io: DuplexStream) {
    let mut received = Vec::with_capacity(8_192);
    loop {
        while let Some(length) = request_length(&received) {
            received.drain(..length);
            if io.write_all(ANSWER).await.is_err() {
                return;
            }
        }
        let is_http = received.first().is_none_or(u8::is_ascii_uppercase);
        if !is_http {
            received.clear();
        }
        if !matches!(io.read_buf(&mut received).await, Ok(1..)) {
            return;
        }
    }
}

/// The length of the first request, once all of it is there.
fn request_length(received: &[u8]) -> Option<usize> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(received.get(..end)?).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let length = end + length.unwrap_or(0);
    (received.len() >= length).then_some(length)
}

impl Reach for Near {
    fn connect<'a>(
        &'a self,
        _target: &'a Target,
        _limit: Duration,
    ) -> Task<'a, Result<UpstreamIo, ConnectError>> {
        let (near, far) = tokio::io::duplex(STREAM_SIZE);
        tokio::task::spawn_local(serve(far));
        Box::pin(std::future::ready(Ok(UpstreamIo::Virtual(near))))
    }

    fn send_datagrams<'a>(
        &'a self,
        _target: &'a Target,
        _datagrams: &'a [Bytes],
        _limit: Duration,
    ) -> Task<'a, Result<(), ConnectError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn spawn(&self, task: Task<'static, ()>) {
        tokio::task::spawn_local(task);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task<'static, ()> {
        work();
        Box::pin(std::future::ready(()))
    }
}
