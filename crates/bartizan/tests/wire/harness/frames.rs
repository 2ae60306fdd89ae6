//! HTTP/2 frame by frame (RFC 9113), also where no library would send it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustls::{ClientConnection, StreamOwned};

use super::client::is_end;
use super::tls::Pki;

/// Frame types.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// Of SETTINGS and PING.
pub(crate) const ACK: u8 = 1;

/// A frame that was received.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM.
    pub(crate) fn code(&self) -> u32 {
        let bytes = self.payload.first_chunk().expect("an error code");
        u32::from_be_bytes(*bytes)
    }

    /// True for a head with this status, which is in the static table of HPACK (RFC 7541 §A) or is
    /// written with the index of `:status`.
    pub(crate) fn is_status(&self, status: u16) -> bool {
        let indexed: &[(u16, u8)] =
            &[(200, 8), (204, 9), (206, 10), (304, 11), (400, 12), (404, 13), (500, 14)];
        let index = indexed.iter().find(|(known, _)| *known == status).expect("an indexed status");
        self.kind == kind::HEADERS && self.payload.first() == Some(&(0x80 | index.1))
    }
}

/// A connection.
pub(crate) struct H2 {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

impl H2 {
    /// A connection with its preface sent, and these settings.
    pub(crate) fn connect(
        pki: &Pki,
        address: SocketAddr,
        name: &str,
        settings: &[(u16, u32)],
    ) -> Self {
        let config = pki.trusting(rustls::ALL_VERSIONS, &["h2"]);
        let (stream, _) = Pki::shake(config, address, name);
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
        let mut h2 = Self { stream, received: Vec::new() };
        h2.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        h2.send(kind::SETTINGS, 0, 0, &settings);
        h2
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok() && self.stream.flush().is_ok()
    }

    /// Sends a frame; false once the peer takes nothing more.
    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.send_bytes(&Self::frame(kind, flags, stream, payload))
    }

    /// Sends many frames at once.
    pub(crate) fn send_all(&mut self, frames: &[Vec<u8>]) -> bool {
        self.send_bytes(&frames.concat())
    }

    pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags];
        [&head[..], &stream.to_be_bytes(), payload].concat()
    }

    /// A head of a GET request and these fields.
    pub(crate) fn get(&mut self, stream: u32, target: &str, fields: &[(&str, &str)]) -> bool {
        let block = Self::block("GET", target, "api.test", fields);
        self.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block)
    }

    /// A header block in which nothing is compressed.
    pub(crate) fn block(
        method: &str,
        target: &str,
        authority: &str,
        fields: &[(&str, &str)],
    ) -> Vec<u8> {
        let pseudo = [
            (":method", method),
            (":scheme", "https"),
            (":authority", authority),
            (":path", target),
        ];
        let mut block = Vec::new();
        for (name, value) in pseudo.iter().chain(fields) {
            block.push(0);
            for text in [name, value] {
                block.push(
                    u8::try_from(text.len()).ok().filter(|n| *n < 127).expect("a short text"),
                );
                block.extend_from_slice(text.as_bytes());
            }
        }
        block
    }

    /// The next frame; none at the end of the connection. SETTINGS and PING are acknowledged.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                if frame.kind == kind::SETTINGS && frame.flags & ACK == 0 {
                    self.send(kind::SETTINGS, ACK, 0, &[]);
                }
                return Some(frame);
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if is_end(error.kind()) => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let head: [u8; 9] = *self.received.first_chunk()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        if self.received.len() < 9 + length {
            return None;
        }
        let bytes: Vec<u8> = self.received.drain(..9 + length).collect();
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload: bytes[9..].to_vec() })
    }

    /// The next frame that is so.
    #[track_caller]
    pub(crate) fn until(&mut self, what: impl Fn(&Frame) -> bool) -> Frame {
        let mut seen = Vec::new();
        loop {
            let frame = self.next();
            let Some(frame) = frame else { panic!("the connection ended after {seen:?}") };
            if what(&frame) {
                return frame;
            }
            seen.push(frame);
        }
    }

    /// Everything until the connection ends.
    pub(crate) fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }
}
