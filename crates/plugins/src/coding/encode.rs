//! Compressing a body while it passes.

use std::io::{self, Write as _};

use bartizan_chain::BodyTransform;
use bartizan_core::{Denial, Reason};
use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::budget::Place;

/// Whether what waits inside goes out when the sender pauses: only where the client cannot know
/// from the length that more will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pauses {
    /// The body may go on for long; what is there must not wait.
    Flush,
    /// The length was known: the best ratio counts.
    Wait,
}

impl Pauses {
    /// For a body of this length, where it is known.
    pub(crate) fn of(length: Option<u64>) -> Self {
        if length.is_some() { Self::Wait } else { Self::Flush }
    }
}

fn broken(error: &io::Error) -> Denial {
    Denial::new(Reason::Internal, format!("compressing the answer: {error}"))
}

/// gzip (RFC 1952).
pub(crate) struct Gzip {
    encoder: GzEncoder<Vec<u8>>,
    pauses: Pauses,
    is_waiting: bool,
    _place: Place,
}

impl Gzip {
    pub(crate) fn new(level: u32, pauses: Pauses, place: Place) -> Self {
        let encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        Self { encoder, pauses, is_waiting: false, _place: place }
    }

    fn hand_over(&mut self, done: io::Result<()>, out: &mut Vec<u8>) -> Result<(), Denial> {
        done.map_err(|error| broken(&error))?;
        out.append(self.encoder.get_mut());
        Ok(())
    }
}

impl BodyTransform for Gzip {
    fn chunk(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Denial> {
        self.is_waiting = true;
        let done = self.encoder.write_all(input);
        self.hand_over(done, out)
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Denial> {
        if self.pauses == Pauses::Wait || !std::mem::take(&mut self.is_waiting) {
            return Ok(());
        }
        let done = self.encoder.flush();
        self.hand_over(done, out)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Denial> {
        let done = self.encoder.try_finish();
        self.hand_over(done, out)
    }
}

/// Size of the buffer between the compressor and what it has made.
const STEP: usize = 4_096;

/// brotli (RFC 7932).
pub(crate) struct Brotli {
    /// Taken at the end.
    encoder: Option<CompressorWriter<Vec<u8>>>,
    pauses: Pauses,
    is_waiting: bool,
    _place: Place,
}

impl Brotli {
    pub(crate) fn new(params: &BrotliEncoderParams, pauses: Pauses, place: Place) -> Self {
        let encoder = CompressorWriter::with_params(Vec::new(), STEP, params);
        Self { encoder: Some(encoder), pauses, is_waiting: false, _place: place }
    }

    fn drive(
        &mut self,
        out: &mut Vec<u8>,
        work: impl FnOnce(&mut CompressorWriter<Vec<u8>>) -> io::Result<()>,
    ) -> Result<(), Denial> {
        let Some(encoder) = &mut self.encoder else {
            return Err(Denial::new(Reason::Internal, "a body that goes on behind its end"));
        };
        work(encoder).map_err(|error| broken(&error))?;
        out.append(encoder.get_mut());
        Ok(())
    }
}

impl BodyTransform for Brotli {
    fn chunk(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Denial> {
        self.is_waiting = true;
        self.drive(out, |encoder| encoder.write_all(input))
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Denial> {
        if self.pauses == Pauses::Wait || !std::mem::take(&mut self.is_waiting) {
            return Ok(());
        }
        self.drive(out, io::Write::flush)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Denial> {
        if let Some(encoder) = self.encoder.take() {
            out.append(&mut encoder.into_inner());
        }
        Ok(())
    }
}
