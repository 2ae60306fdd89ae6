//! Rewrite what the upstream will see.

pub mod attach_consumer_label;
pub mod proxy_rewrite;
