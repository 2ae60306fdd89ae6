//! Bodies in a coding, so that cases can show them as text.

use std::io::{Read, Write};

use flate2::Compression;

/// A body in this coding.
pub(super) fn encoded(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let written = match coding {
        "gzip" => flate2::write::GzEncoder::new(&mut out, Compression::fast()).write_all(body),
        "deflate" => flate2::write::ZlibEncoder::new(&mut out, Compression::fast()).write_all(body),
        "br" => brotli::CompressorWriter::new(&mut out, 4_096, 5, 18).write_all(body),
        _ => {
            out = body.to_vec();
            Ok(())
        }
    };
    written.expect("a body in memory");
    out
}

/// The body that was put into this coding; `None` where it was not, or is not complete.
pub(super) fn decoded(coding: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let read = match coding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut out),
        "br" => brotli::Decompressor::new(body, 4_096).read_to_end(&mut out),
        _ => return None,
    };
    read.is_ok().then_some(out)
}
