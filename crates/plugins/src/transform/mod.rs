//! Rewrite what the upstream will see.

pub mod proxy_rewrite;
