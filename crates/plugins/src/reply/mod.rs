//! Shape the answer itself.

pub mod response_rewrite;
