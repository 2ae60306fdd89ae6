//! Reading a body, whatever says where it ends.

use std::ops::Range;

use bartizan_core::Reason;

use crate::fields::Fields;
use crate::h1::chunked::{ChunkFault, ChunkLimits, ChunkedDecoder};
use crate::head::BodyLength;

/// What was found in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How much of the input is dealt with; the rest is the next message, or more of this body.
    pub consumed: usize,
    /// Where in the input data is; may be empty.
    pub data: Range<usize>,
    /// The body is complete.
    pub done: bool,
}

/// Where a body ends, and how much of it has been seen.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
    total: u64,
}

#[derive(Debug)]
enum State {
    Fixed(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
    Done(Option<ChunkedDecoder>),
    /// What follows a fault has no meaning, whatever it looks like.
    Broken(ChunkFault),
}

impl BodyReader {
    /// A reader at the start of a body of this length.
    pub fn new(length: BodyLength, limits: ChunkLimits) -> Self {
        let state = match length {
            BodyLength::None | BodyLength::Fixed(0) => State::Done(None),
            BodyLength::Fixed(left) => State::Fixed(left),
            BodyLength::Chunked => State::Chunked(ChunkedDecoder::new(limits)),
            BodyLength::UntilClose => State::UntilClose,
        };
        Self { state, total: 0 }
    }

    /// True once the whole body was seen.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    /// Bytes of data so far, without chunk lines and trailers.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What is missing of a body of stated length; `None` of any other, and of one that is done.
    pub fn missing(&self) -> Option<u64> {
        match self.state {
            State::Fixed(left) => Some(left),
            _ => None,
        }
    }

    /// Counts data of a body of stated length that went its way without being looked at here: no
    /// more than is missing.
    pub fn pass(&mut self, count: u64) {
        let State::Fixed(left) = &mut self.state else { return };
        let count = count.min(*left);
        *left -= count;
        self.total = self.total.saturating_add(count);
        if *left == 0 {
            self.finish();
        }
    }

    /// Looks at the input up to the end of its first stretch of data. Called again with what it
    /// did not consume, until it is done or wants more than there is.
    pub fn take(&mut self, input: &[u8]) -> Result<Taken, ChunkFault> {
        let (taken, finished) = match &mut self.state {
            State::Done(_) => (Taken { consumed: 0, data: 0..0, done: true }, false),
            State::Broken(fault) => return Err(*fault),
            State::UntilClose => (all(input.len(), false), false),
            State::Fixed(left) => {
                let len = usize::try_from(*left).map_or(input.len(), |n| n.min(input.len()));
                *left -= len as u64;
                (all(len, *left == 0), *left == 0)
            }
            State::Chunked(decoder) => {
                let step = match decoder.step(input) {
                    Ok(step) => step,
                    Err(fault) => {
                        self.state = State::Broken(fault);
                        return Err(fault);
                    }
                };
                let data = step.data.unwrap_or(step.consumed..step.consumed);
                (Taken { consumed: step.consumed, data, done: step.done }, step.done)
            }
        };
        self.total = self.total.saturating_add(taken.data.len() as u64);
        if finished {
            self.finish();
        }
        Ok(taken)
    }

    /// The peer closed its side: the end of a body that lasts until then, else a fault.
    pub fn end(&mut self) -> Result<(), ChunkFault> {
        match self.state {
            State::Done(_) => Ok(()),
            State::UntilClose => {
                self.finish();
                Ok(())
            }
            State::Broken(fault) => Err(fault),
            State::Fixed(_) | State::Chunked(_) => Err(ChunkFault {
                reason: Reason::BadBody,
                detail: "the connection ended before the body did",
            }),
        }
    }

    /// The trailer fields of a chunked body that is done.
    pub fn take_trailers(&mut self) -> Fields {
        match &mut self.state {
            State::Done(decoder) => {
                decoder.take().map(|mut d| d.take_trailers()).unwrap_or_default()
            }
            _ => Fields::new(),
        }
    }

    fn finish(&mut self) {
        let decoder = match std::mem::replace(&mut self.state, State::Done(None)) {
            State::Chunked(decoder) => Some(decoder),
            _ => None,
        };
        self.state = State::Done(decoder);
    }
}

fn all(len: usize, done: bool) -> Taken {
    Taken { consumed: len, data: 0..len, done }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(length: BodyLength) -> BodyReader {
        BodyReader::new(length, ChunkLimits::default())
    }

    #[test]
    fn no_body_is_done_at_once_and_takes_nothing() {
        for length in [BodyLength::None, BodyLength::Fixed(0)] {
            let mut body = reader(length);
            assert!(body.is_done());
            assert_eq!(body.take(b"GET"), Ok(Taken { consumed: 0, data: 0..0, done: true }));
            assert_eq!(body.end(), Ok(()));
        }
    }

    #[test]
    fn a_fixed_body_takes_its_length_and_leaves_the_next_message() {
        let mut body = reader(BodyLength::Fixed(5));
        assert_eq!(body.take(b"ab"), Ok(Taken { consumed: 2, data: 0..2, done: false }));
        assert!(body.end().is_err());
        assert_eq!(body.take(b"cdeGET"), Ok(Taken { consumed: 3, data: 0..3, done: true }));
        assert!(body.is_done());
        assert_eq!(body.total(), 5);
    }

    #[test]
    fn what_passes_unseen_counts_as_if_it_had_been_looked_at() {
        let mut body = reader(BodyLength::Fixed(9));
        body.take(b"ab").unwrap();
        body.pass(4);
        assert_eq!((body.missing(), body.total(), body.is_done()), (Some(3), 6, false));
        assert!(body.end().is_err());
        body.pass(100);
        assert_eq!((body.missing(), body.total(), body.is_done()), (None, 9, true));
        for length in [BodyLength::Chunked, BodyLength::UntilClose, BodyLength::None] {
            let mut body = reader(length);
            body.pass(5);
            assert_eq!((body.missing(), body.total()), (None, 0));
        }
    }

    #[test]
    fn a_chunked_body_counts_data_only_and_keeps_its_trailers() {
        let mut body = reader(BodyLength::Chunked);
        let input = b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\nGET";
        let first = body.take(input).unwrap();
        assert_eq!((first.consumed, first.data, first.done), (6, 3..6, false));
        assert!(body.end().is_err());
        let last = body.take(&input[6..]).unwrap();
        assert!(last.done && last.data.is_empty());
        assert_eq!(&input[6 + last.consumed..], b"GET");
        assert_eq!(body.total(), 3);
        assert_eq!(body.take_trailers().get("x-sum"), Some(&b"1"[..]));
    }

    #[test]
    fn a_body_until_close_ends_with_the_connection() {
        let mut body = reader(BodyLength::UntilClose);
        assert_eq!(body.take(b"abc"), Ok(Taken { consumed: 3, data: 0..3, done: false }));
        assert_eq!(body.end(), Ok(()));
        assert!(body.is_done());
    }

    #[test]
    fn after_a_fault_nothing_more_is_taken_whatever_it_looks_like() {
        let limits = ChunkLimits { fields: 1, ..ChunkLimits::default() };
        let mut body = BodyReader::new(BodyLength::Chunked, limits);
        let fault = body.take(b"0\r\na: 1\r\nb: 2\r\n\r\nGET / HTTP/1.1\r\n\r\n").unwrap_err();
        for input in [&b""[..], b"\r\n", b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n"] {
            assert_eq!(body.take(input), Err(fault));
        }
        assert_eq!(body.end(), Err(fault));
        assert!(!body.is_done());
        assert!(body.take_trailers().is_empty());
    }
}
