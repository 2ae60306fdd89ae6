//! Establish facts about the request itself.

pub mod client_control;
pub mod real_ip;
pub mod redirect;
pub mod request_id;
