//! HTTP/1.1 as far as tests need it (RFC 9112), apart from the gateway's own codec.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest head and longest body that a test exchanges.
const MESSAGE_MAX: usize = 64 * 1024 * 1024;

/// Room that is made for each read.
const READ_MIN: usize = 16 * 1024;

/// A message as it was received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) start: String,
    /// Names in lower case; bytes outside of UTF-8 are replaced.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// The head, byte by byte.
    pub(crate) head: Vec<u8>,
}

impl Message {
    /// The only value of a field; panics where there are several.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(own, _)| own == name);
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "`{name}` occurs more than once: {:?}", self.fields);
        first
    }
}

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Fixed(usize),
    Chunked,
    UntilClose,
}

/// The length of a request's body.
pub(crate) fn request_length(message: &Message) -> Length {
    declared(message).unwrap_or(Length::Fixed(0))
}

/// The length of a response's body, to a request of this method.
pub(crate) fn response_length(message: &Message, method: &str) -> Length {
    let status = status(message);
    if method == "HEAD" || status < 200 || matches!(status, 204 | 304) {
        return Length::Fixed(0);
    }
    declared(message).unwrap_or(Length::UntilClose)
}

fn declared(message: &Message) -> Option<Length> {
    if message.field("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked")) {
        return Some(Length::Chunked);
    }
    let length = message.field("content-length")?;
    Some(Length::Fixed(length.parse().unwrap_or_else(|_| panic!("no length: `{length}`"))))
}

/// The status of a response; 0 where there is none.
pub(crate) fn status(message: &Message) -> u16 {
    message.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// Reads messages from a stream.
pub(crate) struct Inbox {
    pub(crate) received: Vec<u8>,
    is_closed: bool,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { received: Vec::new(), is_closed: false }
    }

    /// The next head; `None` where the stream ends before there is a whole one.
    pub(crate) async fn head(&mut self, io: &mut (impl AsyncRead + Unpin)) -> Option<Message> {
        let end = loop {
            if let Some(at) = find(&self.received, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill(io).await {
                return None;
            }
        };
        let head: Vec<u8> = self.received.drain(..end).collect();
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let start = lines.next().unwrap_or_default().to_owned();
        Some(Message { start, fields: lines.map(field).collect(), head, ..Message::default() })
    }

    /// The body of a message whose head was read; false where the stream ended before it did.
    pub(crate) async fn body(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        message: &mut Message,
        length: Length,
    ) -> bool {
        match length {
            Length::Fixed(length) => {
                while self.received.len() < length && self.fill(io).await {}
                let end = length.min(self.received.len());
                message.body = self.received.drain(..end).collect();
                message.body.len() == length
            }
            Length::UntilClose => {
                while self.fill(io).await {}
                message.body = std::mem::take(&mut self.received);
                true
            }
            Length::Chunked => self.chunks(io, message).await.is_some(),
        }
    }

    async fn chunks(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        message: &mut Message,
    ) -> Option<()> {
        loop {
            let line = self.line(io).await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).ok()?;
            if size == 0 {
                break;
            }
            while self.received.len() < size + 2 {
                if !self.fill(io).await {
                    let rest = self.received.len().min(size);
                    message.body.extend(self.received.drain(..rest));
                    return None;
                }
            }
            message.body.extend(self.received.drain(..size));
            assert_eq!(self.received.drain(..2).collect::<Vec<_>>(), b"\r\n", "the end of a chunk");
        }
        loop {
            let line = self.line(io).await?;
            if line.is_empty() {
                return Some(());
            }
            message.trailers.push(field(&line));
        }
    }

    async fn line(&mut self, io: &mut (impl AsyncRead + Unpin)) -> Option<String> {
        loop {
            if let Some(at) = find(&self.received, b"\r\n") {
                let line: Vec<u8> = self.received.drain(..at + 2).take(at).collect();
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            if !self.fill(io).await {
                return None;
            }
        }
    }

    /// Reads what there is; false at the end of the stream.
    pub(crate) async fn fill(&mut self, io: &mut (impl AsyncRead + Unpin)) -> bool {
        assert!(self.received.len() < MESSAGE_MAX, "a message without an end");
        if self.is_closed {
            return false;
        }
        self.received.reserve(READ_MIN);
        // A peer that breaks off is at its end.
        let read = io.read_buf(&mut self.received).await.unwrap_or(0);
        self.is_closed = read == 0;
        read > 0
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_ascii_lowercase(), value.trim().to_owned())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
