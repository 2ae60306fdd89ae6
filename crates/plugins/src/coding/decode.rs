//! Reading a body that came compressed, within bounds: a small body must not become a large one.

use std::io::{self, Write};

use bartizan_chain::{AnswerHead, BodyTransform};
use bartizan_core::{Denial, Reason};
use bartizan_wire::Fields;
use brotli::DecompressorWriter;
use flate2::write::{GzDecoder, ZlibDecoder};

/// A body may be so many times as long as what was received of it …
const RATIO_MAX: u64 = 20;
/// … or of this length, whatever was received.
const FREE: u64 = 1_048_576;
/// Size of the buffer between the decompressor and what it has made.
const STEP: usize = 4_096;

/// Has the body come plain from here on, whatever coding it has; refuses an answer whose body
/// cannot be read: a part of one, several codings, or one that is not known.
pub(crate) fn make_plain(answer: &mut AnswerHead) -> Result<(), Denial> {
    if !answer.may_have_body() {
        return Ok(());
    }
    if answer.status.as_u16() == 206 || answer.fields.contains("content-range") {
        return Err(unreadable("a part of a body, which was not asked for"));
    }
    if let Some(decoder) = decoder_for(&answer.fields)? {
        answer.fields.remove("content-encoding");
        answer.transform(Box::new(decoder));
    }
    Ok(())
}

fn decoder_for(fields: &Fields) -> Result<Option<Decoder>, Denial> {
    let is_coded = |value: &&[u8]| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity");
    let mut codings = fields.all("content-encoding").filter(is_coded);
    let Some(coding) = codings.next() else { return Ok(None) };
    if codings.next().is_some() {
        return Err(unreadable("more than one content-encoding"));
    }
    Ok(Some(match coding.to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => Decoder::Gzip(GzDecoder::new(Sink::default())),
        b"deflate" => Decoder::Deflate(ZlibDecoder::new(Sink::default())),
        b"br" => Decoder::Brotli(Box::new(DecompressorWriter::new(Sink::default(), STEP))),
        _ => return Err(unreadable("a content-encoding that is not known")),
    }))
}

fn unreadable(detail: impl Into<bartizan_core::Detail>) -> Denial {
    Denial::new(Reason::AnswerUnreadable, detail)
}

/// Where a decompressor puts what it makes, until that is too much.
#[derive(Default)]
struct Sink {
    made: Vec<u8>,
    /// What went in, and what came out before `made`.
    taken: u64,
    total: u64,
}

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let total = self.total.saturating_add(data.len() as u64);
        if total > FREE.max(self.taken.saturating_mul(RATIO_MAX)) {
            return Err(io::Error::other("the body is too long for what was received of it"));
        }
        self.total = total;
        self.made.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Decoder {
    Gzip(GzDecoder<Sink>),
    Deflate(ZlibDecoder<Sink>),
    Brotli(Box<DecompressorWriter<Sink>>),
}

impl Decoder {
    fn sink(&mut self) -> &mut Sink {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
        }
    }

    fn hand_over(&mut self, done: io::Result<()>, out: &mut Vec<u8>) -> Result<(), Denial> {
        done.map_err(|error| unreadable(format!("the content-encoding: {error}")))?;
        out.append(&mut self.sink().made);
        Ok(())
    }
}

