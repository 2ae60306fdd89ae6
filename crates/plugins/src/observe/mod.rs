//! Record what happened.

pub(crate) mod batch;
pub mod data_mask;
mod entry;
pub mod file_logger;
#[cfg(test)]
mod filter_tests;
pub mod http_logger;
mod logger;
pub mod node_status;
pub mod prometheus;
pub mod server_info;
pub mod syslog;
pub mod tcp_logger;
pub mod udp_logger;
