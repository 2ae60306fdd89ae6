//! What each frame from the client does (RFC 9113 §6).

use std::time::Duration;

use bartizan_core::Reason;
use bytes::BytesMut;

use super::super::frame::{ErrorCode, FrameHead, flag, kind, write_ping};
use super::super::hpack::table::OVERHEAD;
use super::super::meter::Flood;
use super::super::request::HeadBuilder;
use super::streams::Stream;
use super::{
    H2Connection, H2Event, LEAVING_PING, Leaving, OpenBlock, StreamEnd, Violation, WINDOW_MAX,
    frame_size, protocol,
};
use crate::fields::is_field_name;
use crate::head::BodyLength;

type Outcome = Result<(), Violation>;

impl H2Connection {
    pub(super) fn take_frame(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: &impl Fn() -> Duration,
    ) -> Outcome {
        if self.block.is_some() && head.kind != kind::CONTINUATION {
            return Err(protocol("a frame inside a header block"));
        }
        if !self.has_settings && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(protocol("a connection that does not begin with SETTINGS"));
        }
        match head.kind {
            kind::DATA => self.data(head, payload, now),
            kind::HEADERS => self.headers(head, payload, now),
            kind::CONTINUATION => self.continuation(head, payload, now),
            kind::RST_STREAM => self.rst_stream(head, payload, now),
            kind::WINDOW_UPDATE => self.window_update(head, payload, now),
            kind::SETTINGS => self.settings(head, payload, now),
            kind::PING => self.ping(head, payload, now),
            kind::GOAWAY => self.goaway(head, payload),
            kind::PRIORITY | kind::PRIORITY_UPDATE => self.priority(head, payload, now),
            kind::PUSH_PROMISE => Err(protocol("a push from a client")),
            // Extensions that we do not know are passed over (§5.5).
            _ => Ok(()),
        }
    }

    /// True for a stream that the client has not opened yet, or never can.
    fn is_idle(&self, id: u32) -> bool {
        id > self.last || id.is_multiple_of(2)
    }

    fn data(&mut self, head: FrameHead, payload: &[u8], now: &impl Fn() -> Duration) -> Outcome {
        let id = head.stream;
        if self.is_idle(id) {
            return Err(protocol("DATA for a stream that is not open"));
        }
        let data = unpadded(&head, payload)?;
        let is_last = head.has(flag::END_STREAM);
        if data.is_empty() && !is_last {
            self.meter.empty_data(now).map_err(Violation::Flood)?;
        }
        // Padding counts as well (§6.9.1).
        let counted = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let left = self.receive_window.checked_sub(counted);
        self.receive_window = left.ok_or(OVERFLOWN)?;
        let Some(stream) = self.streams.find(id) else {
            self.give_back_connection(counted);
            if self.is_late(id, is_last) {
                return Ok(());
            }
            let detail = "DATA for a stream that was closed";
            return self.blame(id, ErrorCode::StreamClosed, detail, now);
        };
        if stream.is_received {
            self.give_back_connection(counted);
            let detail = "DATA behind the end of its stream";
            return self.blame(id, ErrorCode::StreamClosed, detail, now);
        }
        let Some(left) = stream.receive_window.checked_sub(counted) else {
            self.give_back_connection(counted);
            let detail = "more DATA than the window of its stream";
            return self.blame(id, ErrorCode::FlowControlError, detail, now);
        };
        stream.receive_window = left;
        if let Some(expected) = &mut stream.expected {
            let left = expected.checked_sub(data.len() as u64);
            let Some(left) = left.filter(|left| !is_last || *left == 0) else {
                self.give_back_connection(counted);
                return self.blame(id, ErrorCode::ProtocolError, WRONG_LENGTH, now);
            };
            *expected = left;
        }
        stream.body.extend_from_slice(data);
        stream.is_received = is_last;
        let padding = payload.len() - data.len();
        if padding > 0 {
            self.give_back(id, u32::try_from(padding).unwrap_or(u32::MAX));
        }
        self.moved(id);
        Ok(())
    }

    fn headers(&mut self, head: FrameHead, payload: &[u8], now: &impl Fn() -> Duration) -> Outcome {
        if head.stream.is_multiple_of(2) {
            return Err(protocol("HEADERS on a stream that no client opens"));
        }
        let mut block = unpadded(&head, payload)?;
        if head.has(flag::PRIORITY) {
            // Passed over (§5.3.2).
            block = block.get(5..).ok_or(frame_size("HEADERS too short for a priority"))?;
        }
        self.meter.block(payload.len()).map_err(Violation::Flood)?;
        let is_last = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.header_block(head.stream, is_last, block, now);
        }
        self.block = Some(OpenBlock { stream: head.stream, is_last, bytes: block.to_vec() });
        Ok(())
    }

    fn continuation(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: &impl Fn() -> Duration,
    ) -> Outcome {
        let Some(block) = self.block.as_mut().filter(|block| block.stream == head.stream) else {
            return Err(protocol("CONTINUATION of no header block"));
        };
        self.meter.continuation(payload.len()).map_err(Violation::Flood)?;
        block.bytes.extend_from_slice(payload);
        if !head.has(flag::END_HEADERS) {
            return Ok(());
        }
        let Some(block) = self.block.take() else { return Ok(()) };
        self.header_block(block.stream, block.is_last, &block.bytes, now)
    }

    /// A whole header block: a request, trailers, or what is too late. It is decoded in any case,
    /// so that the tables of both sides stay the same (RFC 7541 §2.2).
    fn header_block(
        &mut self,
        id: u32,
        is_last: bool,
        block: &[u8],
        now: &impl Fn() -> Duration,
    ) -> Outcome {
        self.meter.end_block();
        self.blocks = self.blocks.wrapping_add(1);
        if id <= self.last {
            return self.trailers(id, is_last, block, now);
        }
        self.last = id;
        let is_behind_end = matches!(self.leaving, Leaving::After(last) if id > last);
        let most = usize::try_from(self.limits.streams).unwrap_or(usize::MAX);
        if is_behind_end || self.streams.len() >= most {
            self.decode(block, |_, _| ())?;
            self.events.refused = self.events.refused.saturating_add(u32::from(!is_behind_end));
            return self.refuse(id, is_last, now);
        }
        let mut builder = HeadBuilder::new(self.limits.head, self.limits.header_list);
        self.decode(block, |name, value| builder.take(name, value))?;
        let head = builder.finish(is_last);
        let (expected, is_broken) = match &head {
            Ok(head) => (length_of(head.body), false),
            Err(refusal) => (None, refusal.reason == Reason::ProtocolError),
        };
        self.streams.push(Stream {
            id,
            tag: None,
            has_moved: false,
            is_received: is_last,
            has_head: false,
            send_window: i64::from(self.peer.window),
            receive_window: self.stream_window(),
            owed: 0,
            body: BytesMut::new(),
            expected,
        });
        self.events.push(H2Event::Opened { stream: id, head });
        // It is answered, and costs as much as a reset.
        if is_broken {
            self.meter.provoked(now).map_err(Violation::Flood)?;
        }
        Ok(())
    }

    /// Reads a block to its end, and gives as many of its fields to `take` as may be work: a list
    /// over its limit is still refused alone, one that is many times as large is no mistake.
    fn decode(&mut self, block: &[u8], mut take: impl FnMut(&[u8], &[u8])) -> Outcome {
        let most = self.limits.header_list.saturating_mul(LISTS_READ);
        let mut size = 0_usize;
        let read = self.decoder.decode(block, |name, value| {
            size = size.saturating_add(name.len() + value.len() + OVERHEAD);
            if size <= most {
                take(name, value);
            }
        });
        read.map_err(|fault| Violation::Protocol(ErrorCode::CompressionError, fault.0))?;
        if size > most { Err(Violation::Flood(Flood::HeaderBlock)) } else { Ok(()) }
    }

    /// Trailers of a request carry nothing that a decision was made on: they are judged and not
    /// passed on.
    fn trailers(
        &mut self,
        id: u32,
        is_last: bool,
        block: &[u8],
        now: &impl Fn() -> Duration,
    ) -> Outcome {
        let mut are_valid = is_last;
        self.decode(block, |name, _| are_valid &= is_field_name(name))?;
        let Some(stream) = self.streams.find(id) else {
            if self.is_late(id, true) {
                return self.meter.provoked(now).map_err(Violation::Flood);
            }
            let detail = "HEADERS for a stream that was closed";
            return Err(Violation::Protocol(ErrorCode::StreamClosed, detail));
        };
        if stream.is_received {
            let detail = "HEADERS behind the end of their stream";
            return self.blame(id, ErrorCode::StreamClosed, detail, now);
        }
        if !are_valid {
            let detail = "trailers that do not end the stream, or are no fields";
            return self.blame(id, ErrorCode::ProtocolError, detail, now);
        }
        if stream.expected.is_some_and(|left| left > 0) {
            return self.blame(id, ErrorCode::ProtocolError, WRONG_LENGTH, now);
        }
        stream.is_received = true;
        self.moved(id);
        Ok(())
    }

    fn rst_stream(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: &impl Fn() -> Duration,
    ) -> Outcome {
        if payload.len() != 4 {
            return Err(frame_size("RST_STREAM of another length than four"));
        }
        if self.is_idle(head.stream) {
            return Err(protocol("RST_STREAM for a stream that is not open"));
        }
        self.meter.reset(now).map_err(Violation::Flood)?;
        if let Some(tag) = self.remove(head.stream).and_then(|stream| stream.tag) {
            let why = StreamEnd::Reset;
            self.events.push(H2Event::Ended { tag, why });
        }
        Ok(())
    }

    fn window_update(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: &impl Fn() -> Duration,
    ) -> Outcome {
        let [a, b, c, d] = *payload else {
            return Err(frame_size("WINDOW_UPDATE of another length than four"));
        };
        let increment = u32::from_be_bytes([a & 0x7f, b, c, d]);
        let id = head.stream;
        if id == 0 {
            if increment == 0 {
                return Err(protocol("a window that grows by nothing"));
            }
            let window = self.send_window.checked_add(increment).filter(|n| *n <= WINDOW_MAX);
            let before = std::mem::replace(&mut self.send_window, window.ok_or(OVERFLOWN)?);
            let is_ample = |window| usize::try_from(window).is_ok_and(|n| n >= Self::AMPLE_ROOM);
            self.events.has_grown |= before == 0 || !is_ample(before) && is_ample(self.send_window);
            return Ok(());
        }
        if self.is_idle(id) {
            return Err(protocol("WINDOW_UPDATE for a stream that is not open"));
        }
        // It may come late, for a stream that has ended (§5.1).
        let Some(stream) = self.streams.find(id) else { return Ok(()) };
        if increment == 0 {
            let detail = "a window that grows by nothing";
            return self.blame(id, ErrorCode::ProtocolError, detail, now);
        }
        stream.send_window += i64::from(increment);
        if stream.send_window > i64::from(WINDOW_MAX) {
            let detail = "a window beyond the largest there is";
            return self.blame(id, ErrorCode::FlowControlError, detail, now);
        }
        self.moved(id);
        Ok(())
    }

    fn settings(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: &impl Fn() -> Duration,
    ) -> Outcome {
        if head.stream != 0 {
            return Err(protocol("SETTINGS on a stream"));
        }
        self.has_settings = true;
        if head.has(flag::ACK) {
            if !payload.is_empty() {
                return Err(frame_size("an acknowledgement of SETTINGS with a payload"));
            }
            self.is_acknowledged = true;
            return Ok(());
        }
        if !payload.len().is_multiple_of(6) {
            return Err(frame_size("SETTINGS that are cut off"));
        }
        self.meter.settings(now).map_err(Violation::Flood)?;
        self.take_settings(payload)
    }

    fn ping(&mut self, head: FrameHead, payload: &[u8], now: &impl Fn() -> Duration) -> Outcome {
        if head.stream != 0 {
            return Err(protocol("PING on a stream"));
        }
        if payload.len() != 8 {
            return Err(frame_size("PING of another length than eight"));
        }
        if head.has(flag::ACK) {
            if payload == LEAVING_PING && self.leaving == Leaving::Announced {
                self.end();
            }
            return Ok(());
        }
        self.meter.ping(now).map_err(Violation::Flood)?;
        write_ping(&mut self.out, flag::ACK, payload);
        Ok(())
    }

    fn goaway(&mut self, head: FrameHead, payload: &[u8]) -> Outcome {
        if head.stream != 0 {
            return Err(protocol("GOAWAY on a stream"));
        }
        if payload.len() < 8 {
            return Err(frame_size("GOAWAY that is cut off"));
        }
        self.is_left = true;
        Ok(())
    }

    /// Priorities are passed over (RFC 9113 §5.3.2, RFC 9218), but not any number of them.
    fn priority(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: &impl Fn() -> Duration,
    ) -> Outcome {
        if head.kind == kind::PRIORITY {
            if head.stream == 0 {
                return Err(protocol("PRIORITY on no stream"));
            }
            if payload.len() != 5 {
                return Err(frame_size("PRIORITY of another length than five"));
            }
        }
        self.meter.priority(now).map_err(Violation::Flood)
    }
}

/// So many times the largest header list may come out of one block before the connection ends.
const LISTS_READ: usize = 4;
const OVERFLOWN: Violation =
    Violation::Protocol(ErrorCode::FlowControlError, "a window that overflows");
const WRONG_LENGTH: &str = "a body that is not as long as `content-length` says";

/// What a body's length says of DATA that is to come.
fn length_of(body: BodyLength) -> Option<u64> {
    match body {
        BodyLength::None => Some(0),
        BodyLength::Fixed(length) => Some(length),
        BodyLength::Chunked | BodyLength::UntilClose => None,
    }
}

/// The payload without its padding (§6.1).
fn unpadded<'a>(head: &FrameHead, payload: &'a [u8]) -> Result<&'a [u8], Violation> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let (padding, rest) = payload.split_first().ok_or(frame_size("a frame without its padding"))?;
    let length = rest.len().checked_sub(usize::from(*padding));
    let length = length.ok_or(protocol("padding longer than its frame"))?;
    Ok(rest.get(..length).unwrap_or_default())
}
