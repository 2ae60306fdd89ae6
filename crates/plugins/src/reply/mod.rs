//! Shape the answer itself.

pub mod brotli;
pub mod echo;
pub mod error_page;
pub mod exit_transformer;
pub mod gzip;
pub mod response_rewrite;
