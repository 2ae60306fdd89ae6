//! HTTP/2 (RFC 9113), a server's side: frames, header compression (RFC 7541), streams and windows;
//! and the judgement on heads from upstreams.
//!
//! Each frame is judged once, where it is read: by the protocol, by what a client may make a server
//! do for nothing, and, where it is a request, as strictly as one that came over HTTP/1, since that
//! is what it may become upstream.

mod answer;
pub(crate) mod connection;
pub(crate) mod frame;
pub(crate) mod hpack;
pub(crate) mod meter;
mod request;
pub(crate) mod upstream;
