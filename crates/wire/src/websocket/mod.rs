//! WebSocket (RFC 6455) as a gateway sees it: the handshake, and where frames begin and end.

pub(crate) mod frames;
pub(crate) mod handshake;
