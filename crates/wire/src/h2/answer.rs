//! Answers as header blocks (RFC 9113 §8.3.2).

use http::StatusCode;

use super::hpack::encode;
use crate::fields::Fields;
use crate::h1::encode::{OutgoingResponse, Unsendable, for_each_sendable, unsendable};

/// Appends the head of an answer. What an error leaves behind is the caller's to remove.
pub(crate) fn write_head(
    block: &mut Vec<u8>,
    response: &OutgoingResponse<'_>,
) -> Result<(), Unsendable> {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(unsendable("a switch of protocols on HTTP/2"));
    }
    encode::status(block, response.status);
    write_fields(block, response.fields)?;
    if let Some(length) = response.stated_length()? {
        encode::field(block, b"content-length", itoa::Buffer::new().format(length).as_bytes());
    }
    Ok(())
}

/// Appends fields: those of an answer, or trailers.
pub(crate) fn write_fields(block: &mut Vec<u8>, fields: &Fields) -> Result<(), Unsendable> {
    for_each_sendable(fields, |field| encode::field(block, field.name, field.value))
}
