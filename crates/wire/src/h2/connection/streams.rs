//! The streams of a connection.

use bytes::{Bytes, BytesMut};

use super::super::frame::{self, ErrorCode};
use super::{H2Connection, H2Event, Leaving, RESETS_KEPT, StreamEnd, Violation};

/// A stream that is open, or of which one side is.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) tag: Option<u32>,
    /// That it moved waits to be told.
    pub(super) has_moved: bool,
    /// The client has sent all it will.
    pub(super) is_received: bool,
    /// The head of the answer was sent.
    pub(super) has_head: bool,
    /// What may still be sent; below zero after a change of SETTINGS.
    pub(super) send_window: i64,
    /// What may still come, and what of it was used up and not yet given back.
    pub(super) receive_window: u32,
    pub(super) owed: u32,
    /// What came and was not taken.
    pub(super) body: BytesMut,
    /// What `content-length` says is still to come.
    pub(super) expected: Option<u64>,
}

impl Stream {
    /// Notes that it moved; true if that does not wait to be told already.
    fn begins_to_wait(&mut self) -> bool {
        self.tag.is_some() && !std::mem::replace(&mut self.has_moved, true)
    }
}

/// Room for more streams than this is given back.
const STREAMS_KEPT: usize = 8;

/// The streams by number. Numbers only grow, so that the list is sorted as it is.
#[derive(Debug, Default)]
pub(super) struct Streams(Vec<Stream>);

impl Streams {
    pub(super) fn find(&mut self, id: u32) -> Option<&mut Stream> {
        let place = self.0.binary_search_by_key(&id, |stream| stream.id).ok()?;
        self.0.get_mut(place)
    }

    pub(super) fn push(&mut self, stream: Stream) {
        self.0.push(stream);
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Stream> {
        let place = self.0.binary_search_by_key(&id, |stream| stream.id).ok()?;
        Some(self.0.remove(place))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Gives back what many streams took.
    pub(super) fn shrink(&mut self) {
        if self.0.is_empty() && self.0.capacity() > STREAMS_KEPT {
            self.0 = Vec::new();
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.0.iter_mut()
    }
}

/// What there is of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakenBody {
    /// The next part.
    Data(Bytes),
    /// It was complete.
    End,
    /// Nothing now.
    Wait,
    /// The stream is gone, and the body was not complete.
    Gone,
}

impl H2Connection {
    /// Takes what has come of a stream's body; its window opens by as much.
    pub fn take_body(&mut self, id: u32) -> TakenBody {
        let Some(stream) = self.streams.find(id) else { return TakenBody::Gone };
        if stream.body.is_empty() {
            return if stream.is_received { TakenBody::End } else { TakenBody::Wait };
        }
        let data = std::mem::take(&mut stream.body).freeze();
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.give_back(id, length);
        TakenBody::Data(data)
    }

    /// True if all of a stream's body was taken, or it had none.
    pub fn is_body_taken(&mut self, id: u32) -> bool {
        self.streams.find(id).is_none_or(|stream| stream.is_received && stream.body.is_empty())
    }

    /// Opens the windows again by what was used up, in steps of half a window.
    pub(super) fn give_back(&mut self, id: u32, count: u32) {
        let step = self.stream_window() / 2;
        if let Some(stream) = self.streams.find(id)
            && !stream.is_received
        {
            stream.owed = stream.owed.saturating_add(count);
            if stream.owed >= step.max(1) {
                let owed = std::mem::take(&mut stream.owed);
                stream.receive_window = stream.receive_window.saturating_add(owed);
                frame::write_window_update(&mut self.out, id, owed);
            }
        }
        self.give_back_connection(count);
    }

    pub(super) fn give_back_connection(&mut self, count: u32) {
        self.owed = self.owed.saturating_add(count);
        if self.owed >= (self.limits.window / 2).max(1) {
            let owed = std::mem::take(&mut self.owed);
            self.receive_window = self.receive_window.saturating_add(owed);
            frame::write_window_update(&mut self.out, 0, owed);
        }
    }

    /// Ends a stream at once, whatever was sent of its answer.
    pub fn reset(&mut self, id: u32, code: ErrorCode) {
        match self.remove(id) {
            Some(stream) if stream.is_received => frame::write_reset(&mut self.out, id, code),
            Some(_) => self.write_reset(id, code),
            None => {}
        }
    }

    /// Resets a stream that the client may not have ended: what is on its way is passed over.
    pub(super) fn write_reset(&mut self, id: u32, code: ErrorCode) {
        frame::write_reset(&mut self.out, id, code);
        if self.resets.len() >= RESETS_KEPT {
            self.resets.pop_front();
        }
        self.resets.push_back(id);
    }

    /// True for what was on its way when its stream was reset here. After what ends the stream
    /// nothing can be.
    pub(super) fn is_late(&mut self, id: u32, is_last: bool) -> bool {
        let Some(place) = self.resets.iter().position(|reset| *reset == id) else { return false };
        if is_last {
            self.resets.remove(place);
        }
        true
    }

    /// Takes a stream off the list; what nobody read of its body opens the connection's window.
    pub(super) fn remove(&mut self, id: u32) -> Option<Stream> {
        let stream = self.streams.remove(id)?;
        let unread = u32::try_from(stream.body.len()).unwrap_or(u32::MAX);
        if unread > 0 {
            self.give_back_connection(unread);
        }
        Some(stream)
    }

    /// Resets a stream on which the client broke a rule (RFC 9113 §5.4.2).
    pub(super) fn blame(
        &mut self,
        id: u32,
        code: ErrorCode,
        detail: &'static str,
        now: &impl Fn() -> std::time::Duration,
    ) -> Result<(), Violation> {
        let tag = self.remove(id).and_then(|stream| stream.tag);
        self.write_reset(id, code);
        if let Some(tag) = tag {
            let why = StreamEnd::Fault(detail);
            self.events.push(H2Event::Ended { tag, why });
        }
        self.meter.provoked(now).map_err(Violation::Flood)
    }

    /// Refuses a stream. A client that cannot know the number yet, or that it should go, is not
    /// blamed for as many as it may have open.
    pub(super) fn refuse(
        &mut self,
        id: u32,
        is_last: bool,
        now: &impl Fn() -> std::time::Duration,
    ) -> Result<(), Violation> {
        if is_last {
            frame::write_reset(&mut self.out, id, ErrorCode::RefusedStream);
        } else {
            self.write_reset(id, ErrorCode::RefusedStream);
        }
        let is_unaware = !self.is_acknowledged || matches!(self.leaving, Leaving::After(_));
        match self.grace.checked_sub(1) {
            Some(left) if is_unaware => self.grace = left,
            _ => self.meter.provoked(now).map_err(Violation::Flood)?,
        }
        Ok(())
    }

    pub(super) fn moved(&mut self, id: u32) {
        if let Some(stream) = self.streams.find(id)
            && stream.begins_to_wait()
        {
            self.events.moved(id);
        }
    }

    pub(super) fn move_all(&mut self) {
        for stream in self.streams.iter_mut() {
            if stream.begins_to_wait() {
                self.events.moved(stream.id);
            }
        }
    }
}
