//! What came of the bytes that were put in, until somebody takes it.

use std::collections::VecDeque;

use super::H2Connection;
use crate::h1::HeadRefusal;
use crate::head::RequestHead;

/// Room for more events than this is given back once they were taken.
pub(super) const EVENTS_KEPT_MAX: usize = 256;

/// Why a stream ended before its answer was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The client reset it.
    Reset,
    /// The client broke a rule, and the stream was reset here.
    Fault(&'static str),
}

/// What came of the bytes that were put in.
#[derive(Debug)]
pub enum H2Event {
    /// A request. The stream may be gone again when this is looked at.
    Opened {
        /// The stream's number.
        stream: u32,
        /// Its head, or what is wrong with it.
        head: Result<Box<RequestHead>, HeadRefusal>,
    },
    /// A stream that was tagged has more of its body, or more of a window.
    Moved {
        /// Its tag.
        tag: u32,
    },
    /// A stream that was tagged is no more.
    Ended {
        /// Its tag.
        tag: u32,
        /// Why.
        why: StreamEnd,
    },
    /// The connection's window opened, or became ample.
    WindowGrew,
}

/// What waits to be told. It is bounded by the streams that are open, and by the resets and faults
/// that are counted: all else is merged.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) queue: VecDeque<Waiting>,
    /// Those who wait for the connection's window are to be told that it grew.
    pub(super) has_grown: bool,
    /// Streams over their number that were refused.
    pub(super) refused: u32,
}

/// An event, or that a stream moved, which is told once, however often it did meanwhile.
#[derive(Debug)]
pub(super) enum Waiting {
    Event(H2Event),
    Moved(u32),
}

impl Events {
    pub(super) fn push(&mut self, event: H2Event) {
        self.queue.push_back(Waiting::Event(event));
    }

    pub(super) fn moved(&mut self, id: u32) {
        self.queue.push_back(Waiting::Moved(id));
    }
}

impl H2Connection {
    /// The next event.
    pub fn next_event(&mut self) -> Option<H2Event> {
        while let Some(waiting) = self.events.queue.pop_front() {
            let id = match waiting {
                Waiting::Event(event) => return Some(event),
                Waiting::Moved(id) => id,
            };
            // One that has ended meanwhile is not told of.
            let Some(stream) = self.streams.find(id) else { continue };
            stream.has_moved = false;
            if let Some(tag) = stream.tag {
                return Some(H2Event::Moved { tag });
            }
        }
        if self.events.queue.capacity() > EVENTS_KEPT_MAX {
            self.events.queue = VecDeque::new();
        }
        std::mem::take(&mut self.events.has_grown).then_some(H2Event::WindowGrew)
    }

    /// How many streams over `limits.h2_streams` were refused since this was last asked.
    pub fn take_refused(&mut self) -> u32 {
        std::mem::take(&mut self.events.refused)
    }
}
