//! Answers as header blocks (RFC 9113 §8.3.2).

use http::StatusCode;

use super::hpack::encode;
use crate::fields::Fields;
use crate::h1::encode::{OutgoingResponse, Unsendable, check_field, unsendable};
use crate::roles::{Role, exact_role};

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
    for (field, is_received) in fields.iter_by_origin() {
        if is_received {
            // PERF: `cargo xtask bench`, http2: the parser took connection and framing
            // fields out and let nothing pass that may not stand in a value.
            if field.name == b"host" {
                continue;
            }
        } else {
            match exact_role(field.name) {
                Role::Plain | Role::Override => check_field(field.name, field.value)?,
                Role::Host => continue,
                _ => return Err(unsendable("a connection or framing field among the fields")),
            }
        }
        encode::field(block, field.name, field.value);
    }
    Ok(())
}
