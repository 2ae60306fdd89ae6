//! HTTP/2: what the library that speaks it does not bound or check.
//!
//! The frame meter runs on the decrypted stream beneath the library and ends connections that
//! flood; the conversion judges each request as strictly as one that came over HTTP/1, since that
//! is what it may become upstream.

pub(crate) mod convert;
pub(crate) mod frames;
pub(crate) mod meter;
pub(crate) mod metered;
