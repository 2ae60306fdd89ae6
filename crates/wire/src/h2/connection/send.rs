//! Answers on their way out.

use super::super::answer;
use super::super::frame::{ErrorCode, HEAD, PAYLOAD_MAX, finish_block, flag, kind, write_head};
use super::super::hpack::encode;
use super::{H2Connection, OUT_MAX};
use crate::fields::Fields;
use crate::h1::encode::{OutgoingResponse, Unsendable};

impl H2Connection {
    /// Sends the head of an answer; nothing of it where it cannot be sent. `is_last` says that
    /// there is no body.
    pub fn send_head(
        &mut self,
        id: u32,
        response: &OutgoingResponse<'_>,
        is_last: bool,
    ) -> Result<(), Unsendable> {
        self.send_block(id, is_last, |block| answer::write_head(block, response))?;
        if let Some(stream) = self.streams.find(id) {
            stream.has_head = true;
        }
        if is_last {
            self.sent_all(id);
        }
        Ok(())
    }

    /// Lets the client send its body (RFC 9110 §15.2.1).
    pub fn send_continue(&mut self, id: u32) {
        let written = self.send_block(id, false, |block| {
            encode::status(block, http::StatusCode::CONTINUE);
            Ok(())
        });
        debug_assert!(written.is_ok(), "an answer without fields");
    }

    /// Ends a stream with trailers; without any if they cannot be sent. False while the output has
    /// no room for them, and nothing is done.
    pub fn send_trailers(&mut self, id: u32, trailers: &Fields) -> bool {
        if self.is_full() {
            return false;
        }
        let is_sent = !trailers.is_empty()
            && self.send_block(id, true, |block| answer::write_fields(block, trailers)).is_ok();
        if is_sent {
            self.sent_all(id);
        } else {
            self.send_data(id, &[], true);
        }
        true
    }

    fn send_block(
        &mut self,
        id: u32,
        is_last: bool,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Unsendable>,
    ) -> Result<(), Unsendable> {
        if self.streams.find(id).is_none() {
            return Ok(());
        }
        let start = self.out.len();
        self.out.extend_from_slice(&[0; HEAD]);
        if self.peer.owes_table_size {
            self.out.push(encode::NO_TABLE);
        }
        if let Err(unsendable) = write(&mut self.out) {
            self.out.truncate(start);
            return Err(unsendable);
        }
        self.peer.owes_table_size = false;
        finish_block(&mut self.out, start, is_last, id);
        Ok(())
    }

    /// How much of a body may be sent on a stream now, by its window, the connection's, and what
    /// waits already.
    pub fn room(&mut self, id: u32) -> usize {
        if self.is_full() {
            return 0;
        }
        let Some(stream) = self.streams.find(id) else { return 0 };
        let window = stream.send_window.min(i64::from(self.send_window));
        usize::try_from(window).unwrap_or(0)
    }

    /// Sends as much of `data` as there is room for, and says how much that was. With `is_last`
    /// the end of the data is the end of the answer.
    pub fn send_data(&mut self, id: u32, data: &[u8], is_last: bool) -> usize {
        let room = self.room(id).min(OUT_MAX);
        let Some(stream) = self.streams.find(id) else { return data.len() };
        let (now, later) = data.split_at_checked(room).unwrap_or((data, &[]));
        let ends = is_last && later.is_empty();
        stream.send_window -= i64::try_from(now.len()).unwrap_or(i64::MAX);
        self.send_window -= u32::try_from(now.len()).unwrap_or(self.send_window);
        let mut pieces = now.chunks(PAYLOAD_MAX).peekable();
        while let Some(piece) = pieces.next() {
            let is_end = ends && pieces.peek().is_none();
            let flags = if is_end { flag::END_STREAM } else { 0 };
            write_head(&mut self.out, piece.len(), kind::DATA, flags, id);
            self.out.extend_from_slice(piece);
        }
        if ends {
            if now.is_empty() {
                write_head(&mut self.out, 0, kind::DATA, flag::END_STREAM, id);
            }
            self.sent_all(id);
        }
        now.len()
    }

    /// The answer is complete. A client that is still sending is told to stop (RFC 9113 §8.1).
    fn sent_all(&mut self, id: u32) {
        let Some(stream) = self.remove(id) else { return };
        if !stream.is_received {
            self.write_reset(id, ErrorCode::NoError);
        }
    }

    /// Ends a stream whose exchange broke: with a bare 500 if nothing of an answer was sent.
    pub fn give_up(&mut self, id: u32) {
        let Some(stream) = self.streams.find(id) else { return };
        if stream.has_head {
            return self.reset(id, ErrorCode::InternalError);
        }
        let written = self.send_block(id, true, |block| {
            encode::status(block, http::StatusCode::INTERNAL_SERVER_ERROR);
            encode::field(block, b"content-length", b"0");
            Ok(())
        });
        debug_assert!(written.is_ok(), "an answer of our own");
        self.sent_all(id);
    }
}
