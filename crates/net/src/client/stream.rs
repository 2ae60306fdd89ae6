//! Answers that are read while they come, such as those that tell changes as long as the connection
//! lasts.

use std::time::Duration;

use bartizan_wire::{BodyReader, ConnectionUse};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::talk::{Heads, READ};
use super::{Call, CallError, Client, Endpoint, head_of};
use crate::UpstreamIo;

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct Streamed {
    io: UpstreamIo,
    status: StatusCode,
    reader: BodyReader,
    received: BytesMut,
}

impl Client {
    /// Sends a call and waits, for at most `time`, for the head of its answer. The body is read
    /// without limits of time and length: whoever reads it has them.
    pub async fn open(
        &self,
        to: &Endpoint,
        call: &Call<'_>,
        time: Duration,
    ) -> Result<Streamed, CallError> {
        let _waiting = self.admit()?;
        let deadline = Instant::now() + time;
        timeout_at(deadline, self.open_by(to, call, deadline))
            .await
            .unwrap_or(Err(CallError::Timeout(time)))
    }

    async fn open_by(
        &self,
        to: &Endpoint,
        call: &Call<'_>,
        deadline: Instant,
    ) -> Result<Streamed, CallError> {
        let mut request = head_of(to, call, ConnectionUse::Close)?;
        request.extend_from_slice(call.body);
        let left = deadline.saturating_duration_since(Instant::now());
        let mut io = self.reach.connect(&to.target, left).await?;
        let closed = |error: std::io::Error| CallError::Closed(error.to_string());
        io.write_all(&request).await.map_err(closed)?;
        io.flush().await.map_err(closed)?;
        let (mut received, mut heads) = (BytesMut::new(), Heads::default());
        let head = loop {
            if let Some(head) = heads.next(&mut received, &self.head, call.method)? {
                break head;
            }
            received.reserve(READ);
            if io.read_buf(&mut received).await.map_err(closed)? == 0 {
                let cause = "the server closed before it had answered";
                return Err(CallError::Closed(cause.to_owned()));
            }
        };
        let reader = BodyReader::new(head.body, self.chunks);
        Ok(Streamed { io, status: head.status, reader, received })
    }
}

impl Streamed {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The next part of the body; `None` at its end. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        loop {
            while !self.reader.is_done() && !self.received.is_empty() {
                let taken = self
                    .reader
                    .take(&self.received)
                    .map_err(|fault| CallError::Malformed(fault.detail))?;
                let data = self.received.get(taken.data).unwrap_or_default();
                let data = Bytes::copy_from_slice(data);
                let consumed = taken.consumed.min(self.received.len());
                drop(self.received.split_to(consumed));
                if !data.is_empty() {
                    return Ok(Some(data));
                }
                if consumed == 0 {
                    break;
                }
            }
            if self.reader.is_done() {
                return Ok(None);
            }
            self.received.reserve(READ);
            let read = self.io.read_buf(&mut self.received).await;
            let closed = |error: std::io::Error| CallError::Closed(error.to_string());
            if read.map_err(closed)? == 0 {
                let ended = self.reader.end();
                return ended
                    .map(|()| None)
                    .map_err(|fault| CallError::Closed(fault.detail.to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bartizan_core::Limits;
    use bartizan_wire::Fields;
    use http::Method;
    use tokio::net::TcpListener;
    use tokio::runtime::Handle;

    use super::*;
    use crate::{EgressPolicy, Network, Url};

    const TIME: Duration = Duration::from_secs(20);

    /// What comes of a call to a server that sends these pieces, each once the one before was read.
    async fn answer(pieces: &'static [&'static str]) -> (Result<Vec<String>, CallError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/watch", listener.local_addr().unwrap());
        let (read, mut may_send) = tokio::sync::mpsc::channel::<()>(1);
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1_024];
            let length = socket.read(&mut request).await.unwrap();
            for piece in pieces {
                socket.write_all(piece.as_bytes()).await.unwrap();
                // Closed: the client has given up.
                if may_send.recv().await.is_none() {
                    break;
                }
            }
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let policy = EgressPolicy { own: Vec::new(), danger_allow_link_local: false };
        let reach = Arc::new(Network::new(Handle::current(), policy));
        let client = Client::new(reach, &Limits::default());
        let endpoint = Endpoint::new(&Url::parse(&url).unwrap(), None).unwrap();
        let fields = Fields::new();
        let call =
            Call { method: &Method::POST, target: "/watch", fields: &fields, body: b"{\"a\":1}" };
        let told = async {
            let mut streamed = client.open(&endpoint, &call, TIME).await?;
            read.send(()).await.unwrap();
            let mut parts = vec![streamed.status().as_u16().to_string()];
            while let Some(part) = streamed.next().await? {
                parts.push(String::from_utf8_lossy(&part).into_owned());
                let _ = read.send(()).await;
            }
            Ok(parts)
        };
        let told = tokio::time::timeout(TIME, told).await.unwrap();
        drop(read);
        (told, server.await.unwrap())
    }

    #[tokio::test]
    async fn parts_are_told_when_they_come() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let pieces: &[&str] =
            Box::leak(Box::new([head, "3\r\nabc\r\n", "2\r\nde\r\n", "0\r\n\r\n"]));
        let (told, request) = answer(pieces).await;
        assert_eq!(told.unwrap(), ["200", "abc", "de"]);
        assert!(request.starts_with("POST /watch HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
    }

    #[tokio::test]
    async fn an_end_before_the_end_and_what_is_no_answer_are_errors() {
        let cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc";
        let (told, _) = answer(Box::leak(Box::new([cut]))).await;
        assert!(matches!(told, Err(CallError::Closed(_))), "{told:?}");
        let (told, _) = answer(Box::leak(Box::new([
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ])))
        .await;
        assert!(matches!(told, Err(CallError::Malformed(_))), "{told:?}");
    }
}