impl BodyTransform for Decoder {
    fn chunk(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Denial> {
        let sink = self.sink();
        sink.taken = sink.taken.saturating_add(input.len() as u64);
        let done = match self {
            Self::Gzip(decoder) => decoder.write_all(input).and_then(|()| decoder.flush()),
            Self::Deflate(decoder) => decoder.write_all(input).and_then(|()| decoder.flush()),
            Self::Brotli(decoder) => decoder.write_all(input),
        };
        self.hand_over(done, out)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Denial> {
        if self.sink().taken == 0 {
            // No content at all: there is nothing to decode.
            return Ok(());
        }
        let done = match self {
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Deflate(decoder) => decoder.try_finish(),
            Self::Brotli(decoder) => decoder.close(),
        };
        self.hand_over(done, out)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use brotli::enc::BrotliEncoderParams;
    use http::StatusCode;
    use proptest::prelude::*;

    use super::super::budget::Budget;
    use super::super::encode::{Brotli, Gzip, Pauses};
    use super::*;

    fn encoder(coding: &str, pauses: Pauses) -> Box<dyn BodyTransform> {
        let place = Arc::new(Budget::default()).take(1, 1).unwrap();
        if coding == "gzip" {
            return Box::new(Gzip::new(6, pauses, place));
        }
        let params = BrotliEncoderParams { quality: 4, lgwin: 16, ..Default::default() };
        Box::new(Brotli::new(&params, pauses, place))
    }

    fn through(
        transform: &mut dyn BodyTransform,
        body: &[u8],
        size: usize,
        pauses: bool,
    ) -> Result<Vec<u8>, Denial> {
        let mut out = Vec::new();
        for part in body.chunks(size) {
            transform.chunk(part, &mut out)?;
            if pauses {
                transform.flush(&mut out)?;
            }
        }
        transform.end(&mut out)?;
        Ok(out)
    }

    fn head(coding: &str) -> AnswerHead {
        let mut fields = Fields::new();
        fields.append("content-encoding", coding.to_owned());
        AnswerHead::new(StatusCode::OK, fields, false)
    }

    fn decode(coding: &str, body: &[u8], size: usize) -> Result<Vec<u8>, Denial> {
        let mut head = head(coding);
        make_plain(&mut head)?;
        assert!(!head.fields.contains("content-encoding"));
        let mut changes = head.plan.take_passing();
        let mut out = Vec::new();
        for part in body.chunks(size) {
            out.extend_from_slice(changes.chunk(part)?);
        }
        out.extend_from_slice(changes.end()?);
        Ok(out)
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for coding in ["compress", "zstd", "gzip, br", "gzip;q=1"] {
            let fault = make_plain(&mut head(coding)).unwrap_err();
            assert_eq!(fault.reason, Reason::AnswerUnreadable, "{coding}");
        }
        let mut twice = head("gzip");
        twice.fields.append("content-encoding", "br");
        assert!(make_plain(&mut twice).is_err());
        let mut part = head("identity");
        part.status = StatusCode::PARTIAL_CONTENT;
        assert!(make_plain(&mut part).is_err());
        assert!(make_plain(&mut head("identity")).is_ok());
    }

    #[test]
    fn a_body_that_breaks_off_or_is_something_else_is_refused() {
        for coding in ["gzip", "br"] {
            let whole = through(&mut *encoder(coding, Pauses::Wait), &[7; 9_000], 999, false);
            let whole = whole.unwrap();
            let part = whole.get(..whole.len() - 3).unwrap();
            assert!(decode(coding, part, 5).is_err(), "{coding}: a part");
            assert!(decode(coding, b"\xff\xffnot compressed at all", 5).is_err(), "{coding}");
            assert!(decode(coding, b"", 5).unwrap().is_empty(), "{coding}: nothing");
        }
        assert!(decode("deflate", b"plain text", 3).is_err());
    }

    #[test]
    fn a_small_body_does_not_become_a_large_one() {
        let zeros = vec![0; 2_500_000];
        for coding in ["gzip", "br"] {
            let bomb = through(&mut *encoder(coding, Pauses::Wait), &zeros, 65_536, false).unwrap();
            assert!(bomb.len() < 100_000);
            let fault = decode(coding, &bomb, 1_000).unwrap_err();
            assert!(fault.detail.contains("too long"), "{coding}: {}", fault.detail);
            // Up to the free length anything goes.
            let small =
                through(&mut *encoder(coding, Pauses::Wait), &zeros[..1_000_000], 999, false);
            assert_eq!(decode(coding, &small.unwrap(), 10).unwrap().len(), 1_000_000);
        }
    }

    #[test]
    fn a_pause_sends_what_there_is() {
        for coding in ["gzip", "br"] {
            let mut encoder = encoder(coding, Pauses::Flush);
            let (mut out, mut head) = (Vec::new(), head(coding));
            make_plain(&mut head).unwrap();
            let mut changes = head.plan.take_passing();
            for event in ["data: one\n\n", "data: two\n\n"] {
                out.clear();
                encoder.chunk(event.as_bytes(), &mut out).unwrap();
                encoder.flush(&mut out).unwrap();
                assert_eq!(changes.chunk(&out).unwrap(), event.as_bytes(), "{coding}");
                out.clear();
                encoder.flush(&mut out).unwrap();
                assert!(out.is_empty(), "{coding}: nothing more to say");
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_compressed_reads_as_it_was(
            body in prop::collection::vec(0_u8..4, 0..3_000),
            sizes in (1_usize..700, 1_usize..700),
            pauses: bool,
        ) {
            for coding in ["gzip", "br"] {
                let mut encoder = encoder(coding, Pauses::Flush);
                let encoded = through(&mut *encoder, &body, sizes.0, pauses).unwrap();
                prop_assert_eq!(&decode(coding, &encoded, sizes.1).unwrap(), &body);
            }
        }

        #[test]
        fn nothing_that_is_sent_as_compressed_panics(
            body in prop::collection::vec(any::<u8>(), 0..300),
            size in 1_usize..50,
        ) {
            for coding in ["gzip", "deflate", "br"] {
                let _ = decode(coding, &body, size);
            }
        }
    }
}
