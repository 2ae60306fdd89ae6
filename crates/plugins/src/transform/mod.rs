//! What is done with a request that has passed every check: rewritten, or answered in place of the
//! upstream.

pub mod api_breaker;
pub mod attach_consumer_label;
pub mod fault_injection;
pub mod grpc_transcode;
pub mod identity_forward;
pub mod mocking;
pub mod proxy_rewrite;
pub mod public_api;
