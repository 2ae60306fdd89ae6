//! A client that sends bytes and reads answers, by rules of its own rather than the gateway's.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;

/// What bytes go over: a socket, or TLS on one.
pub(crate) trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// One connection.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    /// The same socket, to close one direction of.
    socket: TcpStream,
    received: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// False where the connection ended before the body did.
    pub(crate) is_complete: bool,
}

impl Reply {
    /// The only value of a field.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(own, _)| own == name);
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "`{name}` twice: {:?}", self.fields);
        first
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The reason that a refusal names.
    pub(crate) fn reason(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) fn socket(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("a listener");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    socket.set_nodelay(true).expect("no delay");
    socket
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let socket = socket(address);
        let stream = socket.try_clone().expect("a second handle");
        Self::over(Box::new(stream), socket)
    }

    pub(crate) fn over(stream: Box<dyn Stream>, socket: TcpStream) -> Self {
        Self { stream, socket, received: Vec::new() }
    }

    /// Sends; a peer that has closed already is no failure, what it answered is looked at later.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
        let _ = self.stream.flush();
    }

    /// Sends and says whether the peer still takes it.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok() && self.stream.flush().is_ok()
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&self) {
        self.socket.shutdown(Shutdown::Write).expect("an open socket");
    }

    /// Where it comes from.
    pub(crate) fn local(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }

    /// A request without a body, and its answer.
    #[track_caller]
    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: api.test\r\n\r\n"));
        self.reply("GET")
    }

    /// The next answer, to a request of this method.
    #[track_caller]
    pub(crate) fn reply(&mut self, method: &str) -> Reply {
        self.try_reply(method).expect("an answer, not the end of the connection")
    }

    /// The next answer; none where the connection ends before there is one.
    #[track_caller]
    pub(crate) fn try_reply(&mut self, method: &str) -> Option<Reply> {
        loop {
            let reply = self.one_reply(method)?;
            if reply.status >= 200 {
                return Some(reply);
            }
        }
    }

    /// The next answer, which may be an informational one.
    #[track_caller]
    pub(crate) fn one_reply(&mut self, method: &str) -> Option<Reply> {
        while find(&self.received, b"\r\n\r\n").is_none() {
            if !self.fill() {
                let rest = String::from_utf8_lossy(&self.received).into_owned();
                assert!(self.received.is_empty(), "a part of a head: {rest}");
                return None;
            }
        }
        let end = find(&self.received, b"\r\n\r\n").expect("found before") + 4;
        let head: Vec<u8> = self.received.drain(..end).collect();
        let head = String::from_utf8(head).expect("a head of text");
        let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
        let first = lines.next().expect("a status line");
        assert!(first.starts_with("HTTP/1.1 "), "{first}");
        let status = first[9..12].parse().expect("a status");
        let fields: Vec<(String, String)> = lines.map(field).collect();
        let mut reply =
            Reply { status, fields, body: Vec::new(), trailers: Vec::new(), is_complete: true };
        if method != "HEAD" && status >= 200 && !matches!(status, 204 | 304) {
            self.body(&mut reply);
        }
        Some(reply)
    }

    fn body(&mut self, reply: &mut Reply) {
        let coding = reply.field("transfer-encoding").map(str::to_owned);
        let length = reply.field("content-length").map(str::to_owned);
        match (coding, length) {
            (Some(coding), None) => {
                assert_eq!(coding, "chunked");
                reply.is_complete = self.chunks(reply).is_some();
            }
            (None, Some(length)) => {
                let length: usize = length.parse().expect("a length");
                while self.received.len() < length && self.fill() {}
                reply.is_complete = self.received.len() >= length;
                let end = length.min(self.received.len());
                reply.body = self.received.drain(..end).collect();
            }
            (None, None) => {
                while self.fill() {}
                reply.body = std::mem::take(&mut self.received);
            }
            (Some(_), Some(_)) => panic!("an answer with two lengths: {:?}", reply.fields),
        }
    }

    fn chunks(&mut self, reply: &mut Reply) -> Option<()> {
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).expect("a chunk's size");
            if size == 0 {
                break;
            }
            while self.received.len() < size + 2 {
                if !self.fill() {
                    return None;
                }
            }
            reply.body.extend(self.received.drain(..size));
            assert_eq!(self.line()?, "", "the end of a chunk");
        }
        loop {
            match self.line()? {
                line if line.is_empty() => return Some(()),
                line => reply.trailers.push(field(&line)),
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.received, b"\r\n") {
                let line: Vec<u8> = self.received.drain(..end + 2).take(end).collect();
                return Some(String::from_utf8(line).expect("a line of text"));
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Reads what there is; false at the end. A reset is an end, silence is a failure.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if is_end(error.kind()) => false,
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// What has come once that is so; it stays to be read.
    #[track_caller]
    pub(crate) fn until(&mut self, what: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        while !what(&self.received) {
            assert!(self.fill(), "the connection ended");
        }
        self.received.clone()
    }

    /// What comes until the connection ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.received)
    }

    /// Waits for the end of the connection, before which nothing more may come.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "more came: {}", String::from_utf8_lossy(&rest));
    }
}

pub(crate) fn is_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').expect("a field");
    (name.to_ascii_lowercase(), value.trim().to_owned())
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
