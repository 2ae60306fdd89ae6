//! Header compression (RFC 7541).
//!
//! The decoder keeps its dynamic table in step whatever becomes of the request; what it cannot
//! read ends the connection, since nothing after it could be read either. The encoder remembers
//! nothing: answers name the static table and spell out the rest, so that no secret of one answer
//! shows in the size of another (CRIME), and no table grows with what upstreams say.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod huffman;
pub(crate) mod integer;
pub(crate) mod table;

/// Why a header block cannot be read: `COMPRESSION_ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HpackFault(pub(crate) &'static str);
