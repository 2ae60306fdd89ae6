//! HTTP on the wire: the HTTP/1 codec for both sides, a server's side of HTTP/2, the canonical
//! request.
//!
//! Everything here either has exactly one meaning or is refused. Architecture invariants: this
//! crate opens no connection, knows no plugin and no route; its parsers do no I/O.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod authority;
mod body;
mod canonical;
mod fields;
pub mod fuzz;
mod h1;
mod h2;
mod head;
mod identity_fields;
mod roles;

pub use authority::Authority;
pub use body::{BodyReader, Taken};
pub use canonical::{
    Canonical, PathPolicy, QueryFault, QueryPairs, TargetRefusal, decode_form, decode_segment,
};
pub use fields::{Field, Fields, Repeated, is_field_name, is_field_value, is_token_byte};
pub use h1::chunked::{
    CHUNK_END, ChunkFault, ChunkLimits, ChunkedDecoder, LAST_CHUNK, Step, chunk_head,
};
pub use h1::encode::{
    CONTINUE, Lines, OutgoingRequest, OutgoingResponse, Unsendable, encode_request, encode_response,
};
pub use h1::request::parse_request;
pub use h1::response::parse_response;
pub use h1::scan::HeadScan;
pub use h1::{HeadLimits, HeadRefusal, Progress};
pub use h2::connection::{
    ConnectionLimits, H2Connection, H2Event, StreamEnd, TakenBody, Violation,
};
pub use h2::frame::ErrorCode;
pub use h2::meter::{Flood, MeterLimits};
pub use h2::upstream::{judge_h2_response, judge_h2_trailers, write_h2_request};
pub use head::{BodyLength, ConnectionUse, RequestHead, ResponseHead, Version};
pub use identity_fields::is_identity_field;
